"""Sockets in rooms: who is in which, from when on, and what a frame is a copy of."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from loadgen.engine.books import Books
from loadgen.engine.context import Observer, RunContext
from loadgen.engine.dialer import Dialer
from loadgen.engine.rooms import RoomSession
from loadgen.results.fan_out import Joined, Left, Published
from loadgen.results.ledger import Ending, Ledger
from loadgen.results.verify import Verdict
from loadgen.workload.plan import Plan
from loadgen.workload.sources import Sources


class Events(list[Any]):
    """What is told of rooms."""

    def take(self, event: object) -> None:
        self.append(event)

    def take_copy(self, received_us: int, room: int, conn: int, key: object) -> None:
        assert received_us > 0
        self.append((room, conn, key))


@pytest.mark.parametrize("conn", [0, 2, 3, 7])
def test_a_socket_is_in_its_room_before_it_says_anything_there(conn: int) -> None:
    plan, ledger = Plan(8, url="ws://there/{room}", verify="fan-out", rooms=3), Ledger(8)
    context = RunContext(plan, Dialer([], Sources(())), None, Books(ledger), Observer())
    events = context.fan_out = Events()
    session = RoomSession(conn, context)
    sent = list[str]()
    connection: Any = SimpleNamespace(send_nowait=lambda message: not sent.append(message))
    session.settle_open(connection, 7, lambda: session.send(0, None))  # type: ignore[arg-type]
    assert [type(event) for event in events] == [Joined, Published]
    assert {(event.room, event.conn) for event in events} == {(conn % 3, conn)}
    assert (ledger.opened, ledger.published, len(sent)) == (1, 1, 1)
    other = RoomSession((conn + 3) % 8, context)
    for frame in (sent[0], sent[0], "nobody's"):
        other._receive(frame)
    assert [event[:2] for event in events[2:]] == [(other.conn % 3, other.conn)] * 2
    assert (ledger.verdicts[Verdict.COPIES], ledger.verdicts[Verdict.UNEXPECTED]) == (2, 1)


@pytest.mark.parametrize("closing", [False, True])
def test_who_ends_before_all_are_closed_has_left_its_room(closing: bool) -> None:
    plan, ledger = Plan(8, url="ws://there/{room}", verify="fan-out", rooms=3), Ledger(8, opened=1)
    context = RunContext(plan, Dialer([], Sources(())), None, Books(ledger), Observer())
    events = context.fan_out = Events()
    session = RoomSession(4, context)
    context.closing = closing
    ended: Any = SimpleNamespace(
        failure=None, evicted=False, closed_first="peer", close_received=1001, close_reason="",
        bytes_received=0,
    )  # fmt: skip
    session._book_ending(ended)
    assert ledger.closed == {Ending.BY_PEER: 1}
    assert [(type(event), event.room, event.conn) for event in events] == (
        [] if closing else [(Left, 1, 4)]
    )


def test_what_frames_are_copies_of_is_known_of_the_last_few_thousand_alone() -> None:
    plan = Plan(8, url="ws://there/{room}", verify="fan-out", rooms=3)
    context = RunContext(plan, Dialer([], Sources(())), None, Books(Ledger(8)), Observer())
    context.fan_out = Events()
    session = RoomSession(0, context)
    copies = context.copies
    assert copies is not None
    assert RoomSession(1, context)._context.copies is copies  # One for all.
    for number in range(10_000):
        assert copies.find(f"nobody's {number}") is None
        assert len(copies._known) <= 4096
    message = context.payloads.render(session.conn, 5)
    assert copies.find(message) == copies.find(message) == (0, 5)
    assert copies.find(b"\xff") is None


def test_what_is_published_and_received_is_counted_with_its_bytes_and_how_late_it_was() -> None:
    plan, ledger = Plan(1, verify="fan-out"), Ledger(1)
    books = Books(ledger)
    context = RunContext(plan, Dialer([], Sources(())), None, books, Observer())
    context.fan_out = events = Events()
    session = RoomSession(0, context)
    session._book_sent("é" * 10, 1000, 1250)
    session._receive("é" * 7)
    assert (ledger.sent, ledger.sent_bytes, ledger.received, ledger.received_bytes) == (
        1, 20, 1, 14
    )  # fmt: skip
    assert [(event.at_us, event.seq) for event in events] == [(1250, 0)]
    books.end_second()
    assert books.scheduling_lag.total.state.counts == {250: 1}
