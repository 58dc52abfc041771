"""Report what a killed run left in its journal: the command `loadgen recover`."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import Annotated, Final

from cyclopts import Parameter

from echo_trio import flags
from echo_trio.printable import printable, printable_lines
from loadgen.cli.app import app
from loadgen.cli.output import Output
from loadgen.journal import file as journals
from loadgen.journal import run, search
from loadgen.studies import capacity_text as finding

_DEFAULT_OUTPUT: Final = Output()

_complain: Final = partial(flags.complain, app, command="recover")


def recover(
    journal: Annotated[Path | None, Parameter(name="FILE")] = None,
    /,
    *,
    output: Output = _DEFAULT_OUTPUT,
) -> int:
    """Report what a run, or a search for capacity, had measured whose generator was killed.

    Parameters
    ----------
    journal
        Journal of the run; by default the newest that no run is writing.
    """
    if problem := output.find_problem():
        return _complain(problem)
    try:
        path = journal or journals.find_latest()
    except OSError as exc:
        return _complain(f"can't look for journals: {exc.strerror}")
    if path is None:
        return _complain(f"no run has died here: no journal in {journals.default_folder()}")
    goes_on = journals.is_being_written(path)
    try:
        capacity = search.recover(path)
        if capacity is None:
            tell = partial(output.write, run.recover(path))
        elif flag := output.of_one_run:
            problem = f"{path} is of a search, which made many runs, and {flag} is of one"
            return _complain(problem)
        else:
            summary = printable_lines(finding.show_whole(capacity))
            tell = partial(output.write_bytes, finding.encode(capacity), summary)
    except journals.Unreadable as exc:
        return _complain(str(exc))
    if not output.quiet:
        ours = ", which is still being written: the run goes on" if goes_on else ""
        print(printable(f"recovered from {path}{ours}"), file=sys.stderr)
    return 0 if tell() else flags.EXIT_USAGE
