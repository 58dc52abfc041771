"""Ring at a moment: callbacks that a poller calls when they are due, without a task to wake."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from math import inf


class Alarms:
    """Callbacks by the moment at which each is due, in seconds of Trio's clock.

    :ivar next_s: the earliest of these moments; infinity if there is none.
    """

    def __init__(self) -> None:
        self.next_s: float = inf
        # The number keeps callbacks that are due together from being compared.
        self._heap: list[tuple[float, int, Callable[[], None]]] = []
        self._set = 0

    def set(self, due_s: float, ring: Callable[[], None]) -> int:
        """Call `ring` once at `due_s`, or soon after; return a number to `drop` that by."""
        self._set += 1
        heapq.heappush(self._heap, (due_s, self._set, ring))
        self.next_s = self._heap[0][0]
        return self._set

    def drop(self, number: int) -> None:
        """Forget an alarm. Idempotent, also for one that has rung."""
        self._heap = [alarm for alarm in self._heap if alarm[1] != number]
        heapq.heapify(self._heap)
        self.next_s = self._heap[0][0] if self._heap else inf

    def ring(self, now_s: float) -> None:
        """Call what is due by then, each once, in order; what is set meanwhile rings later."""
        last = self._set
        later = []
        while self._heap and self._heap[0][0] <= now_s:
            alarm = heapq.heappop(self._heap)
            if alarm[1] > last:
                later.append(alarm)
                continue
            self.next_s = self._heap[0][0] if self._heap else inf
            alarm[2]()
        for alarm in later:
            heapq.heappush(self._heap, alarm)
        self.next_s = self._heap[0][0] if self._heap else inf
