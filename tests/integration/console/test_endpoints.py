"""What the console shows, over real HTTP beside a real server."""

from __future__ import annotations

import json
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any
from urllib.parse import urljoin, urlsplit

import httpx
import pytest
from websockets.sync.client import connect

StartServer = Callable[..., Any]
Ask = Callable[..., Any]


def snapshots(live: httpx.Response) -> Iterator[tuple[int, Any]]:
    """The ids and snapshots of a stream."""
    event_id = 0
    for line in live.iter_lines():
        key, _, value = line.partition(": ")
        if key == "id":
            event_id = int(value)
        elif key == "data":
            yield event_id, json.loads(value)


def test_it_says_alive_and_ready_while_the_server_serves(console: Any, ask: Ask) -> None:
    for path in ("healthz", "readyz"):
        assert ask(console.console, f"GET /{path}").status == 200


def test_the_snapshot_counts_what_the_server_did(start_server: StartServer) -> None:
    server = start_server(console=True)
    with connect(server.url) as client:
        client.send("m")
        client.recv(timeout=60)
        snapshot = httpx.get(server.console + "api/server", timeout=60).json()
        assert snapshot["open"] == snapshot["messages_received"] == snapshot["messages_sent"] == 1
        assert snapshot["url"] == server.url
        assert snapshot["echo_ms"].keys() == {"count", "p50", "p99", "max"}
        assert snapshot["descriptors"] < snapshot["file_limit"]
        assert snapshot["histograms"]["handshake_s"]["sum_s"] > 0
    assert httpx.get(server.console + "api/server", timeout=60).json()["accepted"] == 1


def test_prometheus_gets_its_text(console: Any, ask: Ask) -> None:
    answer = ask(console.console, "GET /metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert b"# TYPE echo_trio_console_failures_total counter\n" in answer.body
    assert answer.body.count(b"# TYPE echo_trio_") > 10


def test_the_nursery_tree_has_the_connections_folded(console: Any, ask: Ask) -> None:
    def find(node: Any, name: str) -> Iterator[Any]:
        if node["name"].endswith(name):
            yield node
        for child in node["children"]:
            yield from find(child, name)

    with ExitStack() as clients:
        for _ in range(20):
            clients.enter_context(connect(console.url))
        tree = ask(console.console, "GET /api/tasks").json
        assert tree["name"] == "<init>"
        (sessions,) = find(tree, "serve_session")
        assert sessions["count"] == 20
        assert list(find(tree, "Console.run"))


def test_the_live_stream_begins_with_its_history(console: Any) -> None:
    url = f"{console.console}api/live"
    with httpx.stream("GET", url, timeout=60) as live:
        assert live.headers["content-type"] == "text/event-stream"
        assert live.headers["cache-control"] == "no-store"
        feed = snapshots(live)
        first, second, third = next(feed), next(feed), next(feed)
        assert [event_id for event_id, _ in (first, second, third)] == [
            snapshot["t_ms"] for _, snapshot in (first, second, third)
        ]
        assert first[0] < second[0] < third[0]
    with httpx.stream("GET", url, timeout=60) as live:
        assert next(snapshots(live)) == first
    with httpx.stream("GET", url, timeout=60, headers={"Last-Event-ID": str(first[0])}) as live:
        assert next(snapshots(live)) == second
    for nonsense in ("-1", "abc", "9" * 400, ""):
        with httpx.stream("GET", url, timeout=60, headers={"Last-Event-ID": nonsense}) as live:
            assert next(snapshots(live)) == first


def test_streams_are_bounded_and_their_places_are_free_again(console: Any, ask: Ask) -> None:
    parts = urlsplit(console.console)
    request = f"GET /api/live HTTP/1.1\r\nHost: {parts.netloc}\r\n\r\n".encode()
    with ExitStack() as clients:
        for _ in range(32):
            sock = socket.create_connection((parts.hostname, parts.port), timeout=60)
            clients.enter_context(sock)
            sock.sendall(request)
            assert sock.recv(12) == b"HTTP/1.1 200"
        refused = ask(console.console, "GET /api/live")
        assert (refused.status, refused.headers["retry-after"]) == (503, "5")
        assert ask(console.console, "GET /healthz").status == 200
    for _ in range(32):
        while True:
            with socket.create_connection((parts.hostname, parts.port), timeout=60) as sock:
                sock.sendall(request)
                if sock.recv(12) == b"HTTP/1.1 200":
                    break


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_streams_end_and_nothing_answers_once_the_server_has_stopped(
    start_server: StartServer, number: int
) -> None:
    server = start_server(console=True)
    with httpx.stream("GET", f"{server.console}api/live", timeout=60) as live:
        feed = snapshots(live)
        next(feed)
        server.process.send_signal(number)
        for _ in feed:
            pass
    assert server.process.wait(60) == 0
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{server.console}healthz", timeout=60)


def test_a_client_that_never_reads_holds_nothing_up(start_server: StartServer) -> None:
    server = start_server("--drain-timeout=30s", console=True)
    parts = urlsplit(server.console)
    request = f"GET /metrics HTTP/1.1\r\nHost: {parts.netloc}\r\n\r\n".encode()
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.connect((parts.hostname, parts.port))
        sock.settimeout(1)
        with pytest.raises(TimeoutError):  # noqa: PT012 - when it is stuck at last
            while True:
                sock.sendall(request * 100)
        assert httpx.get(f"{server.console}healthz", timeout=60).status_code == 200
        with connect(server.url) as client:
            client.send("m")
            assert client.recv(timeout=60)
        assert server.stop() == 0


def test_the_built_page_is_served_with_its_assets(console: Any, ask: Ask) -> None:
    page = ask(console.console, "GET /")
    assert page.status == 200
    assert page.headers["content-type"].startswith("text/html")
    assert page.headers["cache-control"] == "no-cache"
    script = next(part for part in page.body.decode().split('"') if part.endswith(".js"))
    answer = ask(console.console, f"GET {urljoin('/', script)}")
    assert answer.status == 200
    assert "javascript" in answer.headers["content-type"]
    assert "immutable" in answer.headers["cache-control"]


def test_all_this_was_no_failure_of_the_console(console: Any, ask: Ask) -> None:
    assert b"echo_trio_console_failures_total 0.0\n" in ask(console.console, "GET /metrics").body
