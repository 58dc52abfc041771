"""Let messages fall due at random, as those of many independent users do. Pure.

Evenly spaced messages flatter a server: at 80 % load of one queue the 99th percentile is one
service time with even arrivals, and eleven with Poisson's. The gaps between Poisson arrivals are
exponential, and past arrivals say nothing about the next.

Everything is fixed by the seed, and the same in one process and in many:

- `Poisson` is for a rate of all sockets together. Arrival k is due when M(t), the integral of the
  rate, reaches the sum Γ of k+1 exponential gaps of mean 1. Blocks of arrivals are drawn one by
  one: a block's whole length has a gamma distribution, and its arrivals are uniform within it
  (Devroye, Non-Uniform Random Variate Generation, V.2.1), so no block has to be drawn to know where
  the next begins, and none has to be kept.
- `OwnArrivals` is for sockets with a rate each: every socket has a process of its own, from the
  seed and the socket's number alone.
"""

from __future__ import annotations

import heapq
import math
from bisect import bisect_right
from collections.abc import Sequence
from functools import lru_cache
from random import Random
from typing import Final, Protocol

from loadgen.workload.speeds import Speeds

BLOCK: Final = 1024
_MASK: Final = (1 << 64) - 1
#: The constants of SplitMix64 (Steele, Lea, Flood 2014), which makes a number from a counter.
_STEP: Final = 0x9E3779B97F4A7C15
_FACTORS: Final = (0xBF58476D1CE4E5B9, 0x94D049BB133111EB)


class Rate(Protocol):
    """A rate that changes with time, and its even schedule: the ideal."""

    @property
    def ideal_total(self) -> float:
        """The number of messages that the ideal sends in all."""

    def ideal_by(self, elapsed_s: float) -> float:
        """Compute the number of messages that the ideal has sent by then: M(t)."""

    def time_of(self, ideal: float) -> float:
        """Compute when the ideal has sent a number of messages: the inverse of M."""


class Poisson:
    """A schedule of messages due at random, at a rate of all sockets together.

    :ivar total: the number of messages, which is random, too.
    """

    __slots__ = ("_block", "_block_number", "_ends", "_rate", "_seed", "total")

    def __init__(self, rate: Rate, seed: int, at_most: float = math.inf) -> None:
        self._rate = rate
        self._seed = seed
        self._block_number = -1
        self._block: list[float] = []
        whole = rate.ideal_total
        #: Γ at the end of each block.
        self._ends: list[float] = _blocks_of(seed).reaching(whole, at_most)
        self.total: int = int(min(self._arrived(whole), at_most))

    def due_by(self, elapsed_s: float) -> int:
        """Count the messages that are due by then."""
        return min(self.total, self._arrived(self._rate.ideal_by(elapsed_s)))

    def due_at(self, k: int) -> float:
        """Compute when message k is due, in seconds."""
        block, place = divmod(k, BLOCK)
        return self._rate.time_of(self._draw(block)[place])

    def _arrived(self, ideal: float) -> int:
        """Count the arrivals up to this value of M."""
        block = bisect_right(self._ends, ideal)
        if block == len(self._ends):
            return block * BLOCK
        return block * BLOCK + bisect_right(self._draw(block), ideal)

    def _draw(self, number: int) -> list[float]:
        """Draw the Γ of a block's arrivals; keep the last block, for it is asked for repeatedly."""
        if number != self._block_number:
            random = Random(_mix(self._seed, number))
            begins = self._ends[number - 1] if number else 0.0
            length = self._ends[number] - begins
            places = sorted(random.random() for _ in range(BLOCK - 1))
            self._block = [begins + place * length for place in places] + [self._ends[number]]
            self._block_number = number
        return self._block


class _Blocks:
    """The blocks of arrivals of a seed, as far as they have been drawn."""

    def __init__(self, seed: int) -> None:
        self._lengths = Random(seed)
        self._ends: list[float] = []

    def reaching(self, whole: float, at_most: float) -> list[float]:
        """Return Γ at the end of each block, up to this value of M or number of arrivals at least.

        The list grows, and what is in it does not change.
        """
        end = self._ends[-1] if self._ends else 0.0
        while end <= whole and len(self._ends) * BLOCK < at_most:
            end += self._lengths.gammavariate(BLOCK, 1.0)
            self._ends.append(end)
        return self._ends


@lru_cache(maxsize=1)
def _blocks_of(seed: int) -> _Blocks:
    """Keep the blocks of the last seed: a load that is changed asks for them again and again.

    An hour of 100,000 messages a second has 350,000 of them, which take half a second to draw.
    """
    return _Blocks(seed)


class OwnArrivals:
    """A schedule of messages due at random on each socket by itself, in the order of time.

    :param conns: the sockets' numbers in the whole run.
    :param at_most: messages for each.
    :ivar speeds: the changes of the load up to now.
    """

    __slots__ = (
        "_at_most", "_conns", "_lasts_s", "_next", "_own_s", "_rate_per_s", "_seed", "speeds",
    )  # fmt: skip

    def __init__(
        self,
        conns: Sequence[int],
        rate_per_s: float,
        lasts_s: float,
        seed: int,
        at_most: float = math.inf,
    ) -> None:
        self._conns = conns
        self._rate_per_s = rate_per_s
        self._lasts_s = lasts_s
        self._seed = seed
        self._at_most = at_most
        self.speeds: Speeds = Speeds()
        #: The length of the load in the time of a schedule that nobody changes, as `_next` is in.
        self._own_s = lasts_s
        #: When the next message of each socket is due, its place, and which of its messages it is.
        self._next: list[tuple[float, int, int]] = []
        if rate_per_s and at_most:
            for place in range(len(conns)):
                self._append(0.0, place, 0)
        heapq.heapify(self._next)

    @property
    def next_due_s(self) -> float | None:
        """The time when the next message is due, in seconds; ``None`` if none will be."""
        if not self._next or (due_s := self._next[0][0]) >= self._own_s:
            return None
        return self.speeds.elapsed(due_s) if self.speeds.steps else due_s

    @property
    def is_exhausted(self) -> bool:
        """True if every socket has had all of its messages, so that no change brings another."""
        return not self._next

    def steer(self, speeds: Speeds) -> None:
        """Go on at other rates; the messages that were due before the change stay as they were."""
        self.speeds = speeds
        self._own_s = speeds.own_time(self._lasts_s)

    def take(self) -> tuple[float, int]:
        """Take the next message; return when it is due, and its socket's place in `conns`."""
        own_s, place, number = self._next[0]
        if number + 1 < self._at_most:
            following_s = own_s + self._gap(place, number + 1)
            heapq.heapreplace(self._next, (following_s, place, number + 1))
        else:
            heapq.heappop(self._next)
        return (self.speeds.elapsed(own_s) if self.speeds.steps else own_s), place

    def _append(self, after_s: float, place: int, number: int) -> None:
        self._next.append((after_s + self._gap(place, number), place, number))

    def _gap(self, place: int, number: int) -> float:
        """Draw the time before a socket's message: exponential, with the mean of its rate."""
        mixed = _mix(_mix(self._seed, self._conns[place]), number)
        return -math.log(((mixed >> 11) + 0.5) / (1 << 53)) / self._rate_per_s


def _mix(key: int, counter: int) -> int:
    """Make 64 bits that look random from a key and a counter."""
    mixed = (key + (counter + 1) * _STEP) & _MASK
    mixed = ((mixed ^ (mixed >> 30)) * _FACTORS[0]) & _MASK
    mixed = ((mixed ^ (mixed >> 27)) * _FACTORS[1]) & _MASK
    return mixed ^ (mixed >> 31)
