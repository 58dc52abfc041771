"""The console over real HTTP, beside a real server."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
import trio
from websockets.sync.client import connect

from echo_trio.console.app import make_app
from echo_trio.console.serve import serve_console
from echo_trio.metrics import Counters
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
    app = make_app(counters.snapshot, "ws://127.0.0.1:1/", page=tmp_path)
    listeners = sockets.listen("127.0.0.1", 0)
    port = listeners[0].getsockname()[1]
    await nursery.start(serve_console, app, listeners)
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
        assert (await client.get("/readyz")).status_code == 503
        assert (await client.get("/healthz")).status_code == 200
        missing = await client.get("/")
        assert missing.status_code == 503
        assert "npm run build" in missing.text
