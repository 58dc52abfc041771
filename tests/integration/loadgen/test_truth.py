"""The latencies are what an observer beside the server computes from the schedule and its own log.

Both sides of each comparison are of the same run, so nothing here depends on the machine's speed.
"""

import asyncio
import math
import time

import pytest
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
        self.answered = {}

    async def __call__(self, connection: ServerConnection, counts):
        async for sent in connection:
            message = sent.rstrip(".")  # the padding
            self.received[message] = time.perf_counter()
            if len(self.received) == self.freeze_at:
                began = time.perf_counter()
                time.sleep(FREEZE_S)  # noqa: ASYNC251 - the whole server stands still
                self.frozen = (began, time.perf_counter())
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
    observed = [server.answered[message] - began - due_s for message, due_s in due.items()]
    intended = report.latency.intended
    assert intended.p90 / 1000 == pytest.approx(percentile(observed, 90), rel=0.05)
    assert intended.p99 / 1000 == pytest.approx(percentile(observed, 99), rel=0.05)
    # And not by chance: this is the freeze, of which a hundred messages fell due in the midst.
    start, end = server.frozen
    ideal = [max(end - began - due_s, 0) if due_s > start - began else 0 for due_s in due.values()]
    assert percentile(observed, 99) >= percentile(ideal, 99) > 0.9 * FREEZE_S


async def test_a_closed_loop_shows_one_late_message_where_a_hundred_were_due(serve_websockets):
    server = Freezing(freeze_at=500)
    report = await run(
        Plan(1, serve_websockets(server).url, closed_loop=True, think_s=0.001, duration_s=4.0,
             message="{seq}")
    )  # fmt: skip
    late = [m for m in server.answered if server.answered[m] - server.received[m] > FREEZE_S / 2]
    assert len(late) == 1
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
