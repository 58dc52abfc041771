"""Fork a process whenever the parent asks for one: `python -m echo_trio.forks.server`.

This process has imported what its children run, and does nothing else: it has one thread and no
event loop, so that a fork is as good as a new process. The memory of what it has imported is theirs
as well, until they change it.

    the parent ──(title, descriptors)──► fork server ──fork──► child: MODULE.main(descriptors)
        ▲                                     │
        └───(pid and pidfd; then exit code)───┘   on a socket of its own for each child
"""

from __future__ import annotations

import atexit
import gc
import importlib
import os
import select
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Final, NoReturn

from echo_trio.forks.title import set_title
from echo_trio.interrupts import HANG_UPS, REQUESTS_TO_STOP

#: True where processes are forked. On macOS, libraries of the system have threads of their own,
#: which a fork leaves in the middle of whatever they were doing.
CAN_FORK: Final = (
    sys.platform != "win32"
    and sys.platform != "darwin"
    and hasattr(os, "fork")
    and hasattr(signal, "pthread_sigmask")
    and hasattr(socket, "send_fds")
)
#: The signals that reach every process of a terminal or a unit, and are the parent's to pass on: a
#: child is started with all of them blocked.
FOR_THE_PARENT: Final = frozenset((*REQUESTS_TO_STOP, *HANG_UPS))

#: What `ps` shows.
TITLE: Final = "echo_trio.forks.server"
#: The fork server's first word.
READY: Final = b"ready"
#: The words about a child, each with a number: its pid; its exit code, negative for a signal; the
#: error number of a fork that failed.
STARTED, ENDED, FAILED = "started", "ended", "failed"
MAX_ORDER_BYTES: Final = 1024
#: More than a worker has listening sockets; the kernel's own limit is 253.
MAX_DESCRIPTORS: Final = 250

#: Runs in a child, with the descriptors that the parent has sent; returns the exit code.
Entry = Callable[[Sequence[int]], int]


def count_threads() -> int:
    """Count the threads of this process, those that Python does not know, too."""
    with suppress(OSError):
        return len(os.listdir("/proc/self/task"))  # noqa: PTH208 - a `Path` for each is not needed
    return threading.active_count()


def become(parent: socket.socket, module: str) -> NoReturn:
    """Be a fork server from now on, in a fork of the parent: nothing of the parent's goes on here.

    :param parent: this end of the socket to the parent; all other files of the parent are let go.
    """
    code = 1
    try:
        set_title(TITLE)
        atexit._clear()  # noqa: SLF001 - those are the parent's
        _let_go(except_for=parent.fileno())
        for number in signal.valid_signals():
            if callable(signal.getsignal(number)):
                signal.signal(number, signal.SIG_DFL)
        run(parent, module)
        code = 0
    except BaseException:  # noqa: BLE001 - as an interpreter does at its end
        traceback.print_exc()
    finally:
        os._exit(code)


def run(parent: socket.socket, module: str) -> None:
    """Import the module, and fork processes that call its `main`, until the parent is gone.

    If something here has started a thread, this ends before it has said that it is ready.
    """
    entry: Entry = importlib.import_module(module).main
    # A parent that ends without having read our first word resets the connection.
    with suppress(ConnectionError):
        if count_threads() == 1:
            _serve(parent, entry)


def _let_go(except_for: int) -> None:
    """Let go of the parent's files.

    They are replaced, not closed: objects of the parent live on in this copy, and may close their
    numbers at any time, which must not be somebody else's by then.
    """
    nothing = os.open(os.devnull, os.O_RDWR)
    for number in _open_files():
        if number not in {2, nothing, except_for}:
            os.dup2(nothing, number, inheritable=number < 2)
    os.close(nothing)


def _open_files() -> list[int]:
    listed: Iterable[int] = range(1024)  # A program has few when it has just begun.
    for folder in ("/proc/self/fd", "/dev/fd"):
        with suppress(OSError):
            listed = map(int, os.listdir(folder))  # noqa: PTH208 - numbers, not paths
            break
    found = []
    for number in listed:
        with suppress(OSError):  # The one of the list itself is closed.
            os.fstat(number)
            found.append(number)
    return found


def _serve(parent: socket.socket, entry: Entry) -> None:
    if sys.platform != "win32":
        gc.freeze()  # A collection in a child would write to every object, and so copy them all.
        reading, writing = socket.socketpair()
        for end in (reading, writing):
            end.setblocking(False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
        signal.set_wakeup_fd(writing.fileno(), warn_on_full_buffer=False)
        ours = parent, reading, writing
        children: dict[int, socket.socket] = {}
        poll = select.poll()
        poll.register(parent, select.POLLIN)
        poll.register(reading, select.POLLIN)
        parent.send(READY)
        while True:
            ready = {descriptor for descriptor, _ in poll.poll()}
            if reading.fileno() in ready:
                with suppress(BlockingIOError):
                    reading.recv(4096)
                _reap(children)
            if parent.fileno() in ready:
                title, descriptors = _receive_order(parent)
                if not descriptors:
                    return  # The parent has closed its end, or is gone.
                _start_child(title.decode(), descriptors, entry, children, ours)


def _start_child(
    title: str,
    descriptors: list[int],
    entry: Entry,
    children: dict[int, socket.socket],
    ours: Sequence[socket.socket],
) -> None:
    """Fork a child, and tell the parent how that went.

    :param descriptors: the socket on which the parent is told, and those of the child; closed here.
    :param children: the child is added to these.
    :param ours: the files of this process that are not the child's.
    """
    status = socket.socket(fileno=descriptors.pop(0))
    if sys.platform != "win32":
        try:
            pid = os.fork()
        except OSError as exc:
            _tell(status, f"{FAILED} {exc.errno}")
            status.close()
        else:
            if not pid:
                signal.set_wakeup_fd(-1)
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                for sock in (*ours, status, *children.values()):
                    sock.close()
                _be_child(title, descriptors, entry)
            children[pid] = status
            if not _tell_pid(status, pid):
                os.kill(pid, signal.SIGKILL)  # Whoever wanted it has given up.
    for descriptor in descriptors:
        os.close(descriptor)


def _reap(children: dict[int, socket.socket]) -> None:
    """Report how the children have ended that have."""
    if sys.platform != "win32":
        for pid in list(children):
            ended, how = os.waitpid(pid, os.WNOHANG)
            if ended:
                status = children.pop(pid)
                _tell(status, f"{ENDED} {os.waitstatus_to_exitcode(how)}")
                status.close()


def _receive_order(parent: socket.socket) -> tuple[bytes, list[int]]:
    """Receive a title and descriptors of a process to start; none of them when the parent has gone.

    A parent that goes without having read that we are ready resets the connection.
    """
    if sys.platform != "win32":
        with suppress(ConnectionResetError):
            title, descriptors, _, _ = socket.recv_fds(parent, MAX_ORDER_BYTES, MAX_DESCRIPTORS)
            return title, descriptors
    return b"", []


def _tell(status: socket.socket, what: str) -> None:
    with suppress(OSError):
        status.send(what.encode())


def _tell_pid(status: socket.socket, pid: int) -> bool:
    """Tell the parent of its new child; false if the parent does not want it any more."""
    pidfds: list[int] = []
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):  # Before Linux 5.3 there is none.
            pidfds.append(os.pidfd_open(pid))
    try:
        if sys.platform != "win32":
            socket.send_fds(status, [f"{STARTED} {pid}".encode()], pidfds)
    except OSError:
        return False
    else:
        return True
    finally:
        for descriptor in pidfds:
            os.close(descriptor)


def _be_child(title: str, descriptors: Sequence[int], entry: Entry) -> NoReturn:
    code = 1
    try:
        set_title(title)
        code = entry(descriptors)
    except SystemExit as asked:
        code = asked.code if isinstance(asked.code, int) else int(asked.code is not None)
    except BaseException:  # noqa: BLE001 - as an interpreter does at its end
        traceback.print_exc()
    finally:
        # End as an interpreter does, but without taking all objects apart: that would copy
        # what is shared. (As `multiprocessing` does it.)
        try:
            threading._shutdown()  # type: ignore[attr-defined]  # noqa: SLF001
            atexit._run_exitfuncs()  # noqa: SLF001
            for stream in (sys.stdout, sys.stderr):
                if stream is not None:
                    stream.flush()
        finally:
            os._exit(code)


def main() -> None:
    """Be the fork server of the module and the descriptor in argv."""
    set_title(TITLE)
    run(socket.socket(fileno=int(sys.argv[2])), sys.argv[1])


if __name__ == "__main__":
    main()
