"""Judge whether the target set the numbers of a run, and treated all sockets and messages right.

`docs/explanation/verdict.md` says what each limit means and how it was found;
`benchmarks/verdict_calibration.py` compares them with runs that are starved on purpose.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Final, Literal

from echo_trio.wire.close_codes import ABNORMAL_CLOSURE, MESSAGE_TOO_BIG
from loadgen.report.script_limits import (
    explain_blocking,
    explain_failed_users,
    explain_missed_by_users,
)
from loadgen.results.ledger import FAULTS, Ending, Failure, Fault, Ledger
from loadgen.results.result import Result
from loadgen.results.verify import Verdict

RunVerdict = Literal["valid", "generator-limited", "failed"]
VALID: Final = "valid"
FAILED: Final = "failed"
GENERATOR_LIMITED: Final = "generator-limited"

#: Above this, 1 % of the messages left so late that the target's latency can't be distinguished
#: from the generator's.
MAX_SCHEDULING_LAG_P99_MS: Final = 100.0
#: The same limit for the event loop, which takes replies in.
MAX_LOOP_LAG_P99_MS: Final = 100.0
#: Above this a tenth of the time, the generator has far less of its core than it needs; honest runs
#: beside busy neighbours have a third.
MAX_LAG_P90_MS: Final = 30.0
#: A single stop of this length is in the highest percentiles however long the run is.
MAX_STALL_MS: Final = 500.0
#: The share of one core. Above it replies queue up in front of the generator, not of the target.
MAX_CPU_SHARE: Final = 0.95
#: With other work on its cores the generator is late by this much, and waits so large a part of
#: the time: each alone is met by honest runs on a busy machine.
STARVED_LAG_P99_MS: Final = 50.0
STARVED_WAITING_SHARE: Final = 0.25
#: With fewer measurements or messages than this, a tenth is a handful.
MIN_LOOKS: Final = 100
#: OpenSSL's errors about an answer that is no TLS.
_NOT_TLS: Final = ("wrong version number", "record layer failure", "packet length too long")
#: The number of causes of a failure that are named, the most frequent first.
MAX_CAUSES: Final = 3
#: The failures of which the details say more than their name.
_EXPLAINED: Final = {Failure.PROTOCOL, Failure.DNS}
#: A shorter load phase is mostly start and end: no shares are judged.
MIN_JUDGED_S: Final = 1.0


def judge_run(result: Result) -> tuple[RunVerdict, list[str]]:
    """Judge a run; return the verdict, and its reasons in words: none for a valid run."""
    if reasons := _failures(result):
        # A generator that stood still may be why.
        return FAILED, reasons + _own_limits(result)
    if reasons := _own_limits(result) or _find_nothing_measured(result):
        return GENERATOR_LIMITED, reasons
    return VALID, []


def _failures(result: Result) -> list[str]:
    ledger = result.ledger
    reasons = list(result.deaths)
    reasons += [
        f"{ledger.failed[reason]:,} of {_sockets(ledger.requested)} did not open: "
        + explain_failure(ledger, reason)
        + _explain_fault(ledger, reason)
        for reason in Failure
        if ledger.failed[reason]
    ]
    if ledger.not_attempted and not result.interrupted:
        skipped = _sockets(ledger.not_attempted)
        why = "the run was over" if ledger.opened else "none before had opened"
        reasons.append(f"{skipped} not attempted: {why}")
    reasons += [
        _explain_early(ending, code, _sockets(ended)) + _quote_reasons(ledger, ending, code)
        for (ending, code), ended in sorted(ledger.early.items())
    ]
    still_sending = min(ledger.still_sending, ledger.unanswered_closes)
    if still_sending:
        what = "the server went on sending, and did not answer our close frame"
        reasons.append(f"{_sockets(still_sending)} had to be cut: {what}")
    if cut := ledger.unanswered_closes - still_sending:
        reasons.append(f"{_sockets(cut)} had to be cut: no answer to our close frame in time")
    if cut := ledger.unclean_closes:
        reasons.append(f"{_sockets(cut)} ended without an answer to our close frame")
    for what in (Verdict.CORRUPT, Verdict.REORDERED, Verdict.DUPLICATE, Verdict.UNEXPECTED):
        if count := ledger.verdicts[what]:
            reasons.append(f"{count:,} {'reply' if count == 1 else 'replies'} {what}")
    if count := ledger.lost - ledger.orphaned_messages:
        reasons.append(f"{_messages(count)} lost")
    if ledger.missing:
        reasons.append(f"{_copies(ledger.missing)} of {ledger.owed:,} missing")
    if ledger.extra:
        reasons.append(f"{_copies(ledger.extra)} too many")
    return reasons + list(explain_failed_users(result))


def _copies(count: int) -> str:
    return "1 copy" if count == 1 else f"{count:,} copies"


def _messages(count: int) -> str:
    return "1 message" if count == 1 else f"{count:,} messages"


def _explain_missed(ledger: Ledger) -> Iterator[str]:
    if gone := ledger.missed - ledger.overdue:
        yield f"{_messages(gone)} fell due on sockets that were gone, and were not sent"
    if ledger.overdue:
        due = ledger.due or 0
        yield (
            f"the generator could not keep up: of {_messages(due)} that fell due, "
            f"{ledger.overdue:,} were not sent by the time the run had to end"
        )


def _sockets(count: int) -> str:
    return "1 socket" if count == 1 else f"{count:,} sockets"


def explain_failure(ledger: Ledger, reason: Failure) -> str:
    """Explain in a few words why sockets did not open."""
    if reason is Failure.REJECTED:
        statuses = ", ".join(map(str, sorted(ledger.failed_status)))
        return f"{reason} ({_details(ledger, reason) or f'HTTP {statuses}'})"
    if reason in _EXPLAINED and (details := _details(ledger, reason)):
        return f"{reason} ({details})"
    if reason is Failure.TLS:
        return f"{reason} ({', '.join(map(_explain_tls, sorted(ledger.tls_errors)))})"
    if reason is Failure.OTHER:
        return ", ".join(sorted(ledger.other_errors))
    if reason is Failure.GREETING:
        return f"no greeting ({_details(ledger, reason)})"
    return reason.replace("_", " ")


def _explain_tls(error: str) -> str:
    """Explain an error of OpenSSL where the real reason is the scheme of the URL."""
    if any(sign in error.lower().replace("_", " ") for sign in _NOT_TLS):
        return f"{error}: no TLS answers there, the URL should begin with ws://"
    return error


def _details(ledger: Ledger, reason: Failure) -> str:
    """List the details of the most frequent causes of a failure."""
    known = Counter(
        {detail: count for (failure, detail), count in ledger.details.items() if failure is reason}
    )
    shown = [detail for detail, _ in known.most_common(MAX_CAUSES)]
    return "; ".join(shown + ["…"] * (len(known) > MAX_CAUSES))


def _explain_fault(ledger: Ledger, reason: Failure) -> str:
    """Say whose fault it is, where that is not the target's."""
    faults = set(ledger.other_faults) if reason is Failure.OTHER else {FAULTS[reason]}
    if faults == {Fault.MACHINE}:
        return " (this machine's limit, not the target's fault)"
    return " (the network between)" if faults == {Fault.NETWORK} else ""


def _explain_early(ending: Ending, code: int, sockets: str) -> str:
    if ending is Ending.TIMEOUT:
        return f"{sockets} had to be cut: the server did not read what we sent"
    if ending is Ending.ABNORMAL and code == MESSAGE_TOO_BIG:
        return (
            f"the server sent more than is taken in, on {sockets}, which we failed with code 1009"
        )
    if ending is Ending.ABNORMAL and code != ABNORMAL_CLOSURE:
        return f"the server broke the protocol on {sockets}, which we failed with code {code}"
    if ending is Ending.ABNORMAL:
        return f"the server cut {sockets} before the end, without a close frame"
    return f"the server closed {sockets} before the end, code {code}"


def _find_nothing_measured(result: Result) -> list[str]:
    """Say why nothing is known of the target, if so it is: there is nothing to be valid."""
    ledger, plan = result.ledger, result.plan
    if not ledger.requested or ledger.sent:
        return []
    if not ledger.opened:
        return ["nothing was measured: the run was interrupted before a socket was open"]
    if not plan.is_to_send or (plan.scenario is not None and ledger.received):
        return []  # A scenario may do nothing but listen.
    if result.interrupted:
        return ["nothing was measured: the run was interrupted before a message was sent"]
    rate = "" if plan.closed_loop else ": at this rate none fell due in the time"
    return [f"nothing was measured: no message was sent{rate}"]


def _quote_reasons(ledger: Ledger, ending: Ending, code: int) -> str:
    """Quote what the peer said when it closed sockets with this code."""
    if ending is not Ending.BY_PEER:
        return ""
    said = Counter({why: n for (of, why), n in ledger.close_reasons.items() if of == code})
    quoted = [f'"{why}"' for why, _ in said.most_common(MAX_CAUSES)]
    return f": {', '.join(quoted)}{', …' if len(said) > MAX_CAUSES else ''}" if quoted else ""


def _own_limits(result: Result) -> list[str]:
    reasons: list[str] = []
    if result.ledger.missed and not result.interrupted:
        if result.scenario is None:
            reasons += _explain_missed(result.ledger)
        else:
            reasons.append(explain_missed_by_users(result.ledger.missed))
    lag_ms = result.scheduling_lag.percentile_us(99) / 1000
    if lag_ms > MAX_SCHEDULING_LAG_P99_MS:
        reasons.append(f"1 % of the messages were sent more than {lag_ms:,.0f} ms late")
    loop_ms = result.loop_lag.percentile_us(99) / 1000
    if loop_ms > MAX_LOOP_LAG_P99_MS:
        reasons.append(f"the generator's event loop was {loop_ms:,.0f} ms late 1 % of the time")
    often_ms = max(
        (
            lag.percentile_us(90) / 1000
            for lag in (result.loop_lag, result.scheduling_lag)
            if lag.count >= MIN_LOOKS
        ),
        default=0.0,
    )
    if often_ms > MAX_LAG_P90_MS and not reasons:
        reasons.append(f"the generator was {often_ms:,.0f} ms late a tenth of the time")
    if (stall_ms := result.loop_lag.max / 1000) > MAX_STALL_MS:
        reasons.append(f"the generator stood still for {stall_ms / 1000:,.1f} s")
    strain = result.load_strain
    if strain.wall_s < MIN_JUDGED_S:
        return reasons
    reasons += explain_blocking(result)
    if strain.cpu_share > MAX_CPU_SHARE:
        reasons.append(
            f"the generator used {strain.cpu_share:.0%} of a core: "
            "the rate is what it can do, not what the target can"
        )
    if strain.waiting_share > STARVED_WAITING_SHARE and (max(lag_ms, loop_ms) > STARVED_LAG_P99_MS):
        reasons.append(
            f"other work kept the generator from its core for {strain.waiting_share:.0%} "
            "of the time"
        )
    return reasons
