"""Draw a histogram of latency in a few lines of text, on a logarithmic scale."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from loadgen.results.hdr import HdrHistogram

_BLOCKS: Final = " ▁▂▃▄▅▆▇█"
HEIGHT: Final = 3
#: With less there is nothing to see: a value and its neighbours.
MIN_COUNT: Final = 20


def draw(encoded: str, width: int) -> list[str]:
    """Draw an encoded histogram (in µs) over a number of columns, with its scale (in ms).

    :returns: lines; none if it has too few values for a picture, or the picture too few columns.
    """
    values = list(_recorded(encoded))
    if width < 20 or sum(count for _, count in values) < MIN_COUNT:
        return []
    low, high = _scale(values)
    columns = [0] * width
    for value_us, count in values:
        columns[_column(value_us, low, high, width)] += count
    return [*_bars(columns), _labels(low, high, width)]


def _recorded(encoded: str) -> Iterator[tuple[float, int]]:
    """Yield each value, at least 1 µs, and how often it was recorded.

    The library's own iterator takes some ten steps in Python for each of the 23,000 counts, nearly
    all of which are 0: 35 ms at the end of each run instead of 3.
    """
    histogram = HdrHistogram.decode(encoded.encode())
    for index, count in enumerate(histogram.counts):
        if count:
            value = histogram.get_highest_equivalent_value(histogram.get_value_from_index(index))
            yield max(value, 1), count


def _scale(values: Sequence[tuple[float, int]]) -> tuple[float, float]:
    """Choose the ends of the scale: half a decade at least, or equal values fill a line."""
    low, high = values[0][0], values[-1][0]
    spare = math.sqrt(math.sqrt(10) / (high / low)) if high < low * math.sqrt(10) else 1.0
    return low / spare, high * spare


def _column(value: float, low: float, high: float, width: int) -> int:
    place = math.log(value / low) / math.log(high / low) * width
    return min(max(int(place), 0), width - 1)


def _bars(columns: Sequence[int]) -> Iterable[str]:
    """Draw the columns: the highest fills all rows, and none that has a value is empty."""
    steps, highest = len(_BLOCKS) - 1, max(columns)
    heights = [max(round(count / highest * HEIGHT * steps), 1) if count else 0 for count in columns]
    for row in reversed(range(HEIGHT)):
        yield "".join(_BLOCKS[min(max(height - row * steps, 0), steps)] for height in heights)


def _labels(low: float, high: float, width: int) -> str:
    """Write round numbers of milliseconds under their columns, as many as there is room for."""
    line = [" "] * width
    free = 0
    for exponent in range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1):
        for digit in (1, 2, 5):
            value_us = digit * 10.0**exponent
            label = f"{value_us / 1000:,g}"
            if not low <= value_us <= high:
                continue
            start = _column(value_us, low, high, width)
            if start >= free and start + len(label) <= width:
                line[start : start + len(label)] = label
                free = start + len(label) + 2
    return "".join(line)
