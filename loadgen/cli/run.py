"""Run a plan in the foreground: in this process, in several, or on a cluster."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, nullcontext
from functools import partial
from typing import TYPE_CHECKING

import msgspec
import trio
from rich.cells import cell_len

from echo_trio import flags
from echo_trio.forks.starter import Starter
from echo_trio.printable import printable
from echo_trio.wire import process
from loadgen.cli.app import app
from loadgen.cli.exit_codes import exit_code
from loadgen.cli.journal import open_journal, settle
from loadgen.cli.keys import find_keys
from loadgen.cli.options import Options
from loadgen.cli.output import Output, warn, write_stdout
from loadgen.cli.progress import watch
from loadgen.engine.engine import Engine
from loadgen.engine.running import Running
from loadgen.journal.run import Journal
from loadgen.preflight.check import Refused
from loadgen.processes.coordinator import Coordinator
from loadgen.processes.local import SHARD, Processes
from loadgen.report import thresholds
from loadgen.report.build import make_report
from loadgen.report.hints import find_hints
from loadgen.report.stream import stream
from loadgen.report.thresholds import BadThreshold, Threshold
from loadgen.report.verdict import explain_failure
from loadgen.results.result import Result
from loadgen.signals import INTERRUPTS
from loadgen.target_metrics.poll import TargetSeries
from loadgen.workload.plan import Plan

if TYPE_CHECKING:
    from loadgen.cli.metrics_page import MetricsPage


def load(plan: Plan, options: Options, output: Output) -> int:
    """Run a load, or a search for capacity; return the exit code."""
    try:
        limits = [thresholds.parse(expr) for expr in options.fail_if]
    except BadThreshold as exc:
        return _complain_of_threshold(exc)
    asks = options.console is not None
    if problem := thresholds.find_unasked(limits, plan, is_target_asked=asks):
        return flags.complain(app, f"--fail-if: {problem}")
    is_named = options.metrics is not None or options.otlp is not None
    if problem := options.find_problem() or output.find_problem(
        options.journal_file, is_named=is_named
    ):
        return flags.complain(app, problem)
    try:
        target = TargetSeries(options.console) if options.console else None
    except ValueError as exc:
        return flags.complain(app, f"--console: {exc}")
    if options.trace and (plan.scenario is None or plan.count != 1 or options.shares):
        return flags.complain(app, "--trace goes with --scenario, one user and one process")
    # Before a scenario's own code is loaded here: each process loads it anew.
    with _make_starter(options) as starter:
        if plan.scenario is not None:
            from loadgen.scenario.engine import prepare  # noqa: PLC0415 - few runs need it
            from loadgen.scenario.errors import BadScenario  # noqa: PLC0415

            try:
                plan = prepare(plan)
            except BadScenario as exc:
                return flags.complain(app, str(exc))
        try:
            page = open_page(options, output)
        except ValueError as exc:
            return flags.complain(app, f"--metrics: {exc}")
        with page or nullcontext():
            if options.find_capacity:
                from loadgen.cli.capacity import find_capacity  # noqa: PLC0415 - it runs loads, too

                return find_capacity(plan, limits, options, output, page, starter)
            return _load_once(plan, limits, options, output, target, page, starter)


def _make_starter(options: Options) -> AbstractContextManager[Starter | None]:
    """Make the starter of the run's processes, if there are any on this machine."""
    if options.dask is not None or options.workers is None or options.workers == 1:
        return nullcontext()
    return Starter(SHARD)


def _load_once(
    plan: Plan,
    limits: list[Threshold],
    options: Options,
    output: Output,
    target: TargetSeries | None,
    page: MetricsPage | None,
    starter: Starter | None,
) -> int:
    """Run a load, write its report, and return the exit code."""
    try:
        journal = open_journal(
            partial(Journal, plan=plan), options.journal, overwrite=options.overwrite
        )
    except OSError as exc:
        return flags.complain(app, f"can't write the journal to {options.journal}: {exc.strerror}")
    result = trio.run(partial(run, plan, options, output, journal, target, page, starter))
    if isinstance(result, Refused):
        if journal is not None:
            journal.remove()
        warn(str(result))
        return flags.EXIT_USAGE
    report = make_report(
        result, limits=limits, target=msgspec.UNSET if target is None else target.report()
    )
    if not result.ledger.opened and not result.interrupted:
        print(printable(explain_nothing_opened(result)), file=sys.stderr)
    written = output.write(report)
    settle(journal, is_told=written)
    return exit_code(report) if written else flags.EXIT_USAGE


def open_page(options: Options, output: Output) -> MetricsPage | None:
    """Take the port of the page for Prometheus, if there is to be one.

    :raises ValueError: if it can't be had.
    """
    if options.metrics is None:
        return None
    from loadgen.cli.metrics_page import MetricsPage  # noqa: PLC0415 - few runs have it

    page = MetricsPage(options.metrics, output.name)
    if not output.quiet or options.metrics.endswith(":0") or options.metrics == "0":
        # Which of the free ports it is, has to be said somewhere.
        warn(f"metrics are at {page.url}")
    return page


async def run(
    plan: Plan,
    options: Options,
    output: Output,
    journal: Journal | None = None,
    target: TargetSeries | None = None,
    page: MetricsPage | None = None,
    starter: Starter | None = None,
) -> Result | Refused:
    """Run the plan; a signal ends it in good order.

    :param starter: starts the processes of a run in several on this machine.
    """
    process.raise_file_limit()
    process.keep_large_buffers()
    process.spare_long_lived_objects()
    engine, token = _make_run(plan, options, starter), trio.lowlevel.current_trio_token()
    with (
        INTERRUPTS.stopping(lambda: token.run_sync_soon(engine.interrupt)),
        ExitStack() as stack,
    ):
        async with trio.open_nursery() as nursery:
            if not output.quiet and not options.trace:
                if (keys := find_keys(plan)) is not None:
                    stack.enter_context(keys.taken())
                    nursery.start_soon(keys.obey, engine)
                nursery.start_soon(partial(watch, engine, color=output.color, keys=keys))
            write = _one_at_a_time(write_stdout)
            if output.stream:
                nursery.start_soon(stream, engine, write)
            if options.orders is not None:
                from loadgen.cli.orders import obey  # noqa: PLC0415 - the console's runs alone

                nursery.start_soon(obey, options.orders, engine, write)
            if journal is not None:
                nursery.start_soon(journal.keep, engine)
            if target is not None:
                nursery.start_soon(target.keep, engine)
            if page is not None:
                nursery.start_soon(page.serve, engine)
            if options.otlp is not None:
                from loadgen.cli.otlp import Otlp  # noqa: PLC0415 - an extra

                nursery.start_soon(Otlp(options.otlp, output.name).keep, engine)
            try:
                result: Result | Refused = await engine.run()
            except Refused as refused:
                result = refused
            nursery.cancel_scope.cancel()
    return result


def _one_at_a_time(write: Callable[[bytes], object]) -> Callable[[bytes], object]:
    """Let several threads write lines, each of which stays whole."""
    lock = threading.Lock()

    def write_alone(line: bytes) -> None:
        with lock:
            write(line)

    return write_alone


def _make_run(plan: Plan, options: Options, starter: Starter | None) -> Running:
    """Make the run of a plan: in this process, or in several."""
    if options.dask is not None:
        from loadgen.processes.dask import Cluster  # noqa: PLC0415 - an extra, and seconds to import

        return Coordinator(plan, Cluster(options.dask, options.workers), on_warning=warn)
    if options.workers is not None and options.workers > 1:
        processes = Processes(options.workers, starter or Starter(SHARD))
        return Coordinator(plan, processes, on_warning=warn)
    if plan.scenario is not None:
        from loadgen.scenario.engine import make_engine  # noqa: PLC0415 - as above
        from loadgen.scenario.trace import Trace  # noqa: PLC0415

        trace = Trace(sys.stderr) if options.trace else None
        return make_engine(plan, on_warning=warn, trace=trace)
    return Engine(plan, on_warning=warn)


def explain_nothing_opened(result: Result) -> str:
    """Say in one line what happened, and what to do."""
    ledger, plan = result.ledger, result.plan
    reasons = ", ".join(
        f"{count:,} × {explain_failure(ledger, reason)}"
        for reason, count in ledger.failed.most_common()
    )
    proxy = plan.settings()["proxy"]
    through = f" through {proxy}" if proxy else ""
    line = f"loadgen: no socket could be opened to {plan.shown_url}{through}: {reasons}"
    return ". ".join([line, *find_hints(result)])


def _complain_of_threshold(exc: BadThreshold) -> int:
    """Say what is wrong with an expression, and point at the place."""
    code = flags.complain(app, f"--fail-if: {exc.problem}")
    before, shown = printable(exc.expr[: exc.at]), printable(exc.expr)
    print(f"  {shown}\n  {' ' * cell_len(before)}^", file=sys.stderr)
    return code
