import pytest
from hdrh.histogram import HdrHistogram

from loadgen.results.latency import HIGHEST_US, Histogram, Recorder


def filled(*values_us):
    histogram = Histogram()
    for value_us in values_us:
        histogram.record(value_us)
    return histogram


def test_an_empty_histogram_is_all_zero():
    summary = Histogram().summary()
    assert (summary.count, summary.min, summary.mean, summary.p50, summary.max) == (0, 0, 0, 0, 0)
    assert Histogram().percentile_us(99) == 0


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


def test_clocks_that_disagree_count_as_zero():
    histogram = filled(-5)
    assert (histogram.min, histogram.max, histogram.count) == (0, 0, 1)


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
