"""Compute what a run takes on both ends, from measured costs: `loadgen plan`.

Pure: from the number of sockets and messages, and the size of machines, to processes, machines,
memory and commands. Every constant names where it was measured; docs/scale.md has the arithmetic in
words.
"""

from __future__ import annotations

import math
import shlex
from typing import Final

import msgspec

from echo_trio.masks import mask_url
from echo_trio.units import show_size
from loadgen.preflight.check import LOCAL_PORTS
from loadgen.preflight.costs import GENERATOR, KERNEL_BYTES, PROCESS_BYTES, SERVER, Costs
from loadgen.workload.target import Target

#: The files of a process that are no sockets: listener, poller, report, files open for a moment.
SPARE_FILES: Final = 64
#: The share of a core, and of memory, that is used: the rest is for peaks, and for other programs.
CORE_SHARE: Final = 0.7
MEMORY_SHARE: Final = 0.8
#: The ports of one address to one destination, with `WIDER_PORTS`. On a cluster each machine
#: connects from the address that its system chooses.
PORTS_WIDENED: Final = 60_000
WIDER_PORTS: Final = "sysctl net.ipv4.ip_local_port_range='1024 65535'"
#: Handshakes in flight, for each process of the generator. Processes that share one process's 256
#: are woken for nearly each handshake, and opening takes twice as long (docs/scale.md).
CONCURRENCY_EACH: Final = 256
#: The time in which everything is opened.
OPEN_S: Final = 60.0


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """The resources of each machine.

    :ivar files: the files that a process may have open.
    """

    cores: int
    memory_bytes: int
    files: int


class End(msgspec.Struct, frozen=True, kw_only=True):
    """The needs of one end.

    :ivar machines: the number of machines.
    :ivar bound_by: the reason why it can't be fewer.
    :ivar processes: on each machine.
    :ivar addresses: on each machine, to connect from or to.
    :ivar memory_bytes: on each machine.
    :ivar cores: the cores that the messages keep busy, over all machines.
    """

    machines: int
    bound_by: str
    processes: int
    addresses: int
    cores: float
    memory_bytes: int
    commands: list[str]


class Sizing(msgspec.Struct, frozen=True, kw_only=True):
    """The needs of a run."""

    sizing: int = 1
    sockets: int
    rate_per_s: float
    each_machine: Machine
    server: End
    generator: End


def size(sockets: int, url: str, rate_per_s: float, machine: Machine) -> Sizing:
    """Compute what this number of sockets and messages a second takes.

    :raises ValueError: if `url` is none, or such a machine has no room for a process with a socket.
    """
    target = Target.parse(url)
    if machine.files <= SPARE_FILES:
        raise ValueError(f"with {machine.files} files a process has none left for sockets")
    least = PROCESS_BYTES / MEMORY_SHARE
    if machine.memory_bytes < least:
        raise ValueError(
            f"a process alone takes {least / 2**20:,.0f} MiB, more than --memory has "
            f"({show_size(machine.memory_bytes)})"
        )
    server = _size_end(sockets, rate_per_s, machine, SERVER)
    generator = _size_end(sockets, rate_per_s, machine, GENERATOR)
    if generator.machines > 1:
        generator = _size_end(sockets, rate_per_s, machine, GENERATOR, ports=PORTS_WIDENED)
    return Sizing(
        sockets=sockets,
        rate_per_s=rate_per_s,
        each_machine=machine,
        server=msgspec.structs.replace(server, commands=_server_commands(server, target, machine)),
        generator=msgspec.structs.replace(
            generator, commands=_generator_commands(generator, sockets, url, rate_per_s, machine)
        ),
    )


def _size_end(
    sockets: int, rate_per_s: float, machine: Machine, costs: Costs, ports: int | None = None
) -> End:
    opening_cores = sockets / OPEN_S * costs.handshake_us / 1e6
    per_process = machine.files - SPARE_FILES
    processes, needed = 0, math.ceil(sockets / per_process)
    while processes < needed:  # With more processes each has fewer messages, which then cost more.
        processes = needed
        message_us = costs.message_us_among(rate_per_s / processes)
        cores = max(rate_per_s * message_us / 1e6, opening_cores)
        needed = math.ceil(cores / CORE_SHARE)
    memory = sockets * (costs.socket_bytes + KERNEL_BYTES) + processes * PROCESS_BYTES
    bounds = {
        "cores": math.ceil(cores / CORE_SHARE / machine.cores),
        "memory": math.ceil(memory / (machine.memory_bytes * MEMORY_SHARE)),
    }
    if ports is not None:
        bounds["ports"] = math.ceil(sockets / ports)
    bound_by = max(bounds, key=lambda name: bounds[name])
    machines = max(bounds[bound_by], 1)
    each = math.ceil(sockets / machines)
    here = math.ceil(processes / machines)
    return End(
        machines=machines,
        bound_by=bound_by if machines > 1 else "nothing: one is enough",
        processes=here,
        addresses=math.ceil(each / (ports or len(LOCAL_PORTS))),
        cores=round(cores, 2),
        memory_bytes=each * (costs.socket_bytes + KERNEL_BYTES) + here * PROCESS_BYTES,
        commands=[],
    )


def _server_commands(end: End, target: Target, machine: Machine) -> list[str]:
    host = "127.0.0.1" if target.host in {"127.0.0.1", "localhost"} else "0.0.0.0"
    where = "" if end.machines == 1 else f"  # on each of {end.machines}, behind a load balancer"
    return [
        f"ulimit -n {machine.files}",
        f"python -m echo_trio --host {host} --port {target.port} --workers {end.processes}{where}",
    ]


def _generator_commands(
    end: End, sockets: int, url: str, rate_per_s: float, machine: Machine
) -> list[str]:
    run = f"python -m loadgen {sockets} {shlex.quote(mask_url(url))} --rate {rate_per_s:.15g}/s"
    processes = end.processes * end.machines
    if processes > 1:
        run += f" --connect-concurrency {processes * CONCURRENCY_EACH}"
    limit = f"ulimit -n {machine.files}"
    sources = _sources(end.addresses, Target.parse(url))
    if end.machines == 1:
        workers = "" if end.processes == 1 else f" --workers {end.processes}"
        return [limit, run + workers + sources]
    worker = f"dask worker tcp://SCHEDULER:8786 --nthreads {end.processes} --no-nanny"
    wider = [WIDER_PORTS] if sockets / end.machines > len(LOCAL_PORTS) else []
    return [
        "dask scheduler",
        f"{' && '.join([*wider, limit, worker])}  # on each of {end.machines}",
        f"{run} --dask tcp://SCHEDULER:8786",
    ]


def _sources(addresses: int, target: Target) -> str:
    if addresses == 1:
        return ""
    if target.host not in {"127.0.0.1", "localhost"}:
        return f" --source-ip FIRST-LAST  # {addresses} addresses of this machine"
    last = addresses + 1
    return f" --source-ip 127.0.0.2-127.0.{last // 256}.{last % 256}"


# -- For people -----------------------------------------------------------------------------


def show(sizing: Sizing) -> str:
    """Write the sizing in words."""
    machine = sizing.each_machine
    lines = [
        f"{sizing.sockets:,} sockets, {sizing.rate_per_s:,.0f} messages a second",
        f"each machine: {machine.cores} cores, {_gib(machine.memory_bytes)}",
        f"each process: {machine.files:,} files",
    ]
    for name, end in (("server", sizing.server), ("generator", sizing.generator)):
        lines += [
            "",
            f"{name}",
            f"  machines   {end.machines:,} (bound by {end.bound_by})"
            if end.machines > 1
            else "  machines   1",
            f"  processes  {end.processes:,} on each",
            f"  memory     {_gib(end.memory_bytes)} on each, the kernel's part included",
            f"  cores      {end.cores:,.1f} busy in all",
        ]
        if name == "generator":
            lines.append(f"  addresses  {end.addresses:,} to connect from, on each")
        lines += [f"    {command}" for command in end.commands]
    lines += [
        "",
        "From costs measured with small messages; docs/scale.md has the arithmetic. TLS, large",
        "messages, pings to idle sockets and slower cores take more.",
    ]
    return "\n".join(lines) + "\n"


def _gib(size_bytes: float) -> str:
    return f"{size_bytes / 2**30:,.1f} GiB"
