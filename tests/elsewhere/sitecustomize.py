"""Hide from our packages what other systems lack: with this folder on PYTHONPATH.

Everybody else in the process – the standard library, Trio, the tests – sees Linux as it is. Our
packages find no module and no name that Windows lacks (what macOS lacks is less), with these
exceptions, which the standard library does not hide behind a name: a file can be renamed while it
is open, a child may inherit any descriptor, and /proc can be listed, though nothing in it be read.
O_NONBLOCK and killpg stay, because there are pipes with names and groups of processes.
"""

from __future__ import annotations

import builtins
import importlib
import sys
import types
from typing import Any

OURS = ("echo_trio", "loadgen")
NO_MODULES = {"fcntl", "grp", "pty", "pwd", "resource", "syslog", "termios", "tty"}
NO_NAMES = {
    "os": {
        "O_ACCMODE", "O_CLOEXEC", "O_DIRECTORY", "O_NOCTTY", "O_NOFOLLOW", "O_PATH", "O_TMPFILE",
        "eventfd", "fchmod", "fork", "geteuid", "getuid", "memfd_create", "pathconf", "pidfd_open",
        "register_at_fork", "sched_getaffinity", "sched_setaffinity", "sendfile", "sysconf",
    },
    "select": {"PIPE_BUF", "epoll", "kqueue", "poll"},
    "signal": {
        "ITIMER_REAL", "SIGALRM", "SIGHUP", "SIG_BLOCK", "SIG_SETMASK", "pthread_sigmask",
        "setitimer", "sigwait",
    },
    "socket": {
        "AF_UNIX", "CMSG_LEN", "CMSG_SPACE", "MSG_DONTWAIT", "MSG_NOSIGNAL", "SO_REUSEPORT",
        "TCP_DEFER_ACCEPT", "TCP_INFO", "TCP_USER_TIMEOUT", "recv_fds", "send_fds",
    },
}  # fmt: skip


class Poorer(types.ModuleType):
    """A module without some of its names."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        object.__setattr__(self, "_whole", importlib.import_module(name))

    def __getattribute__(self, name: str) -> Any:
        own = object.__getattribute__(self, "__name__")
        if name in NO_NAMES[own] or (own == "select" and name.startswith(("EPOLL", "POLL"))):
            raise AttributeError(f"no {own}.{name} elsewhere")
        return getattr(object.__getattribute__(self, "_whole"), name)

    def __setattr__(self, name: str, value: object) -> None:
        setattr(object.__getattribute__(self, "_whole"), name, value)


POORER = {name: Poorer(name) for name in NO_NAMES}
import_whole = builtins.__import__


def is_ours(name: object) -> bool:
    """Tell whether a module is our packages'."""
    return isinstance(name, str) and name.partition(".")[0] in OURS


def import_poorer(
    name: str,
    globals: Any = None,  # noqa: A002
    locals: Any = None,  # noqa: A002
    fromlist: Any = (),
    level: int = 0,
) -> Any:
    """Import as ever, unless our packages do."""
    if level == 0 and globals is not None and is_ours(globals.get("__package__")):
        if name in NO_MODULES:
            raise ModuleNotFoundError(f"no module {name} elsewhere", name=name)
        if name in POORER:
            return POORER[name]
    return import_whole(name, globals, locals, fromlist, level)


def deny(event: str, arguments: tuple[Any, ...]) -> None:
    """Keep our packages from reading /proc, pathlib's help notwithstanding."""
    if event != "open" or not str(arguments[0]).startswith("/proc/"):
        return
    frame: types.FrameType | None = sys._getframe(1)
    while frame is not None and frame.f_globals.get("__name__", "").partition(".")[0] == "pathlib":
        frame = frame.f_back
    if frame is not None and is_ours(frame.f_globals.get("__package__")):
        raise FileNotFoundError(2, "No such file or directory", arguments[0])


builtins.__import__ = import_poorer
sys.addaudithook(deny)
