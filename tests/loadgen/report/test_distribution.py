"""The picture of a distribution: every value is in it, and nothing else."""

import math
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadgen.report.distribution import HEIGHT, MIN_COUNT, _column, _labels, _scale, draw
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


def test_each_column_is_as_high_as_its_share_of_the_highest_in_eighths_of_a_line():
    """Three lines of eight steps: 24 for the most frequent, one at least for any that there is."""
    low_us, width = 1000, 41
    times = {0: 96, 10: 48, 20: 4, 30: 1, 40: 96}
    histogram = Histogram()
    for column, count in times.items():
        histogram.record(round(low_us * 100 ** ((column + 0.5) / width)), count)
    *bars, _ = draw(histogram.encode(), width)
    blocks = " ▁▂▃▄▅▆▇█"
    heights = [sum(blocks.index(line[at]) for line in bars) for at in range(width)]
    tall = [height for height in heights if height]
    assert tall == [24, 12, 1, 1, 24]
    for at in range(width):  # Full below, empty above.
        assert [line[at] for line in bars] == sorted((line[at] for line in bars), key=blocks.index)
    assert (heights[0], heights[-1]) == (24, 24)


@given(st.integers(20, 120), st.floats(1, 10**6), st.floats(1, 10**4))
def test_labels_stand_at_their_columns_and_as_many_as_there_is_room_for(width, low, times):
    high = low * max(times, 3.2)
    line, free, expected = _labels(low, high, width), 0, {}
    assert len(line) == width
    steps = [digit * 10.0**exponent for exponent in range(-2, 12) for digit in (1, 2, 5)]
    for value_us in steps:
        label, start = f"{value_us / 1000:,g}", 0
        if low <= value_us <= high:
            start = min(int(math.log(value_us / low) / math.log(high / low) * width), width - 1)
            if start >= free and start + len(label) <= width:
                expected[start] = label
                free = start + len(label) + 2
    assert {found.start(): found[0] for found in re.finditer(r"\S+", line)} == expected


def test_the_scale_of_values_that_are_nearly_equal_is_half_a_decade_around_them():
    for low, high in ((100, 100), (100, 300), (100, 316), (100, 317), (100, 10_000)):
        left, right = _scale([(low, 1), (high, 1)])
        assert right / left == pytest.approx(max(high / low, math.sqrt(10)))
        assert left * right == pytest.approx(low * high)


@pytest.mark.parametrize(
    ("count", "width"), [(MIN_COUNT, 20), (MIN_COUNT - 1, 20), (MIN_COUNT, 19)]
)
def test_a_picture_takes_twenty_values_and_twenty_columns(count, width):
    assert bool(draw(encoded([1000] * count), width)) == (count >= 20 and width >= 20)


def test_a_value_of_nothing_is_drawn_as_a_microsecond():
    assert draw(encoded([0] * 30), 40)[:3] == draw(encoded([1] * 30), 40)[:3]
