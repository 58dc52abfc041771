"""Define the report of a run: the keys of the contract, their types, and what null means."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

import msgspec

from loadgen.report.scenario import CheckReport, StepReport, StreamReport, UsersReport
from loadgen.report.verdict import RunVerdict
from loadgen.results.latency import Summary
from loadgen.results.result import GeneratorFacts, Place
from loadgen.results.series import Second
from loadgen.workload.lever import Change

SCHEMA_VERSION: Final = 1


class FailedSockets(msgspec.Struct, frozen=True, kw_only=True):
    """Sockets that did not open, by reason."""

    refused: int
    timeout: int
    reset: int
    dns: int
    tls: int
    rejected: int
    protocol: int
    greeting: int
    file_limit: int
    address_in_use: int
    other: int


class ClosedSockets(msgspec.Struct, frozen=True, kw_only=True):
    """Sockets that had opened, by how they ended."""

    clean: int
    by_peer: int
    abnormal: int
    timeout: int


class Funnel(msgspec.Struct, frozen=True, kw_only=True):
    """The stages of opening: each counts the sockets of the stage before that reached it.

    `tls` is null where the target has no TLS.
    """

    requested: int
    tcp: int
    tls: int | None
    upgraded: int


class Faults(msgspec.Struct, frozen=True, kw_only=True):
    """Sockets that did not open, by the party at fault: `machine` is the generator's own."""

    target: int
    network: int
    machine: int


class ConnectionsReport(msgspec.Struct, frozen=True, kw_only=True):
    """The counts of all sockets.

    `addresses` has the TCP connections to each address of the target, `close_reasons` the ten
    reasons that the peer gave most often; both are empty in reports of older versions.
    """

    requested: int
    opened: int
    not_attempted: int
    peak_open: int
    all_open_after_s: float | None
    failed: FailedSockets
    failed_status: dict[str, int]
    closed: ClosedSockets
    close_codes: dict[str, int]
    close_reasons: dict[str, int] = {}
    addresses: dict[str, int] = {}
    connect_ms: Summary
    funnel: Funnel
    faults: Faults
    compressed: int


class MessagesReport(msgspec.Struct, frozen=True, kw_only=True):
    """The counts of all messages, and of all frames received.

    :ivar sent_per_s: over the load phase; null if there was none, as is `received_per_s`.
    """

    sent: int
    one_way: int
    published: int
    echoed: int
    reordered: int
    corrupt: int
    lost: int
    in_flight: int
    received: int
    duplicate: int
    expected: int
    ignored: int
    streamed: int
    copies: int
    unexpected: int
    missed: int
    sent_bytes: int
    received_bytes: int
    sent_per_s: float | None
    received_per_s: float | None


class LatencyReport(msgspec.Struct, frozen=True, kw_only=True):
    """Latencies: from when due, from when sent, the time between, and how late a script was."""

    intended: Summary
    service: Summary
    scheduling_lag: Summary
    script_lag: Summary = Summary(count=0)


class FanOutReport(msgspec.Struct, frozen=True, kw_only=True):
    """The counts of copies of messages that go to whole rooms; null in other runs.

    :ivar unsettled: copies whose subscriber joined or left while they were under way.
    :ivar extra: copies that came and were not owed.
    :ivar first: from when a message was handed to its socket until its first copy; `last` until all
        had come, `each` until each.
    :ivar clock_error_ms: by how much the clocks of different machines may falsify these; null if
        all sockets share one clock.
    """

    published: int
    owed: int
    delivered: int
    missing: int
    unsettled: int
    in_flight: int
    extra: int
    first: Summary
    last: Summary
    each: Summary
    clock_error_ms: float | None


class EncodedHistograms(msgspec.Struct, frozen=True, kw_only=True):
    """Histograms as HdrHistogram V2, base64, in microseconds."""

    intended: str
    service: str


class LoopLag(msgspec.Struct, frozen=True, kw_only=True):
    """The lag of the generator's event loop under load, in ms; null if it was not measured."""

    p50: float | None
    p99: float | None
    max: float | None


class GeneratorReport(GeneratorFacts, frozen=True, kw_only=True):
    """The resources of this machine that the run used, and how well the generator kept up.

    :ivar load_cpu_share: in the load phase alone, as a share of one core, of each process.
    :ivar load_waiting_share: the share of the load phase in which it was ready to run and had no
        core.
    :ivar places: the workers of a cluster on which it ran; in no other report.
    """

    load_cpu_share: float | None
    load_waiting_share: float | None
    loop_lag: LoopLag
    places: list[Place] | msgspec.UnsetType = msgspec.UNSET


class ThresholdReport(msgspec.Struct, frozen=True, kw_only=True):
    """One --fail-if.

    :ivar value: in the unit of the report, or in percent; null if it was not measured, which counts
        as breached.
    """

    expr: str
    value: float | None
    breached: bool


class TargetSecond(msgspec.Struct, frozen=True, kw_only=True):
    """The target's own metrics as a second of the run ended; null is what it didn't report.

    :ivar cpu_s: CPU time since its start; `cpu_share` is of one core, since the last question.
    """

    t_s: float
    connections: float | None
    cpu_s: float | None
    cpu_share: float | None
    rss_bytes: float | None
    open_files: float | None
    lag_ms: float | None
    lag_p50_ms: float | None = None
    lag_p99_ms: float | None = None


class TargetLag(msgspec.Struct, frozen=True, kw_only=True):
    """The lag of the target's event loop under load, in ms: each value of its worst second.

    Percentiles of several seconds can't be computed from those of each.
    """

    p50: float | None = None
    p99: float | None = None
    max: float | None = None


class TargetReport(msgspec.Struct, frozen=True, kw_only=True):
    """The target's own metrics; only where --console named it. Null is what it didn't report.

    :ivar errors: how often it could not be asked; `last_error` is the last reason.
    :ivar cpu_share: of one core, over the seconds of the load phase; `loop_lag` is of these, too.
    :ivar connections: the largest number in the whole run; so are `rss_bytes` and `open_files`.
    """

    source: str
    errors: int
    last_error: str | None
    connections: float | None = None
    cpu_share: float | None = None
    rss_bytes: float | None = None
    open_files: float | None = None
    loop_lag: TargetLag = TargetLag()
    series: list[TargetSecond]


class Incomplete(msgspec.Struct, frozen=True, kw_only=True):
    """The state of a run when its generator was killed; in no other report.

    :ivar opening: requested sockets that are unaccounted for: being opened, or not yet.
    :ivar open: opened sockets that are unaccounted for: how they ended is unknown.
    """

    phase: str
    t_s: float
    opening: int
    open: int


class MisbehavingReport(msgspec.Struct, frozen=True, kw_only=True):
    """The counts of sockets that misbehaved on purpose, none of which is in `connections`."""

    requested: int
    opened: int
    not_attempted: int
    failed: FailedSockets
    closed: ClosedSockets
    close_codes: dict[str, int]
    sent: int
    received: int
    echoed: int
    ignored: int


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """The report of a run; `report.schema.json` is made from this.

    :ivar changes: of the load by hand while it went, in the order of time.
    :ivar paused_s: for how much of the load phase it was paused.
    """

    schema: int
    verdict: RunVerdict
    verdict_reasons: list[str]
    hints: list[str] = []
    interrupted: bool
    thresholds: list[ThresholdReport]
    plan: dict[str, Any]
    started_at: datetime
    ended_at: datetime
    connections: ConnectionsReport
    messages: MessagesReport
    fan_out: FanOutReport | None
    users: UsersReport | None = None
    steps: list[StepReport] = []
    checks: list[CheckReport] = []
    streams: list[StreamReport] = []
    counters: dict[str, int] = {}
    latency: LatencyReport
    histograms: EncodedHistograms
    generator: GeneratorReport
    series: list[Second]
    changes: list[Change] = []
    paused_s: float = 0.0
    misbehaving: dict[str, MisbehavingReport] | msgspec.UnsetType = msgspec.UNSET
    target: TargetReport | msgspec.UnsetType = msgspec.UNSET
    incomplete: Incomplete | msgspec.UnsetType = msgspec.UNSET
