"""Build what a connection does with its messages from small parts. Pure: no I/O, no clock.

A behaviour makes one connection's `OnMessage` (a function: each message has one reply at once, or
none) or its `Script` (everything else). A script turns messages into actions, which `player`
carries out. Behaviours are built from one another, so that

    delay(0.2, of=duplicate(3, of=echo_exactly))

echoes exactly, every third reply twice, and all replies 200 ms late. Each part that acts on every
nth message or reply counts on its own, from 1, on each connection. `paths` gives them paths.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from sys import getsizeof

from echo_trio.behaviours.about import About
from echo_trio.behaviours.actions import Action, Close, Freeze, Reply, Reset
from echo_trio.behaviours.transform import NextSuffix, append_suffix, random_suffix

OnMessage = Callable[[str | bytes], str | bytes | None]


class Script:
    """The behaviour of one connection, as actions; it holds that connection's counts.

    The actions of each call have to be taken to their end before the next call's are.
    """

    @property
    def held_bytes(self) -> int:
        """The memory of the replies that are kept between two calls, in bytes."""
        return 0

    def opened(self, about: About) -> Iterable[Action]:
        """Give the actions that come before any message."""
        return ()

    def received(self, message: str | bytes) -> Iterable[Action]:
        """Give the actions that the next message leads to."""
        raise NotImplementedError

    def ended(self) -> Iterable[Action]:
        """Give the replies that were held back, when a closing handshake begins."""
        return ()


Behaviour = Callable[[NextSuffix], OnMessage | Script]


# -- One reply at once, or none ---------------------------------------------------------------


def echo_with_suffix(next_suffix: NextSuffix) -> OnMessage:
    """Echo each message with a random number appended."""
    if next_suffix is random_suffix:
        return _echo_with_random_suffix
    return lambda message: append_suffix(message, next_suffix())


def _echo_with_random_suffix(message: str | bytes) -> str | bytes:
    # One function for all connections: with ten thousand, a function of each connection's own is
    # five cache lines that are cold by the time its next message comes.
    return append_suffix(message, random_suffix())


def echo_exactly(_: NextSuffix) -> OnMessage:
    """Echo each message as it was."""
    return _itself


def _itself(message: str | bytes) -> str | bytes:
    return message


def silent(_: NextSuffix) -> OnMessage:
    """Reply to no message."""
    return lambda _message: None


# -- Whatever else ----------------------------------------------------------------------------


def close(code: int, reason: str = "") -> Behaviour:
    """Close at the first message, with the code and reason that the client is to see."""
    return lambda _: _Close(code, reason)


def info(of: Behaviour = echo_with_suffix) -> Behaviour:
    """Send first a description of the connection, in JSON (see `About`)."""
    return _around(_Info, of)


def stall(every: int, duration_s: float, of: Behaviour = echo_with_suffix) -> Behaviour:
    """Freeze the connection for `duration_s` at every `every`-th message, and reply then."""
    return _around(lambda inner: _Stall(inner, every, duration_s), of)


def drop(n: int, of: Behaviour = echo_with_suffix) -> Behaviour:
    """Reset TCP after n messages and the replies to them; after 0 messages, at once."""
    return _around(lambda inner: _Drop(inner, n), of)


def burst(n: int, of: Behaviour = echo_with_suffix) -> Behaviour:
    """Answer each message as if it had come n times."""
    return _around(lambda inner: _Burst(inner, n), of)


def delay(duration_s: float, of: Behaviour = echo_with_suffix) -> Behaviour:
    """Send each reply `duration_s` after its message arrived."""
    return _around(lambda inner: _Delay(inner, duration_s), of)


def duplicate(every: int, of: Behaviour = echo_with_suffix) -> Behaviour:
    """Send every `every`-th reply twice, the same bytes one after the other."""
    return _around(lambda inner: _Duplicate(inner, every), of)


def corrupt(every: int, of: Behaviour = echo_with_suffix) -> Behaviour:
    """Alter every `every`-th reply (see `altered`)."""
    return _around(lambda inner: _Corrupt(inner, every), of)


def reorder(every: int, of: Behaviour = echo_with_suffix) -> Behaviour:
    """Hold back every `every`-th reply until the next is out.

    That next one is not held back itself: 1 swaps them in pairs. One that is still held back when a
    closing handshake begins is sent before our close frame.
    """
    return _around(lambda inner: _Reorder(inner, every), of)


def swallow(every: int, of: Behaviour = echo_with_suffix) -> Behaviour:
    """Leave out every `every`-th reply."""
    return _around(lambda inner: _Swallow(inner, every), of)


def fragment(size_bytes: int, of: Behaviour = echo_with_suffix) -> Behaviour:
    """Send each reply in frames of `size_bytes` of payload."""
    return _around(lambda inner: _Fragment(inner, size_bytes), of)


def altered(message: str | bytes) -> str | bytes:
    """Make a different message: bit 6 of its first character or byte is flipped.

    Text stays text, and as many bytes of UTF-8: neither the surrogates nor the code points of one
    length begin or end within 128. An empty message becomes one NUL.
    """
    if isinstance(message, str):
        return chr(ord(message[0]) ^ 0x40) + message[1:] if message else "\0"
    return bytes((message[0] ^ 0x40,)) + message[1:] if message else b"\0"


# -- Their scripts ----------------------------------------------------------------------------


def _around(make: Callable[[Script], Script], of: Behaviour) -> Behaviour:
    def behaviour(next_suffix: NextSuffix) -> Script:
        inner = of(next_suffix)
        return make(inner if isinstance(inner, Script) else _Answering(inner))

    return behaviour


@dataclass(slots=True)
class _Answering(Script):
    """A function of messages, as a script."""

    on_message: OnMessage

    def received(self, message: str | bytes) -> Iterator[Action]:
        reply = self.on_message(message)
        if reply is not None:
            yield Reply(reply)


@dataclass(slots=True)
class _Close(Script):
    code: int
    reason: str

    def received(self, message: str | bytes) -> Iterator[Action]:
        yield Close(self.code, self.reason)


@dataclass(slots=True)
class _Around(Script):
    """Another script, changed: by default not at all.

    :ivar messages: the number of messages received, this one included.
    :ivar replies: the number of replies the other script has given, this one included.
    """

    of: Script
    messages: int = field(default=0, init=False)
    replies: int = field(default=0, init=False)

    @property
    def held_bytes(self) -> int:
        return self.of.held_bytes

    def opened(self, about: About) -> Iterator[Action]:
        yield from self.change(self.of.opened(about))

    def received(self, message: str | bytes) -> Iterator[Action]:
        self.messages += 1
        yield from self.change(self.of.received(message))

    def ended(self) -> Iterator[Action]:
        yield from self.change(self.of.ended())

    def change(self, actions: Iterable[Action]) -> Iterator[Action]:
        """Replace actions by others."""
        for action in actions:
            if isinstance(action, Reply):
                self.replies += 1
                yield from self.instead_of(action)
            else:
                yield action

    def instead_of(self, reply: Reply) -> Iterator[Reply]:
        """Replace a reply by others."""
        yield reply


@dataclass(slots=True)
class _Info(_Around):
    def opened(self, about: About) -> Iterator[Action]:
        yield Reply(about.to_json())
        yield from self.change(self.of.opened(about))


@dataclass(slots=True)
class _Stall(_Around):
    every: int
    duration_s: float

    def received(self, message: str | bytes) -> Iterator[Action]:
        self.messages += 1
        if self.messages % self.every == 0:
            yield Freeze(self.duration_s)
        yield from self.change(self.of.received(message))


@dataclass(slots=True)
class _Drop(_Around):
    after: int

    def opened(self, about: About) -> Iterator[Action]:
        yield from self.change(self.of.opened(about))
        if self.after == 0:
            yield Reset()

    def received(self, message: str | bytes) -> Iterator[Action]:
        self.messages += 1
        yield from self.change(self.of.received(message))
        if self.messages == self.after:
            yield Reset()


@dataclass(slots=True)
class _Burst(_Around):
    times: int

    def received(self, message: str | bytes) -> Iterator[Action]:
        self.messages += 1
        for _ in range(self.times):
            yield from self.change(self.of.received(message))


@dataclass(slots=True)
class _Delay(_Around):
    duration_s: float

    def instead_of(self, reply: Reply) -> Iterator[Reply]:
        yield replace(reply, late_s=reply.late_s + self.duration_s)


@dataclass(slots=True)
class _Duplicate(_Around):
    every: int

    def instead_of(self, reply: Reply) -> Iterator[Reply]:
        yield reply
        if self.replies % self.every == 0:
            yield reply


@dataclass(slots=True)
class _Corrupt(_Around):
    every: int

    def instead_of(self, reply: Reply) -> Iterator[Reply]:
        if self.replies % self.every == 0:
            reply = replace(reply, message=altered(reply.message))
        yield reply


@dataclass(slots=True)
class _Reorder(_Around):
    every: int
    held: Reply | None = field(default=None, init=False)

    @property
    def held_bytes(self) -> int:
        own_bytes = getsizeof(self.held.message) if self.held is not None else 0
        return own_bytes + self.of.held_bytes

    def instead_of(self, reply: Reply) -> Iterator[Reply]:
        held, self.held = self.held, None
        if held is None and self.replies % self.every == 0:
            self.held = reply
            return
        yield reply
        if held is not None:
            yield held

    def ended(self) -> Iterator[Action]:
        yield from self.change(self.of.ended())
        if self.held is not None:
            held, self.held = self.held, None
            yield held


@dataclass(slots=True)
class _Swallow(_Around):
    every: int

    def instead_of(self, reply: Reply) -> Iterator[Reply]:
        if self.replies % self.every != 0:
            yield reply


@dataclass(slots=True)
class _Fragment(_Around):
    size_bytes: int

    def instead_of(self, reply: Reply) -> Iterator[Reply]:
        yield replace(reply, fragment_bytes=self.size_bytes)
