"""Start processes that run a module's `main`: forked where that is possible, else as new programs.

A process gets descriptors of ours, stderr, and neither stdin nor stdout. The signals that a
terminal sends to all processes are blocked when it starts (`FOR_THE_PARENT`), and are its own
affair.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Final, Protocol, Self

import trio

from echo_trio.forks import server

#: The time for a fork server to import what it needs, or to fork. One that takes longer has been
#: stopped by somebody, and is replaced.
PATIENCE_S: Final = 30.0


class Process(Protocol):
    """A process that was started, and has perhaps ended.

    :ivar pid: its number.
    """

    pid: int

    @property
    def returncode(self) -> int | None:
        """The exit code, negative for a signal; ``None`` while it runs, or if nobody knows."""

    def send_signal(self, number: int) -> None:
        """Send it a signal, unless it has ended."""

    def kill(self) -> None:
        """End it at once."""

    async def wait(self) -> int | None:
        """Wait for its end; return `returncode`."""


class Spawned:
    """A new program. Meets `Process`."""

    def __init__(self, module: str, descriptors: Sequence[int]) -> None:
        """Start it.

        :raises OSError: if this machine can't.
        """
        with _signals_blocked():
            self._popen = subprocess.Popen(  # noqa: S603 - ourselves
                [sys.executable, "-m", module, *map(str, descriptors)],
                pass_fds=descriptors,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
            )
        self.pid: int = self._popen.pid

    @property
    def returncode(self) -> int | None:
        """The exit code, negative for a signal; ``None`` while it runs."""
        return self._popen.poll()

    def send_signal(self, number: int) -> None:
        """Send it a signal, unless it has ended."""
        self._popen.send_signal(number)

    def kill(self) -> None:
        """End it at once."""
        self._popen.kill()

    async def wait(self) -> int:
        """Wait for its end; return the exit code."""
        return await trio.to_thread.run_sync(self._popen.wait, abandon_on_cancel=True)


class Forked:
    """A child of the fork server. Meets `Process`.

    :ivar pid: its number; 0 before it is known.
    """

    def __init__(self, status: socket.socket) -> None:
        status.setblocking(False)
        self.pid: int = 0
        self._status = status
        self._code: int | None = None
        self._failure: OSError | None = None  # to fork
        self._pidfd: int | None = None
        self._is_over = False

    @property
    def returncode(self) -> int | None:
        """The exit code, negative for a signal; ``None`` while it runs, or if nobody knows.

        If the fork server was killed, nobody does.
        """
        self._look()
        return self._code

    async def started(self) -> bool:
        """Wait until its number is known; false if the fork server is gone.

        :raises OSError: if this machine can't start a process.
        """
        while not self.pid:
            self._look()
            if self.pid or self._is_over:
                break
            await trio.lowlevel.wait_readable(self._status)
        if self._failure is not None:
            raise self._failure
        return self.pid > 0

    def send_signal(self, number: int) -> None:
        """Send it a signal, unless it has ended."""
        self._look()
        with suppress(ProcessLookupError):
            if sys.platform == "linux" and self._pidfd is not None:
                signal.pidfd_send_signal(self._pidfd, number)
            elif self.pid and not self._is_over:
                os.kill(self.pid, number)

    def kill(self) -> None:
        """End it at once; if it is not there yet, the fork server will."""
        self._look()
        if not self.pid and not self._is_over:
            # Nothing can be sent to us after this; what was sent before can be read.
            self._status.shutdown(socket.SHUT_RD)
        if sys.platform != "win32":
            self.send_signal(signal.SIGKILL)

    async def wait(self) -> int | None:
        """Wait for its end; return the exit code, ``None`` if nobody knows it."""
        self._look()
        while not self._is_over:
            await trio.lowlevel.wait_readable(self._status)
            self._look()
        if self._code is None and self._pidfd is not None:
            await trio.lowlevel.wait_readable(self._pidfd)  # It is readable once the process ended.
        return self._code

    def _look(self) -> None:
        """Take in what the fork server has said."""
        if sys.platform != "win32":
            while not self._is_over:
                try:
                    said, descriptors, _, _ = socket.recv_fds(
                        self._status, server.MAX_ORDER_BYTES, 1
                    )
                except BlockingIOError:
                    return
                except OSError:
                    said, descriptors = b"", []
                if descriptors:
                    (self._pidfd,) = descriptors
                word, _, number = said.decode().partition(" ")
                if word == server.STARTED:
                    self.pid = int(number)
                    continue
                self._is_over = True
                self._status.close()
                if word == server.ENDED:
                    self._code = int(number)
                elif word == server.FAILED:
                    self._failure = OSError(int(number), os.strerror(int(number)))

    def __del__(self) -> None:
        """Let go of its descriptors."""
        self._status.close()
        if self._pidfd is not None:
            os.close(self._pidfd)


class _OurFork:
    """A fork of this process: as much of `subprocess.Popen` as is needed for a fork server."""

    def __init__(self, pid: int) -> None:
        self._pid = pid

    def kill(self) -> None:
        if sys.platform != "win32":
            os.kill(self._pid, signal.SIGKILL)

    def wait(self) -> None:
        os.waitpid(self._pid, 0)


class _ForkServer:
    """The fork server, seen from here.

    :ivar word: its first word, once it is there; empty if it can't fork.
    """

    def __init__(self, process: subprocess.Popen[bytes] | _OurFork, sock: socket.socket) -> None:
        self.word: bytes | None = None
        self._process = process
        self._sock = sock

    async def is_ready(self) -> bool:
        if self.word is None:
            await trio.lowlevel.wait_readable(self._sock)
            with suppress(OSError):
                self.word = self._sock.recv(server.MAX_ORDER_BYTES)
        return self.word == server.READY

    def order(self, title: str, descriptors: Sequence[int]) -> Forked:
        """Ask for a process.

        :raises OSError: if the fork server is gone.
        """
        ours, theirs = socket.socketpair(type=socket.SOCK_SEQPACKET)
        process = Forked(ours)
        with theirs:
            if sys.platform != "win32":
                socket.send_fds(self._sock, [title.encode()], [theirs.fileno(), *descriptors])
        return process

    def end(self) -> None:
        """End it, in whatever state it is; its children go on."""
        self._sock.close()
        self._process.kill()
        self._process.wait()


class Starter:
    """A starter of processes that run a module's `main`; a context manager, in which they may run.

    :param module: its `main` takes descriptors and returns the exit code; run as a program, the
        module calls it with the numbers in argv.
    """

    def __init__(self, module: str) -> None:
        self._module = module
        self._server: _ForkServer | None = None
        self._forks: bool = server.CAN_FORK
        self._lock = trio.Lock()

    def __enter__(self) -> Self:
        """Fork this process, if it is as good as new: one thread, and no event loop yet.

        Otherwise the fork server is a new program, started when it is needed.
        """
        if sys.platform != "win32" and self._forks and server.count_threads() == 1:
            ours, theirs = _control_pair()
            with _signals_blocked(), suppress(OSError):
                pid = os.fork()
                if not pid:
                    server.become(theirs, self._module)
                self._server = _ForkServer(_OurFork(pid), ours)
            theirs.close()
        return self

    def __exit__(self, *_: object) -> None:
        """End the fork server."""
        self.end()

    def end(self) -> None:
        """End the fork server, if there is one; the processes go on. Idempotent."""
        if self._server is not None:
            self._server.end()
            self._server = None

    async def start(self, title: str, descriptors: Sequence[int]) -> Process:
        """Start a process.

        Cancelled: it has not started, or is killed.

        :param title: the text that `ps` shows for it.
        :param descriptors: what it inherits; they stay ours, too.
        :raises OSError: if this machine can't.
        """
        async with self._lock:
            # The second is a new one, if the first was killed or stopped meanwhile.
            for _ in range(2):
                if not self._forks:
                    break
                if (process := await self._order(title, descriptors)) is not None:
                    return process
        return Spawned(self._module, descriptors)

    async def _order(self, title: str, descriptors: Sequence[int]) -> Forked | None:
        """Have the fork server start a process; ``None`` if there is none that does."""
        if self._server is None:
            self._server = self._spawn_server()
        process = None
        try:
            with trio.move_on_after(PATIENCE_S):
                if not await self._server.is_ready():
                    self._forks = False  # Something in this installation starts threads.
                else:
                    process = self._server.order(title, descriptors)
                    if await process.started():
                        return process
        except ConnectionError:
            pass  # It was killed.
        except BaseException:
            if process is not None:
                process.kill()
            raise
        if process is not None:
            process.kill()
        self.end()
        return None

    def _spawn_server(self) -> _ForkServer:
        ours, theirs = _control_pair()
        with theirs, _signals_blocked():
            process = subprocess.Popen(  # noqa: S603 - ourselves
                [sys.executable, "-m", server.TITLE, self._module, str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
            )
        return _ForkServer(process, ours)


def _control_pair() -> tuple[socket.socket, socket.socket]:
    return socket.socketpair(type=socket.SOCK_SEQPACKET)


@contextmanager
def _signals_blocked() -> Iterator[None]:
    """Block what a terminal sends to all, for processes that are started here."""
    if sys.platform != "win32" and hasattr(signal, "pthread_sigmask"):
        before = signal.pthread_sigmask(signal.SIG_BLOCK, server.FOR_THE_PARENT)
        try:
            yield
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
    else:
        yield
