"""What a supervisor decides."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
import structlog
import trio
from structlog.testing import LogCapture

from echo_trio.metrics import totals
from echo_trio.metrics.counters import Outcome, ServerSnapshot
from echo_trio.settings import Settings
from echo_trio.workers.channel import Ready, SnapshotReport
from echo_trio.workers.supervisor import (
    FIRST_PAUSE_S,
    LONG_LIFE_S,
    LONGEST_PAUSE_S,
    OWN_END_S,
    QUEUE_PATIENCE_S,
    Supervisor,
    _describe,
    next_pause_s,
    share,
)


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
