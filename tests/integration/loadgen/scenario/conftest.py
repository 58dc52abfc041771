"""Give scripts of users a chat server of `websockets` to talk to, and run them against it.

The server counts what it receives and sends; the generator's columns have to be these.
"""

import asyncio
import json
import textwrap
from contextlib import suppress

import msgspec
import pytest
import trio
from websockets.exceptions import ConnectionClosed

from loadgen import api
from loadgen.workload.plan import Plan

from ...books import check_report

#: What each script begins with.
HEAD = """\
from loadgen.scenario import LostReply, SocketClosed, User, check, rows, scenario
import trio
"""

#: Who is in which room of the server.
rooms = {}


async def until_closed(connection):
    with suppress(ConnectionClosed):
        async for text in connection:
            yield text


async def chat(connection, counts):
    """Welcome, answer by id, and do as the message says."""

    async def say(message):
        counts["sent"] += 1
        with suppress(ConnectionClosed):
            await connection.send(message if isinstance(message, bytes) else json.dumps(message))

    async def tick():
        for seq in range(1_000_000):
            await say({"type": "tick", "seq": seq})
            await asyncio.sleep(0.02)

    path = connection.request.path
    if path.startswith("/room/"):
        members = rooms.setdefault(path, set())
        members.add(connection)
        await say({"type": "joined"})
        async for text in connection:
            counts["received"] += 1
            asked = json.loads(text)
            if asked.get("type") == "swallow":
                asked["swallowed"] = True
            counts["sent"] += len(members)
            for member in members:
                if not (asked.get("swallowed") and member is connection):
                    await member.send(text)
        members.discard(connection)
        return
    if path != "/mute":
        await say({"type": "welcome", "path": path})
    released = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        waiting = [tasks.create_task(tick())] if path == "/ticks" else []
        async for text in until_closed(connection):
            counts["received"] += 1
            asked = json.loads(text)
            reply = {"type": "reply", "id": asked.get("id"), "echo": asked}

            async def answer(asked=asked, reply=reply):
                if asked.get("held"):
                    await released.wait()
                await asyncio.sleep(asked.get("wait_s", 0))
                for _ in range(asked.get("times", 1)):
                    await say(json.dumps(reply).encode() if asked.get("binary") else reply)
                if asked.get("releases"):
                    released.set()

            if "close" in asked:
                await connection.close(4000, "enough")
                break
            for frame in asked.get("first", []):
                await say(frame)
            waiting.append(tasks.create_task(answer()))
        for task in waiting:
            task.cancel()


@pytest.fixture
def server(serve_websockets):
    return serve_websockets(chat)


@pytest.fixture
def run(tmp_path, server):
    """Runs a script against the server; returns the report as users read it, checked."""

    async def begin(script, count=1, *, stop=None, after=None, **settings):
        file = tmp_path / "chat.py"
        file.write_text(HEAD + textwrap.dedent(script))
        settings = {"duration_s": 0.5, "stop_timeout_s": 60.0} | settings
        plan = Plan(count, server.url, scenario=str(file), **settings)
        report = await api.run(plan, stop=stop)
        whole = json.loads(msgspec.json.encode(report))
        check_report(whole)
        return whole

    return begin


@pytest.fixture
def stop_at(server, nursery):
    """Makes an event that ends a run: set once the server has counted so many of something."""

    def begin(what, count):
        stop = trio.Event()

        async def wait():
            await trio.to_thread.run_sync(server.wait_until, lambda: server.counts[what] == count)
            stop.set()

        nursery.start_soon(wait)
        return stop

    return begin


def columns(report):
    return {
        key: n
        for key, n in report["messages"].items()
        if n and not key.endswith(("_bytes", "_per_s"))
    }
