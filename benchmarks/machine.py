"""The machine that measures: its cores, its file limit, and what it is, for the results."""

import os
import platform
import resource
import subprocess
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent


class UnsuitableMachine(Exception):
    """The machine cannot carry the measurement; the message says why."""


@dataclass(frozen=True)
class Cores:
    """One core for what is measured, another for what drives it."""

    measured: int
    driving: int


def two_cores() -> Cores:
    available = sorted(os.sched_getaffinity(0))
    if len(available) < 2:
        raise UnsuitableMachine("two cores are needed: one for the server, one for the driver")
    # First and last: neighbours in the numbering are often two threads of one core.
    return Cores(measured=available[0], driving=available[-1])


def raise_file_limit(sockets: int) -> None:
    """Let this process, and all it starts, hold that many sockets."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = sockets + 256
    if hard != resource.RLIM_INFINITY and hard < needed:
        raise UnsuitableMachine(
            f"{sockets} sockets need a file limit of {needed}, the hard limit is {hard}: "
            "raise it (ulimit -Hn) or measure with fewer --sockets"
        )
    if soft < hard or hard == resource.RLIM_INFINITY:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def describe() -> dict[str, object]:
    """What a reader needs to judge absolute figures by."""
    return {
        "cpu": _cpu_model(),
        "cores": os.cpu_count(),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "kernel": f"{platform.system()} {platform.release()}",
        "load_average_at_start": os.getloadavg()[0],
    }


def git_state() -> dict[str, object]:
    commit = _git("rev-parse", "HEAD")
    return {"commit": commit, "uncommitted_changes": bool(_git("status", "--porcelain", "-uno"))}


def is_same_code(commit: str | None) -> bool:
    """Tell whether what is measured of ours is what it was at a commit."""
    if commit is None:
        return False
    return _git("diff", "--quiet", commit, "--", "echo_trio", "loadgen") is not None


def _git(*arguments: str) -> str | None:
    finished = subprocess.run(
        ["git", "-C", str(REPOSITORY), *arguments], capture_output=True, text=True
    )
    return finished.stdout.strip() if finished.returncode == 0 else None


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
