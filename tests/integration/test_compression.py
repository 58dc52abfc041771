"""Compression with real sockets: our server process and our client, each against `websockets`."""

from __future__ import annotations

import asyncio
import random
import struct
import zlib

import pytest
import trio
import websockets.asyncio.client
import websockets.asyncio.server
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory
from websockets.protocol import State

from echo_trio.wire import client_handshake, deflate, handshake, sockets
from echo_trio.wire.connection import Limits
from echo_trio.wire.upstream import UpstreamConnection as Connection

#: A hang guard, nothing else.
PATIENCE_S = 240
MEBIBYTE = 2**20
WORDS = ["Grüße", "世界", "🌍", "so", "it", "goes", "…", '{"id": 17}']  # fmt: skip
MESSAGES = [
    "",
    "x",
    " ".join(random.Random(1).choices(WORDS, k=100)),
    " ".join(random.Random(2).choices(WORDS, k=200_000))
    .encode()[:MEBIBYTE]
    .decode(errors="ignore"),
    b"",
    bytes(MEBIBYTE),
    random.Random(3).randbytes(MEBIBYTE),
    random.Random(4).randbytes(MEBIBYTE).translate(bytes(byte % 8 for byte in range(256))),
]
OFFERS = {
    "as browsers": {"client_max_window_bits": True},
    "nothing": {},
    "small windows": {"server_max_window_bits": 9, "client_max_window_bits": 9},
    "no takeover": {"server_no_context_takeover": True, "client_no_context_takeover": True},
}


@pytest.mark.parametrize("offer", OFFERS.values(), ids=OFFERS)
def test_websockets_gets_its_messages_back_from_our_server(start_server, offer):
    server = start_server("--compression")

    async def talk() -> None:
        async with websockets.asyncio.client.connect(
            server.url + "plain",
            compression=None,
            extensions=[ClientPerMessageDeflateFactory(**offer)],
            max_size=MEBIBYTE,
        ) as connection:
            assert [extension.name for extension in connection.protocol.extensions] == [
                "permessage-deflate"
            ]
            for message in MESSAGES * 2:
                await connection.send(message)
                assert await connection.recv() == message
            # In fragments of a few thousand bytes each.
            message = MESSAGES[3]
            await connection.send(message[at : at + 9999] for at in range(0, len(message), 9999))
            assert await connection.recv() == message
        assert connection.close_code == 1000

    asyncio.run(asyncio.wait_for(talk(), PATIENCE_S))
    assert server.stop() == 0
    assert server.summary["messages_received"] == 2 * len(MESSAGES) + 1


def test_without_the_flag_nothing_is_compressed(start_server):
    server = start_server()

    async def talk() -> None:
        async with websockets.asyncio.client.connect(server.url) as connection:
            assert connection.protocol.extensions == []
            await connection.send("x" * 1000)
            assert (await connection.recv()).startswith("x" * 1000 + " ")

    asyncio.run(asyncio.wait_for(talk(), PATIENCE_S))


def test_a_bomb_ends_its_own_connection_and_no_other(start_server):
    """128 MiB in one of 128 KiB, to a server whose messages may have 1 MiB."""
    server = start_server("--compression")

    async def talk() -> None:
        async with websockets.asyncio.client.connect(server.url) as neighbour:
            before = server.resident_bytes
            compressor = zlib.compressobj(9, wbits=-15)
            bomb = b"".join(compressor.compress(bytes(MEBIBYTE)) for _ in range(128))
            await neighbour.send("still here")
            reader, writer = await asyncio.open_connection(*address_of(server.url))
            key = client_handshake.make_key()
            writer.write(
                client_handshake.request_bytes("/", "here", key, extensions=[deflate.OFFER])
                + struct.pack("!BBQ", 0xC2, 0xFF, len(bomb))
                + bytes(4)
                + bomb
            )
            head = await reader.readuntil(b"\r\n\r\n")
            assert b"permessage-deflate" in head
            close = await reader.read()
            assert (close[0], int.from_bytes(close[2:4])) == (0x88, 1009)
            writer.close()
            assert (await neighbour.recv()).startswith("still here ")
            assert neighbour.state is State.OPEN
            assert server.resident_bytes < before + 32 * MEBIBYTE

    asyncio.run(asyncio.wait_for(talk(), PATIENCE_S))
    assert server.stop() == 0
    assert server.summary["close_codes"]["1009"] == 1


def address_of(url: str) -> tuple[str, int]:
    host, _, port = url.removeprefix("ws://").rstrip("/").rpartition(":")
    return host, int(port)


@pytest.mark.parametrize(
    ("extensions", "takes_over"),
    [
        ([deflate.OFFER], True),
        ([deflate.OFFER + "; server_no_context_takeover"], False),
        (["permessage-deflate; server_max_window_bits=9"], True),
    ],
    ids=["as browsers", "no takeover", "a small window"],
)
def test_our_client_gets_its_messages_back_from_websockets(extensions, takes_over):
    async def echo(connection) -> None:
        async for message in connection:
            await connection.send(message)

    async def main() -> Connection:
        server = await websockets.asyncio.server.serve(echo, "127.0.0.1", 0, max_size=MEBIBYTE)
        async with server:
            port = server.sockets[0].getsockname()[1]
            return await asyncio.to_thread(trio.run, our_client, port, extensions)

    connection = asyncio.run(asyncio.wait_for(main(), PATIENCE_S))
    assert connection.clean
    assert connection.messages_received == 2 * len(MESSAGES)
    assert connection._compression.server_no_context_takeover is not takes_over


async def our_client(port: int, extensions: list[str]) -> Connection:
    (address,) = await sockets.resolve("127.0.0.1", port)
    sock = await sockets.connect(address)
    key = client_handshake.make_key()
    sock.send(client_handshake.request_bytes("/", f"127.0.0.1:{port}", key, extensions=extensions))

    async def receive() -> bytes:
        await trio.lowlevel.wait_readable(sock)
        return sock.recv(handshake.MAX_HEAD_BYTES)

    head, surplus = await handshake.receive_head(receive)
    compression = client_handshake.parse_response(head, key, extensions=extensions).compression
    assert compression is not None
    connection = Connection.opened(
        sock, client=True, limits=Limits(), surplus=surplus, compression=compression
    )
    async with trio.open_nursery() as nursery:
        connection.start_reading(nursery)
        for message in MESSAGES * 2:
            await connection.send_message(message)
            assert await connection.get_message() == message
        await connection.aclose(1000, "done")
    return connection
