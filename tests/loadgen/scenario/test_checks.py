import pytest

from loadgen.results.scenario import ScenarioBooks
from loadgen.scenario import check
from loadgen.scenario.context import BOOKS


def test_a_check_whose_arguments_are_swapped_is_an_error_of_the_script():
    books = ScenarioBooks()
    token = BOOKS.set(books)
    try:
        with pytest.raises(TypeError, match=r"takes its name first, as text, not True"):
            check(True, "price is positive")
        assert check("price is positive", 1) is True
        assert check("price is positive", "") is False
    finally:
        BOOKS.reset(token)
    assert {name: (one.passed, one.failed) for name, one in books.checks.items()} == {
        "price is positive": (1, 1)
    }


def test_without_a_run_a_check_says_the_same_and_counts_nowhere():
    assert BOOKS.get() is None
    assert (check("a", [1]), check("a", None)) == (True, False)
