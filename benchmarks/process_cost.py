"""What a process has cost so far: CPU seconds and resident memory, with its children.

Linux only: the CPU comes from the kernel's per-process clock, which counts user and system
time of all threads, living and dead, in nanoseconds. `/proc/PID/stat` has the same figure in
ticks of 10 ms, too coarse for a window of a few seconds.
"""

import os
import time
from contextlib import suppress
from pathlib import Path

PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


def cpu_seconds(pid: int) -> float:
    """User + system seconds of one process; 0.0 when it is gone."""
    # clock_getcpuclockid(3): the process clock of PID is ~PID shifted over three flag bits,
    # of which 2 selects the scheduler's exact accounting.
    try:
        return time.clock_gettime((~pid << 3) | 2)
    except OSError:
        return 0.0


def resident_bytes(pid: int) -> int:
    """Resident set of one process, exact to the page; 0 when it is gone."""
    # smaps_rollup walks the page tables; VmRSS in `status` may lag by 64 pages per core.
    try:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Rss:"):
                return int(line.split()[1]) * 1024
    except (FileNotFoundError, ProcessLookupError):
        pass
    return 0


def family(pid: int) -> list[int]:
    """The process and all its living descendants."""
    members = [pid]
    for member in members:
        for children in Path(f"/proc/{member}/task").glob("*/children"):
            try:
                members.extend(int(child) for child in children.read_text().split())
            except (FileNotFoundError, ProcessLookupError):
                continue  # the thread ended between the listing and the reading
    return members


def family_cpu_seconds(pid: int) -> float:
    return sum(cpu_seconds(member) for member in family(pid))


def family_resident_bytes(pid: int) -> int:
    return sum(resident_bytes(member) for member in family(pid))


def roughly_resident_bytes(pid: int) -> int:
    """The family's resident sets without walking its pages: cheap enough to poll as a guard."""
    total = 0
    for member in family(pid):
        with suppress(FileNotFoundError, ProcessLookupError):
            total += int(Path(f"/proc/{member}/statm").read_text().split()[1]) * PAGE_BYTES
    return total
