"""Blame code that blocks everybody, and nobody for a loop that is full; by a clock of its own."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Awaitable, Generator, Iterator
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

    async def use(self, code: Awaitable[None], step: str | None) -> None:
        """Run code as that of a user who is at a step."""
        user: Any = SimpleNamespace(
            step=step and (step, "request"),
            scenario="talker",
            context=SimpleNamespace(books=self.books),
        )
        self.watch.add(user)
        try:
            await self.watch.timed(code, user)
        finally:
            self.watch.remove()

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
    async def work(took_ms: int) -> None:
        for _ in range(3):
            bench.work(took_ms)
            await trio.lowlevel.checkpoint()

    with bench.watch.watching():
        async with trio.open_nursery() as users:
            for _ in range(100):
                users.start_soon(bench.use, work(9), "short")
            users.start_soon(bench.use, work(10), "long")
            users.start_soon(bench.use, work(30), None)
            bench.work(500)  # no user's turn
            users.start_soon(work, 500)
    assert bench.blamed == {"long": (3, 30), "talker": (3, 90)}


async def test_tasks_that_a_user_starts_are_its_own_and_blamed_once(bench: Bench) -> None:
    async def work(took_ms: int) -> None:
        bench.work(took_ms)
        await trio.lowlevel.checkpoint()

    async def start_others() -> None:
        bench.work(15)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(start_another)
            nursery.start_soon(work, 9)
        bench.work(11)
        await trio.lowlevel.checkpoint()

    async def start_another() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(work, 20)

    with bench.watch.watching():
        async with trio.open_nursery() as users:
            users.start_soon(bench.use, start_others(), "nested")
            users.start_soon(bench.use, work(30), "other")
        await work(500)  # no user's turn
    assert bench.blamed == {"nested": (3, 46), "other": (1, 30)}
    with pytest.raises(KeyError):  # Trio does not have it any more.
        trio.lowlevel.remove_instrument(bench.watch._turns)
    await bench.use(work(1), "after")
    await trio.lowlevel.checkpoint()
    assert "after" not in bench.blamed


async def test_what_the_loop_waits_is_in_nobodys_turn(bench: Bench) -> None:
    class Waiting(trio.abc.Instrument):
        def after_io_wait(self, _: float) -> None:
            bench.work(500)

    async def work() -> None:
        bench.work(20)
        await trio.lowlevel.checkpoint()

    async def start_another() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(work)

    waiting = Waiting()
    with bench.watch.watching():
        trio.lowlevel.add_instrument(waiting)
        try:
            await bench.use(start_another(), "nested")
        finally:
            trio.lowlevel.remove_instrument(waiting)
    assert bench.blamed == {"nested": (1, 20)}


async def test_a_collection_of_garbage_is_not_the_fault_of_the_user_in_whose_turn_it_falls(
    bench: Bench,
) -> None:
    def take_long(phase: str, _: dict[str, int]) -> None:
        if phase == "stop":
            bench.work(56)

    async def work(first_ms: int, then_ms: int) -> None:
        bench.work(first_ms)
        gc.collect(0)
        bench.work(then_ms)
        await trio.lowlevel.checkpoint()

    gc.callbacks.append(take_long)
    try:
        with bench.watch.watching():
            async with trio.open_nursery() as users:
                users.start_soon(bench.use, work(1, 1), "quick")
                users.start_soon(bench.use, work(0, 2), "quick from the first moment on")
                users.start_soon(bench.use, work(10, 10), "slow")
    finally:
        gc.callbacks.remove(take_long)
    assert bench.blamed == {"slow": (1, 20)}
    assert bench.watch._note_collection not in gc.callbacks


async def test_a_collection_while_a_user_is_being_blamed_does_not_end_its_code(
    bench: Bench,
) -> None:
    class Collecting(tuple[int, int]):
        """A collection that is remembered: whoever looks at it makes another happen."""

        __slots__ = ()

        def __iter__(self) -> Iterator[int]:
            gc.collect(0)
            return super().__iter__()

    async def work() -> None:
        bench.work(20)
        await trio.lowlevel.checkpoint()

    with bench.watch.watching():
        bench.watch._collections.append(Collecting((0, 5)))
        await bench.use(work(), "slow")
    assert bench.blamed == {"slow": (1, 20)}


async def test_a_turn_is_not_blamed_for_the_time_in_which_it_waited_for_a_core(
    bench: Bench,
) -> None:
    async def work(took_ms: int, waited_ms: int) -> None:
        bench.work(took_ms, waited_ms)
        await trio.lowlevel.checkpoint()

    with bench.watch.watching():
        async with trio.open_nursery() as users:
            users.start_soon(bench.use, work(5, 40), "starved")
            users.start_soon(bench.use, work(15, 40), "both")
    assert bench.blamed == {"both": (1, 15)}


async def test_code_is_run_as_if_nobody_timed_it(bench: Bench) -> None:
    seen: list[str] = []

    async def fall_asleep() -> None:
        try:
            await trio.sleep_forever()
        except trio.Cancelled:
            seen.append("cancelled")
            raise
        finally:
            with trio.CancelScope(shield=True):
                await trio.lowlevel.checkpoint()
            seen.append("finally")

    async def use_asyncio() -> None:
        try:
            await asyncio.sleep(1)
        except RuntimeError:
            seen.append("no running event loop")
        try:
            await Foreign()
        except TypeError as exc:
            seen.append(str(exc)[:31])
        raise LookupError("its own")

    class Foreign:
        def __await__(self) -> Generator[str, None, None]:
            yield "something that is not Trio's"

    class Awaited:
        def __await__(self) -> Generator[Any, Any, None]:
            return trio.lowlevel.checkpoint().__await__()  # noqa: ASYNC105

    with trio.move_on_after(0) as scope:
        await bench.use(fall_asleep(), None)
    assert scope.cancelled_caught
    with pytest.raises(LookupError, match="its own"):
        await bench.use(use_asyncio(), None)
    await bench.use(Awaited(), None)
    assert seen == [
        "cancelled", "finally", "no running event loop", "trio.run received unrecognized ",
    ]  # fmt: skip


async def test_each_wait_for_a_core_is_taken_off_once(bench: Bench) -> None:
    async def work() -> None:
        for _ in range(3):
            bench.work(15, waited_ms=40)
            await trio.lowlevel.checkpoint()

    with bench.watch.watching():
        await bench.use(work(), "both")
    assert bench.blamed == {"both": (3, 45)}
