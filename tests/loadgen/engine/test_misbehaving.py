"""Each kind misbehaves from when it opens until the close phase; on a virtual clock."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import trio
import trio.testing

from loadgen.engine import load_phase
from loadgen.engine.misbehaving import RECEIVE_BUFFER_BYTES, Misbehaving, MisbehavingCrowd
from loadgen.workload.misbehaviour import Behave, Kind
from loadgen.workload.plan import Plan

#: What a peer that never stops sending has for each look at it.
GLANCE_BYTES = 100


class Connection:
    """A connection that notes whether it is read, since when, and what became of it."""

    def __init__(self) -> None:
        self.answers_pings, self.closed, self.bytes_received = True, None, 0
        self.is_read, self.reads, self.read_s, self.dropped_s = True, 0, 0.0, None
        self.asked = 0
        self._since_s = trio.current_time()

    def pause_reading(self) -> None:
        if self.is_read:
            self.read_s += trio.current_time() - self._since_s
        self.is_read = False

    def resume_reading(self) -> None:
        self.asked += 1
        if not self.is_read:
            self.reads += 1
            self.bytes_received += GLANCE_BYTES
            self._since_s = trio.current_time()
        self.is_read = True

    def drop_in_frame(self, text: str) -> None:
        self.dropped_s = trio.current_time()


class Session(SimpleNamespace):
    """A session that notes that its backlog was sent."""

    def __init__(self, connection: Connection | None) -> None:
        super().__init__(connection=connection, sent=0, backlogs=0)

    def send_backlog(self, nursery: trio.Nursery) -> None:
        self.backlogs += 1


@pytest.fixture
async def opened(nursery: trio.Nursery) -> Any:
    """Open a socket of a kind."""

    def make(behave: str) -> tuple[Misbehaving, Session, Connection]:
        parsed = Behave.parse(behave)
        observer = Misbehaving(parsed, Plan(9, behave=(parsed,)), nursery)
        session = Session(Connection())
        observer.opened(session)
        assert session.backlogs == 1
        return observer, session, session.connection

    return make


@pytest.mark.parametrize(
    ("behave", "answers_pings", "is_read"),
    [("no-pong:10%", False, True), ("half-open:10%", False, False),
     ("mid-frame-drop:10%:1s", True, True)],
)  # fmt: skip
async def test_who_neither_answers_nor_reads_does_so_until_all_close(
    opened: Any, behave: str, answers_pings: bool, is_read: bool
) -> None:
    observer, session, connection = opened(behave)
    assert (connection.answers_pings, connection.is_read) == (answers_pings, is_read)
    observer.closing(session)
    assert connection.is_read
    session.connection = None
    observer.closing(session)  # It has ended: there is nothing to do.


async def test_a_slow_reader_reads_at_its_rate_and_looks_for_a_moment_each_time(
    opened: Any, autojump_clock: trio.testing.MockClock
) -> None:
    observer, session, connection = opened("slow-reader:10%:50B/s")
    await trio.sleep(100.0)
    # Of what comes at each look, 100 bytes take 2 s at 50 B/s; the first time it was reading.
    assert 48 <= connection.reads <= 50
    assert connection.read_s < 1.0
    observer.closing(session)
    assert connection.is_read
    asked = connection.asked
    await trio.sleep(100.0)
    assert (connection.is_read, connection.asked) == (True, asked)


async def test_a_slow_reader_to_whom_nothing_comes_looks_as_often_as_for_a_byte(
    opened: Any, autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(globals(), "GLANCE_BYTES", 0)
    _, _, connection = opened("slow-reader:10%:2B/s")
    await trio.sleep(100.0)
    assert connection.reads == pytest.approx(200, abs=3)


async def test_a_slow_reader_whose_socket_has_ended_stops(
    opened: Any, autojump_clock: trio.testing.MockClock
) -> None:
    _, _, connection = opened("slow-reader:10%:50B/s")
    await trio.sleep(10.0)
    connection.closed = object()
    asked = connection.asked
    await trio.sleep(100.0)
    assert connection.asked == asked


async def test_a_frame_is_dropped_when_its_time_has_come_unless_all_close_by_then(
    opened: Any, autojump_clock: trio.testing.MockClock
) -> None:
    began_s = trio.current_time()
    _, _, dropped = opened("mid-frame-drop:10%:3s")
    observer, session, kept = opened("mid-frame-drop:10%:5s")
    await trio.sleep(4.0)
    observer.closing(session)
    await trio.sleep(4.0)
    assert dropped.dropped_s == pytest.approx(began_s + 3.0, abs=0.1)
    assert kept.dropped_s is None


def test_there_is_a_moment_to_catch_up_and_a_slow_reader_has_a_small_buffer() -> None:
    assert Misbehaving.catch_up_s == 0.2
    assert RECEIVE_BUFFER_BYTES == 4096


@pytest.mark.parametrize(
    ("kind", "slots", "sends"),
    [(kind, ["one"], kind is not Kind.HALF_OPEN) for kind in Kind] + [(Kind.NO_PONG, [], False)],
)
async def test_a_crowd_sends_if_it_has_sockets_that_do(
    monkeypatch: pytest.MonkeyPatch, nursery: trio.Nursery, kind: Kind, slots: Any, sends: bool
) -> None:
    ran = []

    async def run(*of: Any) -> None:
        ran.append(of)

    monkeypatch.setattr(load_phase, "run", run)
    plan, context, crowd = Plan(1), object(), SimpleNamespace(slots=slots)
    made = MisbehavingCrowd(Behave(kind, 1.0, 1.0), plan, context, crowd)  # type: ignore[arg-type]
    await made.run_load(nursery)
    assert ran == ([(plan, crowd, context, nursery)] if sends else [])
