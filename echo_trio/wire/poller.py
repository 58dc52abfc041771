"""Wait for all connections of a process with one epoll, so that a message costs no task switch.

`trio.lowlevel.wait_readable` arms the kernel anew for each wait and wakes a task for each message:
on ten thousand sockets that is half of what an echo costs (figures in
docs/decisions/0001-one-poller-per-process.md). Here each socket is registered once, level
triggered; one task waits for them all – on the epoll's own descriptor, through Trio – and calls the
ready ones back in turn. What a callback cannot finish at once (a send that would block, a closing
handshake) it hands to its connection's task, which is parked until then.

A callback does no more than one turn's work. If its connection has bytes left, which the kernel
knows nothing about, it asks with `postpone` to be called again. Connections that wait for that form
a line: in each round every other ready connection is served first, then the line for a short while,
then Trio's other tasks run. So a peer that sends much waits for itself and for others like it, and
the others hardly notice.
"""

from __future__ import annotations

import select
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, NoReturn

import trio

if TYPE_CHECKING:
    import socket

#: Sockets asked for at once. With plain messages they are about 3 ms of work.
BATCH: Final = 256
#: Sockets served between two looks at the clock.
UNTIMED: Final = 16
#: The time for which sockets are served before Trio's other tasks run, where nobody says otherwise.
SLICE_S: Final = 0.004
#: The time for which connections in line for another turn are served in each round.
LINE_SLICE_S: Final = 0.001

#: Every 32nd batch is timed, and any that `time_next` asks for. Timing adds some 0.2 µs to each of
#: the batch's sockets, where an echo takes 14 µs or more: less than a thousandth in all.
TIMED_EVERY: Final = 32

AVAILABLE: Final = hasattr(select, "epoll")
# Linux's <sys/epoll.h>.
_READABLE: Final = 0x001
_PEER_ENDED: Final = 0x2000


def _not_yet() -> None:
    """Do nothing: the socket's owner was woken, and has yet to say what it wants to do."""


class Poller:
    """One epoll that calls back when sockets become readable, while `run` runs.

    It needs epoll (see `AVAILABLE`); connections without a poller wait through Trio instead, which
    is slower and otherwise the same.

    :param observe: is given samples, in seconds, of the time from the poller's waking up to the end
        of a socket's callback; this includes the callbacks before it in the batch.
    :param slice_s: the time for which sockets are served before Trio's other tasks run.
    """

    def __init__(
        self, observe: Callable[[float], None] | None = None, *, slice_s: float = SLICE_S
    ) -> None:
        if not hasattr(select, "epoll"):
            raise NotImplementedError("this system has no epoll")
        self._epoll = select.epoll()
        self._observe = observe
        self._slice_s = slice_s
        self._until_timed = 0
        # By descriptor. A list, because a table of ten thousand keys is cold at each look.
        self._callbacks: list[Callable[[], None] | None] = []
        # By descriptor: whom to call for another turn, and whom from then on.
        self._line: OrderedDict[int, tuple[Callable[[], None], Callable[[], None]]] = OrderedDict()

    def register(
        self, sock: socket.socket, on_readable: Callable[[], None], *, reading: bool = True
    ) -> None:
        """Call `on_readable` whenever there is something to read, until `unregister`.

        It is called in the poller's task, so it must not block, and it must not raise: an exception
        of one connection must not end the others.

        :param reading: if false, call back only when the peer resets the connection or ends its
            half, even if there are unread bytes before that end.
        """
        if self._epoll.closed:
            return  # `run` was cancelled just now, and the caller is about to be.
        fd = sock.fileno()
        if fd >= len(self._callbacks):
            self._callbacks += [None] * (fd + 1 - len(self._callbacks))
        if self._callbacks[fd] is not _not_yet:
            self._epoll.register(fd, _READABLE if reading else _PEER_ENDED)
        elif not reading:
            self._epoll.modify(fd, _PEER_ENDED)
        self._callbacks[fd] = on_readable

    async def wait_readable(self, sock: socket.socket) -> None:
        """Wait until there is something to read.

        The socket then stays registered, so that `register` has less to do for it: until that is
        called, or this again, or `unregister`, what arrives is called back to nobody. Cancelled: it
        is not registered any more.
        """
        task = trio.lowlevel.current_task()

        def wake() -> None:
            self._callbacks[sock.fileno()] = _not_yet
            trio.lowlevel.reschedule(task)

        def stop_waiting(_: object) -> trio.lowlevel.Abort:
            self.unregister(sock)
            return trio.lowlevel.Abort.SUCCEEDED

        self.register(sock, wake)
        await trio.lowlevel.wait_task_rescheduled(stop_waiting)

    def unregister(self, sock: socket.socket) -> None:
        """Stop calling back. Call it before the socket is closed; idempotent."""
        fd = sock.fileno()
        if 0 <= fd < len(self._callbacks) and (
            self._callbacks[fd] is not None or self._line.pop(fd, None) is not None
        ):
            self._callbacks[fd] = None
            self._epoll.unregister(fd)

    def postpone(self, sock: socket.socket, on_turn: Callable[[], None]) -> None:
        """Call `on_turn` once, after the others had their turn, instead of `on_readable`.

        This is for a registered socket whose callback has more to do than one turn's work. Until
        then it is not called back for new data. Idempotent: a socket that stands in line keeps
        its place.
        """
        fd = sock.fileno()
        on_readable = self._callbacks[fd]
        if (
            on_readable is None
        ):  # It was served out of turn meanwhile: `answer_what_arrived` does so.
            assert fd in self._line
            return
        self._callbacks[fd] = None
        self._line[fd] = on_turn, on_readable

    async def run(self) -> NoReturn:
        """Serve the registered sockets until cancelled; then the poller is used up."""
        poll, callbacks, line = self._epoll.poll, self._callbacks, self._line
        try:
            while True:
                if line:
                    await trio.lowlevel.checkpoint()
                else:
                    await trio.lowlevel.wait_readable(self._epoll.fileno())
                ready: list[tuple[int, int]] = poll(0, BATCH)
                if self._until_timed <= 0 and self._observe is not None:
                    self._until_timed = TIMED_EVERY - 1
                    await self._serve_timed(ready, self._observe)
                else:
                    self._until_timed -= 1
                    if len(ready) > UNTIMED:
                        await self._serve_many(ready)
                    else:
                        for fd, _ in ready:
                            # An earlier callback of this batch may have unregistered this one. No
                            # name for it here: it would keep the last connection alive.
                            if callbacks[fd] is not None:
                                callbacks[fd]()  # type: ignore[misc]
                if line:
                    self._serve_line()
        finally:
            callbacks.clear()  # so that unregister finds nothing to do
            line.clear()
            self._epoll.close()

    def time_next(self) -> None:
        """Time the next batch, whichever it is."""
        self._until_timed = 0

    async def _serve_many(self, ready: list[tuple[int, int]]) -> None:
        """Serve a batch; when it takes long, let Trio's other tasks run in between.

        The rest of the batch is served afterwards. Asking the kernel again would start at the same
        sockets.
        """
        callbacks, slice_s = self._callbacks, self._slice_s
        until_s = time.perf_counter() + slice_s
        for first in range(0, len(ready), UNTIMED):
            for fd, _ in ready[first : first + UNTIMED]:
                # As above. After a checkpoint the descriptor may even be another connection's,
                # which has nothing to read: its callback then finds that out (BlockingIOError).
                if callbacks[fd] is not None:
                    callbacks[fd]()  # type: ignore[misc]
            if time.perf_counter() >= until_s:
                await trio.lowlevel.checkpoint()
                until_s = time.perf_counter() + slice_s

    async def _serve_timed(
        self, ready: list[tuple[int, int]], observe: Callable[[float], None]
    ) -> None:
        woken_s = time.perf_counter()
        until_s = woken_s + self._slice_s
        callbacks = self._callbacks
        for fd, _ in ready:
            if callbacks[fd] is not None:
                callbacks[fd]()  # type: ignore[misc]
                now_s = time.perf_counter()
                observe(now_s - woken_s)
                if now_s >= until_s:
                    await trio.lowlevel.checkpoint()
                    until_s = time.perf_counter() + self._slice_s

    def _serve_line(self) -> None:
        """Give connections in line another turn, each at most one, for `LINE_SLICE_S`."""
        until_s = time.perf_counter() + LINE_SLICE_S
        for _ in range(len(self._line)):
            if not self._line:  # Callbacks may have unregistered others.
                break
            fd, (on_turn, on_readable) = self._line.popitem(last=False)
            self._callbacks[fd] = on_readable
            on_turn()
            if time.perf_counter() >= until_s:
                break
