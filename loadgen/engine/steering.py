"""Carry changes of a load to those who send it: its schedule, and who sleeps until it is due."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import trio

from loadgen.workload.speeds import Speeds


class Steering:
    """The speeds of the load of this process, for all of its crowds.

    :ivar speeds: the changes up to now; the last may lie in the future by the time that it takes to
        reach all processes of a run.
    """

    def __init__(self) -> None:
        self.speeds: Speeds = Speeds()
        self._calls: list[Callable[[], None]] = []
        self._began_s = 0.0
        self._sleeps: set[trio.CancelScope] = set()

    def begin(self) -> None:
        """Note that the load begins now."""
        self._began_s = trio.current_time()

    def turn(self, at_s: float, factor: float) -> None:
        """Change the speed at a time of the load, and wake those who sleep until something is due.

        :param factor: of the planned rate; 0 is a pause.
        """
        self.speeds = self.speeds.then(at_s, factor)
        for scope in self._sleeps:
            scope.cancel()
        for call in self._calls:
            call()

    @contextmanager
    def calling(self, on_change: Callable[[], None]) -> Iterator[None]:
        """Call a function after each change within this block; it must not block or raise."""
        self._calls.append(on_change)
        try:
            yield
        finally:
            self._calls.remove(on_change)

    @property
    def is_paused(self) -> bool:
        """True during a pause."""
        speeds = self.speeds
        return bool(speeds.steps) and not speeds.at(trio.current_time() - self._began_s)

    @property
    def coming_s(self) -> float | None:
        """The time of Trio's clock at which the last change takes effect, if that is to come."""
        if not self.speeds.steps:
            return None
        at_s = self._began_s + self.speeds.steps[-1][0]
        return at_s if at_s > trio.current_time() else None

    async def wait_for_resume(self) -> None:
        """Wait until the load is not paused; a checkpoint only if it is."""
        while self.is_paused:
            await self.sleep_until(math.inf if self.coming_s is None else self.coming_s)

    async def sleep_until(self, deadline_s: float) -> None:
        """Sleep until a time of Trio's clock, or the next change."""
        with trio.CancelScope(deadline=deadline_s) as scope:
            self._sleeps.add(scope)
            try:
                await trio.sleep_forever()
            finally:
                self._sleeps.discard(scope)
