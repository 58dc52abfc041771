"""Show the runs that `--history` has kept, and since when a figure has changed."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import Annotated, Final

from cyclopts import Parameter

from echo_trio import flags
from echo_trio.run_history import NotAHistory
from loadgen.cli.app import app
from loadgen.cli.destinations import is_same_file, is_stdout, open_destination
from loadgen.cli.output import discard_stdout
from loadgen.history import file, html, text, trends

#: The runs that are looked at unless said otherwise; finding changes takes its square.
LAST: Final = 200

_File = Annotated[str | None, Parameter(metavar="FILE", allow_leading_hyphen=True)]

_complain: Final = partial(flags.complain, app, command="history")


def history(
    path: Annotated[Path, Parameter(name="FILE")],
    /,
    *,
    name: Annotated[str | None, Parameter(metavar="NAME", name="--name")] = None,
    metric: Annotated[tuple[str, ...], Parameter(metavar="METRIC", negative="")] = (),
    last: Annotated[int, flags.count("--last", at_least=1)] = LAST,
    json: _File = None,
    html_file: Annotated[_File, Parameter(name="--html")] = None,
    color: Annotated[bool, Parameter(name="--color", negative="--no-color")] = True,
) -> int:
    """List the runs of a history, plot their figures, and say since when one has changed.

    Runs of one name and one plan stand in one line.

    Parameters
    ----------
    path
        File that --history of the runs named.
    name
        Show only the runs of this name.
    metric
        Figure to show instead of the usual ones, by the names of --fail-if, like latency.p99 or
        messages.lost; repeatable.
    last
        Number of runs to look at, the last ones.
    json
        Write everything as JSON to this file; - is stdout, which then carries nothing else.
    html_file
        Write the plots as one self-contained HTML file; - is stdout.
    color
        Show no colours, even on a terminal.
    """
    taking = [each for each in (json, html_file) if each is not None and is_stdout(each)]
    if len(taking) > 1:
        return _complain("--json - and --html - can't both have stdout")
    for written in (json, html_file):
        if written is not None and is_same_file(written, str(path)):
            return _complain(f"{written} is the history itself")
    try:
        wanted = [trends.parse_metric(each) for each in metric]
        runs = file.read(path, name=name, last=last)
    except (ValueError, NotAHistory) as exc:
        return _complain(str(exc))
    except OSError as exc:
        return _complain(f"can't read {path}: {exc.strerror}")
    if not runs:
        return _complain(f"{path} has no run" + (f" named {name}" if name else ""))
    lines = trends.line_up(runs, wanted)
    try:
        for destination, render in ((json, text.encode), (html_file, html.render)):
            if destination is not None:
                open_destination(destination).write(render(lines))
        if not taking:
            text.write(lines, sys.stdout, color=color)
    except BrokenPipeError:
        discard_stdout()
    except OSError as exc:
        return _complain(f"can't write the history: {exc.strerror}")
    return 0
