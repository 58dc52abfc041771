"""The console over real HTTP, beside a real server."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
import structlog
import trio
from websockets.sync.client import connect

from echo_trio.console.serve import Console
from echo_trio.metrics import Counters
from echo_trio.settings import Settings
from echo_trio.wire import sockets

from .conftest import ServerProcess

StartServer = Callable[..., ServerProcess]


def test_it_says_alive_and_ready_while_the_server_serves(start_server: StartServer) -> None:
    server = start_server(console=True)
    for path in ("healthz", "readyz"):
        assert httpx.get(server.console + path).status_code == 200


def test_the_snapshot_counts_what_the_server_did(start_server: StartServer) -> None:
    server = start_server(console=True)
    with connect(server.url) as client:
        client.send("m")
        client.recv(timeout=10)
        snapshot = httpx.get(server.console + "api/server").json()
        assert snapshot["open"] == snapshot["messages_received"] == snapshot["messages_sent"] == 1
        assert snapshot["url"] == server.url
        assert snapshot["echo_ms"].keys() == {"count", "p50", "p99", "max"}
        assert snapshot["descriptors"] < snapshot["file_limit"]
        assert snapshot["histograms"]["handshake_s"]["sum_s"] > 0
    assert httpx.get(server.console + "api/server").json()["accepted"] == 1


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "", "[::2]:80"])
def test_a_foreign_host_is_403(start_server: StartServer, host: str) -> None:
    server = start_server(console=True)
    assert httpx.get(server.console + "healthz", headers={"Host": host}).status_code == 403


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:1", "127.0.0.1:8766", "[::1]", "[::1]:1"])
def test_this_machines_own_names_are_served(start_server: StartServer, host: str) -> None:
    server = start_server(console=True)
    assert httpx.get(server.console + "healthz", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize("path", ["assets/../app.py", "assets/%2e%2e/app.py", "..%2fapp.py"])
def test_no_path_leads_out_of_the_page(start_server: StartServer, path: str) -> None:
    server = start_server(console=True)
    assert httpx.get(server.console + path).status_code == 404


def test_the_built_page_is_served_with_its_assets(start_server: StartServer) -> None:
    server = start_server(console=True)
    page = httpx.get(server.console)
    assert page.status_code == 200
    assert page.headers["content-type"].startswith("text/html")
    script = next(part for part in page.text.split('"') if part.endswith(".js"))
    answer = httpx.get(httpx.URL(server.console).join(script))
    assert answer.status_code == 200
    assert "javascript" in answer.headers["content-type"]


def test_it_ends_with_the_server(start_server: StartServer) -> None:
    server = start_server(console=True)
    assert server.stop(signal.SIGINT) == 0
    with pytest.raises(httpx.ConnectError):
        httpx.get(server.console + "healthz")


async def test_while_the_server_drains_it_is_not_ready_and_a_missing_page_is_explained(
    tmp_path: Path, nursery: trio.Nursery
) -> None:
    counters = Counters(draining=True)
    listeners = sockets.listen("127.0.0.1", 0)
    port = listeners[0].getsockname()[1]
    console = Console(
        Settings(),
        listeners,
        url="ws://127.0.0.1:1/",
        snapshot=counters.snapshot,
        log=structlog.get_logger(),
        page=tmp_path,
    )
    await nursery.start(console.run)
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
        assert (await client.get("/readyz")).status_code == 503
        assert (await client.get("/healthz")).status_code == 200
        missing = await client.get("/")
        assert missing.status_code == 503
        assert "npm run build" in missing.text


def test_a_run_is_started_watched_and_reported(start_server: StartServer) -> None:
    server = start_server(console=True)
    with httpx.Client(base_url=server.console, timeout=60) as client:
        started = client.post("api/runs", json={"count": 200, "duration": "2s"})
        assert started.status_code == 202
        run = f"api/runs/{started.json()['id']}"
        assert client.post("api/runs", json={"count": 1}).status_code == 409
        with client.stream("GET", f"{run}/live") as live:
            events = [line for line in live.iter_lines() if line.startswith("event: ")]
        assert events[-1] == "event: report"
        report = client.get(run).json()
        assert (report["verdict"], report["connections"]["opened"]) == ("valid", 200)
        (listed,) = client.get("api/runs").json()["runs"]
        assert (listed["state"], listed["verdict"], listed["exit_code"]) == ("done", "valid", 0)
