"""Servers that do not echo, made with `websockets`: how a reply finds its message.

Each server counts, or times, what it does; the generator's columns have to be these.
"""

import asyncio
import json
import threading
import time

import pytest
from websockets.asyncio.server import ServerConnection

RPC = ("--message", '{"jsonrpc": "2.0", "id": "{conn}-{seq}", "method": "time"}')
QUICK = ("--messages", "5", "--rate-per-conn", "20/s")
SLOW_S = 0.3


def percentile(values, percent):
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * percent / 100), len(ordered) - 1)]


@pytest.fixture
def rpc(serve_websockets):
    """Answers by id: every fifth message of a socket after 300 ms, the others at once."""
    took_ms, lock = [], threading.Lock()

    async def serve(connection: ServerConnection, counts):
        async def answer(message, number):
            began = time.perf_counter()
            if number % 5 == 4:
                await asyncio.sleep(SLOW_S)
            with lock:
                took_ms.append((time.perf_counter() - began) * 1000)
            reply = {"jsonrpc": "2.0", "id": json.loads(message)["id"], "result": number}
            await connection.send(json.dumps(reply))
            counts["answered"] += 1

        number = 0
        async with asyncio.TaskGroup() as answering:
            async for message in connection:
                answering.create_task(answer(message, number))
                number += 1

    server = serve_websockets(serve)
    server.took_ms = took_ms
    return server


@pytest.mark.parametrize(
    "how",
    [
        pytest.param(("--rate-per-conn", "20/s"), id="open-loop"),
        pytest.param(("--closed-loop",), id="closed-loop"),
        pytest.param(("--rate-per-conn", "20/s", "--workers", "4"), id="open-loop-four-processes"),
    ],
)
def test_replies_that_overtake_each_other_have_the_latencies_that_the_server_gave_them(
    loadgen, rpc, how
):
    run = loadgen("20", rpc.url, *RPC, "--verify", "json:id", "--messages", "20", *how)
    assert run.target_did_right, run.report["verdict_reasons"]
    assert run.messages == {"sent": 400, "echoed": 400, "received": 400}
    assert rpc.counts["answered"] == 400
    # A fifth of them: the 81st of a hundred is the quickest slow one.
    service = run.report["latency"]["service"]
    assert service["p90"] >= percentile(rpc.took_ms, 85) * 0.98
    if "--closed-loop" in how:  # where a server that is held up holds up one message a socket
        assert service["p50"] < SLOW_S * 1000


def test_the_same_by_a_regular_expression_and_by_a_path_of_its_own(loadgen, serve_websockets):
    async def reverse(connection: ServerConnection, counts):
        waiting = []
        async for message in connection:
            waiting.append(message)
            if len(waiting) == 5:
                for each in reversed(waiting):
                    await connection.send(json.dumps({"re": json.loads(each)["id"]}))

    server = serve_websockets(reverse)
    for verify in ("json:id=re", r"regex:(\d+-\d+)"):
        run = loadgen("2", server.url, *RPC, *QUICK, "--verify", verify)
        assert run.messages == {"sent": 10, "echoed": 10, "received": 10}
        assert run.target_did_right


def test_with_a_key_each_wrong_reply_is_in_a_column_of_its_own(loadgen, serve_websockets):
    async def serve(connection: ServerConnection, counts):
        async for message in connection:
            key = json.loads(message)["id"]
            seq = int(key.partition("-")[2])
            reply = json.dumps({"id": key})
            match seq:
                case 0:
                    await connection.send(reply)
                    await connection.send(reply)  # once more
                case 1:
                    await connection.send(reply.encode())  # by the other opcode
                case 2:
                    await connection.send(json.dumps({"id": "9-9"}))  # nobody's
                    await connection.send(reply)
                case 3:
                    await connection.send(json.dumps({"note": "no id"}))
                case 4:
                    await connection.send(reply)

    run = loadgen("1", serve_websockets(serve).url, *RPC, *QUICK, "--verify", "json:id",
                  "--stop-timeout", "6s")  # fmt: skip
    assert run.messages == {
        "sent": 5, "echoed": 3, "corrupt": 1, "lost": 1,
        "received": 7, "duplicate": 1, "unexpected": 2,
    }  # fmt: skip
    assert run.code == 1
    assert run.report["latency"]["service"]["count"] == 3


def test_by_turn_a_frame_answers_the_oldest_message_and_one_too_many_is_unexpected(
    loadgen, serve_websockets
):
    async def serve(connection: ServerConnection, counts):
        async for message in connection:
            await connection.send(message[:3].encode() if "-1" in message else "PONG")

    run = loadgen("3", serve_websockets(serve).url, *QUICK, "--verify", "turn")
    assert run.messages == {"sent": 15, "echoed": 15, "received": 15}
    assert run.target_did_right

    async def twice(connection: ServerConnection, counts):
        async for _ in connection:
            await connection.send("PONG")
            await connection.send("PONG")

    run = loadgen("1", serve_websockets(twice).url, "--closed-loop", "--messages", "1",
                  "--verify", "turn")  # fmt: skip
    assert run.messages["echoed"] == 1
    assert run.messages["unexpected"] == run.messages["received"] - 1


@pytest.fixture
def ticker(serve_websockets):
    """Pushes a tick every 50 ms and never answers."""

    async def serve(connection: ServerConnection, counts):
        async def tick():
            for seq in range(10_000):
                await connection.send(json.dumps({"type": "tick", "seq": seq}))
                counts["ticks"] += 1
                await asyncio.sleep(0.05)

        ticking = asyncio.create_task(tick())
        async for _ in connection:
            counts["heard"] += 1
        ticking.cancel()

    return serve_websockets(serve)


def test_a_server_that_only_pushes_has_no_latency_and_no_echo(loadgen, ticker):
    run = loadgen("3", ticker.url, "--rate-per-conn", "10/s", "--duration", "1s", "--verify", "off")
    ticker.wait_closed()
    assert run.messages["sent"] == run.messages["one_way"] == ticker.counts["heard"] == 30
    assert run.messages["received"] == run.messages["ignored"] > 0
    assert run.report["latency"]["intended"] == run.report["latency"]["service"]
    assert run.report["latency"]["intended"]["count"] == 0
    assert run.report["latency"]["intended"]["p50"] is None
    assert "–" in run.stdout
    assert run.target_did_right


def test_with_nothing_matched_a_limit_on_latency_is_refused(loadgen):
    run = loadgen("1", "--verify", "off", "--fail-if", "latency.p99>50ms")
    assert run.code == 2
    assert "latency.p99>50ms: with --verify off no reply is matched" in run.stderr
    run = loadgen("1", "--verify", "off", "--find-capacity")
    assert run.code == 2
    assert "with --verify off no reply is matched" in run.stderr


def test_with_nothing_matched_a_closed_loop_goes_on_with_the_next_frame(loadgen, serve_websockets):
    async def serve(connection: ServerConnection, counts):
        async for _ in connection:
            await connection.send(json.dumps({"type": "tick"}))
            await asyncio.sleep(0.02)
            await connection.send("done")

    run = loadgen("2", serve_websockets(serve).url, "--closed-loop", "--messages", "4",
                  "--verify", "off", "--ignore", "json:type=tick")  # fmt: skip
    assert run.messages["sent"] == run.messages["one_way"] == 8
    # A tick and an answer to each, all of which were awaited.
    assert run.messages["received"] == run.messages["ignored"] == 16
    assert run.target_did_right


def test_pushes_between_the_replies_are_ignored_and_counted(loadgen, serve_websockets):
    async def serve(connection: ServerConnection, counts):
        async for message in connection:
            await connection.send(json.dumps({"type": "tick"}))
            await connection.send(message)
            await connection.send("typing …")

    server = serve_websockets(serve)
    for verify in ("exact", "turn", r"regex:\d+-\d+"):
        run = loadgen("2", server.url, *QUICK, "--verify", verify,
                      "--ignore", "json:type=tick", "--ignore", "regex:^typing")  # fmt: skip
        assert run.messages == {"sent": 10, "echoed": 10, "received": 30, "ignored": 20}
        assert run.target_did_right


# -- Greetings ------------------------------------------------------------------------------

EXPECT = ("--expect", "json:type=hello", "--expect", "regex:^ready")


def greeter(*frames, close=None):
    async def serve(connection: ServerConnection, counts):
        for frame in frames:
            await connection.send(frame)
        if close is not None:
            await connection.close(*close)
        async for message in connection:
            await connection.send(message)

    return serve


def test_a_greeting_is_awaited_before_a_socket_is_open(loadgen, serve_websockets):
    server = serve_websockets(greeter('{"type": "hello"}', "ready to serve"))
    run = loadgen("10", server.url, *QUICK, "--verify", "exact", *EXPECT)
    assert run.messages == {"sent": 50, "echoed": 50, "received": 70, "expected": 20}
    assert (run.connections["opened"], run.failed) == (10, {})
    assert run.target_did_right


def test_without_its_greeting_a_socket_fails_and_is_closed(loadgen, serve_websockets):
    server = serve_websockets(greeter('{"type": "hello"}'))
    run = loadgen("4", server.url, *QUICK, "--verify", "exact", *EXPECT,
                  "--connect-timeout", "500ms")  # fmt: skip
    server.wait_closed()
    assert server.counts["closed 1000"] == 4
    assert run.failed == {"greeting": 4}
    assert run.connections["faults"]["target"] == 4
    assert run.messages == {"received": 4, "expected": 4}
    assert "no greeting (1 of 2 within 0.5 s)" in run.report["verdict_reasons"][0]
    assert run.code == 69


def test_a_frame_that_is_not_the_greeting_is_unexpected_unless_it_is_to_be_ignored(
    loadgen, serve_websockets
):
    server = serve_websockets(greeter("motd", '{"type": "hello"}', "ready"))
    run = loadgen("2", server.url, *QUICK, "--verify", "exact", *EXPECT)
    assert (run.messages["expected"], run.messages["unexpected"], run.code) == (4, 2, 1)
    run = loadgen("2", server.url, *QUICK, "--verify", "exact", *EXPECT, "--ignore", "regex:motd")
    assert (run.messages["expected"], run.messages["ignored"]) == (4, 2)
    assert run.target_did_right


def test_a_server_that_closes_instead_of_greeting_is_quoted(loadgen, serve_websockets):
    server = serve_websockets(greeter(close=(4401, "token expired")))
    run = loadgen("3", server.url, *QUICK, "--verify", "exact", "--expect", "any")
    assert run.failed == {"greeting": 3}
    assert "0 of 1 before it closed with 4401: token expired" in run.report["verdict_reasons"][0]
    assert run.messages == {}


def test_ctrl_c_while_greetings_are_awaited_leaves_whole_books(start_loadgen, serve_websockets):
    server = serve_websockets(greeter('{"type": "hello"}'))
    running = start_loadgen("5", server.url, *EXPECT, "--verify", "exact")
    server.wait_until(lambda: server.counts["opened"] == 5)
    running.signal()
    run = running.finish()
    server.wait_closed()
    assert run.code == 130
    assert run.connections["not_attempted"] == 5
    assert run.failed == {}
    assert server.counts["closed 1000"] == 5
