"""Write the figures of a run that goes on as a page for Prometheus.

Each label value that can be known is there from the first moment, so that a rate over a counter
which has just begun to move is right. Counts only grow; histograms have the replies up to the last
second that was booked.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any, Final

from prometheus_client import generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.registry import Collector

from echo_trio.printable import printable
from loadgen.engine.running import Phase, Running
from loadgen.report.build import count_claims, count_closed, count_failed
from loadgen.report.describe import name_of_plan
from loadgen.results.latency import Histogram
from loadgen.results.ledger import Ledger
from loadgen.results.result import Result
from loadgen.results.scenario import ScenarioBooks

CONTENT_TYPE: Final = CONTENT_TYPE_PLAIN_0_0_4
#: Upper bounds of the buckets, in microseconds: 1, 2 and 5 of each decade from 100 µs to 50 s.
BOUNDS_US: Final = tuple(step * 10**decade for decade in range(2, 8) for step in (1, 2, 5))
_SENT_COLUMNS: Final = ("lost", "in_flight", "one_way", "published", "missed")


def exposition(run: Running, name: str | None = None) -> bytes:
    """Write what a run has measured up to now in Prometheus's text format.

    :param name: of the run; by default its scenario's, or its target's.
    """
    return generate_latest(_Page(run, name))


def families(run: Running, name: str | None = None) -> Iterator[Metric]:
    """Yield what the page is made of: each metric with its samples."""
    return _Page(run, name).collect()


@dataclass(frozen=True, slots=True)
class _Page(Collector):
    run: Running
    name: str | None

    def collect(self) -> Iterator[Metric]:
        """Yield each family, those of the run first."""
        result, ledger = self.run.result_so_far(), self.run.ledger
        yield from _describe(self.run, result, self.name)
        yield from _connections(ledger)
        yield from _messages(ledger)
        yield from _histograms(result)
        yield from _generator(self.run, result)
        if result.scenario is not None:
            yield from of_scenario(result.scenario)


def _describe(run: Running, result: Result, name: str | None) -> Iterator[Metric]:
    settings = result.plan.settings()
    labels = {
        "version": version("echo-trio"),
        "name": printable(name or name_of_plan(settings)),
        "url": printable(settings["url"]),
        "scenario": printable(settings["scenario"] or ""),
        "sockets": str(result.plan.count),
        "processes": str(result.workers.processes),
    }
    info = GaugeMetricFamily("loadgen_run_info", "The run: always 1.", labels=list(labels))
    info.add_metric(list(labels.values()), 1)
    yield info
    phases = {phase: int(phase is run.phase) for phase in Phase}
    yield _labelled(GaugeMetricFamily, "phase", "1 for the present phase.", "phase", phases)
    started_s = result.started_at.timestamp()
    yield _gauge("start_time_seconds", "When the run began, in Unix time.", started_s)


def _connections(ledger: Ledger) -> Iterator[Metric]:
    yield _gauge("connections_open", "Sockets that are open.", ledger.open)
    yield _counter("connections_requested", "Sockets asked for.", ledger.requested)
    yield _counter("connections_opened", "Sockets that have opened.", ledger.opened)
    yield _labelled(
        CounterMetricFamily,
        "connections_failed",
        "Sockets that did not open, by why.",
        "reason",
        _fields(count_failed(ledger)),
    )
    yield _labelled(
        CounterMetricFamily,
        "connections_closed",
        "Sockets that had opened and are over, by how they ended.",
        "how",
        _fields(count_closed(ledger)),
    )


def _messages(ledger: Ledger) -> Iterator[Metric]:
    yield _counter("messages_sent", "Messages sent.", ledger.sent)
    yield _counter("messages_received", "Frames received.", ledger.received)
    yield _labelled(
        CounterMetricFamily,
        "messages",
        "What became of messages, and what claimed frames: the columns of the report.",
        "column",
        {
            **count_claims(ledger),
            **{column: getattr(ledger, column) for column in _SENT_COLUMNS},
        },
    )
    yield _gauge("messages_awaited", "Messages whose reply may still come.", ledger.awaited)
    yield _labelled(
        CounterMetricFamily,
        "bytes",
        "Bytes of payload.",
        "direction",
        {"sent": ledger.sent_bytes, "received": ledger.received_bytes},
    )


def _histograms(result: Result) -> Iterator[Metric]:
    yield _histogram(
        "latency_seconds", "Time from when a message was due to its reply.", result.intended
    )
    yield _histogram(
        "service_latency_seconds", "Time from when a message was sent to its reply.", result.service
    )
    yield _histogram(
        "scheduling_lag_seconds",
        "Time from when a message was due to when it was sent.",
        result.scheduling_lag,
    )
    yield _histogram("connect_seconds", "Time to open a socket.", result.connect)


def _generator(run: Running, result: Result) -> Iterator[Metric]:
    lag_ms = run.series[-1].lag_ms if run.series else None
    yield _gauge(
        "event_loop_lag_seconds",
        "How late the generator's event loop was in the last second, at most.",
        float("nan") if lag_ms is None else lag_ms / 1000,
    )
    yield _counter("cpu_seconds", "CPU time that the generator has used.", result.generator.cpu_s)
    yield _gauge(
        "peak_resident_memory_bytes",
        "The most memory that the generator has had.",
        result.generator.peak_rss_bytes,
    )


def of_scenario(books: ScenarioBooks) -> Iterator[Metric]:
    """Yield the families that only a scenario has."""
    users = books.users
    yield _labelled(
        GaugeMetricFamily,
        "users",
        "Users of the scenario, by what has become of them.",
        "state",
        {
            "at_work": users.requested - users.settled,
            "finished": users.finished,
            "failed": users.failed,
            "interrupted": users.interrupted,
            "not_started": users.not_started,
        },
    )
    steps = CounterMetricFamily(
        "loadgen_steps", "Calls of the scenario, by how they ended.", labels=["step", "kind", "end"]
    )
    for (name, kind), step in books.steps.items():
        for end in ("ok", "failed", "lost", "in_flight"):
            steps.add_metric([printable(name), str(kind), end], getattr(step, end))
    yield steps
    checks = CounterMetricFamily(
        "loadgen_checks", "Checks of the scenario, by their result.", labels=["check", "result"]
    )
    for name, check in books.checks.items():
        checks.add_metric([printable(name), "passed"], check.passed)
        checks.add_metric([printable(name), "failed"], check.failed)
    yield checks
    yield _labelled(
        CounterMetricFamily, "counter", "Counters of the scenario.", "name", books.counters
    )


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(f"loadgen_{name}", text, value)


def _counter(name: str, text: str, value: float) -> Metric:
    return CounterMetricFamily(f"loadgen_{name}", text, value)


def _labelled(
    kind: type[CounterMetricFamily | GaugeMetricFamily],
    name: str,
    text: str,
    label: str,
    values: Mapping[Any, float],
) -> Metric:
    family = kind(f"loadgen_{name}", text, labels=[label])
    for value, count in values.items():
        family.add_metric([printable(str(value))], count)
    return family


def _histogram(name: str, text: str, histogram: Histogram) -> Metric:
    family = HistogramMetricFamily(f"loadgen_{name}", text)
    bounds = [f"{bound_us / 1e6:g}" for bound_us in BOUNDS_US]
    buckets = [*zip(bounds, histogram.cumulate(BOUNDS_US), strict=True), ("+Inf", histogram.count)]
    family.add_metric([], buckets, histogram.sum_us / 1e6)
    return family


def _fields(counts: Any) -> dict[str, int]:
    return {name: getattr(counts, name) for name in counts.__struct_fields__}
