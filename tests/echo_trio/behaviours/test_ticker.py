"""A ticker counts from its beginning: a late tick makes none of the others late."""

from __future__ import annotations

import json
from sys import getsizeof

from echo_trio.behaviours.ticker import ticker

from .acting import Acting


def test_the_nth_tick_is_n_intervals_after_the_beginning_however_late_others_were() -> None:
    acting = Acting(ticker(2.5)(lambda: 7))
    (first,) = acting.opened()
    assert acting.script.at_once
    ticks = [first]
    for late_s in (0.0, 1.0, 4.0, 0.0):
        assert list(acting.received("m")) == []
        ((due_s, tick),) = acting.stage.due
        acting.stage.due.clear()
        assert due_s == 1000.0 + 2.5 * len(ticks)
        assert acting.stage.due_bytes >= getsizeof(tick) * len(ticks)
        acting.stage.time_s = due_s + late_s
        ticks += tick()
    told = [json.loads(each.message) for each in ticks]
    assert [each["seq"] for each in told] == [0, 1, 2, 3, 4]
    assert [each["t"] for each in told] == [1_000_000, 1_002_500, 1_006_000, 1_011_500, 1_010_000]
