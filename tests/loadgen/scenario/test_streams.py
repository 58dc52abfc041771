"""Count what a numbered stream lacks, what came late in it, and what came twice."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import trio
import trio.testing

from loadgen.results.scenario import ScenarioBooks, StreamBooks
from loadgen.scenario.errors import SocketClosed
from loadgen.scenario.phases import Phases
from loadgen.scenario.streams import MAX_BEHIND, MAX_MISSING, Order, Stream


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


class Socket:
    """As much of a socket as a stream sees."""

    def __init__(self) -> None:
        self.closed: tuple[int, str] | None = None
        self.looked = 0
        self.books = ScenarioBooks()
        self.context = SimpleNamespace(
            phases=Phases(1.0, 1.0), books=self.books, wall_offset_us=1_000_000
        )

    def look_at_kept(self) -> None:
        self.looked += 1

    def check_open(self) -> None:
        if self.closed is not None:
            raise SocketClosed(*self.closed)

    def stream(self, **more: Any) -> Stream:
        whole = {"order": None, "sent_at": None} | more
        socket: Any = self
        return Stream(socket, lambda _: True, self.books.stream("ticks"), **whole)


def test_numbers_and_ages_are_found_where_they_are_said_to_be_and_nothing_else_is_one() -> None:
    socket = Socket()
    stream = socket.stream(order="seq", sent_at="at_ms")
    for value in ({"seq": 1, "at_ms": 1000}, {"seq": True}, {"seq": "2"}, {"seq": 3}, 7):
        stream.take(value, received_us=5000)
    for at_ms in (float("nan"), float("inf"), "1000", None):
        stream.take({"seq": 4, "at_ms": at_ms}, received_us=5000)
    books = socket.books.streams["ticks"]
    assert (books.received, books.gaps, books.duplicate) == (9, 1, 3)
    books.age.end_second()
    # By the wall clock it was read at 1,005 ms.
    assert (books.age.total.count, books.age.total.summary().max) == (1, pytest.approx(5, abs=0.01))
    plain = socket.stream()
    plain.take({"seq": 99, "at_ms": 1}, received_us=0)
    assert (books.received, books.gaps, books.age.total.count) == (10, 1, 1)


async def test_frames_are_handed_out_in_order_until_the_load_ends(nursery: trio.Nursery) -> None:
    socket = Socket()
    stream, seen = socket.stream(), list[Any]()
    stream.take(1, 0)
    stream.take(2, 0)

    async def watch() -> None:
        async for value in stream:
            seen.append(value)
            assert socket.looked == len(seen)  # Each is a call, which passes frames by.
        seen.append("over")

    nursery.start_soon(watch)
    await trio.testing.wait_all_tasks_blocked()
    stream.take(3, 0)
    await trio.testing.wait_all_tasks_blocked()
    assert seen == [1, 2, 3]
    assert len(socket.context.phases._ends_with_load) == 1
    socket.context.phases.end_load()
    await trio.testing.wait_all_tasks_blocked()
    assert seen == [1, 2, 3, "over"]
    stream.take(4, 0)
    await watch()
    assert seen == [1, 2, 3, "over", "over"]
    assert socket.books.streams["ticks"].received == 4


@pytest.mark.parametrize("load_is_over", [False, True])
async def test_a_socket_that_ends_amid_the_load_is_told(
    nursery: trio.Nursery, load_is_over: bool
) -> None:
    socket = Socket()
    stream, ended = socket.stream(), list[type[Exception]]()

    async def watch() -> None:
        try:
            await anext(stream)
        except (SocketClosed, StopAsyncIteration) as exc:
            ended.append(type(exc))

    nursery.start_soon(watch)
    await trio.testing.wait_all_tasks_blocked()
    socket.context.phases.is_load_over = load_is_over
    socket.closed = (4000, "enough")
    stream.end()
    await trio.testing.wait_all_tasks_blocked()
    assert ended == [StopAsyncIteration if load_is_over else SocketClosed]
    # Before it ends the iteration, a stream that nobody waits for tells the same.
    if not load_is_over:
        with pytest.raises(SocketClosed):
            await anext(socket.stream())


async def test_a_script_that_is_busy_as_its_socket_ends_has_the_frames_before_it_and_is_told() -> (
    None
):
    socket = Socket()
    stream = socket.stream()
    for number in range(3):
        stream.take(number, 0)
    assert await anext(stream) == 0
    socket.closed = (4000, "enough")
    stream.end()
    assert [await anext(stream) for _ in range(2)] == [1, 2]
    for _ in range(2):
        with pytest.raises(SocketClosed, match="code 4000: enough"):
            await anext(stream)
    socket.context.phases.end_load()
    with pytest.raises(StopAsyncIteration):
        await anext(stream)


async def test_a_script_that_is_too_slow_for_a_stream_is_told() -> None:
    stream = Socket().stream()
    for number in range(MAX_BEHIND):
        stream.take(number, 0)
    assert await anext(stream) == 0
    stream.take(1, 0)
    stream.take(2, 0)
    with pytest.raises(RuntimeError, match="10,000 were waiting"):
        await anext(stream)


async def test_a_frame_that_comes_after_its_reader_was_called_off_is_for_the_next(
    autojump_clock: trio.testing.MockClock,
) -> None:
    socket = Socket()
    stream = socket.stream()
    with trio.move_on_after(1.0):
        await anext(stream)
        pytest.fail("nothing has come")
    # A user that has left, and all that it had, would be held until the load ends.
    assert not socket.context.phases._ends_with_load
    stream.take("late", received_us=0)
    assert await anext(stream) == "late"


async def test_a_script_is_late_for_a_frame_that_it_awaited_and_for_none_that_had_to_wait(
    autojump_clock: trio.testing.MockClock, nursery: trio.Nursery
) -> None:
    socket = Socket()
    stream = socket.stream()
    stream.take("waits", received_us=0)
    assert await anext(stream) == "waits"
    assert socket.books.script_lag.end_second().count == 0

    async def push() -> None:
        await trio.testing.wait_all_tasks_blocked()
        stream.take("awaited", received_us=0)

    nursery.start_soon(push)
    assert await anext(stream) == "awaited"
    assert socket.books.script_lag.end_second().count == 1
