"""Every recorder of the books has its second, and all agree in the middle of one."""

from __future__ import annotations

from loadgen.engine.books import Books
from loadgen.results.ledger import Ledger

RECORDERS = ("connect", "intended", "service", "scheduling_lag")


def test_what_is_recorded_is_in_its_own_histogram_when_it_is_sorted_in_or_the_second_ends():
    books, recorded = Books(Ledger(1)), {name: list[int]() for name in RECORDERS}

    def record(value_us: int) -> None:
        for number, name in enumerate(RECORDERS):
            getattr(books, name).record(value_us + number)
            recorded[name].append(value_us + number)

    def totals() -> dict[str, list[int]]:
        return {name: sorted(getattr(books, name).total.state.counts) for name in RECORDERS}

    for second in (1, 2):
        record(100 * second)
        books.sort_in()
        assert totals() == {name: sorted(values) for name, values in recorded.items()}
        record(10 * second)
        # The second has both, and no other recorder's.
        assert sorted(books.end_second().state.counts) == recorded["intended"][:-3:-1]
        assert totals() == {name: sorted(values) for name, values in recorded.items()}
    assert books.end_second().count == 0
