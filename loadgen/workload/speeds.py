"""Raise, lower and pause a schedule while it goes. Pure functions of the time since the load began.

A load that is changed by hand has a factor f(t), constant from one change to the next, by which its
planned rate r(t) is multiplied; a pause is a factor of 0. The ideal is then the integral of f·r:

    M'(t) = Σ fᵢ · (M(bᵢ) - M(aᵢ))    over the steps [aᵢ, bᵢ) of f up to t

What was due before a change is due when it was, so nothing is sent twice or left out, and what a
pause holds back is not due at all: there is no burst behind it. Every process of a run that is
given the same steps computes the same schedule.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from loadgen.workload.pacing import Ramps, Steady, round_half_up

#: Numbers of messages are rounded to this before they are counted.
_ROUNDING: Final = 1e-6


@dataclass(frozen=True, slots=True)
class Speeds:
    """The factors by which a planned rate is multiplied, each from a time of the load on.

    :ivar steps: when each begins, in seconds of the load, and its factor; 1 before the first.
    """

    steps: tuple[tuple[float, float], ...] = ()

    def then(self, at_s: float, factor: float) -> Speeds:
        """Add a change; one that comes late is one of this moment: the past does not change."""
        last_s = self.steps[-1][0] if self.steps else 0.0
        return Speeds((*self.steps, (max(at_s, last_s), factor)))

    def at(self, elapsed_s: float) -> float:
        """Return the factor at a time."""
        return next((factor for from_s, factor in reversed(self.steps) if from_s <= elapsed_s), 1.0)

    def spans(self) -> Iterator[tuple[float, float, float]]:
        """Yield the beginning and end of each step, and its factor; the last has no end."""
        begins = [0.0, *(from_s for from_s, _ in self.steps)]
        factors = [1.0, *(factor for _, factor in self.steps)]
        yield from zip(begins, [*begins[1:], math.inf], factors, strict=True)

    def own_time(self, elapsed_s: float) -> float:
        """Compute how far a schedule of constant rate has come: the integral of the factor."""
        return math.fsum(
            (min(end, elapsed_s) - begin) * factor
            for begin, end, factor in self.spans()
            if begin < elapsed_s and factor
        )

    def elapsed(self, own_s: float) -> float:
        """Compute when a schedule of constant rate has come so far; infinity if it never does."""
        before = 0.0
        for begin, end, factor in self.spans():
            if not factor:
                continue
            within = (own_s - before) / factor
            if within <= end - begin:
                return begin + max(within, 0.0)
            before += (end - begin) * factor
        return math.inf


class Steered:
    """A schedule that was changed while it went, of messages or users.

    :param rate: the planned one.
    :param at_most: the number of messages that there are at most.
    :ivar total: the number of messages, if nothing is changed any more.
    :ivar ideal_total: the number of messages that the ideal sends in all.
    """

    __slots__ = ("_due_before", "_rate", "_spans", "ideal_total", "total")

    def __init__(self, rate: Steady | Ramps, speeds: Speeds, at_most: float = math.inf) -> None:
        self._rate = rate
        # For each step: when it begins, the plan's M there, and the factor; and M' there.
        self._spans: list[tuple[float, float, float]] = []
        self._due_before: list[float] = []
        due = 0.0
        for begin, end, factor in speeds.spans():
            planned = rate.ideal_by(begin)
            self._spans.append((begin, planned, factor))
            self._due_before.append(due)
            due += (rate.ideal_by(end) - planned) * factor if factor else 0.0
        self.ideal_total: float = due
        self.total: int = round_half_up(min(self.ideal_total, at_most))

    def due_by(self, elapsed_s: float) -> int:
        """Count the messages that are due by then."""
        return min(self.total, round_half_up(self.ideal_by(elapsed_s)))

    def due_at(self, k: int) -> float:
        """Compute when message k is due, in seconds; infinity if it will not be."""
        return self.time_of(k + 0.5)

    def ideal_by(self, elapsed_s: float) -> float:
        """Compute how many messages the ideal has sent by then: the integral of the rate."""
        index = max(bisect_right(self._spans, elapsed_s, key=lambda span: span[0]) - 1, 0)
        _, planned, factor = self._spans[index]
        more = factor * (self._rate.ideal_by(elapsed_s) - planned) if factor else 0.0
        return self._due_before[index] + more

    def time_of(self, ideal: float) -> float:
        """Compute when the ideal has sent this number, in seconds; infinity if it never does."""
        if ideal > self.ideal_total + _ROUNDING:
            return math.inf
        ideal = min(ideal, self.ideal_total)
        # The step within which this number is reached; one without messages is never that.
        index = max(bisect_left(self._due_before, ideal) - 1, 0)
        begin, planned, factor = self._spans[index]
        if not factor:
            return begin
        return max(begin, self._rate.time_of(planned + (ideal - self._due_before[index]) / factor))
