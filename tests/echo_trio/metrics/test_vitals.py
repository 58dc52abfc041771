"""What a process notices of itself."""

from __future__ import annotations

import gc
import itertools
import os
from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing

from echo_trio.metrics import vitals as vitals_module
from echo_trio.metrics.durations import Durations
from echo_trio.metrics.vitals import TRY_INTERVAL_S, Vitals


@asynccontextmanager
async def running(vitals: Vitals):
    async with trio.open_nursery() as nursery:
        nursery.start_soon(vitals.run)
        nursery.start_soon(vitals.lag.run)
        yield
        nursery.cancel_scope.cancel()


async def test_a_loop_that_is_held_up_is_seen_to_be_late(autojump_clock) -> None:
    vitals = Vitals()
    async with running(vitals):
        await trio.sleep(0.5)
        assert vitals.loop_lag.recent().max == pytest.approx(0.0, abs=0.001)
        autojump_clock.jump(1.0)  # as a task that computes for a second
        await trio.sleep(TRY_INTERVAL_S)
        assert vitals.loop_lag.recent().max >= 1000 * (1.0 - TRY_INTERVAL_S)


async def test_what_rolls_does_once_a_second_and_each_try_is_told_of(autojump_clock) -> None:
    durations, tries = Durations(), []
    durations.observe(1.0)
    vitals = Vitals([durations], on_try=lambda: tries.append(1))
    vitals.roll()
    async with running(vitals):
        await trio.sleep(1.5)
        assert durations.recent().count == 1
        assert len(tries) == pytest.approx(1.5 / TRY_INTERVAL_S, abs=2)
        await trio.sleep(1)
        assert durations.recent().count == 0


async def test_what_was_long_ago_is_not_recent_though_nobody_looked_meanwhile(autojump_clock):
    durations = Durations()
    vitals = Vitals([durations])
    vitals.roll()
    durations.observe(1.0)
    await trio.sleep(3600)
    vitals.roll()
    assert durations.recent().count == 0


@pytest.mark.parametrize(("pauses_s", "rolled"), [([0.75] * 40, 30), ([2.5, 0.25, 0.5], 3),
                                                  ([100.0, 0.5, 0.75], 3)])  # fmt: skip
async def test_seconds_are_counted_however_often_somebody_looks(autojump_clock, pauses_s, rolled):
    """Each second rolls once; of a long rest two are enough to let go of all before it."""

    class Counted(Durations):
        rolled = 0

        def roll(self) -> None:
            self.rolled += 1

    counted = Counted()
    vitals = Vitals([counted])
    vitals.roll()
    for pause_s in pauses_s:
        await trio.sleep(pause_s)
        vitals.roll()
    assert counted.rolled == rolled


async def test_the_time_that_collections_take_is_counted_while_it_runs(autojump_clock) -> None:
    vitals, callbacks = Vitals(), len(gc.callbacks)
    gc.collect()
    before = vitals.holdings().gc
    assert before.pause_ms_total == 0
    async with running(vitals):
        await trio.sleep(TRY_INTERVAL_S)
        gc.collect()
        after = vitals.holdings().gc
    assert after.pause_ms_total > 0
    assert after.collections[2] == before.collections[2] + 1
    assert len(gc.callbacks) == callbacks


async def test_a_collection_takes_the_time_from_its_start_to_its_end(
    autojump_clock, monkeypatch
) -> None:
    seconds = itertools.count(100)
    monkeypatch.setattr(vitals_module.time, "perf_counter", lambda: next(seconds))
    vitals = Vitals()
    async with running(vitals):
        await trio.sleep(TRY_INTERVAL_S)
        before = sum(vitals.holdings().gc.collections)
        began_ms = vitals.holdings().gc.pause_ms_total
        for _ in range(3):
            gc.collect()
        after = sum(vitals.holdings().gc.collections)
        assert vitals.holdings().gc.pause_ms_total - began_ms == 1000 * (after - before)


async def test_holdings_count_what_is_open(autojump_clock) -> None:
    vitals = Vitals()
    before = vitals.holdings()
    ends = os.pipe()
    async with running(vitals):
        await trio.sleep(TRY_INTERVAL_S)
        after = vitals.holdings()
    assert after.descriptors == before.descriptors + len(ends)
    assert after.tasks == before.tasks + 2
    assert 0 < after.descriptors < after.file_limit
    assert after.rss_bytes > 2**20
    assert after.cpu_s > 0
    for end in ends:
        os.close(end)


class FakeProcess:
    """A process of which psutil tells these numbers."""

    def num_fds(self) -> int:
        return 77

    def num_handles(self) -> int:
        return 88


@pytest.mark.parametrize(("size", "counted"), [(5, 5), (0, 77), (None, 77)])
def test_descriptors_are_counted_by_the_folder_or_one_by_one(
    monkeypatch, tmp_path, size: int | None, counted: int
) -> None:
    class Folder:
        def stat(self) -> os.stat_result:
            if size is None:
                raise FileNotFoundError
            return os.stat_result([0] * 6 + [size] + [0] * 3)

    monkeypatch.setattr(vitals_module, "_DESCRIPTORS", Folder())
    assert vitals_module._count_descriptors(FakeProcess()) == counted


async def test_at_work_the_loop_is_looked_at_and_the_news_is_told(autojump_clock) -> None:
    vitals = Vitals()
    before_s = vitals.activity.last_s
    async with running(vitals):
        await trio.sleep(2.5 * TRY_INTERVAL_S)
    assert vitals.activity.last_s > before_s
    assert vitals.loop_lag.histogram().count == 2
