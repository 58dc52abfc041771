"""Turn recorded traffic into a scenario: the command `loadgen record`."""

from __future__ import annotations

import csv
import sys
from functools import partial
from io import StringIO
from pathlib import Path
from typing import Annotated, Final

from cyclopts import Parameter

from echo_trio import files, flags
from echo_trio.printable import printable
from loadgen.cli.app import app
from loadgen.cli.output import discard_stdout, write_stdout
from loadgen.scenario.har import convert
from loadgen.scenario.traffic import NoTraffic

#: A few minutes of a busy page are some ten megabytes.
MAX_BYTES: Final = 256 * 2**20

_complain: Final = partial(flags.complain, app, command="record")


def record(
    file: Annotated[str, Parameter(name="FILE")],
    /,
    *,
    rows: Annotated[str | None, Parameter(metavar="FILE", allow_leading_hyphen=True)] = None,
) -> int:
    """Turn recorded traffic into a scenario, and write that to stdout.

    It contains no secret: its first lines say which columns of secrets.csv it needs.

    Parameters
    ----------
    file
        File of the traffic: HAR (in DevTools' network panel, save all as HAR with content), the
        web page's log as NDJSON, or what `python -m echo_trio --record` has written.
    rows
        New file for the recorded secrets, as one row of secrets.csv.
    """
    try:
        script, secrets = convert(files.read(file, at_most=MAX_BYTES), Path(file).name)
    except OSError as exc:
        return _complain(f"can't read {file}: {exc.strerror}")
    except NoTraffic as exc:
        return _complain(f"{file}: {exc}")
    if rows is not None and not secrets.columns:
        print(printable(f"loadgen: {file} has no secrets: {rows} is not written"), file=sys.stderr)
    elif rows is not None:
        text = StringIO(newline="")
        csv.writer(text).writerows([list(secrets.columns), list(secrets.columns.values())])
        try:
            with Path(rows).open("x", encoding="utf-8", newline="") as stream:
                stream.write(text.getvalue())
        except FileExistsError:
            return _complain(f"{rows} is there already, and is left as it is")
        except OSError as exc:
            return _complain(f"can't write {rows}: {exc.strerror}")
    try:
        write_stdout(script.encode())
    except BrokenPipeError:
        discard_stdout()
    if secrets.columns and rows is None:
        print(
            printable(
                f"loadgen: secrets.csv needs {', '.join(secrets.columns)}: --rows FILE writes them"
            ),
            file=sys.stderr,
        )
    return 0
