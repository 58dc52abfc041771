"""Say what a hostile WebSocket client sends."""

from __future__ import annotations

import random
import struct

from .attack import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    RSV1,
    SWITCHED,
    TEXT,
    Attack,
    deflated,
    filled,
    frame,
    over_websocket,
    upgrade,
)

SIXTEEN = b"sixteen bytes, 0"
MIB = 2**20

#: The yardstick: what a client costs that sends the same bytes as small whole messages.
HONEST = over_websocket("honest", filled(frame(TEXT, SIXTEEN)))


def in_fragments(pieces: list[bytes], *, rsv: int = 0) -> bytes:
    """Frame a message in these pieces."""
    last = len(pieces) - 1
    return b"".join(
        frame(
            TEXT if index == 0 else CONTINUATION,
            piece,
            fin=index == last,
            rsv=rsv if index == 0 else 0,
        )
        for index, piece in enumerate(pieces)
    )


def on_path(name: str, path: str, block: bytes, **more: object) -> Attack:
    """Send this block to a behaviour."""
    return Attack(name, opening=upgrade(path), awaits=SWITCHED, block=block, **more)  # type: ignore[arg-type]


def compressed(name: str, block: bytes, parameters: str = "") -> Attack:
    """Send this block on a WebSocket that has agreed on permessage-deflate."""
    asked = f"Sec-WebSocket-Extensions: permessage-deflate{parameters}"
    return Attack(
        name,
        opening=upgrade("/", asked),
        awaits=SWITCHED,
        block=block,
        flags=("--compression",),
    )


def close_frame(code: int) -> bytes:
    """Frame a close code."""
    return frame(CLOSE, struct.pack("!H", code))


_NOISE = random.Random(12).randbytes(4096)
_SMALL = deflated(SIXTEEN)
_BOMB = deflated(bytes(MIB - 1024))
_CLIENT_HELLO = bytes.fromhex("16030100c8010000c40303") + _NOISE[:190]
_HEAD_OF_15_KIB = upgrade("/", *(f"X-{number}: {'x' * 130}" for number in range(105)))

#: Frames and segments: alone and twenty of them.
FLOODS = (
    over_websocket("two-fragments", filled(in_fragments([SIXTEEN[:8], SIXTEEN[8:]]))),
    over_websocket("one-byte-fragments", filled(in_fragments([b"x"] * 1000))),
    over_websocket("empty-fragments", filled(in_fragments([b""] * 1000 + [SIXTEEN]))),
    over_websocket("empty-messages", filled(frame(TEXT))),
    over_websocket("pings", filled(frame(PING))),
    over_websocket("pings-of-125-bytes", filled(frame(PING, b"x" * 125))),
    over_websocket("pongs", filled(frame(PONG))),
    over_websocket(
        "pings-between-fragments",
        filled(frame(TEXT, b"x", fin=False) + frame(PING) * 1000 + frame(CONTINUATION, b"y")),
    ),
    over_websocket("one-byte-segments", filled(frame(TEXT, SIXTEEN)), segment=1),
    over_websocket("megabyte-messages", frame(TEXT, b"x" * MIB)),
    over_websocket("megabyte-in-kibibytes", in_fragments([b"x" * 1024] * 1024)),
    over_websocket("garbage", _NOISE),
    over_websocket(
        "endless-after-violation", filled(frame(3) + frame(TEXT, SIXTEEN)), hangs_on=True
    ),
    compressed("compressed-messages", filled(frame(TEXT, _SMALL, rsv=RSV1))),
    compressed("compressed-fragments", filled(in_fragments([_SMALL[:8], _SMALL[8:]], rsv=RSV1))),
    # A window of its own for each message, 32 KiB large.
    compressed(
        "compressed-fragments-alone",
        filled(in_fragments([_SMALL[:8], _SMALL[8:]], rsv=RSV1)),
        "; client_no_context_takeover; server_no_context_takeover",
    ),
    compressed("compressed-bombs", filled(frame(BINARY, _BOMB, rsv=RSV1))),
    compressed("compressed-bombs-in-bytes", in_fragments([bytes((b,)) for b in _BOMB], rsv=RSV1)),
    compressed("compressed-bombs-too-large", frame(BINARY, deflated(bytes(64 * MIB)), rsv=RSV1)),
)

_ECHO_CALL = b'{"jsonrpc": "2.0", "method": "echo", "id": 1}'

#: Behaviours that make much of little: copies for a room, a thousand calls in a message, pushes.
SERVICES = (
    on_path("room", "/room/den", filled(frame(TEXT, SIXTEEN))),
    on_path("room-never-reading", "/room/den", filled(frame(TEXT, b"x" * 60_000)), reads=False),
    on_path(
        "rpc-batches", "/rpc", filled(frame(TEXT, b"[" + b",".join([_ECHO_CALL] * 1000) + b"]"))
    ),
    on_path("rpc-brackets", "/rpc", frame(TEXT, b"[" * (MIB - 1024))),
    on_path("ten-duplicates", "/" + "~duplicate/1/" * 10, filled(frame(TEXT, SIXTEEN))),
    on_path("ticker-1ms", "/ticker/1ms", b""),
)

#: Connections rather than frames.
CROWDS = (
    Attack("churn", opening=upgrade(), awaits=SWITCHED, block=frame(TEXT, SIXTEEN), times=1,
           leaves=True),
    Attack("churn-of-tcp", block=b"G", times=1, leaves=True),
    Attack("churn-of-large-heads", opening=_HEAD_OF_15_KIB, awaits=SWITCHED, leaves=True),
    Attack("tls-bytes", opening=_CLIENT_HELLO),
    Attack("garbage-for-a-handshake", opening=_NOISE),
    Attack("goodbye-and-stay", opening=upgrade(), awaits=SWITCHED,
           block=close_frame(1000) + frame(TEXT, SIXTEEN), times=1),
    over_websocket("never-reading", filled(frame(TEXT, b"x" * 60_000)), reads=False),
)  # fmt: skip

#: 150 of them at once, where there is room for 100.
HALF_HANDSHAKES = Attack(
    "half-handshakes",
    redials=False,
    flags=("--max-connections", "100"),
    # Only who has been silent for a second gives way, and who is told so needs a moment to go.
    grace_s=1.5,
)

#: What they have the server hold: 300 of them, 2 MiB each, or what a behaviour makes of them. They
#: leave with a FIN; that nobody is behind it any more, a ping finds out.
_WAIT_CALL = b'{"jsonrpc":"2.0","method":"wait","params":{"ms":3600000},"id":1}'
_PINGING = ("--ping-interval", "1s")
_TWO_MIB = frame(BINARY, bytes(MIB)) * 2
HOARDERS = (
    on_path("delay-1h", "/delay/1h", _TWO_MIB, times=1, flags=_PINGING),
    on_path("stall-1h", "/stall/1/1h", _TWO_MIB, times=1, flags=_PINGING),
    on_path("reorder", "/reorder/1000000", _TWO_MIB, times=1, flags=_PINGING),
    on_path("burst-300", "/burst/300", _TWO_MIB, times=1, reads=False, flags=_PINGING),
    on_path(
        "half-a-message", "/", frame(BINARY, bytes(MIB - 1), fin=False), times=1, flags=_PINGING
    ),
    on_path(
        "delay-1h-small",
        "/delay/1h",
        filled(frame(TEXT, SIXTEEN), 2 * MIB),
        times=1,
        flags=_PINGING,
    ),
    on_path("rpc-waits", "/rpc", filled(frame(TEXT, _WAIT_CALL), 2 * MIB), times=1, flags=_PINGING),
)
