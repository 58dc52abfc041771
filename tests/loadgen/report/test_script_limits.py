"""A script is blamed for the share of time in which it held all up, at the step that took most."""

from __future__ import annotations

import dataclasses

import pytest

from loadgen.report import script_limits
from loadgen.report.script_limits import (
    explain_blocking,
    explain_failed_users,
    explain_missed_by_users,
    find_blocked_opening,
)
from loadgen.results.result import Strain, Workers
from loadgen.results.scenario import ScenarioBooks

WALL_S = 8.0


@pytest.fixture
def blocked(result_of):
    """Make a run whose steps blocked so often and so long, in so many processes."""

    def make(*steps: tuple[str, int, int], processes: int = 1, early: bool = False):
        books = ScenarioBooks()
        for name, times, took_us in steps:
            step = books.step(name, "request")
            step.blocked, step.blocked_us = times, took_us
        if early:
            books.begin_load(WALL_S)
        return dataclasses.replace(
            result_of(scenario=books),
            load_strain=Strain(wall_s=WALL_S),
            workers=Workers(processes=processes),
        )

    return make


@pytest.mark.parametrize("processes", [1, 4])
def test_a_share_is_of_the_time_of_all_processes_and_starts_to_matter_just_above_its_limit(
    blocked, processes
):
    for early, limit in ((False, 0.01), (True, 0.5)):
        most_us = int(limit * WALL_S * 1_000_000) * processes
        for more_us, is_told in ((0, False), (100, True)):
            steps = ("say", 3, most_us // 4), ("ask", 1, most_us - most_us // 4 + more_us)
            result = blocked(*steps, processes=processes, early=early)
            told = find_blocked_opening(result) if early else explain_blocking(result)
            assert bool(told) is is_told


def test_the_step_that_took_most_in_all_is_to_blame_and_not_the_one_that_did_so_most_often(blocked):
    steps = ("often", 900, 90_000), ("long", 2, 1_510_000), ("never", 0, 0)
    (told,) = explain_blocking(blocked(*steps))
    assert "held all users up for 20% of the time: at step long 2 times, 755 ms each;" in told
    assert find_blocked_opening(blocked(*steps, early=True)) is None
    steps = ("often", 900, 90_000), ("long", 2, 4_710_000)
    assert find_blocked_opening(blocked(*steps, early=True)) == {"share": "60%", "step": "long"}


def test_a_script_that_is_late_itself_is_told_with_the_step_that_was_latest(blocked):
    result = blocked(("a", 0, 0), ("b", 0, 0), ("c", 0, 0))
    for number, step in enumerate(result.scenario.steps.values()):
        step.longest_lag_us = (500, 900, 700)[number]
    for late_ms, is_told in ((100, False), (101, True)):
        result.scenario.script_lag.total.record(round(late_ms * 1000))
        told = explain_blocking(result)
        assert bool(told) is is_told
    (only,) = told
    assert only == (
        "1 % of what the users awaited had come 101 ms before their code went on, most of all at "
        "step b"
    )


@pytest.mark.parametrize(("late", "is_told"), [(1, False), (2, True)])
def test_a_script_may_be_late_for_one_of_a_hundred(blocked, late, is_told):
    result = blocked(("a", 0, 0))
    for number in range(100):
        result.scenario.script_lag.record(200_000 if number < late else 0)
    result.scenario.script_lag.end_second()
    assert bool(explain_blocking(result)) is is_told


@pytest.mark.parametrize("causes", range(1, 5))
def test_failed_users_are_told_with_their_most_frequent_causes(result_of, causes):
    books = ScenarioBooks()
    books.users.requested = 1_000
    for number in range(causes):
        for _ in range(number + 1):
            books.users.fail(f"cause {number}", "")
    (told,) = explain_failed_users(result_of(scenario=books))
    named = [f"cause {number}" for number in reversed(range(causes))][:3]
    more = ", …" if causes > 3 else ""
    assert told == f"{causes * (causes + 1) // 2} of 1,000 users failed: {', '.join(named)}{more}"


def test_what_there_is_one_of_is_told_so_and_a_run_without_a_script_has_nothing_to_tell(result_of):
    assert explain_missed_by_users(1).startswith("1 message was due")
    assert explain_missed_by_users(2_000).startswith("2,000 messages were due")
    assert list(explain_failed_users(result_of())) == explain_blocking(result_of()) == []
    assert find_blocked_opening(result_of()) is None
    assert script_limits._users(1) == "1 user"
