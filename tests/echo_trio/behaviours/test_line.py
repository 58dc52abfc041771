"""What is left in a line when it closes is counted once, as what it is."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from echo_trio.behaviours.line import FLUSH, Entry, Left, Line

MESSAGES = st.one_of(st.text(max_size=9), st.just("x" * 5000))
ENTRIES = st.builds(
    lambda answers, pushed: Entry(0.0, (), 10, answers, 0 if answers else pushed),
    st.booleans(),
    st.integers(0, 3),
)


@given(st.lists(st.one_of(MESSAGES, ENTRIES), max_size=20), st.integers(0, 20))
def test_what_is_left_in_a_line_is_counted_once_as_what_it_is(
    put: list[str | Entry], done: int
) -> None:
    line = Line(lambda _entry: iter((FLUSH,)))
    for each in put:
        if isinstance(each, Entry):
            line.put(each)
        else:
            line.put_message(0.0, each)
    for _ in range(done + 1):  # The first is begun, and is left until it is done.
        line.advance(0.0, flushed=True)
    rest = put[done:]
    assert line.close() == Left(
        sum(not isinstance(each, Entry) or each.answers for each in rest),
        sum(each.pushed for each in rest if isinstance(each, Entry)),
    )
    assert line.held_bytes == 0
