"""Turns on the loop, on a virtual clock."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from echo_trio.console import turns
from echo_trio.console.turns import Turns

ADVANCE_S = 0.001


def make(share: float, burst_s: float) -> Turns:
    return Turns(share, burst_s=burst_s, advance_s=ADVANCE_S)


async def test_turns_take_their_share_of_the_time_and_no_more(autojump_clock: MockClock) -> None:
    granted = make(0.25, 0.0)
    began = trio.current_time()

    async def take_turns() -> None:
        for _ in range(10):
            await granted.take()
            granted.charge(0.1 - ADVANCE_S)

    async with trio.open_nursery() as crowd:
        for _ in range(5):
            crowd.start_soon(take_turns)
    # 50 turns of 0.1 s are 5 s of work, which is a quarter of 20 s; the last one is not waited for.
    assert trio.current_time() - began == pytest.approx(49 * 0.1 / 0.25, rel=0.01)


async def test_a_burst_waits_for_nobody_and_comes_back_when_nobody_asks(
    autojump_clock: MockClock,
) -> None:
    granted = make(0.5, 0.1)
    for _ in range(2):
        began = trio.current_time()
        for _ in range(10):
            await granted.take()
            granted.charge(0.0099 - ADVANCE_S)
        assert trio.current_time() == began
        granted.charge(0.001 * 2)
        await granted.take()
        assert trio.current_time() > began
        await trio.sleep(3600)


async def test_who_comes_first_is_served_first(autojump_clock: MockClock) -> None:
    granted = make(0.25, 0.0)
    order: list[int] = []

    async def ask(number: int) -> None:
        await granted.take()
        order.append(number)
        granted.charge(1.0)

    async with trio.open_nursery() as crowd:
        for number in range(5):
            crowd.start_soon(ask, number)
            await trio.testing.wait_all_tasks_blocked()
    assert order == list(range(5))


async def test_of_those_who_wait_as_many_begin_together_as_the_credit_allows(
    autojump_clock: MockClock,
) -> None:
    granted = make(0.25, 0.0101)
    began: list[float] = []

    async def ask() -> None:
        await granted.take()
        began.append(trio.current_time())

    granted.charge(10)
    async with trio.open_nursery() as crowd:
        for _ in range(30):
            crowd.start_soon(ask)
        await trio.testing.wait_all_tasks_blocked()
        granted.charge(-9.99)
        await trio.sleep(60)
    assert 1 < began.count(began[0]) <= 11
    assert len(began) == 30


async def test_who_leaves_the_line_takes_no_turn_with_him(autojump_clock: MockClock) -> None:
    granted = make(0.25, 0.0)
    granted.charge(1.0)
    scopes = [trio.CancelScope() for _ in range(6)]
    served: list[int] = []

    async def ask(number: int) -> None:
        with scopes[number]:
            await granted.take()
            served.append(number)

    async with trio.open_nursery() as crowd:
        for number in range(6):
            crowd.start_soon(ask, number)
            await trio.testing.wait_all_tasks_blocked()
        for number in (0, 3, 5):
            scopes[number].cancel()
    assert served == [1, 2, 4]
    await trio.sleep(60)
    granted._replenish()
    assert granted._credit_s == 0.0


async def test_who_leaves_at_the_moment_of_its_turn_gives_the_advance_back(
    autojump_clock: MockClock,
) -> None:
    async def ask(granted: Turns, scope: trio.CancelScope, served: list[bool]) -> None:
        with scope:
            await granted.take()
            served.append(True)

    # Who of the two wakes first at that moment is chance: it is tried often.
    for _ in range(20):
        granted, began = make(0.25, 1024.0), trio.current_time()
        granted.charge(1024.0 + 1.0)  # paid for in 4 s
        served: list[bool] = []
        leaving = trio.CancelScope()
        async with trio.open_nursery() as crowd:
            crowd.start_soon(ask, granted, trio.CancelScope(), served)
            await trio.testing.wait_all_tasks_blocked()
            crowd.start_soon(ask, granted, leaving, served)
            await trio.sleep_until(began + 4.0)
            granted.charge(-1.0)  # so that both may have their turn at once
            leaving.cancel()
        assert served
        now = trio.current_time()
        left_s = granted._replenish()
        assert left_s == pytest.approx((now - began) * 0.25 - len(served) * ADVANCE_S)


async def test_a_turn_pays_for_its_steps_and_not_for_what_it_waits(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    spent_s = 0.0
    monkeypatch.setattr(turns.time, "perf_counter", lambda: spent_s)
    granted = make(0.25, 1.0)
    paid: list[float] = []
    monkeypatch.setattr(granted, "charge", paid.append)
    turn = turns.Turn(granted.charge, ADVANCE_S)

    async def work() -> str:
        nonlocal spent_s
        spent_s += 0.25
        await trio.sleep(100)
        spent_s += 0.5
        with trio.move_on_after(1):
            await trio.sleep_forever()
        spent_s += 1.0
        return "done"

    assert await turn.run(work()) == "done"
    assert sum(paid) == pytest.approx(1.75 - ADVANCE_S)


async def test_a_turn_that_cost_less_than_its_advance_gets_the_rest_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(turns.time, "perf_counter", lambda: 0.0)
    granted = make(0.25, 1.0)
    for _ in range(100):
        turn = await granted.take()
        with pytest.raises(ValueError, match="passed on"):
            await turn.run(_fail())
    assert granted._credit_s == pytest.approx(1.0)


async def _fail() -> None:
    await trio.lowlevel.checkpoint()
    raise ValueError("passed on")
