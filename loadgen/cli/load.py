"""Run a load: arguments become a plan; its result, a report and an exit code."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import partial
from io import TextIOWrapper
from typing import Final

import msgspec
import trio
from rich.cells import cell_len

from echo_trio import flags
from echo_trio.printable import printable
from loadgen.cli import capacity
from loadgen.cli.app import app
from loadgen.cli.exit_codes import exit_code
from loadgen.cli.journal import open_journal, settle
from loadgen.cli.output import Output, replace_closed_streams, warn
from loadgen.cli.run import Options, explain_nothing_opened, run
from loadgen.journal.run import Journal
from loadgen.preflight.check import Refused
from loadgen.report import thresholds
from loadgen.report.build import make_report
from loadgen.report.thresholds import BadThreshold
from loadgen.target_metrics.poll import TargetSeries
from loadgen.workload.plan import Plan

# Named, not imported: a run needs nothing of them.
app.command("loadgen.cli.compare:compare", help="Compare runs by their JSON reports.")
app.command("loadgen.cli.size:plan", help="Compute the machines that a run takes.")
app.command("loadgen.cli.recover:recover", help="Report what a killed run left in its journal.")

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
    asks = options.console is not None
    if problem := thresholds.find_unasked(limits, plan, is_target_asked=asks):
        return flags.complain(app, f"--fail-if: {problem}")
    if problem := options.find_problem() or output.find_problem(options.journal_file):
        return flags.complain(app, problem)
    try:
        target = TargetSeries(options.console) if options.console else None
    except ValueError as exc:
        return flags.complain(app, f"--console: {exc}")
    if options.find_capacity:
        return capacity.find_capacity(plan, limits, options, output)
    try:
        journal = open_journal(
            partial(Journal, plan=plan), options.journal, overwrite=options.overwrite
        )
    except OSError as exc:
        return flags.complain(app, f"can't write the journal to {options.journal}: {exc.strerror}")
    result = trio.run(partial(run, plan, options, output, journal, target))
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


def _complain_of_threshold(exc: BadThreshold) -> int:
    """Say what is wrong with an expression, and point at the place."""
    code = flags.complain(app, f"--fail-if: {exc.problem}")
    before, shown = printable(exc.expr[: exc.at]), printable(exc.expr)
    print(f"  {shown}\n  {' ' * cell_len(before)}^", file=sys.stderr)
    return code


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    replace_closed_streams()
    for ours in (sys.stdout, sys.stderr):
        if isinstance(ours, TextIOWrapper):
            ours.reconfigure(errors="replace")  # No terminal is too old for a report.
    return flags.run_app(app, app, arguments)
