"""Clients that hold, flood and dribble, and what the others get meanwhile.

The console runs in the test's own process, with timeouts of an hour: nothing here is so because
somebody was waited out.
"""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx
import psutil
import pytest
import structlog
import trio
from structlog.testing import capture_logs

from echo_trio.console.http_connection import LINGER_BYTES, asks_for_health
from echo_trio.console.serve import MAX_CONNECTIONS, Console
from echo_trio.metrics.counters import Counters
from echo_trio.settings import Settings
from echo_trio.wire import sockets

from .conftest import ask

HOUR_S = 3600
#: A hang guard, nothing else: hundreds of connections take their time on a machine that is busy.
PATIENCE_S = 600
#: More than the kernel keeps of a stream that nobody reads, in the buffers of both ends.
BUFFERED_BYTES = 2**26
TIMEOUTS = ("IDLE_TIMEOUT_S", "HEAD_TIMEOUT_S", "BODY_TIMEOUT_S", "WRITE_TIMEOUT_S", "LINGER_S")
HEAD = b"GET %b HTTP/1.1\r\nHost: localhost\r\n"
MARK = b"peers-own-words"


@dataclass
class Patient:
    """A console that waits for an hour, and its log."""

    console: Console
    port: int
    logs: list[Any]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def ask(self, path: bytes, body: bytes = b"") -> int:
        """The status of one request, on a connection of its own."""
        request = HEAD % path if not body else HEAD.replace(b"GET", b"POST") % path
        request += b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
        async with await trio.open_tcp_stream("127.0.0.1", self.port) as stream:
            await stream.send_all(request + body)
            answer = b""
            while b"\r\n" not in answer:
                part = await stream.receive_some()
                assert part, f"cut: {answer!r}"
                answer += part
        return int(answer.split()[1])

    async def health(self) -> list[int]:
        return [await self.ask(path) for path in (b"/healthz", b"/readyz")]


@pytest.fixture
async def patient(nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Patient]:
    for name in TIMEOUTS:
        monkeypatch.setattr(f"echo_trio.console.http_connection.{name}", HOUR_S)
    listeners = sockets.listen("127.0.0.1", 0)
    with capture_logs() as logs:
        console = Console(
            Settings(),
            listeners,
            url="ws://127.0.0.1:1/",
            snapshot=Counters().snapshot,
            log=structlog.get_logger(),
        )
        await nursery.start(console.run)
        yield Patient(console, listeners[0].getsockname()[1], logs)
        nursery.cancel_scope.cancel()


@contextmanager
def crowd(port: int, size: int, says: bytes) -> Iterator[list[socket.socket]]:
    """So many connections, each of which says this and then neither sends nor reads."""
    with ExitStack() as held:
        socks = []
        for _ in range(size):
            sock = socket.socket()
            held.enter_context(sock)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            sock.setblocking(True)
            sock.connect(("127.0.0.1", port))
            sock.setblocking(False)
            if says:
                sock.send(says)
            socks.append(sock)
        yield socks


HELD_OPEN = {
    "silent": b"",
    "half a head": b"GET /healthz HTTP/1.1\r\nHost: loc",
    "no body": b"POST /api/runs HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n",
    "half a chunk": b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nx",
    "kept alive": HEAD % b"/healthz" + b"\r\n",
    "refused": b"nonsense\r\n\r\n",
    "never reading": (HEAD % b"/metrics" + b"\r\n") * 200,
    "streams": HEAD % b"/api/live" + b"\r\n",
}


@pytest.mark.parametrize("says", HELD_OPEN.values(), ids=HELD_OPEN)
async def test_two_hundred_connections_held_open_keep_nobody_from_asking(
    patient: Patient, says: bytes
) -> None:
    with crowd(patient.port, 200, says):
        for _ in range(2):
            with trio.fail_after(PATIENCE_S):
                assert await patient.health() == [200, 200]
                assert await patient.ask(b"/api/runs", b'{"count": "none"}') == 422
        assert len(patient.console.connections.held) <= MAX_CONNECTIONS
    assert patient.console.failures == 0
    assert {entry["log_level"] for entry in patient.logs} <= {"info", "warning"}


#: Connections that ask and ask, don't wait for answers, and come back when they are cut.
FLOOD = """
import selectors, socket, sys
port, request, connections = int(sys.argv[1]), sys.argv[2].encode() * 20, int(sys.argv[3])
waiting = selectors.DefaultSelector()
def connect():
    sock = socket.create_connection(("127.0.0.1", port))
    sock.setblocking(False)
    waiting.register(sock, selectors.EVENT_READ | selectors.EVENT_WRITE)
for _ in range(connections):
    connect()
print("flooding", flush=True)
while True:
    for key, events in waiting.select():
        sock = key.fileobj
        try:
            if events & selectors.EVENT_READ and not sock.recv(65536):
                raise ConnectionError
            if events & selectors.EVENT_WRITE:
                sock.send(request)
        except BlockingIOError:
            pass
        except OSError:
            waiting.unregister(sock)
            sock.close()
            connect()
"""


@pytest.mark.parametrize(
    ("path", "connections"), [(b"/api/server", 150), (b"/api/live", 150), (b"/healthz", 300)]
)
async def test_a_flood_of_requests_lets_health_through(
    patient: Patient, path: bytes, connections: int
) -> None:
    request = (HEAD % path + b"\r\n").decode()
    flooder = await trio.lowlevel.open_process(
        [sys.executable, "-c", FLOOD, str(patient.port), request, str(connections)],
        stdout=subprocess.PIPE,
    )
    assert flooder.stdout is not None
    try:
        assert await flooder.stdout.receive_some() == b"flooding\n"
        # A hang guard: beside other work, all these connections have their turn before each answer.
        with trio.fail_after(PATIENCE_S):
            assert await patient.health() == [200, 200]
    finally:
        flooder.kill()
        with trio.CancelScope(shield=True):
            await flooder.wait()
            await flooder.stdout.aclose()
    assert patient.console.failures == 0


async def test_what_no_http_1_1_client_says_is_refused_and_not_logged(patient: Patient) -> None:
    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
    frames = {
        "settings": b"\0\0\0\4\0\0\0\0\0" * 1000,
        "ping": (b"\0\0\x08\6\0\0\0\0\0" + MARK[:8]) * 1000,
        "rst_stream": b"\0\0\4\3\0\0\0\0\1\0\0\0\1" * 1000,
        "continuation": (b"\0\x0f\xff\x09\0\0\0\0\1" + MARK * 273) * 4,
    }
    for says in [preface + flood for flood in frames.values()] + [
        b"\x16\x03\x01" + MARK,
        MARK + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + MARK + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: \xff" + MARK + b"\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n" + MARK + b"\r\n",
        b"GET / HTTP/1.1\r\nHost: h\r\nContent-Length: " + b"9" * 6000 + b"\r\n\r\n",
    ]:
        async with await trio.open_tcp_stream("127.0.0.1", patient.port) as stream:
            await stream.send_all(says)
            answer = await stream.receive_some(100)
        assert answer.split(b" ")[:2][1] in (b"400", b"403", b"505"), answer
        assert MARK not in answer
    assert patient.console.failures == 0
    assert patient.logs == []


async def test_who_goes_on_sending_after_a_refusal_is_read_for_so_many_bytes_and_no_more(
    patient: Patient,
) -> None:
    async with await trio.open_tcp_stream("127.0.0.1", patient.port) as stream:
        await stream.send_all(b"nonsense\r\n\r\n")
        answer = b""
        while part := await stream.receive_some():  # Its half is closed at once, not after an hour.
            answer += part
        assert answer.startswith(b"HTTP/1.1 400 ")
        sent = 0
        with suppress(trio.BrokenResourceError):
            while sent < LINGER_BYTES + BUFFERED_BYTES:
                await stream.send_all(bytes(2**14))
                sent += 2**14
    assert LINGER_BYTES <= sent < LINGER_BYTES + BUFFERED_BYTES
    with trio.fail_after(PATIENCE_S):
        while patient.console.connections.held:
            await trio.sleep(0.005)


async def test_an_upgrade_to_http_2_is_passed_over(patient: Patient) -> None:
    async with httpx.AsyncClient(base_url=patient.url, timeout=PATIENCE_S) as client:
        headers = {"Connection": "Upgrade, HTTP2-Settings", "Upgrade": "h2c", "HTTP2-Settings": "A"}
        answer = await client.get("/healthz", headers=headers)
    assert (answer.status_code, answer.http_version) == (200, "HTTP/1.1")


async def test_a_head_of_six_thousand_headers_is_431(patient: Patient) -> None:
    with trio.fail_after(PATIENCE_S):
        async with await trio.open_tcp_stream("127.0.0.1", patient.port) as stream:
            await stream.send_all(HEAD % b"/" + b"a: b\r\n" * 6000 + b"\r\n")
            assert (await stream.receive_some(100)).startswith(b"HTTP/1.1 431 ")


@pytest.mark.parametrize("chunks", [1_025, 70_000])
async def test_a_body_in_very_many_chunks_is_413_before_its_end(
    patient: Patient, chunks: int
) -> None:
    head = b"POST /api/runs HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
    with trio.fail_after(PATIENCE_S):
        async with await trio.open_tcp_stream("127.0.0.1", patient.port) as stream:
            await stream.send_all(head + b"1\r\nx\r\n" * chunks)  # and no end
            assert (await stream.receive_some(100)).startswith(b"HTTP/1.1 413 ")


async def test_a_connection_that_is_dribbled_into_is_as_old_as_its_first_byte(
    patient: Patient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("echo_trio.console.http_connection.HEAD_TIMEOUT_S", 0.2)

    async def dribble(stream: trio.SocketStream) -> None:
        while True:
            await stream.send_all(b"G")
            await trio.sleep(0.01)

    async with (
        await trio.open_tcp_stream("127.0.0.1", patient.port) as stream,
        trio.open_nursery() as dribbling,
    ):
        dribbling.start_soon(dribble, stream)
        with trio.fail_after(PATIENCE_S):
            assert (await stream.receive_some(100)).startswith(b"HTTP/1.1 408 ")
        dribbling.cancel_scope.cancel()


async def test_a_reader_of_the_live_stream_that_reads_nothing_is_cut(
    patient: Patient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("echo_trio.console.live.TAKE_TIMEOUT_S", 0.2)
    live, ended = patient.console.live, 0
    follow = live.follow

    async def follow_and_count(emit: Any, *, after_ms: int | None) -> None:
        nonlocal ended
        try:
            await follow(emit, after_ms=after_ms)
        finally:
            ended += 1

    monkeypatch.setattr(live, "follow", follow_and_count)
    for t_ms in range(600):
        live.add({"t_ms": t_ms, "padding": "x" * 10_000})
    with crowd(patient.port, 32, HEAD % b"/api/live" + b"\r\n") as readers:
        await trio.testing.wait_all_tasks_blocked(0.05)
        async with httpx.AsyncClient(base_url=patient.url, timeout=PATIENCE_S) as client:
            while True:
                async with client.stream("GET", "/api/live") as stream:
                    if stream.status_code == 200:
                        break
                    assert stream.status_code == 503
        # One that has yet to be cut would be read from here, and never be.
        with trio.fail_after(PATIENCE_S):
            while ended < len(readers) + 1:
                await trio.sleep(0.01)
        for sock in readers:
            # In a thread: the kernel has what is left, but the server is in this loop.
            end = await trio.to_thread.run_sync(last_bytes_of, sock)
            assert end != b"0\r\n\r\n"  # Cut, not ended: the client knows that there was more.


def last_bytes_of(sock: socket.socket) -> bytes:
    """What the last chunk of a stream is, once it has come to its end."""
    sock.setblocking(True)
    received = b""
    with suppress(ConnectionResetError):
        while data := sock.recv(2**20):
            received = (received + data)[-5:]
    return received


# What one request costs, against what an honest one does, in CPU time of the same server


EXPENSIVE = {
    "headers": {"count": 1, "header": ["a: b"] * 6000},
    "subprotocols": {"count": 1, "subprotocol": ["a"] * 9000},
    "stages": {"count": 1, "stage": ["1s:1/s"] * 6000},
    "thresholds": {"count": 1, "fail_if": ["messages.lost>0"] * 3000},
    "addresses": {"count": 1, "source_ip": ["127.0.0.1"] * 4000},
    "names": {f"n{number}": 1 for number in range(5000)},
    "bad": {"count": 1, "header": ["a: b"] * 1000, "duration": "soon"},
    "text": {"count": 1, "origin": "x" * 60_000},
    "digits": None,
    "nested": None,
    "doubled": None,
}
RAW = {
    "digits": b'{"count": ' + b"9" * 60_000 + b"}",
    "nested": b'{"count": ' + b"[" * 60_000,
    "doubled": json.dumps({f"n{number}": 1 for number in range(5000)}).encode()[:-1] + b',"n0":1}',
}


def cost_of(server: Any, body: bytes) -> float:
    """CPU time that the server takes to refuse this ten times."""
    process = psutil.Process(server.process.pid)
    before = process.cpu_times()
    for _ in range(10):
        answer = ask(server.console, "POST /api/runs", body, content_type="application/json")
        assert answer.status == 400 or (answer.status == 422 and answer.json["field"]), answer
    after = process.cpu_times()
    return float(after.user + after.system - before.user - before.system)


@pytest.fixture(scope="module")
def honest_s(console: Any) -> float:
    """What a value that is none costs."""
    body = b'{"count": 1, "duration": "soon"}'
    cost_of(console, body)  # What is imported at first.
    return cost_of(console, body)


@pytest.mark.parametrize("kind", EXPENSIVE)
def test_settings_cost_no_more_to_refuse_than_honest_ones(
    console: Any, honest_s: float, kind: str
) -> None:
    body = RAW.get(kind) or json.dumps(EXPENSIVE[kind]).encode()
    assert 30_000 < len(body) <= 2**16 or kind == "bad"
    # The rest is for reading 64 KiB ten times; unbounded, these took minutes.
    assert cost_of(console, body) <= 3 * honest_s + 0.3


# The end


def test_a_server_that_is_told_to_stop_amid_it_exits_with_0(
    start_server: Callable[..., Any],
) -> None:
    server = start_server("--drain-timeout=5s", console=True)
    port = urlsplit(server.console).port or 0
    with ExitStack() as crowds:
        for says in HELD_OPEN.values():
            crowds.enter_context(crowd(port, 25, says))
        assert server.stop(signal.SIGTERM) == 0
    assert "Traceback" not in server.log
    assert {event["level"] for event in server.events} <= {"info", "warning"}


@pytest.mark.parametrize(
    ("said", "asks"),
    [
        (HEAD % b"/healthz" + b"\r\n", True),
        (b"HEAD /readyz HTTP/1.1\r\n\r\n", True),
        (HEAD % b"/healthz", False),
        (HEAD % b"/metrics" + b"\r\n", False),
        (b"", False),
    ],
    ids=["health", "readiness", "half a head", "metrics", "nothing"],
)
def test_a_place_for_health_is_for_a_whole_request_for_it(said: bytes, asks: bool) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        theirs.send(said)
        assert asks_for_health(ours) is asks
        assert said == b"" or ours.recv(4096) == said, "it is still there to be read"
