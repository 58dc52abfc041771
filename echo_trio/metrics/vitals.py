"""Measure the process itself: how late its loop is, how long it is stopped, what it holds."""

from __future__ import annotations

import gc
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NoReturn

import psutil
import trio

from echo_trio.metrics.counters import GarbageCollection, Holdings
from echo_trio.metrics.durations import Durations
from echo_trio.wire import process

#: The interval of measuring the loop's lag. A longer stall is always seen; an idle worker spends
#: less than a hundredth of a core in all (0.7 %; 1.25 % with an interval of 20 ms).
TRY_INTERVAL_S: Final = 0.05
TRIES_A_SECOND: Final = round(1 / TRY_INTERVAL_S)

_DESCRIPTORS: Final = Path("/proc/self/fd")


class Vitals:
    """A watch over the process while `run` runs.

    :ivar loop_lag: how late the loop ran tasks that were due.
    """

    def __init__(self) -> None:
        self.loop_lag: Durations = Durations()
        self._process = psutil.Process()
        self._pauses_s = 0.0

    async def run(self, rolling: Sequence[Durations], on_try: Callable[[], None]) -> NoReturn:
        """Measure the loop's lag again and again, until cancelled.

        :param rolling: other durations that are to `roll` once a second.
        :param on_try: is called at each measurement.
        """
        with self._timing_collections():
            while True:
                for _ in range(TRIES_A_SECOND):
                    due = trio.current_time() + TRY_INTERVAL_S
                    await trio.sleep_until(due)
                    self.loop_lag.observe(max(0.0, trio.current_time() - due))
                    on_try()
                for durations in (self.loop_lag, *rolling):
                    durations.roll()

    def holdings(self) -> Holdings:
        """Return what the process holds and has used, now. Call it in a Trio task."""
        return Holdings(
            tasks=trio.lowlevel.current_statistics().tasks_living,
            descriptors=_count_descriptors(self._process),
            file_limit=process.file_limit(),
            rss_bytes=self._process.memory_info().rss,
            cpu_s=round(time.process_time(), 3),
            gc=GarbageCollection(
                collections=tuple(generation["collections"] for generation in gc.get_stats()),
                pause_ms_total=round(self._pauses_s * 1000, 3),
            ),
        )

    @contextmanager
    def _timing_collections(self) -> Iterator[None]:
        started_s = 0.0

        def on_collection(phase: str, _: dict[str, int]) -> None:
            nonlocal started_s
            if phase == "start":
                started_s = time.perf_counter()
            elif started_s:
                self._pauses_s += time.perf_counter() - started_s

        gc.callbacks.append(on_collection)
        try:
            yield
        finally:
            gc.callbacks.remove(on_collection)


def _count_descriptors(process: psutil.Process) -> int:
    # Since Linux 6.2 the folder's size is their number: ten thousand need not be listed for it.
    try:
        if size := _DESCRIPTORS.stat().st_size:
            return size
    except OSError:
        pass
    if sys.platform == "win32":
        return process.num_handles()
    else:  # noqa: RET505 - or the type checker calls it unreachable for Windows
        return process.num_fds()
