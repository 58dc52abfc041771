"""The watch over the connections of a process: pings, and the end of those that are silent.

A timer for each connection would cost ten thousand of them a task or a deadline each, moved with
each message. Here one task looks at each connection a few times an interval, at what it counts
anyway; a message costs nothing. The connections are in groups, which are looked at in turn, and
each has its own phase in the interval: so the pings of a crowd are spread over all of it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from itertools import chain
from typing import TYPE_CHECKING, Final

import trio

if TYPE_CHECKING:
    from echo_trio.wire.connection import Connection, Limits

#: Connections of a group are looked at together, without a checkpoint: 10,000 make 625 of each.
GROUPS: Final = 16
#: Looks at each connection in the shortest of its intervals and timeouts. By a look at most is what
#: is due late; it is never early.
LOOKS: Final = 8
#: No timer is finer than this.
MIN_TICK_S: Final = 0.01


class Watch(Collection["Connection"]):
    """The connections of a process. `run` looks after them; without it this is just a set."""

    def __init__(self, limits: Limits) -> None:
        self._groups: list[set[Connection]] = [set() for _ in range(GROUPS)]
        intervals = (limits.ping_interval_s, limits.ping_timeout_s, limits.idle_timeout_s)
        on = bool(limits.ping_interval_s or limits.idle_timeout_s)
        self._turn_s = min(filter(None, intervals)) / LOOKS if on else None

    def add(self, connection: Connection) -> None:
        """Watch this one."""
        self._groups[hash(connection) % GROUPS].add(connection)

    def discard(self, connection: Connection) -> None:
        """Watch this one no longer."""
        self._groups[hash(connection) % GROUPS].discard(connection)

    def __iter__(self) -> Iterator[Connection]:
        return chain.from_iterable(self._groups)

    def __len__(self) -> int:
        return sum(map(len, self._groups))

    def __contains__(self, connection: object) -> bool:
        return connection in self._groups[hash(connection) % GROUPS]

    async def run(self) -> None:
        """Look after the connections until cancelled; returns at once if no limit asks for it.

        Time that this process was held up for does not count against the peers: what they sent
        meanwhile has yet to be read.
        """
        if self._turn_s is None:
            return
        tick_s = max(self._turn_s / GROUPS, MIN_TICK_S)
        now_s = due = 0.0
        at = 0
        while True:
            slept_at_s = trio.current_time()
            await trio.sleep(tick_s)
            slept_s = min(trio.current_time() - slept_at_s, 2 * tick_s)
            now_s += slept_s
            due = min(due + GROUPS * slept_s / self._turn_s, GROUPS)
            while due >= 1:
                due -= 1
                at = (at + 1) % GROUPS
                for connection in list(self._groups[at]):
                    connection.look(now_s)
