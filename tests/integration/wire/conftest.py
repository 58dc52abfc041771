"""A server in this process on a real port, a peer that says any bytes, and what must hold after.

`holds_invariants` is the first paragraph of what the wire must survive: the server lives, a fresh
connection echoes, descriptors and tasks are back to where they were, exactly one reason counter
went up, and the log is short.
"""

from __future__ import annotations

import logging
import socket
import ssl
import struct
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import psutil
import pytest
import structlog
import trio
import trio.testing
import trustme
from structlog.testing import LogCapture
from websockets.trio.client import connect

from echo_trio.metrics.counters import Outcome, ServerSnapshot
from echo_trio.server import EchoServer
from echo_trio.settings import Settings
from echo_trio.wire.handshake import Reason

from .. import books

PATIENCE_S = 60
TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="  # RFC 6455, section 1.3


def request(line: str = "GET / HTTP/1.1", *more: str, **headers: str | None) -> bytes:
    """An upgrade request; headers by name with underscores, ``None`` leaves one out."""
    standard: dict[str, str | None] = {
        "Host": "example.org",
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec_WebSocket_Key": KEY,
        "Sec_WebSocket_Version": "13",
    }
    lines = [line, *more]
    for name, value in (standard | headers).items():
        if value is not None:
            lines.append(f"{name.replace('_', '-')}: {value}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def frame(opcode: int, payload: bytes = b"", *, fin: bool = True, rsv: int = 0) -> bytes:
    """A frame as a client sends it, with a mask of zeros."""
    size = len(payload)
    if size < 126:
        length = bytes((0x80 | size,))
    elif size < 65536:
        length = bytes((0x80 | 126,)) + struct.pack("!H", size)
    else:
        length = bytes((0x80 | 127,)) + struct.pack("!Q", size)
    return bytes((fin << 7 | rsv << 4 | opcode,)) + length + bytes(4) + payload


def close_frame(code: int, reason: bytes = b"") -> bytes:
    """A client's close frame."""
    return frame(CLOSE, struct.pack("!H", code) + reason)


class Frame(NamedTuple):
    opcode: int
    payload: bytes

    @property
    def code(self) -> int:
        """Of a close frame."""
        assert self.opcode == CLOSE, self
        return int.from_bytes(self.payload[:2])


class Response(NamedTuple):
    status: int
    headers: dict[str, str]


class Peer:
    """A client that sends bytes as they are."""

    def __init__(self, stream: trio.SocketStream | trio.SSLStream[trio.SocketStream]) -> None:
        self.stream = stream
        self._unread = b""
        self._sending = trio.Lock()

    @property
    def socket(self) -> trio.socket.SocketType:
        if isinstance(self.stream, trio.SSLStream):
            return self.stream.transport_stream.socket
        return self.stream.socket

    async def send(self, data: bytes) -> None:
        """Send bytes, behind those that another task is about to send."""
        async with self._sending:
            await self.stream.send_all(data)

    async def read(self, size: int) -> bytes:
        """So many bytes."""
        with trio.fail_after(PATIENCE_S):
            while len(self._unread) < size:
                data = bytes(await self.stream.receive_some(65536))
                assert data, f"the stream ended after {self._unread!r}"
                self._unread += data
        data, self._unread = self._unread[:size], self._unread[size:]
        return data

    async def read_to_end(self) -> bytes:
        """All that comes until the server ends the stream, or resets it."""
        data, self._unread = self._unread, b""
        with trio.fail_after(PATIENCE_S):
            try:
                while some := await self.stream.receive_some(65536):
                    data += some
            except trio.BrokenResourceError:
                pass
        return data

    async def response(self) -> Response:
        """The head of the answer to a handshake."""
        with trio.fail_after(PATIENCE_S):
            while b"\r\n\r\n" not in self._unread:
                data = bytes(await self.stream.receive_some(65536))
                assert data, f"the stream ended after {self._unread!r}"
                self._unread += data
        head, self._unread = self._unread.split(b"\r\n\r\n", 1)
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = dict(line.split(": ", 1) for line in lines)
        return Response(int(first.split(" ")[1]), headers)

    async def frame(self) -> Frame:
        """The next frame, which is whole and has no mask."""
        first, second = await self.read(2)
        assert first & 0x80, "a fragment"
        size = second
        assert size < 128, "a mask"
        if size == 126:
            size = int.from_bytes(await self.read(2))
        elif size == 127:
            size = int.from_bytes(await self.read(8))
        return Frame(first & 0x0F, await self.read(size))

    async def open(self, **headers: str | None) -> None:
        """Do the handshake."""
        await self.open_path("/", **headers)

    async def open_path(self, path: str, **headers: str | None) -> None:
        """Do the handshake for a behaviour."""
        await self.send(request(f"GET {path} HTTP/1.1", **headers))
        assert (await self.response()).status == 101

    async def send_byte_by_byte(self, data: bytes) -> None:
        """Each byte in a segment of its own, which the server reads before the next."""
        for byte in data:
            await self.send(bytes((byte,)))
            await trio.testing.wait_all_tasks_blocked()

    async def close(self, code: int = 1000) -> None:
        """The closing handshake, begun by us."""
        await self.send(close_frame(code))
        assert (await self.frame()).code == code
        assert await self.read_to_end() == b""

    async def end(self) -> None:
        """Close the stream without another word of WebSocket."""
        await trio.aclose_forcefully(self.stream)

    def reset(self) -> None:
        """End the connection with a TCP reset."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()


@dataclass
class Counts:
    """What an incident may change, at one moment."""

    outcomes: Counter[str]
    refused_reasons: Counter[str]
    descriptors: int
    tasks: int


@dataclass
class Wire:
    """A running server, and what it was like before a test began."""

    server: EchoServer
    log: LogCapture
    tls: ssl.SSLContext | None = None
    before: Counts = field(init=False)
    _peers: list[Peer] = field(default_factory=list)
    _began_s: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        parts = urlsplit(self.server.url)
        self.host, self.port = parts.hostname or "", parts.port or 0
        self.before = self._now()

    async def connect(self) -> Peer:
        """A new connection, over TLS if the server speaks it; nothing said yet above that."""
        stream: Any = await trio.open_tcp_stream(self.host, self.port)
        if self.tls is not None:
            stream = trio.SSLStream(
                stream, self.tls, server_hostname="localhost", https_compatible=True
            )
            await stream.do_handshake()
        self._peers.append(Peer(stream))
        return self._peers[-1]

    async def open(self, **headers: str | None) -> Peer:
        """A new connection whose WebSocket handshake is done."""
        peer = await self.connect()
        await peer.open(**headers)
        return peer

    @property
    def counts(self) -> ServerSnapshot:
        """The server's counters."""
        return self.server.snapshot()

    async def until(self, condition: Callable[[], object]) -> None:
        """Wait until something holds."""
        with trio.fail_after(PATIENCE_S):
            while not condition():
                await trio.sleep(0.005)

    async def until_ended(self, count: int = 1) -> None:
        """Wait until so many connections of this test have ended."""
        before = self.before.outcomes.total()
        await self.until(lambda: self.server.ended >= before + count)

    async def echoes(self) -> None:
        """A fresh connection of an independent client gets its message back."""
        with trio.fail_after(PATIENCE_S):
            async with connect(
                f"{self.server.url}plain",
                ssl=self.tls,
                compression=None,
                ping_interval=None,
            ) as client:
                await client.send("still there?")
                assert await client.recv() == "still there?"

    async def holds_invariants(
        self,
        outcome: Outcome | dict[Outcome, int],
        reason: Reason | dict[Reason, int] | None = None,
    ) -> None:
        """What must hold after whatever was done to the server.

        :param outcome: how the connections ended, by number; one stands for one connection.
        :param reason: why handshakes were refused, likewise.
        """
        outcomes = outcome if isinstance(outcome, dict) else {outcome: 1}
        reasons = reason if isinstance(reason, dict) else {reason: 1} if reason else {}
        await self.until_ended(sum(outcomes.values()))
        now = self._now()
        assert now.outcomes - self.before.outcomes == Counter(outcomes)
        assert now.refused_reasons - self.before.refused_reasons == Counter(reasons)
        self._assert_log_is_short()
        for peer in self._peers:
            await peer.end()
        await self.echoes()
        counts = self.counts
        ended = sum(counts.outcomes.values())
        assert counts.accepted == counts.handshaking + counts.open + ended
        await self.until(
            lambda: (
                self._now().descriptors <= self.before.descriptors
                and self._now().tasks <= self.before.tasks
            )
        )

    async def settle(self) -> None:
        """Assert what holds of every server when its clients are gone, and drain it."""
        for peer in self._peers:
            await peer.end()
        self.server.drain()
        await self.until(lambda: not self.counts.open + self.counts.handshaking)
        books.check_given_back(self.server)

    def _assert_log_is_short(self) -> None:
        """At most one line a second of each kind."""
        lines: Counter[tuple[str, str]] = Counter()
        for entry in self.log.entries:
            kind = entry["event"], entry.get("outcome", "")
            # By the beginning: when each was noted is a while after it was let through, on a busy
            # machine a longer while for one than for the next.
            assert entry["at_s"] - self._began_s >= lines[kind], self.log.entries
            lines[kind] += 1

    def _now(self) -> Counts:
        counts = self.counts
        return Counts(
            Counter(counts.outcomes),
            Counter(counts.refused_reasons),
            psutil.Process().num_fds(),
            trio.lowlevel.current_statistics().tasks_living,
        )


def _note_time(_logger: object, _method: str, entry: dict[str, Any]) -> dict[str, Any]:
    return entry | {"at_s": time.monotonic()}


@pytest.fixture
async def serve(nursery: trio.Nursery) -> AsyncIterator[Callable[..., Awaitable[Wire]]]:
    """Starts servers on free ports, with any settings; at the end each has given all back."""
    wires: list[Wire] = []

    async def start(*, tls: ssl.SSLContext | None = None, **settings: Any) -> Wire:
        log = LogCapture()
        logger = structlog.wrap_logger(
            None,
            processors=[structlog.processors.add_log_level, _note_time, log],
            wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        )
        server = EchoServer.listen(
            Settings(port=0, console=False, **{"drain_timeout_s": 1.0, **settings}), logger
        )
        await nursery.start(server.run)
        # Those that look after the server have begun, so that they are counted before.
        await trio.testing.wait_all_tasks_blocked()
        wire = Wire(server, log, tls)
        wires.append(wire)
        await wire.echoes()  # What is made once, is made.
        wire.before = wire._now()
        return wire

    yield start
    for wire in wires:
        await wire.settle()


@pytest.fixture
async def wire(serve: Callable[..., Awaitable[Wire]]) -> Wire:
    """A server with the settings that it has by default."""
    return await serve()


@dataclass(frozen=True)
class Pem:
    """Files of certificates in PEM, and a client's context that trusts them."""

    certificate: Path
    key: Path
    ca: Path
    other_key: Path

    def client_context(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.ca))


@pytest.fixture(scope="session")
def pem(tmp_path_factory: pytest.TempPathFactory) -> Pem:
    """A certificate for localhost and 127.0.0.1, of an authority made for the tests."""
    folder = tmp_path_factory.mktemp("pem")
    authority = trustme.CA()
    issued = authority.issue_cert("localhost", "127.0.0.1")
    files = Pem(*(folder / f"{name}.pem" for name in ("certificate", "key", "ca", "other")))
    issued.cert_chain_pems[0].write_to_path(files.certificate)
    issued.private_key_pem.write_to_path(files.key)
    authority.cert_pem.write_to_path(files.ca)
    authority.issue_cert("localhost").private_key_pem.write_to_path(files.other_key)
    return files


@pytest.fixture
async def secure(serve: Callable[..., Awaitable[Wire]], pem: Pem) -> Wire:
    """A server of wss."""
    return await serve(tls=pem.client_context(), tls_cert=pem.certificate, tls_key=pem.key)
