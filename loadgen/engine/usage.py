"""Measure what a run takes of this machine: CPU time and memory of this process."""

from __future__ import annotations

import os
import platform
import time
from contextlib import suppress
from typing import Final

import trio

from echo_trio.wire import process
from loadgen.results.result import GeneratorFacts, Strain

#: Linux: time on a core, time ready and waiting for one (ns), turns.
_SCHEDSTAT: Final = "/proc/thread-self/schedstat"


class Usage:
    """The CPU time since this was made."""

    def __init__(self) -> None:
        self._cpu_before_s = time.process_time()
        self._waited_before_s = waited_for_core_s()

    def facts(self, wall_s: float) -> GeneratorFacts:
        """Return what the run has used so far.

        :param wall_s: the seconds it has taken, to which the share of CPU refers.
        """
        cpu_s = time.process_time() - self._cpu_before_s
        share = round(cpu_s / wall_s, 4) if wall_s else 0.0
        return GeneratorFacts(
            processes=1,
            cpu_s=round(cpu_s, 6),
            cpu_share=share,
            cpu_shares=[share],
            peak_rss_bytes=process.peak_rss_bytes(),
            python=platform.python_version(),
            trio=trio.__version__,
        )

    def strain(self, wall_s: float) -> Strain:
        """Return how hard it was for the run to get that CPU time.

        :param wall_s: the seconds it has taken.
        """
        waited_s = waited_for_core_s() - self._waited_before_s
        cpu_s = time.process_time() - self._cpu_before_s
        return Strain(
            wall_s=wall_s,
            cpu_share=round(cpu_s / wall_s, 4) if wall_s else 0.0,
            waiting_share=round(waited_s / wall_s, 4) if wall_s else 0.0,
        )


def waited_for_core_s() -> float:
    """Read how long this thread was ready to run without a core; 0 where that isn't counted."""
    # A `Path` would take five times as long, and a scenario asks fifty times a second.
    with suppress(OSError, IndexError, ValueError):
        descriptor = os.open(_SCHEDSTAT, os.O_RDONLY)
        try:
            return int(os.read(descriptor, 100).split()[1]) / 1e9
        finally:
            os.close(descriptor)
    return 0.0
