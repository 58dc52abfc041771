"""Find the highest rate at which every threshold holds: `--find-capacity`.

Each step is a whole run in open loop, with a report and a verdict of its own, so no step hides what
coordinated omission would hide, and none inherits a backlog from the one before. `Search` decides,
purely, which rate is next; `find` runs it.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

import msgspec

from loadgen.report import thresholds
from loadgen.report.model import Report, TargetReport
from loadgen.report.thresholds import Threshold
from loadgen.report.verdict import FAILED, GENERATOR_LIMITED
from loadgen.results.series import Second
from loadgen.workload.plan import Plan

#: The thresholds of a search for which none are given.
DEFAULT_LIMITS: Final = ("latency.p99>100ms",)
#: The search ends when the lowest rate that broke is at most a tenth above the highest that held.
PRECISION: Final = 1.1
#: A rate has held if this many runs in a row have, and broken if one run has.
REPEATS: Final = 3
#: Below this there is nothing to find.
LOWEST_PER_S: Final = 0.1
#: Twenty doublings, ten halvings of the bracket and the repeats are fewer.
MAX_STEPS: Final = 60
#: The forecast says how long a search takes whose edge is this many times the first rate.
FAR: Final = 100
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
    :ivar held_runs: the number of runs at that rate, all of which held.
    :ivar broke_per_s: the lowest rate above it that did not hold; ``None`` if the search found
        none.
    :ivar limited_by: ``"target"`` or ``"generator"``; ``None`` if nothing broke.
    :ivar probability: with 95 % confidence, at least this share of runs at `held_per_s` holds.
    :ivar incomplete: true if the generator was killed: then this comes from its journal.
    """

    capacity: int = 1
    url: str
    held_per_s: float | None
    held_runs: int
    probability: float
    broke_per_s: float | None
    limited_by: str | None
    interrupted: bool
    incomplete: bool = False
    limits: list[str]
    plan: dict[str, Any]
    steps: list[Step]


class Search:
    """The choice of the next rate: doubled until it breaks, then halfway, then the edge repeatedly.

    :param start_per_s: the first rate.
    """

    def __init__(self, start_per_s: float) -> None:
        self._start = start_per_s
        self._tried: list[tuple[float, bool]] = []

    @classmethod
    def after(cls, steps: Sequence[Step]) -> Search:
        """Restore the search that has made these steps."""
        search = cls(steps[0].rate_per_s if steps else 0.0)
        for step in steps:
            search.book(step.rate_per_s, held=step.outcome is SearchOutcome.HELD)
        return search

    def book(self, rate_per_s: float, *, held: bool) -> None:
        """Note that a run at this rate has held, or not."""
        self._tried.append((rate_per_s, held))

    @property
    def broke(self) -> float | None:
        """The lowest rate that did not hold, if only once."""
        return min((rate for rate, held in self._tried if not held), default=None)

    @property
    def held(self) -> float | None:
        """The highest rate that held, and below which none has broken."""
        ceiling = math.inf if self.broke is None else self.broke
        return max((rate for rate, held in self._tried if held and rate < ceiling), default=None)

    def runs_at(self, rate_per_s: float) -> int:
        """Count the runs at a rate."""
        return sum(rate == rate_per_s for rate, _ in self._tried)

    def next_rate(self) -> float | None:
        """Choose the rate to try now; ``None`` if the edge is found, or there is none to find."""
        held, broke = self.held, self.broke
        if len(self._tried) >= MAX_STEPS:
            return None
        if held is None:
            lower = self._start if broke is None else broke / 2
            return lower if lower >= LOWEST_PER_S else None
        if broke is None:
            return held * 2
        if broke > held * PRECISION:
            return _round(math.sqrt(held * broke), held, broke)
        return held if self.runs_at(held) < REPEATS else None


class Forecast(msgspec.Struct, frozen=True):
    """A forecast of the time that a search takes.

    Steps are counted by a search of its own, so it is wrong only by what nobody knows yet: where
    the edge is, and how long opening and closing take.

    :ivar step_s: seconds that one step takes at least.
    :ivar least_steps: steps if the edge is less than twice the first rate.
    :ivar far_steps: steps if it is `FAR` times the first rate.
    """

    step_s: float
    least_steps: int
    far_steps: int


def forecast(plan: Plan) -> Forecast:
    """Forecast the search for the capacity of a plan's target."""
    opening_s = plan.count / plan.connect_rate if plan.connect_rate else 0.0
    return Forecast(plan.load_s + opening_s, _count_steps(1.5), _count_steps(FAR))


def _count_steps(edge: float) -> int:
    """Count the steps of a search that begins at 1/s and finds that everything to here holds."""
    search, steps = Search(1.0), 0
    while (rate := search.next_rate()) is not None:
        search.book(rate, held=rate <= edge)
        steps += 1
    return steps


def _round(rate: float, low: float, high: float) -> float:
    """Round to three digits, which is more than a search can tell apart."""
    rounded = float(f"{rate:.3g}")
    return rounded if low < rounded < high else rate


def or_default(limits: Sequence[Threshold]) -> list[Threshold]:
    """Choose the limits of a search for which these were given."""
    return list(limits) or [thresholds.parse(expr) for expr in DEFAULT_LIMITS]


async def find(
    plan: Plan,
    limits: Sequence[Threshold],
    run: Callable[[Plan], Awaitable[Report]],
    on_step: Callable[[Step], None] = lambda _: None,
) -> Capacity:
    """Search for the capacity of a plan's target.

    Cancelled: the present run is dropped, and nothing is returned.

    :param plan: its rate is the first one tried. Of a scenario it is the rate of arrivals, or what
        its paces come to as they stand.
    :param limits: a rate breaks if one of these conditions holds for its report.
    :param run: runs a plan; a report that is interrupted ends the search.
    :param on_step: called with each step.
    :raises NothingToRaise: if a scenario has no pace.
    """
    limits = or_default(limits)
    search, steps, interrupted = Search(_first_rate(plan)), list[Step](), False
    as_run = own = plan.settings()
    paced_per_s = None
    while (rate := search.next_rate()) is not None:
        report = await run(_at_rate(plan, rate, paced_per_s))
        as_run = report.plan | {key: own[key] for key in ("rate", "rate_per_conn", "arrive")}
        if interrupted := report.interrupted:
            break
        if plan.is_paced_by_scenario and paced_per_s is None and report.connections.opened:
            # What its paces come to is known only now.
            paced_per_s = rate = report.latency.scheduling_lag.count / plan.load_s
            if not paced_per_s:
                raise NothingToRaise("no user of the scenario has a pace, and there is no --arrive")
            search = Search(paced_per_s)
        step = _judge(rate, report, limits)
        search.book(rate, held=step.outcome is SearchOutcome.HELD)
        steps.append(step)
        on_step(step)
        if not report.connections.opened or (len(steps) == 1 and step.reasons == [SILENT]):
            break
    return _conclude(as_run, [each.expr for each in limits], steps, interrupted=interrupted)


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


def resume(plan: dict[str, Any], limits: Sequence[str], steps: Sequence[Step]) -> Capacity:
    """Return what a search has found that got as far as these steps, at least one."""
    is_over = Search.after(steps).next_rate() is None
    capacity = _conclude(plan, limits, steps, interrupted=not is_over)
    return msgspec.structs.replace(capacity, incomplete=not is_over)


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
    plan: dict[str, Any], limits: Sequence[str], steps: Sequence[Step], *, interrupted: bool
) -> Capacity:
    search = Search.after(steps)
    held, broke = search.held, search.broke
    at_edge = {step.outcome for step in steps if step.rate_per_s == broke}
    runs = 0 if held is None else search.runs_at(held)
    limited_by = None
    if broke is not None:
        limited_by = "target" if SearchOutcome.BROKE in at_edge else "generator"
    return Capacity(
        url=plan["url"],
        held_per_s=held,
        held_runs=runs,
        # All n runs held: if a run held with a smaller probability, that would happen less than 5
        # times in 100.
        probability=round(0.05 ** (1 / runs), 2) if runs else 0.0,
        broke_per_s=broke,
        limited_by=limited_by,
        interrupted=interrupted,
        limits=list(limits),
        plan=plan,
        steps=list(steps),
    )
