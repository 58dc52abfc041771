"""Crowds that misbehave, as a server of the `websockets` library, or raw TCP, sees them."""

import asyncio
import time

import pytest
import trio
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from loadgen.engine.engine import Engine
from loadgen.engine.misbehaving import MisbehavingCrowd
from loadgen.workload.misbehaviour import Behave, Kind
from loadgen.workload.plan import Plan


@pytest.fixture
def loadgen(loadgen_here):
    return loadgen_here


async def echo(connection: ServerConnection, counts):
    async for message in connection:
        await connection.send(f"{message} 1")


class Pinging:
    """Echoes, and pings each socket; closes with 1011 those that answer no ping.

    Silent is who has not answered when all that are expected to have: a moment in which nothing
    runs here makes nobody silent. The last reply to each waits until the silent ones are gone, so
    that the load does not end before.
    """

    def __init__(self, answering: int, silent: int, last: int) -> None:
        self._answering, self._silent, self._last = answering, silent, last
        self._all_answered, self._all_cut = asyncio.Event(), asyncio.Event()

    async def __call__(self, connection: ServerConnection, counts) -> None:
        judging = asyncio.create_task(self._judge(connection))
        async for message in connection:
            counts["heard"] += 1
            if message.rstrip(".").endswith(f"-{self._last}"):
                await self._all_cut.wait()
            await connection.send(f"{message} 1")
        await judging

    async def _judge(self, connection: ServerConnection) -> None:
        pong = await connection.ping()
        others = asyncio.create_task(self._all_answered.wait())
        await asyncio.wait([pong, others], return_when=asyncio.FIRST_COMPLETED)
        if not pong.done():
            await asyncio.sleep(0.3)
        if pong.done():
            others.cancel()
            self._answering -= 1
            if not self._answering:
                self._all_answered.set()
            return
        await connection.close(1011, "no pong")
        self._silent -= 1
        if not self._silent:
            self._all_cut.set()


def test_who_answers_no_ping_is_closed_by_the_server_and_that_is_no_fault_of_the_servers(
    loadgen, serve_websockets
):
    server = serve_websockets(Pinging(answering=8, silent=2, last=4))
    run = loadgen("10", server.url, "--rate-per-conn", "20/s", "--messages", "5",
                  "--behave", "no-pong:20%")  # fmt: skip
    server.wait_closed()
    apart = run.report["misbehaving"]["no-pong"]
    assert (apart["opened"], apart["closed"]["by_peer"]) == (2, 2)
    assert apart["close_codes"] == {"1011": 2}
    assert server.counts["closed 1011"] == 2
    assert run.closed == {"clean": 8}
    assert run.connections["requested"] == 8
    assert run.messages["echoed"] == run.messages["sent"] == 8 * 5
    assert run.target_did_right, run.report["verdict_reasons"]


def test_who_is_half_open_is_found_by_the_servers_ping(loadgen, serve_websockets):
    server = serve_websockets(Pinging(answering=4, silent=1, last=4), close_timeout=1)
    run = loadgen("5", server.url, "--rate-per-conn", "20/s", "--messages", "5",
                  "--behave", "half-open:20%")  # fmt: skip
    server.wait_closed()
    apart = run.report["misbehaving"]["half-open"]
    assert (apart["requested"], apart["opened"], apart["sent"]) == (1, 1, 0)
    # The server's close frame is there to be read at the end, unless a reset has overtaken it.
    assert apart["closed"]["by_peer"] + apart["closed"]["abnormal"] == 1
    assert server.counts["closed 1006"] == 1
    assert server.counts["heard"] == run.messages["sent"] == 4 * 5
    assert run.target_did_right, run.report["verdict_reasons"]


def test_a_frame_is_dropped_in_its_midst(loadgen, serve_bytes, accept):
    tails = []

    async def read_all(reader, writer, key, counts):
        writer.write(accept(key))
        received = b""
        try:
            while chunk := await reader.read(1000):
                received += chunk
                if received[-8:-4] and received[0] == 0x88:  # a close frame: answer it
                    writer.write(b"\x88\x02\x03\xe8")
                    return
        finally:
            tails.append(received)

    run = loadgen("4", serve_bytes(read_all).url, "--rate-per-conn", "0/s", "--duration", "3s",
                  "--behave", "mid-frame-drop:25%:100ms")  # fmt: skip
    apart = run.report["misbehaving"]["mid-frame-drop"]
    assert apart["closed"]["abnormal"] == 1
    assert run.closed == {"clean": 3}
    (dropped,) = [tail for tail in tails if tail[:1] == b"\x81"]
    announced = dropped[1] & 0x7F
    assert 0 < len(dropped) < 6 + announced
    assert run.target_did_right, run.report["verdict_reasons"]


def test_a_slow_reader_makes_the_server_wait(loadgen, serve_websockets):
    blocked = []

    async def flood(connection: ServerConnection, counts):
        async for _ in connection:
            began = time.monotonic()
            try:
                for _ in range(40):
                    await connection.send(b"x" * 65_536)
            except ConnectionClosed:
                return
            finally:
                blocked.append(time.monotonic() - began)

    server = serve_websockets(flood)
    run = loadgen("2", server.url, "--rate-per-conn", "1/s", "--duration", "4s", "--verify", "off",
                  "--behave", "slow-reader:50%:1KiB/s", "--stop-timeout", "2s")  # fmt: skip
    server.wait_closed()
    apart = run.report["misbehaving"]["slow-reader"]
    assert apart["opened"] == 1
    # 2.5 MB are more than any buffer between the two takes.
    assert max(blocked) > 1
    assert run.connections["requested"] == 1


def test_in_a_storm_the_sockets_close_and_open_again_at_once(loadgen, serve_websockets):
    server = serve_websockets(echo)
    run = loadgen("10", server.url, "--rate-per-conn", "10/s", "--duration", "3500ms",
                  "--behave", "reconnect-storm:50%:1s")  # fmt: skip
    server.wait_closed()
    opened = run.connections["opened"]
    # Three storms; while nothing runs on this machine there is none.
    assert opened in {10 + 5, 10 + 10, 10 + 15}
    assert run.connections["requested"] == server.counts["opened"] == opened
    assert run.closed == {"clean": opened}
    assert run.messages == {"sent": 350, "echoed": 350, "received": 350}
    assert "misbehaving" not in run.report
    assert run.target_did_right, run.report["verdict_reasons"]


async def test_what_misbehaving_sockets_measure_is_not_kept_message_by_message(serve_websockets):
    plan = Plan(4, serve_websockets(echo).url, rate_per_conn=20.0, duration_s=0.5,
                behave=(Behave.parse("no-pong:25%"),))  # fmt: skip
    engine = Engine(plan)
    result = await engine.run()
    assert result.apart[Kind.NO_PONG].sent == 10
    for books in engine.all_books:
        # What is in the histogram is in no list any more.
        assert books.scheduling_lag.total.count == books.ledger.sent


async def test_misbehaving_sockets_send_what_fell_due_however_late_they_are(
    serve_websockets, monkeypatch
):
    run_load, done = MisbehavingCrowd.run_load, []

    async def run_late(crowd, nursery):
        await run_load(crowd, nursery)
        await trio.sleep(0.3)  # The others are long through.
        done.append(crowd)

    monkeypatch.setattr(MisbehavingCrowd, "run_load", run_late)
    plan = Plan(4, serve_websockets(echo).url, rate_per_conn=20.0, duration_s=0.2,
                behave=(Behave.parse("no-pong:25%"),))  # fmt: skip
    result = await Engine(plan).run()
    assert len(done) == 1
    assert result.apart[Kind.NO_PONG].sent == 4
