"""Schedules that are raised, lowered and paused while they go."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.workload.arrivals import OwnArrivals
from loadgen.workload.pacing import Stage, Steady
from loadgen.workload.plan import Plan
from loadgen.workload.speeds import Speeds, Steered

PLANS = {
    "steady": Plan(6, rate=50.0, duration_s=10.0),
    "each": Plan(6, rate_per_conn=8.0, duration_s=10.0),
    "stages": Plan(6, stages=(Stage(4, 60), Stage(0, 10), Stage(6, 0))),
    "poisson": Plan(6, rate=50.0, duration_s=10.0, arrivals="poisson", seed=3),
    "messages": Plan(6, rate=50.0, messages=70),
}

moments = st.integers(0, 100).map(lambda tenth: tenth / 10)
factors = st.sampled_from([0.0, 0.5, 1.0, 1.1, 3.0])


@st.composite
def changes(draw):
    speeds = Speeds()
    for at_s in sorted(draw(st.lists(moments, max_size=4))):
        speeds = speeds.then(at_s, draw(factors))
    return speeds


def due_of(pace):
    return [pace.due_at(k) for k in range(pace.total)]


@given(st.sampled_from(sorted(PLANS)), changes())
def test_what_was_due_before_a_change_stays_and_a_pause_has_nothing_due(name, speeds):
    plan = PLANS[name]
    due = due_of(plan.pace(6, speeds))
    assert due == sorted(due)
    first_s = speeds.steps[0][0] if speeds.steps else math.inf
    planned = [each for each in due_of(plan.pace(6)) if each < first_s]
    assert due[: len(planned)] == pytest.approx(planned)
    for begin, end, factor in speeds.spans():
        if not factor:
            assert not [each for each in due if begin + 1e-6 < each < end - 1e-6]


@given(st.sampled_from(sorted(PLANS)), changes(), moments)
def test_what_is_due_by_a_moment_is_what_has_been_due_before(name, speeds, moment):
    pace = PLANS[name].pace(6, speeds)
    by_then = [each for each in due_of(pace) if each <= moment]
    # One that is due at this very moment may count or not, as numbers are rounded.
    at_once = sum(abs(each - moment) < 1e-6 for each in due_of(pace))
    assert len(by_then) - at_once <= pace.due_by(moment) <= len(by_then) + at_once


@given(st.sampled_from(["steady", "each", "stages", "poisson"]), changes())
def test_the_shards_of_a_changed_load_send_what_one_process_would(name, speeds):
    whole = due_of(PLANS[name].pace(6, speeds))
    parts = [PLANS[name].shard(index, 2) for index in range(2)]
    dealt = [each for part in parts for each in due_of(part.pace(part.count, speeds))]
    assert sorted(dealt) == whole


@pytest.mark.parametrize(("name", "total"), [("steady", 500), ("each", 480), ("stages", 150)])
def test_a_pause_takes_away_what_would_have_been_due_and_a_raise_adds_to_it(name, total):
    plan = PLANS[name]
    held_back = plan.pace(6).due_by(6.0) - plan.pace(6).due_by(4.0)
    paused = plan.pace(6, Speeds().then(4.0, 0.0).then(6.0, 1.0))
    assert paused.total == total - held_back
    raised = plan.pace(6, Speeds().then(4.0, 2.0).then(6.0, 1.0))
    assert raised.total == total + held_back


def test_messages_of_a_number_are_put_off_by_a_pause_and_not_dropped():
    speeds = Speeds().then(2.0, 0.0)
    pace = PLANS["messages"].pace(6, speeds)
    assert (pace.total, pace.due_by(1e9), pace.due_at(100)) == (100, 100, math.inf)
    resumed = PLANS["messages"].pace(6, speeds.then(9.0, 1.0))
    assert (resumed.total, resumed.due_at(419)) == (420, pytest.approx(15.39))


@given(changes(), st.integers(0, 9))
def test_each_sockets_own_arrivals_keep_their_order_and_lose_none(speeds, number):
    def schedule(at_s, changed):
        arrivals, taken = OwnArrivals(range(3), 4.0, 10.0, number), []
        while (due_s := arrivals.next_due_s) is not None:
            if changed and due_s >= at_s:
                arrivals.steer(speeds)
                changed = False
                continue
            taken.append(arrivals.take())
        return taken

    first_s = speeds.steps[0][0] if speeds.steps else 0.0
    # However it is changed, nothing falls due behind the load's end.
    assert all(due_s < 10.0 for due_s, _ in schedule(0.0, changed=True))
    # Changed when it happens, or known from the beginning: it comes to the same.
    assert schedule(first_s, changed=True) == schedule(0.0, changed=True)
    planned = [one for one in schedule(0.0, changed=False) if one[0] < first_s]
    assert schedule(0.0, changed=True)[: len(planned)] == planned


@given(changes(), st.floats(0, 20))
def test_own_time_and_elapsed_time_are_inverse(speeds, own_s):
    elapsed_s = speeds.elapsed(own_s)
    if math.isinf(elapsed_s):
        assert speeds.own_time(math.inf) < own_s
    else:
        assert speeds.own_time(elapsed_s) == pytest.approx(own_s)


#: Times and factors that floats hold exactly: at the very moment of a change nothing is rounded.
halves = st.integers(0, 12).map(lambda half: half / 2)
exact_factors = st.sampled_from([0.0, 0.5, 1.0, 2.0])


@given(st.lists(st.tuples(halves, exact_factors), max_size=4), st.integers(0, 20))
def test_something_falls_due_at_the_first_moment_at_which_so_much_was_due(changes, wanted):
    """Walk through the load in steps so small that whatever happens does so at one of them."""
    speeds = Speeds()
    for at_s, factor in sorted(changes, key=lambda change: change[0]):
        speeds = speeds.then(at_s, factor)
    step_s, done, at_s = 1 / 16, 0.0, 0.0
    while done < wanted / 4 and at_s < 64.0:
        # Of several changes at one moment the last holds, from that moment on.
        factor = next((by for from_s, by in reversed(speeds.steps) if from_s <= at_s), 1.0)
        assert speeds.at(at_s) == factor
        done += factor * step_s
        at_s += step_s
    first_s = at_s if done >= wanted / 4 else math.inf
    found_s = speeds.elapsed(wanted / 4)
    assert found_s == first_s if first_s < math.inf else found_s > 60.0
    pace = Steered(Steady.lasting(1.0, 1000.0), speeds)
    assert pace.time_of(wanted / 4) == pytest.approx(found_s)
    if first_s < math.inf:
        assert pace.ideal_by(first_s) == speeds.own_time(first_s) == pytest.approx(wanted / 4)


def test_a_change_that_comes_late_does_not_change_the_past():
    assert Speeds().then(3.0, 2.0).then(2.0, 0.0).steps == ((3.0, 2.0), (3.0, 0.0))


def test_users_that_arrive_go_on_from_where_they_were():
    plan = Plan(5, scenario="s.py", arrive=10.0, duration_s=4.0)
    speeds = Speeds().then(1.0, 0.0).then(2.0, 2.0)
    users = list(plan.due_arrivals(speeds))
    assert [number for number, _ in users] == list(range(50))
    assert list(plan.due_arrivals(speeds, 20)) == users[20:]
    shards = [list(plan.shard(index, 2).due_arrivals(speeds)) for index in range(2)]
    assert sorted(shards[0] + shards[1]) == users
