"""What frames may not be is answered on the wire with its code; what they may be is echoed.

However it is cut into segments.
"""

from __future__ import annotations

import struct
import zlib
from contextlib import suppress

import pytest
import trio
import trio.testing

from echo_trio.metrics.counters import Outcome
from echo_trio.wire.frames import MAX_EMPTY_FRAGMENTS

from .conftest import BINARY, CLOSE, PING, PONG, TEXT, close_frame, frame

CONTINUATION = 0
LIMIT = 1000
MASK = bytes(4)
DEFLATE = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"


def begun(payload: bytes = b"", opcode: int = TEXT) -> bytes:
    """The first fragment of a message."""
    return frame(opcode, payload, fin=False)


def more(payload: bytes = b"") -> bytes:
    """A fragment in the middle of a message."""
    return frame(CONTINUATION, payload, fin=False)


def last(payload: bytes = b"") -> bytes:
    """The last fragment of a message."""
    return frame(CONTINUATION, payload)


def announced(size: int, opcode: int = BINARY, *, fin: bool = True) -> bytes:
    """The header of a frame, and nothing of its payload."""
    return bytes((fin << 7 | opcode, 0x80 | 127)) + struct.pack("!Q", size) + MASK


VIOLATIONS = [
    pytest.param(b"\x81\x02hi", 1002, id="no mask"),
    pytest.param(b"\x89\x00", 1002, id="a ping without a mask"),
    *(pytest.param(frame(TEXT, b"x", rsv=bit), 1002, id=f"RSV {bit:03b}") for bit in (1, 2, 4)),
    pytest.param(frame(PING, rsv=4), 1002, id="RSV1 on a ping"),
    *(pytest.param(frame(opcode), 1002, id=f"opcode {opcode}") for opcode in (3, 7, 11, 15)),
    pytest.param(frame(PING, fin=False), 1002, id="half a ping"),
    pytest.param(frame(CLOSE, fin=False), 1002, id="half a close frame"),
    pytest.param(frame(PING, b"x" * 126), 1002, id="a long ping"),
    pytest.param(frame(CLOSE, b"\x03\xe8" + b"x" * 124), 1002, id="a long close frame"),
    pytest.param(last(b"x"), 1002, id="a stray last fragment"),
    pytest.param(more(b"x"), 1002, id="a stray fragment"),
    pytest.param(begun(b"x") + frame(TEXT, b"y"), 1002, id="a message amid a message"),
    pytest.param(begun(b"x") + last(b"y") + last(b"z"), 1002, id="a fragment too many"),
    pytest.param(b"\x82\xfe\x00\x7d" + MASK, 1002, id="125 in 16 bits"),
    pytest.param(b"\x82\xff" + struct.pack("!Q", 65535) + MASK, 1002, id="65535 in 64 bits"),
    pytest.param(announced(2**63), 1002, id="a length of 64 bits"),
    pytest.param(frame(TEXT, b"\xff"), 1007, id="not UTF-8"),
    pytest.param(frame(TEXT, b"\xed\xa0\x80"), 1007, id="a surrogate"),
    pytest.param(frame(TEXT, b"\xc0\xaf"), 1007, id="an overlong form"),
    pytest.param(frame(TEXT, b"\xf4\x90\x80\x80"), 1007, id="beyond Unicode"),
    pytest.param(frame(TEXT, "ü".encode()[:1]), 1007, id="half a character"),
    pytest.param(begun(b"\xe2\x82") + last(b"\x28"), 1007, id="wrong across fragments"),
    pytest.param(begun("ü".encode()[:1]) + last(), 1007, id="half a character in fragments"),
    pytest.param(begun(b"fine \xff"), 1007, id="wrong in the first of several fragments"),
    pytest.param(frame(BINARY, b"x" * (LIMIT + 1)), 1009, id="a byte too many"),
    pytest.param(announced(LIMIT + 1 << 16), 1009, id="too many announced"),
    pytest.param(announced(2**63 - 1, TEXT), 1009, id="as many as can be announced"),
    pytest.param(
        begun(b"x" * 600, BINARY) + b"\x80\xfe" + struct.pack("!H", 401) + MASK,
        1009,
        id="too many announced by the second fragment",
    ),
    pytest.param(frame(TEXT, "ü".encode() * (LIMIT // 2 + 1)), 1009, id="bytes and not letters"),
    pytest.param(begun(b"x") + more(b"x") * LIMIT, 1009, id="many tiny fragments"),
    pytest.param(begun() + more() * MAX_EMPTY_FRAGMENTS, 1008, id="many empty fragments"),
]


@pytest.fixture
async def limited(serve):
    """A server for messages of no more than `LIMIT` bytes."""
    return await serve(max_message_bytes=LIMIT)


async def fails_with(wire, peer, code):
    """The peer is told this code, nothing else, and then the stream ends."""
    answer = await peer.frame()
    assert (answer.opcode, answer.code) == (CLOSE, code)
    assert await peer.read_to_end() == b""
    await peer.end()
    await wire.holds_invariants(Outcome.VIOLATION)
    assert wire.counts.close_codes[code] == 1


@pytest.mark.parametrize(("said", "code"), VIOLATIONS)
async def test_a_violation_is_answered_on_the_wire_with_its_code(limited, said, code):
    peer = await limited.connect()
    await peer.open_path("/silent")
    await peer.send(said)
    await fails_with(limited, peer, code)


@pytest.mark.parametrize(
    ("said", "code"), [case for case in VIOLATIONS if len(case.values[0]) < 140]
)
async def test_a_violation_that_comes_byte_by_byte_has_the_same_code(limited, said, code):
    peer = await limited.connect()
    await peer.open_path("/silent")
    with suppress(trio.BrokenResourceError):  # It was answered at an earlier byte.
        await peer.send_byte_by_byte(said)
    await fails_with(limited, peer, code)


async def test_what_came_before_a_violation_is_answered_first_and_what_comes_behind_is_not(wire):
    peer = await wire.connect()
    await peer.open_path("/plain")
    await peer.send(frame(TEXT, b"before") + frame(3) + frame(TEXT, b"behind") + frame(PING))
    assert await peer.frame() == (TEXT, b"before")
    await fails_with(wire, peer, 1002)


# -- Up to the limits -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "payload"),
    [
        (frame(TEXT, b"x" * LIMIT), b"x" * LIMIT),
        (frame(TEXT, "ü".encode() * (LIMIT // 2)), "ü".encode() * (LIMIT // 2)),
        (begun(b"x") + more(b"x") * (LIMIT - 2) + last(b"x"), b"x" * LIMIT),
        (begun() + more() * (MAX_EMPTY_FRAGMENTS - 1) + last(b"x"), b"x"),
        (begun(b"\xe2") + more(b"\x82") + more() + last(b"\xac"), "€".encode()),
    ],
    ids=["bytes", "letters", "tiny fragments", "empty fragments", "a letter in fragments"],
)
async def test_what_is_just_within_the_limits_is_echoed(limited, said, payload):
    peer = await limited.connect()
    await peer.open_path("/plain")
    await peer.send(said)
    assert await peer.frame() == (TEXT, payload)
    await peer.close()
    await limited.holds_invariants(Outcome.CLEAN)


# -- Segments ---------------------------------------------------------------------------------

#: A bit of everything that is allowed, and what comes back on /plain.
TALK = (
    frame(TEXT, "grün".encode())
    + frame(PING, b"p1")
    + begun("ü".encode()[:1])
    + frame(PING, b"p2")
    + more("ü".encode()[1:] + b" and ")
    + frame(PONG, b"unasked")
    + last(b"so on")
    + frame(BINARY, bytes(range(126)))
    + frame(TEXT)
    + close_frame(3001, b"bye")
)
ANSWERS = [
    (TEXT, "grün".encode()),
    (PONG, b"p1"),
    (PONG, b"p2"),
    (TEXT, "ü and so on".encode()),
    (BINARY, bytes(range(126))),
    (TEXT, b""),
    (CLOSE, struct.pack("!H", 3001) + b"bye"),
]


async def test_frames_split_at_any_byte_are_answered_alike(wire):
    for at in range(1, len(TALK)):
        peer = await wire.connect()
        await peer.open_path("/plain")
        await peer.send(TALK[:at])
        await trio.testing.wait_all_tasks_blocked()  # The server has read it.
        await peer.send(TALK[at:])
        assert [await peer.frame() for _ in ANSWERS] == ANSWERS
        assert await peer.read_to_end() == b""
        await peer.end()
    await wire.holds_invariants({Outcome.CLEAN: len(TALK) - 1})


@pytest.mark.parametrize("size", [1, 7, None], ids=["bytes", "sevens", "one segment"])
async def test_a_thousand_frames_have_the_same_replies_in_the_same_order(wire, nursery, size):
    messages = [b"%d" % number for number in range(1000)]
    said = b"".join(frame(BINARY, message) for message in messages)
    peer = await wire.connect()
    await peer.open_path("/plain")

    async def say() -> None:
        step = size or len(said)
        for at in range(0, len(said), step):
            await peer.send(said[at : at + step])

    nursery.start_soon(say)
    for message in messages:
        assert await peer.frame() == (BINARY, message)
    await peer.close()
    await wire.holds_invariants(Outcome.CLEAN)
    assert wire.counts.messages_received == wire.counts.messages_sent == 1000 + 2  # 2 of echoes()


async def test_a_ping_amid_a_fragmented_message_is_answered_at_once(wire):
    peer = await wire.connect()
    await peer.open_path("/plain")
    await peer.send(begun(b"one ") + frame(PING, b"now"))
    assert await peer.frame() == (PONG, b"now")
    await peer.send(more(b"two ") + frame(PING, b"and now"))
    assert await peer.frame() == (PONG, b"and now")
    await peer.send(last(b"three"))
    assert await peer.frame() == (TEXT, b"one two three")
    await peer.close()
    await wire.holds_invariants(Outcome.CLEAN)


# -- Compressed -------------------------------------------------------------------------------


def deflated(data: bytes) -> bytes:
    """A compressed message's payload (RFC 7692, section 7.2.1)."""
    compressor = zlib.compressobj(9, zlib.DEFLATED, -15)
    return (compressor.compress(data) + compressor.flush(zlib.Z_SYNC_FLUSH))[:-4]


BOMB = deflated(bytes(32 * 2**20))


def in_fragments(payload: bytes, size: int) -> bytes:
    """A compressed message in frames of this size."""
    parts = [payload[at : at + size] for at in range(0, len(payload), size)]
    frames = [frame(BINARY, parts[0], fin=False, rsv=4), *map(more, parts[1:-1]), last(parts[-1])]
    return b"".join(frames)


@pytest.mark.parametrize(
    ("said", "code"),
    [
        (frame(BINARY, BOMB, rsv=4), 1009),
        (frame(TEXT, BOMB, rsv=4), 1009),
        (in_fragments(BOMB, 1000), 1009),
        (frame(BINARY, BOMB[:2000], fin=False, rsv=4), 1009),
        (frame(BINARY, deflated(bytes(2**20 + 1)), rsv=4), 1009),
        (frame(PING, b"", rsv=4), 1002),
        (begun(b"x") + frame(CONTINUATION, b"x", rsv=4), 1002),
        (frame(TEXT, deflated(b"\xff"), rsv=4), 1007),
        (frame(TEXT, b"\xff" * 50, rsv=4), 1007),
    ],
    ids=[
        "a bomb",
        "a bomb of text",
        "a bomb in fragments",
        "a bomb that is not to end",
        "a byte too many",
        "a compressed ping",
        "a fragment that says it is compressed",
        "not UTF-8",
        "not deflated",
    ],
)
async def test_a_compressed_violation_is_answered_while_it_inflates(serve, nursery, said, code):
    wire = await serve(compression=True)
    peer = await wire.open(Sec_WebSocket_Extensions=DEFLATE)

    async def say() -> None:
        with suppress(trio.BrokenResourceError):
            await peer.send(said)

    nursery.start_soon(say)
    await fails_with(wire, peer, code)


async def test_a_compressed_message_of_the_limit_is_echoed_however_it_is_cut(serve):
    wire = await serve(compression=True)
    data = deflated(b"x" * 2**20)
    for said in (frame(TEXT, data, rsv=4), in_fragments(data, 100)):
        peer = await wire.connect()
        await peer.open_path("/plain", Sec_WebSocket_Extensions=DEFLATE)
        await peer.send(said)
        assert (await peer.read(2))[0] == 0x80 | 0x40 | (TEXT if said[0] & 0xF == TEXT else BINARY)
        await peer.end()
    await wire.holds_invariants({Outcome.ABNORMAL: 2})
