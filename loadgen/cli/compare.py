"""Compare runs by their JSON reports: the command `loadgen compare`."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import Annotated, Final

from cyclopts import Parameter

from echo_trio import flags
from loadgen.cli.app import app
from loadgen.cli.destinations import is_same_file, is_stdout, open_destination
from loadgen.cli.output import discard_stdout
from loadgen.studies import compare as comparing
from loadgen.studies import compare_markdown, compare_read
from loadgen.studies import compare_text as shown

EXIT_WORSE: Final = 1

_File = Annotated[str | None, Parameter(metavar="FILE", allow_leading_hyphen=True)]

_complain: Final = partial(flags.complain, app, command="compare")


def compare(
    *runs: Annotated[Path, Parameter(name="REPORT")],
    to: Annotated[
        tuple[Path, ...], Parameter(metavar="REPORT", consume_multiple=True, negative="")
    ] = (),
    json: _File = None,
    markdown: _File = None,
    different_plans: Annotated[bool, Parameter(negative="")] = False,
    color: Annotated[bool, Parameter(name="--color", negative="--no-color")] = True,
) -> int:
    """Compare runs by their JSON reports: what changed, and whether it is more than noise.

    Exits with 1 if something is worse by more than noise.

    Parameters
    ----------
    runs
        Report of the run before and of the run after; with --to, of all runs before.
    to
        Reports of all runs after.
    json
        Write the comparison as JSON to this file; - is stdout, which then carries nothing else.
    markdown
        Write the comparison as Markdown, for the page of a CI job, to this file; - is stdout.
    different_plans
        Compare runs even if their plans differ.
    color
        Show no colours, even on a terminal.
    """
    taking = [path for path in (json, markdown) if path is not None and is_stdout(path)]
    if len(taking) > 1:
        return _complain("--json - and --markdown - can't both have stdout")
    if json is not None and markdown is not None and is_same_file(json, markdown):
        return _complain(f"two comparisons can't go to one file, {json}")
    before, after = (runs, to) if to else (runs[:1], runs[1:])
    if not before or not after:
        return _complain("compare needs two reports: compare BEFORE.json AFTER.json")
    if not to and len(runs) > 2:
        problem = "which of these are the runs after? compare A1.json A2.json --to B1.json B2.json"
        return _complain(problem)
    try:
        found = comparing.compare(compare_read.read(before), compare_read.read(after))
    except compare_read.Unreadable as exc:
        return _complain(str(exc))
    if found.plan_differences and not different_plans:
        differences = "; ".join(found.plan_differences)
        problem = f"the runs had different things to do ({differences}): --different-plans compares"
        return _complain(f"{problem} them all the same")
    try:
        for path, render in ((json, shown.encode), (markdown, compare_markdown.render)):
            if path is not None:
                open_destination(path).write(render(found))
        if not taking:
            shown.write(found, sys.stdout, color=color)
    except BrokenPipeError:
        discard_stdout()
    except OSError as exc:
        return _complain(f"can't write the comparison: {exc.strerror}")
    return EXIT_WORSE if found.is_worse else 0
