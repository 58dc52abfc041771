"""`python -m loadgen`: arguments become a plan; its result, a report and an exit code."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, Final

import trio
from cyclopts import App, Parameter

from echo_trio import flags
from echo_trio.wire import process
from loadgen.engine import Engine
from loadgen.ledger import Failure
from loadgen.plan import DEFAULT_URL, Plan
from loadgen.progress import watch
from loadgen.report import json as report_json
from loadgen.report import text as report_text
from loadgen.result import FAILED, GENERATOR_LIMITED, Report, Result, make_report

EXIT_OK: Final = 0
EXIT_FAILED: Final = 1
EXIT_GENERATOR_LIMITED: Final = 3
EXIT_NOTHING_OPENED: Final = 69
EXIT_INTERRUPTED: Final = 130

app = App(
    name="loadgen",
    help="Opens many WebSockets, exchanges messages, checks every reply, accounts for everything.",
    version=lambda: version("echo-trio"),
)


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True, slots=True)
class Output:
    """Where the report goes."""

    json: str | None = None
    """Write the report as JSON to this file; - is stdout, with nothing else on it."""

    quiet: Annotated[bool, Parameter(negative="")] = False
    """Show no progress."""

    color: Annotated[bool, Parameter(name="--color", negative="--no-color")] = True
    """Use colour on a terminal."""


@app.default
def load(plan: Plan, *, output: Output = Output()) -> int:
    """Run a load; the exit code tells how it went."""
    if problem := _find_problem(output):
        return flags.complain(app, problem)
    result = trio.run(partial(_run, plan, output))
    report = make_report(result)
    if output.json is not None:
        report_json.write(report, output.json)
    if not result.ledger.opened and not result.interrupted:
        print(_explain_nothing_opened(result), file=sys.stderr)
    elif output.json != "-":
        report_text.write(report, sys.stdout, color=output.color)
    return exit_code(report)


async def _run(plan: Plan, output: Output) -> Result:
    """Run the plan; the first signal ends it in good order, the second one at once."""
    process.raise_file_limit()
    engine = Engine(plan)
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_interrupt_on_signal, signals, engine)
            if not output.quiet:
                nursery.start_soon(partial(watch, engine, color=output.color))
            result = await engine.run()
            nursery.cancel_scope.cancel()
    return result


async def _interrupt_on_signal(signals: Any, engine: Engine) -> None:
    async for _ in signals:
        engine.interrupt()
        break
    async for _ in signals:
        os._exit(EXIT_INTERRUPTED)


def _find_problem(output: Output) -> str | None:
    """What would keep the report from being written: better known before the run than after."""
    if output.json in (None, "-"):
        return None
    try:
        Path(output.json or "").open("a").close()
    except OSError as exc:
        return f"can't write the report to {output.json}: {exc.strerror}"
    return None


def _explain_nothing_opened(result: Result) -> str:
    """One line: what happened, and what to do."""
    ledger, url = result.ledger, result.plan.url
    reasons = ", ".join(f"{count:,} × {reason}" for reason, count in ledger.failed.most_common())
    line = f"loadgen: no socket could be opened to {url}: {reasons}"
    if ledger.failed_status:
        line += f" (HTTP {', '.join(map(str, sorted(ledger.failed_status)))})"
    if url == DEFAULT_URL and ledger.failed[Failure.REFUSED]:
        line += ". Start a server: python -m echo_trio"
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
    return EXIT_OK


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    return flags.run_app(app, app, arguments)
