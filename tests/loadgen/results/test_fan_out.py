"""Copies are matched as a slow and obvious reference does; several processes: processes/."""

import tracemalloc

from hypothesis import given, settings
from hypothesis import strategies as st

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

from ..rooms import Reference, columns, histories


@settings(max_examples=150, deadline=None)
@given(histories(steps_us=(0, 1, 10)), st.booleans())
def test_one_process_counts_as_the_reference(events, interrupted):
    ledger = Ledger(0)
    matcher = Matcher(ledger)
    for event in events:
        matcher.take(event)
    reference = Reference(events)
    assert matcher.awaited == reference.columns(interrupted=True)["in_flight"]
    matcher.finish(interrupted=interrupted)
    assert columns(ledger) == reference.columns(interrupted=interrupted)
    assert matcher.awaited == 0
    matcher.end_second()
    fan_out = matcher.result(0.5)
    for name, times in reference.times().items():
        assert getattr(fan_out, name).state.counts == times, name
    assert fan_out.clock_error_s == 0.5


def test_a_log_has_what_was_told_since_it_was_read_and_awaits_nothing():
    log = EventLog()
    said = [Joined(1, 0, 2), Published(3, 0, 2, 0), Copied(4, 0, 2, 2, 0), Left(5, 0, 2)]
    for event in said:
        if isinstance(event, Copied):
            log.take_copy(event.at_us, event.room, event.receiver, (event.conn, event.seq))
        else:
            log.take(event)
    assert (log.drain(), log.awaited) == (said, 0)
    log.take(said[0])
    assert (log.drain(), log.drain()) == (said[:1], [])


def test_a_copy_that_came_by_its_clock_before_its_message_is_one_that_took_no_time():
    matcher = Matcher(ledger := Ledger(0))
    for conn in (0, 2):
        matcher.take(Joined(0, 0, conn))
    for receiver in (0, 2, 2):
        matcher.take(Copied(90, 0, receiver, 0, 0))
    matcher.take(Published(100, 0, 0, 0))
    matcher.take(Published(200, 0, 0, 1))
    matcher.finish(interrupted=False)
    assert columns(ledger) == {"owed": 4, "delivered": 2, "extra": 1, "missing": 2}
    matcher.end_second()
    assert matcher.each.total.state.counts == {0: 2}


def test_a_copy_in_another_room_is_one_too_many_also_of_a_message_that_has_come_to_all():
    for comes_to_all in (True, False):
        matcher = Matcher(ledger := Ledger(0))
        matcher.take(Joined(0, 0, 0))
        matcher.take(Published(10, 0, 0, 0))
        if comes_to_all:
            matcher.take(Copied(11, 0, 0, 0, 0))
        matcher.take(Joined(20, 1, 1))
        matcher.take(Copied(30, 1, 1, 0, 0))
        assert columns(ledger)["extra"] == 1


def test_of_who_is_lost_nothing_is_owed_and_copies_of_what_it_may_have_said_are_unsettled():
    for has_losses in (False, True):
        matcher = Matcher(ledger := Ledger(0))
        for room, conn in ((0, 0), (0, 2), (1, 1)):
            matcher.take(Joined(0, room, conn))
        matcher.take(Published(10, 0, 0, 0))
        matcher.lose(0, 2)
        matcher.lose(0, 2)
        matcher.lose(1, 7)  # was in no room
        assert (matcher.awaited, sorted(matcher.members())) == (1, [(0, 0), (1, 1)])
        matcher.has_losses = has_losses
        for _ in range(2):
            matcher.take(Copied(20, 0, 0, 2, 5))
        matcher.take(Copied(20, 1, 1, 9, 5))  # of who is not known to be lost
        ledger.verdicts[Verdict.COPIES] = 3
        matcher.finish(interrupted=False)
        told = {"owed": 4 + has_losses, "unsettled": 3 + has_losses, "missing": 1}
        assert columns(ledger) == told | ({} if has_losses else {"unexpected": 1})
        assert ledger.verdicts[Verdict.COPIES] == 2 + has_losses
        assert not matcher._early


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
    matcher.take(Copied(100 + 60_000_000, 0, 0, 2, 5))
    assert columns(matcher._ledger) == {}
    matcher.take(Copied(101 + 60_000_000, 0, 0, 2, 6))
    assert columns(matcher._ledger) == {"unexpected": 1}


def test_a_copy_to_one_who_joined_right_after_its_message_is_unsettled():
    for joined_us in (1000, 1001):  # in the same microsecond, and in the next
        matcher = Matcher(ledger := Ledger(0))
        matcher.take(Joined(0, 0, 0))
        matcher.take(Published(1000, 0, 0, 0))
        matcher.take(Joined(joined_us, 0, 2))
        for receiver in (0, 2):
            matcher.take(Copied(1500, 0, receiver, 0, 0))
        matcher.finish(interrupted=False)
        assert columns(ledger) == {"owed": 2, "delivered": 1, "unsettled": 1}


def test_a_message_that_came_to_all_is_remembered_until_so_many_others_have():
    for others, column in ((4095, "unsettled"), (4096, "unexpected")):
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


def test_each_copy_that_is_judged_when_its_time_is_over_is_judged_by_its_own_socket():
    matcher = Matcher(ledger := Ledger(0))
    matcher.take(Joined(0, 0, 0))
    matcher.lose(0, 7)
    for conn, seq in ((7, 3), (5, 9)):
        matcher.take(Copied(100, 0, 0, conn, seq))
    matcher.take(Copied(100 + 2 * EARLY_US, 0, 0, 11, 0))
    assert columns(ledger) == {"owed": 1, "unsettled": 1, "unexpected": 1}


def test_a_second_copy_to_one_who_joined_just_before_its_message_is_one_too_many():
    matcher = Matcher(ledger := Ledger(0))
    matcher.take(Joined(10, 0, 1))
    matcher.take(Published(10, 0, 0, 0))  # in the same microsecond, to whoever is there
    for _ in range(2):
        matcher.take(Copied(11, 0, 1, 0, 0))
    assert columns(ledger) == {"owed": 1, "delivered": 1, "extra": 1}
