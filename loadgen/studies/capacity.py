"""Find the highest rate at which every threshold holds: `--find-capacity`.

Each step is a whole run in open loop, with a report and a verdict of its own, so no step hides what
coordinated omission would hide, and none inherits a backlog from the one before. `Search` of
`capacity_search.py` decides, purely, which rate is next; `find` runs it.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final

import msgspec

from loadgen.report import thresholds
from loadgen.report.model import Report, TargetReport
from loadgen.report.thresholds import Threshold
from loadgen.report.verdict import FAILED, GENERATOR_LIMITED
from loadgen.results.series import Second
from loadgen.studies.capacity_search import MORE_OFTEN_THAN_NOT, Search
from loadgen.workload.plan import Plan

#: The thresholds of a search for which none are given.
DEFAULT_LIMITS: Final = ("latency.p99>100ms",)
#: Why a step does not hold in which nothing tells how the target fares.
SILENT: Final = (
    "the server sent nothing and owed nothing, so whether it keeps up is unknown: "
    "--verify says what it owes, --console asks it"
)


class NothingToRaise(Exception):
    """A plan that has no rate to search with."""


class SearchOutcome(StrEnum):
    """The outcome of a step."""

    HELD = "held"
    BROKE = "broke"
    LIMITED = "generator-limited"
    """The generator could not do it, so nobody knows what the target can."""


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One run of the search.

    :ivar p50_ms: intended latency; ``None`` if no reply came, as is `p99_ms`.
    :ivar series: its seconds, as in a report.
    :ivar target: the target's own metrics, as in a report; only where --console named it.
    """

    rate_per_s: float
    outcome: SearchOutcome
    reasons: list[str]
    received_per_s: float | None
    p50_ms: float | None
    p99_ms: float | None
    started_at: datetime
    series: list[Second]
    target: TargetReport | msgspec.UnsetType = msgspec.UNSET


class Capacity(msgspec.Struct, frozen=True, kw_only=True):
    """The finding of a search.

    :ivar plan: every setting, as in a report; its rate is the one that the search began with.
    :ivar held_per_s: the highest rate that held; ``None`` if none did.
    :ivar held_runs: the number of runs at that rate that held: all of them, unless the search had a
        confidence target.
    :ivar broke_per_s: the lowest rate above it that did not hold; ``None`` if the search found
        none.
    :ivar limited_by: ``"target"`` or ``"generator"``; ``None`` if nothing broke.
    :ivar probability: with the confidence asked for, or with 95 % if none was, at least this share
        of runs at `held_per_s` holds; 0 if too few were made to say so.
    :ivar confidence: the confidence target, between 0 and 1; ``None`` if there was none.
    :ivar held_confirmed: true if a test with that confidence found that `held_per_s` holds: in more
        than half of its runs.
    :ivar broke_confirmed: true if one found that `broke_per_s` breaks: in more than a tenth of its
        runs.
    :ivar incomplete: true if the generator was killed: then this comes from its journal.
    """

    capacity: int = 1
    url: str
    held_per_s: float | None
    held_runs: int
    probability: float
    confidence: float | None = None
    held_confirmed: bool = False
    broke_confirmed: bool = False
    broke_per_s: float | None
    limited_by: str | None
    interrupted: bool
    incomplete: bool = False
    limits: list[str]
    plan: dict[str, Any]
    steps: list[Step]


def or_default(limits: Sequence[Threshold]) -> list[Threshold]:
    """Choose the limits of a search for which these were given."""
    return list(limits) or [thresholds.parse(expr) for expr in DEFAULT_LIMITS]


async def find(
    plan: Plan,
    limits: Sequence[Threshold],
    run: Callable[[Plan], Awaitable[Report]],
    on_step: Callable[[Step], None] = lambda _: None,
    *,
    find_problem: Callable[[Plan], str | None] = lambda _: None,
    confidence: float | None = None,
) -> Capacity:
    """Search for the capacity of a plan's target.

    Cancelled: the present run is dropped, and nothing is returned.

    :param plan: its rate is the first one tried. Of a scenario it is the rate of arrivals, or what
        its paces come to as they stand.
    :param limits: a rate breaks if one of these conditions holds for its report.
    :param run: runs a plan; a report that is interrupted ends the search.
    :param on_step: called with each step.
    :param find_problem: says why this machine cannot run a plan; ``None`` if it can. Such a step is
        not run, and limited by the generator.
    :param confidence: the probability with which both sides of the edge are to be right, between 0
        and 1; ``None`` tests neither.
    :raises NothingToRaise: if a scenario has no pace.
    """
    limits = or_default(limits)
    search, steps = Search(_first_rate(plan), confidence), list[Step]()
    interrupted = False
    as_run = own = plan.settings()
    paced_per_s = None

    def book(step: Step) -> None:
        search.book(step.rate_per_s, held=step.outcome is SearchOutcome.HELD)
        steps.append(step)
        on_step(step)

    while (rate := search.next_rate()) is not None:
        at_rate = _at_rate(plan, rate, paced_per_s)
        if (problem := find_problem(at_rate)) is not None:
            book(_leave_out(rate, problem))
            continue
        report = await run(at_rate)
        as_run = report.plan | {key: own[key] for key in ("rate", "rate_per_conn", "arrive")}
        if interrupted := report.interrupted:
            break
        if plan.is_paced_by_scenario and paced_per_s is None and report.connections.opened:
            # What its paces come to is known only now.
            paced_per_s = rate = report.latency.scheduling_lag.count / plan.load_s
            if not paced_per_s:
                raise NothingToRaise("no user of the scenario has a pace, and there is no --arrive")
            search = Search(paced_per_s, confidence)
        step = _judge(rate, report, limits)
        book(step)
        if not report.connections.opened or (len(steps) == 1 and step.reasons == [SILENT]):
            break
    exprs = [each.expr for each in limits]
    return _conclude(as_run, exprs, steps, confidence, interrupted=interrupted)


def _first_rate(plan: Plan) -> float:
    return plan.total_rate(plan.count) if plan.arrive is None else plan.arrive


def _at_rate(plan: Plan, rate_per_s: float, paced_per_s: float | None) -> Plan:
    """Return the plan at a rate.

    :param paced_per_s: what the paces of its scenario come to as they stand; ``None``: not known.
    """
    if plan.arrive is not None:
        return dataclasses.replace(plan, arrive=rate_per_s)
    if plan.is_paced_by_scenario:
        factor = 1.0 if paced_per_s is None else rate_per_s / paced_per_s
        return dataclasses.replace(plan, pace_factor=factor)
    return dataclasses.replace(plan, rate=rate_per_s, rate_per_conn=None)


def resume(
    plan: dict[str, Any],
    limits: Sequence[str],
    steps: Sequence[Step],
    confidence: float | None = None,
) -> Capacity:
    """Return what a search has found that got as far as these steps, at least one."""
    is_over = restore(steps, confidence).next_rate() is None
    capacity = _conclude(plan, limits, steps, confidence, interrupted=not is_over)
    return msgspec.structs.replace(capacity, incomplete=not is_over)


def restore(steps: Sequence[Step], confidence: float | None = None) -> Search:
    """Restore the search that has made these steps."""
    search = Search(steps[0].rate_per_s if steps else 0.0, confidence)
    for step in steps:
        search.book(step.rate_per_s, held=step.outcome is SearchOutcome.HELD)
    return search


def _judge(rate: float, report: Report, limits: Sequence[Threshold]) -> Step:
    outcome, reasons = SearchOutcome.HELD, list[str]()
    if _is_silent(report, limits):
        outcome, reasons = SearchOutcome.BROKE, [SILENT]
    breached = [one for one in thresholds.judge(report, limits) if one.breached]
    if report.verdict == FAILED or breached or not report.connections.opened:
        outcome = SearchOutcome.BROKE
        reasons = [thresholds.explain(one) for one in breached] + report.verdict_reasons
    if report.verdict == GENERATOR_LIMITED:
        # The thresholds may have been breached by us.
        outcome, reasons = SearchOutcome.LIMITED, report.verdict_reasons
    return Step(
        rate_per_s=rate,
        outcome=outcome,
        reasons=reasons,
        received_per_s=report.messages.received_per_s,
        p50_ms=report.latency.intended.p50,
        p99_ms=report.latency.intended.p99,
        started_at=report.started_at,
        series=report.series,
        target=report.target,
    )


def _leave_out(rate: float, problem: str) -> Step:
    """Make the step of a rate that cannot be run here: nothing was measured."""
    return Step(
        rate_per_s=rate,
        outcome=SearchOutcome.LIMITED,
        reasons=[problem],
        received_per_s=None,
        p50_ms=None,
        p99_ms=None,
        started_at=datetime.now(UTC),
        series=[],
    )


def _is_silent(report: Report, limits: Sequence[Threshold]) -> bool:
    """Tell whether nothing in a report says how the target fares under the load.

    Where no reply is owed, a server that has stopped looks like one that only listens: the kernel
    takes what is sent for it. Only what it sends by itself, or says when asked, tells them apart.
    """
    messages = report.messages
    return (
        messages.one_way == messages.sent > 0
        and not messages.received
        and not any(limit.metric.is_the_targets for limit in limits)
    )


def _conclude(
    plan: dict[str, Any],
    limits: Sequence[str],
    steps: Sequence[Step],
    confidence: float | None,
    *,
    interrupted: bool,
) -> Capacity:
    search = restore(steps, confidence)
    held, broke = search.held, search.broke
    at_held = Counter(step.outcome for step in steps if step.rate_per_s == held)
    at_edge = Counter(step.outcome for step in steps if step.rate_per_s == broke)
    limited_by = None
    if broke is not None:
        is_the_targets = at_edge[SearchOutcome.BROKE] >= at_edge[SearchOutcome.LIMITED]
        limited_by = "target" if is_the_targets else "generator"
    return Capacity(
        url=plan["url"],
        held_per_s=held,
        held_runs=at_held[SearchOutcome.HELD],
        probability=_bound_share(at_held, is_tested=search.is_sure_of(held)),
        confidence=confidence,
        held_confirmed=search.is_sure_of(held),
        broke_confirmed=search.is_sure_of(broke),
        broke_per_s=broke,
        limited_by=limited_by,
        interrupted=interrupted,
        limits=list(limits),
        plan=plan,
        steps=list(steps),
    )


def _bound_share(runs: Counter[SearchOutcome], *, is_tested: bool) -> float:
    """Bound from below the share of runs that hold at a rate with these runs."""
    if is_tested:
        return MORE_OFTEN_THAN_NOT
    if not runs or runs.total() > runs[SearchOutcome.HELD]:
        return 0.0
    # All n runs held: if a run held with a smaller probability, that would happen less than 5 times
    # in 100.
    share: float = 0.05 ** (1 / runs.total())
    return round(share, 2)
