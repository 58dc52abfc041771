"""One epoll for all connections of a process, so that a message costs no task switch.

`trio.lowlevel.wait_readable` arms the kernel anew for each wait and wakes a task for each
message: on ten thousand sockets that is half of what an echo costs (figures in
docs/decisions/0001-one-poller-per-process.md). Here each socket is registered once, level
triggered; one task waits for them all – on the epoll's own descriptor, through Trio – and calls
the ready ones back in turn. What a callback cannot finish at once (a send that would block, a
closing handshake) it hands to its connection's task, which is parked until then.
"""

from __future__ import annotations

import select
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, NoReturn

import trio

if TYPE_CHECKING:
    import socket

#: Sockets served between two looks at Trio's other tasks: about 3 ms of work.
BATCH: Final = 256

#: One batch in so many is timed, and any that `time_next` asks for. It adds some 0.2 µs to each of
#: the batch's sockets, where an echo takes 14 µs or more: less than a thousandth in all.
TIMED_EVERY: Final = 32

AVAILABLE: Final = hasattr(select, "epoll")


class Poller:
    """Calls back when sockets become readable, while `run` runs.

    Needs epoll (see `AVAILABLE`); connections without a poller wait through Trio instead, which
    is slower and no different otherwise.

    :param observe: is given samples of how long a socket took, in seconds: from waking up to the
        end of its callback, those before it in the batch included.
    """

    def __init__(self, observe: Callable[[float], None] | None = None) -> None:
        self._epoll = select.epoll()
        self._observe = observe
        self._until_timed = 0
        # By descriptor. A list, because a table of ten thousand keys is cold at each look.
        self._callbacks: list[Callable[[], None] | None] = []

    def register(
        self, sock: socket.socket, on_readable: Callable[[], None], *, reading: bool = True
    ) -> None:
        """Call `on_readable` whenever there is something to read, until `unregister`.

        :param reading: false: only if the peer has reset the connection, which reading then tells.

        It is called in the poller's task, so it must not block, and it must not raise: an
        exception of one connection has no business with the others.
        """
        if self._epoll.closed:
            return  # `run` was cancelled just now, and whoever asks is about to be.
        fd = sock.fileno()
        self._epoll.register(fd, select.EPOLLIN if reading else 0)
        if fd >= len(self._callbacks):
            self._callbacks += [None] * (fd + 1 - len(self._callbacks))
        self._callbacks[fd] = on_readable

    def unregister(self, sock: socket.socket) -> None:
        """Stop calling back. To be done before the socket is closed; idempotent."""
        fd = sock.fileno()
        if 0 <= fd < len(self._callbacks) and self._callbacks[fd] is not None:
            self._callbacks[fd] = None
            self._epoll.unregister(fd)

    async def run(self) -> NoReturn:
        """Serve the registered sockets until cancelled; then the poller is used up."""
        poll, callbacks = self._epoll.poll, self._callbacks
        try:
            while True:
                await trio.lowlevel.wait_readable(self._epoll.fileno())
                if self._until_timed <= 0 and self._observe is not None:
                    self._until_timed = TIMED_EVERY - 1
                    self._serve_timed(self._observe)
                    continue
                self._until_timed -= 1
                for fd, _ in poll(0, BATCH):
                    # An earlier callback of this batch may have unregistered this one. No name
                    # for it here: it would keep the last connection alive.
                    if callbacks[fd] is not None:
                        callbacks[fd]()  # type: ignore[misc]
        finally:
            callbacks.clear()  # so that unregister finds nothing to do
            self._epoll.close()

    def time_next(self) -> None:
        """Time the next batch, whatever its turn."""
        self._until_timed = 0

    def _serve_timed(self, observe: Callable[[float], None]) -> None:
        woken_s = time.perf_counter()
        callbacks = self._callbacks
        for fd, _ in self._epoll.poll(0, BATCH):
            if callbacks[fd] is not None:
                callbacks[fd]()  # type: ignore[misc]
                observe(time.perf_counter() - woken_s)
