"""What is due, and when, is what the plan says, whoever computes it and of however many shards."""

import math
from itertools import chain

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.workload.arrivals import OwnArrivals
from loadgen.workload.pacing import Stage
from loadgen.workload.plan import Plan
from loadgen.workload.speeds import Speeds

RATE = {"rate": 20.0, "duration_s": 3.0}


def drained(arrivals):
    taken = []
    while arrivals.next_due_s is not None:
        taken.append(arrivals.take())
    return taken


def moments_of(pace):
    return [pace.due_at(k) for k in range(pace.total)]


@pytest.mark.parametrize(
    ("settings", "load_s"),
    [
        ({}, 10.0),
        ({"duration_s": 3.0}, 3.0),
        ({"duration_s": 0.0}, 0.0),
        ({"messages": 5}, math.inf),
        ({"messages": 5, "duration_s": 3.0}, 3.0),
        ({"stages": (Stage(2, 1), Stage(0, 5), Stage(0.5, 1))}, 2.5),
    ],
    ids=str,
)
def test_a_load_is_as_long_as_its_stages_or_its_duration(settings, load_s):
    assert Plan(3, **settings).load_s == load_s


@pytest.mark.parametrize(
    ("settings", "total", "sends", "own"),
    [
        ({}, 7.0, True, True),
        ({"rate_per_conn": 0.0}, 0.0, False, True),
        ({"rate_per_conn": 0.5}, 3.5, True, True),
        ({"rate": 5.0}, 5.0, True, False),
        ({"rate": 0.0}, 0.0, False, False),
        ({"closed_loop": True}, 7.0, True, True),
        ({"stages": (Stage(1, 0), Stage(1, 0))}, 7.0, False, False),
        ({"stages": (Stage(1, 0), Stage(1, 5))}, 7.0, True, False),
    ],
    ids=str,
)
def test_a_rate_is_of_each_socket_or_of_all(settings, total, sends, own):
    plan = Plan(3, **settings)
    assert (plan.total_rate(7), plan.is_to_send, plan.is_rate_each_sockets_own) == (
        total, sends, own,
    )  # fmt: skip


SETTINGS = [
    {"rate_per_conn": 2.0, "duration_s": 3.0},
    RATE,
    {"stages": (Stage(1, 30), Stage(2, 10))},
    {"messages": 4},
    {"messages": 4, "duration_s": 2.0, "rate_per_conn": 3.0},
    {"arrivals": "poisson", **RATE},
    {"arrivals": "poisson", "messages": 2, "seed": 7},
]


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@given(sockets=st.integers(1, 9), shards=st.integers(1, 9),
       changes=st.lists(st.tuples(st.floats(0, 3), st.sampled_from([0.0, 0.5, 1.0, 2.0])),
                        max_size=2))  # fmt: skip
def test_all_shards_together_send_what_one_process_would_when_it_would(
    settings, sockets, shards, changes
):
    speeds = Speeds()
    for at_s, factor in sorted(changes):
        speeds = speeds.then(at_s, factor)
    plan = Plan(sockets, **settings)
    parts = [plan.shard(index, min(shards, sockets)) for index in range(min(shards, sockets))]
    whole = plan.pace(sockets, speeds)
    of_parts = [part.pace(part.count, speeds) for part in parts]
    assert sum(each.total for each in of_parts) == whole.total
    assert sorted(chain.from_iterable(map(moments_of, of_parts))) == pytest.approx(
        moments_of(whole)
    )
    for moment_s in (0.0, 0.7, 1.5, 3.0, 100.0):
        due = sum(each.due_by(moment_s) for each in of_parts)
        assert due == whole.due_by(moment_s)
    if not changes:
        assert moments_of(whole) == moments_of(plan.pace(sockets))


@pytest.mark.parametrize("arrivals", ["even", "poisson"])
@pytest.mark.parametrize("steered", [False, True])
def test_users_arrive_once_whatever_their_shard_and_from_any_of_them_on(arrivals, steered):
    speeds = Speeds().then(1.0, 2.0) if steered else Speeds()
    plan = Plan(5, scenario="s.py", arrive=3.0, duration_s=4.0, arrivals=arrivals, seed=7)
    whole = list(plan.due_arrivals(speeds))
    assert [number for number, _ in whole] == list(range(len(whole)))
    assert plan.count_users(speeds) == len(whole)
    assert arrivals == "poisson" or len(whole) == (3 + 3 * 3 * 2 if steered else 12)
    assert all(0 <= moment_s <= 4 for _, moment_s in whole)
    for shards in (1, 2, 3, 5):
        parts = [plan.shard(index, shards) for index in range(shards)]
        dealt = [list(part.due_arrivals(speeds)) for part in parts]
        assert sorted(chain.from_iterable(dealt)) == whole
        for index, (part, its) in enumerate(zip(parts, dealt, strict=True)):
            assert part.arrival_step == shards
            assert its == whole[index::shards]
            assert list(part.due_arrivals(speeds, its[1][0])) == its[1:]
            assert part.count_users(speeds) == len(whole)
    if not steered:
        assert list(plan.due_arrivals()) == whole


@pytest.mark.parametrize(
    ("settings", "rate", "at_most"),
    [
        ({"rate_per_conn": 4.0}, 4.0, math.inf),
        ({}, 1.0, math.inf),
        ({"messages": 3}, 1.0, 3),
    ],
    ids=str,
)
def test_at_random_each_socket_has_arrivals_of_its_own(settings, rate, at_most):
    plan = Plan(3, arrivals="poisson", seed=7, **settings)
    own = plan.own_arrivals([0, 1, 2])
    for other in ({"arrivals": "even"}, {"arrivals": "poisson", "rate": 5.0},
                  {"arrivals": "poisson", "stages": (Stage(1, 5),)}):  # fmt: skip
        assert Plan(3, **other).own_arrivals([0, 1, 2]) is None
    assert drained(own) == drained(OwnArrivals([0, 1, 2], rate, plan.load_s, 7, at_most))


@pytest.mark.parametrize(
    ("settings", "users", "own"),
    [({"scenario": "s.py"}, 5, 5), ({"scenario": "s.py", "arrive": 2.0, "duration_s": 4.0}, 8, 0)],
)
def test_users_are_the_sockets_of_a_plan_or_whoever_arrives(settings, users, own):
    plan = Plan(5, **settings)
    assert (plan.count_users(), plan.count_own_users(), plan.arrival_step) == (users, own, 1)
    parts = [plan.shard(index, 2) for index in range(2)]
    assert [part.count_users() for part in parts] == [users] * 2  # of the whole run
    assert sum(part.count_own_users() for part in parts) == own


def test_messages_of_a_shards_missing_sockets_are_due_only_if_all_share_a_rate():
    each_own, together = (
        Plan(5, duration_s=10.0, **rate).shard(0, 2)
        for rate in ({"rate_per_conn": 2.0}, {"rate": 10.0})
    )
    assert [each_own.pace(there).total for there in (3, 2, 1)] == [60, 40, 20]
    assert [together.pace(there).total for there in (3, 2, 1)] == [60, 60, 60]
