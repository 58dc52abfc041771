"""Whoever waits for something to do is woken by it, and does not wait where there was some."""

from __future__ import annotations

from math import inf

import pytest
import trio

from echo_trio.metrics.activity import Activity


async def test_activity_wakes_who_waits_and_nobody_waits_if_there_was_some(autojump_clock):
    activity, woken = Activity(), []
    assert activity.last_s == -inf

    async def wait(moment_s):
        await activity.wait_if_none_since(moment_s)
        woken.append(trio.current_time() - began)

    began = trio.current_time()
    async with trio.open_nursery() as nursery:
        for _ in range(2):
            nursery.start_soon(wait, began)
        await trio.sleep(5)
        assert woken == []
        activity.note()
        await trio.sleep(1)
        assert woken == [pytest.approx(5)] * 2
        await wait(began + 5)
        assert len(woken) == 3
        activity.note()
        await trio.sleep(1)
        nursery.start_soon(wait, began + 6.001)
        await trio.sleep(1)
        assert len(woken) == 3
        activity.note()
    assert (len(woken), activity.last_s) == (4, pytest.approx(began + 8))
