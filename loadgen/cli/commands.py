"""What `loadgen` does besides running a load: with what runs have left."""

from __future__ import annotations

import os
import resource
import sys
from functools import partial
from pathlib import Path
from typing import Annotated, Final

import msgspec
from cyclopts import Parameter

from echo_trio import flags
from loadgen.cli.app import app
from loadgen.cli.output import STDOUT, Output, discard_stdout, write_stdout
from loadgen.journal import run as journals
from loadgen.journal import search
from loadgen.preflight import sizing
from loadgen.studies import capacity_text as finding
from loadgen.studies import compare as comparing
from loadgen.studies import compare_text as shown
from loadgen.workload.target import DEFAULT_URL

EXIT_WORSE: Final = 1

_DEFAULT_OUTPUT: Final = Output()


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
        Its journal; the newest of those that nobody is writing, if none is named.
    """
    if problem := output.find_problem():
        return flags.complain(app, problem)
    try:
        path = journal or journals.find_latest()
    except OSError as exc:
        return flags.complain(app, f"can't look for journals: {exc.strerror}")
    if path is None:
        return flags.complain(
            app, f"no run has died here: no journal in {journals.default_folder()}"
        )
    try:
        capacity = search.recover(path)
        if capacity is None:
            tell = partial(output.write, journals.recover(path))
        elif flag := output.of_one_run:
            problem = f"{path} is of a search, which made many runs, and {flag} is of one"
            return flags.complain(app, problem)
        else:
            tell = partial(
                output.write_bytes, finding.encode(capacity), finding.show_whole(capacity)
            )
    except journals.Unreadable as exc:
        return flags.complain(app, str(exc))
    if not output.quiet:
        print(f"recovered from {path}", file=sys.stderr)
    return 0 if tell() else flags.EXIT_USAGE


def compare(
    *runs: Annotated[Path, Parameter(name="REPORT")],
    to: Annotated[tuple[Path, ...], Parameter(consume_multiple=True, negative="")] = (),
    json: Annotated[str | None, Parameter(allow_leading_hyphen=True)] = None,
    different_plans: Annotated[bool, Parameter(negative="")] = False,
    color: Annotated[bool, Parameter(name="--color", negative="--no-color")] = True,
) -> int:
    """Compare runs by their JSON reports: what changed, and is it more than noise?

    Exits with 1 if something is worse by more than noise.

    Parameters
    ----------
    runs
        The run before and the run after; with --to, all runs before.
    to
        All runs after.
    json
        Write the comparison as JSON to this file; - is stdout, with nothing else on it.
    different_plans
        Compare runs that had different things to do.
    color
        Use colour on a terminal.
    """
    before, after = (runs, to) if to else (runs[:1], runs[1:])
    if not before or not after:
        return flags.complain(app, "compare needs two reports: compare BEFORE.json AFTER.json")
    if not to and len(runs) > 2:
        problem = "which of these are the runs after? compare A1.json A2.json --to B1.json B2.json"
        return flags.complain(app, problem)
    try:
        found = comparing.compare(shown.read(before), shown.read(after))
    except shown.Unreadable as exc:
        return flags.complain(app, str(exc))
    if found.plan_differences and not different_plans:
        differences = "; ".join(found.plan_differences)
        problem = f"the runs had different things to do ({differences}): --different-plans compares"
        return flags.complain(app, f"{problem} them all the same")
    try:
        shown.print_to(json, found, color=color)
    except BrokenPipeError:
        discard_stdout()
    except OSError as exc:
        return flags.complain(app, f"can't write the comparison: {exc.strerror}")
    return EXIT_WORSE if found.is_worse else 0


def plan(
    count: Annotated[int, flags.count("COUNT", at_least=1)],
    url: Annotated[str, Parameter(name="URL")] = DEFAULT_URL,
    /,
    *,
    rate: Annotated[float | None, flags.rate("--rate")] = None,
    cores: Annotated[int | None, flags.count("--cores", at_least=1)] = None,
    memory_bytes: Annotated[int | None, flags.size("--memory")] = None,
    files: Annotated[int | None, flags.count("--files", at_least=1)] = None,
    json: Annotated[str | None, Parameter(allow_leading_hyphen=True)] = None,
) -> int:
    """Say what a run takes on both ends: processes, machines, addresses, memory, and the commands.

    Nothing is tried: it is computed from measured costs.

    Parameters
    ----------
    count
        Sockets to open and hold open together.
    url
        Where they connect.
    rate
        Messages a second on all of them; one a second on each by default.
    cores
        Of each machine; as many as this one has by default, as with the following.
    memory_bytes
        Of each machine.
    files
        That a process may have open.
    json
        Write it as JSON to this file; - is stdout, with nothing else on it.
    """
    machine = sizing.Machine(
        cores=cores or flags.parse_processes("auto"),
        memory_bytes=memory_bytes or os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        files=files or _file_limit(),
    )
    try:
        sized = sizing.size(count, url, float(count) if rate is None else rate, machine)
    except ValueError as exc:
        return flags.complain(app, str(exc))
    encoded = msgspec.json.format(msgspec.json.encode(sized), indent=2) + b"\n"
    try:
        if json is not None and json != STDOUT:
            Path(json).write_bytes(encoded)
        write_stdout(encoded if json == STDOUT else sizing.show(sized).encode())
    except BrokenPipeError:
        discard_stdout()
    except OSError as exc:
        return flags.complain(app, f"can't write the plan: {exc.strerror}")
    return 0


def _file_limit() -> int:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    return hard if hard != resource.RLIM_INFINITY else 2**20
