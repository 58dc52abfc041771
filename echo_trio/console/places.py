"""Give the console's connections places, and choose which has to leave when one more comes."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum, auto
from typing import Final

import trio

#: A connection that has just been accepted may look idle while its request is on the way. On a busy
#: machine the loop needs a tenth of a second to go round, and a client as much to send.
GRACE_S: Final = 0.5
#: Places beyond the others, for requests for health that would have to make room, or find none.
HEALTH_PLACES: Final = 32


class Waiting(Enum):
    """The event that a connection waits for."""

    PEER = auto()
    """Its client, which has to send or to take something."""
    TURN = auto()
    """The turn of a request that has arrived."""
    HEALTH = auto()
    """The turn of a request for health."""


class Place:
    """The place of one connection.

    :ivar scope: cancelled when the place is given to another; the connection runs in it.
    :ivar lost_while: the event it was waiting for when that happened; None if it has not.
    """

    def __init__(self, places: ConsolePlaces, *, of_health: bool = False) -> None:
        self.scope = trio.CancelScope()
        self.lost_while: Waiting | None = None
        self._places = places
        self._of_health = of_health

    @contextmanager
    def waiting(self, what: Waiting) -> Iterator[None]:
        """Allow the place to be given to another while this lasts, unless it is one for health."""
        if self._of_health:
            yield
            return
        line = self._places.waiting[what]
        line[self] = trio.current_time()
        try:
            yield
        finally:
            line.pop(self, None)

    def lose(self) -> None:
        """Make room for another connection. Only while it waits."""
        lines = self._places.waiting.items()
        self.lost_while = next(what for what, line in lines if line.pop(self, None) is not None)
        self.scope.cancel()
        self.give_up()

    def give_up(self) -> None:
        """Leave the place to others. Idempotent."""
        self._places.held.discard(self)
        self._places.held_for_health.discard(self)


class ConsolePlaces:
    """The places of all connections, as many as may be open.

    :ivar held: the places that are taken.
    :ivar held_for_health: the taken places beyond the limit, for requests for health alone.
    :ivar waiting: for each event, the places whose connections wait for it, and since when, in that
        order.
    :ivar evicted: the number of connections that had to make room.
    """

    def __init__(self, limit: int) -> None:
        self.held: set[Place] = set()
        self.held_for_health: set[Place] = set()
        self.waiting: dict[Waiting, dict[Place, float]] = {what: {} for what in Waiting}
        self.evicted = 0
        self._limit = limit

    @property
    def full(self) -> bool:
        """True if every place is taken."""
        return len(self.held) >= self._limit

    def take(self) -> Place | None:
        """Take a place; if there is none, that of a connection that waits; else return None."""
        if self.full and not self._make_room():
            return None
        place = Place(self)
        self.held.add(place)
        return place

    def take_for_health(self) -> Place | None:
        """Take a place beyond the limit, for a request for health; None if all are taken."""
        if len(self.held_for_health) >= HEALTH_PLACES:
            return None
        place = Place(self, of_health=True)
        self.held_for_health.add(place)
        return place

    def _make_room(self) -> bool:
        """Take a place away: from an idle connection, or else from a request, health last.

        Of connections that wait for their client the one that has waited longest goes first. Of
        requests any one: if it were the newest, others that come all the time would keep everybody
        out; if the oldest, nobody would get to the front.
        """
        idle, turn, health = (self.waiting[what] for what in Waiting)
        oldest = next(iter(idle), None)
        leaver: Place | None
        if oldest is not None and idle[oldest] + GRACE_S <= trio.current_time():
            leaver = oldest
        elif turn:
            leaver = random.choice(list(turn))
        elif idle or health:
            leaver = random.choice([*idle, *health])
        else:
            return False
        leaver.lose()
        self.evicted += 1
        return True
