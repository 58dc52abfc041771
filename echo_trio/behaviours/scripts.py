"""Build what a connection does with its messages from small parts. Pure: no I/O, no clock.

A behaviour makes one connection's `OnMessage` (a function: each message has one reply at once, or
none) or its `Script` (everything else). A script turns messages into actions, which `player`
carries out. Faults (see `faults`) stand on the way to it and from it. Behaviours are built from one
another, so that

    delay(0.2, of=duplicate(3, of=echo_exactly))

echoes exactly, every third reply twice, and all replies 200 ms late. `paths` gives them paths.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from echo_trio.behaviours import faults
from echo_trio.behaviours.actions import Action, Reply
from echo_trio.behaviours.transform import NextSuffix, append_suffix, random_suffix

if TYPE_CHECKING:
    from echo_trio.behaviours.about import About
    from echo_trio.behaviours.faults import Fault
    from echo_trio.behaviours.rooms import Rooms

OnMessage = Callable[[str | bytes], str | bytes | None]


class Stage(Protocol):
    """The interface by which a script acts on its own, not in answer to a message: the player.

    :ivar open_timeout_s: how long a client may take to open a connection, in seconds.
    :ivar rooms: the rooms of this process.
    """

    open_timeout_s: float
    rooms: Rooms

    def now_s(self) -> float:
        """Return the time, in seconds of a monotonic clock."""

    def unix_ms(self) -> int:
        """Return the time in whole milliseconds since 1970."""

    def put(self, actions: Sequence[Action]) -> None:
        """Queue these actions; they answer no message of this client."""

    def put_at(
        self, due_s: float, make: Callable[[], Sequence[Action]], *, held_bytes: int
    ) -> None:
        """Queue at `due_s` the actions that `make` then returns; they answer no message.

        :param held_bytes: memory that it keeps until then.
        """

    def answer_at(self, due_s: float, answer: str | bytes) -> None:
        """Queue at `due_s` the answer to a message of this client."""

    def end_turn(self) -> None:
        """Let the other connections have their turn before this client's next message is read."""

    def stop_reading(self) -> None:
        """Read nothing more from the client until `go_on_reading`."""

    def go_on_reading(self) -> None:
        """End `stop_reading`."""


class Script:
    """The behaviour of one connection, as actions; it holds that connection's counts.

    The actions of each call have to be taken to their end before the next call's are.

    :cvar at_once: call `received` when a message arrives, and not when its turn to be answered has
        come: for a script that others notice, or that depends on the time.
    """

    at_once = False

    @property
    def held_bytes(self) -> int:
        """The memory of the messages that are kept between two calls, in bytes."""
        return 0

    def enter(self, stage: Stage) -> None:
        """Take the stage to act on; nothing has been sent or received yet."""

    def opened(self, about: About) -> Iterable[Action]:
        """Give the actions that come before any message."""
        return ()

    def received(self, message: str | bytes) -> Iterable[Action]:
        """Give the actions that the next message leads to."""
        raise NotImplementedError

    def ended(self) -> Iterable[Action]:
        """Give the replies that were held back, when a closing handshake begins."""
        return ()

    def leave(self) -> int:
        """Leave, since the connection is over; return the number of messages left unanswered."""
        return 0


@dataclass(frozen=True, slots=True)
class Faulty:
    """A script with faults on the way to it and from it.

    :ivar incoming: those that the client's messages pass, the first first.
    :ivar outgoing: those that the script's messages pass, the first first.
    """

    script: Script
    incoming: tuple[Fault, ...] = ()
    outgoing: tuple[Fault, ...] = ()


Behaviour = Callable[[NextSuffix], OnMessage | Script | Faulty]


# -- One reply at once, or none ---------------------------------------------------------------


def echo_with_suffix(next_suffix: NextSuffix) -> OnMessage:
    """Echo each message with a random number appended."""
    if next_suffix is random_suffix:
        return _echo_with_random_suffix
    return _appending(
        lambda message: append_suffix(message, next_suffix()), lambda: b" %d" % next_suffix()
    )


def _appending(on_message: OnMessage, appended: Callable[[], bytes]) -> OnMessage:
    """Promise that all replies are the messages, with something behind (see `Connection.run`)."""
    vars(on_message)["appended"] = appended
    return on_message


def _echo_with_random_suffix(message: str | bytes) -> str | bytes:
    # One function for all connections: with ten thousand, a function of each connection's own is
    # five cache lines that are cold by the time its next message comes.
    return append_suffix(message, random_suffix())


_appending(_echo_with_random_suffix, lambda: b" %d" % random_suffix())


def echo_exactly(_: NextSuffix) -> OnMessage:
    """Echo each message as it was."""
    return _itself


def _itself(message: str | bytes) -> str | bytes:
    return message


_appending(_itself, lambda: b"")


def silent(_: NextSuffix) -> OnMessage:
    """Reply to no message."""
    return lambda _message: None


# -- Scripts ----------------------------------------------------------------------------------


def info(of: Behaviour = echo_with_suffix) -> Behaviour:
    """Send a description of the connection in JSON before anything else (see `About`)."""
    return _within(_Info, of)


def burst(n: int, of: Behaviour = echo_with_suffix) -> Behaviour:
    """Answer each message as if it had come n times."""
    return _within(lambda script: _Burst(script, n), of)


def _within(make: Callable[[Script], Script], of: Behaviour) -> Behaviour:
    def behaviour(next_suffix: NextSuffix) -> Faulty:
        inner = with_faults(of(next_suffix))
        return Faulty(make(inner.script), inner.incoming, inner.outgoing)

    return behaviour


@dataclass(slots=True)
class _Answering(Script):
    """Answer each message with what a function returns."""

    on_message: OnMessage

    def received(self, message: str | bytes) -> Iterator[Action]:
        reply = self.on_message(message)
        if reply is not None:
            yield Reply(reply)


@dataclass
class _Around(Script):
    """Do as another script does."""

    of: Script

    def __post_init__(self) -> None:
        self.at_once = self.of.at_once

    @property
    def held_bytes(self) -> int:
        return self.of.held_bytes

    def enter(self, stage: Stage) -> None:
        self.of.enter(stage)

    def opened(self, about: About) -> Iterable[Action]:
        return self.of.opened(about)

    def received(self, message: str | bytes) -> Iterable[Action]:
        return self.of.received(message)

    def ended(self) -> Iterable[Action]:
        return self.of.ended()

    def leave(self) -> int:
        return self.of.leave()


@dataclass
class _Info(_Around):
    def opened(self, about: About) -> Iterator[Action]:
        yield Reply(about.to_json())
        yield from self.of.opened(about)


@dataclass
class _Burst(_Around):
    times: int

    def received(self, message: str | bytes) -> Iterator[Action]:
        for _ in range(self.times):
            yield from self.of.received(message)


# -- Faults before a behaviour ------------------------------------------------------------------


def faulty(
    of: Behaviour,
    incoming: Sequence[Callable[[], Fault]] = (),
    outgoing: Sequence[Callable[[], Fault]] = (),
) -> Behaviour:
    """Put faults before a behaviour: of each kind, the first sees the messages first.

    :param incoming: make, for each connection, those that the client's messages pass.
    :param outgoing: the same of those that the behaviour's messages pass.
    """

    def behaviour(next_suffix: NextSuffix) -> Faulty:
        inner = with_faults(of(next_suffix))
        return Faulty(
            inner.script,
            (*(make() for make in incoming), *inner.incoming),
            (*inner.outgoing, *(make() for make in outgoing)),
        )

    return behaviour


def with_faults(acting: OnMessage | Script | Faulty) -> Faulty:
    """Return a behaviour's script with faults around it, if there are any."""
    if isinstance(acting, Faulty):
        return acting
    return Faulty(acting if isinstance(acting, Script) else _Answering(acting))


def close(code: int, reason: str = "", of: Behaviour = echo_with_suffix) -> Behaviour:
    """Close at the first message, with the code and reason that the client is to see."""
    return faulty(of, incoming=[lambda: faults.CloseFirst(code, reason)])


def stall(every: int, duration_s: float, of: Behaviour = echo_with_suffix) -> Behaviour:
    """Freeze the connection for `duration_s` at every `every`-th message, and reply then."""
    return faulty(of, incoming=[lambda: faults.Stall(every, duration_s)])


def drop(n: int, of: Behaviour = echo_with_suffix) -> Behaviour:
    """Reset TCP after n messages and the replies to them; after 0 messages, at once."""
    return faulty(of, incoming=[lambda: faults.Drop(n)])


def delay(duration_s: float, of: Behaviour = echo_with_suffix) -> Behaviour:
    """Send each reply `duration_s` after its message arrived."""
    return faulty(of, outgoing=[lambda: faults.Delay(duration_s)])


def duplicate(every: int, of: Behaviour = echo_with_suffix) -> Behaviour:
    """Send every `every`-th reply twice, the same bytes one after the other."""
    return faulty(of, outgoing=[lambda: faults.Duplicate(every)])


def corrupt(every: int, of: Behaviour = echo_with_suffix) -> Behaviour:
    """Alter every `every`-th reply (see `faults.altered`)."""
    return faulty(of, outgoing=[lambda: faults.Corrupt(every)])


def reorder(every: int, of: Behaviour = echo_with_suffix) -> Behaviour:
    """Hold back every `every`-th reply until the next is out (see `faults.Reorder`)."""
    return faulty(of, outgoing=[lambda: faults.Reorder(every)])


def swallow(every: int, of: Behaviour = echo_with_suffix) -> Behaviour:
    """Leave out every `every`-th reply."""
    return faulty(of, outgoing=[lambda: faults.Swallow(every)])


def fragment(size_bytes: int, of: Behaviour = echo_with_suffix) -> Behaviour:
    """Send each reply in frames of `size_bytes` of payload."""
    return faulty(of, outgoing=[lambda: faults.Fragment(size_bytes)])
