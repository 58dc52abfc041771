"""What a run found: the result, the verdict on it, and the report of the contract."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

import msgspec

from echo_trio.wire.close_codes import ABNORMAL_CLOSURE
from loadgen.latency import Histogram, Summary
from loadgen.ledger import Ending, Failure, Ledger
from loadgen.plan import Plan
from loadgen.verify import Verdict

SCHEMA_VERSION: Final = 1

RunVerdict = Literal["valid", "generator-limited", "failed"]
VALID: Final = "valid"
FAILED: Final = "failed"
GENERATOR_LIMITED: Final = "generator-limited"

#: Above this, 1 % of the messages left so late that the target's latency can't be told from ours.
MAX_SCHEDULING_LAG_P99_MS: Final = 100.0
#: The same for the loop that takes replies in.
MAX_LOOP_LAG_P99_MS: Final = 100.0


class Second(msgspec.Struct, frozen=True, kw_only=True):
    """One second of a run, as it ended."""

    t_s: float
    open: int
    opening: int
    sent: int
    received: int
    errors: int
    p50_ms: float
    p99_ms: float
    lag_ms: float


class GeneratorFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What the run took of this machine."""

    processes: int
    cpu_s: float
    cpu_share: float
    peak_rss_bytes: int
    python: str
    trio: str


class Strain(msgspec.Struct, frozen=True, kw_only=True):
    """How hard the load phase was for the generator.

    :ivar cpu_share: CPU time of the process, as a share of one core.
    :ivar waiting_share: of the phase, how long its thread was ready to run and had no core.
    """

    wall_s: float = 0.0
    cpu_share: float = 0.0
    waiting_share: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """A run that is over."""

    plan: Plan
    started_at: datetime
    ended_at: datetime
    interrupted: bool
    ledger: Ledger
    all_open_after_s: float | None
    load_s: float
    connect: Histogram
    intended: Histogram
    service: Histogram
    scheduling_lag: Histogram
    loop_lag: Histogram
    generator: GeneratorFacts
    load_strain: Strain
    series: list[Second]


# -- The report, key by key as in the contract ------------------------------------------------


class FailedSockets(msgspec.Struct, frozen=True, kw_only=True):
    """Sockets that did not open, by reason."""

    refused: int
    timeout: int
    reset: int
    dns: int
    tls: int
    rejected: int
    protocol: int
    file_limit: int
    address_in_use: int
    other: int


class ClosedSockets(msgspec.Struct, frozen=True, kw_only=True):
    """Sockets that had opened, by how they ended."""

    clean: int
    by_peer: int
    abnormal: int
    timeout: int


class ConnectionsReport(msgspec.Struct, frozen=True, kw_only=True):
    """What became of every socket."""

    requested: int
    opened: int
    not_attempted: int
    peak_open: int
    all_open_after_s: float | None
    failed: FailedSockets
    failed_status: dict[str, int]
    closed: ClosedSockets
    close_codes: dict[str, int]
    connect_ms: Summary


class MessagesReport(msgspec.Struct, frozen=True, kw_only=True):
    """What became of every message."""

    sent: int
    echoed: int
    reordered: int
    corrupt: int
    lost: int
    in_flight: int
    received: int
    duplicate: int
    unexpected: int
    missed: int
    sent_bytes: int
    received_bytes: int
    sent_per_s: float
    received_per_s: float


class LatencyReport(msgspec.Struct, frozen=True, kw_only=True):
    """Three latencies: from when due, from when sent, and what lies between the two."""

    intended: Summary
    service: Summary
    scheduling_lag: Summary


class EncodedHistograms(msgspec.Struct, frozen=True, kw_only=True):
    """HdrHistogram V2, base64, in microseconds."""

    intended: str
    service: str


class LoopLag(msgspec.Struct, frozen=True, kw_only=True):
    """How late the generator's event loop was, in milliseconds."""

    p50: float
    p99: float
    max: float


class GeneratorReport(GeneratorFacts, frozen=True, kw_only=True):
    """What the run took of this machine, and how well it kept up."""

    loop_lag: LoopLag


class ThresholdReport(msgspec.Struct, frozen=True, kw_only=True):
    """One --fail-if.

    :ivar value: in the unit of the report, or in percent; ``None`` is what never happened.
    """

    expr: str
    value: float | None
    breached: bool


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """The report of a run; `report.schema.json` is made from this."""

    schema: int
    verdict: RunVerdict
    verdict_reasons: list[str]
    interrupted: bool
    thresholds: list[ThresholdReport]
    plan: dict[str, Any]
    started_at: datetime
    ended_at: datetime
    connections: ConnectionsReport
    messages: MessagesReport
    latency: LatencyReport
    histograms: EncodedHistograms
    generator: GeneratorReport
    series: list[Second]


def make_report(result: Result) -> Report:
    """The report of a result."""
    verdict, reasons = judge_run(result)
    return Report(
        schema=SCHEMA_VERSION,
        verdict=verdict,
        verdict_reasons=reasons,
        interrupted=result.interrupted,
        thresholds=[],
        plan=result.plan.settings(),
        started_at=result.started_at,
        ended_at=result.ended_at,
        connections=_report_connections(result),
        messages=_report_messages(result),
        latency=summarize_latency(result),
        histograms=EncodedHistograms(
            intended=result.intended.encode(), service=result.service.encode()
        ),
        generator=_report_generator(result),
        series=result.series,
    )


def _report_connections(result: Result) -> ConnectionsReport:
    ledger = result.ledger
    return ConnectionsReport(
        requested=ledger.requested,
        opened=ledger.opened,
        not_attempted=ledger.not_attempted,
        peak_open=ledger.peak_open,
        all_open_after_s=result.all_open_after_s,
        failed=count_failed(ledger),
        failed_status={str(status): n for status, n in sorted(ledger.failed_status.items())},
        closed=count_closed(ledger),
        close_codes={str(code): n for code, n in sorted(ledger.close_codes.items())},
        connect_ms=result.connect.summary(),
    )


def count_failed(ledger: Ledger) -> FailedSockets:
    """The sockets that did not open."""
    return FailedSockets(**{str(reason): ledger.failed[reason] for reason in Failure})


def count_closed(ledger: Ledger) -> ClosedSockets:
    """The sockets that are closed."""
    return ClosedSockets(**{str(ending): ledger.closed[ending] for ending in Ending})


def summarize_latency(result: Result) -> LatencyReport:
    """The three latencies."""
    return LatencyReport(
        intended=result.intended.summary(),
        service=result.service.summary(),
        scheduling_lag=result.scheduling_lag.summary(),
    )


def _report_messages(result: Result) -> MessagesReport:
    ledger, load_s = result.ledger, result.load_s
    return MessagesReport(
        sent=ledger.sent,
        echoed=ledger.verdicts[Verdict.ECHOED],
        reordered=ledger.verdicts[Verdict.REORDERED],
        corrupt=ledger.verdicts[Verdict.CORRUPT],
        lost=ledger.lost,
        in_flight=ledger.in_flight,
        received=ledger.received,
        duplicate=ledger.verdicts[Verdict.DUPLICATE],
        unexpected=ledger.verdicts[Verdict.UNEXPECTED],
        missed=ledger.missed,
        sent_bytes=ledger.sent_bytes,
        received_bytes=ledger.received_bytes,
        sent_per_s=round(ledger.sent / load_s, 3) if load_s else 0.0,
        received_per_s=round(ledger.received / load_s, 3) if load_s else 0.0,
    )


def _report_generator(result: Result) -> GeneratorReport:
    p50, p99 = result.loop_lag.percentiles_us([50, 99])
    return GeneratorReport(
        **msgspec.structs.asdict(result.generator),
        loop_lag=LoopLag(p50=p50 / 1000, p99=p99 / 1000, max=result.loop_lag.max / 1000),
    )


# -- The verdict ------------------------------------------------------------------------------


def judge_run(result: Result) -> tuple[RunVerdict, list[str]]:
    """The verdict on a run, and the reasons for it in plain words; a valid run needs none."""
    if reasons := _failures(result):
        return FAILED, reasons
    if reasons := _own_limits(result):
        return GENERATOR_LIMITED, reasons
    return VALID, []


def _failures(result: Result) -> list[str]:
    ledger = result.ledger
    reasons = [
        f"{ledger.failed[reason]:,} of {_sockets(ledger.requested)} did not open: "
        + explain_failure(ledger, reason)
        for reason in Failure
        if ledger.failed[reason]
    ]
    if ledger.not_attempted and not result.interrupted:
        skipped = _sockets(ledger.not_attempted)
        reasons.append(f"{skipped} not attempted: none before had opened")
    reasons += [
        _explain_early(ending, code, _sockets(ended))
        for (ending, code), ended in sorted(ledger.early.items())
    ]
    if cut := ledger.unanswered_closes:
        reasons.append(f"{_sockets(cut)} had to be cut: no answer to our close frame in time")
    if cut := ledger.unclean_closes:
        reasons.append(f"{_sockets(cut)} ended without an answer to our close frame")
    for what in (Verdict.CORRUPT, Verdict.REORDERED, Verdict.DUPLICATE, Verdict.UNEXPECTED):
        if count := ledger.verdicts[what]:
            reasons.append(f"{count:,} {'reply' if count == 1 else 'replies'} {what}")
    if count := ledger.lost:
        reasons.append(f"{_messages(count)} lost")
    if reasons and ledger.missed:
        reasons.append(_explain_missed(ledger))
    return reasons


def _messages(count: int) -> str:
    return "1 message" if count == 1 else f"{count:,} messages"


def _explain_missed(ledger: Ledger) -> str:
    return f"{_messages(ledger.missed)} fell due on sockets that were gone, and were not sent"


def _sockets(count: int) -> str:
    return "1 socket" if count == 1 else f"{count:,} sockets"


def explain_failure(ledger: Ledger, reason: Failure) -> str:
    """Why sockets did not open, in a few words."""
    if reason is Failure.REJECTED:
        return f"{reason} (HTTP {', '.join(map(str, sorted(ledger.failed_status)))})"
    if reason is Failure.OTHER:
        return ", ".join(sorted(ledger.other_errors))
    return reason.replace("_", " ")


def _explain_early(ending: Ending, code: int, sockets: str) -> str:
    if ending is Ending.TIMEOUT:
        return f"{sockets} had to be cut: the server did not read what we sent"
    if ending is Ending.ABNORMAL and code != ABNORMAL_CLOSURE:
        return f"the server broke the protocol on {sockets}, which we failed with code {code}"
    if ending is Ending.ABNORMAL:
        return f"the server cut {sockets} before the end, without a close frame"
    return f"the server closed {sockets} before the end, code {code}"


def _own_limits(result: Result) -> list[str]:
    reasons = []
    if result.ledger.missed and not result.interrupted:
        reasons.append(_explain_missed(result.ledger))
    scheduling_ms = result.scheduling_lag.percentile_us(99) / 1000
    if scheduling_ms > MAX_SCHEDULING_LAG_P99_MS:
        reasons.append(f"1 % of the messages were sent more than {scheduling_ms:.0f} ms late")
    loop_ms = result.loop_lag.percentile_us(99) / 1000
    if loop_ms > MAX_LOOP_LAG_P99_MS:
        reasons.append(f"the generator's event loop was {loop_ms:.0f} ms late 1 % of the time")
    return reasons
