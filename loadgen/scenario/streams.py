"""Hand a script the frames that a server pushes, and count those that are missing."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Any, Final

import outcome
import trio

from loadgen.engine.context import now_us
from loadgen.scenario.content import Find, Fits, find_value
from loadgen.scenario.errors import SocketClosed

if TYPE_CHECKING:
    from loadgen.results.scenario import StreamBooks
    from loadgen.scenario.socket import Socket

#: A script that is this many frames behind will not catch up. Further ones are counted, not kept.
MAX_BEHIND: Final = 10_000
#: Missing numbers that are remembered, to tell a late frame from a duplicate.
MAX_MISSING: Final = 10_000


class Order:
    """The order of numbers in a stream, each of which is one more than the last."""

    __slots__ = ("_books", "_missing", "_next")

    def __init__(self, books: StreamBooks) -> None:
        self._books = books
        self._next: int | None = None
        self._missing = set[int]()

    def take(self, number: int) -> None:
        """Take the number of a frame that has come."""
        expected = number if self._next is None else self._next
        if number >= expected:
            if gap := number - expected:
                self._books.gaps += gap
                room = MAX_MISSING - len(self._missing)
                self._missing.update(range(max(expected, number - room), number))
            self._next = number + 1
        elif number in self._missing:
            self._missing.remove(number)
            self._books.gaps -= 1
            self._books.reordered += 1
        else:
            self._books.duplicate += 1


class Stream(AsyncIterator[Any]):
    """The frames of a stream, decoded, as they come; made by `Socket.stream`.

    It ends with the load. Frames that come later are counted for the stream all the same, until the
    socket closes.
    """

    __slots__ = (
        "_behind", "_books", "_dropped", "_find_number", "_find_sent", "_order", "_socket", "_task",
        "fits",
    )  # fmt: skip

    def __init__(
        self,
        socket: Socket,
        fits: Fits,
        books: StreamBooks,
        order: Find | None,
        sent_at: Find | None,
    ) -> None:
        self.fits: Callable[[Any], bool] = fits
        self._socket = socket
        self._books = books
        self._behind: deque[Any] = deque()
        self._dropped = False
        self._task: trio.lowlevel.Task | None = None
        self._find_number = find_value(order) if isinstance(order, str) else order
        self._find_sent = find_value(sent_at) if isinstance(sent_at, str) else sent_at
        self._order = Order(books)

    def take(self, value: Any, received_us: int) -> None:
        """Take a frame. Called in the poller's task."""
        books = self._books
        books.received += 1
        if self._find_number is not None:
            number = self._find_number(value)
            if number.__class__ is int:
                self._order.take(number)
        if self._find_sent is not None:
            sent_ms = self._find_sent(value)
            if isinstance(sent_ms, int | float) and math.isfinite(sent_ms):
                wall_us = received_us + self._socket.context.wall_offset_us
                books.age.record(int(wall_us - sent_ms * 1000))
        if (task := self._task) is not None:
            self._task = None
            trio.lowlevel.reschedule(task, outcome.Value((value, received_us)))
        elif len(self._behind) < MAX_BEHIND:
            self._behind.append(value)
        else:
            self._dropped = True

    def end(self) -> None:
        """Wake whoever waits for a frame. Called when the load ends or the socket does."""
        if (task := self._task) is not None:
            self._task = None
            trio.lowlevel.reschedule(task, outcome.Value(None))

    def __aiter__(self) -> Stream:
        return self

    async def __anext__(self) -> Any:
        """Wait for the next frame.

        :raises StopAsyncIteration: when the load has ended.
        :raises SocketClosed: when the socket is closed, and every frame was handed out.
        :raises RuntimeError: if the script is too far behind to be shown every frame.
        """
        socket = self._socket
        phases = socket.context.phases
        socket.look_at_kept()
        if self._dropped:
            raise RuntimeError(
                "the script takes the frames of a stream more slowly than they come: "
                f"{MAX_BEHIND:,} were waiting"
            )
        if phases.is_load_over:
            await trio.lowlevel.checkpoint()
            raise StopAsyncIteration
        if self._behind:
            await trio.lowlevel.checkpoint()
            value = self._behind.popleft()
        else:
            socket.check_open()
            self._task = trio.lowlevel.current_task()
            phases.end_with_load(self, self.end)
            try:
                came = await trio.lowlevel.wait_task_rescheduled(self._forget)
            finally:
                phases.forget(self)
            if came is None:
                if socket.closed is not None and not phases.is_load_over:
                    raise SocketClosed(*socket.closed)
                raise StopAsyncIteration
            value, received_us = came
            # Of a frame that had to wait, nobody knows what the script was busy with.
            socket.context.books.script_lag.record(now_us() - received_us)
        return value

    def _forget(self, _: object) -> trio.lowlevel.Abort:
        self._task = None
        return trio.lowlevel.Abort.SUCCEEDED
