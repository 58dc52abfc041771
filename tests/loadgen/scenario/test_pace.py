"""Let calls fall due at a rate, whatever the user does meanwhile; on a virtual clock."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from loadgen.engine.books import Books
from loadgen.engine.steering import Steering
from loadgen.results.ledger import Ledger
from loadgen.scenario import pace, phases
from loadgen.scenario.phases import Phases
from loadgen.scenario.timetable import Timetable
from loadgen.scenario.user import User
from loadgen.workload.arrivals import OwnArrivals
from loadgen.workload.plan import Plan

RATE_PER_S = 10.0
LOAD_S = 2.0
DUE = 20
SEED = 3
#: Beyond the load and the time in which messages may be sent late.
TOO_LONG_S = 10.0

MakeUser = Callable[..., User]


@pytest.fixture
async def make_user(
    autojump_clock: MockClock, nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> MakeUser:
    """Make user 1 of 4, or another; its load begins at once."""
    for module in (pace, phases):
        monkeypatch.setattr(module, "now_us", lambda: round(trio.current_time() * 1_000_000))

    def make(number: int = 1, *, begins: bool = True, **settings: Any) -> User:
        books, table = Books(Ledger(1)), Timetable()
        context: Any = SimpleNamespace(
            plan=Plan(4, duration_s=LOAD_S, seed=SEED, **settings),
            phases=Phases(LOAD_S, stop_timeout_s=4.0),
            users=4,
            timetable=table,
            ledger=books.ledger,
            run=SimpleNamespace(books=books, steering=Steering()),
        )

        async def end_load() -> None:
            await trio.sleep(LOAD_S)
            context.phases.end_load()

        nursery.start_soon(table.run)
        if begins:
            context.phases.begin_load()
            nursery.start_soon(end_load)
        scenario: Any = SimpleNamespace(name="talker", is_journey=False)
        return User(number, scenario, context)

    return make


async def test_what_a_users_own_waiting_makes_late_is_due_all_the_same_and_no_lag_of_ours(
    make_user: MakeUser, autojump_clock: MockClock
) -> None:
    user = make_user()
    began_us, taken = user.context.phases.began_us, []
    async for due in user.pace(RATE_PER_S):
        taken.append((due.number, due.at_us - began_us))
        await trio.sleep(0.55 if due.number == 3 else 0)
    # The second of four begins in the middle of the second quarter of an interval.
    assert taken == [(k, pytest.approx((k + 1.5 / 4) * 100_000, abs=2)) for k in range(DUE)]
    lag = user.context.run.books.scheduling_lag
    lag.end_second()
    assert lag.total.count == DUE
    # The waiting alone, 0.45 s for the fourth, 0.35 for the fifth and so on, is 1.2 s in all.
    assert lag.total.sum_us < 500_000
    assert user.context.ledger.missed == 0


@pytest.mark.parametrize("arrivals", ["even", "poisson"])
@pytest.mark.parametrize("is_interrupted", [False, True])
async def test_what_falls_due_and_is_not_handed_out_is_missed_unless_all_is_interrupted(
    make_user: MakeUser, arrivals: str, is_interrupted: bool, autojump_clock: MockClock
) -> None:
    user = make_user(arrivals=arrivals)
    taken = 0
    async for due in user.pace(RATE_PER_S):
        taken += 1
        if due.number == 3:
            await trio.sleep(TOO_LONG_S)
            user.context.phases.is_interrupted = is_interrupted
    in_all = DUE
    if arrivals == "poisson":
        own, in_all = OwnArrivals([user.number], RATE_PER_S, LOAD_S, SEED), 0
        while own.next_due_s is not None:
            own.take()
            in_all += 1
    assert taken == 4
    assert user.context.ledger.missed == (0 if is_interrupted else in_all - taken)
    assert in_all > taken + 1


async def test_what_would_fall_due_in_the_moment_in_which_the_load_ends_is_not_due(
    make_user: MakeUser, autojump_clock: MockClock
) -> None:
    for is_late in (False, True):
        user, taken = make_user(), 0
        # The second of four: three and three eighths of an interval are the whole load.
        async for _ in user.pace(3.375 / LOAD_S):
            taken += 1
            if is_late:
                await trio.sleep(TOO_LONG_S)
        assert taken + user.context.ledger.missed == 3
        assert taken == (1 if is_late else 3)


async def test_a_search_for_capacity_multiplies_the_pace(
    make_user: MakeUser, autojump_clock: MockClock
) -> None:
    user = make_user(pace_factor=3.0)
    assert [due.number async for due in user.pace(RATE_PER_S)] == list(range(3 * DUE))
    user, own = make_user(pace_factor=3.0, arrivals="poisson"), []
    arrivals = OwnArrivals([user.number], 3 * RATE_PER_S, LOAD_S, SEED)
    while arrivals.next_due_s is not None:
        own.append(arrivals.take()[0] * 1_000_000)
    began_us = user.context.phases.began_us
    dues = [due.at_us - began_us async for due in user.pace(RATE_PER_S)]
    assert dues == pytest.approx(own, abs=2)


async def test_a_user_who_is_woken_just_before_the_run_is_interrupted_is_cancelled(
    make_user: MakeUser, autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    user, scope = make_user(), trio.CancelScope()

    async def interrupt_as_the_load_ends() -> None:
        await trio.sleep(LOAD_S * 0.9)
        user.context.phases.end_load()  # This wakes the user, who then can't be told any more.
        user.context.phases.is_interrupted = True
        scope.cancel()

    nursery.start_soon(interrupt_as_the_load_ends)
    taken = 0
    with scope:
        async for _ in user.pace(RATE_PER_S / 10):
            taken += 1
        pytest.fail("the pace ended as if the load had run out")
    assert scope.cancelled_caught
    assert taken == 2


async def test_a_pace_that_a_pause_puts_off_beyond_the_load_ends_with_it(
    make_user: MakeUser, autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    user = make_user()
    context = user.context

    async def pause() -> None:
        await trio.sleep(LOAD_S / 4)
        context.run.steering.turn(LOAD_S / 4, 0.0)
        context.timetable.retime()

    nursery.start_soon(pause)
    with trio.fail_after(2 * LOAD_S):
        taken = [due.number async for due in user.pace(RATE_PER_S)]
    assert taken == list(range(DUE // 4))
    assert trio.current_time() == pytest.approx(context.phases.began_s + LOAD_S, abs=0.01)


async def test_users_of_all_processes_share_the_first_interval(
    make_user: MakeUser, autojump_clock: MockClock
) -> None:
    user = make_user()
    user.context.users = 8  # of which four are here
    dues = [due.at_us - user.context.phases.began_us async for due in user.pace(RATE_PER_S)]
    assert dues[:2] == pytest.approx([1.5 / 8 * 100_000, 9.5 / 8 * 100_000], abs=2)


async def test_of_users_beyond_the_planned_number_each_has_the_place_of_another(
    make_user: MakeUser, autojump_clock: MockClock
) -> None:
    for number in (1, 5, 9):
        user = make_user(number)
        due = await anext(user.pace(RATE_PER_S))
        assert due.at_us - user.context.phases.began_us == pytest.approx(37_500, abs=2)


@pytest.mark.parametrize("begins", [True, False])
async def test_a_pace_waits_for_the_load_and_ends_at_once_if_that_never_begins(
    make_user: MakeUser, nursery: trio.Nursery, autojump_clock: MockClock, begins: bool
) -> None:
    user, taken = make_user(begins=False), list[float]()
    phases = user.context.phases

    async def pace() -> None:
        taken.extend([due.at_us async for due in user.pace(RATE_PER_S)])
        taken.append(trio.current_time())

    nursery.start_soon(pace)
    await trio.sleep(3.0)
    assert taken == []
    if begins:
        phases.begin_load()
        await trio.sleep(LOAD_S)
    phases.end_load()
    ended_s = trio.current_time()
    await trio.testing.wait_all_tasks_blocked()
    assert (len(taken), taken[-1]) == (DUE + 1 if begins else 1, ended_s)
    assert user.context.ledger.missed == 0
