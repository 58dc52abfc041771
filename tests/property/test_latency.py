"""Our histogram against sorting, and against the `hdrhistogram` library."""

import math

from hdrh.histogram import HdrHistogram
from hypothesis import given
from hypothesis import strategies as st

from loadgen.results.latency import HIGHEST_US, SIGNIFICANT_DIGITS, Histogram

values = st.one_of(
    st.integers(0, 5000), st.integers(0, HIGHEST_US), st.sampled_from([2**n for n in range(32)])
)
samples = st.lists(values, min_size=1, max_size=200)
percents = st.sampled_from([0, 1, 25, 50, 90, 95, 99, 99.9, 100])


def recorded(sample):
    histogram = Histogram()
    for value_us in sample:
        histogram.record(value_us)
    return histogram


def hdr_of(sample):
    hdr = HdrHistogram(1, HIGHEST_US, SIGNIFICANT_DIGITS)
    for value_us in sample:
        hdr.record_value(value_us)
    return hdr


@given(samples, percents)
def test_a_percentile_is_the_value_of_its_rank_to_one_part_in_a_thousand(sample, percent):
    exact = sorted(sample)[max(math.ceil(len(sample) * percent / 100 - 1e-6), 1) - 1]
    assert exact <= recorded(sample).percentile_us(percent) <= exact * 1.001


@given(samples, st.data())
def test_an_hdr_library_finds_the_same_value_at_every_rank(sample, data):
    rank = data.draw(st.integers(1, len(sample)))
    percent = 100 * rank / len(sample)
    theirs = hdr_of(sample).get_value_at_percentile(percent)
    assert recorded(sample).percentile_us(percent) == min(theirs, max(sample))


@given(samples)
def test_encoded_and_decoded_by_an_hdr_library_all_counts_are_the_same(sample):
    decoded = HdrHistogram.decode(recorded(sample).encode())
    # The library's own iterator over them takes 50 ms, a hundred times as much as all the rest.
    assert decoded.counts[:] == hdr_of(sample).counts[:]
    assert decoded.get_total_count() == len(sample)


@given(st.lists(samples, max_size=5))
def test_histograms_merge_as_if_all_had_been_recorded_in_one(parts):
    merged = Histogram()
    for part in parts:
        merged.merge(recorded(part))
    whole = recorded([value_us for part in parts for value_us in part])
    assert merged.summary() == whole.summary()
    assert merged.encode() == whole.encode()


@given(samples)
def test_the_extremes_and_the_mean_are_exact(sample):
    summary = recorded(sample).summary()
    assert (summary.count, summary.min, summary.max) == (
        len(sample),
        min(sample) / 1000,
        max(sample) / 1000,
    )
    assert abs(summary.mean - sum(sample) / len(sample) / 1000) <= 0.0001


@given(samples)
def test_percentiles_ascend(sample):
    found = recorded(sample).percentiles_us([0, 50, 90, 95, 99, 99.9, 100])
    assert found == sorted(found)
    assert found[-1] == max(sample)
