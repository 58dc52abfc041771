"""What is left in a line when it closes is counted once, as what it is."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from trio_websocket import CloseReason, ConnectionClosed

from echo_trio.behaviours.line import FLUSH, IDLE, OVER, ROOM, Entry, Left, Line, Wait

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


@pytest.mark.parametrize(
    ("wait", "goes_on_at_s", "needs_flush"),
    [
        (Wait(5.0, reading=True), 5.0, False),
        (Wait(5.0, reading=False), 5.0, False),
        (ROOM, 0.0, False),  # Whoever waits for room finds out itself whether there is some.
        (FLUSH, 0.0, True),
    ],
)
def test_a_line_goes_on_when_what_its_head_waits_for_may_be_over(
    wait: Wait, goes_on_at_s: float, needs_flush: bool
) -> None:
    done = list[str]()

    def carry_out(entry: Entry) -> Iterator[Wait]:
        done.append("begun")
        yield wait
        done.append("done")

    line = Line(carry_out)
    line.advance(9.0)
    assert (done, line.wait) == ([], IDLE)
    line.put(Entry(0.0, (), 10))
    line.advance(0.0)
    assert (done, line.wait) == (["begun"], wait)
    if goes_on_at_s:
        line.advance(goes_on_at_s - 0.001)
    if needs_flush:
        line.advance(1000.0)
    assert done == ["begun"]
    line.advance(goes_on_at_s, flushed=needs_flush)
    assert (done, line.wait, line.held_bytes) == (["begun", "done"], IDLE, 0)
    line.end()
    line.put(Entry(0.0, (), 10))
    line.advance(9.0, flushed=True)
    assert (done, line.wait) == (["begun", "done"], OVER)


def test_a_line_whose_entry_raises_is_over_and_does_nothing_more() -> None:
    begun = list[object]()

    def carry_out(entry: Entry) -> Iterator[Wait]:
        begun.append(entry.what)
        raise ZeroDivisionError
        yield

    line = Line(carry_out)
    line.put_message(3.0, "m")
    line.put(Entry(0.0, (), 10, pushed=2))
    with pytest.raises(ZeroDivisionError):
        line.advance(5.0)
    line.advance(9.0, flushed=True)
    assert (begun, line.wait) == (["m"], OVER)
    assert line.close() == Left(1, 2)


def test_a_line_that_is_closed_below_is_over_and_keeps_what_it_was_about() -> None:
    def carry_out(entry: Entry) -> Iterator[Wait]:
        raise ConnectionClosed(CloseReason(1006, None))
        yield

    line = Line(carry_out)
    line.put_message(3.0, "m")
    line.advance(5.0)
    assert line.wait is OVER
    assert line.close() == Left(1, 0)


def test_a_line_gives_out_what_was_put_as_it_was_one_at_a_time() -> None:
    seen, waits = list[Entry](), list[Wait]()

    def carry_out(entry: Entry) -> Iterator[Wait]:
        seen.append(entry)
        if entry.pushed:
            line.put_message(9.0, "from within")
            line.advance(9.0)  # It is under way: nothing happens.
            waits.append(line.wait)
        yield Wait(entry.since_s + 1, reading=True)

    line = Line(carry_out)
    pushed = Entry(2.0, (), 10, pushed=1)
    line.put_message(1.0, b"m")
    line.put(pushed)
    line.advance(1.5)
    assert (len(seen), line.wait) == (1, Wait(2.0, reading=True))
    line.advance(3.0)  # What is over already is not waited for.
    assert seen == [Entry(1.0, b"m", 0, answers=True), pushed, Entry(9.0, "from within", 0, True)]
    assert waits == [OVER]
    assert line.wait == Wait(10.0, reading=True)
    line.end()
    assert line.wait is OVER


def test_while_somebody_waits_for_the_kernel_or_for_room_nothing_is_read() -> None:
    never, at_once = float("inf"), float("-inf")
    waits = {each: tuple(each) for each in (FLUSH, ROOM)}
    assert waits == {FLUSH: (at_once, False), ROOM: (never, False)}
    assert tuple(IDLE) == tuple(OVER) == (never, True)
    assert IDLE is not OVER


def test_a_line_that_is_ended_by_what_it_carries_out_does_nothing_behind_that() -> None:
    begun = list[object]()

    def carry_out(entry: Entry) -> Iterator[Wait]:
        begun.append(entry.what)
        line.end()
        yield Wait(3.0, reading=True)

    line = Line(carry_out)
    for text in "ab":
        line.put_message(0.0, text)
    line.advance(1.0)
    assert (begun, line.wait) == (["a"], Wait(3.0, reading=True))  # That is still done to its end.
    line.advance(3.0)
    assert (begun, line.wait) == (["a"], OVER)
    assert line.close() == Left(1, 0)
