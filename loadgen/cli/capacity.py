"""Search for the capacity of a target: many runs, each at another rate."""

from __future__ import annotations

import dataclasses
import sys
from functools import partial
from typing import TYPE_CHECKING

import msgspec
import trio

from echo_trio import flags
from echo_trio.forks.starter import Starter
from echo_trio.printable import printable
from loadgen.cli.app import app
from loadgen.cli.exit_codes import EXIT_FAILED, EXIT_NOTHING_OPENED, EXIT_OK
from loadgen.cli.journal import open_journal, settle
from loadgen.cli.options import Options
from loadgen.cli.output import Output, warn
from loadgen.cli.run import explain_nothing_opened, run
from loadgen.journal.search import SearchJournal
from loadgen.preflight.check import Refused
from loadgen.report import thresholds
from loadgen.report.build import make_report
from loadgen.report.model import Report
from loadgen.report.thresholds import Threshold
from loadgen.results.result import Result
from loadgen.signals import EXIT_INTERRUPTED
from loadgen.studies import capacity_text
from loadgen.studies.capacity import NothingToRaise, Step, find, or_default
from loadgen.studies.capacity_search import forecast
from loadgen.target_metrics.poll import TargetSeries
from loadgen.workload.plan import Plan

if TYPE_CHECKING:
    from loadgen.cli.metrics_page import MetricsPage


def find_capacity(
    plan: Plan,
    limits: list[Threshold],
    options: Options,
    output: Output,
    page: MetricsPage | None = None,
    starter: Starter | None = None,
) -> int:
    """Search for the highest rate that holds; every step is a run of its own."""
    limits = or_default(limits)
    if problem := _find_problem(plan, limits, output):
        return flags.complain(app, problem)
    settings = plan.settings() | {"workers": options.workers, "dask": options.dask}
    confidence = options.confidence
    make_journal = partial(SearchJournal, plan=settings, limits=limits, confidence=confidence)
    try:
        journal = open_journal(make_journal, options.journal, overwrite=options.overwrite)
    except OSError as exc:
        return flags.complain(app, f"can't write the journal to {options.journal}: {exc.strerror}")

    # A line for each step, and what comes and goes on a terminal, are enough.
    quietly = dataclasses.replace(output, quiet=output.quiet or not sys.stderr.isatty())

    def tell(step: Step) -> None:
        if journal is not None:
            journal.note(step)
        if not output.quiet:
            print(printable(capacity_text.show_step(step)), file=sys.stderr)

    if not output.quiet:
        print(capacity_text.show_forecast(forecast(plan, confidence)), file=sys.stderr)
    unopened: list[Result] = []

    async def run_step(step_plan: Plan) -> Report:
        target = TargetSeries(options.console) if options.console else None
        result = await run(step_plan, options, quietly, target=target, page=page, starter=starter)
        if isinstance(result, Refused):
            raise result
        if not result.ledger.opened:
            unopened.append(result)
        return make_report(result, target=msgspec.UNSET if target is None else target.report())

    try:
        search = partial(
            find, plan, limits, run_step, tell, find_problem=_find_want, confidence=confidence
        )
        capacity = trio.run(search)
    except NothingToRaise as exc:
        settle(journal, is_told=False)
        return flags.complain(app, f"--find-capacity: {exc}")
    except Refused as refused:
        settle(journal, is_told=False)
        warn(str(refused))
        return flags.EXIT_USAGE
    written = output.write_bytes(capacity_text.encode(capacity), capacity_text.show(capacity))
    settle(journal, is_told=written)
    if not written:
        return flags.EXIT_USAGE
    if capacity.interrupted:
        return EXIT_INTERRUPTED
    if unopened and len(capacity.steps) == 1:
        print(printable(explain_nothing_opened(unopened[0])), file=sys.stderr)
        return EXIT_NOTHING_OPENED
    return EXIT_FAILED if capacity.held_per_s is None else EXIT_OK


def _find_problem(plan: Plan, limits: list[Threshold], output: Output) -> str | None:
    """Say why there can't be a search with these flags; ``None`` if there can."""
    if plan.closed_loop or plan.stages or plan.messages is not None:
        return "--find-capacity sets the rate: no --closed-loop, --stage or --messages"
    if not plan.total_rate(plan.count):
        return "--find-capacity needs a rate to start with"
    if flag := output.of_one_run:
        return f"--find-capacity makes many runs, and {flag} is of one"
    if unasked := thresholds.find_unasked(limits, plan, is_target_asked=True):
        return f"--find-capacity: {unasked}; --fail-if says what is to hold"
    return None


def _find_want(step_plan: Plan) -> str | None:
    """Say what a scenario lacks for a step, such as rows for its users; ``None`` if nothing."""
    if step_plan.scenario is None:
        return None
    from loadgen.scenario.engine import prepare  # noqa: PLC0415 - few runs need it
    from loadgen.scenario.errors import BadScenario  # noqa: PLC0415

    try:
        prepare(step_plan)
    except BadScenario as exc:
        return str(exc)
    return None
