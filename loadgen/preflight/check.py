"""Decide whether this machine can run a plan: a pure decision over the facts about it.

A run is refused only if it cannot work; anything else that looks tight is a warning. Each says what
to change.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from loadgen.preflight.costs import SOCKET_BYTES, TLS_SOCKET_BYTES
from loadgen.workload.plan import Plan

#: Descriptors that come and go beside the sockets: the report, the resolver, the poller.
SPARE_FILES: Final = 8
#: Linux's default.
LOCAL_PORTS: Final = range(32768, 61000)


class Refused(Exception):
    """The run cannot work on this machine; the message is one line that says what to change."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineFacts:
    """The facts about this machine. ``None`` where the system does not tell.

    :ivar file_limit: files that this process may have open.
    :ivar file_hard_limit: files that it may raise this limit to.
    :ivar open_files: files that it has open.
    :ivar memory_bytes: memory of the machine, with its swap.
    :ivar available_bytes: memory that can be had without swapping.
    :ivar ports: the ports from which local ones are chosen, on each local address.
    :ivar ports_left: local ports still free for this destination, over all local addresses.
    :ivar ports_waiting: more ports, which are free again within a minute (TIME_WAIT).
    :ivar addresses: the number of local addresses to connect from.
    :ivar foreign: addresses to connect from that are not this machine's.
    :ivar loopback: true if the target is this machine.
    """

    file_limit: int
    file_hard_limit: int
    open_files: int
    memory_bytes: int | None = None
    available_bytes: int | None = None
    ports: range = LOCAL_PORTS
    ports_left: int | None = None
    ports_waiting: int = 0
    addresses: int = 1
    foreign: tuple[str, ...] = ()
    loopback: bool = False


def check(plan: Plan, facts: MachineFacts, *, processes: int = 1) -> list[str]:
    """Warn of what may go wrong, in a line each.

    :param processes: the number of processes that share the plan's sockets.
    :raises Refused: if the run can't work.
    """
    _check_files(plan, facts, processes)
    _check_ports(plan, facts)
    return _check_memory(plan, facts)


def _check_files(plan: Plan, facts: MachineFacts, processes: int) -> None:
    needed = math.ceil(plan.count / processes) + facts.open_files + SPARE_FILES
    if needed <= facts.file_limit:
        return
    each = "" if processes == 1 else " each"
    who = "this process" if processes == 1 else f"each of {processes} processes"
    problem = (
        f"{plan.count:,} sockets need {needed:,} open files{each}, and {who} may have "
        f"{facts.file_limit:,}"
    )
    if needed <= facts.file_hard_limit:
        raise Refused(f"{problem}: raise its limit, ulimit -n {needed}")
    fit = facts.file_limit - facts.open_files - SPARE_FILES
    fewer = ""
    if fit > 0:
        fewer = f", share them among processes, --workers {math.ceil(plan.count / fit)}"
        fewer += f", or open {fit * processes:,} sockets"
    raise Refused(f"{problem}: have the limit raised, ulimit -Hn {needed} as root{fewer}")


def _check_ports(plan: Plan, facts: MachineFacts) -> None:
    if facts.foreign:
        some = ", ".join(facts.foreign[:3])
        raise Refused(
            f"--source-ip {some}: not an address of this machine; see ip address, or add it there"
        )
    if facts.ports_left is None or plan.count <= facts.ports_left:
        return
    target = plan.target
    problem = (
        f"{plan.count:,} sockets need as many local ports, and {facts.ports_left:,} are left to "
        f"{target.host} port {target.port}"
    )
    if facts.ports_left + facts.ports_waiting >= plan.count:
        raise Refused(
            f"{problem}; {facts.ports_waiting:,} more are in TIME_WAIT: wait a minute, "
            f"or add {_more_addresses(plan, facts)}"
        )
    raise Refused(f"{problem}: add {_more_addresses(plan, facts)}")


def _more_addresses(plan: Plan, facts: MachineFacts) -> str:
    """Say how to add addresses, so that there are enough ports."""
    needed = math.ceil((plan.count - (facts.ports_left or 0)) / len(facts.ports)) + facts.addresses
    if facts.loopback and ":" not in plan.target.host and needed < 250:
        return f"--source-ip 127.0.0.2-127.0.0.{needed + 1}"
    return f"local addresses, {needed} in all, with --source-ip"


def _check_memory(plan: Plan, facts: MachineFacts) -> list[str]:
    payload = plan.size_bytes or 0
    each = (TLS_SOCKET_BYTES if plan.target.tls else SOCKET_BYTES) + 2 * payload
    needed = plan.count * each
    problem = f"{plan.count:,} sockets may need some {_gib(needed)} of memory"
    if facts.memory_bytes is not None and needed > facts.memory_bytes:
        raise Refused(
            f"{problem}, and this machine has {_gib(facts.memory_bytes)}: open fewer, or share "
            "the run among machines"
        )
    if facts.available_bytes is not None and needed > facts.available_bytes:
        return [f"{problem}, and {_gib(facts.available_bytes)} are to be had without swapping"]
    return []


def _gib(size_bytes: int) -> str:
    return f"{size_bytes / 2**30:,.1f} GiB"
