"""Give the console's connections slots, and choose which has to leave when one more comes."""

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
#: Slots beyond the others, for requests for health that would have to make room, or find none.
HEALTH_SLOTS: Final = 32


class Waiting(Enum):
    """The event that a connection waits for."""

    END = auto()
    """Its client, which has its last answer, and has to go."""
    PEER = auto()
    """Its client, which has to send or to take something."""
    TURN = auto()
    """The turn of a request that has arrived."""
    HEALTH = auto()
    """The turn of a request for health."""


class Slot:
    """The slot of one connection.

    :ivar scope: cancelled when the slot is given to another; the connection runs in it.
    :ivar lost_while: the event it was waiting for when that happened; None if it has not.
    :ivar of_health: true for a slot that a connection has for one request for health.
    """

    def __init__(self, slots: Slots, *, of_health: bool = False) -> None:
        self.scope: trio.CancelScope = trio.CancelScope()
        self.lost_while: Waiting | None = None
        self.of_health = of_health
        self._slots = slots

    @contextmanager
    def waiting(self, what: Waiting) -> Iterator[None]:
        """Allow the slot to be given to another while this lasts, unless it is one for health.

        A slot that was lost has nothing more to give, though its connection may go on for a few
        steps until it is cancelled.
        """
        if self.of_health or self.lost_while is not None:
            yield
            return
        line = self._slots.waiting[what]
        line[self] = trio.current_time()
        self._slots.note_change()
        try:
            yield
        finally:
            line.pop(self, None)

    def lose(self) -> None:
        """Make room for another connection. Only while it waits."""
        lines = self._slots.waiting.items()
        self.lost_while = next(what for what, line in lines if line.pop(self, None) is not None)
        self.scope.cancel()
        self.give_up()

    def give_up(self) -> None:
        """Leave the slot to others. Idempotent."""
        self._slots.held.discard(self)
        self._slots.held_for_health.discard(self)
        self._slots.note_change()


class Slots:
    """The slots of all connections, as many as may be open.

    :ivar held: the slots that are taken.
    :ivar held_for_health: the taken slots beyond the limit, for requests for health alone.
    :ivar waiting: for each event, the slots whose connections wait for it, and since when, in that
        order.
    :ivar evicted: the number of connections that had to make room.
    """

    def __init__(self, limit: int) -> None:
        self.held: set[Slot] = set()
        self.held_for_health: set[Slot] = set()
        self.waiting: dict[Waiting, dict[Slot, float]] = {what: {} for what in Waiting}
        self.evicted: int = 0
        self._limit = limit
        self._changed = trio.Event()

    @property
    def full(self) -> bool:
        """True if every slot is taken."""
        return len(self.held) >= self._limit

    def take(self) -> Slot | None:
        """Take a slot; if there is none, that of a connection that waits; else return None."""
        if self.full and not self._make_room():
            return None
        slot = Slot(self)
        self.held.add(slot)
        return slot

    def take_for_health(self) -> Slot | None:
        """Take a slot beyond the limit, for a request for health; None if all are taken."""
        if len(self.held_for_health) >= HEALTH_SLOTS:
            return None
        slot = Slot(self, of_health=True)
        self.held_for_health.add(slot)
        return slot

    async def wait_for_health(self) -> bool:
        """Wait until there may be room because health was answered; false if nobody asks for it.

        Such a request is answered within milliseconds, and never has to make room. So a newcomer
        waits for its turn at the door, and the following ones in the kernel's queue.
        """
        if not self.waiting[Waiting.HEALTH]:
            return False
        self._changed = trio.Event()
        await self._changed.wait()
        return True

    def note_change(self) -> None:
        """Have `wait_for_health` return: a slot is free, or a connection waits for something."""
        self._changed.set()

    def _make_room(self) -> bool:
        """Take a slot away: from an idle connection, or else from a request, but not for health.

        Of connections that wait for their client the one that has waited longest goes first, and
        before all others those that have their last answer; one that has only just come leaves last
        of all. Of requests any one: if it were the newest, others that come all the time would keep
        all others out; if the oldest, no client would get to the front.
        """
        ending, idle, turn, health = (self.waiting[what] for what in Waiting)
        oldest = next(iter(idle), None)
        leaver: Slot | None
        if ending:
            leaver = next(iter(ending))
        elif oldest is not None and idle[oldest] + GRACE_S <= trio.current_time():
            leaver = oldest
        elif turn:
            leaver = random.choice(list(turn))
        elif idle and not health:  # Else it is better to wait for one of those: `wait_for_health`.
            leaver = random.choice(list(idle))
        else:
            return False
        leaver.lose()
        self.evicted += 1
        return True
