"""Pass each message of a room's connections on to all of them, in one order. Pure.

A room is one process's: its connections share an object. Messages stand in line in the room, and
copies of the first are put in the members' own lines, one member after the other; so every member
gets the messages in the order in which they came to the room, however slowly it reads. What a
member has not taken is counted as held for that member alone.

A message costs as many copies as the room has members, so the copies of one turn are counted, over
all rooms: `COPIES_PER_TURN`. Then the other connections get their turn, and so does the next room.
Whoever has said something that waits for its turn is not read from until then: so no member fills
a room's line, and those that say little are not kept waiting behind one that says much.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from sys import getsizeof
from typing import Final

from echo_trio.behaviours.actions import Action, Reply
from echo_trio.behaviours.scripts import Behaviour, Script, Stage
from echo_trio.behaviours.transform import NextSuffix

#: Copies that are made before the other connections get a turn: about a millisecond of sends.
COPIES_PER_TURN: Final = 100


@dataclass(eq=False, slots=True)
class _Said:
    """A message in a room's line.

    :ivar sender: notified when all copies are made; ``None`` once it has left.
    """

    copy: tuple[Reply]
    sender: _Member | None


@dataclass(eq=False, slots=True)
class Room:
    """The connections that share a name, and the messages that are not yet passed on.

    :ivar members: the stages of those who are here, in the order in which they came.
    :ivar said: messages in line; of the first, some copies may be made already.
    :ivar is_busy: true while it waits for a turn.
    """

    members: dict[Stage, None] = field(default_factory=dict)
    said: deque[_Said] = field(default_factory=deque)
    is_busy: bool = False
    _to: list[Stage] = field(default_factory=list)  # who gets the first message …
    _at: int = 0  # … and how many of them have

    def copy(self, limit: int) -> int:
        """Make at most this many copies of the first message; return their number."""
        said = self.said[0]
        if not self._to:
            self._to = list(self.members)
        to = self._to[self._at : self._at + limit]
        self._at += len(to)
        for stage in to:
            if stage in self.members:
                stage.put(said.copy)
        if self._at >= len(self._to):
            self.said.popleft()
            self._to, self._at = [], 0
            if said.sender is not None:
                said.sender.was_passed_on()
        return len(to)

    def forget(self, said: _Said) -> bool:
        """Remove a queued message whose sender has left; false if some have it already."""
        said.sender = None
        if said is self.said[0] and self._at:
            return False
        self.said.remove(said)
        return True


class Rooms:
    """All rooms of a process.

    :ivar call_for_turn: called when copies are left for another turn (`take_turn`), or this one has
        no more for those who come. Without anybody to take turns, nothing more is copied.
    """

    def __init__(self) -> None:
        """Start without rooms."""
        self.call_for_turn: Callable[[], None] = lambda: None
        self._rooms: dict[str, Room] = {}
        self._busy: deque[Room] = deque()
        self._copies_left = COPIES_PER_TURN
        self._is_copying = False

    def take_turn(self) -> bool:
        """Make as many copies as one turn allows; return true if there are more to make."""
        self._copies_left = COPIES_PER_TURN
        self._copy()
        return bool(self._busy)

    def enter(self, name: str, stage: Stage) -> Room:
        """Join a room, which begins with its first member."""
        room = self._rooms.get(name)
        if room is None:
            room = self._rooms[name] = Room()
        room.members[stage] = None
        return room

    def leave(self, name: str, stage: Stage) -> None:
        """Leave a room, which ends with its last member."""
        room = self._rooms[name]
        del room.members[stage]
        if not room.members:
            del self._rooms[name]

    def say(self, room: Room, said: _Said) -> None:
        """Pass a message on to all of a room, as far as this turn allows."""
        room.said.append(said)
        if not room.is_busy:
            room.is_busy = True
            self._busy.append(room)
        self._copy()

    def _copy(self) -> None:
        if self._is_copying:
            return  # A copy may cause another message of its receiver: that is queued.
        self._is_copying = True
        try:
            while self._busy and self._copies_left > 0:
                room = self._busy.popleft()
                if room.said:  # Else its senders have left.
                    self._copies_left -= max(room.copy(self._copies_left), 1)
                room.is_busy = bool(room.said)
                if room.is_busy:
                    self._busy.append(room)
        finally:
            self._is_copying = False
        if self._copies_left <= 0:
            self.call_for_turn()


@dataclass(eq=False)
class _Member(Script):
    """Send every message of the client to a room."""

    name: str
    _waiting: deque[_Said] = field(default_factory=deque)
    _is_held_up: bool = False
    _stage: Stage = field(init=False)
    _room: Room = field(init=False)

    at_once = True

    @property
    def held_bytes(self) -> int:
        return sum([getsizeof(said.copy[0].message) for said in self._waiting])

    def enter(self, stage: Stage) -> None:
        self._stage = stage
        self._room = stage.rooms.enter(self.name, stage)

    def received(self, message: str | bytes) -> tuple[Action, ...]:
        said = _Said((Reply(message),), self)
        self._waiting.append(said)
        self._stage.rooms.say(self._room, said)
        if self._waiting and not self._is_held_up:
            self._is_held_up = True
            self._stage.stop_reading()
        return ()

    def was_passed_on(self) -> None:
        """Go on: all copies of the first of the messages that wait are made."""
        self._waiting.popleft()
        if self._is_held_up and not self._waiting:
            self._is_held_up = False
            self._stage.go_on_reading()

    def leave(self) -> int:
        """Leave the room; messages of which no copy was made are not passed on any more.

        A client that closes as it should is read from, and answered, only when all that it said is
        passed on: this is for one that cut the connection, or that we do.
        """
        self._stage.rooms.leave(self.name, self._stage)
        return sum([self._room.forget(said) for said in self._waiting])


def room(name: str) -> Behaviour:
    """Pass every message on, as it came, to each connection of that room, the sender's too."""

    def behaviour(_: NextSuffix) -> Script:
        return _Member(name)

    return behaviour
