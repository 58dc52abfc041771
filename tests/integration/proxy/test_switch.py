"""Faults that are switched through the console while pairs are open, in one process or more."""

from __future__ import annotations

import json
from contextlib import AsyncExitStack

import pytest
import trio
from websockets.trio.client import connect

from .conftest import PATIENCE_S

JSON = {"content_type": "application/json"}


async def put(ask, console: str, body: bytes, **headers: str):
    given = JSON | headers
    return await trio.to_thread.run_sync(lambda: ask(console, "PUT /api/faults", body, **given))


@pytest.mark.parametrize("workers", ["1", "2"])
async def test_faults_hold_on_all_workers_for_open_pairs_and_new_ones(
    upstream, start_server, ask, workers: str
):
    server = await trio.to_thread.run_sync(
        lambda: start_server(
            *("--upstream", upstream.url, "--workers", workers, "--fault", "~corrupt/1"),
            console=True,
        )
    )

    async def said(client) -> str:
        await client.send("hello")
        return await client.recv()

    with trio.fail_after(PATIENCE_S):
        assert (await trio.to_thread.run_sync(ask, server.console, "GET /api/faults")).json == {
            "faults": "~corrupt/1"
        }
        # Of eight connections both workers have one, but for once in a hundred and more.
        async with AsyncExitStack() as stack:
            opening = [connect(server.url, ping_interval=None, proxy=None) for _ in range(8)]
            clients = [await stack.enter_async_context(each) for each in opening]
            assert [await said(client) for client in clients] == ["(ello"] * 8
            for text, reply in (("~up-corrupt/1/~delay/1ms", "(ello"), ("", "hello")):
                answer = await put(ask, server.console, json.dumps({"faults": text}).encode())
                assert (answer.status, answer.json) == (200, {"faults": text})
                assert [await said(client) for client in clients] == [reply] * 8
                async with connect(server.url, ping_interval=None, proxy=None) as client:
                    assert await said(client) == reply
            # Eight clients of each change and a new one; a worker tells once a second.
            counts = await server_with(ask, server.console, {"corrupt": 8, "delay": 9})
            assert counts["faults_acted"] == {"corrupt": 8, "up-corrupt": 9, "delay": 9}
            assert (counts["faults"], counts["upstream"]) == ("", upstream.url)
    await trio.to_thread.run_sync(server.stop)


async def server_with(ask, console: str, seen: dict[str, int]) -> dict:
    """Wait until the server has counted so much."""
    while True:
        counts = (await trio.to_thread.run_sync(ask, console, "GET /api/server")).json
        if seen.items() <= counts["faults_seen"].items():
            return counts
        await trio.sleep(0.05)


WRONG = [
    (b"{", 400, None, "not JSON"),
    (b"[]", 422, None, "has to be an object"),
    (b"{}", 422, "faults", "a text is needed"),
    (b'{"faults": 1}', 422, "faults", "a text is needed"),
    (b'{"fault": ""}', 422, "fault", "there is only faults"),
    (b'{"faults": "~nothing"}', 422, "faults", "~nothing is no fault"),
    (b'{"faults": "~delay/1"}', 422, "faults", "~delay takes"),
    (b'{"faults": "~delay/1s/chat"}', 422, "faults", "'chat' is no fault"),
]


async def test_what_can_not_be_is_named_and_changes_nothing(upstream, start_server, ask):
    server = await trio.to_thread.run_sync(
        lambda: start_server("--upstream", upstream.url, console=True)
    )
    for body, status, field, told in WRONG:
        answer = await put(ask, server.console, body)
        assert (answer.status, answer.json.get("field")) == (status, field), body
        assert told in answer.json["error"]
        assert answer.json.get("at") == (0 if b'"~' in body and b"chat" not in body else None)
    behind = await put(ask, server.console, b'{"faults": "~silent/~up-drop/x"}')
    assert behind.json["at"] == 1
    body = b'{"faults": "~silent"}'
    assert (await put(ask, server.console, body, content_type="text/plain")).status == 403
    assert (await put(ask, server.console, body, origin="http://evil.example")).status == 403
    answer = await trio.to_thread.run_sync(ask, server.console, "GET /api/faults")
    assert answer.json == {"faults": ""}


def test_a_server_that_is_no_proxy_has_none(console, ask):
    for line in ("GET /api/faults", "PUT /api/faults"):
        answer = ask(console.console, line, b'{"faults": ""}', **JSON)
        assert answer.status == 404
        assert "--upstream" in answer.json["error"]
