"""What a history leaves out is told by its number, up to where nothing is left out."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from loadgen.history.text import _plot, count_runs, explain, explain_change, say_verdict, write
from loadgen.history.trends import MIN_RUNS, ChangePoint, Line, ListedRun, Trend
from loadgen.report.describe import NOTHING
from loadgen.workload.lever import Change

AT = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)


def line_of(counted: int, others: int = 0) -> Line:
    runs = [
        ListedRun(id=at, started_at=AT + timedelta(days=at), verdict="valid", interrupted=False,
                  opened=1, breached=False,
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


def trend_of(name: str, values: list[float | None], **more) -> Trend:
    return Trend(
        **{"name": name, "unit": "ms", "values": values, "changes": [], "noise": None} | more
    )


def written(line: Line) -> list[str]:
    """The lines of the text, without what frames them."""
    stream = io.StringIO()
    write([line], stream)
    return [each.strip() for each in stream.getvalue().splitlines() if each.strip()]


@pytest.mark.parametrize(("runs", "more"), [(15, False), (16, True)])
def test_of_many_runs_the_last_are_listed_with_their_first_figures(runs, more):
    line = line_of(runs)
    trends = [trend_of(f"f{at}", [1 + run + at / 4 for run in range(runs)]) for at in range(5)]
    trends[3].values[-1] = None
    shown = written(msgspec.structs.replace(line, trends=trends))
    assert shown[0] == f"n  {runs} runs, 2026-01-02 to {AT + timedelta(days=runs - 1):%Y-%m-%d}"
    assert shown[1].split() == ["run", "started", "(UTC)", "verdict", "f0", "f1", "f2", "f3"]
    assert (shown[2] == "…") is more
    rows = shown[2 + more : 2 + more + 15]
    assert [int(row.split()[0]) for row in rows] == list(range(runs - 15, runs))
    assert rows[0].split()[1:4] == [f"{AT + timedelta(days=runs - 15):%Y-%m-%d}", "03:04", "valid"]
    figures = [[f"{1 + run + at / 4:.2f} ms" for at in range(4)] for run in range(runs - 15, runs)]
    figures[-1][3] = NOTHING
    assert [" ".join(row.split()[4:]) for row in rows] == [" ".join(each) for each in figures]
    assert shown[-1].startswith("f4 ")


def test_a_plot_has_the_last_runs_its_range_its_noise_and_its_changes():
    point = ChangePoint(run=33, started_at=AT, before=8.0, after=10.0, change=0.25, noise=0.03,
                        p=0.002, call="worse")  # fmt: skip
    values = [99.0] * 5 + [0.0] * 28 + [7.0, 3.0]
    trend = trend_of("latency", values, changes=[point], noise=0.031)
    text, change = _plot(line_of(35), trend)
    assert text.plain.strip().split()[1] == "▁" * 28 + "█▄"
    assert text.plain.endswith("  0.000 ms … 7.00 ms, ±3.1%")
    assert change.plain == f"  {explain_change(trend, point)}"
    styled = {text.plain[span.start : span.end] for span in text.spans if span.style == "bold red"}
    assert styled == {"█"}
    assert _plot(line_of(2), trend_of("latency", [None, None])) == []


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({}, "valid"),
        ({"interrupted": True}, "interrupted"),
        ({"changes": ["one"]}, "valid, changed by hand"),
        ({"interrupted": True, "changes": ["one"]}, "interrupted, changed by hand"),
    ],
    ids=str,
)
def test_a_verdict_is_told_with_what_went_otherwise(changes, told):
    (run,) = line_of(1).runs
    assert say_verdict(msgspec.structs.replace(run, **changes)) == told


@pytest.mark.parametrize("steered", [0, 5, 6])
def test_of_the_runs_that_were_changed_by_hand_the_last_are_told(steered):
    change = Change(t_s=1.0, load_s=1.0, what="rate", unit="rate", old=1.0, new=2.0)
    line = line_of(12)
    runs = [
        msgspec.structs.replace(run, changes=[change] * (run.id < steered)) for run in line.runs
    ]
    notes = explain(msgspec.structs.replace(line, runs=runs))
    many = [f"{steered} runs were changed by hand, these at last:"] if steered > 5 else []
    told = [f"run {at}: the load was changed by hand: its rate once"
            for at in range(max(steered - 5, 0), steered)]  # fmt: skip
    assert notes == many + told


def test_another_plan_is_told_by_its_settings():
    shown = written(msgspec.structs.replace(line_of(1), different=["count: 1 → 2", "rate: 3 → 4"]))
    assert "with another plan: count: 1 → 2; rate: 3 → 4" in shown


@pytest.mark.parametrize(
    ("verdict", "interrupted", "opened", "breached", "said"),
    [
        ("valid", False, 10, False, "valid"),
        ("valid", False, 10, True, "threshold breached"),
        ("failed", False, 10, True, "failed"),
        ("generator-limited", False, 10, True, "generator-limited"),
        ("failed", False, 0, True, "nothing opened"),
        ("valid", False, 0, False, "nothing opened"),
        ("failed", True, 0, True, "interrupted"),
        ("valid", True, 10, True, "interrupted"),
    ],
)
def test_a_run_is_called_in_the_list_what_its_exit_code_says(
    verdict, interrupted, opened, breached, said
):
    run = ListedRun(
        id=1, started_at=AT, verdict=verdict, interrupted=interrupted, opened=opened,
        breached=breached, changes=[], paused_s=0.0, counted=True,
    )  # fmt: skip
    assert say_verdict(run) == said
