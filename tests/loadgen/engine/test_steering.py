"""Changes of a load reach whoever sends it, at their time and not later; on a virtual clock."""

from __future__ import annotations

import math
from contextlib import suppress

import pytest
import trio
import trio.testing

from loadgen.engine.steering import Steering


@pytest.fixture
async def steering() -> Steering:
    steering = Steering()
    steering.begin()
    return steering


async def test_a_change_is_to_come_until_its_moment_and_then_holds(
    steering: Steering, autojump_clock: trio.testing.MockClock
) -> None:
    assert (steering.coming_s, steering.is_paused) == (None, False)
    began_s = trio.current_time()
    steering.turn(2.0, 0.0)
    assert (steering.coming_s, steering.is_paused) == (began_s + 2.0, False)
    await trio.sleep(2.5)
    assert (steering.coming_s, steering.is_paused) == (None, True)
    steering.turn(2.5, 3.0)
    assert (steering.coming_s, steering.is_paused) == (None, False)
    assert steering.speeds.steps == ((2.0, 0.0), (2.5, 3.0))


async def test_who_sleeps_is_woken_by_a_change_and_who_does_not_is_not(
    steering: Steering, nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    woken = list[float]()

    async def sleep(until_s: float) -> None:
        await steering.sleep_until(until_s)
        woken.append(trio.current_time() - began_s)

    began_s = trio.current_time()
    nursery.start_soon(sleep, began_s + 1.0)
    nursery.start_soon(sleep, math.inf)
    await trio.sleep(3.0)
    assert woken == [1.0]
    steering.turn(3.0, 2.0)
    await trio.testing.wait_all_tasks_blocked()
    assert woken == [1.0, 3.0]
    assert steering._sleeps == set()
    steering.turn(3.0, 1.0)


async def test_a_pause_is_waited_out_however_it_is_changed_meanwhile(
    steering: Steering, nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    gone_on = list[float]()

    async def wait() -> None:
        await steering.wait_for_resume()
        gone_on.append(trio.current_time() - began_s)

    began_s = trio.current_time()
    await wait()
    steering.turn(0.0, 0.0)
    nursery.start_soon(wait)
    await trio.sleep(5.0)
    steering.turn(6.0, 0.0)  # paused on
    await trio.sleep(5.0)
    steering.turn(12.0, 0.5)
    await trio.sleep(5.0)
    assert gone_on == [0.0, 12.0]


async def test_who_asks_is_called_at_each_change_as_long_as_that_lasts(
    steering: Steering, autojump_clock: trio.testing.MockClock
) -> None:
    called = list[float]()
    with suppress(ZeroDivisionError), steering.calling(lambda: called.append(1)):
        steering.turn(1.0, 2.0)
        with steering.calling(lambda: called.append(2)):
            steering.turn(2.0, 2.0)
        steering.turn(3.0, 2.0)
        _ = 1 // 0
    steering.turn(4.0, 2.0)
    assert called == [1, 1, 2, 1]
