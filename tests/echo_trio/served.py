"""A server in this process, and clients of it as raw sockets."""

from __future__ import annotations

import trio

from echo_trio.metrics.counters import Outcome
from echo_trio.server import EchoServer

from .conftest import handshake

#: A hang guard, nothing else.
PATIENCE_S = 60.0


def message(text: bytes) -> bytes:
    return bytes((0x81, 0x80 | len(text))) + bytes(4) + text


class Served:
    """A server, and who talks to it."""

    def __init__(self, server: EchoServer) -> None:
        self.server = server
        self.sessions = server._sessions
        self.streams: list[trio.SocketStream] = []
        self.over = trio.Event()
        self._port = int(server.url.rpartition(":")[2].rstrip("/"))

    async def run(self, *, task_status: trio.TaskStatus[None]) -> None:
        await self.server.run(task_status=task_status)
        self.over.set()

    async def connect(self) -> trio.SocketStream:
        self.streams.append(await trio.open_tcp_stream("127.0.0.1", self._port))
        return self.streams[-1]

    async def open(self, path: str = "/plain", more: str = "") -> trio.SocketStream:
        """Shake hands; returns when our side knows."""
        stream = await self.connect()
        await stream.send_all(handshake(path, more))
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += await stream.receive_some(1)
        assert head.startswith(b"HTTP/1.1 101 "), head
        return stream

    async def echo(self, stream: trio.SocketStream, text: bytes = b"m") -> None:
        await stream.send_all(message(text))
        reply = b""
        while len(reply) < 2 + len(text):
            reply += await stream.receive_some()
        assert reply == bytes((0x81, len(text))) + text

    async def ended(self, count: int) -> None:
        with trio.fail_after(PATIENCE_S):
            while self.sessions.counters.ended < count:
                await trio.sleep(0.002)

    def assert_given_back(self) -> None:
        """Nobody is there, and nothing is kept for anybody."""
        sessions, now = self.sessions, self.server.snapshot()
        assert (sessions.places.taken, sessions.places.waiting) == (0, 0)
        assert (len(sessions.connections), sessions.openings) == (0, set())
        if (budget := getattr(sessions, "budget", None)) is not None:
            assert budget.held_bytes == 0
        assert (now.open, now.handshaking) == (0, 0)
        assert now.accepted == sum(now.outcomes.values())
        assert sum(now.refused.values()) == sum(now.refused_reasons.values())
        assert sum(now.refused.values()) == now.outcomes.get(Outcome.REFUSED, 0)
