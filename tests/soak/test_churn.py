"""Hundreds of thousands of connections come, talk and go – every third without a goodbye."""

from __future__ import annotations

import os
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest
import trio

CONNECTIONS = int(os.environ.get("SOAK_CONNECTIONS", "300000"))
#: The memory is looked at after each of these parts.
PARTS = 10
CONCURRENCY = 200
#: What the allocator may shuffle about between two looks; a leak of 40 bytes a connection is more.
SLACK_BYTES = 4 * 2**20

REQUEST = (
    b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
MESSAGE = b"\x81\x85\0\0\0\0churn"
PING = b"\x89\x80\0\0\0\0"
CLOSE = b"\x88\x82\0\0\0\0\x03\xe8"
RESET = struct.pack("ii", 1, 0)


@pytest.fixture
def server() -> Iterator[tuple[subprocess.Popen[str], int]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "echo_trio", "--port", "0", "--no-console"],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    port = urlsplit(process.stdout.readline().split()[1].removeprefix("ws=")).port
    assert port is not None
    yield process, port
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=30)


async def clean(stream: trio.SocketStream) -> None:
    await stream.send_all(PING + CLOSE)
    async for _ in stream:
        pass


async def reset(stream: trio.SocketStream) -> None:
    stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)


async def vanish(stream: trio.SocketStream) -> None:
    """End TCP in the middle of a frame."""
    await stream.send_all(MESSAGE[:7])


async def come_talk_and_go(port: int, leave: Callable[..., object]) -> None:
    async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
        await stream.send_all(REQUEST + MESSAGE)
        received = b""
        while b"churn " not in received:
            chunk = await stream.receive_some(4096)
            assert chunk, received
            received += chunk
        await leave(stream)  # type: ignore[misc]


async def churn(port: int, connections: int) -> None:
    numbers = iter(range(connections))

    async def client() -> None:
        for number in numbers:
            await come_talk_and_go(port, (clean, reset, vanish)[number % 3])

    async with trio.open_nursery() as nursery:
        for _ in range(CONCURRENCY):
            nursery.start_soon(client)


@pytest.mark.soak
async def test_memory_and_descriptors_are_flat_however_many_connections_come_and_go(
    server: tuple[subprocess.Popen[str], int], tmp_path: Path
) -> None:
    process, port = server
    watched = psutil.Process(process.pid)
    descriptors = watched.num_fds()
    resident = []
    for _ in range(PARTS):
        await churn(port, CONNECTIONS // PARTS)
        # Longer than the server's pause between two looks at what to collect.
        await trio.sleep(2.5)
        resident.append(watched.memory_info().rss)
    print("resident MiB:", [round(size / 2**20, 1) for size in resident])
    assert watched.num_fds() == descriptors
    # The first half settles the allocator's arenas; from there on it must not grow.
    half = PARTS // 2
    assert max(resident[half:]) - max(resident[:half]) < SLACK_BYTES, resident
