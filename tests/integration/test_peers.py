"""The independent witnesses: our connection, either end, against two peers that nobody here wrote.

`websockets` (asyncio) and `picows` (Cython) share no line with us but the masking routine that we
have from the former. Each runs in a thread of its own.
"""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import picows
import pytest
import trio
import websockets
import websockets.asyncio.client
import websockets.asyncio.server
from picows import WSListener, WSMsgType

from echo_trio.wire import client_handshake, handshake, server_handshake, sockets
from echo_trio.wire.connection import Limits
from echo_trio.wire.poller import Poller
from echo_trio.wire.upstream import UpstreamConnection as Connection

#: A hang guard, nothing else.
PATIENCE_S = 240
LARGEST = 2**24
SIZES = [0, 1, 125, 126, 65_535, 65_536, 2**20, LARGEST]
LIMITS = Limits(max_message_bytes=LARGEST)


def text_of(size: int) -> str:
    """Text of so many bytes, of characters of every width."""
    pattern = "aü世🌍"
    width = len(pattern.encode())
    return pattern * (size // width) + "x" * (size % width)


def binary_of(size: int) -> bytes:
    return random.Random(size).randbytes(size)


MESSAGES = [
    pytest.param(make(size), id=f"{name} of {size}")
    for name, make in (("text", text_of), ("binary", binary_of))
    for size in SIZES
]

# -- Their server, our client -----------------------------------------------------------------


async def websockets_server() -> tuple[asyncio.Server, int]:
    async def echo(connection) -> None:
        async for message in connection:
            await connection.send(message)

    server = await websockets.asyncio.server.serve(
        echo, "127.0.0.1", 0, max_size=LARGEST, ping_interval=None
    )
    return server, server.sockets[0].getsockname()[1]


class PicowsEcho(WSListener):
    def on_ws_frame(self, transport, frame) -> None:
        assert frame.fin
        if frame.msg_type in (WSMsgType.TEXT, WSMsgType.BINARY):
            transport.send(frame.msg_type, frame.get_payload_as_bytes())
        elif frame.msg_type == WSMsgType.CLOSE:
            transport.send_close(frame.get_close_code(), frame.get_close_message())
            transport.disconnect()


async def picows_server() -> tuple[asyncio.Server, int]:
    server = await picows.ws_create_server(
        lambda _: PicowsEcho(), "127.0.0.1", 0, max_frame_size=2 * LARGEST
    )
    return server, server.sockets[0].getsockname()[1]


@pytest.fixture(
    scope="module", params=[websockets_server, picows_server], ids=["websockets", "picows"]
)
def their_server(request):
    """A peer's echo server in a thread; its port."""
    started, ports = threading.Event(), []

    async def main() -> None:
        server, port = await request.param()
        stop = asyncio.Event()
        ports.append((port, asyncio.get_running_loop(), stop))
        started.set()
        await stop.wait()
        server.close()
        await server.wait_closed()

    thread = threading.Thread(target=asyncio.run, args=(main(),))
    thread.start()
    assert started.wait(PATIENCE_S)
    port, loop, stop = ports[0]
    yield port
    loop.call_soon_threadsafe(stop.set)
    thread.join(PATIENCE_S)
    assert not thread.is_alive()


@pytest.fixture(params=[True, False], ids=["poller", "no-poller"])
async def poller(request, nursery) -> Poller | None:
    if not request.param:
        return None
    poller = Poller()
    nursery.start_soon(poller.run)
    return poller


@asynccontextmanager
async def our_client(port: int, poller: Poller | None) -> AsyncIterator[Connection]:
    (address,) = await sockets.resolve("127.0.0.1", port)
    sock = await sockets.connect(address)
    key = client_handshake.make_key()
    sock.send(client_handshake.request_bytes("/", f"127.0.0.1:{port}", key))

    async def receive() -> bytes:
        await trio.lowlevel.wait_readable(sock)
        return sock.recv(handshake.MAX_HEAD_BYTES)

    head, surplus = await handshake.receive_head(receive)
    client_handshake.parse_response(head, key)
    connection = Connection.opened(sock, client=True, limits=LIMITS, poller=poller, surplus=surplus)
    async with trio.open_nursery() as nursery:
        connection.start_reading(nursery)
        with trio.fail_after(PATIENCE_S):
            yield connection
            await connection.aclose(1000, "done")


@pytest.mark.parametrize("message", MESSAGES)
async def test_our_client_gets_its_message_back_from_their_server(their_server, poller, message):
    async with our_client(their_server, poller) as connection:
        for _ in range(2):
            await connection.send_message(message)
            assert await connection.get_message() == message
    assert (connection.close_sent, connection.close_received) == (1000, 1000)
    assert (connection.clean, connection.timed_out, connection.failure) == (True, None, None)


async def test_our_clients_messages_come_back_in_order(their_server, poller):
    messages = [f"message {n}" * (n % 50) for n in range(500)]
    async with our_client(their_server, poller) as connection, trio.open_nursery() as nursery:

        @nursery.start_soon
        async def send() -> None:
            for message in messages:
                await connection.send_message(message)

        assert [await connection.get_message() for _ in messages] == messages


async def test_their_server_answers_our_clients_ping(their_server, poller):
    async with our_client(their_server, poller) as connection:
        await connection.ping(b"here?")
        await connection.ping()


# -- Our server, their client -----------------------------------------------------------------


@pytest.fixture
async def our_server(nursery, poller):
    """Our echo server; its URL, and the connections that it has had."""
    served: list[Connection] = []

    async def serve(sock) -> None:
        async def receive() -> bytes:
            await trio.lowlevel.wait_readable(sock)
            return sock.recv(handshake.MAX_HEAD_BYTES)

        head, surplus = await handshake.receive_head(receive)
        sock.send(server_handshake.accept_response(server_handshake.parse_request(head)))
        connection = Connection.opened(
            sock, client=False, limits=LIMITS, poller=poller, surplus=surplus
        )
        served.append(connection)
        await connection.run(lambda message: message)

    (listener,) = sockets.listen("127.0.0.1", 0)
    nursery.start_soon(
        sockets.accept_forever, listener, lambda sock, _: nursery.start_soon(serve, sock), print
    )
    yield f"ws://127.0.0.1:{listener.getsockname()[1]}/", served
    listener.close()


async def in_their_loop(talk: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        await asyncio.wait_for(talk(), PATIENCE_S)

    await trio.to_thread.run_sync(asyncio.run, bounded())


@pytest.mark.parametrize("message", MESSAGES)
async def test_websockets_gets_its_message_back_from_our_server(our_server, message):
    url, served = our_server

    async def talk() -> None:
        async with websockets.asyncio.client.connect(url, max_size=LARGEST) as connection:
            for _ in range(2):
                await connection.send(message)
                assert await connection.recv() == message
        assert (connection.close_code, connection.close_reason) == (1000, "")

    await in_their_loop(talk)
    (connection,) = served
    assert (connection.close_received, connection.close_sent) == (1000, 1000)
    assert (connection.messages_received, connection.closed_first) == (2, "peer")


async def test_websockets_pings_and_fragments_are_understood_by_our_server(our_server):
    url, served = our_server

    async def talk() -> None:
        async with websockets.asyncio.client.connect(url, max_size=LARGEST) as connection:
            await (await connection.ping(b"here?"))
            await connection.send(["frag", "", "ments ü", text_of(100_000)])
            assert await connection.recv() == "fragments ü" + text_of(100_000)
            await connection.send([b"a" * 70_000, b"b"])
            assert await connection.recv() == b"a" * 70_000 + b"b"
            await connection.close(4321, "für heute")
        assert (connection.close_code, connection.close_reason) == (4321, "für heute")

    await in_their_loop(talk)
    assert [connection.close_received for connection in served] == [4321]


async def test_websockets_is_told_that_its_message_is_too_big(our_server):
    url, served = our_server

    async def talk() -> None:
        # No `async with`: it closes a connection that we have already ended, and stumbles.
        connection = await websockets.asyncio.client.connect(url)
        with suppress(websockets.ConnectionClosed):
            await connection.send(bytes(LARGEST + 1))
        await connection.wait_closed()
        assert (connection.close_code, connection.protocol.close_rcvd.code) == (1009, 1009)

    await in_their_loop(talk)
    assert [connection.failure for connection in served] == [1009]


class PicowsClient(WSListener):
    def __init__(self) -> None:
        self.frames: asyncio.Queue[tuple[WSMsgType, bytes]] = asyncio.Queue()

    def on_ws_frame(self, transport, frame) -> None:
        assert frame.fin
        self.frames.put_nowait((frame.msg_type, frame.get_payload_as_bytes()))


@pytest.mark.parametrize("message", MESSAGES)
async def test_picows_gets_its_message_back_from_our_server(our_server, message):
    url, served = our_server
    kind = WSMsgType.TEXT if isinstance(message, str) else WSMsgType.BINARY
    payload = message.encode() if isinstance(message, str) else message

    async def talk() -> None:
        transport, listener = await picows.ws_connect(
            PicowsClient, url, max_frame_size=2 * LARGEST, enable_auto_pong=False
        )
        for _ in range(2):
            transport.send(kind, payload)
            assert await listener.frames.get() == (kind, payload)
        transport.send_ping(b"here?")
        assert await listener.frames.get() == (WSMsgType.PONG, b"here?")
        transport.send_close(4000, b"done")
        assert await listener.frames.get() == (WSMsgType.CLOSE, b"\x0f\xa0done")
        await transport.wait_disconnected()

    await in_their_loop(talk)
    (connection,) = served
    assert (connection.close_received, connection.close_sent) == (4000, 4000)
