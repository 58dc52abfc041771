"""Loads a server in a network of its own, in which the local ports run out on the way.

    unshare --net python out_of_ports.py ARGUMENTS OF LOADGEN

The server is the `websockets` library's. Exits as the generator does.
"""

from __future__ import annotations

import asyncio
import fcntl
import socket
import struct
import sys
from pathlib import Path

from websockets.asyncio.server import ServerConnection, serve

PORTS = Path("/proc/sys/net/ipv4/ip_local_port_range")
SIOCSIFFLAGS, IFF_UP = 0x8914, 1
#: Behind preflight's back, which would have refused.
NARROWED_AFTER = 20


def raise_loopback() -> None:
    with socket.socket() as sock:
        fcntl.ioctl(sock, SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", IFF_UP))


def allow_ports(first: int, last: int) -> None:
    PORTS.write_text(f"{first} {last}")


async def echo(connection: ServerConnection) -> None:
    async for message in connection:
        await connection.send(f"{message} 1")


async def main() -> int:
    asked = 0

    async def narrow(connection: ServerConnection, request: object) -> None:
        nonlocal asked
        asked += 1
        if asked == NARROWED_AFTER:
            allow_ports(40_000, 40_009)

    allow_ports(41_000, 60_999)
    async with serve(echo, "127.0.0.1", 39999, process_request=narrow):
        generator = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "loadgen", "100", "ws://127.0.0.1:39999/", *sys.argv[1:]
        )
        return await generator.wait()


raise_loopback()
sys.exit(asyncio.run(main()))
