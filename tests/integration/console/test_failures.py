"""A console whose sources fail, beside an echo that doesn't notice."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

import httpx
import pytest
import structlog
import trio
import trio.lowlevel
from structlog.testing import capture_logs
from websockets.trio.client import connect

from echo_trio.console.serve import Console
from echo_trio.metrics.counters import Counters
from echo_trio.server import EchoServer
from echo_trio.settings import Settings
from echo_trio.wire import sockets


def make_console(**sources: Any) -> tuple[Console, str]:
    listeners = sockets.listen("127.0.0.1", 0)
    port = listeners[0].getsockname()[1]
    given = {"url": "ws://127.0.0.1:1/", "snapshot": Counters().snapshot, **sources}
    console = Console(Settings(), listeners, log=structlog.get_logger(), **given)
    return console, f"http://127.0.0.1:{port}"


async def test_while_the_server_drains_it_is_not_ready_and_a_missing_page_is_explained(
    tmp_path: Path, nursery: trio.Nursery
) -> None:
    console, url = make_console(snapshot=Counters(draining=True).snapshot, page=tmp_path)
    await nursery.start(console.run)
    async with httpx.AsyncClient(base_url=url, timeout=60) as client:
        assert (await client.get("/readyz")).status_code == 503
        assert (await client.get("/healthz")).status_code == 200
        missing = await client.get("/")
        assert missing.status_code == 503
        assert "npm run build" in missing.text
        console.drain()
        assert (await client.get("/api/live")).status_code == 503
        order = {"count": 1}
        assert (await client.post("/api/runs", json=order)).status_code == 503
    assert console.failures == 0


async def test_what_fails_in_the_console_is_logged_once_and_counted_and_the_echo_goes_on(
    nursery: trio.Nursery,
) -> None:
    def fail() -> NoReturn:
        raise RuntimeError("no figures today")

    with capture_logs() as logs:
        server = EchoServer.listen(Settings(port=0))
        console, url = make_console(snapshot=fail, tasks=fail, url=server.url)
        await nursery.start(server.run)
        await nursery.start(console.run)
        async with (
            httpx.AsyncClient(base_url=url, timeout=60) as client,
            connect(server.url) as echo,
        ):
            for path in ("/api/server", "/api/tasks", "/metrics", "/readyz", "/api/server"):
                answer = await client.get(path)
                assert answer.status_code == 500
                assert answer.json()["error"]
            assert (await client.get("/healthz")).status_code == 200
            await echo.send("m")
            assert (await echo.recv()).startswith("m ")
    assert console.failures >= 5
    (logged,) = [entry for entry in logs if entry["log_level"] == "error"]
    assert logged["event"] == "the console failed, the echo goes on"
    assert isinstance(logged["exc_info"], RuntimeError)


async def test_of_what_fails_for_a_client_the_log_says_where_and_nothing_of_its_words(
    nursery: trio.Nursery,
) -> None:
    async def tasks() -> NoReturn:
        raise ValueError("x" * 60_000)

    with capture_logs() as logs:
        console, url = make_console(tasks=tasks)
        await nursery.start(console.run)
        async with httpx.AsyncClient(base_url=url, timeout=60) as client:
            assert (await client.get("/api/tasks")).status_code == 500
            assert (await client.get("/api/tasks")).status_code == 500
    (logged,) = [entry for entry in logs if entry["log_level"] == "error"]
    assert (logged["part"], logged["error"]) == ("request", "ValueError")
    assert logged["at"][-1].startswith("test_failures.py:")
    assert "xxx" not in str(logged)
    assert console.failures == 2


async def test_the_sampler_goes_on_when_the_figures_are_back(nursery: trio.Nursery) -> None:
    asked = 0

    def fail_at_first() -> Any:
        nonlocal asked
        asked += 1
        if asked == 1:
            raise OSError("not yet")
        return Counters().snapshot()

    console, url = make_console(snapshot=fail_at_first)
    await nursery.start(console.run)
    port = int(url.rpartition(":")[2])
    async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
        await stream.send_all(b"GET /api/live HTTP/1.1\r\nHost: localhost\r\n\r\n")
        received = b""
        while b"data: " not in received:
            received += await stream.receive_some()
    assert (console.failures, asked > 1) == (1, True)


async def test_figures_may_be_asked_of_others_and_take_their_time(nursery: trio.Nursery) -> None:
    async def snapshot() -> Any:
        await trio.lowlevel.checkpoint()
        return Counters(accepted=7).snapshot()

    async def tasks() -> Any:
        await trio.lowlevel.checkpoint()
        return {"name": "supervisor", "count": 1, "children": []}

    console, url = make_console(snapshot=snapshot, tasks=tasks)
    await nursery.start(console.run)
    async with httpx.AsyncClient(base_url=url, timeout=60) as client:
        assert (await client.get("/api/server")).json()["accepted"] == 7
        assert (await client.get("/api/tasks")).json()["name"] == "supervisor"
        assert (await client.get("/readyz")).status_code == 200
        assert "echo_trio_connections" in (await client.get("/metrics")).text


async def test_a_body_that_never_comes_is_408(
    nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("echo_trio.console.http_connection.BODY_TIMEOUT_S", 0.1)
    console, url = make_console()
    await nursery.start(console.run)
    port = int(url.rpartition(":")[2])
    async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
        await stream.send_all(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n")
        answer = b"".join([chunk async for chunk in stream])
    assert answer.startswith(b"HTTP/1.1 408 ")


async def test_clients_that_leave_without_reading_their_answer_are_gone_at_once(
    nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("echo_trio.console.serve.MAX_CONNECTIONS", 2)
    monkeypatch.setattr("echo_trio.console.http_connection.IDLE_TIMEOUT_S", 3600)
    console, url = make_console()
    await nursery.start(console.run)
    port = int(url.rpartition(":")[2])
    with trio.fail_after(60):
        for _ in range(20):
            async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
                await stream.send_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
                assert await stream.receive_some(1) == b"H"
        async with httpx.AsyncClient(base_url=url, timeout=60) as client:
            assert (await client.get("/healthz")).status_code == 200
    assert console.failures == 0


async def test_it_is_not_ready_while_no_worker_serves(nursery: trio.Nursery) -> None:
    console, url = make_console(snapshot=lambda: replace(Counters().snapshot(), workers=0))
    await nursery.start(console.run)
    async with httpx.AsyncClient(base_url=url, timeout=60) as client:
        assert (await client.get("/readyz")).status_code == 503
        assert (await client.get("/healthz")).status_code == 200


async def test_it_is_not_ready_from_the_moment_it_is_told_to_drain(nursery: trio.Nursery) -> None:
    console, url = make_console()
    await nursery.start(console.run)
    async with httpx.AsyncClient(base_url=url, timeout=60) as client:
        assert (await client.get("/readyz")).status_code == 200
        console.drain()
        assert (await client.get("/readyz")).status_code == 503
        assert (await client.get("/healthz")).status_code == 200
