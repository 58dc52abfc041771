"""The commands of docs/how-to/load-your-server.md, taken from the page, against such servers."""

import asyncio
import json
import shlex
from collections import defaultdict
from contextlib import suppress
from pathlib import Path

import pytest
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

PAGE = Path(__file__).parents[3] / "docs/how-to/load-your-server.md"
COMMANDS = {
    # By the first part of the path that the command's URL has.
    next(part for part in shlex.split(line) if "://" in part).split("/")[3]: shlex.split(line)
    for line in PAGE.read_text().splitlines()
    if line.startswith("    python -m loadgen ")
}


def say(**members):
    return json.dumps(members)


async def answer_by_id(connection, counts, _):
    async for message in connection:
        call = json.loads(message)
        counts["answered"] += 1
        await connection.send(say(jsonrpc="2.0", id=call["id"], result=call["method"]))


async def push(connection, counts, _):
    for seq in range(1000):
        await connection.send(say(seq=seq))
        await asyncio.sleep(0.1)


async def ask_for_a_token(connection, counts, token):
    await connection.send(say(type="hello"))
    async for message in connection:
        assert json.loads(message) == {"type": "login", "token": token}
        counts["logged in"] += 1
        await connection.send(say(type="welcome"))


async def look_at_the_header(connection, counts, _):
    if connection.request.headers["Authorization"] != "Bearer s3cret":
        await connection.close(4401, "no token")
        return
    await connection.send(say(type="welcome"))
    async for message in connection:
        await connection.send(message)


@pytest.fixture
def server(serve_websockets):
    rooms = defaultdict(set)

    async def chat(connection, counts, name):
        room = rooms[name]
        room.add(connection)
        try:
            async for message in connection:
                for member in list(room):
                    await member.send(message)
        finally:
            room.discard(connection)

    kinds = {
        "rpc": answer_by_id,
        "room": chat,
        "ticker": push,
        "login": ask_for_a_token,
        "greeted": look_at_the_header,
    }

    async def serve(connection: ServerConnection, counts):
        _, kind, *name = connection.request.path.split("/")
        with suppress(ConnectionClosed):
            await kinds[kind](connection, counts, "".join(name))

    return serve_websockets(serve)


@pytest.fixture
def run_command(loadgen, server):
    def run(kind):
        _, _, _, *arguments = COMMANDS[kind]
        own = server.url.rstrip("/")
        return loadgen(*[part.replace("ws://127.0.0.1:8765", own) for part in arguments])

    return run


def test_the_page_has_a_command_for_each_kind_of_server():
    assert set(COMMANDS) == {"rpc", "room", "ticker", "login", "greeted"}


def test_json_rpc(run_command, server):
    run = run_command("rpc")
    assert run.target_did_right, run.report["verdict_reasons"]
    assert run.messages["echoed"] == run.messages["sent"] == server.counts["answered"] > 200


def test_a_chat(run_command):
    run = run_command("room")
    assert run.target_did_right, run.report["verdict_reasons"]
    assert run.report["fan_out"]["delivered"] == 10 * run.messages["published"] == 600


def test_a_ticker(run_command):
    run = run_command("ticker")
    assert run.target_did_right, run.report["verdict_reasons"]
    assert run.messages["ignored"] == run.messages["received"] > 50
    assert run.report["latency"]["service"]["p99"] is None


def test_a_login(run_command, server):
    run = run_command("login")
    assert run.target_did_right, run.report["verdict_reasons"]
    assert run.messages == {
        "sent": 50, "echoed": 50, "received": 100, "expected": 50
    }  # fmt: skip
    assert server.counts["logged in"] == 50


def test_a_greeting_behind_a_header(run_command):
    run = run_command("greeted")
    assert run.target_did_right, run.report["verdict_reasons"]
    assert run.messages["expected"] == 50
    assert run.messages["echoed"] == run.messages["sent"] == 150
