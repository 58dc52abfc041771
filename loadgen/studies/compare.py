"""Find what changed between runs, and whether it is more than noise: `loadgen compare`. Pure.

With several runs on a side, the noise is how they differ among themselves: a change counts if it is
beyond the 99 % bounds of Student's t for the difference of the means. With one run on each side the
noise is unknown, and no change is called better or worse; for percentiles of latency there is at
least a lower bound: how exactly the number of messages lets them be known.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, Literal

import msgspec

from loadgen.report.bounds import decode_histogram
from loadgen.results.latency import PERCENTILES, least_count

Call = Literal["better", "worse", "noise", "unclear", "same"]

#: Student's t, two-sided 99 %, by degrees of freedom; beyond the last the normal distribution's.
_T_99: Final = (
    63.657, 9.925, 5.841, 4.604, 4.032, 3.707, 3.499, 3.355, 3.250, 3.169,
    3.106, 3.055, 3.012, 2.977, 2.947, 2.921, 2.898, 2.878, 2.861, 2.845,
)  # fmt: skip
_Z_99: Final = 2.576
#: A change that is certain, but smaller than this, doesn't matter.
NEGLIGIBLE: Final = 0.01
#: In these, runs may differ and still be the same experiment on two targets.
FREE_SETTINGS: Final = frozenset(
    {"url", "seed", "headers", "cacert", "cert", "key", "insecure", "source_ips", "workers", "dask"}
)


class ComparedMetric(msgspec.Struct, frozen=True):
    """A number that is compared; less is better, unless said.

    :ivar path: of the number in the report.
    :ivar histogram: the histogram of which it is a percentile, and which.
    """

    name: str
    path: tuple[str, ...]
    unit: str = "ms"
    more_is_better: bool = False
    histogram: tuple[str, float] | None = None


#: Percentiles as they are called in text.
_NAMES: Final = {key: key.replace("999", "99.9") for key in PERCENTILES}
METRICS: Final = (
    ComparedMetric("sent per second", ("messages", "sent_per_s"), "/s", more_is_better=True),
    ComparedMetric(
        "received per second", ("messages", "received_per_s"), "/s", more_is_better=True
    ),
    *(
        ComparedMetric(f"latency {_NAMES[key]}", ("latency", "intended", key), "ms",
               histogram=("intended", PERCENTILES[key]))
        for key in ("p50", "p90", "p99", "p999")
    ),
    ComparedMetric("latency max", ("latency", "intended", "max")),
    *(
        ComparedMetric(f"service {key}", ("latency", "service", key), "ms",
               histogram=("service", PERCENTILES[key]))
        for key in ("p50", "p99")
    ),
    ComparedMetric("connect p50", ("connections", "connect_ms", "p50")),
    ComparedMetric("connect p99", ("connections", "connect_ms", "p99")),
    ComparedMetric("all open after", ("connections", "all_open_after_s"), "s"),
    ComparedMetric("sockets failed", ("connections", "failed"), ""),
    ComparedMetric("sockets cut", ("connections", "closed", "abnormal"), ""),
    ComparedMetric("closed by the peer", ("connections", "closed", "by_peer"), ""),
    *(
        ComparedMetric(f"messages {name}", ("messages", name), "")
        for name in ("lost", "corrupt", "reordered", "duplicate", "unexpected")
    ),
    ComparedMetric("users failed", ("users", "failed"), ""),
    ComparedMetric("generator CPU", ("generator", "cpu_s"), "s"),
    ComparedMetric("generator memory", ("generator", "peak_rss_bytes"), "B"),
)  # fmt: skip


#: What is compared of what scripts name themselves, by the part of the report: its path and unit.
_OF_NAMED: Final = {
    "steps": ((("intended", "p99"), "ms"), (("service", "p50"), "ms"), (("service", "p99"), "ms"),
              (("lost",), ""), (("failed",), "")),
    "checks": ((("failed",), ""),),
    "streams": ((("gaps",), ""), (("age", "p99"), "ms")),
}  # fmt: skip


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One metric on both sides; the values are means over the runs.

    :ivar change: as a share of the baseline; ``None`` if that is 0.
    :ivar noise: the 99 % bound on a change without cause, as a share of the baseline; ``None`` if
        unknown.
    """

    name: str
    unit: str
    baseline: float
    candidate: float
    change: float | None
    noise: float | None
    call: Call


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """The changes from the baseline's runs to the candidate's.

    :ivar noise_known: true if there were enough runs to tell a change from noise.
    :ivar plan_differences: settings by which the runs are different experiments.
    :ivar notes: other reasons why they are hard to compare, in words.
    """

    baseline: list[str]
    candidate: list[str]
    noise_known: bool
    plan_differences: list[str]
    notes: list[str]
    changes: list[Change]

    @property
    def is_worse(self) -> bool:
        """True if something is worse, by more than noise."""
        return any(change.call == "worse" for change in self.changes)


Reports = Mapping[str, Mapping[str, Any]]
"""Decoded reports by the names of their files."""


def compare(baseline: Reports, candidate: Reports) -> Comparison:
    """Compare the runs of two sides, at least one on each."""
    everything = {**baseline, **candidate}
    metrics = [*METRICS, *_find_named([*everything.values()])]
    changes = [
        _compare_metric(metric, [*baseline.values()], [*candidate.values()]) for metric in metrics
    ]
    return Comparison(
        baseline=list(baseline),
        candidate=list(candidate),
        noise_known=len(baseline) + len(candidate) > 2,
        plan_differences=_find_plan_differences([*everything.values()]),
        notes=[
            *_compare_generators([*everything.values()]),
            *_note_few(metrics, changes, [*everything.values()]),
            *(note for name, report in everything.items() for note in _find_flaws(name, report)),
        ],
        changes=[change for change in changes if change is not None],
    )


def _find_named(reports: Sequence[Mapping[str, Any]]) -> Iterator[ComparedMetric]:
    """Yield what there is to compare of steps, checks and streams that all reports have."""
    for part, paths in _OF_NAMED.items():
        names = [_names_in(report.get(part)) for report in reports]
        for name in sorted(set.intersection(*names)):
            for path, unit in paths:
                yield ComparedMetric(f"{name}: {' '.join(path)}", (part, name, *path), unit)


def _names_in(part: object) -> set[str]:
    """Return the names of the objects in a report's list; none if it is not one."""
    listed = part if isinstance(part, list) else []
    return {str(each["name"]) for each in listed if isinstance(each, Mapping) and "name" in each}


def _compare_metric(
    metric: ComparedMetric,
    baseline: Sequence[Mapping[str, Any]],
    candidate: Sequence[Mapping[str, Any]],
) -> Change | None:
    """Compare a metric; ``None`` where a report lacks it, or nothing of the kind ever happened."""
    ours = [look_up(report, metric.path) for report in baseline]
    theirs = [look_up(report, metric.path) for report in candidate]
    before, after = [v for v in ours if v is not None], [v for v in theirs if v is not None]
    if len(before) < len(ours) or len(after) < len(theirs) or not any(before + after):
        return None
    mean, new_mean = statistics.fmean(before), statistics.fmean(after)
    noise = noise_between(before, after)
    call: Call
    if new_mean == mean:
        call = "same"
    elif _is_of_few(metric, [*baseline, *candidate]):
        call = "unclear"
    elif noise is None:
        call = "unclear"
        if metric.histogram and _bounds_overlap(metric.histogram, baseline[0], candidate[0]):
            call = "noise"
    elif abs(new_mean - mean) <= max(noise, NEGLIGIBLE * abs(mean)):
        call = "noise"
    else:
        call = "better" if (new_mean > mean) == metric.more_is_better else "worse"
    return Change(
        name=metric.name,
        unit=metric.unit,
        baseline=mean,
        candidate=new_mean,
        change=(new_mean - mean) / mean if mean else None,
        noise=noise / mean if noise is not None and mean else None,
        call=call,
    )


def _is_of_few(metric: ComparedMetric, reports: Sequence[Mapping[str, Any]]) -> bool:
    """Tell whether a metric is a percentile for which some report has too few values.

    Such a percentile is one of the largest few values. Repeats may well agree on those, and so does
    a target that has become worse in one message of a hundred.
    """
    *summary, key = metric.path
    if key not in PERCENTILES:
        return False
    counts = (look_up(report, (*summary, "count")) for report in reports)
    return any(count is not None and 0 < count < least_count(key) for count in counts)


def noise_between(before: Sequence[float], after: Sequence[float]) -> float | None:
    """Compute by how much the means of such runs differ without cause, at most, 99 times of 100."""
    freedom = len(before) + len(after) - 2
    if not freedom:
        return None
    squares = sum(
        (value - statistics.fmean(side)) ** 2 for side in (before, after) for value in side
    )
    t = _T_99[freedom - 1] if freedom <= len(_T_99) else _Z_99
    return t * math.sqrt(squares / freedom * (1 / len(before) + 1 / len(after)))


def _bounds_overlap(
    which: tuple[str, float], one: Mapping[str, Any], other: Mapping[str, Any]
) -> bool:
    """Tell whether both percentiles can be of one distribution, given the numbers of messages.

    The bounds are order statistics (David & Nagaraja, Order Statistics, 7.1): free of any
    assumption on the distribution, but not of that on independence. Messages of one run share its
    fortunes, so the true bounds are wider: a difference beyond these is no proof of a change.
    """
    (low, high), (other_low, other_high) = _bounds(which, one), _bounds(which, other)
    return low <= other_high and other_low <= high


def _bounds(which: tuple[str, float], report: Mapping[str, Any]) -> tuple[float, float]:
    name, percent = which
    encoded = report.get("histograms", {}).get(name)
    if encoded is None:
        return 0.0, math.inf
    histogram = decode_histogram(encoded)
    share, count = percent / 100, histogram.get_total_count()
    if not count:
        return 0.0, math.inf
    margin = 100 * _Z_99 * math.sqrt(share * (1 - share) / count)
    if percent + margin >= 100:
        return histogram.get_value_at_percentile(max(percent - margin, 0)), math.inf
    return (
        histogram.get_value_at_percentile(max(percent - margin, 0)),
        histogram.get_value_at_percentile(percent + margin),
    )


def look_up(report: Mapping[str, Any], path: Sequence[str]) -> float | None:
    """Return the number at a path of a decoded report; ``None`` if it has none there."""
    value: Any = report
    for key in path:
        if isinstance(value, list):
            named = (each for each in value if isinstance(each, Mapping))
            value = next((each for each in named if each.get("name") == key), None)
        else:
            value = value.get(key) if isinstance(value, Mapping) else None
    if isinstance(value, Mapping):
        counts = [count for count in value.values() if isinstance(count, int | float)]
        return float(sum(counts)) if len(counts) == len(value) else None
    return float(value) if isinstance(value, int | float) else None


def _find_plan_differences(reports: Sequence[Mapping[str, Any]]) -> list[str]:
    """List settings that are not the same in all runs, with their values."""
    plans = [report.get("plan", {}) for report in reports]
    keys = dict.fromkeys(key for plan in plans for key in plan if key not in FREE_SETTINGS)
    differences = []
    for key in keys:
        # A setting that is not in a report is of an older version, and had its default: unset.
        values = list(dict.fromkeys(str(plan.get(key)) for plan in plans))
        if len(values) > 1:
            differences.append(f"{key}: {', '.join(values)}")
    return differences


def _compare_generators(reports: Sequence[Mapping[str, Any]]) -> list[str]:
    """Note that the load was made by different numbers of processes, if it was.

    It may be the same load for the target, and a different one for the generator.
    """
    processes = {report.get("generator", {}).get("processes", 1) for report in reports}
    if len(processes) == 1:
        return []
    counts = " and ".join(f"{count:,}" for count in sorted(processes))
    return [f"the load was made by {counts} processes: how late each is, is its own affair"]


def _note_few(
    metrics: Sequence[ComparedMetric],
    changes: Sequence[Change | None],
    reports: Sequence[Mapping[str, Any]],
) -> list[str]:
    """Note which of the percentiles that changed are of too few values to be judged."""
    few = [
        metric
        for metric, change in zip(metrics, changes, strict=True)
        if change is not None and change.call == "unclear" and _is_of_few(metric, reports)
    ]
    if not few:
        return []
    takes = {key: f"{name} takes {least_count(key):,}" for key, name in _NAMES.items()}
    needs = [takes[key] for key in _NAMES if key in {metric.path[-1] for metric in few}]
    names = ", ".join(metric.name for metric in few)
    return [f"not judged, for a run has too few messages: {names} ({', '.join(needs)})"]


def _find_flaws(name: str, report: Mapping[str, Any]) -> list[str]:
    """List the reasons why a run is no good measure of its target."""
    flaws = []
    if report.get("verdict") == "generator-limited":
        flaws.append(f"{name} is generator-limited: its figures are the generator's own")
    if report.get("verdict") == "failed":
        flaws.append(f"{name} has failed: {'; '.join(report.get('verdict_reasons', []))}")
    if report.get("interrupted"):
        flaws.append(f"{name} was interrupted")
    if report.get("changes"):
        flaws.append(f"{name} was changed by hand while it ran: its load is not that of its plan")
    return flaws
