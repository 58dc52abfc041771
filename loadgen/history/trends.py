"""Put the runs of a history in line, and find since when each figure has changed. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, Literal

import msgspec

from loadgen.history.change_points import find_changes
from loadgen.history.file import StoredRun
from loadgen.report import metrics
from loadgen.report.metrics import MetricKind
from loadgen.report.verdict import GENERATOR_LIMITED
from loadgen.studies.compare import (
    FREE_SETTINGS,
    METRICS,
    NEGLIGIBLE,
    ComparedMetric,
    look_up,
    noise_between,
)
from loadgen.workload.lever import Change

#: The fewest runs in which a change can be found (see `change_points.SIGNIFICANCE`).
MIN_RUNS: Final = 10
#: The figures that are shown unless others are asked for.
SHOWN: Final = (
    "sent per second", "latency p50", "latency p99", "service p99", "connect p99",
    "sockets failed", "messages lost", "users failed", "generator CPU", "generator memory",
)  # fmt: skip
_UNITS: Final = {
    MetricKind.COUNT: "",
    MetricKind.TIME: "ms",
    MetricKind.SIZE: "B",
    MetricKind.RATE: "/s",
    MetricKind.SHARE: "",
}


class ListedRun(msgspec.Struct, frozen=True, kw_only=True):
    """A run of a line.

    :ivar opened: the number of sockets that opened; with none nothing was measured.
    :ivar breached: true if a limit that was set with --fail-if did not hold.
    :ivar changes: of its load by hand while it went, as the report has them.
    :ivar paused_s: for how much of its load phase it was paused.
    :ivar counted: false if its figures are not those of its plan: if its generator held it up, it
        was interrupted, or its load was changed by hand. Changes are looked for in the other runs.
    """

    id: int
    started_at: datetime
    verdict: str
    interrupted: bool
    opened: int
    breached: bool
    changes: list[Change]
    paused_s: float
    counted: bool


class ChangePoint(msgspec.Struct, frozen=True, kw_only=True):
    """A figure has changed from one level to another.

    :ivar run: the first run on the new level.
    :ivar before: the mean on the level before; `after`, on the new one.
    :ivar change: as a share of `before`; ``None`` if that is 0.
    :ivar noise: the 99 % bound on a difference without cause, as a share of `before`; ``None`` if
        that is 0.
    :ivar p: the share of shuffles that have a split as good.
    """

    run: int
    started_at: datetime
    before: float
    after: float
    change: float | None
    noise: float | None
    p: float
    call: Literal["better", "worse"]


class Trend(msgspec.Struct, frozen=True, kw_only=True):
    """A figure over the runs of a line.

    :ivar values: one for each run; ``None`` where a run didn't measure it, or isn't counted.
    :ivar noise: the standard deviation on the present level, as a share of its mean; ``None`` if
        there are too few runs.
    """

    name: str
    unit: str
    values: list[float | None]
    changes: list[ChangePoint]
    noise: float | None


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """Runs of one name and one plan.

    :ivar different: the settings by which its plan differs from the line before of the same name.
    """

    name: str
    different: list[str]
    runs: list[ListedRun]
    trends: list[Trend]


def parse_metric(name: str) -> ComparedMetric:
    """Find a figure by the name that `--fail-if` knows, or that a comparison shows.

    :raises ValueError: if there is none.
    """
    for known in METRICS:
        if known.name == name:
            return known
    if (metric := metrics.find(name)) is None:
        raise ValueError(f"there is no figure {name!r}; docs/reference/thresholds.md names them")
    in_s = metric.kind is MetricKind.TIME and metric.scale != 1
    unit = "s" if in_s else _UNITS[metric.kind]
    return ComparedMetric(
        metric.name, metric.path, unit, more_is_better=metric.kind is MetricKind.RATE
    )


def line_up(runs: Iterable[StoredRun], wanted: Sequence[ComparedMetric] = ()) -> list[Line]:
    """Put runs of one name and one plan in line, and find the changes in each.

    :param wanted: the figures; by default the usual ones that were measured.
    """
    by_name: dict[str, list[list[StoredRun]]] = {}
    for run in runs:
        lines = by_name.setdefault(run.name, [])
        same = (line for line in lines if not _differences(line[0], run))
        if (line := next(same, None)) is None:
            lines.append(line := [])
        line.append(run)
    return [
        _make_line(line, _differences(lines[at - 1][0], line[0]) if at else [], wanted)
        for lines in by_name.values()
        for at, line in enumerate(lines)
    ]


def _make_line(
    runs: Sequence[StoredRun], different: list[str], wanted: Sequence[ComparedMetric]
) -> Line:
    reports: list[Mapping[str, Any]] = [msgspec.to_builtins(run.report) for run in runs]
    listed = [
        ListedRun(
            id=run.id,
            started_at=run.started_at,
            verdict=run.verdict,
            interrupted=run.report.interrupted,
            opened=int(look_up(report, ("connections", "opened")) or 0),
            breached=any(each.get("breached") for each in run.report.thresholds),
            changes=run.report.changes,
            paused_s=run.report.paused_s,
            counted=_is_as_planned(run),
        )
        for run, report in zip(runs, reports, strict=True)
    ]
    trends = [
        _make_trend(metric, listed, reports)
        for metric in (wanted or [metric for metric in METRICS if metric.name in SHOWN])
    ]
    return Line(
        name=runs[0].name,
        different=different,
        runs=listed,
        # What never happened is no figure to look at, unless it was asked for.
        trends=[trend for trend in trends if wanted or any(trend.values)],
    )


def _is_as_planned(run: StoredRun) -> bool:
    return not (run.verdict == GENERATOR_LIMITED or run.report.interrupted or run.report.changes)


def _make_trend(
    metric: ComparedMetric, runs: Sequence[ListedRun], reports: Sequence[Mapping[str, Any]]
) -> Trend:
    values = [
        look_up(report, metric.path) if run.counted else None
        for run, report in zip(runs, reports, strict=True)
    ]
    measured = [(run, value) for run, value in zip(runs, values, strict=True) if value is not None]
    figures = [value for _, value in measured]
    splits = find_changes(figures) if len(figures) >= MIN_RUNS else []
    edges = [0, *(split.at for split in splits), len(figures)]
    changes = []
    for number, split in enumerate(splits):
        before = figures[edges[number] : split.at]
        after = figures[split.at : edges[number + 2]]
        mean, new_mean = statistics.fmean(before), statistics.fmean(after)
        noise = noise_between(before, after) or 0.0
        if abs(new_mean - mean) <= max(noise, NEGLIGIBLE * abs(mean)):
            continue
        changes.append(
            ChangePoint(
                run=measured[split.at][0].id,
                started_at=measured[split.at][0].started_at,
                before=mean,
                after=new_mean,
                change=(new_mean - mean) / mean if mean else None,
                noise=noise / mean if mean else None,
                p=split.p,
                call="better" if (new_mean > mean) == metric.more_is_better else "worse",
            )
        )
    level = figures[edges[-2] :]
    spread = statistics.stdev(level) if len(level) > 1 else None
    mean = statistics.fmean(level) if level else 0.0
    return Trend(
        name=metric.name,
        unit=metric.unit,
        values=values,
        changes=changes,
        noise=spread / mean if spread is not None and mean else None,
    )


def _differences(one: StoredRun, other: StoredRun) -> list[str]:
    """List the settings by which two runs are different experiments."""
    plans = one.report.plan, other.report.plan
    keys = dict.fromkeys(key for plan in plans for key in plan if key not in FREE_SETTINGS)
    return [
        f"{key}: {plans[0].get(key)} → {plans[1].get(key)}"
        for key in keys
        if str(plans[0].get(key)) != str(plans[1].get(key))
    ]
