"""`python -m loadgen`: arguments become a plan; its result, a report and an exit code."""

from __future__ import annotations

import dataclasses
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from io import TextIOWrapper
from pathlib import Path
from typing import Annotated, Final, TypeVar

import msgspec
import trio
from cyclopts import Parameter
from rich.cells import cell_len

from echo_trio import flags
from echo_trio.wire import process
from loadgen.cli import commands
from loadgen.cli.app import app
from loadgen.cli.output import Output, replace_closed_streams, write_stdout
from loadgen.cli.progress import watch
from loadgen.engine.engine import Engine
from loadgen.engine.running import Running
from loadgen.journal.run import Journal, JournalFile, default_path
from loadgen.journal.search import SearchJournal
from loadgen.preflight.check import Refused
from loadgen.processes.coordinator import Coordinator
from loadgen.processes.local import Processes
from loadgen.report import thresholds
from loadgen.report.build import make_report
from loadgen.report.model import Report, TargetReport
from loadgen.report.stream import stream
from loadgen.report.thresholds import BadThreshold, Threshold
from loadgen.report.verdict import FAILED, GENERATOR_LIMITED, explain_failure
from loadgen.results.ledger import Failure
from loadgen.results.result import Result
from loadgen.signals import EXIT_INTERRUPTED, INTERRUPTS
from loadgen.studies import capacity_text
from loadgen.studies.capacity import Step, or_default
from loadgen.studies.capacity import find as find_capacity
from loadgen.target_metrics.poll import TargetSeries
from loadgen.workload.plan import Plan
from loadgen.workload.target import DEFAULT_PORT

EXIT_OK: Final = 0
EXIT_FAILED: Final = 1
EXIT_GENERATOR_LIMITED: Final = 3
EXIT_NOTHING_OPENED: Final = 69
EXIT_THRESHOLD: Final = 99

#: Where our own server listens, unless told otherwise.
_LOOPBACK: Final = {"127.0.0.1", "localhost"}

NO_JOURNAL: Final = "off"

_Journal = TypeVar("_Journal", bound=JournalFile)

_SCHEDULER: Final = re.compile(r"((tcp|tls|ws|wss)://)?[^/\s]+:[0-9]+")


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True, slots=True)
class Options:
    """What is done with a run besides reporting it, and by how many."""

    workers: Annotated[int | None, flags.processes("--workers", default=1)] = None
    """Processes of this machine that share the sockets; auto is one for each core."""

    dask: str | None = None
    """Address of a Dask scheduler, like tcp://host:8786: its workers share the sockets, a process
    for each of their threads, or as many as --workers says."""

    fail_if: Annotated[tuple[str, ...], Parameter(negative="", show_default=False)] = ()
    """Fail with exit code 99 if this holds of the report: latency.p99>50ms, messages.lost>0,
    connections.failed>=1% …; repeatable."""

    find_capacity: Annotated[bool, Parameter(negative="")] = False
    """Run again and again, at ever higher rates, until one breaks a --fail-if (by default
    latency.p99>100ms) or fails; report the highest that held. Starts with the rate given."""

    console: str | None = None
    """Ask the target for its own connections, CPU, memory and lag each second: at the console of
    echo-trio, like http://127.0.0.1:8766/, or at any Prometheus page, like http://host/metrics."""

    journal: str | None = None
    """Keep what is measured in this file while the run goes, for `loadgen recover` should the
    generator be killed; by default in the user's state folder. off keeps none."""

    def find_problem(self) -> str | None:
        """What would keep the run from beginning."""
        if self.dask is not None and not _SCHEDULER.fullmatch(self.dask):
            return f"--dask {self.dask!r} is no address: write it like tcp://host:8786"
        if self.dask is not None and find_spec("distributed") is None:
            return "--dask needs an extra: pip install 'echo-trio[cluster]'"
        return None


app.command(commands.recover)
app.command(commands.compare)
app.command(commands.plan)

_DEFAULT_OPTIONS: Final = Options()
_DEFAULT_OUTPUT: Final = Output()


@app.default
def load(
    plan: Plan,
    *,
    options: Options = _DEFAULT_OPTIONS,
    output: Output = _DEFAULT_OUTPUT,
) -> int:
    """Run a load; the exit code tells how it went."""
    try:
        limits = [thresholds.parse(expr) for expr in options.fail_if]
    except BadThreshold as exc:
        return _complain_of_threshold(exc)
    if options.console is None and (problem := thresholds.find_unasked(limits)):
        return flags.complain(app, f"--fail-if: {problem}")
    if problem := options.find_problem() or output.find_problem():
        return flags.complain(app, problem)
    try:
        target = TargetSeries(options.console) if options.console else None
    except ValueError as exc:
        return flags.complain(app, f"--console: {exc}")
    if options.find_capacity:
        return _find_capacity(plan, limits, options, output)
    try:
        journal = _open_journal(partial(Journal, plan=plan), options.journal)
    except OSError as exc:
        return flags.complain(app, f"can't write the journal to {options.journal}: {exc.strerror}")
    result = trio.run(partial(_run, plan, options, output, journal, target))
    if isinstance(result, Refused):
        if journal is not None:
            journal.remove()
        _warn(str(result))
        return flags.EXIT_USAGE
    report = make_report(result, limits=limits, target=_ask(target))
    if not result.ledger.opened and not result.interrupted:
        print(explain_nothing_opened(result), file=sys.stderr)
    written = output.write(report)
    _settle(journal, is_told=written)
    return exit_code(report) if written else flags.EXIT_USAGE


def _find_capacity(plan: Plan, limits: list[Threshold], options: Options, output: Output) -> int:
    """Search for the highest rate that holds; every step is a run of its own."""
    if plan.closed_loop or plan.stages or plan.messages is not None:
        problem = "--find-capacity sets the rate: no --closed-loop, --stage or --messages"
        return flags.complain(app, problem)
    if not plan.total_rate(plan.count):
        return flags.complain(app, "--find-capacity needs a rate to start with")
    if flag := output.of_one_run:
        return flags.complain(app, f"--find-capacity makes many runs, and {flag} is of one")
    limits = or_default(limits)
    settings = plan.settings() | {"workers": options.workers, "dask": options.dask}
    make_journal = partial(SearchJournal, plan=settings, limits=limits)
    try:
        journal = _open_journal(make_journal, options.journal)
    except OSError as exc:
        return flags.complain(app, f"can't write the journal to {options.journal}: {exc.strerror}")

    # A line for each step, and what comes and goes on a terminal, are enough.
    quietly = dataclasses.replace(output, quiet=output.quiet or not sys.stderr.isatty())

    def tell(step: Step) -> None:
        if journal is not None:
            journal.note(step)
        if not output.quiet:
            print(capacity_text.show_step(step), file=sys.stderr)

    unopened: list[Result] = []

    async def run(step_plan: Plan) -> Report:
        target = TargetSeries(options.console) if options.console else None
        result = await _run(step_plan, options, quietly, target=target)
        if isinstance(result, Refused):
            raise result
        if not result.ledger.opened:
            unopened.append(result)
        return make_report(result, target=_ask(target))

    try:
        capacity = trio.run(partial(find_capacity, plan, limits, run, tell))
    except Refused as refused:
        _settle(journal, is_told=False)
        _warn(str(refused))
        return flags.EXIT_USAGE
    written = output.write_bytes(capacity_text.encode(capacity), capacity_text.show(capacity))
    _settle(journal, is_told=written)
    if not written:
        return flags.EXIT_USAGE
    if capacity.interrupted:
        return EXIT_INTERRUPTED
    if unopened and len(capacity.steps) == 1:
        print(explain_nothing_opened(unopened[0]), file=sys.stderr)
        return EXIT_NOTHING_OPENED
    return EXIT_FAILED if capacity.held_per_s is None else EXIT_OK


def _ask(target: TargetSeries | None) -> TargetReport | msgspec.UnsetType:
    return msgspec.UNSET if target is None else target.report()


def _open_journal(make: Callable[[Path], _Journal], path: str | None) -> _Journal | None:
    """The journal of a run, or of many; a place that was not asked for is no reason not to run.

    :raises OSError: if the place that was can't be written to.
    """
    if path == NO_JOURNAL:
        return None
    if path is not None:
        return make(Path(path))
    try:
        return make(default_path())
    except OSError as exc:
        _warn(
            f"no journal is kept, should this be killed: {exc.strerror} (--journal names a place)"
        )
        return None


def _settle(journal: JournalFile | None, *, is_told: bool) -> None:
    """All is over: a journal is kept only if it has what could not be told."""
    if journal is None:
        return
    if journal.problem:
        _warn(f"the journal ended before the run: {journal.problem}")
    if is_told or not journal.has_records:
        journal.remove()
    else:
        journal.close()
        _warn(f"what was measured is in {journal.path}: loadgen recover")


def _complain_of_threshold(exc: BadThreshold) -> int:
    """Say what is wrong with an expression, and point at the place."""
    code = flags.complain(app, f"--fail-if: {exc.problem}")
    shown = "".join(ch if ch.isprintable() else "\N{REPLACEMENT CHARACTER}" for ch in exc.expr)
    print(f"  {shown}\n  {' ' * cell_len(shown[: exc.at])}^", file=sys.stderr)
    return code


def _make_run(plan: Plan, options: Options) -> Running:
    """The run of a plan: in this process, or in several."""
    if options.dask is not None:
        from loadgen.processes.dask import Cluster  # noqa: PLC0415 - an extra, and seconds to import

        return Coordinator(plan, Cluster(options.dask, options.workers), on_warning=_warn)
    if options.workers is not None and options.workers > 1:
        return Coordinator(plan, Processes(options.workers), on_warning=_warn)
    return Engine(plan, on_warning=_warn)


async def _run(
    plan: Plan,
    options: Options,
    output: Output,
    journal: Journal | None = None,
    target: TargetSeries | None = None,
) -> Result | Refused:
    """Run the plan; a signal ends it in good order."""
    process.raise_file_limit()
    process.keep_large_buffers()
    process.spare_long_lived_objects()
    engine, token = _make_run(plan, options), trio.lowlevel.current_trio_token()
    with INTERRUPTS.stopping(lambda: token.run_sync_soon(engine.interrupt)):
        async with trio.open_nursery() as nursery:
            if not output.quiet:
                nursery.start_soon(partial(watch, engine, color=output.color))
            if output.stream:
                nursery.start_soon(stream, engine, write_stdout)
            if journal is not None:
                nursery.start_soon(journal.keep, engine)
            if target is not None:
                nursery.start_soon(target.keep, engine)
            try:
                result: Result | Refused = await engine.run()
            except Refused as refused:
                result = refused
            nursery.cancel_scope.cancel()
    return result


def _warn(warning: str) -> None:
    print(f"loadgen: {warning}", file=sys.stderr)


def explain_nothing_opened(result: Result) -> str:
    """One line: what happened, and what to do."""
    ledger, plan = result.ledger, result.plan
    reasons = ", ".join(
        f"{count:,} × {explain_failure(ledger, reason)}"
        for reason, count in ledger.failed.most_common()
    )
    line = f"loadgen: no socket could be opened to {plan.shown_url}: {reasons}"
    if ledger.failed[Failure.REFUSED]:
        target = plan.target
        if target.host in _LOOPBACK:
            port = "" if target.port == DEFAULT_PORT else f" --port {target.port}"
            return f"{line}. Nothing listens there; start a server: python -m echo_trio{port}"
        return f"{line}. Nothing listens there: is the server running, and is this its port?"
    if any("wrong version number" in error for error in ledger.tls_errors):  # OpenSSL's words
        return f"{line}. What listens there does not speak TLS: is it ws://?"
    if ledger.failed[Failure.FILE_LIMIT]:
        return f"{line}. This shell's limit on open files is too low: see ulimit -Hn"
    return line


def exit_code(report: Report) -> int:
    """The exit code of the contract: the first of its rows that holds."""
    if report.interrupted:
        return EXIT_INTERRUPTED
    if not report.connections.opened:
        return EXIT_NOTHING_OPENED
    if report.verdict == FAILED:
        return EXIT_FAILED
    if report.verdict == GENERATOR_LIMITED:
        return EXIT_GENERATOR_LIMITED
    if any(threshold.breached for threshold in report.thresholds):
        return EXIT_THRESHOLD
    return EXIT_OK


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    replace_closed_streams()
    for ours in (sys.stdout, sys.stderr):
        if isinstance(ours, TextIOWrapper):
            ours.reconfigure(errors="replace")  # No terminal is too old for a report.
    return flags.run_app(app, app, arguments)
