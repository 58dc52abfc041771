"""Make the report of a run from its result: the one place that does."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from loadgen.report.hints import find_hints
from loadgen.report.model import (
    SCHEMA_VERSION,
    ClosedSockets,
    ConnectionsReport,
    EncodedHistograms,
    FailedSockets,
    FanOutReport,
    Faults,
    Funnel,
    GeneratorReport,
    Incomplete,
    LatencyReport,
    LoopLag,
    MessagesReport,
    MisbehavingReport,
    Report,
    TargetReport,
)
from loadgen.report.scenario import report_checks, report_steps, report_streams, report_users
from loadgen.report.thresholds import Threshold, judge
from loadgen.report.verdict import FAILED, judge_run
from loadgen.results.latency import Summary
from loadgen.results.ledger import Ending, Failure, Fault, Ledger
from loadgen.results.result import FanOut, Result
from loadgen.results.verify import Verdict
from loadgen.workload.lever import count_paused_s

#: The number of reasons in close frames that are reported.
MAX_CLOSE_REASONS: Final = 10


def make_report(
    result: Result,
    *,
    limits: Sequence[Threshold] = (),
    target: TargetReport | msgspec.UnsetType = msgspec.UNSET,
    incomplete: Incomplete | msgspec.UnsetType = msgspec.UNSET,
    goes_on: bool = False,
    plan: dict[str, Any] | None = None,
) -> Report:
    """Make the report of a run from what it measured.

    :param limits: each `--fail-if`, judged in `Report.thresholds`.
    :param target: the target's own metrics, where it was asked for them.
    :param incomplete: the state of the run when its generator was killed, if it was: such a run is
        `failed`.
    :param goes_on: true if that generator is still at work, and this is a view of its journal.
    :param plan: every setting as run; by default those of the result.
    """
    verdict, reasons = judge_run(result)
    if isinstance(incomplete, Incomplete):
        verdict, reasons = FAILED, [explain_incomplete(incomplete, goes_on=goes_on), *reasons]
    report = Report(
        schema=SCHEMA_VERSION,
        verdict=verdict,
        verdict_reasons=reasons,
        hints=find_hints(result),
        interrupted=result.interrupted,
        thresholds=[],
        plan=plan_as_run(result) if plan is None else plan,
        started_at=result.started_at,
        ended_at=result.ended_at,
        connections=_report_connections(result),
        messages=_report_messages(result),
        fan_out=None if result.fan_out is None else _report_fan_out(result.ledger, result.fan_out),
        users=report_users(result.scenario),
        steps=report_steps(result.scenario),
        checks=report_checks(result.scenario),
        streams=report_streams(result.scenario),
        counters={} if result.scenario is None else dict(result.scenario.counters),
        latency=summarize_latency(result),
        histograms=EncodedHistograms(
            intended=result.intended.encode(), service=result.service.encode()
        ),
        generator=_report_generator(result),
        changes=list(result.changes),
        paused_s=count_paused_s(result.changes, result.load_s),
        series=result.series,
        misbehaving=(
            {str(kind): _report_misbehaving(ledger) for kind, ledger in result.apart.items()}
            or msgspec.UNSET
        ),
        target=target,
        incomplete=incomplete,
    )
    return msgspec.structs.replace(report, thresholds=judge(report, limits)) if limits else report


def plan_as_run(result: Result) -> dict[str, Any]:
    """List every setting of a run, including the number of processes that shared it."""
    workers = result.workers
    return result.plan.settings() | {"workers": workers.processes, "dask": workers.scheduler}


def _report_misbehaving(ledger: Ledger) -> MisbehavingReport:
    return MisbehavingReport(
        requested=ledger.requested,
        opened=ledger.opened,
        not_attempted=ledger.not_attempted,
        failed=count_failed(ledger),
        closed=count_closed(ledger),
        close_codes={str(code): n for code, n in sorted(ledger.close_codes.items())},
        sent=ledger.sent,
        received=ledger.received,
        echoed=ledger.verdicts[Verdict.ECHOED],
        ignored=ledger.verdicts[Verdict.IGNORED],
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
        close_reasons=_count_reasons(ledger),
        addresses=dict(ledger.addresses),
        connect_ms=result.connect.summary(),
        funnel=Funnel(
            requested=ledger.requested,
            tcp=ledger.tcp,
            tls=ledger.tls if result.plan.target.tls else None,
            upgraded=ledger.opened,
        ),
        faults=Faults(**{str(fault): ledger.failed_by(fault) for fault in Fault}),
        compressed=ledger.compressed,
    )


def _count_reasons(ledger: Ledger) -> dict[str, int]:
    """Count the peer's reasons, whatever the code; the most frequent ones."""
    reasons: Counter[str] = Counter()
    for (_, reason), count in ledger.close_reasons.items():
        reasons[reason] += count
    return dict(reasons.most_common(MAX_CLOSE_REASONS))


def count_failed(ledger: Ledger) -> FailedSockets:
    """Count the sockets that did not open, by reason."""
    return FailedSockets(**{str(reason): ledger.failed[reason] for reason in Failure})


def count_closed(ledger: Ledger) -> ClosedSockets:
    """Count the sockets that are closed, by the way in which they ended."""
    return ClosedSockets(**{str(ending): ledger.closed[ending] for ending in Ending})


def summarize_latency(result: Result) -> LatencyReport:
    """Summarise the latencies, and how late the generator and a script were."""
    script_lag = Summary(count=0)
    if result.scenario is not None:
        script_lag = result.scenario.script_lag.total.summary()
    return LatencyReport(
        script_lag=script_lag,
        intended=result.intended.summary(),
        service=result.service.summary(),
        scheduling_lag=result.scheduling_lag.summary(),
    )


def _report_messages(result: Result) -> MessagesReport:
    ledger, load_s = result.ledger, result.load_s
    return MessagesReport(
        sent=ledger.sent,
        one_way=ledger.one_way,
        published=ledger.published,
        lost=ledger.lost,
        in_flight=ledger.in_flight,
        received=ledger.received,
        missed=ledger.missed,
        sent_bytes=ledger.sent_bytes,
        received_bytes=ledger.received_bytes,
        sent_per_s=round(ledger.sent / load_s, 3) if load_s else None,
        received_per_s=round(ledger.received / load_s, 3) if load_s else None,
        **count_claims(ledger),
    )


def count_claims(ledger: Ledger) -> dict[str, int]:
    """Count the received frames by what claims them, each under its column's name."""
    return {str(verdict): ledger.verdicts[verdict] for verdict in Verdict}


def _report_fan_out(ledger: Ledger, fan_out: FanOut) -> FanOutReport:
    error_s = fan_out.clock_error_s
    return FanOutReport(
        published=ledger.published,
        owed=ledger.owed,
        delivered=ledger.delivered,
        missing=ledger.missing,
        unsettled=ledger.unsettled,
        in_flight=ledger.copies_in_flight,
        extra=ledger.extra,
        first=fan_out.first.summary(),
        last=fan_out.last.summary(),
        each=fan_out.each.summary(),
        clock_error_ms=None if error_s is None else round(error_s * 1000, 3),
    )


def _report_generator(result: Result) -> GeneratorReport:
    p50, p99 = result.loop_lag.percentiles_ms([50, 99])
    strain = result.load_strain
    return GeneratorReport(
        **msgspec.structs.asdict(result.generator),
        load_cpu_share=strain.cpu_share if strain.wall_s else None,
        load_waiting_share=strain.waiting_share if strain.wall_s else None,
        loop_lag=LoopLag(p50=p50, p99=p99, max=result.loop_lag.max_ms),
        places=result.workers.places or msgspec.UNSET,
    )


def explain_incomplete(incomplete: Incomplete, *, goes_on: bool = False) -> str:
    """Say in one line what is missing from the report of a run whose generator was killed.

    :param goes_on: true if it was not: the run has not ended yet.
    """
    unknown = [
        f"{count:,} {what}"
        for count, what in ((incomplete.open, "open"), (incomplete.opening, "not yet open"))
        if count
    ]
    sockets = f": {' and '.join(unknown)} sockets are unaccounted for" if unknown else ""
    when = f"after {incomplete.t_s:,.0f} s, in its {incomplete.phase} phase"
    if goes_on:
        return f"the run has not ended: this is its state {when}{sockets}"
    return f"the generator was killed {when}{sockets}"
