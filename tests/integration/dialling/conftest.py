"""A console in this process, a page that dials through it, and servers of bytes to be dialled."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import pytest
import trio

from echo_trio.settings import Settings
from echo_trio.testing.serving import serving

#: A hang guard, nothing else.
PATIENCE_S = 120.0
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


@dataclass
class Answer:
    """What the console says to a request that it does not stream."""

    status: int
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Page:
    """A page of one console: asks it, and dials through it."""

    url: str
    headers: dict[str, str] = field(default_factory=dict)

    async def ask(self, line: str, body: Any = None, **headers: str) -> Answer:
        stream = await self._request(line, body, headers)
        data = b""
        async with stream:
            async for chunk in stream:
                data += chunk
        head, _, rest = data.partition(b"\r\n\r\n")
        return Answer(int(head.split()[1]), rest)

    async def _request(self, line: str, body: Any, headers: dict[str, str]) -> trio.SocketStream:
        parts = urlsplit(self.url)
        content = b"" if body is None else json.dumps(body).encode()
        given = {
            "host": parts.netloc,
            "content-type": "application/json",
            "content-length": str(len(content)),
            "connection": "close",
            **self.headers,
            **{name.replace("_", "-"): value for name, value in headers.items()},
        }
        head = "".join(f"{name}: {value}\r\n" for name, value in given.items())
        assert parts.hostname is not None
        stream = await trio.open_tcp_stream(parts.hostname, parts.port or 80)
        await stream.send_all(f"{line} HTTP/1.1\r\n{head}\r\n".encode() + content)
        return stream

    @asynccontextmanager
    async def dial(self, url: str, **order: Any) -> AsyncIterator[Dialled]:
        """Dial, and read the stream for as long as the body runs."""
        stream = await self._request("POST /api/dial", {"url": url, **order}, {})
        dialled = Dialled(self)
        async with stream, trio.open_nursery() as nursery:
            nursery.start_soon(dialled.read, stream)
            yield dialled
            nursery.cancel_scope.cancel()


class Dialled:
    """What the stream of one dial has told so far."""

    def __init__(self, page: Page) -> None:
        self.events: list[tuple[str, Any]] = []
        self.is_over = False
        self._page = page
        self._news = trio.Event()

    async def read(self, stream: trio.SocketStream) -> None:
        data = b""
        async for chunk in stream:
            data += chunk
            if b"\r\n\r\n" not in data:
                continue
            head, _, rest = data.partition(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200 "), data
            text, self.is_over = _dechunk(rest)
            self.events = [
                (name, json.loads(told))
                for name, told in re.findall(r"event: (\w+)\ndata: (.*)\n\n", text)
            ]
            self._news.set()
            self._news = trio.Event()
        self.is_over = True
        self._news.set()

    async def event(self, name: str) -> Any:
        """Wait for the first event of this name."""
        return await self._find(lambda: next((told for n, told in self.events if n == name), None))

    async def until_over(self) -> Any:
        """Wait for the end of the stream; return its last event."""
        await self._find(lambda: self.is_over or None)
        name, told = self.events[-1]
        assert name == "closed"
        return told

    async def record(self, **wanted: Any) -> dict[str, Any]:
        """Wait for the first record that has these values."""
        return await self._find(
            lambda: next(
                (one for one in self.records if wanted.items() <= one.items()),
                None,
            )
        )

    @property
    def records(self) -> list[dict[str, Any]]:
        return [one for name, told in self.events if name == "records" for one in told]

    @property
    def messages(self) -> list[str | bytes]:
        return [
            one["text"] if "text" in one else base64.b64decode(one["base64"])
            for one in self.records
            if one["type"] == "message"
        ]

    async def _find(self, look: Callable[[], Any]) -> Any:
        with trio.fail_after(PATIENCE_S):
            while (found := look()) is None:
                assert not self.is_over, self.events
                await self._news.wait()
        return found

    async def send(self, *items: dict[str, Any]) -> Answer:
        dial = await self.event("dial")
        return await self._page.ask(f"POST /api/dial/{dial['id']}", {"items": items})


def _dechunk(data: bytes) -> tuple[str, bool]:
    """The text of the chunks that are whole, and whether the last one is among them."""
    text = b""
    while b"\r\n" in data:
        size, _, rest = data.partition(b"\r\n")
        length = int(size, 16)
        if length == 0:
            return text.decode(), True
        if len(rest) < length + 2:
            break
        text += rest[:length]
        data = rest[length + 2 :]
    return text.decode(errors="ignore"), False


@pytest.fixture
async def start_page() -> AsyncIterator[Callable[..., Awaitable[Page]]]:
    """Start consoles that may dial these URLs, and return a page of each."""
    async with trio.open_nursery() as nursery:
        stop = trio.Event()

        async def start(*urls: str, **settings: Any) -> Page:
            pages: list[Page] = []
            started = trio.Event()
            targets = tuple(urlsplit(url).netloc for url in urls)
            made = Settings(
                port=0, console_port=0, drain_timeout_s=1.0, run_target=targets, **settings
            )

            @nursery.start_soon
            async def serve() -> None:
                async with serving(made, console=True) as server:
                    assert server.console_url is not None
                    pages.append(Page(server.console_url))
                    started.set()
                    await stop.wait()

            await started.wait()
            return pages[0]

        yield start
        stop.set()


@dataclass
class Peer:
    """A server's side of one connection, in bytes."""

    stream: trio.abc.HalfCloseableStream
    request: bytes = b""
    received: bytes = b""

    async def accept(self, more: str = "", surplus: bytes = b"") -> None:
        """Answer the upgrade."""
        key = next(
            line.split(b": ")[1]
            for line in self.request.split(b"\r\n")
            if line.lower().startswith(b"sec-websocket-key:")
        )
        token = base64.b64encode(hashlib.sha1(key + GUID).digest()).decode()
        await self.stream.send_all(
            (
                "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                f"Sec-WebSocket-Accept: {token}\r\n{more}\r\n"
            ).encode()
            + surplus
        )

    async def read_to_end(self) -> None:
        try:
            async for chunk in self.stream:
                self.received += chunk
        except trio.BrokenResourceError:
            pass

    def received_frames(self) -> list[tuple[int, bytes]]:
        """Opcode and payload of the client's frames, which have to be short and masked."""
        found, data = [], self.received
        while data:
            assert data[1] & 0x80
            size = data[1] & 0x7F
            assert size < 126
            mask, payload = data[2:6], data[6 : 6 + size]
            found.append((data[0] & 0x0F, bytes(b ^ mask[i % 4] for i, b in enumerate(payload))))
            data = data[6 + size :]
        return found


@dataclass
class RawServer:
    url: str
    peers: list[Peer] = field(default_factory=list)


@pytest.fixture
async def start_raw(nursery: trio.Nursery) -> Callable[..., Awaitable[RawServer]]:
    """Start servers that read a request, and go on as told."""

    async def start(
        serve: Callable[[Peer], Awaitable[None]], context: ssl.SSLContext | None = None
    ) -> RawServer:
        server = RawServer("")

        async def handle(stream: trio.abc.HalfCloseableStream) -> None:
            if context is not None:
                stream = trio.SSLStream(stream, context, server_side=True)  # type: ignore[assignment]
            peer = Peer(stream)
            try:
                while b"\r\n\r\n" not in peer.request:
                    chunk = await stream.receive_some()
                    if not chunk:
                        break
                    peer.request += chunk
            except trio.BrokenResourceError:
                pass
            server.peers.append(peer)
            if peer.request:
                await serve(peer)

        listeners = await nursery.start(trio.serve_tcp, handle, 0)
        port = listeners[0].socket.getsockname()[1]
        server.url = f"{'ws' if context is None else 'wss'}://127.0.0.1:{port}/"
        return server

    return start
