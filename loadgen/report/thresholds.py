"""Read `--fail-if latency.p99>50ms` as a threshold, and judge a report by it.

The grammar of an expression:

    threshold = metric op value
    metric    = the path of a number in the report; latency.p99 is latency.intended.p99;
                target.… is what --console asked for, fan_out.… what --verify fan-out measures
    op        = > >= < <= == !=
    value     = number [unit]
    unit      = us ms s m h (a time needs one) | % (a share) | /s /m /h | k m | B KiB MiB GiB
"""

from __future__ import annotations

import difflib
import operator
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from loadgen.report import metrics
from loadgen.report.metrics import Metric, MetricKind
from loadgen.report.model import Report, ThresholdReport
from loadgen.workload.matching import Rule
from loadgen.workload.plan import Plan

_OPERATORS: Final[dict[str, Callable[[float, float], bool]]] = {
    ">=": operator.ge,
    "<=": operator.le,
    "==": operator.eq,
    "!=": operator.ne,
    ">": operator.gt,
    "<": operator.lt,
}
_SPACE: Final = re.compile(r"[ \t]*")
#: What a script names may be anything, in quotes: checks."price is positive".failed.
_METRIC: Final = re.compile(r'[A-Za-z_]\w*(?:\.(?:[\w-]+|"[^"]*"))*')
_OPERATOR: Final = re.compile(r"[<>]=?|[=!]=")
_NUMBER: Final = re.compile(r"[0-9]+(?:\.[0-9]+)?", re.ASCII)
#: More digits than this are no figure of a load test, and would soon be more than a float holds.
_MAX_DIGITS: Final = 20


#: The units of a limit, and their size: in milliseconds, bytes, per second.
#: Exact, so that 700us are 0.7 ms.
_UNITS: Final[dict[MetricKind, dict[str, Fraction]]] = {
    MetricKind.COUNT: {"": Fraction(1), "k": Fraction(1_000), "m": Fraction(1_000_000)},
    MetricKind.TIME: {
        "us": Fraction(1, 1_000),
        "µs": Fraction(1, 1_000),
        "\u03bcs": Fraction(1, 1_000),  # the Greek letter, as other keyboards have it
        "ms": Fraction(1),
        "s": Fraction(1_000),
        "m": Fraction(60_000),
        "h": Fraction(3_600_000),
    },
    MetricKind.SIZE: {
        "": Fraction(1),
        "B": Fraction(1),
        "KiB": Fraction(2**10),
        "MiB": Fraction(2**20),
        "GiB": Fraction(2**30),
    },
    MetricKind.RATE: {"": Fraction(1)}
    | {
        f"{many}/{unit}": Fraction(factor, seconds)
        for many, factor in {"": 1, "k": 1_000, "m": 1_000_000}.items()
        for unit, seconds in {"s": 1, "m": 60, "h": 3_600}.items()
    },
    MetricKind.SHARE: {"": Fraction(1), "%": Fraction(1, 100)},
}
_EXAMPLES: Final = {
    MetricKind.COUNT: "10, 5k or 1%",
    MetricKind.TIME: "500us, 50ms, 2s or 1m",
    MetricKind.SIZE: "512, 64KiB or 1GiB",
    MetricKind.RATE: "900/s, 5k/s or 30/m",
    MetricKind.SHARE: "80% or 0.8",
}


class BadThreshold(ValueError):
    """An expression that is not a threshold.

    :ivar at: where it is wrong, counted in characters from 0.
    """

    def __init__(self, expr: str, at: int, problem: str) -> None:
        super().__init__(problem)
        self.expr = expr
        self.at = at
        self.problem = problem


@dataclass(frozen=True, slots=True)
class Threshold:
    """A condition under which a run counts as failed.

    :ivar limit: in the unit of the report, or in percent.
    """

    expr: str
    metric: Metric
    op: str
    limit: float
    percent: bool

    def judge(self, report: Report) -> ThresholdReport:
        """Judge whether the condition holds for this report.

        A number that was not measured is ``null`` in the report, and breaches every limit: the
        latency of replies that never came, a share of nothing, a metric that the target did not
        report. Nobody knows what it would have been, and a run must not pass for that.
        """
        value = metrics.look_up(report, self.metric.path)
        if self.percent and value is not None:
            whole = 1.0 if self.metric.whole is None else metrics.look_up(report, self.metric.whole)
            # Multiplied first: 7 of 700 are 1 % exactly.
            value = round(value * 100 / whole, 9) if whole else None
        return ThresholdReport(
            expr=self.expr,
            value=value,
            breached=value is None or _OPERATORS[self.op](value, self.limit),
        )


def parse(expr: str) -> Threshold:
    """Parse an expression.

    :raises BadThreshold: if it is no threshold; says where it is wrong, and what was probably
        meant.
    """
    at = _skip_space(expr, 0)
    metric, at = _parse_metric(expr, at)
    at = _skip_space(expr, at)
    if (found := _OPERATOR.match(expr, at)) is None:
        hint = "; equality is ==" if expr[at : at + 1] == "=" else ""
        raise BadThreshold(expr, at, f"one of {' '.join(_OPERATORS)} is due here{hint}")
    op, at = found[0], _skip_space(expr, found.end())
    limit, percent = _parse_limit(expr, at, metric)
    return Threshold(expr, metric, op, limit, percent)


def judge(report: Report, thresholds: Iterable[Threshold]) -> list[ThresholdReport]:
    """Judge each threshold by a report."""
    return [threshold.judge(report) for threshold in thresholds]


def find_unasked(
    thresholds: Iterable[Threshold], plan: Plan, *, is_target_asked: bool = False
) -> str | None:
    """Find a threshold on what no run of this plan measures; say so in one line."""
    rule = plan.matching.rule
    for threshold in thresholds:
        expr, part = threshold.expr.strip(), threshold.metric.path[0]
        if threshold.metric.is_the_targets and not is_target_asked:
            return f"{expr} needs --console, which asks the target"
        if part in metrics.OF_SCENARIOS and plan.scenario is None:
            return f"{expr} needs --scenario, which has {part}"
        if part == "fan_out" and plan.scenario is None and rule is not Rule.FAN_OUT:
            return f"{expr} needs --verify fan-out, which counts copies"
        if threshold.metric.path[:2] in _OF_REPLIES and rule in _WITHOUT_REPLIES:
            return (
                f"{expr}: with --verify {rule} no reply is matched, so there is no such latency"
                + (": hold fan_out.last.p99 against a limit" if rule is Rule.FAN_OUT else "")
            )
    return None


#: Metrics that are measured only where messages are owed a reply.
_OF_REPLIES: Final = {("latency", "intended"), ("latency", "service")}
_WITHOUT_REPLIES: Final = {Rule.OFF, Rule.FAN_OUT}


def explain(judged: ThresholdReport) -> str:
    """Explain a judged threshold in one line."""
    threshold = parse(judged.expr)
    if judged.value is None:
        return f"{judged.expr}: {_why_unmeasured(threshold)}"
    return f"{judged.expr}: {judged.value:,.6g}{_unit_shown(threshold)}"


def _why_unmeasured(threshold: Threshold) -> str:
    if threshold.metric.is_the_targets:
        return "unknown: the target did not say"
    if threshold.metric.path[-1] == "all_open_after_s":
        return "never: the sockets were not all open together"
    return "nothing was measured"


def _unit_shown(threshold: Threshold) -> str:
    if threshold.percent:
        return " %"
    if threshold.metric.kind is MetricKind.TIME:
        return " ms" if threshold.metric.scale == 1 else " s"
    return "/s" if threshold.metric.kind is MetricKind.RATE else ""


# -- Parsing --------------------------------------------------------------------------------


def _skip_space(expr: str, at: int) -> int:
    found = _SPACE.match(expr, at)
    assert found is not None
    return found.end()


def _parse_metric(expr: str, at: int) -> tuple[Metric, int]:
    found = _METRIC.match(expr, at)
    if found is None:
        raise BadThreshold(expr, at, "a metric is due here, such as latency.p99 or messages.lost")
    name = found[0]
    if metric := metrics.find(name):
        return metric, found.end()
    wrong = at + _known_length(name)
    close = difflib.get_close_matches(name, metrics.names(), n=1, cutoff=0.5)
    hint = f": did you mean {close[0]}?" if close else f"; there is, say, {_like(name)}"
    raise BadThreshold(expr, wrong, f"no metric {name}{hint}")


def _known_length(name: str) -> int:
    """Measure how much of a wrong name is right: whole components only."""
    known, names = 0, metrics.names()
    parts = name.split(".")
    for depth in range(1, len(parts) + 1):
        start = ".".join(parts[:depth])
        if not any(other == start or other.startswith(f"{start}.") for other in names):
            break
        known = len(start) + 1
    return min(known, len(name))


def _like(name: str) -> str:
    """List metrics of the part that a wrong name begins with; any others, if there is none."""
    part = name.split(".", maxsplit=1)[0]
    some = [other for other in metrics.names() if other.startswith(f"{part}.")]
    return ", ".join(some[:3] or ("latency.p99", "messages.lost", "connections.failed"))


def _parse_limit(expr: str, at: int, metric: Metric) -> tuple[float, bool]:
    number = _NUMBER.match(expr, at)
    if number is None:
        raise BadThreshold(expr, at, f"a number is due here: {_write_like(metric)}")
    if len(number[0]) > _MAX_DIGITS:
        raise BadThreshold(expr, at, "that is more digits than any figure of a run has")
    at = _skip_space(expr, number.end())
    end = len(expr.rstrip(" \t"))
    unit = expr[at:end] if at < end else ""
    value, units = Fraction(number[0]), _UNITS[metric.kind]
    if unit == "%" and (metric.whole is not None or metric.kind is MetricKind.SHARE):
        return float(value), True
    if unit in units:
        return float(value * units[unit] * metric.scale), False
    if not unit:
        problem = f"{metric.name} is {metric.kind}, and needs its unit"
    elif unit == "%":
        problem = f"{metric.name} has no whole to be a share of"
    else:
        problem = f"{unit!r} is no unit of {metric.name}, which is {metric.kind}"
    raise BadThreshold(expr, at, f"{problem}: {_write_like(metric)}")


def _write_like(metric: Metric) -> str:
    example = _EXAMPLES[metric.kind]
    if metric.kind is MetricKind.COUNT and metric.whole is None:
        example = example.replace(" or 1%", " or 1m")
    return f"write it like {example}"
