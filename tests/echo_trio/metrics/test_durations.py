"""Histograms of durations: their buckets, their quantiles, their sums."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from echo_trio.metrics.durations import BOUNDS_S, DurationHistogram, Durations, Spread

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
    assert of(seconds).histogram() == DurationHistogram({bucket: 1}, seconds)


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
    assert durations.recent() == Spread() == Spread(count=0, p50=0.0, p99=0.0, max=0.0)
    assert durations.histogram().count == 2


def test_a_sum_of_histograms_has_all_of_both() -> None:
    one, other = DurationHistogram({1: 2, 5: 3}, 0.5), DurationHistogram({5: 4, 7: 1}, 0.25)
    assert one + other == other + one == DurationHistogram({1: 2, 5: 7, 7: 1}, 0.75)
    assert (one + other).since(one) == DurationHistogram({5: 4, 7: 1}, 0.25)
    assert (one.counts, other.counts) == ({1: 2, 5: 3}, {5: 4, 7: 1})


def test_quantiles_lie_in_the_bucket_that_has_their_rank() -> None:
    durations = Durations()
    for _ in range(98):
        durations.observe(0.0009)  # from 0.8 to 1 ms
    for _ in range(2):
        durations.observe(0.0045)  # from 4 to 5 ms
    spread = durations.histogram().spread(max_s=1.0)
    assert spread.count == 100
    assert spread.p50 == pytest.approx(0.8 + 0.2 * 50 / 98, abs=0.0001)
    assert spread.p99 == pytest.approx(4.5, abs=0.0001)
    assert durations.histogram().spread(max_s=0.0044).p99 == 4.4


def test_a_maximum_is_told_for_the_second_it_was_in_and_the_next() -> None:
    durations, told = Durations(), []
    for second_s in (0.005, 0.001, 0.002, None, None):
        if second_s is not None:
            durations.observe(second_s)
        told.append((durations.recent().count, durations.recent().max))
        durations.roll()
    assert told == [(1, 5), (2, 5), (2, 2), (1, 2), (0, 0)]


def quantile_ms(seconds: list[float], share: float) -> float:
    """The quantile by its definition: rank by rank, evenly spread within a bucket."""
    edges = [0.0, *BOUNDS_S, math.inf]
    rank = share * len(seconds)
    for low, high in itertools.pairwise(edges):
        inside = sum(low < each <= high or each == low == 0.0 for each in seconds)
        if inside and rank <= inside:
            return min(low + (high - low) * rank / inside, max(seconds)) * 1000
        rank -= inside
    raise AssertionError


@given(st.lists(st.sampled_from([0.0, 1e-6, 0.0009, 0.001, 0.0045, 0.02, 3.0, 99.0, 200.0]),
                min_size=1, max_size=120))  # fmt: skip
def test_quantiles_are_those_of_their_definition(seconds: list[float]) -> None:
    spread = of(*seconds).recent()
    assert spread.p50 == pytest.approx(quantile_ms(seconds, 0.5), abs=0.0001)
    assert spread.p99 == pytest.approx(quantile_ms(seconds, 0.99), abs=0.0001)


@given(st.lists(SECONDS, max_size=5), st.lists(SECONDS, max_size=5))
def test_sums_add_up_and_their_difference_is_what_came_since(
    some: list[float], others: list[float]
) -> None:
    early, late = of(*some).histogram(), of(*some, *others).histogram()
    assert late.sum_s == pytest.approx(sum(some) + sum(others))
    assert (early + of(*others).histogram()).sum_s == pytest.approx(late.sum_s)
    assert late.since(early).sum_s == pytest.approx(sum(others), abs=1e-9)
