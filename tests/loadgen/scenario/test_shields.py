"""Test that shields which would outlast the end are lifted, and no others."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from loadgen.scenario import shields


@pytest.mark.parametrize(("lasts_s", "is_lifted"), [(1.0, False), (2.0, False), (2.5, True)])
async def test_a_shield_with_a_deadline_until_the_end_is_left_alone(
    autojump_clock: MockClock, lasts_s: float, is_lifted: bool
) -> None:
    async def hold() -> None:
        with trio.move_on_at(began_s + lasts_s, shield=True) as kept:
            scopes.append(kept)
            await trio.sleep_forever()

    began_s, scopes = trio.current_time(), list[trio.CancelScope]()
    with trio.CancelScope() as within:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(hold)
            await trio.testing.wait_all_tasks_blocked()
            (task,) = nursery.child_tasks
            within.cancel()
            shields.lift(task, within, began_s + 2.0)
            assert scopes[0].shield is not is_lifted
    assert trio.current_time() - began_s == (0.0 if is_lifted else lasts_s)


async def test_shields_of_tasks_that_a_user_has_started_are_lifted_and_none_outside(
    autojump_clock: MockClock,
) -> None:
    async def shielded(*more: object) -> None:
        with trio.move_on_after(1000.0, shield=True) as kept:
            scopes.append(kept)
            async with trio.open_nursery() as nursery:
                if more:
                    nursery.start_soon(shielded, *more[1:])
                await trio.sleep_forever()

    scopes = list[trio.CancelScope]()
    with trio.CancelScope(shield=True) as outside, trio.CancelScope() as within:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(shielded, 1, 2)
            await trio.testing.wait_all_tasks_blocked()
            (task,) = nursery.child_tasks
            within.cancel()
            shields.lift(task, within, trio.current_time() + 2.0)
    assert [scope.shield for scope in scopes] == [False] * 3
    assert outside.shield
