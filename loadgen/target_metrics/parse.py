"""Read a target's own metrics: from the console of echo-trio, or from any Prometheus page.

Pure: `loadgen.target_metrics.poll` fetches, and has this done beside its event loop: a page may be
megabytes long, and its author may be hostile. Parts that are not looked for are never made into
objects.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Final

import msgspec


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """The target's metrics at one moment; ``None`` is what it doesn't tell.

    :ivar cpu_s: CPU time since its process began.
    :ivar lag_ms: how late its event loop was, at most, in the last second.
    :ivar lag_p50_ms: the median of that second's lag.
    :ivar lag_p99_ms: the 99th percentile of that second's lag.
    """

    connections: float | None = None
    cpu_s: float | None = None
    rss_bytes: float | None = None
    open_files: float | None = None
    lag_ms: float | None = None
    lag_p50_ms: float | None = None
    lag_p99_ms: float | None = None


class Meaningless(Exception):
    """An answer in which nothing is known; the message says what it is."""


#: Metrics by what they mean, the better known first; with what makes them our unit. Those of
#: client libraries (process_*, nodejs_*, go_*), our own server's, and what some servers count.
_PROMETHEUS: Final[dict[str, dict[str, float]]] = {
    "connections": {
        "echo_trio_connections_open": 1,
        "websocket_connections": 1,
        "websocket_connections_active": 1,
        "nginx_connections_active": 1,
        "haproxy_process_current_connections": 1,
    },
    "cpu_s": {"process_cpu_seconds_total": 1, "echo_trio_cpu_seconds_total": 1},
    "rss_bytes": {
        "process_resident_memory_bytes": 1,
        "echo_trio_resident_memory_bytes": 1,
        "echo_trio_resident_bytes": 1,
    },
    "open_files": {"process_open_fds": 1, "echo_trio_open_fds": 1},
    "lag_ms": {"nodejs_eventloop_lag_max_seconds": 1000, "nodejs_eventloop_lag_seconds": 1000},
    "lag_p50_ms": {"nodejs_eventloop_lag_p50_seconds": 1000},
    "lag_p99_ms": {"nodejs_eventloop_lag_p99_seconds": 1000},
}


_NAMES: Final = tuple(name for names in _PROMETHEUS.values() for name in names)
#: The rest of a sample's line after its name (Prometheus' text format 0.0.4, or OpenMetrics, where
#: an exemplar may follow). Possessive, so that what fails does so at once.
_SAMPLE: Final = re.compile(
    rb'[ \t]*+(?:\{(?:[^"{}\n]|"(?:[^"\\\n]|\\.)*+")*+\}[ \t]*+|(?<=[ \t]))'
    rb"([^\s#]{1,40}+)(?:[ \t][^\n]*+)?\r?\Z"
)
#: The line of any sample, known or not.
_ANY_SAMPLE: Final = re.compile(
    rb"^[ \t]*+[a-zA-Z_:][a-zA-Z0-9_:]*+(?:\{[^\n]*\})?[ \t]+[-+.0-9IN]", re.MULTILINE
)
#: The beginning of a page, in which a sample has to show that it is one.
_BEGINNING_BYTES: Final = 16 * 1024
#: A server with a worker on each of a thousand cores has fewer, and no labels that are longer.
_MAX_SAMPLES: Final = 10_000
_MAX_LINE_BYTES: Final = 4096
_MAX_INDENT_BYTES: Final = 64
#: The longest number; a text, a list or a table under the same name is longer or no number.
_MAX_NUMBER_BYTES: Final = 40
#: Beyond any count, size or time.
_MAX_VALUE: Final = 1e18

_NOTHING: Final = msgspec.Raw(b"null")


class _Snapshot(msgspec.Struct):
    """The fields that are read of a snapshot of our console; the rest is skipped."""

    open: msgspec.Raw = _NOTHING
    cpu_s: msgspec.Raw = _NOTHING
    rss_bytes: msgspec.Raw = _NOTHING
    descriptors: msgspec.Raw = _NOTHING
    loop_lag_ms: msgspec.Raw = _NOTHING


class _Lag(msgspec.Struct):
    max: msgspec.Raw = _NOTHING
    p50: msgspec.Raw = _NOTHING
    p99: msgspec.Raw = _NOTHING


def read(content_type: str, body: bytes) -> Reading:
    """Read an answer.

    :raises Meaningless: if it has nothing that is known here.
    """
    reading = _read_console(body) if "json" in content_type else _read_prometheus(body)
    if reading == Reading():
        raise Meaningless("no metric in it is known, such as process_cpu_seconds_total")
    return reading


def _read_console(body: bytes) -> Reading:
    try:
        snapshot = msgspec.json.decode(body, type=_Snapshot)
    except msgspec.ValidationError:
        raise Meaningless("it is no snapshot of a server") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise Meaningless("it is no JSON, though it says so") from None
    try:
        lag = msgspec.json.decode(snapshot.loop_lag_ms, type=_Lag)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        lag = _Lag()
    return Reading(
        connections=_number(snapshot.open),
        cpu_s=_number(snapshot.cpu_s),
        rss_bytes=_number(snapshot.rss_bytes),
        open_files=_number(snapshot.descriptors),
        lag_ms=_number(lag.max),
        lag_p50_ms=_number(lag.p50),
        lag_p99_ms=_number(lag.p99),
    )


def _number(raw: msgspec.Raw) -> float | None:
    text = bytes(raw)
    if len(text) > _MAX_NUMBER_BYTES:
        return None
    try:
        return _within_bounds(msgspec.json.decode(text, type=float))
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def _within_bounds(value: float) -> float | None:
    """Return the number if anything can be computed from it; a gauge may be NaN or infinite."""
    return value if math.isfinite(value) and abs(value) <= _MAX_VALUE else None


def _read_prometheus(body: bytes) -> Reading:
    found: dict[str, float | None] = {}
    # Samples of one name, with any labels, add up: they are workers, or kinds.
    for name, value in _find_samples(body):
        before = found.get(name, 0.0)
        # One that is not a number leaves nothing to be said of the sum.
        found[name] = None if value is None or before is None else before + value
    if not found and not _ANY_SAMPLE.search(body[:_BEGINNING_BYTES]):
        raise Meaningless("it is neither a snapshot in JSON nor Prometheus text")
    return Reading(
        **{
            field: next(
                (_scale(found[name], unit) for name, unit in names.items() if name in found), None
            )
            for field, names in _PROMETHEUS.items()
        }
    )


def _scale(value: float | None, unit: float) -> float | None:
    return None if value is None else _within_bounds(value * unit)


def _find_samples(body: bytes) -> Iterator[tuple[str, float | None]]:
    """Find the known names where they begin a line, with the value in the line."""
    found = 0
    for name in _NAMES:
        sought, at = name.encode(), -1
        # The rest of the page, megabytes perhaps, costs no more than this search.
        while (at := body.find(sought, at + 1)) >= 0:
            found += 1
            if found > _MAX_SAMPLES:
                raise Meaningless(f"it has more than {_MAX_SAMPLES:,} lines of what is asked for")
            before = body[max(at - _MAX_INDENT_BYTES, 0) : at].rpartition(b"\n")[2]
            line = body[at + len(sought) : at + _MAX_LINE_BYTES].partition(b"\n")[0]
            if not before.strip(b" \t") and (sample := _SAMPLE.match(line)):
                try:
                    yield name, _within_bounds(float(sample[1]))
                except ValueError:
                    yield name, None
