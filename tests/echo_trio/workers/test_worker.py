"""A worker does what its supervisor says, and reports often, as long as that costs little."""

from __future__ import annotations

import itertools
import os
import signal
import socket
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import trio
from structlog.testing import LogCapture

from echo_trio.flags import EXIT_USAGE
from echo_trio.forks.server import FOR_THE_PARENT
from echo_trio.metrics.counters import Outcome, ServerSnapshot
from echo_trio.settings import Settings
from echo_trio.wire import sockets
from echo_trio.workers import worker as worker_module
from echo_trio.workers.channel import (
    AskReport,
    Drain,
    FaultsSet,
    Ready,
    Reload,
    SetFaults,
    ShowTasks,
    SnapshotReport,
    Start,
    Tasks,
    supervisor_end,
)
from echo_trio.workers.worker import (
    Reports,
    Worker,
    _read_descriptors,
    good_for,
    serve_supervised,
)

from ..conftest import CLOSE, handshake, log_to

#: A hang guard, nothing else.
PATIENCE_S = 60.0


@pytest.mark.parametrize(
    ("took_s", "asked_s", "unasked_s"),
    [
        (0.0, 0.0, 0.0),
        (0.001, 0.0, 0.0),
        (0.002, 0.4, 2.0),
        (0.020, 4.0, 20.0),
        (0.029, 5.0, 29.0),
        (0.5, 5.0, 30.0),
    ],
)
def test_who_needs_long_to_add_traffic_up_does_it_rarely_and_most_rarely_for_nobody(
    took_s: float, asked_s: float, unasked_s: float
) -> None:
    assert good_for(took_s, asked=True) == pytest.approx(asked_s)
    assert good_for(took_s, asked=False) == pytest.approx(unasked_s)


class Left(Exception):
    """The process has ended."""


class Supervised:
    """A worker in this process, and the supervisor's end of its channel."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair()
        for end in (ours, theirs):
            end.setblocking(False)
        self.channel = supervisor_end(ours)
        self.listeners = sockets.listen("127.0.0.1", 0)
        self.logged = LogCapture()
        self.status: int | None = None
        self.exits = list[int]()
        self.over = trio.Event()
        self._sock = theirs

    async def run(self) -> None:
        try:
            self.status = await serve_supervised(self._sock, self.listeners)
        except* Left:
            pass
        self.over.set()

    async def hear(self) -> Any:
        with trio.fail_after(PATIENCE_S):
            return await self.channel.hear()

    async def snapshot_when(self, holds: Callable[[ServerSnapshot], bool]) -> ServerSnapshot:
        """Wait for a report of which this holds."""
        while True:
            report = await self.hear()
            assert isinstance(report, SnapshotReport)
            if holds(report.snapshot):
                return report.snapshot

    async def begin(self, workers: int = 3, **settings: Any) -> SnapshotReport:
        """Have it serve; return its first report."""
        settings = {"port": 0, "console": False, "drain_timeout_s": 5.0} | settings
        await self.channel.say(Start(2, Settings(**settings), workers))
        first = await self.hear()
        assert isinstance(first, SnapshotReport)
        assert await self.hear() == Ready()
        return first

    async def end(self) -> None:
        with trio.fail_after(PATIENCE_S):
            await self.over.wait()


@pytest.fixture
async def supervised(
    nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Supervised]:
    made = Supervised()

    def leave(code: int) -> None:
        made.exits.append(code)
        raise Left

    def configure(_: Settings) -> Any:
        return log_to(made.logged)

    monkeypatch.setattr(os, "_exit", leave)
    monkeypatch.setattr(worker_module.logs, "configure", configure)
    # What a process of its own does to itself is nothing for this one.
    monkeypatch.setattr(worker_module.process, "spare_long_lived_objects", lambda: None)
    monkeypatch.setattr(worker_module.process, "keep_large_buffers", lambda: None)
    nursery.start_soon(made.run)
    yield made
    made.channel.close()
    await made.end()
    for listener in made.listeners:
        listener.close()


async def test_a_worker_serves_reports_answers_and_drains_as_it_is_told(supervised) -> None:
    assert (await supervised.begin()).snapshot.accepted == 0
    host, port = supervised.listeners[0].getsockname()
    async with await trio.open_tcp_stream(host, port) as client:
        await client.send_all(handshake())
        assert (await client.receive_some()).startswith(b"HTTP/1.1 101 ")
        now = await supervised.snapshot_when(lambda now: now.open == 1)
        assert (now.accepted, now.url) == (1, f"ws://127.0.0.1:{port}/")
        await supervised.channel.say(ShowTasks())
        while not isinstance(report := await supervised.hear(), Tasks):
            assert isinstance(report, SnapshotReport)
        assert report.tree.name == "<init>"
        await supervised.channel.say(Reload())
        await supervised.channel.say(Drain(0.25))
        assert (await client.receive_some()).startswith(b"\x88")
        await client.send_all(CLOSE)
        assert await client.receive_some() == b""
    last = None
    while (report := await supervised.hear()) is not None:
        assert isinstance(report, SnapshotReport)
        last = report.snapshot
    assert last is not None
    assert (last.accepted, last.open, last.outcomes) == (1, 0, {Outcome.CLEAN: 1})
    await supervised.end()
    assert (supervised.status, supervised.exits) == (0, [])
    events = [line["event"] for line in supervised.logged.entries]
    assert events == ["the worker serves", "there is no certificate to read again"]
    serves = supervised.logged.entries[0]
    assert (serves["worker"], serves["pid"]) == (2, os.getpid())


async def test_the_time_of_a_drain_is_that_since_it_should_have_begun(supervised) -> None:
    """An hour late, nobody has any time left to answer."""
    await supervised.begin(drain_timeout_s=3600.0)
    async with await trio.open_tcp_stream(*supervised.listeners[0].getsockname()) as client:
        await client.send_all(handshake())
        assert (await client.receive_some()).startswith(b"HTTP/1.1 101 ")
        await supervised.snapshot_when(lambda now: now.open == 1)
        await supervised.channel.say(Drain(3600.0))
        now = await supervised.snapshot_when(lambda now: not now.open)
    assert now.outcomes == {Outcome.DROPPED: 1}
    await supervised.end()


@pytest.mark.parametrize("first", [None, Drain(), ShowTasks()])
async def test_a_worker_that_is_told_nothing_to_serve_ends(supervised, first) -> None:
    if first is None:
        supervised.channel.close()
    else:
        await supervised.channel.say(first)
    await supervised.end()
    assert supervised.status == EXIT_USAGE
    assert all(listener.fileno() >= 0 for listener in supervised.listeners)


async def test_a_worker_whose_certificate_is_gone_says_so_and_ends(supervised) -> None:
    settings = Settings(port=0, console=False, tls_cert=Path("/nowhere/cert.pem"))
    await supervised.channel.say(Start(1, settings, 2))
    await supervised.end()
    assert supervised.status == EXIT_USAGE
    (line,) = supervised.logged.entries
    assert (line["event"], line["worker"], line["log_level"]) == ("can't serve", 1, "error")
    assert "/nowhere/cert.pem" in line["reason"]


async def test_a_worker_whose_supervisor_is_gone_ends_at_once_with_a_fault(supervised) -> None:
    await supervised.begin()
    supervised.channel.close()
    await supervised.end()
    assert (supervised.status, supervised.exits) == (None, [1])


async def test_faults_are_said_to_hold_once_they_do(supervised) -> None:
    await supervised.begin(upstream="ws://127.0.0.1:1", fault="~silent")
    await supervised.channel.say(SetFaults("~delay/1s"))
    while not isinstance(report := await supervised.hear(), FaultsSet):
        assert report.snapshot.faults == "~silent"
    assert report == FaultsSet("~delay/1s")
    await supervised.snapshot_when(lambda now: now.faults == "~delay/1s")
    await supervised.channel.say(Drain())
    await supervised.end()


async def test_rooms_are_for_those_that_are_alone(supervised) -> None:
    await supervised.begin(workers=2)
    async with await trio.open_tcp_stream(*supervised.listeners[0].getsockname()) as client:
        await client.send_all(handshake("/room/x"))
        assert (await client.receive_some()).startswith(b"HTTP/1.1 501 ")
    await supervised.channel.say(Drain())
    await supervised.end()


class Adding:
    """The snapshots of a worker that needs this long to add traffic up, and what was reported."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, takes_s: float) -> None:
        self.said = list[tuple[float, Any]]()
        self.slow_s = dict[int, float]()  # what it takes to say these
        self._added_up = itertools.count(1)
        self._began_s = trio.current_time()
        seconds = itertools.count(0, takes_s)
        monkeypatch.setattr(
            worker_module, "time", SimpleNamespace(thread_time=lambda: next(seconds))
        )
        channel: Any = SimpleNamespace(say=self._say)
        self.reports = Reports(channel, self._take)

    def _take(self, known: Any = None) -> Any:
        return next(self._added_up) if known is None else f"{known} again"

    async def _say(self, report: Any) -> None:
        moment_s = trio.current_time() - self._began_s
        self.said.append((round(moment_s, 3), report.snapshot))
        await trio.sleep(self.slow_s.get(len(self.said), 0))


async def test_reports_come_once_a_second_and_none_that_a_slow_reader_has_missed(
    monkeypatch: pytest.MonkeyPatch, autojump_clock
) -> None:
    adding = Adding(monkeypatch, takes_s=0.0005)
    adding.slow_s = {2: 0.3, 4: 7}
    with trio.move_on_after(12.5):
        await adding.reports.report_forever()
    assert [moment_s for moment_s, _ in adding.said] == [1, 2, 3, 4, 11, 12]
    # Who has few connections adds up their traffic each time.
    assert [snapshot for _, snapshot in adding.said] == [1, 2, 3, 4, 5, 6]


async def test_traffic_that_takes_long_to_add_up_is_repeated_until_it_is_old_or_asked_for(
    monkeypatch: pytest.MonkeyPatch, autojump_clock
) -> None:
    adding = Adding(monkeypatch, takes_s=0.0029)
    with trio.move_on_after(7.5):
        await adding.reports.report_forever()
    assert [snapshot for _, snapshot in adding.said] == [
        1, "1 again", "1 again", 2, "2 again", "2 again", 3,
    ]  # fmt: skip
    adding.said.clear()
    for number in range(1, 4):  # At 7.5: half a second later; for who asks that is too old at 0.6.
        await adding.reports.report(number)
        await trio.sleep(0.2)
    assert [snapshot for _, snapshot in adding.said] == ["3 again", 4, "4 again"]


async def test_who_is_asked_answers_at_once_with_what_open_connections_have_sent(
    supervised,
) -> None:
    await supervised.begin()
    async with await trio.open_tcp_stream(*supervised.listeners[0].getsockname()) as client:
        await client.send_all(handshake())
        assert (await client.receive_some()).startswith(b"HTTP/1.1 101 ")
        for number in range(1, 6):
            await client.send_all(b"\x81\x81" + bytes(4) + b"x")
            assert (await client.receive_some()).startswith(b"\x81")
            await supervised.channel.say(AskReport(number))
            while not (report := await supervised.hear()).answers:
                assert isinstance(report, SnapshotReport)
            assert (report.answers, report.snapshot.messages_received) == (number, number)
    await supervised.channel.say(Drain())
    await supervised.end()


async def test_the_last_report_repeats_nothing_however_long_adding_up_takes(
    supervised, monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds = itertools.count()  # A second each time: good enough for half a minute.
    monkeypatch.setattr(worker_module, "time", SimpleNamespace(thread_time=lambda: next(seconds)))
    await supervised.begin()
    async with await trio.open_tcp_stream(*supervised.listeners[0].getsockname()) as client:
        await client.send_all(handshake())
        assert (await client.receive_some()).startswith(b"HTTP/1.1 101 ")
        await client.send_all(b"\x81\x81" + bytes(4) + b"x")
        assert (await client.receive_some()).startswith(b"\x81")
        await client.send_all(CLOSE)
        assert (await client.receive_some()).startswith(b"\x88")
    await supervised.channel.say(AskReport(1))
    now = await supervised.snapshot_when(lambda now: now.accepted == 1)
    assert now.messages_received == 0  # as when it began to serve
    await supervised.channel.say(Drain())
    last = now
    while (report := await supervised.hear()) is not None:
        last = report.snapshot
    assert (last.messages_received, last.messages_sent, last.outcomes) == (
        1, 1, {Outcome.CLEAN: 1},
    )  # fmt: skip
    await supervised.end()


async def test_one_alone_is_used_like_the_server_that_it_has(monkeypatch) -> None:
    logged = LogCapture()
    monkeypatch.setattr(worker_module.process, "spare_long_lived_objects", lambda: None)
    settings = Settings(port=0, console=False, upstream="ws://127.0.0.1:1", fault="~silent")
    worker = Worker.listen(settings, log_to(logged))
    with trio.fail_after(PATIENCE_S):
        async with trio.open_nursery() as nursery:
            await nursery.start(worker.run)
            assert worker.snapshot().url == worker.url
            assert (worker.open, worker.faults, worker.budget.held_bytes) == (0, "~silent", 0)
            await worker.set_faults("~drop/3")
            assert worker.snapshot().faults == worker.faults == "~drop/3"
            assert (await worker.tasks()).name == "<init>"
            worker.activity.note()
            worker.reload()
            worker.abandon()
            worker.drain()
    assert [line["event"] for line in logged.entries] == ["there is no certificate to read again"]


def test_only_descriptors_that_are_open_are_taken_for_inherited() -> None:
    one, other = os.pipe()
    try:
        assert _read_descriptors([]) == []
        assert _read_descriptors([str(one), str(other)]) == [one, other]
        assert _read_descriptors([str(one), "x"]) == []
    finally:
        os.close(one)
        os.close(other)
    assert _read_descriptors([str(one)]) == []


def test_a_process_that_is_a_worker_leaves_signals_to_its_supervisor(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    done = list[Any]()
    monkeypatch.setattr(worker_module.os, "setpgid", lambda *who: done.append(who))
    for name in ("signal", "pthread_sigmask"):
        monkeypatch.setattr(worker_module.signal, name, lambda *what: done.append(what))

    def run(serve: Any, channel: socket.socket, listeners: list[socket.socket]) -> int:
        assert serve is serve_supervised
        assert [each.getblocking() for each in (channel, *listeners)] == [False] * 3
        assert [each.fileno() for each in (channel, *listeners)] == numbers
        for each in (channel, *listeners):
            each.close()
        return 7

    monkeypatch.setattr(worker_module.trio, "run", run)
    numbers = [each.detach() for each in (*socket.socketpair(), socket.socket())]
    assert worker_module.main(numbers) == 7
    ignored = [(number, signal.SIG_IGN) for number in FOR_THE_PARENT]
    assert done == [(0, 0), *ignored, (signal.SIG_UNBLOCK, FOR_THE_PARENT)]
