"""What a supervisor decides."""

from __future__ import annotations

import errno
import os
import re
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import structlog
import trio
from structlog.testing import LogCapture
from trio.testing import wait_all_tasks_blocked

from echo_trio.metrics import totals
from echo_trio.metrics.counters import Histograms, Outcome, ServerSnapshot
from echo_trio.metrics.durations import Durations, Spread
from echo_trio.metrics.nursery_tree import TaskNode
from echo_trio.settings import Settings
from echo_trio.workers import supervisor as supervisor_module
from echo_trio.workers.channel import (
    Drain,
    FaultsSet,
    Ready,
    Reload,
    SetFaults,
    ShowTasks,
    SnapshotReport,
    Start,
    Tasks,
    worker_end,
)
from echo_trio.workers.supervisor import (
    ANSWER_S,
    CHANGE_S,
    FIRST_PAUSE_S,
    LONG_LIFE_S,
    LONGEST_PAUSE_S,
    OWN_END_S,
    QUEUE_PATIENCE_S,
    WORKER,
    Supervisor,
    WorkerFailed,
    _describe,
    next_pause_s,
    share,
)

#: A hang guard, by the virtual clock.
HANGS_S = 600.0


def test_the_first_restart_is_soon_and_those_that_die_at_once_wait_ever_longer() -> None:
    pauses = [0.0]
    for _ in range(12):
        pauses.append(next_pause_s(pauses[-1], lived_s=0.3))
    assert pauses[1] == FIRST_PAUSE_S < QUEUE_PATIENCE_S
    assert pauses[2:9] == [2 * earlier for earlier in pauses[1:8]]
    assert pauses[-1] == LONGEST_PAUSE_S


def test_after_a_long_life_the_next_is_soon_again() -> None:
    assert next_pause_s(LONGEST_PAUSE_S, lived_s=LONG_LIFE_S) == FIRST_PAUSE_S


@pytest.mark.parametrize(
    ("status", "text"),
    [
        (-9, "killed by SIGKILL"),
        (0, "exit status 0"),
        (1, "exit status 1"),
        (None, "how it ended is not known"),
    ],
)
def test_how_a_worker_ended_is_said_in_words(status: int | None, text: str) -> None:
    assert _describe(status) == text


@pytest.mark.parametrize(
    ("at_most", "workers", "shares"),
    [(10, 2, [5, 5]), (11, 3, [4, 4, 3]), (3, 3, [1, 1, 1]), (0, 2, [0, 0])],
)
def test_the_most_connections_are_shared_and_no_limit_is_none_for_each(
    at_most: int, workers: int, shares: list[int]
) -> None:
    settings = Settings(max_connections=at_most, workers=workers, seed=7)
    shared = share(settings)
    assert [its.max_connections for its in shared] == shares
    assert {its.seed for its in shared} == {7}


def test_fewer_connections_than_workers_cannot_be_shared() -> None:
    with pytest.raises(ValueError, match="--max-connections: 2 can't be shared by --workers 3"):
        Settings(max_connections=2, workers=3)


class Reports:
    """What a worker says, one thing after the other."""

    def __init__(self, *reports: Any) -> None:
        self._reports = reports

    async def __aiter__(self) -> AsyncIterator[Any]:
        for report in self._reports:
            await trio.lowlevel.checkpoint()
            yield report


@pytest.fixture
async def supervisor() -> AsyncIterator[Supervisor]:
    """Of two workers, neither of which is there."""
    settings = Settings(port=0, workers=2, console=False)
    made = Supervisor.listen(settings, structlog.wrap_logger(None, processors=[LogCapture()]))
    yield made
    for place in made._places:
        place.stop_listening()


def worker(accepted: int, open_: int, handshaking: int = 0) -> ServerSnapshot:
    ended = accepted - open_ - handshaking
    return replace(
        totals.nothing(), accepted=accepted, open=open_, handshaking=handshaking, peak_open=open_,
        outcomes={Outcome.CLEAN: ended} if ended else {},
    )  # fmt: skip


async def test_all_that_workers_counted_who_died_one_after_the_other_is_kept(supervisor) -> None:
    first, second = supervisor._places
    assert supervisor._retire(first) == 0
    for accepted, open_, handshaking in ((10, 3, 1), (20, 0, 2), (5, 5, 0)):
        first.now = worker(accepted, open_, handshaking)
        assert supervisor._retire(first) == open_ + handshaking
        assert first.now is None
    second.now = worker(100, 40)
    now = supervisor.snapshot()
    assert (now.accepted, now.open, now.handshaking, now.workers) == (135, 40, 0, 1)
    assert now.outcomes == {Outcome.CLEAN: 6 + 18 + 60, Outcome.LOST_WITH_WORKER: 11}
    assert now.close_codes == {1006: 8}
    assert supervisor.open == 40


async def test_the_peak_is_the_most_that_all_workers_had_open_at_a_time(supervisor) -> None:
    first, second = supervisor._places
    events = (trio.Event(), trio.TASK_STATUS_IGNORED)

    async def tell(place: Any, open_: int) -> None:
        report = SnapshotReport(worker(100, open_))
        await supervisor._listen_to(place, Reports(report), *events)

    for place, open_ in ((first, 5), (second, 7), (first, 2), (second, 1), (first, 9)):
        await tell(place, open_)
    assert supervisor.open == 10
    assert supervisor.snapshot().peak_open == 12


async def test_a_worker_that_is_ready_is_asked_and_one_that_is_gone_is_not(supervisor) -> None:
    first, _ = supervisor._places
    served, reports = trio.Event(), Reports(Ready())
    await supervisor._listen_to(first, reports, served, trio.TASK_STATUS_IGNORED)
    assert served.is_set()
    assert first.channel is None


@pytest.mark.parametrize(("drain_timeout_s", "own_s"), [(0.4, 0.1), (1000.0, OWN_END_S)])
async def test_a_supervisor_leaves_three_quarters_of_a_drain_to_its_workers_at_least(
    drain_timeout_s: float, own_s: float
) -> None:
    settings = Settings(port=0, workers=2, console=False, drain_timeout_s=drain_timeout_s)
    made = Supervisor.listen(settings, structlog.wrap_logger(None, processors=[LogCapture()]))
    for place in made._places:
        place.stop_listening()
    assert made._own_end_s == pytest.approx(own_s)


class FakeProcess:
    """A worker's process, as the supervisor sees it."""

    pid = 1

    def __init__(self, on_end: Callable[[], None]) -> None:
        self.returncode: int | None = None
        self._on_end = on_end
        self._over = trio.Event()

    def end(self, code: int) -> None:
        if self.returncode is None:
            self.returncode = code
            self._on_end()
            self._over.set()

    def send_signal(self, number: int) -> None:
        self.end(-number)

    def kill(self) -> None:
        self.end(-9)

    async def wait(self) -> int | None:
        await self._over.wait()
        return self.returncode


class FakeWorker:
    """A worker without a server: says what the test wants."""

    def __init__(self, title: str, descriptors: Sequence[int]) -> None:
        self.title = title
        sock, *self.listeners = (socket.socket(fileno=os.dup(each)) for each in descriptors)
        sock.setblocking(False)
        self.channel = worker_end(sock)
        self.process = FakeProcess(self._let_go)

    def _let_go(self) -> None:
        self.channel.close()
        for listener in self.listeners:
            listener.close()

    async def hear(self) -> Any:
        with trio.fail_after(HANGS_S):
            return await self.channel.hear()

    async def serve(self, snapshot: ServerSnapshot) -> Start:
        start = await self.hear()
        await self.channel.say(SnapshotReport(snapshot))
        await self.channel.say(Ready())
        await wait_all_tasks_blocked()
        assert isinstance(start, Start)
        return start


class FakeStarter:
    """Starts workers that the test plays."""

    def __init__(self) -> None:
        self.failure: OSError | None = None
        self.ended = False
        self.put, self.take = trio.open_memory_channel[FakeWorker](100)

    async def start(self, title: str, descriptors: Sequence[int]) -> FakeProcess:
        await trio.lowlevel.checkpoint()
        if self.failure is not None:
            raise self.failure
        worker = FakeWorker(title, descriptors)
        self.put.send_nowait(worker)
        return worker.process

    def end(self) -> None:
        self.ended = True


class Supervised:
    """A supervisor that runs, whose workers the test plays."""

    def __init__(self, **settings: Any) -> None:
        self.logged, self.starter = LogCapture(), FakeStarter()
        self.started_s: float | None = None
        self.failed = ""
        self.over = trio.Event()
        self.it = Supervisor.listen(
            Settings(port=0, workers=2, console=False, **settings),
            structlog.wrap_logger(None, processors=[self.logged]),
            self.starter,  # type: ignore[arg-type]
        )

    def started(self, _: None = None) -> None:
        self.started_s = trio.current_time()

    async def run(self) -> None:
        try:
            await self.it.run(task_status=self)  # type: ignore[arg-type]
        except* WorkerFailed as group:
            failed: BaseException = group
            while isinstance(failed, BaseExceptionGroup):
                failed = failed.exceptions[0]
            self.failed = str(failed)
        finally:
            self.over.set()

    async def next(self) -> FakeWorker:
        with trio.fail_after(HANGS_S):
            return await self.starter.take.receive()

    async def both(self) -> list[FakeWorker]:
        return sorted([await self.next(), await self.next()], key=lambda each: each.title)

    async def end(self) -> None:
        with trio.fail_after(HANGS_S):
            await self.over.wait()

    def lines(self, event: str) -> list[dict[str, Any]]:
        return [dict(line) for line in self.logged.entries if line["event"] == event]


@pytest.fixture
async def supervise(nursery: trio.Nursery) -> Callable[..., Supervised]:
    def start(**settings: Any) -> Supervised:
        supervised = Supervised(**settings)
        nursery.start_soon(supervised.run)
        return supervised

    return start


async def test_it_serves_once_each_worker_does_and_each_has_its_share(
    supervise, autojump_clock
) -> None:
    served = supervise(max_connections=11, seed=7)
    first, second = await served.both()
    assert [each.title for each in (first, second)] == [f"{WORKER} 1/2", f"{WORKER} 2/2"]
    ports = {listener.getsockname() for each in (first, second) for listener in each.listeners}
    assert [f"ws://127.0.0.1:{port}/" for _, port in ports] == [served.it.url]
    starts = [await first.serve(worker(10, 3))]
    assert served.started_s is None
    starts.append(await second.serve(worker(100, 40)))
    assert served.started_s is not None
    assert [(each.number, each.workers) for each in starts] == [(1, 2), (2, 2)]
    assert [each.settings.max_connections for each in starts] == [6, 5]
    assert {each.settings.seed for each in starts} == {7}
    now = served.it.snapshot()
    assert (now.accepted, now.open, now.peak_open, now.workers) == (110, 43, 43, 2)
    assert (now.url, now.draining, now.upstream, now.faults) == (served.it.url, False, None, None)
    served.it.abandon()
    assert [each.process.returncode for each in (first, second)] == [-9, -9]


async def test_who_dies_has_a_successor_in_its_place_and_ever_later_if_it_dies_at_once(
    supervise, autojump_clock
) -> None:
    served = supervise()
    dying, other = await served.both()
    await dying.serve(worker(10, 3, 1))
    await other.serve(worker(100, 40))
    pauses, listens = list[float](), list[bool]()

    async def replace_it(code: int = -9) -> FakeWorker:
        died_s = trio.current_time()
        dying.process.end(code)
        await wait_all_tasks_blocked()
        listens.append(bool(served.it._places[0].listeners))
        assert served.it.snapshot().workers == 1
        successor = await served.next()
        pauses.append(trio.current_time() - died_s)
        assert (successor.title, len(successor.listeners)) == (dying.title, 1)
        await successor.serve(worker(10, 3, 1))
        return successor

    for _ in range(5):
        dying = await replace_it()
    await trio.sleep(2 * LONG_LIFE_S)
    dying = await replace_it(code=3)
    assert pauses == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.6, 0.1])
    # While nobody is to take them for longer than a second, connections are the others'.
    assert listens == [True, True, True, True, False, True]
    lines = served.lines("a worker died, another takes its place")
    assert [line["pause_s"] for line in lines] == pytest.approx(pauses)
    assert {(line["worker"], line["lost"]) for line in lines} == {(1, 4)}
    assert [line["how"] for line in lines] == ["killed by SIGKILL"] * 5 + ["exit status 3"]
    assert [line["lived_s"] for line in lines] == [0.0] * 5 + [2 * LONG_LIFE_S]
    now = served.it.snapshot()
    assert (now.accepted, now.open, now.handshaking, now.workers) == (170, 43, 1, 2)
    assert now.outcomes == {Outcome.CLEAN: 7 * 6 + 60, Outcome.LOST_WITH_WORKER: 6 * 4}
    assert now.close_codes == {1006: 6 * 3}
    assert now.peak_open == 43


async def test_where_nobody_else_serves_connections_wait_for_the_successor(
    supervise, autojump_clock
) -> None:
    served = supervise()
    for each in await served.both():
        await each.serve(worker(1, 0))
        each.process.kill()
    for _ in range(10):  # until the pauses are far longer than a second
        (await served.next()).process.kill()
        await wait_all_tasks_blocked()
        assert all(place.listeners for place in served.it._places)
    assert served.lines("a worker died, another takes its place")[-1]["pause_s"] > 1


@pytest.mark.parametrize(
    ("fails", "says"),
    [
        ("to start", r"worker [12] ended at once: not started: out of processes"),
        ("to serve", "worker 2 ended at once: exit status 3"),
    ],
)
async def test_a_worker_that_never_serves_ends_it_all(
    supervise, autojump_clock, fails: str, says: str
) -> None:
    served = supervise()
    workers = []
    if fails == "to start":
        served.starter.failure = OSError(errno.EAGAIN, "out of processes")
    else:
        workers = await served.both()
        await workers[0].serve(worker(1, 0))
        workers[1].process.end(3)
    await served.end()
    assert re.fullmatch(says, served.failed)
    assert [each.process.returncode for each in workers] == [-9, 3][: len(workers)]
    assert (served.starter.ended, served.started_s) == (True, None)
    assert not any(place.listeners for place in served.it._places)


async def test_once_it_has_served_a_worker_that_cannot_be_started_is_tried_again(
    supervise, autojump_clock
) -> None:
    served = supervise()
    dying, other = await served.both()
    for each in (dying, other):
        await each.serve(worker(1, 0))
    served.starter.failure = OSError(errno.EAGAIN, "out of processes")
    dying.process.kill()
    await trio.sleep(0.25)
    served.starter.failure = None
    assert (await served.next()).title == dying.title
    hows = [line["how"] for line in served.lines("a worker died, another takes its place")]
    assert hows == ["killed by SIGKILL", "not started: out of processes"]


@pytest.mark.parametrize("late_s", [0.0, 2.0])
async def test_a_drain_is_passed_on_and_who_has_not_ended_shortly_before_its_end_is_killed(
    supervise, autojump_clock, late_s: float
) -> None:
    served = supervise(drain_timeout_s=10.0)
    first, second = await served.both()
    await first.serve(worker(100, 40))
    await second.serve(worker(50, 5, 2))
    await trio.sleep(3)
    began_s = trio.current_time()
    served.it.drain(late_s)
    served.it.drain(1000.0)
    assert not any(place.listeners for place in served.it._places)
    for each in (first, second):
        order = await each.hear()
        assert isinstance(order, Drain)
        assert order.late_s == pytest.approx(late_s + OWN_END_S)
    await first.channel.say(SnapshotReport(worker(100, 0)))
    await wait_all_tasks_blocked()
    first.process.end(0)
    await served.end()
    assert trio.current_time() - began_s == pytest.approx(10 - OWN_END_S - late_s)
    assert (first.process.returncode, second.process.returncode) == (0, -9)
    now = served.it.snapshot()
    assert now.outcomes == {Outcome.CLEAN: 143, Outcome.DROPPED: 7}
    assert (now.close_codes, now.open, now.handshaking) == ({1001: 5}, 0, 0)
    assert (now.workers, now.draining, served.starter.ended) == (0, True, True)
    assert served.lines("a worker died, another takes its place") == []


async def test_a_drain_ends_with_the_last_worker_and_nobody_is_awaited_who_is_not_there(
    supervise, autojump_clock
) -> None:
    served = supervise(drain_timeout_s=1000.0)
    first, second = await served.both()
    await first.serve(worker(1, 0))
    await second.serve(worker(1, 0))
    first.process.kill()
    await wait_all_tasks_blocked()
    began_s = trio.current_time()
    served.it.drain()
    assert isinstance(await second.hear(), Drain)
    second.process.end(0)
    await served.end()
    assert trio.current_time() == began_s
    with pytest.raises(trio.WouldBlock):
        served.starter.take.receive_nowait()


async def test_one_that_is_told_to_stop_before_it_serves_stops_as_any_other(
    supervise, autojump_clock
) -> None:
    served = supervise()
    workers = await served.both()
    served.it.drain()
    for each in workers:
        assert isinstance(await each.hear(), Start)
        assert isinstance(await each.hear(), Drain)
        each.process.end(0)
    await served.end()
    assert (served.failed, served.started_s is None) == ("", False)


async def test_whoever_ends_it_ends_its_workers(autojump_clock) -> None:
    async with trio.open_nursery() as nursery:
        served = Supervised()
        nursery.start_soon(served.run)
        workers = await served.both()
        await workers[0].serve(worker(10, 3))
        nursery.cancel_scope.cancel()
    assert [each.process.returncode for each in workers] == [-9, -9]
    assert served.starter.ended
    assert served.it.snapshot().outcomes == {Outcome.CLEAN: 7, Outcome.DROPPED: 3}


async def test_each_worker_reads_the_certificate_again_if_it_can_be_used(
    supervise, autojump_clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    problems = list[OSError]()

    def read_certificate(_: Settings) -> None:
        if problems:
            raise problems[0]

    monkeypatch.setattr(supervisor_module, "tls_context_of", read_certificate)
    served = supervise(tls_cert=Path("cert.pem"))
    assert served.it.url.startswith("wss://")
    workers = await served.both()
    for each in workers:
        await each.serve(worker(1, 0))
    served.it.reload()
    for each in workers:
        assert await each.hear() == Reload()
    problems.append(OSError(errno.ENOENT, "no such file"))
    served.it.reload()
    await wait_all_tasks_blocked()
    (line,) = served.lines("the certificate stays as it was")
    assert (line["reason"], line["log_level"]) == ("no such file", "error")
    problems.clear()
    served.it.reload()
    await wait_all_tasks_blocked()
    workers[0].process.kill()
    workers[0] = await served.next()  # It has read what there is by now.
    await workers[0].serve(worker(1, 0))
    assert await workers[1].hear() == Reload()
    served.it.drain()
    for each in workers:
        assert isinstance(await each.hear(), Drain)


async def test_without_a_certificate_no_worker_is_bothered(supervise, autojump_clock) -> None:
    served = supervise()
    workers = await served.both()
    for each in workers:
        await each.serve(worker(1, 0))
    served.it.reload()
    await wait_all_tasks_blocked()
    assert len(served.lines("there is no certificate to read again")) == 1
    served.it.drain()
    for each in workers:
        assert isinstance(await each.hear(), Drain)


async def test_faults_hold_once_every_worker_has_said_so_or_has_had_its_time(
    supervise, autojump_clock, nursery
) -> None:
    served = supervise(upstream="ws://127.0.0.1:1", fault="~silent")
    assert served.it.faults == "~silent"
    workers = await served.both()
    starts = [await each.serve(worker(1, 0)) for each in workers]
    assert {start.settings.fault for start in starts} == {"~silent"}
    held = dict[str, float]()

    async def change(text: str) -> None:
        await served.it.set_faults(text)
        held[text] = trio.current_time()

    began_s = trio.current_time()
    nursery.start_soon(change, "~delay/1s")
    for each in workers:
        assert await each.hear() == SetFaults("~delay/1s")
        assert held == {}
        await trio.sleep(1)
        await each.channel.say(FaultsSet("~delay/1s"))
        await wait_all_tasks_blocked()
    assert held == {"~delay/1s": pytest.approx(began_s + 2)}
    assert served.lines("a worker has not yet said that the faults hold") == []

    began_s = trio.current_time()
    nursery.start_soon(change, "~drop/3")
    assert await workers[0].hear() == SetFaults("~drop/3")
    await workers[0].channel.say(FaultsSet("~drop/3"))
    await trio.sleep(CHANGE_S + 1)
    assert held["~drop/3"] == pytest.approx(began_s + CHANGE_S)
    (line,) = served.lines("a worker has not yet said that the faults hold")
    assert line["faults"] == "~drop/3"

    with pytest.raises(ValueError, match="~nothing is no fault"):
        await served.it.set_faults("~nothing")
    assert (served.it.faults, served.it.snapshot().faults) == ("~drop/3", "~drop/3")
    assert served.it.snapshot().upstream == "ws://127.0.0.1:1"
    workers[0].process.kill()
    successor = await served.next()
    assert (await successor.serve(worker(1, 0))).settings.fault == "~drop/3"
    served.it.drain()
    assert isinstance(await successor.hear(), Drain)


async def test_the_tasks_are_those_of_the_workers_that_answer_in_time(
    supervise, autojump_clock, nursery
) -> None:
    served = supervise()
    workers = await served.both()
    for each in workers:
        await each.serve(worker(1, 0))
    trees = list[TaskNode]()

    async def ask() -> None:
        trees.append(await served.it.tasks())

    async def answer(each: FakeWorker, tree: TaskNode) -> None:
        assert await each.hear() == ShowTasks()
        await each.channel.say(Tasks(tree))

    nursery.start_soon(ask)
    await answer(workers[0], TaskNode("one", 1))
    await answer(workers[1], TaskNode("other", 2))
    await wait_all_tasks_blocked()
    began_s = trio.current_time()
    nursery.start_soon(ask)
    await answer(workers[1], TaskNode("new", 3))
    while len(trees) < 2:
        await trio.sleep(0.1)
    assert trio.current_time() - began_s == pytest.approx(ANSWER_S, abs=0.11)
    shown = [[child for child in tree.children if child.name.startswith("worker ")]
             for tree in trees]  # fmt: skip
    assert shown == [
        [
            TaskNode("worker 1", 1, (TaskNode("one", 1),)),
            TaskNode("worker 2", 1, (TaskNode("other", 2),)),
        ],
        [TaskNode("worker 2", 1, (TaskNode("new", 3),))],
    ]
    assert all(tree.children[: -len(its)] for tree, its in zip(trees, shown, strict=True))
    workers[0].process.kill()  # Who is not there is not asked.
    await wait_all_tasks_blocked()
    began_s = trio.current_time()
    nursery.start_soon(ask)
    await answer(workers[1], TaskNode("last", 4))
    await wait_all_tasks_blocked()
    assert (len(trees), trio.current_time()) == (3, began_s)


async def test_durations_are_recent_for_two_seconds_and_the_longest_is_that_of_all(
    supervise, autojump_clock
) -> None:
    served = supervise()
    for number, each in enumerate(await served.both(), 1):
        echo, lag = Durations(), Durations()
        for _ in range(number):
            echo.observe(0.001 * number)
        for _ in range(10 * number):
            lag.observe(0.1 * number)
        report = replace(
            worker(1, 0), echo_ms=echo.recent(), loop_lag_ms=lag.recent(),
            histograms=Histograms(echo_s=echo.histogram(), loop_lag_s=lag.histogram()),
        )  # fmt: skip
        await each.serve(report)
    now = served.it.snapshot()
    assert (now.echo_ms.count, now.echo_ms.max) == (3, 2.0)
    assert (now.loop_lag_ms.count, now.loop_lag_ms.max) == (30, 200.0)
    await trio.sleep(2.5)
    now = served.it.snapshot()
    assert (now.echo_ms.count, now.loop_lag_ms.count) == (0, 0)
    assert (now.histograms.echo_s.count, now.histograms.loop_lag_s.count) == (3, 30)


async def test_without_a_worker_there_are_no_durations(supervisor) -> None:
    now = supervisor.snapshot()
    assert (now.echo_ms, now.loop_lag_ms, now.workers) == (Spread(), Spread(), 0)
