"""The watch over the connections of a process: pings, and the end of those that are silent.

A timer for each connection would cost ten thousand of them a task or a deadline each, moved with
each message. Here one task looks at each connection when it may have something to do – about once
in a ping interval – and only at what it counts anyway: a message costs nothing. They stand on a
wheel, in the slot of the moment at which each is to be looked at; and as each begins at a moment
of its own, the pings of a crowd are spread.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from itertools import chain
from math import ceil
from typing import TYPE_CHECKING, Final

import trio

if TYPE_CHECKING:
    from echo_trio.wire.connection import Connection, Limits

#: Ticks in the shortest of the intervals and timeouts: by a tick at most is what is due late.
#: With 10,000 connections and the default of 20 s, some 160 are pinged in one: 2 ms of work.
TICKS: Final = 64
#: No timer is finer than this.
MIN_TICK_S: Final = 0.01
#: Ticks in a turn of the wheel. What is due later is looked at in vain once a turn.
SLOTS: Final = 256


class Watch(Collection["Connection"]):
    """The connections of a process. `run` looks after them; without it this is just a set."""

    def __init__(self, limits: Limits) -> None:
        self._slots: list[set[Connection]] = [set() for _ in range(SLOTS)]
        self._at = 0
        self._now_s = 0.0
        intervals = (limits.ping_interval_s, limits.ping_timeout_s, limits.idle_timeout_s)
        self._on = bool(limits.ping_interval_s or limits.idle_timeout_s)
        self._tick_s = max(min(filter(None, intervals)) / TICKS, MIN_TICK_S) if self._on else 1.0

    def add(self, connection: Connection) -> None:
        """Watch this one."""
        delay_s = connection.look(self._now_s) if self._on else 0.0
        ticks = max(ceil(min(delay_s / self._tick_s, SLOTS - 1)), 1)
        connection.slot = (self._at + ticks) % SLOTS
        self._slots[connection.slot].add(connection)

    def discard(self, connection: Connection) -> None:
        """Watch this one no longer. Idempotent."""
        self._slots[connection.slot].discard(connection)

    def __iter__(self) -> Iterator[Connection]:
        return chain.from_iterable(self._slots)

    def __len__(self) -> int:
        return sum(map(len, self._slots))

    def __contains__(self, connection: object) -> bool:
        return any(connection in slot for slot in self._slots)

    async def run(self) -> None:
        """Look after the connections until cancelled; returns at once if no limit asks for it.

        Time that this process was held up for does not count against the peers: what they sent
        meanwhile has yet to be read.
        """
        if not self._on:
            return
        tick_s = self._tick_s
        passed_s = 0.0
        while True:
            slept_at_s = trio.current_time()
            await trio.sleep(tick_s)
            passed_s += min(trio.current_time() - slept_at_s, 2 * tick_s)
            while passed_s >= tick_s:
                passed_s -= tick_s
                self._turn()

    def _turn(self) -> None:
        self._now_s += self._tick_s
        self._at = (self._at + 1) % SLOTS
        due, self._slots[self._at] = self._slots[self._at], set()
        for connection in due:
            self.add(connection)
