"""Sockets in rooms: who is in which, from when on, and what a frame is a copy of."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from loadgen.engine.books import Books
from loadgen.engine.context import Observer, RunContext
from loadgen.engine.dialer import Dialer
from loadgen.engine.rooms import RoomSession
from loadgen.results.fan_out import Joined, Published
from loadgen.results.ledger import Ledger
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
