"""A user has its own random numbers, one pace, and gives back what it took of its run."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from loadgen.engine.gate import Gate
from loadgen.results.scenario import ScenarioBooks
from loadgen.scenario.phases import Phases
from loadgen.scenario.user import User
from loadgen.workload.plan import Plan


class Bench:
    """The users of a run whose load waits for as many as are told."""

    def __init__(self, *, seed: int = 1, awaited: int = 1) -> None:
        plan = Plan(8, seed=seed, connect_concurrency=4)
        self.phases, self.gate, self.books = Phases(10.0, 4.0), Gate(plan), ScenarioBooks()
        self.phases.await_users(awaited)
        self.context: Any = SimpleNamespace(
            plan=plan, phases=self.phases, gate=self.gate, books=self.books
        )

    def user(self, number: int = 0, *, is_journey: bool = False) -> User:
        scenario: Any = SimpleNamespace(name="talk", is_journey=is_journey)
        return User(number, scenario, self.context)

    async def take_place(self, user: User) -> None:
        await self.gate.limiter.acquire_on_behalf_of(user)
        user.await_arrival()


def test_random_numbers_are_the_users_own_and_the_same_in_each_run() -> None:
    drawn = {
        (seed, number): [Bench(seed=seed).user(number).random.random() for _ in range(2)]
        for seed in (1, 2)
        for number in (0, 1, 11)
    }
    assert len({tuple(each) for each in drawn.values()}) == len(drawn)
    assert all(first == second for first, second in drawn.values())  # of two users of one number
    user = Bench().user()
    assert user.random is user.random
    # Not the numbers of another seed and user that are written alike.
    assert Bench(seed=1).user(11).random.random() != Bench(seed=11).user(1).random.random()


async def test_who_is_ready_gives_its_place_back_once_and_waits_for_the_load(
    nursery: trio.Nursery,
) -> None:
    bench = Bench(awaited=2)
    there = []
    bench.phases.on_all_there = lambda: there.append(bench.gate.limiter.borrowed_tokens)
    users, gone_on = [bench.user(number) for number in range(2)], []

    async def run(user: User) -> None:
        await user.ready()
        gone_on.append(user.number)

    for user in users:
        await bench.take_place(user)
        nursery.start_soon(run, user)
    await wait_all_tasks_blocked()
    assert (there, gone_on, [user.is_awaited for user in users]) == ([0], [], [False] * 2)
    for user in users:  # as each does again when it ends
        user.arrive()
    assert (there, bench.phases._awaited) == ([0], 0)
    assert not users[0].in_load
    bench.phases.begin_load()
    assert users[0].in_load
    await wait_all_tasks_blocked()
    assert sorted(gone_on) == [0, 1]
    bench.phases.end_load()
    assert not users[0].in_load


async def test_a_stream_makes_a_journey_ready_and_no_user_whose_load_is_to_come() -> None:
    for is_journey in (True, False):
        bench = Bench()
        user = bench.user(is_journey=is_journey)
        user.arrive_with_stream()
        assert bench.phases._awaited == 1  # Nobody waits for it yet.
        await bench.take_place(user)
        user.arrive_with_stream()
        assert user.is_awaited is not is_journey
        assert bench.gate.limiter.borrowed_tokens == (not is_journey)
        assert bench.phases._awaited == (not is_journey)


@pytest.mark.parametrize(
    ("rate", "per_s"), [("30/m", 0.5), ("2/s", 2.0), (0.25, 0.25), (3, 3.0), ("1k/s", 1000.0)]
)
def test_a_pace_is_a_rate_or_a_number_a_second(
    monkeypatch: pytest.MonkeyPatch, rate: str | float, per_s: float
) -> None:
    made = list[float]()
    monkeypatch.setattr("loadgen.scenario.user.Pace", lambda _, rate_per_s: made.append(rate_per_s))
    user = Bench().user()
    user.pace(rate)
    assert made == [per_s]
    with pytest.raises(RuntimeError, match="used twice"):
        user.pace(rate)


@pytest.mark.parametrize("rate", ["0/s", 0, -1, float("nan"), "fast"])
def test_what_is_no_pace_is_refused_and_leaves_room_for_one(
    monkeypatch: pytest.MonkeyPatch, rate: str | float
) -> None:
    monkeypatch.setattr("loadgen.scenario.user.Pace", lambda _, rate_per_s: rate_per_s)
    user = Bench().user()
    with pytest.raises(ValueError, match=str(rate)):
        user.pace(rate)
    assert user.pace(1) == pytest.approx(1.0)


async def test_a_user_sleeps_for_seconds_or_as_long_as_is_written(
    autojump_clock: MockClock,
) -> None:
    for duration, seconds in ((2, 2.0), (0.25, 0.25), ("250ms", 0.25), ("1m", 60.0)):
        began = trio.current_time()
        await Bench().user().sleep(duration)
        assert trio.current_time() - began == pytest.approx(seconds)


def test_a_counter_counts_by_one_or_as_many_as_are_said() -> None:
    user = (bench := Bench()).user()
    user.count("bought")
    user.count("bought", 3)
    user.count("returned", 0)
    assert bench.books.counters == {"bought": 4, "returned": 0}


async def test_who_waits_for_a_change_is_woken_by_it_or_by_the_end_and_then_forgotten(
    nursery: trio.Nursery,
) -> None:
    bench, woken = Bench(), []

    async def wait(number: int, scope: trio.CancelScope) -> None:
        with scope:
            await bench.user(number).wait_for_end_or_change()
            woken.append(number)

    def waiting() -> tuple[int, int]:
        return len(bench.phases._ends_with_load), len(bench.phases._changes_with_load)

    scopes = [trio.CancelScope() for _ in range(4)]
    for number in (0, 1):
        nursery.start_soon(wait, number, scopes[number])
    await wait_all_tasks_blocked()
    scopes[0].cancel()
    await wait_all_tasks_blocked()
    assert (woken, waiting()) == ([], (1, 1))
    bench.phases.change_load()
    await wait_all_tasks_blocked()
    assert (woken, waiting()) == ([1], (0, 0))
    nursery.start_soon(wait, 2, scopes[2])
    await wait_all_tasks_blocked()
    bench.phases.end_load()
    await wait_all_tasks_blocked()
    assert (woken, waiting()) == ([1, 2], (0, 0))
    await wait(3, scopes[3])  # The load is over.
    assert (woken, waiting()) == ([1, 2, 3], (0, 0))
