"""Over any window the number due differs from the ideal by less than one."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from loadgen.pacing import OpenLoop

#: `due_by` reads its clock in microseconds of a message.
WHISKER = 1e-5

schedules = st.builds(
    OpenLoop.of,
    st.integers(1, 20_000),
    st.floats(0.01, 1000),
    st.floats(0, 3600),
    st.none() | st.integers(1, 1000),
)
running = schedules.filter(lambda pace: pace.total > 0)


@given(running, st.floats(0, 1), st.floats(0, 1))
def test_over_any_window_the_number_due_differs_from_the_ideal_by_less_than_one(pace, a, b):
    start, end = sorted(share * pace.total / pace.rate_per_s for share in (a, b))
    due = pace.due_by(end) - pace.due_by(start)
    assert abs(due - (end - start) * pace.rate_per_s) < 1 + WHISKER


@given(running, st.floats(0, 1))
def test_from_the_start_the_number_due_is_the_ideal_rounded(pace, share):
    elapsed_s = share * pace.total / pace.rate_per_s
    assert abs(pace.due_by(elapsed_s) - elapsed_s * pace.rate_per_s) <= 0.5 + WHISKER


@given(running, st.integers(0, 10**9))
def test_a_message_is_due_when_its_moment_has_come_and_not_before(pace, k):
    k %= pace.total
    moment = pace.due_at(k)
    assert pace.due_by(moment) == k + 1
    assert pace.due_by(max(moment - 0.01 / pace.rate_per_s, 0)) == k


@given(running)
def test_no_message_is_due_before_the_start_or_after_the_end(pace):
    assert pace.due_by(0) == 0
    assert pace.due_at(0) > 0
    assert pace.due_at(pace.total - 1) < pace.total / pace.rate_per_s
    assert pace.due_by(1e12) == pace.total


@given(running, st.integers(0, 10**9), st.integers(1, 500))
def test_over_any_stretch_of_messages_the_sockets_turns_differ_by_one_at_most(pace, start, length):
    turns = Counter(pace.socket_of(k) for k in range(start, start + length))
    counts = [turns[sock] for sock in range(min(pace.sockets, 1000))]
    assert max(counts) - min(counts) <= 1


@given(running, st.integers(0, 10**6))
def test_each_socket_has_its_turn_every_period(pace, k):
    period_s = pace.due_at(k + pace.sockets) - pace.due_at(k)
    assert pace.socket_of(k + pace.sockets) == pace.socket_of(k)
    assert abs(period_s * pace.rate_per_s / pace.sockets - 1) < 1e-6
