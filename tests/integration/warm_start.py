"""Start our programs by the name of an executable, in forks of the starter, as `starter.py` does.

What starts a program by its command line – the console its runs, the page's tests their servers –
takes this launcher for Python. It hands its arguments, environment, folder and standard streams to
the starter, passes signals on, and ends as the program does: a process of 10 ms of CPU in the place
of one of 400. When it is killed, so is the program. What it does not know, and all when the
starter is not there, is started by Python itself.

    who starts a program ──exec──► launcher ──(arguments, streams)──► starter ──► minder ──► program
                                       ▲ ────────── signals ─────────────────────► │
                                       └─────────── how it ended ──────────────────┘
"""

from __future__ import annotations

import os
import select
import signal
import socket
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

#: What the launcher has started by the starter; all else is Python's.
PROGRAMS = ("echo_trio", "loadgen", "loadgen.cli.from_stdin")
#: In a program's environment it says that what this starts are new programs.
REAL_STARTS = "REAL_STARTS"
HEAD_BYTES = 4

#: Isolated and without `site`: it has what every Python has built in, and is there in 10 ms.
LAUNCHER = """\
#!{python} -IS
import _signal, _socket, posix, sys


def start_python():
    posix.execv({python!r}, [{python!r}, *sys.argv[1:]])


arguments = sys.argv[1:]
module = "".join(arguments[1 + (arguments[:1] == ["-P"]) :][:1])
environment = posix.environ
if (
    arguments[:1] not in (["-m"], ["-P"])
    or module not in {programs!r}
    or b"PYTHONIOENCODING" in environment
    or {real!r} in environment
):
    start_python()
control = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
encoding = sys.getfilesystemencoding(), "surrogateescape"
parts = [posix.getcwdb(), str(len(arguments)).encode()]
parts += [each.encode(*encoding) for each in arguments]
parts += [name + b"=" + value for name, value in environment.items()]
order = b"\\0".join(parts)
streams = b"".join(number.to_bytes(4, sys.byteorder) for number in range(3))
try:
    control.connect({address!r})
    passed = [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, streams)]
    control.sendmsg([len(order).to_bytes({head}, "big")], passed)
except OSError:
    start_python()
while order:
    order = order[control.send(order) :]
# Signals follow the order; one that comes before ends the launcher, as it would a program.
for number in (_signal.SIGINT, _signal.SIGTERM, _signal.SIGHUP, _signal.SIGQUIT):
    if _signal.getsignal(number) != _signal.SIG_IGN:
        _signal.signal(number, lambda number, _: control.send(bytes((number,))))
for number in range(3):  # who reads the program's output waits for its end, not for ours
    posix.close(number)
ended = b""
while some := control.recv(16):
    ended += some
code = int(ended)
if code < 0:
    if -code != _signal.SIGKILL:
        _signal.signal(-code, _signal.SIG_DFL)
    posix.kill(posix.getpid(), -code)
posix._exit(code)
"""


def make_launcher() -> tuple[Path, socket.socket]:
    """Make a launcher in a folder of its own; return it and the socket where it will ask."""
    # Its name is short, as that of a socket may have 107 bytes.
    folder = Path(tempfile.mkdtemp(prefix="starter-", dir="/tmp"))
    address = str(folder / "starter")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(address)
    listener.listen(64)
    launcher = folder / "python"
    launcher.write_text(
        LAUNCHER.format(
            python=sys.executable,
            programs=[*PROGRAMS],
            real=REAL_STARTS.encode(),
            address=address,
            head=HEAD_BYTES,
        )
    )
    launcher.chmod(0o700)
    return launcher, listener


def read_order(control: socket.socket) -> tuple[dict[str, Any], list[int]]:
    """Read what a launcher wants started, as the starter has it, and its three streams.

    :raises OSError: if it has gone.
    """
    head, streams, _, _ = socket.recv_fds(control, HEAD_BYTES, 3)
    size, order = int.from_bytes(head, "big"), b""
    while len(order) < size:
        some = control.recv(size - len(order))
        if not some:
            raise ConnectionError("the launcher has gone")
        order += some
    folder, count, *rest = (os.fsdecode(part) for part in order.split(b"\0"))
    arguments, environment = rest[: int(count)], rest[int(count) :]
    is_safe = arguments[0] == "-P"
    _, module, *others = arguments[is_safe:]
    return {
        "module": module,
        "arguments": others,
        "environment": dict(pair.split("=", 1) for pair in environment),
        "folder": folder,
        "safe_path": is_safe,
    }, streams


def mind(pid: int, control: socket.socket) -> None:
    """Pass signals on to a program, and say how it ends; when its launcher goes, kill it."""
    watched = os.pidfd_open(pid)
    poll = select.poll()
    poll.register(watched, select.POLLIN)
    poll.register(control, select.POLLIN)
    while watched not in (ready := [descriptor for descriptor, _ in poll.poll()]):
        assert ready
        numbers: Sequence[int] = b""
        with suppress(ConnectionError):
            numbers = control.recv(16)
        if not numbers:
            poll.unregister(control)
        for number in numbers or (signal.SIGKILL,):
            os.kill(pid, number)  # It is there: nobody else waits for it.
    _, status = os.waitpid(pid, 0)
    with suppress(OSError):
        control.sendall(str(os.waitstatus_to_exitcode(status)).encode())
