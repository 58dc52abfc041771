"""The limits on connecting: on a virtual clock, against the times computed one by one."""

from __future__ import annotations

import pytest
import trio

from loadgen.engine.gate import ConnectPace, Gate
from loadgen.workload.plan import Plan

#: A generator that was held up may begin the handshakes of so much time at once.
CATCH_UP_S = 0.1


async def turns(pace, times):
    began, moments = trio.current_time(), []
    for _ in range(times):
        await pace.wait_for_turn()
        moments.append(round(trio.current_time() - began, 3))
    return moments


async def test_handshakes_begin_at_their_rate_however_long_each_takes(autojump_clock):
    await trio.sleep(3.0)
    pace = ConnectPace(10.0)
    assert pace.is_limited
    assert await turns(pace, 3) == pytest.approx([0.0, 0.1, 0.2], abs=0.01)
    await trio.sleep(0.07)
    assert await turns(pace, 3) == pytest.approx([0.03, 0.13, 0.23], abs=0.01)


async def test_a_generator_that_was_held_up_catches_up_a_tenth_of_a_second(autojump_clock):
    pace = ConnectPace(100.0)
    await turns(pace, 1)
    await trio.sleep(5.0)
    moments = await turns(pace, 100)
    # Those of the tenth at once, then one each hundredth.
    expected = [max(number / 100.0 - CATCH_UP_S, 0.0) for number in range(100)]
    assert moments == pytest.approx(expected, abs=0.015)


async def test_without_a_rate_nobody_waits(autojump_clock):
    pace = ConnectPace(None)
    assert await turns(pace, 1000) == [0.0] * 1000
    assert not pace.is_limited


async def test_a_gate_lets_as_many_handshakes_be_in_flight_and_begin_as_the_plan_says():
    gate = Gate(Plan(9, connect_concurrency=3, connect_rate=4.0))
    assert (gate.limiter.total_tokens, gate.pace.is_limited) == (3, True)
    assert not Gate(Plan(9)).pace.is_limited
