"""Describe an attack as bytes: what one hostile connection sends, and whether it reads.

An `Attack` is data. `sender.py` plays it in a process of its own, and `trial.py` measures what it
costs.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
#: The bit that says that a message is compressed (RFC 7692, section 6).
RSV1 = 4

SWITCHED = b"HTTP/1.1 101 "
MASK = bytes.fromhex("37fa213d")  # that of the examples in RFC 6455

#: About what one write to a socket takes. A longer block saves the sender nothing.
BLOCK_BYTES = 128 * 1024


@dataclass(frozen=True, slots=True)
class Attack:
    """What each connection of an attacker does.

    :ivar console: dials the console, not the WebSocket.
    :ivar opening: is sent first.
    :ivar awaits: what the answer to the opening begins with; the rest is sent when it is there.
    :ivar block: is sent behind that, again and again; empty: the connection is held as it is.
    :ivar times: how often the block is sent; 0: without end.
    :ivar leaves: whether the connection is reset behind the block, and another one dialled.
    :ivar redials: whether a connection that the server ends is dialled again, at once.
    :ivar hangs_on: whether it goes on when the server has ended its half of the connection.
    :ivar reads: whether what the server sends is read, behind the awaited answer.
    :ivar segment: bytes a write; 0: as many as the kernel takes.
    :ivar flags: of the server under attack.
    :ivar grace_s: how long after its beginning newcomers may be turned away.
    """

    name: str
    opening: bytes = b""
    awaits: bytes = b""
    block: bytes = b""
    times: int = 0
    leaves: bool = False
    redials: bool = True
    hangs_on: bool = False
    reads: bool = True
    segment: int = 0
    console: bool = False
    flags: tuple[str, ...] = ()
    grace_s: float = 0.0


def frame(opcode: int, payload: bytes = b"", *, fin: bool = True, rsv: int = 0) -> bytes:
    """Frame a payload as a client does (RFC 6455, section 5.2)."""
    size = len(payload)
    if size < 126:
        length = bytes((0x80 | size,))
    elif size < 65536:
        length = bytes((0x80 | 126,)) + struct.pack("!H", size)
    else:
        length = bytes((0x80 | 127,)) + struct.pack("!Q", size)
    pad = (MASK * (size // 4 + 1))[:size]
    masked = (int.from_bytes(payload) ^ int.from_bytes(pad)).to_bytes(size)
    return bytes((fin << 7 | rsv << 4 | opcode,)) + length + MASK + masked


def upgrade(path: str = "/", *more: str) -> bytes:
    """Ask for a WebSocket (RFC 6455, section 4.1)."""
    lines = [
        f"GET {path} HTTP/1.1",
        "Host: localhost",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version: 13",
        *more,
    ]
    return "\r\n".join([*lines, "", ""]).encode()


def deflated(payload: bytes) -> bytes:
    """Compress a message by itself, without what came before it (RFC 7692, section 7.2.1)."""
    compressor = zlib.compressobj(9, wbits=-15)
    data = compressor.compress(payload) + compressor.flush(zlib.Z_SYNC_FLUSH)
    return data.removesuffix(b"\x00\x00\xff\xff")


def filled(unit: bytes, size: int = BLOCK_BYTES) -> bytes:
    """Repeat a unit until it fills a block: at least once, and always whole."""
    return unit * max(1, size // len(unit))


def over_websocket(name: str, block: bytes, **more: object) -> Attack:
    """Send this block on an open WebSocket."""
    return Attack(name, opening=upgrade(), awaits=SWITCHED, block=block, **more)  # type: ignore[arg-type]
