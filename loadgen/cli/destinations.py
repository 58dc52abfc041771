"""Write output to a file, a pipe, a device or stdout; each is opened or tried before the run.

A file is written beside the one it replaces, and renamed. A pipe is opened once and kept: its
reader would take a second opening for the end of the first. Once a signal has come, nothing waits
longer than `PATIENCE_S` for a reader.
"""

from __future__ import annotations

import errno
import os
import re
import select
import stat
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final, Protocol

from echo_trio import files
from loadgen.signals import INTERRUPTS

STDOUT: Final = "-"
_STDOUT_FILENO: Final = 1
#: The time for which a reader may take nothing once a signal has come.
PATIENCE_S: Final = 1.0
#: The interval of looking for a signal, and for a reader.
_TICK_S: Final = 0.05
#: A pipe that has room for anything has room for this, so that writing it does not block (POSIX).
_PIPE_BYTES: Final[int] = getattr(select, "PIPE_BUF", 512)
_NEVER_WAIT: Final = files.flags("O_NONBLOCK", "O_CLOEXEC")

_INHERITED: Final = re.compile(r"/(?:dev|proc/self)/fd/([0-9]+)")
_NAMES: Final = {"/dev/stdout": 1, "/dev/stderr": 2}
#: Linux's numbers of /dev/null and /dev/full. Of /dev/mem, it is the same but for the last.
_HARMLESS: set[int] = set()
if sys.platform == "linux":
    _HARMLESS |= {os.makedev(1, 3), os.makedev(1, 7)}


class Destination(Protocol):
    """The place to which one output goes."""

    def write(self, content: bytes) -> None:
        """Write all bytes.

        :raises OSError: if that can't be done.
        """


class Stdout:
    """Stdout, which stays open."""

    def write(self, content: bytes) -> None:
        """Write all bytes, at once."""
        sys.stdout.flush()
        try:
            descriptor = sys.stdout.fileno()
        except OSError:  # stdout has no descriptor, as in tests
            sys.stdout.buffer.write(content)
            sys.stdout.buffer.flush()
        else:
            write_patiently(descriptor, content)


class PlainFile:
    """A file, which is replaced as a whole.

    :raises OSError: if it can't be.
    """

    def __init__(self, path: str) -> None:
        files.check_writable(path)
        self._path = path

    def write(self, content: bytes) -> None:
        """Write all bytes, or leave the old file."""
        files.write_whole(self._path, content)


class Stream:
    """A device, or a descriptor that the process was started with.

    :param descriptor: to write to; not closed.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def write(self, content: bytes) -> None:
        """Write all bytes, behind those written before."""
        write_patiently(self._descriptor, content)


class Pipe:
    """A named pipe; its reader may come later.

    :raises OSError: if it can't be written to.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._descriptor = self._open()

    def write(self, content: bytes) -> None:
        """Write all bytes, and end the stream. Waits for a reader."""
        patience = _Patience()
        while self._descriptor is None:
            patience.check()
            time.sleep(_TICK_S)
            self._descriptor = self._open()
        try:
            write_patiently(self._descriptor, content)
        finally:
            os.close(self._descriptor)
            self._descriptor = None

    def _open(self) -> int | None:
        try:
            return os.open(self._path, os.O_WRONLY | _NEVER_WAIT)
        except OSError as exc:
            if exc.errno == errno.ENXIO:
                return None  # No process reads it yet.
            raise


def open_destination(path: str) -> Destination:
    """Open or try the file that a path names; leave its content unchanged.

    :param path: a file, a pipe, a harmless device, or `STDOUT`.
    :raises OSError: if nothing can be written there.
    """
    if is_stdout(path):
        return Stdout()
    descriptor = _find_inherited(path)
    with suppress(FileNotFoundError):
        mode = os.fstat(descriptor).st_mode if descriptor is not None else os.stat(path).st_mode
        if stat.S_ISFIFO(mode):
            return Pipe(path)
        if descriptor is not None:
            return Stream(descriptor)
        if stat.S_ISCHR(mode):
            return Stream(_open_device(path))
    return PlainFile(path)


def is_stdout(path: str) -> bool:
    """Tell whether a path is a name of stdout."""
    return path == STDOUT or _find_inherited(path) == _STDOUT_FILENO


def is_same_file(one: str, other: str) -> bool:
    """Tell whether both paths name the same plain file."""
    return _is_plain(one) and _is_plain(other) and files.is_same(one, other)


def write_patiently(descriptor: int, content: bytes) -> None:
    """Write all bytes, for as long as the reader takes some now and then or no signal has come.

    :raises OSError: if they can't be written.
    """
    view, patience = memoryview(content), _Patience()
    is_pipe = stat.S_ISFIFO(os.fstat(descriptor).st_mode)
    poll = _poll_for_writing(descriptor)
    while view:
        if not poll(_TICK_S * 1000):
            patience.check()
            continue
        try:
            written = os.write(descriptor, view[:_PIPE_BYTES] if is_pipe else view)
        except BlockingIOError:
            continue
        view = view[written:]
        patience = _Patience()


def _poll_for_writing(descriptor: int) -> Callable[[float], object]:
    """Make a function that waits for as many milliseconds, and tells whether it can be written."""
    if sys.platform != "win32" and hasattr(select, "poll"):
        poll = select.poll()
        poll.register(descriptor, select.POLLOUT)
        return poll.poll
    return lambda _: True  # There nothing waits for a file but writing it.


class _Patience:
    """A limit to waiting, which ends `PATIENCE_S` after the user has asked for the end."""

    def __init__(self) -> None:
        self._until: float | None = None

    def check(self) -> None:
        """Check that waiting may go on.

        :raises TimeoutError: if it may not.
        """
        now = time.monotonic()
        if not INTERRUPTS.received:
            return
        if self._until is None:
            self._until = now + PATIENCE_S
        elif now >= self._until:
            raise TimeoutError(errno.ETIMEDOUT, "nobody reads it")


def _find_inherited(path: str) -> int | None:
    """Find the descriptor that a path like ``/dev/fd/3`` names."""
    if match := _INHERITED.fullmatch(path):
        return int(match[1])
    return _NAMES.get(path)


def _is_plain(path: str) -> bool:
    if path == STDOUT or _find_inherited(path) is not None:
        return False
    try:
        return stat.S_ISREG(os.stat(path).st_mode)
    except OSError:
        return True


def _open_device(path: str) -> int:
    if not _is_harmless(path):
        raise files.WrongKind("it is a device, not a file; name a file")
    return os.open(path, os.O_WRONLY | files.flags("O_NOCTTY", "O_CLOEXEC"))


def _is_harmless(path: str) -> bool:
    if path.lower() == os.devnull:
        return True
    if sys.platform != "win32" and os.stat(path).st_rdev in _HARMLESS:
        return True
    return re.fullmatch(r"/dev/(tty\w*|pts/\d+|console)", path) is not None
