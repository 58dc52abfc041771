"""The echo server in this process, over real sockets, spoken to by an independent client."""

from __future__ import annotations

import re
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import pytest
import structlog
import trio
from structlog.testing import capture_logs
from websockets.exceptions import InvalidStatus
from websockets.trio.client import ClientConnection, connect

from echo_trio.behaviours import paths
from echo_trio.behaviours.scripts import OnMessage
from echo_trio.metrics.counters import Outcome
from echo_trio.server import EchoServer
from echo_trio.settings import Settings

from . import books

HANDSHAKE = (
    b"GET /plain HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
SUFFIX = re.compile(r" (0|[1-9][0-9]{0,5})")


@asynccontextmanager
async def running(**settings: object) -> AsyncIterator[EchoServer]:
    """A server on a free port, drained at the end, when it has given everything back."""
    server = EchoServer.listen(
        Settings(port=0, console=False, **settings),  # type: ignore[arg-type]
        structlog.get_logger(),
    )
    async with trio.open_nursery() as nursery:
        await nursery.start(server.run)
        yield server
        server.drain()
    books.check_given_back(server)


def assert_accounted_for(server: EchoServer) -> None:
    counts = server.snapshot()
    assert counts.accepted == counts.handshaking + counts.open + sum(counts.outcomes.values())


@pytest.mark.parametrize("message", ["hello", "", "ünïcödé 🎉", "x" * 70_000, "a 1", "\0"])
async def test_text_comes_back_with_one_space_and_a_number_below_a_million(message: str) -> None:
    async with running() as server, connect(server.url) as client:
        await client.send(message)
        reply = await client.recv()
        assert isinstance(reply, str)
        assert reply.startswith(message)
        assert SUFFIX.fullmatch(reply, len(message))


async def test_binary_comes_back_as_binary_with_the_same_suffix_in_ascii() -> None:
    async with running() as server, connect(server.url) as client:
        await client.send(b"\x00\xff")
        reply = await client.recv()
        assert isinstance(reply, bytes)
        assert reply.startswith(b"\x00\xff")
        assert SUFFIX.fullmatch(reply[2:].decode("ascii"))


@pytest.mark.parametrize("message", ["text", "", b"\x00\xff", b"", "y" * 70_000])
async def test_plain_comes_back_exactly(message: str | bytes) -> None:
    async with running() as server, connect(server.url + "plain") as client:
        await client.send(message)
        assert await client.recv() == message


async def test_replies_keep_the_order_of_the_messages() -> None:
    async with running() as server, connect(server.url) as client:
        for number in range(500):
            await client.send(f"#{number}:")
        for number in range(500):
            assert str(await client.recv()).startswith(f"#{number}: ")


async def test_a_path_with_a_query_is_that_path() -> None:
    async with running() as server, connect(server.url + "plain?who=me") as client:
        await client.send("m")
        assert await client.recv() == "m"


async def test_another_path_is_404_and_lists_what_there_is() -> None:
    async with running() as server:
        with pytest.raises(InvalidStatus) as refused:
            async with connect(server.url + "nothing"):
                pass
        response = refused.value.response
        assert response.status_code == 404
        assert response.body is not None
        for path in paths.BEHAVIOURS:
            assert path in bytes(response.body).decode()
    assert server.snapshot().refused == {404: 1}
    assert_accounted_for(server)


async def test_a_message_above_the_limit_closes_with_1009_and_one_at_the_limit_does_not() -> None:
    async with running(max_message_bytes=100) as server:
        async with connect(server.url) as client:
            await client.send("é" * 50)
            assert str(await client.recv()).startswith("é" * 50)
        async with connect(server.url) as client:
            await client.send("é" * 51)
            await client.wait_closed()
            assert client.close_code == 1009
    assert server.snapshot().outcomes == {Outcome.CLEAN: 1, Outcome.VIOLATION: 1}
    assert_accounted_for(server)


async def test_one_sessions_bug_ends_that_session_with_1011_and_is_logged_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(_: object) -> OnMessage:
        def reply(message: str | bytes) -> str | bytes:
            raise ZeroDivisionError(message)

        return reply

    monkeypatch.setitem(paths.BEHAVIOURS, "/broken", paths.Path(lambda: broken, "fails"))
    with capture_logs() as logs:
        async with running() as server, connect(server.url) as neighbour:
            async with connect(server.url + "broken") as client:
                await client.send("boom")
                await client.wait_closed()
                assert client.close_code == 1011
            await neighbour.send("fine")
            assert str(await neighbour.recv()).startswith("fine ")
    assert [entry["event"] for entry in logs if entry["log_level"] == "error"] == ["session failed"]
    assert server.snapshot().outcomes == {Outcome.CLEAN: 1, Outcome.FAILED: 1}


async def test_a_client_that_resets_is_abnormal_and_its_neighbour_does_not_notice() -> None:
    async with running() as server, connect(server.url) as neighbour:
        async with connect(server.url) as client:
            raw = client.stream.socket
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
            await client.send("about to go")
            raw.close()
        await neighbour.send("still here")
        assert str(await neighbour.recv()).startswith("still here ")
    assert server.snapshot().outcomes == {Outcome.CLEAN: 1, Outcome.ABNORMAL: 1}
    assert server.snapshot().close_codes == {1000: 1, 1006: 1}


async def test_a_handshake_that_takes_too_long_gets_408(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with running(open_timeout_s=5) as server:
        parts = urlsplit(server.url)
        stream = await trio.open_tcp_stream(parts.hostname or "", parts.port or 0)
        await stream.send_all(b"GET / HTTP/1.1\r\n")
        answer = b""
        async with stream:
            async for chunk in stream:
                answer += chunk
        assert answer.startswith(b"HTTP/1.1 408 ")
    assert server.snapshot().refused == {408: 1}


@pytest.mark.parametrize("ticks", range(8))
async def test_a_handshake_that_ends_in_the_moment_of_the_drain_is_refused_or_closed(
    ticks: int,
) -> None:
    async with running(drain_timeout_s=3600, close_timeout_s=3600) as server:
        parts = urlsplit(server.url)
        streams = [
            await trio.open_tcp_stream(parts.hostname or "", parts.port or 0) for _ in range(20)
        ]
        for stream in streams:
            await stream.send_all(HANDSHAKE[:-2])
        while server.snapshot().handshaking < len(streams):
            await trio.sleep(0.01)
        server.drain()
        for _ in range(ticks):
            await trio.lowlevel.checkpoint()
        for stream in streams:
            stream.socket._sock.send(HANDSHAKE[-2:])  # type: ignore[attr-defined]  # at once
        with trio.fail_after(60):
            for stream in streams:
                answer = bytes(await stream.receive_some())
                if answer.startswith(b"HTTP/1.1 101 "):
                    *_, said = answer.partition(b"\r\n\r\n")
                    assert (said or await stream.receive_some()).startswith(b"\x88")
                else:
                    assert answer.startswith(b"HTTP/1.1 503 ")
                await stream.aclose()


async def test_a_client_that_leaves_in_the_handshake_is_counted_as_that() -> None:
    async with running() as server:
        parts = urlsplit(server.url)
        stream = await trio.open_tcp_stream(parts.hostname or "", parts.port or 0)
        await stream.send_all(b"GET / HT")
        await stream.aclose()
        async with connect(server.url):
            pass
    assert server.snapshot().outcomes == {Outcome.CLEAN: 1, Outcome.CUT_IN_HANDSHAKE: 1}


async def test_a_first_frame_in_the_same_segment_as_the_handshake_is_echoed() -> None:
    async with running() as server:
        parts = urlsplit(server.url)
        stream = await trio.open_tcp_stream(parts.hostname or "", parts.port or 0)
        await stream.send_all(HANDSHAKE + b"\x81\x82\x00\x00\x00\x00hi")
        answer = b""
        while not answer.endswith(b"\x81\x02hi"):
            chunk = await stream.receive_some()
            assert chunk, answer
            answer += chunk
        assert b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in answer  # RFC 6455, section 1.3
        await stream.aclose()


async def test_the_snapshot_adds_up_while_clients_come_talk_and_go() -> None:
    async with running() as server:
        clients: list[ClientConnection] = []
        async with connect(server.url) as one, connect(server.url) as two:
            clients += [one, two]
            for client in clients:
                await client.send("12345")
                await client.recv()
            counts = server.snapshot()
            assert (counts.open, counts.peak_open, counts.accepted) == (2, 2, 2)
            assert (counts.messages_received, counts.messages_sent) == (2, 2)
            assert_accounted_for(server)
    counts = server.snapshot()
    assert (counts.open, counts.peak_open, counts.accepted) == (0, 2, 2)
    assert counts.outcomes == {Outcome.CLEAN: 2}
    assert (counts.messages_received, counts.messages_sent) == (2, 2)


async def test_cancelling_the_server_drops_everybody_at_once() -> None:
    server = EchoServer.listen(Settings(port=0, console=False), structlog.get_logger())
    async with trio.open_nursery() as nursery:
        await nursery.start(server.run)
        async with connect(server.url) as client:
            await client.send("m")
            await client.recv()
            nursery.cancel_scope.cancel()
    assert server.snapshot().outcomes == {Outcome.DROPPED: 1}
    assert server.open == 0
