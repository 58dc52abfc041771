"""Test what a supervisor decides, and what becomes of its workers."""

from __future__ import annotations

import errno
import re
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
import trio
from structlog.testing import LogCapture
from trio.testing import wait_all_tasks_blocked

from echo_trio.metrics.counters import Histograms, Outcome
from echo_trio.metrics.durations import Durations, Spread
from echo_trio.settings import Settings
from echo_trio.workers.channel import (
    Ready,
    SnapshotReport,
)
from echo_trio.workers.supervisor import (
    FIRST_PAUSE_S,
    LONG_LIFE_S,
    LONGEST_PAUSE_S,
    OWN_END_S,
    QUEUE_PATIENCE_S,
    REAP_S,
    WORKER,
    Supervisor,
    _describe,
    next_pause_s,
    share,
)

from ..conftest import log_to
from .conftest import FakeWorker, worker


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
    made = Supervisor.listen(settings, log_to(LogCapture()))
    yield made
    for place in made._places:
        place.stop_listening()


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
    made = Supervisor.listen(settings, log_to(LogCapture()))
    for place in made._places:
        place.stop_listening()
    assert made._own_end_s == pytest.approx(own_s)


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


@pytest.mark.parametrize(
    ("ends_after_s", "how"), [(REAP_S - 0.5, "exit status 3"), (REAP_S + 0.5, "killed by SIGKILL")]
)
async def test_a_worker_that_has_hung_up_has_its_time_to_end_by_itself(
    supervise, autojump_clock, nursery, ends_after_s: float, how: str
) -> None:
    served = supervise()
    hangs_up, other = await served.both()
    for each in (hangs_up, other):
        await each.serve(worker(1, 0))
    hangs_up.channel.close()
    await trio.sleep(ends_after_s)
    hangs_up.process.end(3)
    await served.next()
    (line,) = served.lines("a worker died, another takes its place")
    assert line["how"] == how
