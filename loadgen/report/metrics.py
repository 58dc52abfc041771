"""Name every number of a report that can have a limit, and its unit. Pure.

The metrics are the fields of the report's own classes, so none can be forgotten here.
"""

from __future__ import annotations

import re
import types
import typing
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from typing import Any, Final

import msgspec

from loadgen.report.model import Report
from loadgen.report.scenario import CheckReport, StepReport, StreamReport

#: The parts of a report that have numbers to hold against a limit.
_PARTS: Final = ("connections", "messages", "fan_out", "users", "latency", "generator", "target")
#: What a script names itself: steps.login.service.p99; without a name all of them together.
NAMED: Final[dict[str, type[msgspec.Struct]]] = {
    "steps": StepReport,
    "checks": CheckReport,
    "streams": StreamReport,
}
_COUNTERS: Final = "counters"
#: The parts that only a scenario has.
OF_SCENARIOS: Final = frozenset({"users", *NAMED, _COUNTERS})
#: A part of a name; in quotes if it is no word: checks."price is positive".failed.
_NAME_PART: Final = re.compile(r'"([^"]*)"|([^."]+)')
#: `latency` alone is what users wait for.
_ALIASES: Final = {"latency.": "latency.intended."}


class MetricKind(StrEnum):
    """The unit in which a metric is counted, which decides the units its limit may have."""

    COUNT = "a count"
    TIME = "a time"
    SIZE = "a size"
    RATE = "a rate"
    SHARE = "a share"


@dataclass(frozen=True, slots=True)
class Metric:
    """A number that every report has, or may have.

    :ivar path: the keys that lead to it.
    :ivar scale: from milliseconds to the report's unit.
    :ivar whole: the path of the number of which this is a share, for `%`; ``None`` if there is
        none.
    """

    path: tuple[str, ...]
    kind: MetricKind
    scale: Fraction = Fraction(1)
    whole: tuple[str, ...] | None = None

    @property
    def name(self) -> str:
        """The name that users write."""
        return ".".join(self.path)

    @property
    def is_the_targets(self) -> bool:
        """True if it is one of the target's own metrics, which --console asks for."""
        return self.path[0] == "target"


def find(name: str) -> Metric | None:
    """Find the metric with this name; ``None`` if there is none."""
    full_name = name
    for short, full in _ALIASES.items():
        if name.startswith(short) and name not in METRICS:
            full_name = full + name.removeprefix(short)
    return METRICS.get(full_name) or _find_coded(full_name) or _find_named(full_name)


def names() -> list[str]:
    """List every name that users may write."""
    aliases = [
        short + name.removeprefix(full)
        for short, full in _ALIASES.items()
        for name in METRICS
        if name.startswith(full)
    ]
    return [*aliases, *METRICS]


def look_up(report: Report, path: Sequence[str]) -> float | None:
    """Return the number at a path of a report; ``None`` if it was not measured."""
    value: Any = report
    for key in path:
        if value is None or isinstance(value, msgspec.UnsetType):
            return None
        if isinstance(value, list):
            value = _pick(value, key)
        else:
            value = value.get(key, 0) if isinstance(value, dict) else getattr(value, key)
    if isinstance(value, list):
        return float(sum(_sum(each) for each in value))
    if isinstance(value, msgspec.Struct | dict):
        return _sum(value)
    return None if value is None else float(value)


def _pick(reports: list[Any], key: str) -> Any:
    """Pick the report with this name, or a count over all; ``None`` if there is none."""
    if reports and isinstance(getattr(reports[0], key, None), int):
        return sum(getattr(each, key) for each in reports)
    return next((each for each in reports if each.name == key), None if reports else 0)


def _sum(value: msgspec.Struct | dict[str, Any]) -> float:
    """Add up all counts that stand together."""
    counts = msgspec.structs.asdict(value) if isinstance(value, msgspec.Struct) else value
    return float(sum(each for each in counts.values() if isinstance(each, int)))


def _find_named(name: str) -> Metric | None:
    """Find `steps.login.service.p99`: a metric named by a script, which no list can have."""
    parts = [quoted or word for quoted, word in _NAME_PART.findall(name)]
    if len(parts) < 2:
        return None
    if parts[0] == _COUNTERS:
        return Metric((_COUNTERS, ".".join(parts[1:])), MetricKind.COUNT)
    if (kind := NAMED.get(parts[0])) is None:
        return None
    if len(parts) == 2:
        known = [field.name for field in msgspec.structs.fields(kind) if field.type is int]
        whole = (parts[0],) if parts[0] == "checks" else (parts[0], "count")
        if parts[0] == "streams":
            whole = (parts[0], "received")
        found = parts[1] in known
        return Metric((parts[0], parts[1]), MetricKind.COUNT, whole=whole) if found else None
    of_one = {metric.path[2:]: metric for metric in _walk((parts[0], parts[1]), kind)}
    return of_one.get(tuple(parts[2:]))


def _find_coded(name: str) -> Metric | None:
    """Find `connections.close_codes.1011`: a count for a code, 0 unless a report has it."""
    start, _, code = name.rpartition(".")
    metric = METRICS.get(start)
    if metric is None or start not in _CODED or not (code.isascii() and code.isdecimal()):
        return None
    return Metric((*metric.path, code), MetricKind.COUNT, whole=metric.whole)


def _find_metrics() -> Iterator[Metric]:
    for field in msgspec.structs.fields(Report):
        if field.name in _PARTS:
            for kind in _options(field.type):
                yield from _walk((field.name,), kind)


def _walk(path: tuple[str, ...], kind: Any) -> Iterator[Metric]:
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        fields = msgspec.structs.fields(kind)
        if len(path) > 1 and all(field.type is int for field in fields):
            # All its columns together: connections.failed.
            yield Metric(path, MetricKind.COUNT, whole=_whole_of(path))
        for field in fields:
            yield from _walk((*path, field.name), field.type)
    elif typing.get_origin(kind) is list:
        return
    elif typing.get_origin(kind) is dict:
        if typing.get_args(kind)[1] is not int:
            return
        yield Metric(path, MetricKind.COUNT, whole=_whole_of(path))
    elif {int, float} & set(_options(kind)):
        yield _make_metric(path)


def _options(kind: Any) -> tuple[Any, ...]:
    return typing.get_args(kind) if isinstance(kind, types.UnionType) else (kind,)


def _make_metric(path: tuple[str, ...]) -> Metric:
    leaf = path[-1]
    if leaf.endswith("_per_s"):
        return Metric(path, MetricKind.RATE)
    if leaf.endswith("_bytes"):
        return Metric(path, MetricKind.SIZE)
    if leaf.endswith("_share"):
        return Metric(path, MetricKind.SHARE)
    if leaf.endswith("_s"):
        return Metric(path, MetricKind.TIME, scale=Fraction(1, 1_000))
    if path[0] in NAMED:
        is_time = len(path) > 3 and leaf != "count"
        kind = MetricKind.TIME if is_time else MetricKind.COUNT
        return Metric(path, kind, whole=None if is_time else _whole_of(path))
    in_ms = any(key == "latency" or key.endswith(("_ms", "_lag")) for key in path) or (
        path[0] == "fan_out" and len(path) > 2
    )
    if in_ms and leaf != "count":
        return Metric(path, MetricKind.TIME)
    return Metric(path, MetricKind.COUNT, whole=_whole_of(path))


def _whole_of(path: tuple[str, ...]) -> tuple[str, ...] | None:
    """Find the number of which a count is a share: of all sockets, of those opened, of messages."""
    match path:
        case ("connections", "closed" | "close_codes", *_):
            return ("connections", "opened")
        case ("connections", _) | (
            "connections",
            "failed" | "failed_status" | "faults" | "funnel",
            _,
        ):
            return ("connections", "requested")
        case ("messages", "received" | "duplicate" | "expected" | "ignored") | (
            "messages",
            "streamed" | "copies" | "unexpected",
        ):
            return ("messages", "received")
        case ("messages", _):
            return ("messages", "sent")
        case ("fan_out", "delivered" | "missing" | "unsettled" | "in_flight"):
            return ("fan_out", "owed")
        case ("users", *_):
            return ("users", "requested")
        case ("steps", name, _):
            return ("steps", name, "count")
        case ("checks", name, _):
            return ("checks", name)
        case ("streams", name, _):
            return ("streams", name, "received")
        case ("fan_out", "extra"):
            return ("messages", "copies")
    return None


#: Counts per code or status.
_CODED: Final = {"connections.failed_status", "connections.close_codes"}
METRICS: Final = {metric.name: metric for metric in _find_metrics()}
