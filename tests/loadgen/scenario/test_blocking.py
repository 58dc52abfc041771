"""Blame code that blocks everybody, and nobody for a loop that is full; by a clock of its own."""

from __future__ import annotations

import gc
from types import SimpleNamespace
from typing import Any

import pytest
import trio

from loadgen.results.scenario import ScenarioBooks
from loadgen.scenario.blocking import BlockingWatch


class Bench:
    """A watch on a clock that moves only where a task says that it works."""

    def __init__(self) -> None:
        self.now_ms = 1000
        self.waited_ms = 0
        self.books = ScenarioBooks()
        self.watch = BlockingWatch(lambda: self.now_ms * 1_000_000, lambda: self.waited_ms / 1000)

    def work(self, took_ms: int, waited_ms: int = 0) -> None:
        self.now_ms += took_ms + waited_ms
        self.waited_ms += waited_ms

    def enter(self, step: str | None) -> None:
        """Make the task that calls this a user's, at a step."""
        user: Any = SimpleNamespace(
            step=step and (step, "request"),
            scenario="talker",
            context=SimpleNamespace(books=self.books),
        )
        self.watch.users[trio.lowlevel.current_task()] = user

    @property
    def blamed(self) -> dict[str, tuple[int, int]]:
        """How often each step was blamed, and for how many milliseconds."""
        return {
            name: (step.blocked, step.blocked_us // 1000)
            for (name, _), step in self.books.steps.items()
        }


@pytest.fixture
def bench() -> Bench:
    return Bench()


async def test_the_turn_that_takes_long_is_blamed_and_a_full_loop_of_short_ones_is_not(
    bench: Bench,
) -> None:
    async def use(step: str | None, took_ms: int) -> None:
        bench.enter(step)
        for _ in range(3):
            bench.work(took_ms)
            await trio.lowlevel.checkpoint()

    async def start_another() -> None:
        bench.enter("begun by a user")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(sit)

    async def sit() -> None:
        bench.work(20)

    with bench.watch.watching():
        async with trio.open_nursery() as users:
            for _ in range(100):
                users.start_soon(use, "short", 9)
            users.start_soon(use, "long", 10)
            users.start_soon(use, None, 30)
            users.start_soon(start_another)
            bench.work(500)  # no user's turn
    assert bench.blamed == {"long": (3, 30), "talker": (3, 90), "begun by a user": (1, 20)}
    bench.work(500)
    await trio.lowlevel.checkpoint()
    assert sum(count for count, _ in bench.blamed.values()) == 7


async def test_a_collection_of_garbage_is_not_the_fault_of_the_user_in_whose_turn_it_falls(
    bench: Bench,
) -> None:
    def take_long(phase: str, _: dict[str, int]) -> None:
        if phase == "stop":
            bench.work(56)

    async def use(step: str, own_ms: int) -> None:
        bench.enter(step)
        bench.work(own_ms)
        gc.collect(0)
        bench.work(own_ms)
        await trio.lowlevel.checkpoint()

    gc.callbacks.append(take_long)
    try:
        with bench.watch.watching():
            async with trio.open_nursery() as users:
                users.start_soon(use, "quick", 1)
                users.start_soon(use, "slow", 10)
    finally:
        gc.callbacks.remove(take_long)
    assert bench.blamed == {"slow": (1, 20)}
    assert bench.watch._note_collection not in gc.callbacks


async def test_a_turn_is_not_blamed_for_the_time_in_which_it_waited_for_a_core(
    bench: Bench,
) -> None:
    async def use(step: str, took_ms: int, waited_ms: int) -> None:
        bench.enter(step)
        bench.work(took_ms, waited_ms)

    with bench.watch.watching():
        async with trio.open_nursery() as users:
            users.start_soon(use, "starved", 5, 40)
            users.start_soon(use, "both", 15, 40)
    assert bench.blamed == {"both": (1, 15)}
