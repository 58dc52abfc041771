"""A look at the loop is as late as whatever was due then, and an idle loop is left alone."""

from __future__ import annotations

from math import inf

import pytest
import trio
import trio.testing

from echo_trio.wire.lag import LagWatch


def watch(**more: bool) -> tuple[LagWatch, list[float], list[str]]:
    late, work = list[float](), list[str]()
    return LagWatch(1.0, late.append, on_work=lambda: work.append("work"), **more), late, work


def test_a_look_is_taken_once_in_an_interval_by_whoever_is_awake_near_enough() -> None:
    lag, late, _ = watch()
    lag.look(100.0, 99.9)  # The first is not measured: nobody had waited for it.
    assert (late, lag.next_s) == ([], 101.0)
    lag.look(100.5, 100.49)
    assert (late, lag.next_s) == ([], 101.0)
    lag.look(100.75, 100.5)
    assert (late, lag.next_s) == ([0.25], 101.75)
    lag.look(101.5, 101.6)  # early, which is not late at all
    assert (late, lag.next_s) == ([0.25, 0.0], 102.5)


@pytest.mark.parametrize("rests", [False, True])
def test_looks_cease_after_an_interval_without_work_and_begin_again_with_it(rests: bool) -> None:
    lag, late, work = watch(rests=rests)
    lag.look(100.0, 100.0)
    assert work == ["work"]
    lag.note_work(100.5)
    lag.look(101.0, 101.0)
    assert (work, lag.next_s) == (["work"] * 2, 102.0)
    lag.look(102.0, 102.0)
    assert (work, lag.next_s) == (["work"] * 2, inf if rests else 103.0)
    lag.note_work(105.0)
    assert (work, lag.next_s) == (["work"] * (3 if rests else 2), 106.0 if rests else 103.0)
    lag.note_work(105.5)
    assert len(work) == (3 if rests else 2)
    lag.look(106.25, 106.0)
    assert late == [0.0, 0.0, 0.25]


async def test_without_a_poller_a_task_looks(autojump_clock: trio.testing.MockClock) -> None:
    lag, late, work = watch()
    with trio.move_on_after(3.5):
        await lag.run()
    assert (late, len(work)) == ([0.0] * 3, 3)
