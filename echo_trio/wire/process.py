"""Prepare a process for ten thousand sockets: file limit, memory, garbage collector.

Each connection is some twenty objects that live as long as it does. By default, CPython's cyclic
collector walks all of them again and again while more are made: at 10,000 sockets that is most of
what an idle echo costs (docs/decisions/0004: 345 µs a message with it, 97 µs without). Reference
counting frees a connection when it ends; the collector is needed only for what cycles leave behind,
mostly exceptions' tracebacks. So it runs rarely, and over the young generation only, and the old
generation is collected when many connections have gone: `collect_after_crowds`.
"""

from __future__ import annotations

import ctypes
import gc
import os
import re
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Final, NoReturn

import trio

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

#: Net new objects before the young are collected: some 2,500 connections' worth.
YOUNG_THRESHOLD: Final = 50_000
#: Young collections before the middle generation is; the old one never is automatically.
MIDDLE_THRESHOLD: Final = 20
NEVER: Final = 2**31 - 1

#: As many as macOS grants for certain (OPEN_MAX of its <sys/syslimits.h>), which calls its hard
#: limit infinite, doesn't grant that, and begins with 256.
MACOS_FILES: Final = 10_240
#: More files than any machine has.
UNLIMITED_FILES: Final = 2**31

#: The interval of looking whether the old generation should be collected.
LOOK_INTERVAL_S: Final = 1.0
#: It should when this many connections have ended since the last time, and a quarter of those open:
#: a collection takes some 3 ms for each thousand sockets open, so about 12 µs for each ended one.
MIN_ENDED: Final = 500


#: Linux: the line of /proc/self/status with the largest size that the process has had.
_PEAK: Final = re.compile(r"^VmHWM:\s+(\d+) kB$", re.MULTILINE)

#: Another C library lacks a function; on Windows a program has no library without a name.
_NO_GLIBC: Final = (AttributeError, OSError, TypeError)

# glibc's <malloc.h>.
_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_THRESHOLD: Final = -3
_M_ARENA_MAX: Final = -8
#: Buffers up to this come from memory that is kept; glibc knows no higher threshold.
LARGE_BUFFER_BYTES: Final = 32 * 2**20
#: At most this much of that memory is kept where it is free at the end of the heap.
KEPT_BYTES: Final = 16 * 2**20
#: What is held may fall by this much within a second while connections come and go: with forty that
#: send messages of 1 MiB it does. When it falls by more, what became free goes back at once.
SWING_BYTES: Final = 64 * 2**20


def raise_file_limit() -> int:
    """Raise the soft limit on open files to the hard one; return the limit that then holds."""
    if sys.platform != "win32" and hasattr(resource, "setrlimit"):
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        for limit in (hard, MACOS_FILES):
            if soft == resource.RLIM_INFINITY or (soft >= limit != resource.RLIM_INFINITY):
                break
            with suppress(OSError, ValueError):
                resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
                break
    return file_limit()


def file_limit(*, hard: bool = False) -> int:
    """Return how many files this process may have open; `UNLIMITED_FILES` where nothing bounds it.

    :param hard: return the hard limit, up to which `raise_file_limit` may raise the soft one.
    """
    if sys.platform != "win32" and hasattr(resource, "getrlimit"):
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)[hard]
        if limit != resource.RLIM_INFINITY:
            return limit
    return UNLIMITED_FILES  # Windows bounds a process's sockets by its memory alone.


def machine_memory_bytes() -> int:
    """Return how much memory this machine has."""
    if hasattr(os, "sysconf"):
        return int(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    import psutil  # noqa: PLC0415 - slow, and needed on Windows alone

    return int(psutil.virtual_memory().total)


def peak_rss_bytes() -> int:
    """Return the largest resident memory that this process has had.

    Linux's `ru_maxrss` keeps, across `exec`, the size of the process that forked us, so a generator
    started by a large program would seem large.
    """
    with suppress(OSError):
        if found := _PEAK.search(Path("/proc/self/status").read_text(encoding="ascii")):
            return int(found[1]) * 1024
    if sys.platform != "win32" and hasattr(resource, "getrusage"):
        peak = int(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
        return peak if sys.platform == "darwin" else peak * 1024
    import psutil  # noqa: PLC0415 - slow, and needed on Windows alone

    memory = psutil.Process().memory_info()
    return int(getattr(memory, "peak_wset", memory.rss))


def spare_long_lived_objects() -> None:
    """Set the garbage collector for many long-lived connections; once, after the imports."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_THRESHOLD, MIDDLE_THRESHOLD, NEVER)


def keep_large_buffers() -> None:
    """Tell the C library to keep the memory of large messages for the next ones (glibc).

    By default it takes each buffer of more than 128 KiB from the system and gives it back, a page
    fault for every 4 KiB: with messages of 1 MiB that was two thirds of what an echo costs (2.4 ms
    of CPU; 0.9 ms with this). `collect_after_crowds` returns that memory after a crowd has gone.
    A thread that looks up a name gets its memory from where all others do, instead of an area of
    its own that stays: 4 MB. Without glibc this does nothing.
    """
    with suppress(*_NO_GLIBC):
        mallopt = _c_library().mallopt
        mallopt(_M_ARENA_MAX, 1)
        mallopt(_M_MMAP_THRESHOLD, LARGE_BUFFER_BYTES)
        mallopt(_M_TRIM_THRESHOLD, KEPT_BYTES)


async def collect_after_crowds(
    opened: Callable[[], int],
    ended: Callable[[], int],
    held_bytes: Callable[[], int],
    wait_if_idle_since: Callable[[float], Awaitable[None]],
) -> NoReturn:
    """Collect the old generation when enough connections have ended, until cancelled.

    Memory that a crowd of connections leaves free is returned to the system. So is the memory of a
    few connections that held much, once no more of them end, or as soon as it is `SWING_BYTES`.

    :param opened: returns how many connections are open now.
    :param ended: returns how many have ended since the start.
    :param held_bytes: returns how many bytes are held for connections now.
    :param wait_if_idle_since: waits until something happens, if nothing has since a moment of
        Trio's clock.
    """
    collected_at = returned_at = ended_before = 0
    most_held = 0
    while True:
        began_s = trio.current_time()
        await trio.sleep(LOOK_INTERVAL_S)
        if ended() - collected_at >= max(MIN_ENDED, opened() // 4):
            collected_at = returned_at = ended()
            gc.collect()
            return_free_memory()
        most_held = max(most_held, held_bytes())
        # While connections end, others take the free memory at once: each page returned to the
        # system would cost a page fault.
        calm = ended() == ended_before
        fallen_bytes = most_held - held_bytes()
        if fallen_bytes >= SWING_BYTES or (
            calm and (ended() != returned_at or fallen_bytes >= KEPT_BYTES)
        ):
            returned_at, most_held = ended(), held_bytes()
            return_free_memory()
        ended_before = ended()
        if calm:
            await wait_if_idle_since(began_s)


def return_free_memory() -> None:
    """Have the C library give free pages back to the system, where it can (glibc).

    Pages between others that are in use are given back as well. For each MiB that was free that
    takes up to 0.1 ms, and 2 ms (a page fault for every 4 KiB) when it is used again.
    """
    with suppress(*_NO_GLIBC):
        _c_library().malloc_trim(0)


@cache
def _c_library() -> ctypes.CDLL:
    return ctypes.CDLL(None)
