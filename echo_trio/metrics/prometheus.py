"""Write a snapshot for Prometheus, with every label value that can be known from the start.

So a rate over a counter that has just begun to move is right, and an alert on it can't miss the
first event.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
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
from prometheus_client.utils import floatToGoString

from echo_trio.metrics.counters import Outcome, ServerSnapshot
from echo_trio.metrics.durations import BOUNDS_S, DurationHistogram
from echo_trio.wire.close_codes import ABNORMAL_CLOSURE, NO_STATUS, may_be_sent
from echo_trio.wire.handshake import Reason

CONTENT_TYPE: Final = CONTENT_TYPE_PLAIN_0_0_4

#: 1, 2 and 5 of each decade: the bounds that a histogram here shows, of its finer buckets.
SHOWN_BOUNDS_S: Final = tuple(bound for at, bound in enumerate(BOUNDS_S) if at % 10 in {0, 3, 7})

#: The values of the label `code`: the protocol's codes. Of the others, which clients choose freely,
#: only the thousand is shown, or clients could fill the label with two thousand values.
CLOSE_CODES: Final = (
    *(str(code) for code in range(1000, 3000) if may_be_sent(code)),
    str(NO_STATUS),
    str(ABNORMAL_CLOSURE),
    "3xxx",
    "4xxx",
)

#: Outcomes that the server brings about; the others are the clients' doing.
CLOSED_BY_US: Final = (
    Outcome.MEMORY,
    Outcome.VIOLATION,
    Outcome.CLOSE_TIMEOUT,
    Outcome.WRITE_TIMEOUT,
    Outcome.PING_TIMEOUT,
    Outcome.IDLE_TIMEOUT,
    Outcome.FAILED,
    Outcome.DROPPED,
)

#: The errors of accepting when the machine runs out of something; see `sockets.accept_forever`.
ACCEPT_ERRORS: Final = ("EMFILE", "ENFILE", "ENOBUFS", "ENOMEM")


def exposition(snapshot: ServerSnapshot) -> bytes:
    """Write a snapshot in Prometheus' text format (see `CONTENT_TYPE`)."""
    return generate_latest(_Snapshot(snapshot))


def console_exposition(failures: int, accept_faults: Mapping[str, int]) -> bytes:
    """Write the console's own counts in Prometheus' text format.

    :param failures: requests and parts of the console that failed.
    :param accept_faults: failures to accept, by the name of the error.
    """
    return generate_latest(_Console(failures, accept_faults))


@dataclass(frozen=True, slots=True)
class _Console(Collector):
    failures: int
    accept_faults: Mapping[str, int]

    def collect(self) -> Iterator[Metric]:
        """Yield both families."""
        yield _counter(
            "console_failures", "Requests and parts of the console that failed.", self.failures
        )
        yield _labelled(
            "console_accept_faults",
            "Times that the console's accepting had to pause.",
            "error",
            dict.fromkeys(ACCEPT_ERRORS, 0) | dict(self.accept_faults),
        )


@dataclass(frozen=True, slots=True)
class _Snapshot(Collector):
    snapshot: ServerSnapshot

    def collect(self) -> Iterator[Metric]:
        """Yield each family of metrics, those of the connections first."""
        yield from _connections(self.snapshot)
        yield from _handshakes(self.snapshot)
        yield from _messages(self.snapshot)
        yield from _process(self.snapshot)


def _connections(now: ServerSnapshot) -> Iterator[Metric]:
    yield _gauge("connections_open", "Connections that are open.", now.open)
    yield _gauge(
        "connections_peak_open", "The most connections that were open at a time.", now.peak_open
    )
    yield _gauge("connections_handshaking", "Handshakes under way.", now.handshaking)
    yield _counter("connections_accepted", "TCP connections accepted.", now.accepted)
    yield _labelled(
        "connections_ended",
        "Connections that are over, by how they ended.",
        "outcome",
        dict.fromkeys(Outcome, 0) | now.outcomes,
    )
    yield _labelled(
        "closed",
        "Connections that the server closed of its own accord, by why.",
        "reason",
        {outcome: now.outcomes.get(outcome, 0) for outcome in CLOSED_BY_US},
    )
    yield _labelled(
        "connections_closed",
        "Connections that were open and are over, by the code of the first close frame.",
        "code",
        _by_close_code(now.close_codes),
    )
    yield _labelled(
        "upstream_connections_closed",
        "A proxy's connections to its upstream, by the code of the first close frame.",
        "code",
        _by_close_code(now.upstream_close_codes),
    )
    yield _labelled(
        "accept_faults",
        "Times that accepting had to pause, because descriptors or memory had run out.",
        "error",
        dict.fromkeys(ACCEPT_ERRORS, 0) | now.accept_fault_reasons,
    )


def _handshakes(now: ServerSnapshot) -> Iterator[Metric]:
    yield _labelled(
        "handshakes_refused",
        "Handshakes that were answered with an HTTP error, by why.",
        "reason",
        dict.fromkeys(Reason, 0) | now.refused_reasons,
    )
    yield _histogram(
        "handshake_duration_seconds",
        "Time from accepting a connection to our 101.",
        now.histograms.handshake_s,
    )


def _messages(now: ServerSnapshot) -> Iterator[Metric]:
    yield _labelled(
        "messages",
        "Whole messages.",
        "direction",
        {"received": now.messages_received, "sent": now.messages_sent},
    )
    yield _counter(
        "messages_unanswered",
        "Messages to which a behaviour still owed a reply when their connection ended.",
        now.messages_unanswered,
    )
    yield _counter(
        "messages_pushed",
        "Messages that a behaviour had for a client without its asking.",
        now.messages_pushed,
    )
    yield _counter(
        "messages_undelivered",
        "Pushed messages that had not left when their connection ended.",
        now.messages_undelivered,
    )
    yield _labelled(
        "fault_messages",
        "Messages that came to a proxy's faults, by the name of the fault.",
        "fault",
        now.faults_seen,
    )
    yield _labelled(
        "fault_actions",
        "Times that a proxy's faults did what they are for, by the name of the fault.",
        "fault",
        now.faults_acted,
    )
    yield _labelled(
        "bytes",
        "Bytes of the WebSocket streams, headers of frames included.",
        "direction",
        {"received": now.bytes_received, "sent": now.bytes_sent},
    )
    yield _histogram(
        "echo_duration_seconds",
        "Time from waking up for a socket to its replies being with the kernel (a sample).",
        now.histograms.echo_s,
    )


def _process(now: ServerSnapshot) -> Iterator[Metric]:
    yield _histogram(
        "event_loop_lag_seconds",
        "How late the event loop ran a task that was due (a sample).",
        now.histograms.loop_lag_s,
    )
    yield _gauge(
        "held_bytes",
        "Memory of what is held for connections: parts of messages, replies not yet sent.",
        now.held_bytes,
    )
    yield _gauge("workers", "Processes that serve.", now.workers)
    yield _gauge("draining", "1 while the server stops.", int(now.draining))
    yield _gauge("uptime_seconds", "Time since the start.", now.uptime_s)
    yield _gauge("tasks", "Trio tasks that live.", now.tasks)
    yield _gauge("open_fds", "File descriptors that are open.", now.descriptors)
    yield _gauge("max_fds", "File descriptors that may be open.", now.file_limit)
    yield _gauge("resident_memory_bytes", "Resident memory.", now.rss_bytes)
    yield _counter("cpu_seconds", "CPU time used, user and system.", now.cpu_s)
    yield _labelled(
        "gc_collections",
        "Runs of the cyclic garbage collector.",
        "generation",
        dict(enumerate(now.gc.collections)),
    )
    yield _counter(
        "gc_pause_seconds",
        "Time for which the cyclic garbage collector stopped everything else.",
        now.gc.pause_ms_total / 1000,
    )
    build = GaugeMetricFamily("echo_trio_build_info", "Always 1.", labels=["version"])
    build.add_metric([version("echo-trio")], 1)
    yield build


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(f"echo_trio_{name}", text, value)


def _counter(name: str, text: str, value: float) -> Metric:
    return CounterMetricFamily(f"echo_trio_{name}", text, value)


def _labelled(name: str, text: str, label: str, values: Mapping[Any, int]) -> Metric:
    family = CounterMetricFamily(f"echo_trio_{name}", text, labels=[label])
    for value, count in values.items():
        family.add_metric([str(value)], count)
    return family


def _histogram(name: str, text: str, histogram: DurationHistogram) -> Metric:
    family = HistogramMetricFamily(f"echo_trio_{name}", text)
    family.add_metric([], [*_cumulative(histogram)], histogram.sum_s)
    return family


def _cumulative(histogram: DurationHistogram) -> Iterable[tuple[str, float]]:
    total = 0
    for bucket, bound in enumerate(BOUNDS_S):
        total += histogram.counts.get(bucket, 0)
        if bound in SHOWN_BOUNDS_S:
            yield floatToGoString(bound), total  # type: ignore[no-untyped-call]
    yield "+Inf", histogram.count


def _by_close_code(counts: Mapping[int, int]) -> dict[str, int]:
    named = dict.fromkeys(CLOSE_CODES, 0)
    for code, count in counts.items():
        name = str(code) if code < 3000 else f"{code // 1000}xxx"
        named[name] = named.get(name, 0) + count
    return named
