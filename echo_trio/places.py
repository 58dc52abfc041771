"""Give each connection a place, and choose whose place a newcomer may take. Pure: no I/O, no clock.

A connection holds one of the places from accept to its end. When all are taken, a newcomer waits at
the door until its request has arrived; then it takes the place of the handshake that has been
silent for longest, if that is a second or more. So connections that never say a word can't keep out
those that do: the silent ones at the door take no place, those inside lose theirs.

    accept ─► enter ─► hear … hear ─► settle ─► leave        the place is its own from `settle` on
        └─► wait ─► hear … ─► enter, or `longest_silent` makes room, or it is told that all is full

Every step takes constant time, however many connections there are.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Generic, Protocol, TypeVar

from echo_trio.admission import PlaceCapacity

#: A handshake that has sent nothing for this time may lose its place to a newcomer. A client that
#: means it sends its request with its first segment, and the next part a round trip later.
SILENCE_S: Final = 1.0
#: Handshakes that are looked at for one newcomer: their bytes may have arrived without being read.
MAX_LOOKS: Final = 8


class Guest(Protocol):
    """A connection, as far as its place is concerned.

    :ivar heard_s: when a part of its handshake arrived last; at first, when it was accepted.
    :ivar has_place: true while it holds a place.
    :ivar waits: true while it waits at the door.
    """

    heard_s: float
    has_place: bool
    waits: bool


SomeGuest = TypeVar("SomeGuest", bound=Guest)


@dataclass(slots=True)
class _Count:
    now: int
    at_most: int

    @property
    def full(self) -> bool:
        return self.now >= self.at_most


class Places(Generic[SomeGuest]):
    """The places of a process, and the connections that wait for one.

    :ivar taken: connections that hold a place.
    :ivar waiting: connections that hold none; each is told so once its request has arrived.
    """

    def __init__(self, capacity: PlaceCapacity) -> None:
        self._inside = _Count(0, capacity.connections)
        self._at_the_door = _Count(0, capacity.refusals)
        # By when they were heard last, the longest silent first. An OrderedDict, because a plain
        # dict's first key takes longer to find the more keys were removed before it.
        self._handshakes: OrderedDict[SomeGuest, None] = OrderedDict()
        self._dismissed: OrderedDict[SomeGuest, None] = OrderedDict()

    @property
    def taken(self) -> int:
        """The number of places taken."""
        return self._inside.now

    @property
    def waiting(self) -> int:
        """The number of connections at the door."""
        return self._at_the_door.now

    def enter(self, guest: SomeGuest) -> bool:
        """Give a connection a place, if one is free, whether it is new or waits at the door."""
        if self._inside.full:
            return False
        self.leave(guest)
        self._inside.now += 1
        guest.has_place = True
        self._handshakes[guest] = None
        return True

    def wait(self, guest: SomeGuest) -> bool:
        """Let a newcomer wait at the door, if there is room; false if there is none."""
        if self._at_the_door.full:
            return False
        self._at_the_door.now += 1
        guest.waits = True
        return True

    def hear(self, guest: SomeGuest, now_s: float) -> None:
        """Note that a part of a connection's handshake has arrived."""
        guest.heard_s = now_s
        if guest in self._handshakes:
            self._handshakes.move_to_end(guest)

    def settle(self, guest: SomeGuest) -> None:
        """Note that a connection's handshake is done: it can't lose its place any more."""
        self._handshakes.pop(guest, None)

    def dismiss(self, guest: SomeGuest) -> None:
        """Note that a connection was refused: its place goes to the next newcomer."""
        if guest.has_place:
            self._handshakes.pop(guest, None)
            self._dismissed[guest] = None

    def leave(self, guest: SomeGuest) -> None:
        """Give back a connection's place, or its place at the door. Idempotent."""
        if guest.waits:
            guest.waits = False
            self._at_the_door.now -= 1
        if guest.has_place:
            guest.has_place = False
            self._inside.now -= 1
            self._handshakes.pop(guest, None)
            self._dismissed.pop(guest, None)

    def longest_silent(
        self, now_s: float, has_unread: Callable[[SomeGuest], bool]
    ) -> SomeGuest | None:
        """Take the place from the connection that loses it to a newcomer; `None` if none does.

        :param has_unread: tells whether bytes have arrived that `hear` was not told about yet.
        """
        if self._dismissed:
            guest = next(iter(self._dismissed))
            self.leave(guest)
            return guest
        for _ in range(MAX_LOOKS):
            guest = next(iter(self._handshakes), None)  # type: ignore[assignment]
            if guest is None or now_s - guest.heard_s < SILENCE_S:
                return None
            if not has_unread(guest):
                self.leave(guest)
                return guest
            self.hear(guest, now_s)
        return None
