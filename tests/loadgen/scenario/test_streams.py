"""Count what a numbered stream lacks, what came late in it, and what came twice."""

from __future__ import annotations

import pytest

from loadgen.results.scenario import StreamBooks
from loadgen.scenario.streams import MAX_MISSING, Order


def take(*numbers: int) -> tuple[int, int, int]:
    books = StreamBooks()
    order = Order(books)
    for number in numbers:
        order.take(number)
    return books.gaps, books.reordered, books.duplicate


@pytest.mark.parametrize(
    ("numbers", "gaps", "reordered", "duplicate"),
    [
        ((), 0, 0, 0),
        ((0, 1, 2), 0, 0, 0),
        ((7, 8), 0, 0, 0),  # Whoever comes later is owed nothing from before.
        ((1, 3), 1, 0, 0),
        ((1, 5, 6), 3, 0, 0),
        ((1, 3, 2, 4), 0, 1, 0),
        ((1, 4, 3, 2, 5), 0, 2, 0),
        ((1, 1), 0, 0, 1),
        ((1, 3, 2, 2), 0, 1, 1),
        ((5, 4), 0, 0, 1),
    ],
)
def test_each_number_is_one_more_than_the_last(
    numbers: tuple[int, ...], gaps: int, reordered: int, duplicate: int
) -> None:
    assert take(*numbers) == (gaps, reordered, duplicate)


def test_of_a_great_gap_the_newest_missing_numbers_are_remembered() -> None:
    after = MAX_MISSING + 11
    assert take(0, after) == (MAX_MISSING + 10, 0, 0)
    assert take(0, after, after - 1, 11) == (MAX_MISSING + 8, 2, 0)
    assert take(0, after, 10) == (MAX_MISSING + 10, 0, 1)
