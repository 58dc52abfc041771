"""`python -m loadgen`: arguments become a plan; its result, a report and an exit code."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from io import TextIOWrapper
from pathlib import Path
from typing import Annotated, Final

import trio
from cyclopts import App, Parameter

from echo_trio import flags
from echo_trio.wire import process
from loadgen.engine import Engine
from loadgen.interrupts import EXIT_INTERRUPTED, INTERRUPTS
from loadgen.ledger import Failure
from loadgen.plan import Plan
from loadgen.progress import watch
from loadgen.report import json as report_json
from loadgen.report import text as report_text
from loadgen.result import (
    FAILED,
    GENERATOR_LIMITED,
    Report,
    Result,
    explain_failure,
    make_report,
)
from loadgen.target import DEFAULT_PORT

EXIT_OK: Final = 0
EXIT_FAILED: Final = 1
EXIT_GENERATOR_LIMITED: Final = 3
EXIT_NOTHING_OPENED: Final = 69

#: Where our own server listens, unless told otherwise.
_LOOPBACK: Final = {"127.0.0.1", "localhost"}

app = App(
    name="loadgen",
    help="Opens many WebSockets, exchanges messages, checks every reply, accounts for everything.",
    version=lambda: version("echo-trio"),
)


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True, slots=True)
class Output:
    """Where the report goes."""

    json: Annotated[str | None, Parameter(allow_leading_hyphen=True)] = None
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
    if not result.ledger.opened and not result.interrupted:
        print(_explain_nothing_opened(result), file=sys.stderr)
    written = output.json is None or _attempt(partial(report_json.write, report, output.json))
    if output.json != "-" and (report.connections.opened or report.interrupted):
        written &= _attempt(partial(report_text.write, report, sys.stdout, color=output.color))
    return exit_code(report) if written else flags.EXIT_USAGE


def _attempt(write: Callable[[], None]) -> bool:
    """Write a report; if that fails, say so in one line."""
    try:
        write()
    except BrokenPipeError:  # Who read it has seen enough: `loadgen … | head`.
        _discard_stdout()
    except OSError as exc:
        _discard_stdout()
        print(f"loadgen: can't write the report: {exc.strerror}", file=sys.stderr)
        return False
    return True


def _discard_stdout() -> None:
    """Keep the interpreter from failing once more when it flushes stdout at its end."""
    with suppress(OSError, ValueError):  # tests' stdout, say, has no descriptor
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


async def _run(plan: Plan, output: Output) -> Result:
    """Run the plan; a signal ends it in good order."""
    process.raise_file_limit()
    process.keep_large_buffers()
    process.spare_long_lived_objects()
    engine, token = Engine(plan), trio.lowlevel.current_trio_token()
    with INTERRUPTS.stopping(lambda: token.run_sync_soon(engine.interrupt)):
        async with trio.open_nursery() as nursery:
            if not output.quiet:
                nursery.start_soon(partial(watch, engine, color=output.color))
            result = await engine.run()
            nursery.cancel_scope.cancel()
    return result


def _find_problem(output: Output) -> str | None:
    """What would keep the report from being written: better known before the run than after."""
    if output.json is None or output.json == "-":
        return None
    if output.json.startswith("-"):
        return f"--json needs a file, or - for stdout, before {output.json}"
    try:
        Path(output.json).open("a").close()
    except OSError as exc:
        return f"can't write the report to {output.json}: {exc.strerror}"
    return None


def _explain_nothing_opened(result: Result) -> str:
    """One line: what happened, and what to do."""
    ledger, plan = result.ledger, result.plan
    reasons = ", ".join(
        f"{count:,} × {explain_failure(ledger, reason)}"
        for reason, count in ledger.failed.most_common()
    )
    line = f"loadgen: no socket could be opened to {plan.url}: {reasons}"
    if ledger.failed[Failure.REFUSED]:
        target = plan.target
        if target.host in _LOOPBACK:
            port = "" if target.port == DEFAULT_PORT else f" --port {target.port}"
            return f"{line}. Nothing listens there; start a server: python -m echo_trio{port}"
        return f"{line}. Nothing listens there: is the server running, and is this its port?"
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
    return EXIT_OK


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")  # No terminal is too old for a report.
    return flags.run_app(app, app, arguments)
