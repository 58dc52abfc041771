"""Match copies with the messages they are copies of, and count those that do not come. Pure.

Everything that happens in a room is an event: a socket joins or leaves it, a message is published
there, a copy comes to a socket. In one process events are taken as they happen; of several
processes each logs its own, and the coordinator takes all in the order of time.

A message is owed to every socket that is in the room when it is handed to its own socket. A copy
that came to a socket that joined meanwhile, or was owed to one that left meanwhile, is *unsettled*:
it is not known whether the server should have sent it.
"""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, Protocol

import msgspec

from loadgen.results.latency import Recorder
from loadgen.results.ledger import Ledger
from loadgen.results.result import FanOut
from loadgen.results.verify import Verdict

#: A message's socket and its number there: tells it from all others of the run.
Key = tuple[int, int]
#: The number of messages that are remembered after all their copies have come: one more may come
#: late to a socket that joined while they were under way.
REMEMBERED: Final = 4096
#: A copy whose message has not been published after so long is a copy of none. Only the clocks of
#: several machines make a copy come before its message, and they differ by far less.
EARLY_US: Final = 60_000_000


class Joined(msgspec.Struct, frozen=True, tag="j", array_like=True):
    """A socket is in a room from now on."""

    at_us: int
    room: int
    conn: int


class Left(msgspec.Struct, frozen=True, tag="l", array_like=True):
    """A socket is in a room no longer."""

    at_us: int
    room: int
    conn: int


class Published(msgspec.Struct, frozen=True, tag="p", array_like=True):
    """A message has been handed to its socket."""

    at_us: int
    room: int
    conn: int
    seq: int


class Copied(msgspec.Struct, frozen=True, tag="c", array_like=True):
    """A copy of a socket's message has come to a receiver."""

    at_us: int
    room: int
    receiver: int
    conn: int
    seq: int


Event = Joined | Left | Published | Copied


class TakesEvents(Protocol):
    """A receiver of events: it matches them, or logs them for the process that does.

    :ivar awaited: the number of copies that may still come, as far as is known here.
    """

    awaited: int

    def take(self, event: Event, /) -> object:
        """Take an event, which is not older than any before it."""

    def take_copy(self, at_us: int, room: int, receiver: int, key: Key, /) -> object:
        """Take what `Copied` says, as there are as many copies as a room has sockets.

        :param key: the message that it is a copy of.
        """


class EventLog:
    """A log of events for the process that matches them: one process's part of a run."""

    def __init__(self) -> None:
        self._events: list[Event] = []
        #: Always 0: one process does not know which copies are under way.
        self.awaited = 0

    def take(self, event: Event) -> None:
        """Log an event."""
        self._events.append(event)

    def take_copy(self, at_us: int, room: int, receiver: int, key: Key) -> None:
        """Log the event of a copy."""
        self._events.append(Copied(at_us, room, receiver, *key))

    def drain(self) -> list[Event]:
        """Take out the events logged since the last call."""
        events = list(self._events)
        self._events.clear()
        return events


@dataclass(slots=True)
class _Publication:
    """A message on its way to a room.

    :ivar number: the number of messages published before it.
    :ivar owed: the sockets whose copy has not come yet.
    :ivar late: sockets that joined while it was under way and got a copy.
    :ivar has_come: true once a copy has come.
    :ivar is_whole: true as long as every socket that was owed a copy can still get one.
    """

    room: int
    at_us: int
    number: int
    owed: set[int]
    late: set[int] = field(default_factory=set)
    has_come: bool = False
    is_whole: bool = True


class Matcher:
    """A match of copies and messages: which copies are owed, and which have come.

    :param ledger: where the copies are counted.
    :ivar first: the times of the first copies.
    :ivar last: the times of the last copies.
    :ivar each: the times of all copies.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self.first: Recorder = Recorder()
        self.last: Recorder = Recorder()
        self.each: Recorder = Recorder()
        self.awaited: int = 0
        #: By room: how many messages had been published when each of its sockets joined. Times do
        #: not tell which was first: both may happen in one microsecond.
        self._rooms: defaultdict[int, dict[int, int]] = defaultdict(dict)
        self._publications = 0
        #: Messages under way, by room.
        self._open: defaultdict[int, dict[Key, _Publication]] = defaultdict(dict)
        #: Messages that have come to all, the oldest first.
        self._settled: OrderedDict[Key, _Publication] = OrderedDict()
        #: The number of messages that each socket has published.
        self._published: dict[int, int] = {}
        #: Copies that came, by the clock of their process, before their message was sent.
        self._early: defaultdict[Key, list[Copied]] = defaultdict(list)
        self._lost: set[int] = set()
        #: Was something published that nobody can say anything about any more?
        self.has_losses = False

    def take(self, event: Event) -> None:
        """Take an event, which is not older than any before it except for the error of clocks."""
        match event:
            case Copied():
                self.take_copy(event.at_us, event.room, event.receiver, (event.conn, event.seq))
            case Published():
                self._publish(event)
            case Joined():
                self._rooms[event.room][event.conn] = self._publications
            case Left():
                self._leave(event.room, event.conn)

    def take_copy(self, at_us: int, room: int, receiver: int, key: Key) -> None:
        """Take a copy. Of a room of a hundred sockets, 99 of 100 events are copies."""
        publication = self._open[room].get(key)
        if publication is None or receiver not in (owed := publication.owed):
            self._take_rare_copy(Copied(at_us, room, receiver, *key))
            return
        owed.remove(receiver)
        self.awaited -= 1
        self._ledger.delivered += 1
        took_us = at_us - publication.at_us
        self.each.record(took_us)
        if not publication.has_come:
            publication.has_come = True
            self.first.record(took_us)
        if not owed:
            if publication.is_whole:
                self.last.record(took_us)
            self._settle(key, publication)

    def _publish(self, event: Published) -> None:
        key, owed = (event.conn, event.seq), set(self._rooms[event.room])
        publication = _Publication(event.room, event.at_us, self._publications, owed)
        self._publications += 1
        self._open[event.room][key] = publication
        self._published[event.conn] = event.seq + 1
        self._ledger.owed += len(owed)
        self.awaited += len(owed)
        if not owed:
            self._settle(key, publication)
        for early in self._early.pop(key, ()):
            self.take_copy(early.at_us, early.room, early.receiver, key)

    def _take_rare_copy(self, copy: Copied) -> None:
        """Take a copy that is not owed, or not known to be."""
        key = copy.conn, copy.seq
        publication = self._open[copy.room].get(key) or self._settled.get(key)
        if publication is not None and self._has_joined_since(copy, publication):
            publication.late.add(copy.receiver)
            self._ledger.owed += 1
            self._ledger.unsettled += 1
        elif publication is not None or copy.seq < self._published.get(copy.conn, 0):
            self._ledger.extra += 1
        else:
            self._forget_early(copy.at_us - EARLY_US)
            self._early[key].append(copy)

    def _forget_early(self, before_us: int) -> None:
        """Judge the copies whose message should have been published long ago."""
        while self._early:
            key = next(iter(self._early))
            if self._early[key][0].at_us >= before_us:
                break
            self._judge_early(key[0], self._early.pop(key))

    def _judge_early(self, conn: int, copies: list[Copied]) -> None:
        """Count the copies of a message that nobody has said to have published."""
        if conn in self._lost or self.has_losses:
            self._ledger.owed += len(copies)
            self._ledger.unsettled += len(copies)
        else:  # No such message was sent.
            self._ledger.verdicts[Verdict.COPIES] -= len(copies)
            self._ledger.verdicts[Verdict.UNEXPECTED] += len(copies)

    def _has_joined_since(self, copy: Copied, publication: _Publication) -> bool:
        """Tell whether a copy is the first to a socket that joined after the message was sent."""
        published_before = self._rooms[copy.room].get(copy.receiver, 0)
        return (
            copy.room == publication.room
            and copy.receiver not in publication.late
            and published_before > publication.number
        )

    def _leave(self, room: int, conn: int) -> None:
        if self._rooms[room].pop(conn, None) is None:
            return
        for key, publication in list(self._open[room].items()):
            if conn in publication.owed:
                publication.owed.remove(conn)
                publication.is_whole = False
                self.awaited -= 1
                self._ledger.unsettled += 1
                if not publication.owed:
                    self._settle(key, publication)

    def _settle(self, key: Key, publication: _Publication) -> None:
        del self._open[publication.room][key]
        self._settled[key] = publication
        if len(self._settled) > REMEMBERED:
            (conn, seq), _ = self._settled.popitem(last=False)
            # Of a socket that has published since, one number tells of all. A scenario's message
            # has a number of its own, which would be kept for ever: a further copy counts as
            # unexpected from here on.
            if self._published.get(conn) == seq + 1:
                del self._published[conn]

    def lose(self, room: int, conn: int) -> None:
        """Note that a socket has ended whose messages are unknown, as its process died."""
        self._leave(room, conn)
        self._lost.add(conn)

    def members(self) -> Iterator[tuple[int, int]]:
        """Yield every socket that is in a room, with the room."""
        for room, conns in self._rooms.items():
            for conn in conns:
                yield room, conn

    def finish(self, *, interrupted: bool) -> None:
        """Count everything that will not come any more."""
        for (conn, _), copies in self._early.items():
            self._judge_early(conn, copies)
        self._early.clear()
        self._ledger.settle_copies(interrupted=interrupted)
        self.awaited = 0

    def end_second(self) -> None:
        """Sort the times recorded in this second into the histograms."""
        for recorder in (self.first, self.last, self.each):
            recorder.end_second()

    def result(self, clock_error_s: float | None = None) -> FanOut:
        """Return the times up to the last `end_second`."""
        return FanOut(
            first=self.first.total,
            last=self.last.total,
            each=self.each.total,
            clock_error_s=clock_error_s,
        )
