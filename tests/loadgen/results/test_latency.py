import math

import msgspec
import pytest
from hdrh.histogram import HdrHistogram
from hypothesis import given
from hypothesis import strategies as st

from loadgen.report.prometheus import BOUNDS_US
from loadgen.results.latency import (
    HIGHEST_US,
    SIGNIFICANT_DIGITS,
    Histogram,
    Recorder,
    least_count,
)


def filled(*values_us):
    histogram = Histogram()
    for value_us in values_us:
        histogram.record(value_us)
    return histogram


def test_an_empty_histogram_has_no_figures():
    count, *figures = msgspec.structs.astuple(Histogram().summary())
    assert count == 0
    assert figures == [None] * 8
    assert Histogram().percentile_us(99) == 0
    assert Histogram().percentiles_ms([50, 99]) == [None, None]
    assert Histogram().max_ms is None


def test_a_summary_is_in_milliseconds():
    summary = filled(1000, 2000, 3000).summary()
    assert (summary.count, summary.min, summary.mean, summary.p50, summary.max) == (3, 1, 2, 2, 3)


@pytest.mark.parametrize(
    ("count", "percent", "expected"),
    [
        pytest.param(1000, 99.9, 999, id="a-whole-rank"),
        pytest.param(1001, 99.9, 1000, id="rounded-up"),
        pytest.param(1000, 50, 500, id="half"),
        pytest.param(3, 50, 2, id="half-of-three"),
        pytest.param(1, 1, 1, id="the-only-one"),
        pytest.param(1000, 100, 1000, id="all"),
        pytest.param(700, 99.9, 700, id="the-last"),
    ],
)
def test_a_percentile_is_the_least_value_that_so_many_do_not_exceed(count, percent, expected):
    assert filled(*range(1, count + 1)).percentile_us(percent) == expected


def test_no_percentile_exceeds_the_maximum():
    assert filled(5_000_001).percentiles_us([50, 99.9]) == [5_000_001, 5_000_001]


@given(st.lists(st.integers(-10, HIGHEST_US) | st.integers(0, 5000)))
def test_values_that_are_sorted_together_fall_into_the_same_buckets(values):
    recorder = Recorder()
    for value in values:
        recorder.record(value)
    assert recorder.end_second().state == filled(*values).state


@pytest.mark.parametrize("value_us", [-5, -1])
def test_clocks_that_disagree_count_as_zero(value_us):
    for histogram in (filled(value_us), Histogram.of_values([value_us])):
        assert (histogram.min, histogram.max, histogram.count) == (0, 0, 1)
        assert histogram.state == filled(0).state


def test_the_encoded_histogram_has_the_same_counts_for_an_hdr_library():
    values = [0, 1, 2047, 2048, 4097, 10_000, 10_001, 123_456_789, HIGHEST_US, HIGHEST_US * 3]
    decoded = HdrHistogram.decode(filled(*values).encode())
    assert decoded.get_total_count() == len(values)
    for value_us in values:
        assert decoded.get_count_at_value(min(value_us, HIGHEST_US)) >= 1


def test_recording_goes_on_into_the_next_second():
    recorder = Recorder()
    recorder.record(10)
    recorder.record(20)
    assert recorder.total.count == 0
    assert recorder.end_second().count == 2
    recorder.record(30)
    assert recorder.end_second().max == 30
    assert (recorder.total.count, recorder.total.min, recorder.total.max) == (3, 10, 30)


def test_what_was_sorted_in_before_its_second_is_over_belongs_to_that_second():
    recorder = Recorder()
    recorder.record(10)
    recorder.sort_in()
    assert recorder.total.state == filled(10).state
    recorder.record(20)
    recorder.sort_in()
    recorder.record(30)
    assert recorder.end_second().state == filled(10, 20, 30).state
    assert recorder.total.state == filled(10, 20, 30).state
    assert recorder.end_second().count == 0


def test_parts_that_were_sorted_before_belong_to_their_second_all_of_them():
    recorder = Recorder()
    for parts in ([[], [10], [20, 30]], [[40], [], [50]]):
        recorder.record(60)
        for values_us in parts:
            recorder.add(filled(*values_us))
        assert recorder.end_second().state == filled(*sum(parts, [60])).state
    assert recorder.total.state == filled(10, 20, 30, 40, 50, 60, 60).state


def test_each_percentile_of_a_summary_is_its_own():
    summary = filled(*range(1, 1001)).summary()
    assert (summary.p50, summary.p90, summary.p95, summary.p99, summary.p999) == (
        0.5, 0.9, 0.95, 0.99, 0.999
    )  # fmt: skip


def test_a_value_recorded_many_times_counts_as_often_everywhere():
    histogram = Histogram()
    histogram.record(1000, 3)
    histogram.record(5000)
    assert (histogram.count, histogram.summary().mean) == (4, 2.0)
    decoded = HdrHistogram.decode(histogram.encode())
    assert decoded.get_count_at_value(1000) == 3


def test_values_that_come_again_are_in_the_whole_once_a_second():
    recorder = Recorder()
    for second in (1, 2, 3):
        for _ in range(second):
            recorder.record(100)
        recorder.record(200 * second)
        assert recorder.end_second().state.counts == {100: second, 200 * second: 1}
    assert recorder.end_second().count == 0
    assert recorder.total.state.counts == {100: 6, 200: 1, 400: 1, 600: 1}
    assert recorder.total.state.sum == 1800


def test_a_histogram_with_only_large_values_has_them_as_least_when_read_back():
    histogram = Histogram.of(filled(70_000, 90_000).state)
    assert (histogram.min, histogram.max, histogram.count) == (70_000, 90_000, 2)
    assert histogram.summary() == filled(70_000, 90_000).summary()


def test_merging_makes_the_histogram_of_all_values():
    one, other = filled(5000, 6000, 6000), filled(100, 9000)
    one.merge(other)
    both = filled(5000, 6000, 6000, 100, 9000)
    assert one.state == both.state
    assert one.summary() == both.summary()


# -- Properties ------------------------------------------------------------------------------------
# Our histogram against sorting, and against the `hdrhistogram` library.


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


@pytest.mark.parametrize(("percentile", "count"), [("p50", 20), ("p99", 1000), ("p999", 10_000)])
def test_a_percentile_takes_as_many_values_as_put_ten_beyond_it(percentile, count):
    assert least_count(percentile) == count


@given(st.lists(st.integers(0, 2047), max_size=60), st.sets(st.integers(1, 2047), min_size=1))
def test_up_to_each_bound_are_those_that_are_no_larger(sample, bounds):
    ordered = sorted(bounds)
    assert recorded(sample).cumulate(ordered) == [
        sum(value <= bound for value in sample) for bound in ordered
    ]


@given(samples)
def test_a_histogram_read_back_is_the_same_and_its_mean_is_known_to_a_tenth_of_a_microsecond(
    sample,
):
    histogram = Histogram.of(recorded(sample).state)
    assert histogram.summary() == recorded(sample).summary()
    assert (histogram.count, histogram.sum_us) == (len(sample), sum(sample))
    mean_us = math.fsum(sample) / len(sample)
    assert histogram.summary().mean * 1000 == pytest.approx(mean_us, abs=0.051)


@given(
    st.lists(st.tuples(st.sampled_from(["value", "sort", "part", "second"]), samples), max_size=9)
)
def test_each_value_is_in_one_second_and_in_the_whole_however_it_came(steps):
    recorder, second, whole = Recorder(), [], []
    for what, sample in steps:
        if what == "value":
            for value in sample:
                recorder.record(value)
        elif what == "part":
            recorder.add(recorded(sample))
        elif what == "sort":
            recorder.sort_in()
        if what in ("value", "part"):
            second += sample
            whole += sample
        if what == "second":
            assert recorder.end_second().state == recorded(second).state
            second = []
    assert recorder.end_second().state == recorded(second).state
    assert recorder.total.state == recorded(whole).state


def test_a_bucket_has_its_value_in_it_and_is_as_wide_as_a_thousandth():
    edges = (2**n + beside for n in range(12, 32) for beside in (-1, 0, 1))
    for value_us in (*range(2040, 2056), *edges):
        top = filled(value_us, 10**10).percentile_us(1)
        assert value_us <= top <= value_us * 1.001
        assert top == value_us or value_us >= 2048
        if value_us & (value_us - 1) == 0:  # A bucket begins there: the bound takes all of it in.
            sample = filled(value_us - 1, value_us, value_us + 1, 3 * value_us)
            assert sample.cumulate([value_us - 1, 2 * value_us]) == [1, 3]


def test_an_hour_is_the_most_that_an_encoded_histogram_holds():
    assert HIGHEST_US == 3600 * 1_000_000
    assert SIGNIFICANT_DIGITS == 3
    assert Histogram().state.min == HIGHEST_US


def test_a_value_of_just_a_bound_is_within_it_whatever_its_bucket():
    for bound_us in BOUNDS_US:
        histogram = Histogram()
        histogram.record(bound_us)
        assert histogram.cumulate(BOUNDS_US) == [int(each >= bound_us) for each in BOUNDS_US]
