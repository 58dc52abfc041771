"""What a history leaves out is told by its number, up to where nothing is left out."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from loadgen.history.text import _plot, count_runs, explain, explain_change
from loadgen.history.trends import MIN_RUNS, ChangePoint, Line, ListedRun, Trend

AT = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)


def line_of(counted: int, others: int = 0) -> Line:
    runs = [
        ListedRun(id=at, started_at=AT + timedelta(days=at), verdict="valid", interrupted=False,
                  counted=at >= others, changes=[], paused_s=0.0)
        for at in range(others + counted)
    ]  # fmt: skip
    return Line(name="n", different=[], runs=runs, trends=[])


@pytest.mark.parametrize("others", [0, 3])
@pytest.mark.parametrize("counted", [0, MIN_RUNS - 1, MIN_RUNS, MIN_RUNS + 1])
def test_too_few_runs_are_told_by_those_that_count(counted, others):
    notes = explain(line_of(counted, others))
    which = "generator-limited, interrupted or changed by hand"
    left_out = [f"{others} of {counted + others} runs are not counted: {which}"]
    few = [f"changes are looked for from {MIN_RUNS} runs on: here are {counted}"]
    assert notes == left_out * bool(others) + few * (counted < MIN_RUNS)
    assert count_runs(line_of(1)) == "1 run"
    assert count_runs(line_of(1_000)) == "1,000 runs"


@pytest.mark.parametrize(
    ("change", "noise", "told"),
    [
        (0.25, 0.031, "8.00 ms → 10.00 ms (+25.0%, noise ±3.1%, p 0.002)"),
        (0.25, None, "8.00 ms → 10.00 ms (+25.0%, p 0.002)"),
        (None, None, "8.00 ms → 10.00 ms (p 0.002)"),
    ],
)
def test_a_change_is_told_from_the_old_level_to_the_new(change, noise, told):
    point = ChangePoint(run=7, started_at=AT, before=8.0, after=10.0, change=change, noise=noise,
                        p=0.002, call="worse")  # fmt: skip
    trend = Trend(name="latency", unit="ms", values=[], changes=[point], noise=None)
    assert explain_change(trend, point) == f"worse since run 7 of 2026-01-02 03:04: {told}"


@pytest.mark.parametrize(
    ("values", "blocks"),
    [
        ([0.0, 5.0, None, 10.0], "▁▅·█"),  # From 0 …
        ([6.0, 10.0], "▅█"),  # … unless all would look the same.
        ([9.8, 10.0], "▅█"),
        ([4.9, 10.0], "▄█"),
        ([7.0, 7.0], "▁▁"),
        ([0.0, 0.0], "▁▁"),
    ],
)
def test_a_plot_begins_at_nothing_unless_all_would_look_the_same(values, blocks):
    trend = Trend(name="latency", unit="", values=values, changes=[], noise=None)
    (text,) = _plot(line_of(len(values)), trend)
    assert text.plain.split()[1] == blocks
