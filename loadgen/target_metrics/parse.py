"""What a target says of itself: the console of echo-trio, or any Prometheus page, becomes numbers.

Pure: `loadgen.target_metrics.poll` fetches.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec
from prometheus_client.parser import text_string_to_metric_families


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """One look at the target; ``None`` is what it doesn't tell.

    :ivar cpu_s: CPU time since its process began.
    :ivar lag_ms: how late its event loop was, at most, in the last second; `lag_p50_ms` and
        `lag_p99_ms` are that second's percentiles.
    """

    connections: float | None = None
    cpu_s: float | None = None
    rss_bytes: float | None = None
    open_files: float | None = None
    lag_ms: float | None = None
    lag_p50_ms: float | None = None
    lag_p99_ms: float | None = None


class Meaningless(Exception):
    """An answer in which nothing is known; says what it is."""


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


def read(content_type: str, body: bytes) -> Reading:
    """What an answer says.

    :raises Meaningless: if it says nothing that is known here.
    """
    reading = _read_console(body) if "json" in content_type else _read_prometheus(body)
    if reading == Reading():
        raise Meaningless("no metric in it is known, such as process_cpu_seconds_total")
    return reading


def _read_console(body: bytes) -> Reading:
    try:
        snapshot = json.loads(body)
    except ValueError:
        raise Meaningless("it is no JSON, though it says so") from None
    if not isinstance(snapshot, dict):
        raise Meaningless("it is no snapshot of a server")
    lag = snapshot.get("loop_lag_ms")
    lags = lag if isinstance(lag, Mapping) else {}
    return Reading(
        connections=_number(snapshot, "open"),
        cpu_s=_number(snapshot, "cpu_s"),
        rss_bytes=_number(snapshot, "rss_bytes"),
        open_files=_number(snapshot, "descriptors"),
        lag_ms=_number(lags, "max"),
        lag_p50_ms=_number(lags, "p50"),
        lag_p99_ms=_number(lags, "p99"),
    )


def _number(place: Mapping[str, Any], key: str) -> float | None:
    value = place.get(key)
    return float(value) if isinstance(value, int | float) else None


def _read_prometheus(body: bytes) -> Reading:
    try:
        found = _sum_samples(body.decode())
    except (ValueError, IndexError, KeyError):  # what the parser raises
        raise Meaningless("it is neither a snapshot in JSON nor Prometheus text") from None
    return Reading(
        **{
            field: next((found[name] * unit for name, unit in names.items() if name in found), None)
            for field, names in _PROMETHEUS.items()
        }
    )


def _sum_samples(text: str) -> dict[str, float]:
    """Samples of one name, with whatever labels, add up: they are workers, or kinds."""
    known = {name for names in _PROMETHEUS.values() for name in names}
    found: dict[str, float] = {}
    families: Iterable[Any] = text_string_to_metric_families(text)
    for family in families:
        for sample in family.samples:
            if sample.name in known:
                found[sample.name] = found.get(sample.name, 0.0) + sample.value
    return found
