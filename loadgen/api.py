"""Run a load from a program or test that has an event loop of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import trio

from loadgen.engine.engine import Engine
from loadgen.preflight.check import Refused
from loadgen.report import thresholds
from loadgen.report.build import make_report
from loadgen.report.model import Report
from loadgen.results.result import Result
from loadgen.scenario.engine import make_engine, prepare
from loadgen.workload.plan import Plan


async def run(
    plan: Plan,
    *,
    fail_if: Iterable[str] = (),
    stop: trio.Event | None = None,
    on_warning: Callable[[str], None] = lambda _: None,
) -> Report:
    """Run a plan in the current Trio program; return its report.

    The process stays as it is: no signal handlers, no limits, no garbage-collector settings, and
    nothing is printed. `echo_trio.wire.process` has what the command line does for a large crowd:
    `raise_file_limit`, `spare_long_lived_objects`.

    Cancelled: every socket is dropped at once, without a close frame, and there is no report. To
    end early with one, set `stop`: no more is sent, every open socket gets a closing handshake
    within the plan's stop timeout, and `Report.interrupted` is true.

    :param fail_if: expressions like ``latency.p99>50ms``, judged in `Report.thresholds`.
    :param stop: ends the run in good order when it is set, in any phase.
    :param on_warning: called with each warning of preflight, one line.
    :raises Refused: if preflight finds that this machine can't do it; nothing was tried then.
    :raises BadScenario: if the plan has a scenario that can't be loaded.
    :raises ValueError: if an expression of `fail_if` is none, or about the target, which isn't
        asked.
    """
    limits = [thresholds.parse(expr) for expr in fail_if]
    if any(limit.metric.is_the_targets for limit in limits):
        raise ValueError(
            "fail_if: nothing is asked of the target here, so none of target.* is known"
        )
    if problem := thresholds.find_unasked(limits, plan):
        raise ValueError(f"fail_if: {problem}")
    outcome: Result | Refused
    if plan.scenario is not None:
        plan = prepare(plan)
    async with trio.open_nursery() as nursery:
        engine = make_engine(plan, on_warning=on_warning)
        if stop is not None:
            nursery.start_soon(_interrupt_when, stop, engine)
        try:
            outcome = await engine.run()
        except Refused as refused:  # as itself, not in the nursery's group
            outcome = refused
        nursery.cancel_scope.cancel()
    if isinstance(outcome, Refused):
        raise outcome
    return make_report(outcome, limits=limits)


async def _interrupt_when(stop: trio.Event, engine: Engine) -> None:
    await stop.wait()
    engine.interrupt()
