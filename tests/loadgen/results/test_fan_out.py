"""Copies are matched as a slow and obvious reference does, in one process and over many."""

import tracemalloc
from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from loadgen.processes.fan_out import SharedRooms
from loadgen.results.fan_out import (
    EARLY_US,
    REMEMBERED,
    Copied,
    EventLog,
    Joined,
    Left,
    Matcher,
    Published,
)  # fmt: skip
from loadgen.results.ledger import Ledger
from loadgen.results.verify import Verdict

ROOMS = 2
LAST_CONN = 7


class Reference:
    """Goes through all that has happened, for each message and each socket."""

    def __init__(self, events):
        self.events = events

    def members(self, room, moment):
        inside = set()
        for event in self.events:
            if event.at_us <= moment and getattr(event, "room", None) == room:
                if isinstance(event, Joined):
                    inside.add(event.conn)
                elif isinstance(event, Left):
                    inside.discard(event.conn)
        return inside

    def columns(self, *, interrupted):
        counts = Counter()
        joined = {event.conn: event.at_us for event in self.events if isinstance(event, Joined)}
        left = {event.conn for event in self.events if isinstance(event, Left)}
        messages = {(e.conn, e.seq): e for e in self.events if isinstance(e, Published)}
        copies = Counter((e.conn, e.seq, e.receiver) for e in self.events if isinstance(e, Copied))
        for message in messages.values():
            for receiver in self.members(message.room, message.at_us):
                counts["owed"] += 1
                if copies[message.conn, message.seq, receiver]:
                    counts["delivered"] += 1
                elif receiver in left:
                    counts["unsettled"] += 1
                else:
                    counts["in_flight" if interrupted else "missing"] += 1
        for (conn, seq, receiver), times in copies.items():
            if (message := messages.get((conn, seq))) is None:
                counts["unexpected"] += times
                continue
            if receiver in self.members(message.room, message.at_us):
                counts["extra"] += times - 1
            elif receiver % ROOMS == message.room and joined[receiver] > message.at_us:
                counts["owed"] += 1
                counts["unsettled"] += 1
                counts["extra"] += times - 1
            else:
                counts["extra"] += times
        return +counts

    def come_to_all(self):
        """Count the messages of which every socket that was owed a copy has got one."""
        copies = {(e.conn, e.seq, e.receiver) for e in self.events if isinstance(e, Copied)}
        messages = [event for event in self.events if isinstance(event, Published)]
        owed = [(each, self.members(each.room, each.at_us)) for each in messages]
        return sum(
            bool(receivers) and all((each.conn, each.seq, to) in copies for to in receivers)
            for each, receivers in owed
        )


@st.composite
def histories(draw):
    """What may happen: sockets join once and leave once; copies come to whoever is there."""
    events, inside, gone, sent = [], set(), set(), []
    at_us = 0
    for _ in range(draw(st.integers(0, 60))):
        at_us += draw(st.sampled_from([1, 10]))
        what = draw(st.sampled_from(["join", "leave", "publish", "publish", *["copy"] * 6]))
        if what == "join":
            conn = draw(st.integers(0, LAST_CONN))
            if conn not in inside | gone:
                inside.add(conn)
                events.append(Joined(at_us, conn % ROOMS, conn))
        elif not inside:
            continue
        elif what == "leave":
            conn = draw(st.sampled_from(sorted(inside)))
            inside.discard(conn)
            gone.add(conn)
            events.append(Left(at_us, conn % ROOMS, conn))
        elif what == "publish":
            conn = draw(st.sampled_from(sorted(inside)))
            seq = sum(sender == conn for sender, _ in sent)
            sent.append((conn, seq))
            events.append(Published(at_us, conn % ROOMS, conn, seq))
        else:
            receiver = draw(st.sampled_from(sorted(inside)))
            conn, seq = draw(st.sampled_from([*sent, (0, 99)]))
            events.append(Copied(at_us, receiver % ROOMS, receiver, conn, seq))
    return events


def columns(ledger):
    return +Counter(
        owed=ledger.owed, delivered=ledger.delivered, missing=ledger.missing,
        unsettled=ledger.unsettled, in_flight=ledger.copies_in_flight, extra=ledger.extra,
        unexpected=ledger.verdicts[Verdict.UNEXPECTED],
    )  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(histories(), st.booleans())
def test_one_process_counts_as_the_reference(events, interrupted):
    ledger = Ledger(0)
    matcher = Matcher(ledger)
    for event in events:
        matcher.take(event)
    assert matcher.awaited == Reference(events).columns(interrupted=True)["in_flight"]
    matcher.finish(interrupted=interrupted)
    assert columns(ledger) == Reference(events).columns(interrupted=interrupted)
    assert matcher.awaited == 0
    matcher.end_second()
    assert matcher.each.total.count == ledger.delivered
    assert matcher.last.total.count == Reference(events).come_to_all()
    assert matcher.last.total.count <= matcher.first.total.count <= ledger.delivered


@settings(max_examples=150, deadline=None)
@given(histories(), st.integers(1, 4), st.data())
def test_several_processes_count_as_one_however_their_tales_arrive(events, shards, data):
    """Each process tells of its own sockets, in its own pieces, by its own clock."""
    rooms = SharedRooms(shards)
    ahead_s = [data.draw(st.sampled_from([0.0, 5.0, -3.0])) for _ in range(shards)]
    tales = [[] for _ in range(shards)]
    for event in events:
        shard = getattr(event, "receiver", event.conn) % shards
        there_us = event.at_us + round(ahead_s[shard] * 1_000_000)
        tales[shard].append((event, there_us))
    told = [0] * shards
    while any(told[shard] < len(tales[shard]) for shard in range(shards)):
        shard = data.draw(st.integers(0, shards - 1))
        piece = tales[shard][told[shard] :][: data.draw(st.integers(1, 5))]
        if not piece:
            continue
        told[shard] += len(piece)
        kinds = [
            type(event)(there_us, *[getattr(event, name) for name in event.__struct_fields__[1:]])
            for event, there_us in piece
        ]
        log = EventLog()
        for event in kinds:
            log.take(event)
        rooms.note(shard, piece[-1][1], log.drain(), ahead_s[shard])
    for shard in range(data.draw(st.integers(0, shards))):
        rooms.end(shard)
    rooms.finish(interrupted=False)
    assert columns(rooms.ledger) == Reference(events).columns(interrupted=False)
    assert rooms.awaited == 0


def test_events_wait_until_every_process_has_told_up_to_their_moment_and_no_longer():
    rooms, ahead_us = SharedRooms(2), 5_000_000
    joins, says = Joined(ahead_us + 1, 0, 0), Published(ahead_us + 100, 0, 0, 0)
    rooms.note(0, ahead_us + 100, [joins, says], 5)
    rooms.note(1, ahead_us + 50, [Joined(ahead_us + 2, 0, 1)], 5)
    assert (rooms.ledger.owed, rooms.awaited) == (0, 1)
    rooms.note(1, ahead_us + 100, [Joined(ahead_us + 60, 0, 3)], 5)
    assert (rooms.ledger.owed, rooms.awaited) == (3, 3)


def test_copies_of_what_a_dead_process_sent_are_nobodys_fault():
    rooms = SharedRooms(2)
    rooms.note(0, 100, [Joined(1, 0, 0), Copied(50, 0, 0, 1, 7)])
    rooms.note(1, 20, [Joined(2, 0, 1)])
    rooms.lose(1, [(0, 1)])
    rooms.finish(interrupted=False)
    assert columns(rooms.ledger) == {"owed": 1, "unsettled": 1}


def test_latencies_are_from_when_the_message_was_sent_to_the_first_the_last_and_each_copy():
    matcher = Matcher(Ledger(0))
    for conn in (0, 2, 4):
        matcher.take(Joined(conn, 0, conn))
    matcher.take(Published(1000, 0, 0, 0))
    for receiver, at_us in ((4, 1300), (0, 1100 + 400), (2, 2500)):
        matcher.take(Copied(at_us, 0, receiver, 0, 0))
    matcher.end_second()
    fan_out = matcher.result()
    shown = {
        name: (one.count, one.min, one.max)
        for name in ("first", "last", "each")
        for one in [getattr(fan_out, name)]
    }
    assert shown == {"first": (1, 300, 300), "last": (1, 1500, 1500), "each": (3, 300, 1500)}


def test_messages_that_have_come_to_all_are_forgotten_and_copies_of_none_as_well():
    """Number each message by itself, as a scenario does in a run that may last for days."""
    matcher = Matcher(ledger := Ledger(0))
    matcher.take(Joined(0, 0, 1))

    def exchange(first, step_us=EARLY_US // REMEMBERED + 1):
        for number in range(first, first + 2 * REMEMBERED):
            at_us = number * step_us
            matcher.take(Published(at_us, 0, 1000 + number, 0))
            matcher.take(Published(at_us, 1, -1000 - number, 0))  # to a room with nobody in it
            matcher.take(Copied(at_us + 1, 0, 1, 1000 + number, 0))
            matcher.take(Copied(at_us + 1, 0, 1, 10**9 + number, 0))  # of what nobody sent
        matcher.end_second()
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        before, after = exchange(0), exchange(2 * REMEMBERED)
    finally:
        tracemalloc.stop()
    assert after < before * 1.1
    matcher.finish(interrupted=False)
    assert (ledger.owed, ledger.delivered) == (4 * REMEMBERED, 4 * REMEMBERED)
    assert ledger.verdicts[Verdict.UNEXPECTED] == 4 * REMEMBERED


def test_a_copy_that_came_before_its_message_is_judged_when_its_time_is_over_and_not_before():
    matcher = Matcher(Ledger(0))
    for conn in (0, 2):
        matcher.take(Joined(0, 0, conn))
    matcher.take(Copied(100, 0, 0, 2, 0))
    matcher.take(Copied(100 + EARLY_US, 0, 0, 2, 5))
    assert columns(matcher._ledger) == {}
    matcher.take(Copied(101 + EARLY_US, 0, 0, 2, 6))
    assert columns(matcher._ledger) == {"unexpected": 1}


def test_a_copy_to_one_who_joined_a_microsecond_after_its_message_is_unsettled():
    matcher = Matcher(ledger := Ledger(0))
    matcher.take(Joined(0, 0, 0))
    matcher.take(Published(1000, 0, 0, 0))
    matcher.take(Joined(1001, 0, 2))
    for receiver in (0, 2):
        matcher.take(Copied(1500, 0, receiver, 0, 0))
    matcher.finish(interrupted=False)
    assert columns(ledger) == {"owed": 2, "delivered": 1, "unsettled": 1}


def test_a_message_that_came_to_all_is_remembered_until_so_many_others_have():
    for others, column in ((REMEMBERED - 1, "unsettled"), (REMEMBERED, "unexpected")):
        matcher = Matcher(ledger := Ledger(0))
        matcher.take(Joined(0, 0, 1))
        for number in range(others + 1):
            matcher.take(Published(10, 0, 1000 + number, 0))
            matcher.take(Copied(11, 0, 1, 1000 + number, 0))
        matcher.take(Joined(20, 0, 3))
        matcher.take(Copied(30, 0, 3, 1000, 0))
        matcher.finish(interrupted=False)
        assert columns(ledger)[column] == 1


def test_a_second_copy_of_a_sockets_last_message_is_one_too_many_though_all_have_it():
    matcher = Matcher(ledger := Ledger(0))
    matcher.take(Joined(0, 0, 0))
    for seq in range(REMEMBERED + 5):
        matcher.take(Published(10 + seq, 0, 0, seq))
        matcher.take(Copied(10 + seq, 0, 0, 0, seq))
    matcher.take(Copied(10**6, 0, 0, 0, REMEMBERED + 4))
    matcher.take(Copied(10**6, 0, 0, 0, 0))  # forgotten itself, and older than one that is known
    assert columns(ledger)["extra"] == 2


def test_copies_of_what_nobody_is_known_to_have_sent_are_unsettled_once_a_process_has_died():
    """Who has published last in a dead process of a scenario is not known by number."""
    rooms = SharedRooms(2)
    rooms.note(0, 100, [Joined(1, 0, 0), Copied(50, 0, 0, 7, 0), Copied(60, 0, 0, 7, 0)])
    rooms.lose_messages()
    rooms.lose(1, [])
    rooms.finish(interrupted=False)
    assert columns(rooms.ledger) == {"owed": 2, "unsettled": 2}
    ledger = rooms.ledger
    assert ledger.owed == ledger.delivered + ledger.missing + ledger.unsettled
