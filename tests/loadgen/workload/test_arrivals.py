import itertools
import math
import statistics

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadgen.workload.arrivals import BLOCK, OwnArrivals
from loadgen.workload.pacing import Stage
from loadgen.workload.plan import Plan
from loadgen.workload.speeds import Speeds

RATE = 1000.0


def total_schedule(**settings):
    plan = Plan(10, **({"rate": RATE, "duration_s": 20.0, "arrivals": "poisson"} | settings))
    pace = plan.pace(plan.count)
    return [pace.due_at(k) for k in range(pace.total)]


def own_schedule(conns, *, rate=5.0, lasts_s=100.0, seed=0, at_most=math.inf):
    arrivals = OwnArrivals(conns, rate, lasts_s, seed, at_most)
    taken = []
    while arrivals.next_due_s is not None:
        due_s, place = arrivals.take()
        taken.append((due_s, conns[place]))
    return taken


def check_gaps(gaps, mean):
    """Hold gaps against the exponential distribution (Kolmogorov-Smirnov, at 0.1 %)."""
    assert statistics.mean(gaps) == pytest.approx(mean, rel=0.04)
    assert statistics.pstdev(gaps) == pytest.approx(mean, rel=0.06)
    ordered = sorted(gaps)
    furthest = max(
        abs((at + 0.5) / len(ordered) - (1 - math.exp(-gap / mean)))
        for at, gap in enumerate(ordered)
    )
    assert furthest < 1.95 / math.sqrt(len(ordered))


def test_the_gaps_between_all_sockets_messages_are_exponential():
    due = total_schedule()
    assert due == sorted(due)
    check_gaps([later - before for before, later in itertools.pairwise(due)], 1 / RATE)


def test_the_gap_between_two_blocks_is_as_long_as_any():
    between = []
    for seed in range(200):
        due = Plan(10, rate=RATE, duration_s=1.3, arrivals="poisson", seed=seed).pace(10)
        between.append(due.due_at(BLOCK) - due.due_at(BLOCK - 1))
    assert statistics.mean(between) * RATE == pytest.approx(1, abs=0.25)


def test_each_sockets_own_gaps_are_exponential_and_independent_of_the_others():
    taken = own_schedule(range(20))
    assert [due for due, _ in taken] == sorted(due for due, _ in taken)
    by_socket = [[due for due, conn in taken if conn == socket] for socket in range(20)]
    gaps = [b - a for due in by_socket for a, b in itertools.pairwise([0.0, *due])]
    check_gaps(gaps, 1 / 5.0)
    assert len({round(gap, 9) for gap in gaps}) == len(gaps)  # none was drawn for two messages
    counts = [len(due) for due in by_socket]
    # Of independent Poisson processes the variance of the counts is their mean.
    assert 0.4 < statistics.variance(counts) / statistics.mean(counts) < 2.0


def test_how_many_fall_due_is_random_and_fixed_by_the_seed():
    totals = [len(total_schedule(seed=seed)) for seed in range(40)]
    assert len(set(totals)) > 30
    assert statistics.mean(totals) == pytest.approx(20 * RATE, rel=0.005)
    assert 0.4 < statistics.variance(totals) / (20 * RATE) < 2.0
    assert total_schedule(seed=7) == total_schedule(seed=7)
    assert total_schedule(seed=7) != total_schedule(seed=8)


def test_what_is_due_by_a_moment_is_what_has_been_due_before():
    plan = Plan(10, rate=RATE, duration_s=5.0, arrivals="poisson", seed=5)
    pace = plan.pace(10)
    due = [pace.due_at(k) for k in range(pace.total)]
    for moment in (0.0, 0.0005, 0.5, 1.0, due[BLOCK - 1], due[BLOCK], 4.99, 5.0, 99.0):
        assert pace.due_by(moment) == sum(each <= moment for each in due)
    assert due[-1] <= 5.0


def test_messages_bound_how_many_there_are():
    assert len(total_schedule(messages=3)) == 30
    assert len(total_schedule(messages=3, duration_s=None)) == 30
    assert len(own_schedule(range(4), at_most=2, lasts_s=math.inf)) == 8


@settings(max_examples=30, deadline=None)
@given(
    shards=st.integers(1, 5),
    seed=st.integers(0, 2**64),
    load=st.sampled_from(
        [
            {"rate": 700.0, "duration_s": 3.0},
            {"stages": (Stage(2.0, 900.0), Stage(1.0, 0.0)), "duration_s": None, "rate": None},
        ]
    ),
)
def test_shards_together_have_the_schedule_of_one_process(shards, seed, load):
    plan = Plan(7, **({"arrivals": "poisson", "seed": seed} | load))
    whole = plan.pace(7)
    parts = [plan.shard(index, shards) for index in range(shards)]
    paces = [part.pace(part.count) for part in parts]
    merged = sorted(pace.due_at(k) for pace in paces for k in range(pace.total))
    assert merged == [whole.due_at(k) for k in range(whole.total)]


@settings(max_examples=30, deadline=None)
@given(shards=st.integers(1, 5), seed=st.integers(0, 2**64))
def test_sockets_have_their_own_schedule_whatever_process_they_are_in(shards, seed):
    plan = Plan(7, rate_per_conn=20.0, duration_s=2.0, arrivals="poisson", seed=seed)

    def schedule(part):
        own = part.own_arrivals(part.conns()[0])
        taken = []
        while own.next_due_s is not None:
            due_s, place = own.take()
            taken.append((due_s, part.conns()[0][place]))
        return taken

    parts = [schedule(plan.shard(index, shards)) for index in range(shards)]
    assert sorted(each for part in parts for each in part) == schedule(plan)


@pytest.mark.parametrize(
    ("arrivals", "least", "most"), [("even", 1.0, 1.001), ("poisson", 8.0, 14.0)]
)
def test_even_arrivals_flatter_a_server(arrivals, least, most):
    """At 80 % load of one queue: the 99th percentile, in service times (Lindley's recursion)."""
    pace = Plan(1, rate=800.0, duration_s=100.0, arrivals=arrivals).pace(1)
    free, took = 0.0, []
    for k in range(pace.total):
        due = pace.due_at(k)
        free = max(free, due) + 0.001
        took.append((free - due) / 0.001)
    assert least <= sorted(took)[int(len(took) * 0.99)] <= most


@pytest.mark.parametrize("factor", [0.25, 1.0, 3.0])
def test_a_load_ends_at_its_time_however_fast_it_goes(factor):
    arrivals, taken = OwnArrivals(range(50), 5.0, 20.0, seed=3), []
    arrivals.steer(Speeds().then(0.0, factor))
    while (next_s := arrivals.next_due_s) is not None:
        due_s, _ = arrivals.take()
        assert due_s == next_s
        taken.append(due_s)
    assert taken == sorted(taken)
    assert 19.0 < taken[-1] < 20.0
    assert len(taken) == pytest.approx(50 * 5.0 * 20.0 * factor, rel=0.1)


def test_no_more_arrive_than_there_are_messages_however_late_it_is():
    for lasts in ({"duration_s": 20.0}, {"duration_s": None}):
        pace = Plan(10, rate=RATE, messages=7, arrivals="poisson", **lasts).pace(10)
        last_s = pace.due_at(69)
        due = [pace.due_by(at_s) for at_s in (last_s - 1e-9, last_s + 1e-9, 19.0, 20.0)]
        assert due == [69, 70, 70, 70]


@pytest.mark.parametrize(("rate", "at_most"), [(0.0, math.inf), (0.0, 3), (5.0, 0)])
def test_without_a_rate_or_messages_nothing_ever_arrives(rate, at_most):
    arrivals = OwnArrivals(range(3), rate, 100.0, 0, at_most)
    assert (arrivals.next_due_s, arrivals.is_exhausted) == (None, True)
