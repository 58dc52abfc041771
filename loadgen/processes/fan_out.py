"""Match copies over several processes: take the events of rooms in the order of time."""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Iterable
from typing import Final

import msgspec

from loadgen.results.fan_out import Event, Matcher
from loadgen.results.ledger import Ledger
from loadgen.results.result import FanOut

#: The share of the stop timeout for which copies are awaited at most, before the sockets close.
AWAIT_SHARE: Final = 0.5


class SharedRooms:
    """The rooms of a run whose sockets are in several processes.

    The events of one process come in the order of time, but late; those of all are matched up to
    the moment up to which every process has reported.

    :ivar ledger: the counts of copies, beside the ledgers of the processes.
    """

    def __init__(self, shards: int) -> None:
        self.ledger: Ledger = Ledger(0)
        self._matcher = Matcher(self.ledger)
        #: The moment up to which each process has reported, in microseconds of our clock.
        self._told_us = [-math.inf] * shards
        self._waiting: list[tuple[int, int, Event]] = []
        self._number = 0

    @property
    def awaited(self) -> int:
        """The number of copies that may still come, as far as all processes have reported."""
        return self._matcher.awaited + len(self._waiting)

    def note(
        self, shard: int, until_us: int, events: Iterable[Event], ahead_s: float = 0.0
    ) -> None:
        """Take in the events that a process has reported.

        :param until_us: the moment up to which these are all, by its clock.
        :param ahead_s: its clock minus ours.
        """
        ahead_us = round(ahead_s * 1_000_000)
        for event in events:
            here = (
                msgspec.structs.replace(event, at_us=event.at_us - ahead_us) if ahead_us else event
            )
            heapq.heappush(self._waiting, (here.at_us, self._number, here))
            self._number += 1
        self._told_us[shard] = until_us - ahead_us
        self._match()

    def end(self, shard: int) -> None:
        """Note that a process reports nothing more."""
        self._told_us[shard] = math.inf
        self._match()

    def lose(self, shard: int, sockets: Iterable[tuple[int, int]]) -> None:
        """Note that a process has died: its sockets, each a room and a number, have left."""
        self.end(shard)
        for room, conn in sockets:
            self._matcher.lose(room, conn)

    def lose_messages(self) -> None:
        """Note that what a process has published last is not known, nor by whom."""
        self._matcher.has_losses = True

    def find_sockets(self, is_meant: Callable[[int], bool]) -> list[tuple[int, int]]:
        """Return the sockets that are in a room and meant, each with its room."""
        return [(room, conn) for room, conn in self._matcher.members() if is_meant(conn)]

    def _match(self) -> None:
        told_us = min(self._told_us)
        while self._waiting and self._waiting[0][0] <= told_us:
            self._matcher.take(heapq.heappop(self._waiting)[2])

    def finish(self, *, interrupted: bool) -> None:
        """Count everything that will not come any more."""
        self._told_us = [math.inf]
        self._match()
        self._matcher.finish(interrupted=interrupted)

    def result(self, clock_error_s: float | None) -> FanOut:
        """Return the times of copies known now.

        :param clock_error_s: by how much the processes' clocks may disagree.
        """
        self._matcher.end_second()
        return self._matcher.result(clock_error_s)
