"""Hide from our packages what other systems lack: with this folder on PYTHONPATH.

Everybody else in the process – the standard library, Trio, the tests – sees Linux as it is. Our
packages find no module and no name that Windows lacks (what macOS lacks is less), with these
exceptions, which the standard library does not hide behind a name: a file can be renamed while it
is open, a child may inherit any descriptor, and /proc can be listed, though nothing in it be read.
O_NONBLOCK and killpg stay, because there are pipes with names and groups of processes.

ELSEWHERE=win32 or ELSEWHERE=darwin in the environment goes further: our packages find that name in
`sys.platform`, and what this system has of its own, as far as Linux can play it. Then O_NONBLOCK
and killpg are hidden as well on Windows, and macOS has back what it has.
"""

from __future__ import annotations

import builtins
import errno
import importlib
import os
import select
import signal
import socket
import sys
import types
from typing import Any

OURS = ("echo_trio", "loadgen")
PLATFORM = os.environ.get("ELSEWHERE")

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
#: What these systems have beside, or do in another way.
OWN: dict[str, dict[str, Any]] = {}


def rename_as_windows(source: Any, target: Any) -> None:
    """Rename, and replace nothing."""
    if os.path.lexists(target):
        raise FileExistsError(errno.EEXIST, "Cannot create a file when that file already exists")
    os.rename(source, target)  # noqa: PTH104 - what it stands for


def socketpair_of_macos(*arguments: Any, **options: Any) -> Any:
    """Make a pair, unless it is to keep messages apart."""
    if socket.SOCK_SEQPACKET in (*arguments, *options.values()):
        raise OSError(errno.EPROTONOSUPPORT, "Protocol not supported")
    return socket.socketpair(*arguments, **options)


def getrusage_of_macos(who: int) -> Any:
    """Tell what this process has used, its memory in bytes."""
    import resource  # noqa: PLC0415 - Windows has none

    return types.SimpleNamespace(ru_maxrss=resource.getrusage(who).ru_maxrss * 1024)


class PollOfMacos:
    """A poll that tells a hang-up only to those who ask for bytes as well."""

    def __init__(self) -> None:
        self._poll = select.poll()

    def register(self, file: Any, events: int) -> None:
        if events & (select.POLLIN | select.POLLOUT):
            self._poll.register(file, events)

    def poll(self, timeout_ms: float | None = None) -> list[tuple[int, int]]:
        return self._poll.poll(timeout_ms)


if PLATFORM == "win32":
    NO_NAMES["os"] |= {
        "O_NONBLOCK", "chown", "fchown", "getpgid", "getpgrp", "killpg", "mkfifo", "pread",
        "pwrite", "setsid", "tcgetpgrp", "tcsetpgrp", "uname", "wait4", "waitid",
    }  # fmt: skip
    NO_NAMES["signal"] |= {
        "SIGCHLD", "SIGCONT", "SIGKILL", "SIGPIPE", "SIGQUIT", "SIGTSTP", "SIGUSR1", "SIGUSR2",
        "alarm", "pause", "pidfd_send_signal", "siginterrupt",
    }  # fmt: skip
    OWN = {
        # What a connect that goes on says there; here it has this name.
        "errno": {"EWOULDBLOCK": errno.EINPROGRESS},
        "os": {"name": "nt", "rename": rename_as_windows},
        "signal": {"CTRL_BREAK_EVENT": signal.SIGINT},
        # Some option without an effect here.
        "socket": {"SO_EXCLUSIVEADDRUSE": socket.SO_KEEPALIVE},
        "subprocess": {"CREATE_NEW_PROCESS_GROUP": 0},
    }
elif PLATFORM == "darwin":
    NO_MODULES = set()
    NO_NAMES = {
        "os": {
            "O_PATH", "O_TMPFILE", "eventfd", "memfd_create", "pidfd_open", "sched_getaffinity",
            "sched_setaffinity",
        },
        "select": {"epoll"},
        "signal": {"pidfd_send_signal", "sigtimedwait", "sigwaitinfo"},
        "socket": {
            "MSG_NOSIGNAL", "SOCK_CLOEXEC", "SOCK_NONBLOCK", "TCP_DEFER_ACCEPT", "TCP_INFO",
            "TCP_USER_TIMEOUT",
        },
    }  # fmt: skip
    OWN = {
        "resource": {"getrusage": getrusage_of_macos},
        "select": {"poll": PollOfMacos},
        "socket": {"socketpair": socketpair_of_macos},
    }
if PLATFORM:
    OWN["sys"] = {"platform": PLATFORM}


class Poorer(types.ModuleType):
    """A module without some of its names, and with some others."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        object.__setattr__(self, "_whole", importlib.import_module(name))
        object.__setattr__(self, "_gone", NO_NAMES.get(name, set()))
        object.__setattr__(self, "_own", OWN.get(name, {}))

    def __getattribute__(self, name: str) -> Any:
        gone = object.__getattribute__(self, "_gone")
        own = object.__getattribute__(self, "_own")
        if name in own:
            return own[name]
        of_epoll, of_poll = name.startswith("EPOLL"), name.startswith("POLL")
        if name in gone or (of_epoll and "epoll" in gone) or (of_poll and "poll" in gone):
            raise AttributeError(f"no {name} elsewhere")
        return getattr(object.__getattribute__(self, "_whole"), name)

    def __setattr__(self, name: str, value: object) -> None:
        setattr(object.__getattribute__(self, "_whole"), name, value)


POORER = {name: Poorer(name) for name in {*NO_NAMES, *OWN}}
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
