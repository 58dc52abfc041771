"""The ring of snapshots and its readers, on a virtual clock."""

from __future__ import annotations

import json
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from echo_trio.console.live import HISTORY, TAKE_TIMEOUT_S, Live
from echo_trio.console.snapshots import SnapshotCache
from echo_trio.metrics.activity import Activity


class Reader:
    """Collects the ids that it is sent."""

    def __init__(self, live: Live, after_ms: int | None = None, *, slow_s: float = 0) -> None:
        self.ids: list[int] = []
        self.figures: list[Any] = []
        self._live = live
        self._after_ms = after_ms
        self._slow_s = slow_s

    async def run(self) -> None:
        await self._live.follow(self._emit, after_ms=self._after_ms)

    async def _emit(self, chunk: bytes) -> None:
        for line in chunk.decode().splitlines():
            key, _, value = line.partition(": ")
            if key == "id":
                self.ids.append(int(value))
            elif key == "data":
                self.figures.append(json.loads(value))
        await trio.sleep(self._slow_s)


def make_live(activity: Activity | None = None) -> Live:
    async def ask() -> dict[str, Any]:
        await trio.lowlevel.checkpoint()
        return {"t_ms": round(trio.current_time() * 1000), "open": 7, "histograms": {"long": 1}}

    return Live(SnapshotCache(ask), activity)


def make_slow_live() -> tuple[Live, list[float]]:
    """Make one whose snapshots take 4 ms, and the list of when each was begun."""
    taken: list[float] = []

    async def take() -> dict[str, Any]:
        taken.append(trio.current_time())
        await trio.sleep(0.004)
        return {"t_ms": round(trio.current_time() * 1000)}

    return Live(SnapshotCache(take)), taken


def filled(ids: range | list[int]) -> Live:
    live = make_live()
    for t_ms in ids:
        live.add({"t_ms": t_ms})
    return live


async def read_all(live: Live, after_ms: int | None = None) -> list[int]:
    live.end()
    reader = Reader(live, after_ms)
    await reader.run()
    return reader.ids


async def test_a_snapshot_is_taken_each_second_and_every_reader_gets_it(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    live = make_live()
    readers = [Reader(live), Reader(live)]
    nursery.start_soon(live.sample_forever)
    for reader in readers:
        nursery.start_soon(reader.run)
    await trio.sleep(3.5)
    for reader in readers:
        assert reader.ids == [0, 1000, 2000, 3000]
        assert reader.figures[0] == {"t_ms": 0, "open": 7}
    nursery.cancel_scope.cancel()


async def test_without_readers_nobody_is_asked(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    asked = list[float]()

    def known() -> dict[str, Any]:
        return {"t_ms": round(trio.current_time() * 1000), "open": 1}

    def ask() -> dict[str, Any]:
        asked.append(trio.current_time())
        return known()

    live = Live(SnapshotCache(ask, known))
    nursery.start_soon(live.sample_forever)
    await trio.sleep(10.5)
    assert asked == []
    reader = Reader(live)
    with trio.move_on_after(3):
        await reader.run()
    assert asked == pytest.approx([11, 12, 13])
    assert reader.ids == [1000 * second for second in range(14)]
    await trio.sleep(10)
    assert len(asked) == 3
    nursery.cancel_scope.cancel()


async def test_without_readers_and_activity_no_snapshot_is_taken(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    activity = Activity()
    live = make_live(activity)
    nursery.start_soon(live.sample_forever)
    await trio.sleep(0.5)
    activity.note()
    await trio.sleep(100)
    activity.note()  # at 100.5
    await trio.sleep(100)
    reader = Reader(live)
    nursery.start_soon(reader.run)  # at 200.5
    await trio.sleep(2.2)
    # One or two after each, so that the last shows the server at rest; then with each second.
    assert reader.ids == [0, 1000, 2000, 100_500, 101_500, 200_500, 201_500, 202_500]
    nursery.cancel_scope.cancel()


async def test_snapshots_that_take_long_are_further_apart_until_somebody_follows(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    live, taken = make_slow_live()
    nursery.start_soon(live.sample_forever)
    await trio.sleep(10)
    assert taken == pytest.approx([0, 4.004, 8.008])
    reader = Reader(live)
    nursery.start_soon(reader.run)
    await trio.sleep(2.5)
    assert taken == pytest.approx([0, 4.004, 8.008, 10, 11, 12])
    nursery.cancel_scope.cancel()


async def test_snapshots_are_further_apart_again_when_the_last_follower_has_left(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    live, taken = make_slow_live()
    nursery.start_soon(live.sample_forever)
    for follows_s in (1.5, 2.0):
        with trio.move_on_after(follows_s):
            await Reader(live).run()
    assert taken == pytest.approx([0, 1, 2, 3])
    await trio.sleep(10)
    assert taken[4:] == pytest.approx([7.004, 11.008])
    nursery.cancel_scope.cancel()


async def test_who_comes_after_a_long_rest_sees_nothing_of_the_time_before(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    live = make_live(Activity())
    nursery.start_soon(live.sample_forever)
    await trio.sleep(3600)
    reader = Reader(live)
    nursery.start_soon(reader.run)
    await trio.sleep(1.5)
    assert reader.ids == [3_600_000, 3_601_000]
    nursery.cancel_scope.cancel()


async def test_ten_minutes_are_kept_and_no_more(autojump_clock: MockClock) -> None:
    assert HISTORY == 600
    assert await read_all(filled(range(1000))) == list(range(400, 1000))


@pytest.mark.parametrize(("newest_ms", "kept"), [(600_000, [0, 1]), (600_001, [1])])
async def test_what_is_older_than_ten_minutes_goes_however_few_there_are(
    newest_ms: int, kept: list[int]
) -> None:
    assert await read_all(filled([0, 1, newest_ms])) == [*kept, newest_ms]


async def test_a_reader_that_comes_back_gets_what_it_has_missed() -> None:
    assert await read_all(filled([10, 20, 30]), after_ms=10) == [20, 30]
    assert await read_all(filled([10, 20, 30]), after_ms=25) == [30]
    assert await read_all(filled([10, 20, 30]), after_ms=30) == []
    assert await read_all(filled([10, 20, 30]), after_ms=5) == [10, 20, 30]


async def test_a_wall_clock_that_was_set_back_hides_nothing_new() -> None:
    live = filled([100, 200, 50, 60])
    assert await read_all(live, after_ms=60) == []
    assert await read_all(filled([100, 200, 50, 60]), after_ms=50) == [60]


async def test_a_reader_that_takes_too_long_is_cut_and_nobody_waits_for_it(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    live = filled(range(600))
    slow, slower, quick = Reader(live, slow_s=0.3), Reader(live, slow_s=0.6), Reader(live)
    async with trio.open_nursery() as reading:
        for reader in (slow, quick):
            reading.start_soon(reader.run)
        with pytest.raises(trio.TooSlowError):
            await slower.run()
        assert trio.current_time() == pytest.approx(0.6 + TAKE_TIMEOUT_S)  # From the first on.
        assert slow.ids == quick.ids == list(range(600))
        assert 0 < len(slower.ids) < 600
        live.end()


async def test_at_the_end_readers_get_what_there_is_and_leave(nursery: trio.Nursery) -> None:
    live = filled([1])
    reader = Reader(live)
    async with trio.open_nursery() as reading:
        reading.start_soon(reader.run)
        await trio.testing.wait_all_tasks_blocked()
        live.add({"t_ms": 2})
        live.end()
    assert reader.ids == [1, 2]
    assert live.over


async def test_who_asks_for_figures_each_second_saves_the_sampler_the_work(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    taken: list[float] = []

    def take() -> dict[str, Any]:
        taken.append(trio.current_time())
        return {"t_ms": round(trio.current_time() * 1000)}

    snapshots = SnapshotCache(take)
    live = Live(snapshots)
    reader = Reader(live)
    nursery.start_soon(reader.run)
    nursery.start_soon(live.sample_forever)
    for _ in range(3):
        await trio.sleep(0.5)
        assert (await snapshots.now())["t_ms"] == round(trio.current_time() * 1000)
        await trio.sleep(0.5)
    await trio.sleep(0.5)
    assert taken == [0, 0.5, 1.5, 2.5]
    assert reader.ids == [0, 500, 1500, 2500]
    nursery.cancel_scope.cancel()


async def test_a_reader_that_was_busy_when_it_ended_gets_what_came_meanwhile(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    live = filled([1])
    reader = Reader(live, slow_s=0.2)
    async with trio.open_nursery() as reading:
        reading.start_soon(reader.run)
        await trio.sleep(0.1)
        live.add({"t_ms": 2})
        live.add({"t_ms": 3})
        live.end()
    assert reader.ids == [1, 2, 3]


async def test_a_sampler_that_was_late_once_does_not_make_up_for_it(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    lasts_s = [3.5]

    async def take() -> dict[str, Any]:
        await trio.sleep(lasts_s.pop() if lasts_s else 0)
        return {"t_ms": round(trio.current_time() * 1000)}

    live = Live(SnapshotCache(take))
    nursery.start_soon(live.sample_forever)
    reader = Reader(live)
    nursery.start_soon(reader.run)
    await trio.sleep(6.2)
    # The second is due at once; then one each second.
    assert reader.ids == [3500, 3500, 4500, 5500]
    nursery.cancel_scope.cancel()
