"""Do one wrong thing to a stream of messages, and nothing else. Pure: no I/O, no clock.

A fault stands on the way of the messages that a connection's path sends to the client, or of those
that the client sends to the path. It sees actions one after the other and yields what is to be
done instead. Each one that acts on every nth message counts on its own, from 1, on each connection.

Faults stand one behind the other: each sees what the one before it lets through. What freezes or
ends a connection has its place among the messages, so a delay behind it makes it late as well.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from sys import getsizeof

from echo_trio.behaviours.actions import Action, Close, Freeze, Reply, Reset


def pass_through(faults: Sequence[Fault], actions: Iterable[Action]) -> Iterable[Action]:
    """Yield these actions as they come out of all faults, which are applied in order."""
    for fault in faults:
        actions = fault.change(actions)
    return actions


def beginnings(faults: Sequence[Fault]) -> Iterator[Action]:
    """Yield the actions of the faults before the first message."""
    for at, fault in enumerate(faults, 1):
        yield from pass_through(faults[at:], fault.begin())


def endings(faults: Sequence[Fault]) -> Iterator[Action]:
    """Yield the actions that the faults have held back, before a close."""
    for at, fault in enumerate(faults, 1):
        yield from pass_through(faults[at:], fault.end())


@dataclass(slots=True)
class Tally:
    """The counts of what faults have done; several may write into one.

    :ivar seen: the number of messages that came to them.
    :ivar acted: how often they did what they are for: to a message, or to the connection.
    """

    seen: int = 0
    acted: int = 0


@dataclass(slots=True)
class Fault:
    """Pass every action on unchanged: the base of the faults.

    :ivar messages: how many messages have come, the one at hand included.
    :ivar tally: where it counts what it does; by default its own.
    """

    messages: int = field(default=0, init=False)
    tally: Tally = field(default_factory=Tally, init=False, repr=False, compare=False)

    @property
    def held_bytes(self) -> int:
        """The memory of the actions that are held back now, in bytes."""
        return 0

    def begin(self) -> Iterable[Action]:
        """Yield the actions before the first message."""
        return ()

    def end(self) -> Iterable[Action]:
        """Yield the actions that were held back, when a closing handshake begins."""
        return ()

    def change(self, actions: Iterable[Action]) -> Iterator[Action]:
        """Yield the actions that replace these.

        They are taken one at a time, when the one before is done. The actions of one call have to
        be taken to their end before those of the next.
        """
        for action in actions:
            if isinstance(action, Reply):
                self.messages += 1
                self.tally.seen += 1
                yield from self.instead_of(action)
            else:
                yield action

    def instead_of(self, reply: Reply) -> Iterator[Action]:
        """Yield the actions that replace passing this message on."""
        yield reply


@dataclass(slots=True)
class Delay(Fault):
    """Delay every action by `duration_s`, also closes and freezes."""

    duration_s: float

    def change(self, actions: Iterable[Action]) -> Iterator[Action]:
        for action in actions:
            if isinstance(action, Reply):
                self.tally.seen += 1
                self.tally.acted += 1
            yield replace(action, late_s=action.late_s + self.duration_s)


@dataclass(slots=True)
class Stall(Fault):
    """Freeze the connection for `duration_s` at every `every`-th message, then pass that on."""

    every: int
    duration_s: float

    def instead_of(self, reply: Reply) -> Iterator[Action]:
        if self.messages % self.every == 0:
            self.tally.acted += 1
            yield Freeze(self.duration_s, reply.late_s)
        yield reply


@dataclass(slots=True)
class Silence(Fault):
    """Pass no message on."""

    def instead_of(self, reply: Reply) -> Iterator[Action]:
        self.tally.acted += 1
        yield from ()


@dataclass(slots=True)
class Drop(Fault):
    """Reset TCP after the nth message; with 0 at once."""

    after: int

    def begin(self) -> Iterator[Action]:
        if self.after == 0:
            self.tally.acted += 1
            yield Reset()

    def instead_of(self, reply: Reply) -> Iterator[Action]:
        yield reply
        if self.messages == self.after:
            self.tally.acted += 1
            yield Reset(reply.late_s)


@dataclass(slots=True)
class CloseFirst(Fault):
    """Close the connection instead of passing the first message on."""

    code: int
    reason: str = ""

    def instead_of(self, reply: Reply) -> Iterator[Action]:
        self.tally.acted += 1
        yield Close(self.code, self.reason, reply.late_s)


@dataclass(slots=True)
class Duplicate(Fault):
    """Pass every `every`-th message on twice, the same bytes one after the other."""

    every: int

    def instead_of(self, reply: Reply) -> Iterator[Action]:
        yield reply
        if self.messages % self.every == 0:
            self.tally.acted += 1
            yield reply


@dataclass(slots=True)
class Corrupt(Fault):
    """Alter every `every`-th message (see `altered`)."""

    every: int

    def instead_of(self, reply: Reply) -> Iterator[Action]:
        if self.messages % self.every == 0:
            self.tally.acted += 1
            reply = replace(reply, message=altered(reply.message))
        yield reply


@dataclass(slots=True)
class Reorder(Fault):
    """Hold back every `every`-th message until the next is out, which is not held back itself.

    So 1 swaps them in pairs. One that is still held back when a closing handshake begins goes
    before our close frame.
    """

    every: int
    held: Reply | None = field(default=None, init=False)

    @property
    def held_bytes(self) -> int:
        return getsizeof(self.held.message) if self.held is not None else 0

    def instead_of(self, reply: Reply) -> Iterator[Action]:
        held, self.held = self.held, None
        if held is None and self.messages % self.every == 0:
            self.held = reply
            self.tally.acted += 1
            return
        yield reply
        if held is not None:
            yield held

    def end(self) -> Iterator[Action]:
        if self.held is not None:
            held, self.held = self.held, None
            yield held


@dataclass(slots=True)
class Swallow(Fault):
    """Leave out every `every`-th message."""

    every: int

    def instead_of(self, reply: Reply) -> Iterator[Action]:
        if self.messages % self.every != 0:
            yield reply
        else:
            self.tally.acted += 1


@dataclass(slots=True)
class Fragment(Fault):
    """Send each message in frames of `size_bytes` of payload; a path gets it whole."""

    size_bytes: int

    def instead_of(self, reply: Reply) -> Iterator[Action]:
        if _size_of(reply.message) > self.size_bytes:
            self.tally.acted += 1
        yield replace(reply, fragment_bytes=self.size_bytes)


def _size_of(message: str | bytes) -> int:
    """Return the bytes of a message's payload."""
    if isinstance(message, bytes) or message.isascii():
        return len(message)
    return len(message.encode())


def altered(message: str | bytes) -> str | bytes:
    """Make a different message: bit 6 of its first character or byte is flipped.

    Text stays text, and as many bytes of UTF-8: neither the surrogates nor the code points of one
    length begin or end within 128. An empty message becomes one NUL.
    """
    if isinstance(message, str):
        return chr(ord(message[0]) ^ 0x40) + message[1:] if message else "\0"
    return bytes((message[0] ^ 0x40,)) + message[1:] if message else b"\0"
