"""A proxy in this process, and upstreams behind it: one by others, and one of bytes."""

from __future__ import annotations

import base64
import hashlib
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pytest
import structlog
import trio
from structlog.testing import LogCapture
from websockets.exceptions import ConnectionClosed
from websockets.trio.client import ClientConnection, connect
from websockets.trio.server import ServerConnection, serve

from echo_trio.server import EchoServer
from echo_trio.settings import Settings

from .. import books
from ..console.conftest import _ask  # noqa: F401 - the fixture `ask`

#: A hang guard, nothing else.
PATIENCE_S = 120.0
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


@dataclass
class Upstream:
    """A server by `websockets` that echoes, and shows its connections."""

    url: str
    connections: list[ServerConnection] = field(default_factory=list)
    received: list[str | bytes] = field(default_factory=list)

    async def connection(self) -> ServerConnection:
        """The last connection that was opened."""
        await until(lambda: self.connections)
        return self.connections[-1]


async def until(condition: Callable[[], object]) -> None:
    """Wait until something holds."""
    with trio.fail_after(PATIENCE_S):
        while not condition():
            await trio.sleep(0.005)


@pytest.fixture
async def start_upstream(nursery: trio.Nursery) -> Callable[..., Awaitable[Upstream]]:
    """Starts servers that echo, or do what a handler says."""

    async def start(handler: Any = None, **options: Any) -> Upstream:
        upstream = Upstream("")

        async def handle(connection: ServerConnection) -> None:
            upstream.connections.append(connection)
            if handler is not None:
                await handler(connection)
                return
            try:
                async for message in connection:
                    upstream.received.append(message)
                    await connection.send(message)
            except ConnectionClosed:
                pass

        options = {"max_size": None, "ping_interval": None, **options}
        server = await nursery.start(partial(serve, handle, 0, host="127.0.0.1", **options))
        port = server.listeners[0].socket.getsockname()[1]
        upstream.url = f"{'wss' if 'ssl' in options else 'ws'}://127.0.0.1:{port}"
        return upstream

    return start


@pytest.fixture
async def upstream(start_upstream: Callable[..., Awaitable[Upstream]]) -> Upstream:
    """A server that echoes."""
    return await start_upstream()


@dataclass
class Proxy:
    """A running proxy."""

    server: EchoServer
    log: LogCapture

    @property
    def url(self) -> str:
        return self.server.url.rstrip("/")

    @asynccontextmanager
    async def connect(self, path: str = "/", **options: Any) -> AsyncIterator[ClientConnection]:
        """A connection of an independent client."""
        options = {"max_size": None, "ping_interval": None, "proxy": None, **options}
        async with connect(self.url + path, **options) as client:
            yield client

    async def until_ended(self, count: int = 1) -> None:
        """Wait until so many connections have ended."""
        await until(lambda: self.server.ended >= count)


@pytest.fixture
async def start_proxy(nursery: trio.Nursery) -> AsyncIterator[Callable[..., Awaitable[Proxy]]]:
    """Starts proxies, with any settings; at the end each has given all back."""
    proxies: list[Proxy] = []

    async def start(upstream: str, **settings: Any) -> Proxy:
        log = LogCapture()
        logger = structlog.wrap_logger(None, processors=[log])
        given = {"drain_timeout_s": 2.0, "log_level": "debug", **settings}
        server = EchoServer.listen(
            Settings(port=0, console=False, upstream=upstream, **given), logger
        )
        await nursery.start(server.run)
        proxies.append(Proxy(server, log))
        return proxies[-1]

    yield start
    while OPEN:
        await trio.aclose_forcefully(OPEN.pop().stream)
    for proxy in proxies:
        proxy.server.drain()
        await until(lambda proxy=proxy: _is_idle(proxy.server))
        books.check_given_back(proxy.server)
        assert proxy.server._proxy is not None
        assert not proxy.server._proxy.switch.pairs
        assert not [entry for entry in proxy.log.entries if "exc_info" in entry]


def _is_idle(server: EchoServer) -> bool:
    now = server.snapshot()
    return now.open + now.handshaking == 0


@pytest.fixture
async def proxy(start_proxy: Callable[..., Awaitable[Proxy]], upstream: Upstream) -> Proxy:
    """A proxy in front of a server that echoes."""
    return await start_proxy(upstream.url)


@dataclass
class Raw:
    """A peer of the proxy, byte by byte.

    :ivar is_masked: true if what it gets is masked: of an upstream.
    """

    stream: trio.SocketStream
    is_masked: bool = True
    head: str = ""

    def __post_init__(self) -> None:
        OPEN.append(self)

    async def read_head(self) -> str:
        """The request."""
        data = b""
        with trio.fail_after(PATIENCE_S):
            while b"\r\n\r\n" not in data:
                data += await self.stream.receive_some(1)
        self.head = data.decode()
        return self.head

    def header(self, name: str) -> list[str]:
        """The values of a header of the request."""
        lines = [line.partition(": ") for line in self.head.split("\r\n")[1:]]
        return [value for key, _, value in lines if key.lower() == name.lower()]

    async def accept(self, *more: str, behind: bytes = b"") -> None:
        """Do the handshake, and send some more with it."""
        await self.read_head()
        (key,) = self.header("Sec-WebSocket-Key")
        accept = base64.b64encode(hashlib.sha1(key.encode() + GUID).digest()).decode()
        lines = ["HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade"]
        lines += [f"Sec-WebSocket-Accept: {accept}", *more, "", ""]
        await self.send("\r\n".join(lines).encode() + behind)

    async def send(self, data: bytes) -> None:
        """Send bytes."""
        with trio.fail_after(PATIENCE_S):
            await self.stream.send_all(data)

    async def read(self, size: int) -> bytes:
        """So many bytes."""
        data = bytearray()
        with trio.fail_after(PATIENCE_S):
            while len(data) < size:
                some = await self.stream.receive_some(size - len(data))
                assert some, f"the stream ended after {bytes(data)!r}"
                data += some
        return bytes(data)

    async def frame(self) -> tuple[int, bytes]:
        """The next frame: its first byte, and its payload without the mask."""
        first, second = await self.read(2)
        assert bool(second & 0x80) == self.is_masked
        size = second & 0x7F
        if size >= 126:
            size = int.from_bytes(await self.read(2 if size == 126 else 8))
        if not self.is_masked:
            return first, await self.read(size)
        mask = await self.read(4)
        payload = await self.read(size)
        return first, bytes(byte ^ mask[at & 3] for at, byte in enumerate(payload))

    async def ends(self) -> bytes:
        """All that comes until the stream has ended."""
        data = b""
        with trio.fail_after(PATIENCE_S):
            try:
                while some := await self.stream.receive_some(65536):
                    data += some
            except trio.BrokenResourceError:
                data += b"(reset)"
        return data


@pytest.fixture
async def raw() -> AsyncIterator[tuple[str, Callable[[], Awaitable[Raw]]]]:
    """The URL of an upstream of bytes, and what waits for its next connection."""
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    url = f"ws://127.0.0.1:{listener.socket.getsockname()[1]}"

    async def accept() -> Raw:
        with trio.fail_after(PATIENCE_S):
            return Raw(await listener.accept())

    yield url, accept
    await listener.aclose()


#: Of a test, both ends of each pair: closed when it is over.
OPEN: list[Raw] = []


def frame(first: int, payload: bytes = b"", *, masked: bool = False) -> bytes:
    """A frame, with a mask of zeros if it is a client's."""
    size, mask_bit = len(payload), 0x80 * masked
    if size < 126:
        length = bytes((mask_bit | size,))
    elif size < 65536:
        length = bytes((mask_bit | 126,)) + struct.pack("!H", size)
    else:
        length = bytes((mask_bit | 127,)) + struct.pack("!Q", size)
    return bytes((first,)) + length + bytes(4 * masked) + payload


def masked(frame: bytes) -> bytes:
    """A short frame as a client sends it."""
    return bytes((frame[0], frame[1] | 0x80)) + (
        frame[2:4] + bytes(4) + frame[4:] if frame[1] == 126 else bytes(4) + frame[2:]
    )


def code_of(received: tuple[int, bytes]) -> int:
    """The code of a close frame."""
    first, payload = received
    assert first == 0x88, received
    return int.from_bytes(payload[:2])


def reset(stream: trio.SocketStream) -> None:
    """End a connection with a TCP reset."""
    stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    stream.socket.close()


REQUEST = (
    "GET {} HTTP/1.1\r\nHost: here.example\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{}\r\n"
)


async def dial(proxy: Proxy) -> Raw:
    """A client's connection, nothing said yet."""
    host, _, port = proxy.url.removeprefix("ws://").partition(":")
    return Raw(await trio.open_tcp_stream(host, int(port)), is_masked=False)


async def open_pair(
    proxy: Proxy, accept: Callable[[], Awaitable[Raw]], path: str = "/", *more: str
) -> tuple[Raw, Raw]:
    """A client's end and the upstream's, both open."""
    ours = await dial(proxy)
    headers = "".join(f"{line}\r\n" for line in more)
    await ours.send(REQUEST.format(path, headers).encode())
    upstream = await accept()
    await upstream.accept()
    assert (await ours.read_head()).startswith("HTTP/1.1 101 ")
    return ours, upstream
