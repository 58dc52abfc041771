"""Count durations in buckets: a histogram that allocates nothing for an observation."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

#: Upper bounds of the buckets, inclusive; one more bucket has what is longer. Ten to a decade, the
#: preferred numbers of ISO 3 (R10): a quantile is known to a quarter, and 1, 2 and 5 are there.
BOUNDS_S: Final = (
    *(
        round(step * 10.0**decade, 9)
        for decade in range(-6, 2)
        for step in (1, 1.25, 1.6, 2, 2.5, 3.15, 4, 5, 6.3, 8)
    ),
    100.0,
)


@dataclass(frozen=True, slots=True)
class Spread:
    """The median, 99th percentile and maximum in milliseconds; zeros without observations."""

    count: int = 0
    p50: float = 0.0
    p99: float = 0.0
    max: float = 0.0


@dataclass(frozen=True, slots=True)
class DurationHistogram:
    """The observations so far; histograms can be added and subtracted.

    :ivar counts: observations by the index of their bucket in `BOUNDS_S`; empty ones are left out.
    :ivar sum_s: the sum of all observations, in seconds.
    """

    counts: dict[int, int] = field(default_factory=dict)
    sum_s: float = 0.0

    @property
    def count(self) -> int:
        """The number of observations."""
        return sum(self.counts.values())

    def __add__(self, other: DurationHistogram) -> DurationHistogram:
        counts = dict(self.counts)
        for bucket, n in other.counts.items():
            counts[bucket] = counts.get(bucket, 0) + n
        return DurationHistogram(counts, self.sum_s + other.sum_s)

    def since(self, earlier: DurationHistogram) -> DurationHistogram:
        """Return the observations that an earlier histogram did not have yet."""
        counts = {
            bucket: new
            for bucket, n in self.counts.items()
            if (new := n - earlier.counts.get(bucket, 0))
        }
        return DurationHistogram(counts, self.sum_s - earlier.sum_s)

    def spread(self, max_s: float) -> Spread:
        """Compute quantiles, as if evenly spread within a bucket, and none above the maximum."""
        count = self.count
        if not count:
            return Spread()
        p50, p99 = (min(self._quantile_s(q * count), max_s) for q in (0.5, 0.99))
        return Spread(count, *(round(seconds * 1000, 4) for seconds in (p50, p99, max_s)))

    def _quantile_s(self, rank: float) -> float:
        edges = list(pairwise((0.0, *BOUNDS_S, float("inf"))))
        for bucket in sorted(self.counts):
            n = self.counts[bucket]
            if rank <= n:
                low, high = edges[bucket]
                return low + (high - low) * rank / n
            rank -= n
        return float("inf")


class Recent:
    """The observations since the `roll` before the last: with one a second, of one to two seconds.

    So any number of readers may look, as often as they like.
    """

    def __init__(self) -> None:
        self._rolled = (DurationHistogram(), DurationHistogram())

    def roll(self, now: DurationHistogram) -> None:
        """Note that a second has passed."""
        self._rolled = (self._rolled[1], now)

    def spread(self, now: DurationHistogram, max_s: float) -> Spread:
        """Compute the spread of the observations in `now` that are recent."""
        return now.since(self._rolled[0]).spread(max_s)


class Durations:
    """The running histogram behind a `DurationHistogram`, with its `Recent` observations."""

    def __init__(self) -> None:
        self._counts = [0] * (len(BOUNDS_S) + 1)
        self._sum_s = 0.0
        self._recent = Recent()
        self._max_s = self._max_before_s = 0.0

    def observe(self, seconds: float) -> None:
        """Count a duration."""
        self._counts[bisect_left(BOUNDS_S, seconds)] += 1
        self._sum_s += seconds
        self._max_s = max(self._max_s, seconds)

    def histogram(self) -> DurationHistogram:
        """Return all observations up to this moment."""
        return DurationHistogram({at: n for at, n in enumerate(self._counts) if n}, self._sum_s)

    def recent(self) -> Spread:
        """Compute the spread of recent observations."""
        return self._recent.spread(self.histogram(), max(self._max_s, self._max_before_s))

    def roll(self) -> None:
        """Note that a second has passed."""
        self._recent.roll(self.histogram())
        self._max_s, self._max_before_s = 0.0, self._max_s
