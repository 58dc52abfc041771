"""The latencies are what an observer beside the server computes from the schedule and its own log.

Both sides of each comparison are of the same run, so nothing here depends on the machine's speed;
and for as long as the generator says that it was held up, it may have seen a reply later.
With other people's load generators: `make cross-check`.
"""

import asyncio
import math
import time

import pytest
import trio
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection

from loadgen import Plan, run

pytestmark = pytest.mark.alone

FREEZE_S = 2.0


def percentile(values, percent):
    ranked = sorted(values)
    return ranked[math.ceil(len(ranked) * percent / 100) - 1]


class Freezing:
    """Answers at once, but for two seconds in which nothing happens; notes when it answered."""

    def __init__(self, freeze_at):
        self.freeze_at = freeze_at
        self.frozen = None
        self.received = {}
        self.answering = {}
        self.answered = {}

    async def __call__(self, connection: ServerConnection, counts):
        async for sent in connection:
            message = sent.rstrip(".")  # the padding
            self.received[message] = time.perf_counter()
            if len(self.received) == self.freeze_at:
                began = time.perf_counter()
                time.sleep(FREEZE_S)  # noqa: ASYNC251 - the whole server stands still
                self.frozen = (began, time.perf_counter())
            self.answering[message] = time.perf_counter()
            await connection.send(f"{sent} 1")
            self.answered[message] = time.perf_counter()


async def test_in_the_open_loop_a_frozen_servers_p99_is_what_an_observer_computes(serve_websockets):
    server = Freezing(freeze_at=50)
    plan = Plan(10, serve_websockets(server).url, rate=50.0, duration_s=4.0)
    report = await run(plan)
    assert report.messages.echoed == 200
    pace = plan.pace(10)
    due = {f"{k % 10}-{k // 10}": pace.due_at(k) for k in range(200)}
    # The schedule began when it must have for the promptest message to arrive when it did.
    began = min(server.received[message] - due_s for message, due_s in due.items())
    least = [server.answering[message] - began - due_s for message, due_s in due.items()]
    most = [server.answered[message] - began - due_s for message, due_s in due.items()]
    intended, held_up_s = report.latency.intended, report.generator.loop_lag.max / 1000
    for percent, found_ms in ((90, intended.p90), (99, intended.p99)):
        assert found_ms / 1000 >= percentile(least, percent) * 0.99
        assert found_ms / 1000 <= percentile(most, percent) * 1.05 + held_up_s
    # And not by chance: this is the freeze, of which a hundred messages fell due in the midst.
    start, end = server.frozen
    ideal = [max(end - began - due_s, 0) if due_s > start - began else 0 for due_s in due.values()]
    assert percentile(least, 99) >= percentile(ideal, 99) > 0.9 * FREEZE_S


async def test_a_closed_loop_shows_one_late_message_where_a_hundred_were_due(serve_websockets):
    server = Freezing(freeze_at=150)
    report = await run(
        Plan(1, serve_websockets(server).url, closed_loop=True, think_s=0.001, duration_s=4.0,
             message="{seq}")
    )  # fmt: skip
    assert server.frozen is not None
    assert report.messages.echoed >= 150
    assert report.latency.intended.max >= FREEZE_S * 1000
    assert report.latency.intended.p99 < FREEZE_S * 1000 / 2


async def test_a_server_that_takes_a_tenth_of_a_second_is_never_reported_faster(serve_websockets):
    took = []

    async def answer_late(connection: ServerConnection, counts):
        async for message in connection:
            received = time.perf_counter()
            await asyncio.sleep(0.1)
            took.append(time.perf_counter() - received)
            await connection.send(f"{message} 1")

    report = await run(Plan(10, serve_websockets(answer_late).url, rate=50.0, duration_s=1.0))
    service = report.latency.service
    assert service.min >= 100
    assert service.p50 >= percentile(took, 50) * 1000 * 0.99
    assert report.latency.intended.p50 >= service.p50


class PlainClients:
    """Of the `websockets` library: what anyone would write to count and measure."""

    def __init__(self, url, sockets, messages):
        self.url, self.sockets, self.messages = url, sockets, messages
        self.opened = self.sent = self.replies = 0
        self.took_ms = []

    async def run(self):
        await asyncio.gather(*(self.converse(number) for number in range(self.sockets)))

    async def converse(self, number):
        async with connect(self.url, compression=None, ping_interval=None) as connection:
            self.opened += 1
            for turn in range(self.messages):
                began = time.perf_counter()
                await connection.send(f"{number}-{turn}")
                self.sent += 1
                reply = await connection.recv()
                self.took_ms.append((time.perf_counter() - began) * 1000)
                self.replies += reply == f"{number}-{turn} 1"
                await asyncio.sleep(0.2)


async def test_a_plain_client_beside_it_counts_and_measures_the_same(serve_websockets):
    async def answer_late(connection: ServerConnection, counts):
        path = connection.request.path
        counts[f"opened {path}"] += 1
        async for message in connection:
            counts[f"received {path}"] += 1
            await asyncio.sleep(0.8)  # long beside what a slow or busy machine adds
            counts[f"answered {path}"] += 1
            await connection.send(f"{message} 1")

    server = serve_websockets(answer_late)
    apart = []
    # Both wait for the same processor. If it is busy, the one that had it less measures that; an
    # error of ours would be there each time.
    for attempt in range(1, 4):
        crowd = PlainClients(f"{server.url}theirs/{attempt}", sockets=20, messages=3)
        plan = Plan(20, f"{server.url}ours/{attempt}", rate_per_conn=1.0, messages=3)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.to_thread.run_sync, lambda c=crowd: asyncio.run(c.run()))
            report = await run(plan)

        for whose, opened, sent, replies in (
            ("ours", report.connections.opened, report.messages.sent, report.messages.echoed),
            ("theirs", crowd.opened, crowd.sent, crowd.replies),
        ):
            path = f"/{whose}/{attempt}"
            assert (opened, sent, replies) == (20, 60, 60)
            assert opened == server.counts[f"opened {path}"]
            assert sent == server.counts[f"received {path}"]
            assert replies == server.counts[f"answered {path}"]
        ours_ms, theirs_ms = report.latency.service.p50, percentile(crowd.took_ms, 50)
        if ours_ms == pytest.approx(theirs_ms, rel=0.05):
            return
        apart.append((ours_ms, theirs_ms))
    raise AssertionError(f"p50 apart each time: {apart}")
