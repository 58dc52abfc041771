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

from echo_trio.metrics.activity import Activity
from echo_trio.metrics.counters import GarbageCollection, Holdings
from echo_trio.metrics.durations import Durations
from echo_trio.wire import process
from echo_trio.wire.lag import LagWatch

#: The interval of measuring the loop's lag while there is anything to do. A longer stall is always
#: seen.
TRY_INTERVAL_S: Final = 0.05

_DESCRIPTORS: Final = Path("/proc/self/fd")


class Vitals:
    """A watch over the process while `run` runs, and somebody looks at the loop by `lag`.

    :param rolling: other durations that are to `roll` once a second.
    :param on_try: is called at each measurement of the loop's lag.
    :ivar activity: the news that there is something to do.
    :ivar loop_lag: how late the loop ran what was due.
    :ivar lag: the looks at the loop, for the poller to take; without one, for a task.
    """

    def __init__(
        self, rolling: Sequence[Durations] = (), on_try: Callable[[], None] = lambda: None
    ) -> None:
        self.activity: Activity = Activity()
        self.loop_lag: Durations = Durations()
        self.lag: LagWatch = LagWatch(
            TRY_INTERVAL_S, self._try, rests=True, on_work=self.activity.note
        )
        self._rolling = (self.loop_lag, *rolling)
        self._rolled_at_s: float | None = None
        self._on_try = on_try
        self._process = psutil.Process()
        self._pauses_s = 0.0

    async def run(self) -> NoReturn:
        """Count the time that collections of garbage take, until cancelled."""
        with self._timing_collections():
            await trio.sleep_forever()

    def roll(self) -> None:
        """Let the durations that are recent be those of the last second or two."""
        now_s = trio.current_time()
        if self._rolled_at_s is None:
            self._rolled_at_s = now_s
        # Twice lets go of all: nothing was measured while nothing happened.
        seconds = int(now_s - self._rolled_at_s)
        self._rolled_at_s += seconds
        for _ in range(min(seconds, 2)):
            for durations in self._rolling:
                durations.roll()

    def _try(self, late_s: float) -> None:
        self.roll()
        self.loop_lag.observe(late_s)
        self._on_try()

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
