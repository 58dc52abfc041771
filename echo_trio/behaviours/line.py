"""Queue the actions of a connection, and carry out each when it is its turn.

    put ─► entries, first come, first served ─► carry_out ─► what it waits for, or nothing

A line stands still while its head waits: for a time, for the kernel to take more, for room behind
it. Whoever has the line looks at `wait`, and calls `advance` when that may be over.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import suppress
from typing import Final, NamedTuple

from echo_trio.behaviours.actions import Action
from echo_trio.behaviours.packed import Message, PackedQueue
from echo_trio.wire.connection import ConnectionClosed

#: Memory of actions in line, beside their messages: a tuple, the time, a slot of the deque.
PLACE_BYTES: Final = 128


class Wait(NamedTuple):
    """The event that the head of a line waits for.

    :ivar until_s: a time; minus infinity if it is that the kernel takes more, infinity if
        somebody else says when.
    :ivar reading: true if the client is read from meanwhile.
    """

    until_s: float
    reading: bool


IDLE: Final = Wait(float("inf"), reading=True)
OVER: Final = Wait(float("inf"), reading=True)
FLUSH: Final = Wait(float("-inf"), reading=False)
ROOM: Final = Wait(float("inf"), reading=False)


class Entry(NamedTuple):
    """An entry of a line: a message that the script has not had yet, or actions.

    :ivar since_s: when it came, from which on replies are late.
    :ivar held_bytes: the memory that actions take. A message is kept, and counted, by the line.
    :ivar answers: true if a message of this client is answered with this.
    :ivar pushed: messages in it that answer none.
    """

    since_s: float
    what: str | bytes | Iterable[Action]
    held_bytes: int
    answers: bool = False
    pushed: int = 0


class Left(NamedTuple):
    """The number of messages left in a line: of the client's, to be answered; and pushed ones."""

    unanswered: int
    pushed: int


class Line:
    """A queue of entries, of which the first is being carried out, in part perhaps.

    :ivar wait: what the first waits for; `IDLE` if there is none, `OVER` if none is done any more.
    """

    def __init__(self, carry_out: Callable[[Entry], Iterator[Wait]]) -> None:
        """Make an empty line.

        :param carry_out: does what an entry is for, and yields where that may have to wait. It
            raises `ConnectionClosed` if nothing can be done any more. Of `ROOM` it finds out itself
            whether there is some.
        """
        self._entries: PackedQueue[Entry] = PackedQueue()
        self.wait: Wait = IDLE
        self._steps = self._carry_all_out(carry_out)
        self._is_advancing = False
        self._has_ended = False

    @property
    def held_bytes(self) -> int:
        """The memory that all entries take, in bytes."""
        return self._entries.held_bytes

    def put(self, entry: Entry) -> None:
        """Add actions, without doing anything."""
        self._entries.put(entry, entry.held_bytes)

    def put_message(self, since_s: float, message: str | bytes) -> None:
        """Add a message that came at this time and is to be answered, without doing anything."""
        self._entries.put_message(since_s, message)

    def advance(self, now_s: float, *, flushed: bool = False) -> None:
        """Do what can be done now; nothing if the head still waits, or if this is under way.

        :param flushed: the kernel has taken everything.
        """
        wait = self.wait
        if self._is_advancing or wait is OVER:
            return
        if wait is FLUSH:
            if not flushed:
                return
        elif wait is IDLE:
            if not self._entries:
                return
        elif wait is not ROOM and wait.until_s > now_s:
            return
        self._is_advancing = True
        self.wait = OVER  # If it raises.
        try:
            for wait in self._steps:
                if wait is FLUSH or wait.until_s > now_s:
                    self.wait = wait
                    return
        finally:
            self._is_advancing = False

    def end(self) -> None:
        """Do nothing after the entry that is being carried out, if there is one."""
        self._has_ended = True
        if not self._is_advancing:
            self.wait = OVER

    def close(self) -> Left:
        """Discard all entries, the one that is being carried out among them, and count them."""
        self._steps.close()
        messages, entries = self._entries.clear()
        return Left(
            messages + sum(entry.answers for entry in entries),
            sum(entry.pushed for entry in entries),
        )

    def _carry_all_out(self, carry_out: Callable[[Entry], Iterator[Wait]]) -> Generator[Wait]:
        with suppress(ConnectionClosed):
            while not self._has_ended:
                if not self._entries:
                    yield IDLE
                    continue
                yield from carry_out(_as_entry(self._entries.first()))
                self._entries.drop_first()
        yield OVER


def _as_entry(item: Entry | Message) -> Entry:
    return Entry(*item, 0, answers=True) if isinstance(item, Message) else item
