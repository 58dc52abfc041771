"""What goes over a control channel arrives as it was."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
import trio
import trio.testing

from echo_trio.metrics.counters import Counters, Outcome
from echo_trio.metrics.nursery_tree import TaskNode
from echo_trio.settings import Settings
from echo_trio.workers import channel
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
    worker_end,
)


def _figures() -> SnapshotReport:
    counters = Counters(accepted=2, open=1)
    counters.outcomes[Outcome.CLEAN] = 1
    counters.close_codes[1000] = 1
    counters.echo.observe(0.001)
    return SnapshotReport(counters.snapshot(url="ws://x/"))


ORDERS = [
    Start(2, Settings(port=0, workers=4, seed=7, console_token="secret"), workers=4),
    Start(1, Settings(tls_cert=Path("c.pem"), tls_key=Path("k.pem")), workers=2),
    Drain(2.5),
    Reload(),
    SetFaults("~silent"),
    Drain(),
    ShowTasks(),
    AskReport(7),
]
REPORTS = [
    Ready(),
    FaultsSet("~silent"),
    _figures(),
    SnapshotReport(_figures().snapshot, 7),
    Tasks(TaskNode("<init>", 1, (TaskNode("a" * 200_000, 2),))),
]


@pytest.fixture
def pair():
    ends = socket.socketpair()
    for end in ends:
        end.setblocking(False)
    yield ends
    for end in ends:
        end.close()


@pytest.mark.parametrize(
    ("sayer", "hearer", "said"),
    [(supervisor_end, worker_end, ORDERS), (worker_end, supervisor_end, REPORTS)],
    ids=["to", "from"],
)
async def test_what_is_said_is_heard_in_order_until_the_end(pair, sayer, hearer, said) -> None:
    heard = []

    async def say_all() -> None:
        async with sayer(pair[0]) as saying:
            for one in said:
                assert await saying.say(one)

    async with hearer(pair[1]) as hearing, trio.open_nursery() as nursery:
        nursery.start_soon(say_all)
        async for one in hearing:
            heard.append(one)  # noqa: PERF401
    assert heard == said


def test_no_other_kind_goes_over_a_channel() -> None:
    with pytest.raises(NotImplementedError, match="goes over a control channel"):
        channel._decode(set, [])


def test_a_drain_is_not_late_and_a_report_answers_nothing_unless_they_say_so() -> None:
    assert Drain().late_s == 0
    assert _figures().answers == 0
