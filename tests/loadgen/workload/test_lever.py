"""What a load that goes on may be told, and what is remembered of it."""

import itertools
import re
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.workload.lever import (
    MAX_CHANGES,
    MAX_SHOWN,
    BadChange,
    Change,
    Lever,
    OwnRows,
    Wanted,
    count_paused_s,
    explain_changes,
    show_changes,
)
from loadgen.workload.pacing import Stage
from loadgen.workload.plan import Plan
from loadgen.workload.speeds import Speeds


def pull(lever, at_s=1.0, **wanted):
    return lever.pull(Wanted(**wanted), t_s=at_s + 0.5, load_s=at_s)


@pytest.mark.parametrize(
    ("plan", "has_pace", "unit", "planned"),
    [
        (Plan(2), True, "rate_per_conn", 1.0),
        (Plan(2, rate=50.0), True, "rate", 50.0),
        (Plan(2, stages=(Stage(1, 5),)), True, "factor", 1.0),
        (Plan(2, scenario="s.py", arrive=7.0), False, "arrive", 7.0),
        (Plan(2, scenario="s.py"), True, "factor", 1.0),
        (Plan(2, scenario="s.py"), False, None, 1.0),
        (Plan(2, closed_loop=True), True, None, 1.0),
        (Plan(2, rate_per_conn=0.0), True, None, 1.0),
    ],
)
def test_the_rate_that_can_be_changed_is_that_of_the_plan(plan, has_pace, unit, planned):
    lever = Lever(plan, has_pace=has_pace)
    assert (lever.unit, lever.planned) == (unit, planned)
    assert pull(lever, paused=True)
    assert lever.speed == 0
    if unit is None:
        with pytest.raises(BadChange, match=r"rate|pause"):
            pull(lever, factor=2.0)


def test_each_change_is_remembered_with_its_time_and_both_values():
    lever = Lever(Plan(2, rate=50.0))
    assert pull(lever, 1.0, rate=55.0)
    assert pull(lever, 2.0, paused=True)
    assert not pull(lever, 2.5, paused=True)  # It is already.
    assert pull(lever, 3.0, factor=2.0)
    assert (lever.speed, lever.rate) == (0.0, 100.0)
    assert pull(lever, 4.25, paused=False)
    assert lever.speed == 2.0
    told = [
        (one.t_s, one.load_s, one.what, one.old, one.new, one.paused_s) for one in lever.changes
    ]
    assert told == [
        (1.5, 1.0, "rate", 50.0, 55.0, None),
        (2.5, 2.0, "pause", 55.0, 0.0, None),
        (3.5, 3.0, "rate", 55.0, 100.0, None),
        (4.75, 4.25, "resume", 0.0, 100.0, 2.25),
    ]
    assert show_changes(lever.changes) == [
        "at 1.5 s raised from 50/s to 55/s",
        "at 2.5 s paused",
        "at 3.5 s raised from 55/s to 100/s",
        "at 4.8 s went on after 2.2 s",
    ]


def test_a_pause_that_the_load_ends_in_counts_until_then():
    lever = Lever(Plan(2, closed_loop=True))
    for at_s, paused in ((1.0, True), (3.0, False), (4.0, True)):
        pull(lever, at_s, paused=paused)
    assert count_paused_s(lever.changes, 10.0) == 8.0
    assert explain_changes(lever.changes, 8.0) == (
        "the load was changed by hand: paused 2 times, for 8.0 s in all"
    )


@given(
    st.lists(
        st.tuples(st.sampled_from(["pause", "resume", "raise", "lower"]), st.integers(0, 4)),
        max_size=12,
    ),
    st.integers(0, 4),
)
def test_a_load_was_paused_for_as_long_as_nothing_was_due(orders, rest_s):
    """Each order some seconds after the one before; the load ends some seconds after the last."""
    lever, now_s, paused_s, spent = Lever(Plan(2, rate=50.0)), 0, 0, Counter()
    for what, after_s in (*orders, ("end", rest_s)):
        paused_s += after_s if lever.speed == 0 else 0
        now_s += after_s
        wanted = {
            "pause": {"paused": True}, "resume": {"paused": False},
            "raise": {"factor": lever.factor * 2}, "lower": {"factor": lever.factor / 2},
        }.get(what)  # fmt: skip
        if wanted is not None:
            before = lever.rate
            if pull(lever, now_s, **wanted):
                change = lever.changes[-1]
                spent[change.what] += 1
                assert change.load_s == now_s
                assert {change.old, change.new} <= {before, lever.rate, 0.0}
    assert count_paused_s(lever.changes, float(now_s)) == paused_s
    assert spent.total() == len(lever.changes)
    told = explain_changes(lever.changes, 1234.5)
    for count, of in ((spent["rate"], "its rate "), (spent["pause"], "paused ")):
        assert (of in told) == bool(count)
        assert f"{of}{'once' if count == 1 else f'{count:,} times'}" in told or not count


@pytest.mark.parametrize("count", [MAX_SHOWN - 1, MAX_SHOWN, MAX_SHOWN + 1, MAX_SHOWN + 1_500])
def test_of_many_changes_as_many_are_left_out_as_are_not_told(count):
    changes = [
        Change(t_s=float(at), load_s=0.0, what="pause", unit=None, old=None, new=None)
        for at in range(count)
    ]
    told = show_changes(changes)
    shown = [line for line in told if line.endswith(" paused")]
    left_out = [int(line.split()[0][1:].replace(",", "")) for line in told if line not in shown]
    assert len(shown) + sum(left_out) == count
    assert len(left_out) == (count > MAX_SHOWN)
    assert shown == [f"at {at:,.1f} s paused" for at in range(count) if f"at {at:,.1f} s paused"
                     in told]  # fmt: skip
    assert told[0] == shown[0]
    assert told[-1] == f"at {count - 1:,.1f} s paused"


def test_a_load_whose_changes_are_used_up_can_still_go_on_and_nothing_else():
    lever = Lever(Plan(2, rate=50.0))
    factors = itertools.cycle((2.0, 1.0))
    while len(lever.changes) < MAX_CHANGES - 2:
        pull(lever, factor=next(factors))
    assert pull(lever, paused=True)
    for wanted, field in (
        ({"paused": True}, "paused"), ({"factor": 3.0}, "factor"), ({"rate": 3.0}, "rate"),
    ):  # fmt: skip
        with pytest.raises(BadChange, match="1,000 times at most") as caught:
            pull(lever, **wanted)
        assert caught.value.field == field
    assert pull(lever, paused=False)
    assert (lever.speed, len(lever.changes)) == (lever.factor, MAX_CHANGES)


def test_a_step_down_undoes_a_step_up_and_never_reaches_nothing():
    lever = Lever(Plan(2, rate=50.0))
    for steps, rate in ((1, 55.0), (1, 60.0), (-1, 55.0), (-1, 50.0), (-20, 5.0), (-1, 5.0)):
        lever.pull(lever.step(steps), t_s=1.0, load_s=1.0)
        assert lever.rate == rate


@pytest.mark.parametrize(
    ("wanted", "field"),
    [
        ({"rate": 0.0}, "rate"),
        ({"rate": 1e9}, "rate"),
        ({"factor": -1.0}, "factor"),
        ({"factor": float("nan")}, "factor"),
        ({"rate": 5.0, "factor": 2.0}, "factor"),
    ],
)
def test_what_no_load_can_be_changes_nothing(wanted, field):
    lever = Lever(Plan(2, rate=50.0))
    with pytest.raises(BadChange) as caught:
        pull(lever, paused=True, **wanted)
    assert caught.value.field == field
    assert (lever.changes, lever.is_paused) == ((), False)
    with pytest.raises(BadChange, match="factor") as caught:
        pull(Lever(Plan(2, stages=(Stage(1, 5),))), rate=3.0)
    assert caught.value.field == "rate"


def test_a_load_is_changed_a_thousand_times_at_most_and_can_go_on_after_them():
    lever = Lever(Plan(2, rate=50.0))
    for number in range(MAX_CHANGES):
        try:
            pull(lever, number, paused=not lever.is_paused)
        except BadChange:
            break
    assert len(lever.changes) <= MAX_CHANGES
    assert not lever.is_paused
    assert len(show_changes(lever.changes)) == 11


def test_the_thousand_can_not_be_passed_by_telling_a_load_to_go_on_that_does():
    lever = Lever(Plan(2, rate=50.0))
    while len(lever.changes) < MAX_CHANGES - 1:
        assert pull(lever, len(lever.changes), factor=3.0 - lever.factor, paused=False)
    with pytest.raises(BadChange) as caught:
        pull(lever, factor=1.0, paused=False)
    assert caught.value.field == "factor"
    assert len(lever.changes) == MAX_CHANGES - 1


def test_two_changes_at_once_leave_room_for_the_end_of_the_pause():
    lever = Lever(Plan(2, rate=50.0))
    while len(lever.changes) < MAX_CHANGES - 2:
        assert pull(lever, len(lever.changes), factor=3.0 - lever.factor)
    with pytest.raises(BadChange):
        pull(lever, factor=3.0 - lever.factor, paused=True)
    assert pull(lever, paused=True)
    assert pull(lever, paused=False)
    assert len(lever.changes) == MAX_CHANGES


def test_a_step_down_never_raises_a_load():
    lever = Lever(Plan(2, rate=50.0))
    assert pull(lever, factor=0.05)
    assert not lever.pull(lever.step(-1), t_s=2.0, load_s=2.0)


@pytest.mark.parametrize("arrivals", ["even", "poisson"])
def test_users_are_never_raised_beyond_the_rows_that_there_are_for_them(arrivals):
    plan = Plan(9, scenario="s.py", arrive=10.0, duration_s=10.0, arrivals=arrivals)
    planned = plan.count_users()
    lever = Lever(plan, has_pace=False, rows=OwnRows("people.csv", planned + 20))
    with pytest.raises(
        BadChange, match=rf"people\.csv has {planned + 20} rows for 1[6-9]\d"
    ) as bad:
        pull(lever, 2.0, rate=20.0)
    assert bad.value.field == "rate"
    with pytest.raises(BadChange) as bad:
        pull(lever, 2.0, factor=2.0, paused=True)  # It would have to go on before its end.
    assert bad.value.field == "factor"
    assert not lever.changes
    # The highest rate that it names can be had, and what is a little more can't.
    found = re.search(r"raise it to ([\d.]+) users/s at most", str(bad.value))
    assert found is not None
    highest = float(found[1])
    with pytest.raises(BadChange):
        pull(lever, 2.0, rate=highest * 1.05)
    assert pull(lever, 2.0, rate=highest)
    assert plan.count_users(Speeds().then(2.0, highest / 10.0)) <= planned + 20
    # A pause leaves rows over, and so does a lower rate; it may be resumed whenever it is.
    assert pull(lever, 3.0, paused=True)
    assert pull(lever, 5.0, rate=highest * 1.2)
    assert pull(lever, 5.5, paused=False)
    with pytest.raises(BadChange):
        pull(lever, 5.5, factor=9.0)


def test_where_all_rows_are_taken_the_rate_cannot_be_raised():
    plan = Plan(9, scenario="s.py", arrive=10.0, duration_s=10.0)
    lever = Lever(plan, has_pace=False, rows=OwnRows("people.csv", 100))
    with pytest.raises(BadChange, match="100 rows for 108 users: the rate can't be raised"):
        pull(lever, 2.0, factor=1.1)
    # Users who are all there from the beginning are not more at a higher rate.
    assert pull(Lever(Plan(9, scenario="s.py"), rows=OwnRows("people.csv", 9)), factor=5.0)


def test_a_load_may_be_a_thousand_times_its_plan_and_a_thousandth_of_it():
    lever = Lever(Plan(10, rate=8.0))
    for factor, rate in ((1000.0, 8000.0), (0.001, 0.008)):
        assert lever.pull(Wanted(factor=factor), t_s=1.0, load_s=1.0)
        assert lever.rate == rate
    for factor in (1000.001, 0.000999):
        with pytest.raises(BadChange, match="from a 1,000th of the plan to 1,000 times as much"):
            lever.pull(Wanted(factor=factor), t_s=1.0, load_s=1.0)
