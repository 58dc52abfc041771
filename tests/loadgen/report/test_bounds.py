"""Take data from a file up to its bounds, and nothing beyond."""

import math

import pytest

from loadgen.report import bounds
from loadgen.report.bounds import MAX_DEPTH, MAX_NUMBER, Malformed
from loadgen.results.latency import Histogram


def nest(value, depth):
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize("place", [lambda n: n, lambda n: [n], lambda n: {"a": {"b": n}}])
@pytest.mark.parametrize("sign", [1, -1])
def test_a_number_may_be_as_large_as_is_exact_and_no_larger(place, sign):
    bounds.check(place(sign * MAX_NUMBER))
    bounds.check(place(sign * float(MAX_NUMBER)))
    for beyond in (MAX_NUMBER + 1, float(MAX_NUMBER + 2), 10**400, math.inf):
        with pytest.raises(Malformed, match="out of range"):
            bounds.check(place(sign * beyond))
    with pytest.raises(Malformed, match="out of range"):
        bounds.check(place(math.nan))


def test_data_may_be_nested_as_deep_as_the_bound_and_no_deeper():
    bounds.check(nest(1, MAX_DEPTH))
    with pytest.raises(Malformed, match="too deep"):
        bounds.check(nest(1, MAX_DEPTH + 1))


def test_a_histogram_of_a_report_is_taken_whatever_times_are_in_it():
    histogram = Histogram()
    for value_us in (0, 1, 2047, 2048, 10**6, 3_600_000_000):
        histogram.record(value_us, 10**9)
    decoded = bounds.decode_histogram(histogram.encode())
    assert decoded.get_total_count() == histogram.count
