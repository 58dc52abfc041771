"""Compute what a run takes on both ends: the command `loadgen plan`."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Final

import msgspec
from cyclopts import Parameter

from echo_trio import flags, units
from echo_trio.wire import process
from loadgen.cli.app import app
from loadgen.cli.destinations import is_stdout, open_destination
from loadgen.cli.output import discard_stdout, write_stdout
from loadgen.preflight import sizing
from loadgen.workload.target import DEFAULT_URL

#: Linux lets no process have more by default (fs.nr_open).
MAX_FILES: Final = 2**20

_complain: Final = partial(flags.complain, app, command="plan")


def plan(
    count: Annotated[int, flags.count("COUNT", at_least=1)],
    url: Annotated[str, Parameter(name="URL")] = DEFAULT_URL,
    /,
    *,
    rate: Annotated[float | None, flags.rate("--rate")] = None,
    cores: Annotated[int | None, flags.count("--cores", at_least=1)] = None,
    memory_bytes: Annotated[int | None, flags.size("--memory")] = None,
    files: Annotated[int | None, flags.count("--files", at_least=1)] = None,
    json: Annotated[str | None, Parameter(metavar="FILE", allow_leading_hyphen=True)] = None,
) -> int:
    """Say what a run takes on both ends: processes, machines, addresses, memory, and the commands.

    Nothing is tried: it is computed from measured costs.

    Parameters
    ----------
    count
        Sockets to open and hold open together.
    url
        WebSocket URL of the server.
    rate
        Messages a second on all sockets together; by default one a second on each.
    cores
        Cores of each machine; by default those of this one.
    memory_bytes
        Memory of each machine; by default that of this one.
    files
        Files that one process may have open; by default as many as here.
    json
        Write the result as JSON to this file; - is stdout, which then carries nothing else.
    """
    machine = sizing.Machine(
        cores=cores or units.parse_processes("auto"),
        memory_bytes=memory_bytes or process.machine_memory_bytes(),
        files=files or min(process.file_limit(hard=True), MAX_FILES),
    )
    try:
        sized = sizing.size(count, url, float(count) if rate is None else rate, machine)
    except ValueError as exc:
        return _complain(str(exc))
    encoded = msgspec.json.format(msgspec.json.encode(sized), indent=2) + b"\n"
    try:
        if json is not None:
            open_destination(json).write(encoded)
        if json is None or not is_stdout(json):
            write_stdout(sizing.show(sized).encode())
    except BrokenPipeError:
        discard_stdout()
    except OSError as exc:
        return _complain(f"can't write the plan: {exc.strerror}")
    return 0
