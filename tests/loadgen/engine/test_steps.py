"""Steps are taken when they are due, by whatever waits for that: on a virtual clock."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import pytest
import trio
import trio.testing

from echo_trio.wire.alarms import Alarms
from loadgen.engine.steering import Steering
from loadgen.engine.steps import take_when_due


class Waits:
    """Rings alarms at their time, as the poller does that waits in Trio's place."""

    is_inside = True

    def __init__(self) -> None:
        self.alarms = Alarms()

    async def run(self) -> None:
        while True:
            now_s = trio.current_time()
            self.alarms.ring(now_s)
            await trio.sleep_until(min(self.alarms.next_s, now_s + 0.01))


@pytest.fixture(params=["no poller", "outside", "inside"])
def poller(request: pytest.FixtureRequest, nursery: trio.Nursery) -> Any:
    if request.param == "inside":
        waits = Waits()
        nursery.start_soon(waits.run)
        return waits
    return None if request.param == "no poller" else SimpleNamespace(is_inside=False)


class Taken:
    """Steps that note when they were taken, and whether they were closed."""

    def __init__(self, *due_s: float) -> None:
        self.due_s, self.at_s, self.is_closed = list(due_s), list[float](), False
        self.began_s = trio.current_time()

    def steps(self) -> Any:
        try:
            while True:
                self.at_s.append(round(trio.current_time() - self.began_s, 1))
                if not self.due_s:
                    return
                yield self.began_s + self.due_s.pop(0)
        finally:
            self.is_closed = True


async def test_the_first_step_is_taken_at_once_and_each_other_when_the_last_said(
    poller: Any, autojump_clock: trio.testing.MockClock
) -> None:
    taken = Taken(1.0, 1.5, 4.0)
    await take_when_due(taken.steps(), poller, Steering())
    assert taken.at_s == [0.0, 1.0, 1.5, 4.0]
    assert round(trio.current_time() - taken.began_s, 1) == 4.0
    assert taken.is_closed


async def test_a_change_brings_the_next_step_at_once_and_no_other_in_its_place(
    poller: Any, nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    steering, taken = Steering(), Taken(5.0, 9.0, 10.0)

    @nursery.start_soon
    async def change() -> None:
        await trio.sleep(2.0)
        steering.turn(2.0, 0.5)

    await take_when_due(taken.steps(), poller, steering)
    assert taken.at_s == [0.0, 2.0, 9.0, 10.0]
    steering.turn(3.0, 1.0)  # Nobody is called any more.
    assert len(taken.at_s) == 4


async def test_who_is_cancelled_closes_its_steps_and_drops_its_alarm(
    poller: Any, autojump_clock: trio.testing.MockClock
) -> None:
    taken = Taken(1.0, 100.0)
    with trio.move_on_after(2.0):
        await take_when_due(taken.steps(), poller, Steering())
    assert (taken.at_s, taken.is_closed) == ([0.0, 1.0], True)
    if isinstance(poller, Waits):
        assert poller.alarms.next_s == math.inf
