"""Choose how many shards each worker of a cluster runs, and from where they connect. Pure."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from loadgen.preflight.check import Refused
from loadgen.preflight.costs import PROCESS_BYTES, SOCKET_BYTES
from loadgen.workload.plan import Plan

#: Files that are no sockets of the run.
SPARE_FILES: Final = 32


@dataclass(frozen=True, slots=True)
class WorkerLimits:
    """The limits that a worker reports.

    :ivar threads: tasks that it runs at once.
    :ivar memory_bytes: 0 means no limit.
    :ivar files: the files that a process there may have open.
    """

    threads: int
    memory_bytes: int
    files: int


def deal(count: int, workers: Mapping[str, WorkerLimits], wanted: int | None = None) -> list[str]:
    """Choose the worker of each shard: one shard for each thread, unless fewer are wanted.

    A worker gets no shard that is too large for its files, and no more than its memory holds.

    :raises Refused: if the sockets don't fit the cluster.
    """
    if not workers:
        raise Refused("--dask: the scheduler has no workers")
    shards = min(sum(each.threads for each in workers.values()), count, wanted or count)
    while shards:
        places = _places(math.ceil(count / shards), workers)
        if sum(places.values()) >= shards:
            return _take_turns(places, shards)
        shards = sum(places.values())
    files = max(each.files for each in workers.values())
    raise Refused(
        f"--dask: {count:,} sockets don't fit this cluster: {len(workers)} workers with "
        f"{sum(each.threads for each in workers.values())} threads, one process a thread, "
        f"{files:,} files a process: add workers, or raise their file limits"
    )


def _places(each: int, workers: Mapping[str, WorkerLimits]) -> dict[str, int]:
    """Compute for how many shards of `each` sockets every worker has room."""
    size_bytes = PROCESS_BYTES + each * SOCKET_BYTES
    return {
        address: min(
            limits.threads,
            limits.memory_bytes // size_bytes if limits.memory_bytes else limits.threads,
        )
        if each + SPARE_FILES <= limits.files
        else 0
        for address, limits in workers.items()
    }


def _take_turns(places: dict[str, int], shards: int) -> list[str]:
    """Give shard after shard to the worker with the largest share of its places left."""
    left, dealt = dict(places), []
    for _ in range(shards):
        address = max(left, key=lambda address: left[address] / max(places[address], 1))
        left[address] -= 1
        dealt.append(address)
    return dealt


# -- Local addresses ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Network:
    """The place of a worker in the network.

    :ivar name: workers with the same name share their local addresses.
    :ivar own: for each `--source-ip`, the addresses that this machine has, written like a
        `--source-ip`.
    """

    name: str
    own: tuple[tuple[str, ...], ...]


def cut(plan: Plan, dealt: Sequence[str], networks: Mapping[str, Network]) -> list[Plan]:
    """Make the plan of each shard, for the worker that runs it.

    A shard gets the addresses of its machine among those that `--source-ip` names, and shares them
    with the other shards there.

    :raises Refused: if a machine has none of them, or no machine has one that is named.
    """
    shards = [plan.shard(index, len(dealt)) for index in range(len(dealt))]
    if not plan.source_ips:
        return shards
    for place, text in enumerate(plan.source_ips):
        if not any(networks[worker].own[place] for worker in dealt):
            raise Refused(f"--source-ip {text}: not an address of any worker's machine")
    takers = Counter(networks[worker].name for worker in dealt)
    turns: Counter[str] = Counter()
    placed = []
    for shard, worker in zip(shards, dealt, strict=True):
        network = networks[worker]
        own = [text for texts in network.own for text in texts]
        if not own:
            raise Refused(
                f"--source-ip: the machine of worker {worker} has none of these addresses; each "
                "has to have one at least"
            )
        placed.append(shard.on_machine(own, turns[network.name], takers[network.name]))
        turns[network.name] += 1
    return placed
