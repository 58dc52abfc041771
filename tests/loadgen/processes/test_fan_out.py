"""Rooms of several processes are matched in the order of time, however each tells of its own."""

from hypothesis import given, settings
from hypothesis import strategies as st

from loadgen.processes.fan_out import SharedRooms
from loadgen.results.fan_out import Copied, EventLog, Joined, Left, Published

from ..rooms import Reference, columns, histories


@settings(max_examples=100, deadline=None)
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


def test_events_of_one_moment_are_taken_in_the_order_in_which_they_were_told():
    """Told of by one process or by two; the last to leave is owed what was said before."""
    rooms = SharedRooms(2)
    rooms.note(0, 9, [Joined(5, 0, 0), Published(5, 0, 0, 0), Copied(5, 0, 0, 0, 0), Left(5, 0, 0)])
    rooms.note(1, 9, [Joined(5, 0, 1), Published(5, 0, 1, 0)])
    rooms.finish(interrupted=True)
    assert columns(rooms.ledger) == {"owed": 2, "delivered": 1, "in_flight": 1}


def test_who_has_ended_is_not_waited_for_and_what_it_told_last_is_taken():
    rooms = SharedRooms(3)
    rooms.note(0, 100, [Joined(1, 0, 0), Published(90, 0, 0, 0)])
    rooms.end(1)
    rooms.note(2, 50, [Joined(60, 0, 2)])
    assert (rooms.ledger.owed, rooms.awaited) == (0, 2)
    rooms.end(2)
    assert (rooms.ledger.owed, rooms.awaited) == (2, 2)


def test_the_sockets_of_a_dead_process_are_in_no_room_and_are_found_by_their_numbers():
    rooms = SharedRooms(2)
    rooms.note(0, 100, [Joined(conn, conn % 2, conn) for conn in range(0, 10, 2)])
    rooms.note(1, 100, [Joined(conn, conn % 2, conn) for conn in range(1, 10, 2)])
    theirs = rooms.find_sockets(lambda conn: conn % 2 == 1)
    assert sorted(theirs) == [(1, conn) for conn in range(1, 10, 2)]
    rooms.lose(1, theirs)
    assert rooms.find_sockets(lambda conn: conn % 2 == 1) == []
    assert len(rooms.find_sockets(lambda _: True)) == 5
    # What is said from here on is owed to nobody who is gone, and nobody is waited for.
    rooms.note(0, 200, [Published(150, 1, 0, 0), Published(160, 0, 0, 1)])
    assert (rooms.ledger.owed, rooms.awaited) == (5, 5)
    rooms.finish(interrupted=False)
    assert columns(rooms.ledger) == {"owed": 5, "missing": 5}


def test_times_are_by_one_clock_and_told_with_its_error():
    rooms, ahead_s = SharedRooms(2), 7.0
    rooms.note(0, 1000, [Joined(1, 0, 0), Published(100, 0, 0, 0)])
    rooms.note(1, 7_001_000, [Joined(7_000_002, 0, 1), Copied(7_000_350, 0, 1, 0, 0)], ahead_s)
    fan_out = rooms.result(0.25)
    assert (fan_out.each.state.counts, fan_out.clock_error_s) == ({250: 1}, 0.25)
    assert rooms.result(None).clock_error_s is None
