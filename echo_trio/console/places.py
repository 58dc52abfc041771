"""Places for connections: how many there may be, and who has to leave when one more comes."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum

import trio


class Waiting(IntEnum):
    """What a connection waits for; in this order they make room for others."""

    PEER = 0
    """For what its client has to send, or to take. The one that has waited longest goes first."""
    TURN = 1
    """For the turn of a request that has arrived. Any of them: if it were the newest, others that
    come all the time would keep everybody out; if the oldest, nobody would get to the front."""
    HEALTH = 2
    """The same, of a request for health. Never without the others gone first."""


class Place:
    """The place of one connection.

    :ivar scope: cancelled when the place is given to another; to be entered by the connection.
    :ivar lost_while: what it was waiting for when that happened; None if it has not.
    """

    def __init__(self, places: Places) -> None:
        self.scope = trio.CancelScope()
        self.lost_while: Waiting | None = None
        self._places = places

    @contextmanager
    def waiting(self, what: Waiting) -> Iterator[None]:
        """While this goes on, the place may be given to another connection."""
        line = self._places.waiting[what]
        line[self] = None
        try:
            yield
        finally:
            line.pop(self, None)

    def give_up(self) -> None:
        """Leave it to others. Idempotent."""
        self._places.held.discard(self)


class Places:
    """As many places as there may be connections.

    :ivar held: those that are taken.
    :ivar waiting: of them, those that are waiting, in the order in which they began.
    :ivar evicted: how many had to make room.
    """

    def __init__(self, limit: int) -> None:
        self.held: set[Place] = set()
        self.waiting: dict[Waiting, dict[Place, None]] = {what: {} for what in Waiting}
        self.evicted = 0
        self._limit = limit

    @property
    def full(self) -> bool:
        """Is every place taken?"""
        return len(self.held) >= self._limit

    def take(self) -> Place | None:
        """A place; if all are taken, that of a connection that waits. None if none of them does."""
        if self.full and not self._make_room():
            return None
        place = Place(self)
        self.held.add(place)
        return place

    def _make_room(self) -> bool:
        for what, line in self.waiting.items():
            if line:
                leaver = next(iter(line)) if what is Waiting.PEER else random.choice(list(line))
                del line[leaver]
                leaver.lost_while = what
                leaver.scope.cancel()
                leaver.give_up()
                self.evicted += 1
                return True
        return False
