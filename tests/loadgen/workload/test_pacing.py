import math
from itertools import chain, pairwise

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from loadgen.workload.pacing import Ramps, Share, Stage, Steady
from loadgen.workload.plan import Plan
from loadgen.workload.speeds import Speeds, Steered


@pytest.mark.parametrize(
    ("rate_per_s", "duration_s", "at_most", "total"),
    [
        pytest.param(20.0, 5.0, float("inf"), 100, id="as-many-as-the-duration-holds"),
        pytest.param(20.0, 5.0, 30, 30, id="no-more-than-that"),
        pytest.param(20.0, float("inf"), 30, 30, id="without-end"),
        pytest.param(0.0, 5.0, float("inf"), 0, id="held-idle"),
        pytest.param(0.0, float("inf"), 30, 0, id="idle-without-end"),
        pytest.param(100.0, 0.29, float("inf"), 29, id="a-float-just-below"),
        pytest.param(10.0, 0.0, float("inf"), 0, id="no-time"),
    ],
)
def test_the_total_of_a_steady_schedule(rate_per_s, duration_s, at_most, total):
    assert Steady.lasting(rate_per_s, duration_s, at_most).total == total


def test_messages_are_evenly_spread_from_half_a_period_on():
    pace = Steady.lasting(4.0, 10.0)
    assert [pace.due_at(k) for k in range(4)] == [0.125, 0.375, 0.625, 0.875]


@pytest.mark.parametrize(
    "pace",
    [
        pytest.param(Steady.lasting(4.0, 10.0), id="steady"),
        pytest.param(Ramps([Stage(10.0, 8.0)]), id="ramp"),
    ],
)
def test_nothing_is_due_beyond_the_total(pace):
    assert pace.due_by(1e9) == pace.total == 40


def test_a_message_is_due_at_the_moment_it_is_due():
    pace = Steady.lasting(21.0, 10.0)
    assert all(pace.due_by(pace.due_at(k)) == k + 1 for k in range(pace.total))


def test_the_first_stage_begins_at_nothing():
    # 100 t²/2 messages by t, so the first half is due at 0.1 s.
    pace = Ramps([Stage(1.0, 100.0)])
    assert pace.total == 50
    assert pace.due_at(0) == pytest.approx(0.1)
    assert pace.due_at(49) == pytest.approx((2 * 49.5 / 100) ** 0.5)


@pytest.mark.parametrize(
    ("stages", "moments"),
    [
        pytest.param([(0.0, 2.0), (2.0, 2.0)], [0.25, 0.75, 1.25, 1.75], id="a-step"),
        pytest.param(
            [(0.0, 1.0), (1.0, 1.0), (0.0, 0.0), (5.0, 0.0), (0.0, 1.0), (1.0, 1.0)],
            [0.5, 6.5],
            id="a-pause",
        ),
        pytest.param([(2.0, 2.0), (2.0, 0.0)], [2**0.5 / 2**0.5, 6**0.5 / 2**0.5, 4 - 3**0.5, 3.0],
                     id="up-and-down"),
    ],
)  # fmt: skip
def test_stages_are_steps_pauses_and_ramps(stages, moments):
    pace = Ramps([Stage(*stage) for stage in stages])
    assert pace.total == len(moments)
    assert [pace.due_at(k) for k in range(pace.total)] == pytest.approx(moments)


def test_shares_are_dealt_by_the_sockets_turns():
    whole = Steady.lasting(10.0, 1.0)
    first, second = (Share(whole, index=index, shards=2, sockets=3) for index in (0, 1))
    # Sockets 0 and 2 are the first shard's, socket 1 is the second's.
    assert [first.due_at(k) for k in range(first.total)] == [
        whole.due_at(k) for k in (0, 2, 3, 5, 6, 8, 9)
    ]
    assert [second.due_at(k) for k in range(second.total)] == [whole.due_at(k) for k in (1, 4, 7)]


# -- Properties ------------------------------------------------------------------------------------
# Over any window the number due differs from the ideal by less than one.


#: `due_by` reads its clock in microseconds of a message.
WHISKER = 1e-5

steady = st.builds(
    Steady.lasting,
    st.floats(0.01, 20_000_000),
    st.floats(0, 3600),
    st.just(math.inf) | st.integers(1, 20_000_000),
)
stages = st.lists(
    st.builds(
        Stage,
        st.just(0.0) | st.floats(0.01, 600),
        st.just(0.0) | st.floats(0.1, 100_000),
    ),
    min_size=1,
    max_size=8,
)
ramps = stages.map(Ramps)


def length_s(pace):
    return pace.due_at(pace.total - 1)


@given(steady.filter(lambda pace: pace.total > 0), st.floats(0, 1), st.floats(0, 1))
def test_over_any_window_of_a_steady_rate_the_number_due_is_the_ideal_but_for_less_than_one(
    pace, a, b
):
    start, end = sorted(share * pace.total / pace.rate_per_s for share in (a, b))
    due = pace.due_by(end) - pace.due_by(start)
    assert abs(due - (end - start) * pace.rate_per_s) < 1 + WHISKER


def integrate(stages, until_s):
    """The area below the rate, by trapezoids: nothing of how the schedule itself computes."""
    area, began_s, rate = 0.0, 0.0, 0.0
    for stage in stages:
        share = min(max(until_s - began_s, 0) / stage.duration_s, 1) if stage.duration_s else 0
        reached = rate + (stage.rate_per_s - rate) * share
        area += stage.duration_s * share * (rate + reached) / 2
        began_s, rate = began_s + stage.duration_s, stage.rate_per_s
    return area


@given(stages, st.floats(0, 1), st.floats(0, 1))
def test_over_any_window_of_the_stages_the_number_due_is_the_ideal_but_for_less_than_one(
    stages, a, b
):
    pace = Ramps(stages)
    whole_s = sum(stage.duration_s for stage in stages)
    start, end = sorted(share * whole_s for share in (a, b))
    ideal = integrate(stages, end) - integrate(stages, start)
    assert abs(pace.due_by(end) - pace.due_by(start) - ideal) < 1 + WHISKER


@given(stages)
def test_the_stages_together_call_for_the_area_below_the_rate(stages):
    ideal = integrate(stages, sum(stage.duration_s for stage in stages))
    assert abs(Ramps(stages).total - ideal) <= 0.5 + WHISKER


@given((steady | ramps).filter(lambda pace: pace.total > 0), st.integers(0, 10**9))
def test_a_message_is_due_when_its_moment_has_come_and_not_before(pace, k):
    k %= pace.total
    moment = pace.due_at(k)
    # As far as floating point can tell one message from the next.
    later = pace.due_by(moment * (1 + 1e-12) + 1e-9)
    assert later >= k + 1
    assert pace.due_by(moment * (1 - 1e-9) - 1e-9) <= k + 1


@given(steady.filter(lambda pace: pace.total > 0), st.integers(0, 10**9))
def test_at_a_steady_rate_exactly_the_messages_before_are_due_before(pace, k):
    k %= pace.total
    moment = pace.due_at(k)
    assert pace.due_by(moment) == k + 1
    assert pace.due_by(max(moment - 0.01 / pace.rate_per_s, 0)) == k


@given((steady | ramps).filter(lambda pace: pace.total > 1), st.integers(0, 10**9))
def test_messages_are_due_one_after_the_other(pace, k):
    k %= pace.total - 1
    assert pace.due_at(k) <= pace.due_at(k + 1)


@given((steady | ramps).filter(lambda pace: pace.total > 0))
def test_no_message_is_due_before_the_start_or_after_the_end(pace):
    assert pace.due_by(0) == 0
    assert pace.due_at(0) > 0
    assert pace.due_by(length_s(pace) + 1) == pace.due_by(1e12) == pace.total


# -- Shards -----------------------------------------------------------------------------------

small = st.builds(Steady.lasting, st.floats(0.1, 500), st.floats(0, 4)) | st.lists(
    st.builds(Stage, st.floats(0.01, 2), st.floats(0, 300)), min_size=1, max_size=4
).map(Ramps)


@given(small, st.integers(1, 40), st.integers(1, 8))
def test_each_message_is_in_exactly_one_share_at_its_own_moment(whole, sockets, shards):
    assume(shards <= sockets)
    shares = [Share(whole, index=i, shards=shards, sockets=sockets) for i in range(shards)]
    assert sum(share.total for share in shares) == whole.total
    moments = sorted(share.due_at(k) for share in shares for k in range(share.total))
    assert moments == sorted(whole.due_at(k) for k in range(whole.total))


@given(small, st.integers(1, 40), st.integers(1, 8), st.floats(0, 10))
def test_at_any_moment_the_shares_together_have_as_many_due_as_the_whole(
    whole, sockets, shards, elapsed_s
):
    assume(shards <= sockets)
    shares = [Share(whole, index=i, shards=shards, sockets=sockets) for i in range(shards)]
    assert sum(share.due_by(elapsed_s) for share in shares) == whole.due_by(elapsed_s)
    for share in shares:
        moments = [share.due_at(k) for k in range(share.total)]
        assert all(one <= other for one, other in pairwise(moments))


loads = st.one_of(
    st.builds(dict, rate_per_conn=st.floats(0.1, 20)),
    st.builds(dict, rate=st.floats(0.1, 200)),
    st.builds(dict, rate=st.floats(0.1, 200), messages=st.integers(1, 5)),
    st.builds(
        dict, stages=st.lists(st.builds(Stage, st.floats(0.1, 2), st.floats(0, 300)), min_size=1)
        .map(tuple)
    ),
)  # fmt: skip


@given(
    st.integers(1, 60), st.integers(1, 8), loads, st.none() | st.floats(1, 100), st.integers(0, 9)
)
def test_shards_together_are_the_plan(count, shards, load, connect_rate, seed):
    assume(shards <= count)
    plan = Plan(count, connect_rate=connect_rate, seed=seed, **load)
    parts = [plan.shard(i, shards) for i in range(shards)]
    assert sum(part.count for part in parts) == count
    conns = [[part.conn(number) for number in range(part.count)] for part in parts]
    assert sorted(chain.from_iterable(conns)) == list(range(count))
    # A message is the same, whoever sends it, and so is the moment it is due.
    whole = plan.pace(count)
    expected = {(k % count, k // count, whole.due_at(k)) for k in range(whole.total)}
    sent = set()
    for part, own in zip(parts, conns, strict=True):
        pace = part.pace(part.count)
        sent |= {(own[k % len(own)], k // len(own), pace.due_at(k)) for k in range(pace.total)}
        for conn in own[:3]:
            assert part.payloads().render(conn, 5) == plan.payloads().render(conn, 5)
    assert sent == expected
    if connect_rate is not None:
        assert math.isclose(sum(part.connect_rate for part in parts), connect_rate)
    assert sum(part.connect_concurrency for part in parts) == plan.connect_concurrency


@given(st.integers(1, 300), st.integers(1, 20), st.integers(1, 20))
def test_local_addresses_are_dealt_out_to_the_shards(addresses, shards, count):
    assume(shards <= count)
    plan = Plan(count, source_ips=(f"10.0.0.0-10.0.{addresses // 256}.{addresses % 256}",))
    dealt = [list(plan.shard(i, shards).sources()) for i in range(shards)]
    if addresses + 1 >= shards:
        assert sorted(chain.from_iterable(dealt)) == sorted(plan.sources())
    assert all(dealt)


def test_the_ideal_of_a_schedule_ends_with_its_time():
    for pace in (Steady.lasting(4.0, 10.0), Ramps([Stage(10.0, 8.0)])):
        assert [pace.ideal_by(at_s) for at_s in (10.0, 10.5, math.inf)] == [40.0] * 3
        assert pace.ideal_total == 40.0


def test_the_ideal_goes_on_behind_the_last_message_so_that_a_slower_run_sends_as_many():
    pace = Steady.lasting(20.0, 5.0, 30)
    assert (pace.total, pace.ideal_total) == (30, 100.0)
    assert [pace.ideal_by(at_s) for at_s in (1.0, 2.0, 5.0, 6.0)] == [20.0, 40.0, 100.0, 100.0]
    slower = Steered(pace, Speeds().then(1.0, 0.5), 30)
    assert (slower.total, slower.due_by(1.0), slower.due_by(2.0)) == (30, 20, 30)
