"""The picture of a distribution: every value is in it, and nothing else."""

from hypothesis import given, settings
from hypothesis import strategies as st

from loadgen.report.distribution import HEIGHT, MIN_COUNT, _column, draw
from loadgen.results.latency import Histogram

values = st.lists(st.integers(0, 3_600_000_000), min_size=MIN_COUNT, max_size=60)


def encoded(values_us):
    histogram = Histogram()
    for value_us in values_us:
        histogram.record(value_us)
    return histogram.encode()


@settings(max_examples=20, deadline=None)
@given(values, st.integers(20, 120))
def test_it_is_as_wide_as_asked_for_and_full_once_and_empty_nowhere(values_us, width):
    lines = draw(encoded(values_us), width)
    assert [len(line) for line in lines] == [width] * (HEIGHT + 1)
    top, bottom = lines[0], lines[HEIGHT - 1]
    assert "█" in top
    assert 1 <= len(bottom.replace(" ", "")) <= len(set(values_us))


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**9))
def test_equal_values_are_one_column(value_us):
    lines = draw(encoded([value_us] * MIN_COUNT), 60)
    assert [len(line.replace(" ", "")) for line in lines[:HEIGHT]] == [1] * HEIGHT


@settings(max_examples=20, deadline=None)
@given(values, st.integers(20, 120))
def test_what_stands_under_it_are_whole_labels_with_blanks_between(values_us, width):
    known = {f"{digit * 10.0**exponent:,g}" for digit in (1, 2, 5) for exponent in range(-4, 9)}
    assert set(draw(encoded(values_us), width)[-1].split()) <= known


def test_one_value_is_seen_beside_a_thousand_others():
    lines = draw(encoded([100] * 1000 + [100_000]), 40)
    assert len(lines[HEIGHT - 1].replace(" ", "")) == 2


def test_a_handful_of_values_is_no_picture():
    assert draw(encoded([1000, 2000]), 60) == []


@given(st.integers(1, 120), st.data())
def test_a_column_has_the_values_from_its_lower_edge_to_just_below_the_next(width, data):
    low, high = 0.5, 20_000.0
    column = data.draw(st.integers(0, width - 1))
    within = data.draw(st.floats(0.001, 0.999))
    value = low * (high / low) ** ((column + within) / width)
    assert _column(value, low, high, width) == column
    assert (_column(low, low, high, width), _column(high, low, high, width)) == (0, width - 1)
