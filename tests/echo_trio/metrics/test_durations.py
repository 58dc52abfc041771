"""Histograms of durations: their buckets, their quantiles, their sums."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from echo_trio.metrics.durations import BOUNDS_S, Durations, Histogram, Spread

SECONDS = st.floats(min_value=0, max_value=200)


def of(*seconds: float) -> Durations:
    durations = Durations()
    for second in seconds:
        durations.observe(second)
    return durations


def test_the_bounds_rise_by_a_quarter_or_so_and_have_1_2_and_5_of_each_decade() -> None:
    assert all(1.2 < high / low < 1.3 for low, high in itertools.pairwise(BOUNDS_S))
    assert {1e-6, 2e-6, 5e-6, 0.001, 0.02, 0.5, 1.0, 50.0, 100.0} <= set(BOUNDS_S)


@pytest.mark.parametrize(
    ("seconds", "bucket"),
    [(0.0, 0), (1e-6, 0), (1.1e-6, 1), (100.0, len(BOUNDS_S) - 1), (100.1, len(BOUNDS_S))],
)
def test_a_bound_is_in_its_own_bucket(seconds: float, bucket: int) -> None:
    assert of(seconds).histogram() == Histogram({bucket: 1}, seconds)


@given(st.lists(SECONDS, min_size=1, max_size=50))
def test_quantiles_are_in_order_and_within_a_bucket_of_the_truth(seconds: list[float]) -> None:
    spread = of(*seconds).recent()
    assert spread.count == len(seconds)
    assert spread.max == round(max(seconds) * 1000, 4)
    assert spread.p50 <= spread.p99 <= spread.max
    true_p99 = sorted(seconds)[math.ceil(0.99 * len(seconds)) - 1] * 1000
    assert spread.p99 <= max(true_p99 * 1.3, 1e-3)
    assert spread.p99 >= true_p99 / 1.3 - 1e-3 or true_p99 > 100_000


@given(st.lists(SECONDS), st.lists(SECONDS))
def test_histograms_add_up_and_what_came_since_is_the_difference(
    some: list[float], others: list[float]
) -> None:
    early, late = of(*some).histogram(), of(*some, *others).histogram()
    assert (early + of(*others).histogram()).counts == late.counts
    assert late.since(early).counts == of(*others).histogram().counts
    assert late.count == len(some) + len(others)


def test_recent_is_what_came_since_the_roll_before_the_last() -> None:
    durations = of(3.0)
    durations.roll()
    durations.observe(0.1)
    assert (durations.recent().count, durations.recent().max) == (2, 3000.0)
    durations.roll()
    assert (durations.recent().count, durations.recent().max) == (1, 100.0)
    durations.roll()
    assert durations.recent() == Spread()
    assert durations.histogram().count == 2
