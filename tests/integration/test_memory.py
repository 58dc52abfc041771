"""Memory is a budget: however much clients make the server hold, and given back when they go."""

from __future__ import annotations

import select
import socket
import struct
from collections.abc import Callable
from contextlib import ExitStack
from time import monotonic
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from websockets.sync.client import connect

from .conftest import ServerProcess

StartServer = Callable[..., ServerProcess]
MIB = 2**20
PATIENCE_S = 120.0
MAX_HELD = 32 * MIB
CLIENTS = 60
MESSAGE = b"\x81\xff" + MIB.to_bytes(8, "big") + b"\0\0\0\0" + b"m" * MIB
#: Beside what is held: what answering one message takes, and what memory is never whole again.
BESIDE = 48 * MIB


def snapshot(server: ServerProcess) -> dict[str, Any]:
    return httpx.get(f"{server.console}api/server", timeout=PATIENCE_S).json()


def until(server: ServerProcess, condition: Callable[[], bool]) -> None:
    """Wait for something that has no other sign; PATIENCE_S guards against a hang."""
    began_s = monotonic()
    while not condition():
        assert monotonic() - began_s < PATIENCE_S, (snapshot(server), server.log[-2000:])
        select.select([], [], [], 0.1)


def open_socket(server: ServerProcess, path: str) -> socket.socket:
    parts = urlsplit(server.url)
    sock = socket.create_connection((parts.hostname or "", parts.port or 0), PATIENCE_S)
    sock.sendall(
        f"GET {path} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
    )
    assert sock.recv(4096).startswith(b"HTTP/1.1 101 ")
    sock.setblocking(False)
    return sock


def send_what_goes(socks: list[socket.socket], messages: int) -> None:
    """Send so many messages on each, until none of them takes any more for a while."""
    left = {sock.fileno(): (sock, memoryview(MESSAGE * messages)) for sock in socks}
    poll = select.poll()
    for fd in left:
        poll.register(fd, select.POLLOUT)
    while ready := poll.poll(1500):
        for fd, _ in ready:
            sock, rest = left[fd]
            try:
                left[fd] = sock, rest[sock.send(rest) :]
            except BlockingIOError:
                continue
            except OSError:
                left[fd] = sock, memoryview(b"")
            if not left[fd][1]:
                poll.unregister(fd)


@pytest.mark.alone
@pytest.mark.parametrize(
    ("path", "messages"),
    [
        ("/delay/1h", 2),
        ("/stall/1/1h", 2),
        ("/burst/300", 2),
        # The kernel holds the first few replies itself.
        ("/", 20),
        ("/reorder/1", 20),
        ("/duplicate/1", 10),
    ],
)
def test_what_is_held_stays_within_the_budget_and_is_given_back(
    start_server: StartServer, path: str, messages: int
) -> None:
    server = start_server(
        f"--max-held={MAX_HELD}", "--write-timeout=1h", "--ping-interval=0", console=True
    )
    with connect(server.url, max_size=None) as client:  # What is made once, is made.
        client.send("m" * MIB)
        client.recv(timeout=PATIENCE_S)
    before = server.resident_bytes
    with ExitStack() as stack:
        socks = [stack.enter_context(open_socket(server, path)) for _ in range(CLIENTS)]
        send_what_goes(socks, messages)
        assert 0 < snapshot(server)["held_bytes"] <= MAX_HELD
        assert server.resident_bytes < before + MAX_HELD + BESIDE
        with connect(server.url) as neighbour:
            neighbour.send("m")
            assert str(neighbour.recv(timeout=PATIENCE_S)).startswith("m ")
        for sock in socks:  # Or the end would wait behind what the server does not read.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    until(server, lambda: snapshot(server)["open"] == 0)
    assert snapshot(server)["held_bytes"] == 0
    until(server, lambda: server.resident_bytes < before + 50 * MIB)
    metrics = httpx.get(f"{server.console}metrics", timeout=PATIENCE_S).text
    assert "echo_trio_held_bytes 0.0" in metrics
    assert server.stop() == 0
    evicted = server.summary["outcomes"].get("memory", 0)
    assert f'echo_trio_closed_total{{reason="memory"}} {evicted}.0' in metrics


def test_who_holds_most_is_told_1013_and_logged_and_the_others_go_on(
    start_server: StartServer,
) -> None:
    server = start_server("--max-held=1MiB", console=True)
    with connect(server.url + "delay/1h") as small, connect(server.url + "delay/1h") as large:
        small.send("x" * 100_000)
        large.send("x" * 700_000)
        large.send("x" * 700_000)
        with pytest.raises(Exception, match="1013"):
            large.recv(timeout=PATIENCE_S)
        assert snapshot(server)["outcomes"] == {"memory": 1}
        assert 100_000 < snapshot(server)["held_bytes"] < 500_000
        assert small.ping().wait(PATIENCE_S)
    assert server.stop() == 0
    (told,) = [event for event in server.events if event.get("outcome") == "memory"]
    assert (told["level"], told["code"]) == ("warning", 1013)


def test_without_a_bound_nobody_is_closed(start_server: StartServer) -> None:
    server = start_server("--max-held=0", console=True)
    with connect(server.url + "delay/1h", max_size=None) as client:
        client.send("x" * MIB)
        until(server, lambda: snapshot(server)["held_bytes"] > MIB)
        assert client.ping().wait(PATIENCE_S)


def test_workers_hold_together_what_each_holds(start_server: StartServer) -> None:
    server = start_server("--workers=2", console=True)
    with ExitStack() as stack:
        for _ in range(8):
            client = stack.enter_context(connect(server.url + "delay/1h"))
            client.send("x" * 100_000)
        until(server, lambda: snapshot(server)["held_bytes"] > 1_600_000)
    until(server, lambda: snapshot(server)["held_bytes"] == 0)


@pytest.mark.parametrize(
    ("path", "messages", "interval"),
    [
        pytest.param("/stall/1/1h", 1, "0", id="its end arrives"),
        pytest.param("/delay/1h", 20, "100ms", id="its end waits behind what is not read"),
        pytest.param("/stall/1/1h", 20, "100ms", id="it waits, and the connection is frozen"),
    ],
)
def test_a_client_that_leaves_while_nothing_is_read_from_it_is_noticed(
    start_server: StartServer, path: str, messages: int, interval: str
) -> None:
    server = start_server("--ping-interval", interval, console=True)
    with open_socket(server, path) as sock:
        send_what_goes([sock], messages)
        until(server, lambda: snapshot(server)["held_bytes"] > MIB)
    until(server, lambda: snapshot(server)["open"] == 0)
    assert snapshot(server)["held_bytes"] == 0
    assert server.stop() == 0
    assert server.summary["outcomes"] == {"abnormal": 1}
