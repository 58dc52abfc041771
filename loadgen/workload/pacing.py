"""Compute when each message is due. Pure functions of the time since the load phase began.

A schedule is a rate r(t) in messages a second. Its integral M(t) is the number of messages the
ideal has sent by t; message k, counted from 0 over all sockets, is due when M(t) = k + ½. So over
any window the number due differs from the ideal, the integral of r, by less than one.

    steady    r(t) = R                          M⁻¹(x) = x / R
    stages    r(t) = r₀ + a·t within a stage    M⁻¹(x) = 2y / (r₀ + √(r₀² + 2·a·y)), y = x - M₀

The sockets take turns, so their messages spread evenly over each period.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from echo_trio import units


class Pace(Protocol):
    """A schedule: the number of messages, and when each is due."""

    @property
    def total(self) -> int:
        """The number of messages."""

    def due_by(self, elapsed_s: float) -> int:
        """Count the messages that are due by then."""

    def due_at(self, k: int) -> float:
        """Compute when message k is due, in seconds."""


@dataclass(frozen=True, slots=True)
class Steady:
    """A schedule of messages due at an even rate.

    :ivar rate_per_s: messages a second, over all sockets.
    :ivar total: the number of messages.
    :ivar ideal_total: the number of messages that the rate alone would have sent in the whole time.
    """

    rate_per_s: float
    total: int
    ideal_total: float = math.inf

    @classmethod
    def lasting(cls, rate_per_s: float, duration_s: float, at_most: float = math.inf) -> Steady:
        """Schedule what the duration holds, at most `at_most`; one of the two is finite."""
        held = rate_per_s * duration_s if rate_per_s else 0.0
        return cls(rate_per_s, round_half_up(min(held, at_most)), held)

    def due_by(self, elapsed_s: float) -> int:
        """Count the messages that are due by then."""
        return min(self.total, round_half_up(elapsed_s * self.rate_per_s))

    def due_at(self, k: int) -> float:
        """Compute when message k is due, in seconds."""
        return (k + 0.5) / self.rate_per_s

    def ideal_by(self, elapsed_s: float) -> float:
        """Compute how many messages the ideal has sent by then: the integral of the rate."""
        return min(elapsed_s * self.rate_per_s, self.ideal_total)

    def time_of(self, ideal: float) -> float:
        """Compute when the ideal has sent this number, in seconds."""
        return ideal / self.rate_per_s


@dataclass(frozen=True, slots=True)
class Stage:
    """A part of the load phase in which the rate changes linearly to this one.

    :ivar duration_s: 0 is a step.
    :ivar rate_per_s: of all sockets together, at the end of the stage.
    """

    duration_s: float
    rate_per_s: float


def parse_stage(text: str) -> Stage:
    """Read a stage like ``30s:5000/s``.

    :raises ValueError: if it is none.
    """
    duration, colon, rate = text.partition(":")
    if not colon:
        raise ValueError(f"{text!r} is not a stage: write it like 30s:5000/s")
    return Stage(units.parse_duration(duration), units.parse_rate(rate))


class Ramps:
    """A schedule whose rate changes linearly from stage to stage; the first stage begins at 0.

    :ivar total: the number of messages.
    """

    __slots__ = ("_due_before", "_stages", "_starts_s", "total")

    def __init__(self, stages: Sequence[Stage]) -> None:
        # Of each stage: the rate it begins with, when it begins, how many are due before it.
        self._stages = [
            (before.rate_per_s, stage)
            for before, stage in zip([Stage(0, 0), *stages], stages, strict=False)
        ]
        self._starts_s, self._due_before = [0.0], [0.0]
        for rate_per_s, stage in self._stages:
            area = stage.duration_s * (rate_per_s + stage.rate_per_s) / 2
            self._starts_s.append(self._starts_s[-1] + stage.duration_s)
            self._due_before.append(self._due_before[-1] + area)
        self.total: int = round_half_up(self._due_before[-1])

    def due_by(self, elapsed_s: float) -> int:
        """Count the messages that are due by then."""
        return min(self.total, round_half_up(self.ideal_by(elapsed_s)))

    def due_at(self, k: int) -> float:
        """Compute when message k is due, in seconds."""
        return self.time_of(k + 0.5)

    @property
    def ideal_total(self) -> float:
        """The number of messages that the ideal sends in all."""
        return self._due_before[-1]

    def time_of(self, ideal: float) -> float:
        """Compute when the ideal has sent this number, in seconds."""
        ideal = min(ideal, self._due_before[-1])
        # The first stage by whose end this many are due; one without messages is never that.
        index = bisect_left(self._due_before, ideal, lo=1) - 1
        rate_per_s, stage = self._stages[index]
        missing = ideal - self._due_before[index]
        slope = (stage.rate_per_s - rate_per_s) / stage.duration_s
        # Where the rate falls to 0, rounding may ask for a little more than the stage has.
        root = math.sqrt(max(rate_per_s**2 + 2 * slope * missing, 0.0))
        within_s = 2 * missing / (rate_per_s + root)
        return self._starts_s[index] + min(within_s, stage.duration_s)

    def ideal_by(self, elapsed_s: float) -> float:
        """Compute how many messages the ideal has sent by then: the integral of the rate."""
        for index, (rate_per_s, stage) in enumerate(self._stages):
            within_s = elapsed_s - self._starts_s[index]
            if within_s < stage.duration_s:
                slope = (stage.rate_per_s - rate_per_s) / stage.duration_s
                return self._due_before[index] + within_s * (rate_per_s + slope * within_s / 2)
        return self._due_before[-1]


class Share:
    """One shard's messages of a schedule: every message is in exactly one share.

    Message k of all belongs to socket k modulo `sockets`, and shard i of n has the sockets i, i +
    n, i + 2n, … So the shards together send what one process would have sent, when it would have.

    :ivar total: the number of the schedule's messages that belong to this shard.
    """

    __slots__ = ("_index", "_of", "_own", "_shards", "_sockets", "total")

    def __init__(self, of: Pace, *, index: int, shards: int, sockets: int) -> None:
        self._of = of
        self._index = index
        self._shards = shards
        self._sockets = sockets
        self._own = len(range(index, sockets, shards))
        self.total: int = self._own_of(of.total)

    def due_by(self, elapsed_s: float) -> int:
        """Count this shard's messages that are due by then."""
        return self._own_of(self._of.due_by(elapsed_s))

    def due_at(self, k: int) -> float:
        """Compute when message k of this shard is due, in seconds."""
        rounds, position = divmod(k, self._own)
        return self._of.due_at(rounds * self._sockets + self._index + self._shards * position)

    def _own_of(self, count: int) -> int:
        """Count this shard's messages among the first `count`."""
        rounds, rest = divmod(count, self._sockets)
        return rounds * self._own + len(range(self._index, rest, self._shards))


def round_half_up(value: float) -> int:
    """Round a number of messages to the nearest one."""
    # Rounded first to what a clock can tell: 0.29 s × 100/s is 28.999999999999996.
    return math.floor(round(value, 6) + 0.5)
