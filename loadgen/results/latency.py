"""Record latency in histograms: three significant digits, bounded memory, mergeable.

The buckets are those of HdrHistogram (Tene) with 2,048 sub-buckets, so the values recorded here can
be handed to any HDR library at the end; `hdrhistogram`'s own `record_value` takes a microsecond on
a path that runs three times for each message.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Final

import msgspec

from loadgen.results.hdr import HdrHistogram

#: Values below this many microseconds are exact; above, to one part in a thousand.
_SUB_BUCKETS: Final = 2048
_SUB_BUCKET_BITS: Final = 11
_HALF_BITS: Final = 10
#: An hour: what an encoded histogram can hold.
HIGHEST_US: Final = 3_600_000_000
SIGNIFICANT_DIGITS: Final = 3
#: The percentiles of a `Summary`, by field.
PERCENTILES: Final = {"p50": 50.0, "p90": 90.0, "p95": 95.0, "p99": 99.0, "p999": 99.9}
#: A percentile is known well if at least this many values are expected beyond it. How many really
#: are is binomial, and from here on nearly normal (np >= 10 and n(1-p) >= 10: Moore and McCabe,
#: Introduction to the Practice of Statistics, 5.2): between 4 and 16 in 95 of 100 runs. Below 3,
#: the largest value of all is below the percentile in one run of twenty, and nothing bounds it.
MIN_BEYOND: Final = 10


def least_count(percentile: str) -> int:
    """Compute how many values it takes to know a percentile well.

    :param percentile: a field of `Summary`, such as ``"p999"``.
    """
    return round(MIN_BEYOND / (1 - PERCENTILES[percentile] / 100))


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """A distribution of times, in milliseconds; without values its figures are ``None``, not 0."""

    count: int
    min: float | None = None
    mean: float | None = None
    p50: float | None = None
    p90: float | None = None
    p95: float | None = None
    p99: float | None = None
    p999: float | None = None
    max: float | None = None


class HistogramState(msgspec.Struct, frozen=True, kw_only=True):
    """A histogram in a form that can be stored: the number of values in each bucket."""

    counts: dict[int, int]
    sum: int
    min: int
    max: int


class Histogram:
    """A distribution of times in microseconds, from 0 on."""

    __slots__ = ("_counts", "_sum", "count", "max", "min")

    def __init__(self) -> None:
        self._counts: defaultdict[int, int] = defaultdict(int)
        self._sum = 0
        self.count: int = 0
        self.min: int = HIGHEST_US
        self.max: int = 0

    def record(self, value_us: int, times: int = 1) -> None:
        """Add a value; a negative one, from clocks that disagree, counts as 0."""
        value_us = max(value_us, 0)
        bucket = value_us.bit_length() - _SUB_BUCKET_BITS
        index = value_us if bucket < 0 else (bucket << _HALF_BITS) + (value_us >> bucket)
        self._counts[index] += times
        self._sum += value_us * times
        self.count += times
        self.max = max(self.max, value_us)
        self.min = min(self.min, value_us)

    @classmethod
    def of_values(cls, values_us: list[int]) -> Histogram:
        """Make a histogram of many values, in a quarter of the time that `record` takes for each.

        Negative values, from clocks that disagree, count as 0.
        """
        histogram = cls()
        if not values_us:
            return histogram
        if min(values_us) < 0:
            values_us = [max(value_us, 0) for value_us in values_us]
        histogram._counts.update(
            Counter(
                [
                    value_us
                    if value_us < _SUB_BUCKETS
                    else ((bucket := value_us.bit_length() - _SUB_BUCKET_BITS) << _HALF_BITS)
                    + (value_us >> bucket)
                    for value_us in values_us
                ]
            )
        )
        histogram._sum = sum(values_us)
        histogram.count = len(values_us)
        histogram.min, histogram.max = min(values_us), max(values_us)
        return histogram

    def merge(self, other: Histogram) -> None:
        """Add all values of another histogram."""
        counts = self._counts
        for index, count in other._counts.items():
            counts[index] += count
        self._sum += other._sum
        self.count += other.count
        self.min = min(self.min, other.min)
        self.max = max(self.max, other.max)

    @property
    def state(self) -> HistogramState:
        """The histogram in a form that can be stored, with counts that may go on changing."""
        return HistogramState(counts=self._counts, sum=self._sum, min=self.min, max=self.max)

    @classmethod
    def of(cls, state: HistogramState) -> Histogram:
        """Restore a histogram that was stored."""
        histogram = cls()
        histogram._counts.update(state.counts)
        histogram._sum, histogram.min, histogram.max = state.sum, state.min, state.max
        histogram.count = sum(state.counts.values())
        return histogram

    @property
    def sum_us(self) -> int:
        """The sum of all values, in microseconds."""
        return self._sum

    def cumulate(self, bounds_us: Sequence[int]) -> list[int]:
        """Count the values up to each bound, give or take the one bucket that the bound is in.

        :param bounds_us: in microseconds, ascending.
        """
        counts = dict.fromkeys(range(len(bounds_us) + 1), 0)
        for index, count in self._counts.items():
            counts[bisect_left(bounds_us, _lowest_of(index))] += count
        return list(accumulate(counts[at] for at in range(len(bounds_us))))

    def percentile_us(self, percent: float) -> int:
        """Find the smallest recorded value that this percentage does not exceed; 0 if none."""
        return self.percentiles_us([percent])[0]

    def percentiles_ms(self, percents: list[float]) -> list[float | None]:
        """Compute percentiles in milliseconds, for reports: ``None`` if nothing was recorded."""
        if not self.count:
            return [None] * len(percents)
        return [value_us / 1000 for value_us in self.percentiles_us(percents)]

    @property
    def max_ms(self) -> float | None:
        """The highest recorded value in milliseconds; ``None`` if nothing was recorded."""
        return self.max / 1000 if self.count else None

    def percentiles_us(self, percents: list[float]) -> list[int]:
        """Find the value of `percentile_us` for several percentages, which have to ascend."""
        found: list[int] = []
        if not self.count:
            return [0] * len(percents)
        # A little less, for rounding: 99.9 % of 1,000 must not come out as a little more than 999.
        ranks = [max(1, math.ceil(self.count * percent / 100 - 1e-6)) for percent in percents]
        seen = 0
        for index in sorted(self._counts):
            seen += self._counts[index]
            while len(found) < len(ranks) and seen >= ranks[len(found)]:
                found.append(min(_highest_of(index), self.max))
        return found

    def summary(self) -> Summary:
        """Summarise the distribution for a report."""
        if not self.count:
            return Summary(count=0)
        p50, p90, p95, p99, p999 = (
            value / 1000 for value in self.percentiles_us([*PERCENTILES.values()])
        )
        return Summary(
            count=self.count,
            min=self.min / 1000,
            mean=round(self._sum / self.count / 1000, 4),
            p50=p50,
            p90=p90,
            p95=p95,
            p99=p99,
            p999=p999,
            max=self.max / 1000,
        )

    def encode(self) -> str:
        """Encode as HdrHistogram V2, compressed, in base64; in microseconds, up to an hour."""
        hdr = HdrHistogram(1, HIGHEST_US, SIGNIFICANT_DIGITS)
        for index, count in self._counts.items():
            hdr.record_value(min(_highest_of(index), HIGHEST_US), count)
        encoded: bytes = hdr.encode()
        return encoded.decode("ascii")


class Recorder:
    """A histogram that also knows the values of the current second.

    Values are kept as they come and sorted into buckets once a second, all together: recording is
    on the path of every message, three times.

    :ivar record: adds one value, in microseconds.
    :ivar total: all values up to the last `end_second` or `sort_in`.
    """

    __slots__ = ("_sorted_in", "_values", "record", "total")

    def __init__(self) -> None:
        self.total: Histogram = Histogram()
        self._values: list[int] = []
        #: Values of this second that are in `total` already.
        self._sorted_in: Histogram | None = None
        self.record: Callable[[int], None] = self._values.append

    def end_second(self) -> Histogram:
        """Return the values recorded since the last call, and add them to `total`.

        It has to be called once a second: until then every value takes memory of its own.
        """
        second = Histogram.of_values(self._values)
        self._values.clear()
        self.total.merge(second)
        if (sorted_in := self._sorted_in) is not None:
            self._sorted_in = None
            sorted_in.merge(second)
            second = sorted_in
        return second

    def add(self, part: Histogram) -> None:
        """Add values of this second that are sorted already; the histogram may be kept."""
        self.total.merge(part)
        if (sorted_in := self._sorted_in) is None:
            self._sorted_in = part
        elif part.count:
            sorted_in.merge(part)

    def sort_in(self) -> None:
        """Add what was recorded so far to `total`, in the middle of a second."""
        self._sorted_in = self.end_second()


def _highest_of(index: int) -> int:
    """Compute the highest value that falls into a bucket."""
    if index < _SUB_BUCKETS:
        return index
    bucket = (index >> _HALF_BITS) - 1
    return _lowest_of(index) + (1 << bucket) - 1


def _lowest_of(index: int) -> int:
    """Compute the lowest value that falls into a bucket."""
    if index < _SUB_BUCKETS:
        return index
    bucket = (index >> _HALF_BITS) - 1
    return (index - (bucket << _HALF_BITS)) << bucket
