"""Rooms: who is owed a copy of what, and what became of it, by the server's own count."""

import asyncio
import json
from collections import defaultdict
from urllib.parse import parse_qs, urlsplit

import pytest
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

ROOMS = ("--verify", "fan-out", "--rooms", "4")
LOAD = ("--rate", "100/s", "--duration", "2s")


@pytest.fixture
def chat(serve_websockets):
    """A chat: each message goes to all in the room of the path, in one order.

    The query says what it does wrong: `?swallow=50` leaves out every fiftieth copy, `?twice=50`
    sends it twice.
    """
    rooms = defaultdict(dict)

    async def serve(connection: ServerConnection, counts):
        url = urlsplit(connection.request.path)
        wrong = {name: int(values[0]) for name, values in parse_qs(url.query).items()}
        room, outbox = rooms[url.path], asyncio.Queue()
        room[connection] = outbox

        async def write():
            while True:
                await connection.send(await outbox.get())

        writing = asyncio.create_task(write())
        try:
            async for message in connection:
                counts["published"] += 1
                for queue in list(room.values()):
                    counts["copies"] += 1
                    if "swallow" in wrong and counts["copies"] % wrong["swallow"] == 0:
                        counts["swallowed"] += 1
                        continue
                    queue.put_nowait(message)
                    counts["sent"] += 1
                    if "twice" in wrong and counts["copies"] % wrong["twice"] == 0:
                        counts["twice"] += 1
                        queue.put_nowait(message)
        except ConnectionClosed:
            pass
        finally:
            room.pop(connection, None)
            writing.cancel()

    return serve_websockets(serve)


@pytest.mark.parametrize("workers", ["1", "3"])
def test_every_socket_of_a_room_gets_a_copy_of_each_message(loadgen, chat, workers):
    run = loadgen("20", f"{chat.url}{{room}}", *ROOMS, *LOAD, "--workers", workers)
    fan_out = run.report["fan_out"]
    assert run.target_did_right, run.report["verdict_reasons"]
    assert run.messages == {"sent": 200, "published": 200, "received": 1000, "copies": 1000}
    assert fan_out["published"] == chat.counts["published"] == 200
    assert fan_out["owed"] == fan_out["delivered"] == chat.counts["sent"] == 1000
    assert fan_out["missing"] == fan_out["extra"] == fan_out["unsettled"] == 0
    assert [fan_out[name]["count"] for name in ("first", "last", "each")] == [200, 200, 1000]
    assert fan_out["first"]["p50"] <= fan_out["each"]["p50"] <= fan_out["last"]["p50"]
    assert fan_out["clock_error_ms"] is None
    assert run.report["latency"]["intended"]["p50"] is None
    assert "copies" in run.stdout


@pytest.mark.parametrize("workers", ["1", "3"])
def test_a_copy_that_the_server_swallows_is_missing(loadgen, chat, workers):
    run = loadgen("20", f"{chat.url}{{room}}?swallow=100", *ROOMS, *LOAD, "--workers", workers,
                  "--stop-timeout", "12s")  # fmt: skip
    fan_out = run.report["fan_out"]
    assert chat.counts["swallowed"] == 10
    assert (fan_out["owed"], fan_out["delivered"], fan_out["missing"]) == (1000, 990, 10)
    assert run.faults == ["10 copies of 1,000 missing"]
    assert (fan_out["last"]["count"], fan_out["each"]["count"]) == (190, 990)
    assert run.code == 1


@pytest.mark.parametrize("workers", ["1", "3"])
def test_a_copy_that_comes_twice_is_one_too_many(loadgen, chat, workers):
    run = loadgen("20", f"{chat.url}{{room}}?twice=100", *ROOMS, *LOAD, "--workers", workers)
    fan_out = run.report["fan_out"]
    assert chat.counts["twice"] == 10
    assert (fan_out["owed"], fan_out["delivered"], fan_out["extra"]) == (1000, 1000, 10)
    assert run.messages["copies"] == 1010
    assert run.faults == ["10 copies too many"]


def test_sockets_that_come_and_go_leave_copies_unsettled_not_missing(loadgen, chat):
    run = loadgen("20", f"{chat.url}{{room}}", *ROOMS, "--rate", "200/s", "--duration", "3s",
                  "--lifetime", "500ms")  # fmt: skip
    fan_out = run.report["fan_out"]
    assert run.target_did_right, run.report["verdict_reasons"]
    assert fan_out["published"] + run.messages.get("missed", 0) == 600
    assert fan_out["owed"] == fan_out["delivered"] + fan_out["unsettled"]
    assert fan_out["delivered"] > 1000


def test_what_is_no_copy_is_unexpected_and_a_push_is_ignored(loadgen, serve_websockets):
    async def serve(connection: ServerConnection, counts):
        async for message in connection:
            await connection.send(json.dumps({"type": "typing"}))
            await connection.send(message)
            await connection.send("0-99999" + "." * 25)

    run = loadgen("1", serve_websockets(serve).url, "--verify", "fan-out", "--messages", "3",
                  "--rate", "20/s", "--ignore", "json:type=typing")  # fmt: skip
    assert run.messages == {
        "sent": 3, "published": 3, "received": 9, "copies": 3, "ignored": 3, "unexpected": 3,
    }  # fmt: skip
    assert (run.report["fan_out"]["delivered"], run.report["fan_out"]["extra"]) == (3, 0)
    assert run.code == 1


@pytest.mark.parametrize("workers", ["1", "3"])
def test_ctrl_c_leaves_what_is_on_its_way_in_flight(start_loadgen, serve_websockets, workers):
    async def swallow(connection: ServerConnection, counts):
        async for _ in connection:
            counts["heard"] += 1

    server = serve_websockets(swallow)
    rooms = ("--verify", "fan-out", "--rooms", "2", "--rate", "100/s", "--duration", "60s")
    running = start_loadgen("6", f"{server.url}{{room}}", *rooms, "--workers", workers)
    server.wait_until(lambda: server.counts["heard"] > 20)
    running.signal()
    run = running.finish()
    fan_out = run.report["fan_out"]
    assert run.code == 130
    assert fan_out["owed"] == fan_out["in_flight"] == 3 * fan_out["published"] > 60
    assert fan_out["first"]["p50"] is None
