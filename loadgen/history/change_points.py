"""Find where a series of figures has changed: E-divisive means. Pure.

The method is the one of Matteson and James, "A Nonparametric Approach for Multiple Change Point
Analysis of Multivariate Data" (2014), in the form in which MongoDB watches its benchmarks (Daly et
al., "The Use of Change Point Detection to Identify Software Performance Regressions in a Continuous
Integration System", ICPE 2020): a series is split where the energy distance between both sides,
with exponent 1, is largest; the split holds if hardly any shuffle of the same figures has a split
as good; each side is then a series of its own. Nothing is assumed of how figures are distributed,
and one outlier is no change.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from typing import Final, NamedTuple

#: The fewest runs on each side of a split: what one or two slow runs show is no change.
MIN_SIDE: Final = 3
#: The share of shuffles that may have a split as good. Of ten runs split in the middle, the two
#: orders that have just these sides are 0.8 % of all: with fewer runs nothing can be shown.
SIGNIFICANCE: Final = 0.01
#: Enough to tell 1 % from 2 % most of the time.
_SHUFFLES: Final = 499
_SEED: Final = 0


class Split(NamedTuple):
    """A place where a series has changed.

    :ivar at: the index of the first figure after the change.
    :ivar p: the share of shuffles of the same figures that have a split as good.
    """

    at: int
    p: float


def find_changes(values: Sequence[float]) -> list[Split]:
    """Find the places where a series has changed, in order.

    :param values: a few hundred at most: the time grows with their square.
    """
    return sorted(_split(values, 0, len(values), random.Random(_SEED)))


def _split(values: Sequence[float], start: int, end: int, chance: random.Random) -> list[Split]:
    part = values[start:end]
    if len(part) < 2 * MIN_SIDE or len(set(part)) == 1:
        return []
    distances = [[abs(one - other) for other in part] for one in part]
    order = list(range(len(part)))
    best, at = _find_best(distances, order)
    if best <= 0:
        return []
    alone = _find_best(distances, order, 1)[1]
    if not MIN_SIDE <= alone <= len(part) - MIN_SIDE:
        # What differs most are one or two runs at an end: an outlier, or a change that there are
        # too few runs of yet. Split with a neighbour, they would make it look like a change.
        kept = (start + alone, end) if alone < MIN_SIDE else (start, start + alone)
        return _split(values, *kept, chance)
    as_good = 0
    for _ in range(_SHUFFLES):
        chance.shuffle(order)
        # A little less, for rounding: the same sides in another order are as good.
        as_good += _find_best(distances, order)[0] >= best * (1 - 1e-9)
        if as_good + 1 > SIGNIFICANCE * (_SHUFFLES + 1):
            return []
    found = Split(start + at, (as_good + 1) / (_SHUFFLES + 1))
    return [
        *_split(values, start, found.at, chance),
        found,
        *_split(values, found.at, end, chance),
    ]


def _find_best(
    distances: Sequence[Sequence[float]], order: Sequence[int], least: int = MIN_SIDE
) -> tuple[float, int]:
    """Find the best split of the figures in an order: how good it is, and where.

    :param least: the fewest figures on each side. One alone has no spread: it is judged by that of
        the other side.

    The sums within both sides follow from one split to the next in one pass: figure t leaves the
    right side for the left one.
    """
    count = len(order)
    total = sum(map(sum, distances)) / 2
    left_sum, right_sum = 0.0, total
    best, best_at = -math.inf, least
    for at in range(1, count - least + 1):
        row = distances[order[at - 1]]
        to_left = sum(map(row.__getitem__, order[: at - 1]))
        left_sum += to_left
        right_sum -= sum(row) - to_left
        if at < least:
            continue
        left, right = at, count - at
        between = (total - left_sum - right_sum) * 2 / (left * right)
        if left > 1 and right > 1:
            within = left_sum * 2 / (left * (left - 1)) + right_sum * 2 / (right * (right - 1))
        else:
            within = (left_sum + right_sum) * 2 / ((count - 1) * (count - 2)) * 2
        if (energy := left * right / count * (between - within)) > best:
            best, best_at = energy, at
    return best, best_at
