"""Wake users at times, all with one task: paces, and timeouts of calls.

A cancel scope with a deadline around each request would cost as much as the request does.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable
from typing import Final, NoReturn

import trio

#: Called-off entries are removed when there are more than this, and more than half of all.
MAX_DEAD: Final = 1024
#: What falls due within this time is done together. Trio's clock ticks in milliseconds.
TICK_S: Final = 0.001
_NEVER: Final = float("inf")


class Entry:
    """A time and the function that is called then; none, once it is called off.

    :ivar find_time: computes the time anew, where it depends on the speed of the load.
    """

    __slots__ = ("find_time", "on_time")

    def __init__(
        self, on_time: Callable[[], None], find_time: Callable[[], float] | None = None
    ) -> None:
        self.on_time: Callable[[], None] | None = on_time
        self.find_time: Callable[[], float] | None = find_time


class Timetable:
    """A timetable that calls back at times, in their order, while `run` runs."""

    def __init__(self) -> None:
        self._entries: list[tuple[float, int, Entry]] = []
        self._numbers = itertools.count()
        self._dead = 0
        self._sleep: trio.CancelScope | None = None

    def add(
        self,
        at_s: float,
        on_time: Callable[[], None],
        find_time: Callable[[], float] | None = None,
    ) -> Entry:
        """Call a function at a time of Trio's clock; it must not block or raise.

        :param find_time: computes the time anew for `retime`; by default it stays as it is.
        """
        entry = Entry(on_time, find_time)
        heapq.heappush(self._entries, (at_s, next(self._numbers), entry))
        if self._sleep is not None and at_s < self._sleep.deadline:
            self._sleep.deadline = at_s
        return entry

    def call_off(self, entry: Entry) -> None:
        """Call off an entry. Idempotent, also when it was called."""
        if entry.on_time is None:
            return
        entry.on_time = None
        self._dead += 1
        if self._dead > MAX_DEAD and self._dead * 2 > len(self._entries):
            self._entries = [each for each in self._entries if each[2].on_time is not None]
            heapq.heapify(self._entries)
            self._dead = 0

    def retime(self) -> None:
        """Compute each time anew that depends on the speed of the load: it has changed."""
        self._entries = [
            (at_s if entry.find_time is None else entry.find_time(), number, entry)
            for at_s, number, entry in self._entries
        ]
        heapq.heapify(self._entries)
        if self._sleep is not None and self._entries:
            self._sleep.deadline = min(self._sleep.deadline, self._entries[0][0])

    async def wait_until(self, at_s: float, find_time: Callable[[], float] | None = None) -> None:
        """Sleep until a time of Trio's clock.

        :param find_time: as of `add`.
        """
        task = trio.lowlevel.current_task()
        entry = self.add(at_s, lambda: trio.lowlevel.reschedule(task), find_time)

        def abort(_: object) -> trio.lowlevel.Abort:
            self.call_off(entry)
            return trio.lowlevel.Abort.SUCCEEDED

        await trio.lowlevel.wait_task_rescheduled(abort)

    async def run(self) -> NoReturn:
        """Call back at each time until cancelled."""
        while True:
            now = trio.current_time()
            while self._entries and self._entries[0][0] <= now:
                _, _, entry = heapq.heappop(self._entries)
                if entry.on_time is None:
                    self._dead -= 1
                else:
                    on_time, entry.on_time = entry.on_time, None
                    on_time()
            with trio.CancelScope() as self._sleep:
                following = self._entries[0][0] if self._entries else _NEVER
                self._sleep.deadline = max(following, now + TICK_S)
                await trio.sleep_forever()
            self._sleep = None
