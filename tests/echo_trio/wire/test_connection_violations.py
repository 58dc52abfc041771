"""What a peer may not say to a connection, and more than it may say."""

from __future__ import annotations

import pytest

from echo_trio.wire.connection import Limits
from echo_trio.wire.frames import MAX_EMPTY_FRAGMENTS

from .conftest import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    code_of,
    opcodes,
    payloads,
)


def violations():
    def case(name, make, code):
        return pytest.param(make, code, id=name)

    def flipped(peer, data):
        """With the mask bit the wrong way round."""
        return bytes((data[0], data[1] ^ 0x80)) + data[2:]

    def header(peer, *head):
        first, second, *rest = head
        return bytes((first, second | peer.masks << 7, *rest)) + bytes(4 * peer.masks)

    yield case("wrongly masked text", lambda p: flipped(p, p.text("hello")), 1002)
    yield case("wrongly masked ping", lambda p: flipped(p, p.frame(PING, b"hello")), 1002)
    for rsv in (1, 2, 4):
        yield case(f"RSV {rsv} on text", lambda p, rsv=rsv: p.frame(TEXT, b"x", rsv=rsv), 1002)
        yield case(f"RSV {rsv} on ping", lambda p, rsv=rsv: p.frame(PING, b"x", rsv=rsv), 1002)
    for opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15):
        yield case(f"opcode {opcode}", lambda p, o=opcode: p.frame(o, b"x"), 1002)
    for opcode in (CLOSE, PING, PONG):
        yield case(f"fragmented {opcode}", lambda p, o=opcode: p.frame(o, b"", fin=False), 1002)
        yield case(f"over-long {opcode}", lambda p, o=opcode: p.frame(o, b"x" * 126), 1002)
    yield case("stray continuation", lambda p: p.frame(CONTINUATION, b"x"), 1002)
    yield case(
        "message inside a message", lambda p: p.frame(TEXT, b"x", fin=False) + p.text("y"), 1002
    )
    yield case("16 bits for a short length", lambda p: header(p, 0x81, 126, 0, 125), 1002)
    yield case(
        "64 bits for a short length",
        lambda p: header(p, 0x82, 127, 0, 0, 0, 0, 0, 0, 255, 255),
        1002,
    )
    yield case("64th bit of the length", lambda p: header(p, 0x82, 127, 128, *[0] * 7), 1002)
    yield case("text not UTF-8", lambda p: p.frame(TEXT, b"ok\xff"), 1007)
    yield case("text ending within a character", lambda p: p.frame(TEXT, "ü".encode()[:1]), 1007)
    yield case("text with a surrogate", lambda p: p.frame(TEXT, b"\xed\xa0\x80"), 1007)
    yield case("large text not UTF-8", lambda p: p.frame(TEXT, b"x" * 70_000 + b"\xff"), 1007)
    yield case(
        "fragments not UTF-8",
        lambda p: p.frame(TEXT, b"\xc3", fin=False) + p.frame(CONTINUATION, b"("),
        1007,
    )
    for code in (0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2999, 5000, 65535):
        yield case(f"close code {code}", lambda p, code=code: p.close(code), 1002)
    yield case("close with one byte", lambda p: p.frame(CLOSE, b"x"), 1002)
    yield case("close reason not UTF-8", lambda p: p.close(1000, b"\xff"), 1007)


@pytest.mark.parametrize(("make", "code"), list(violations()))
async def test_a_violation_is_answered_with_its_code(wire, make, code):
    wire.start()
    (close,) = await wire.say_and_hear_all(make(wire.peer))
    await wire.end()
    connection = wire.connection
    assert code_of(close) == code
    assert (connection.failure, connection.close_sent, connection.closed.code) == (code,) * 3
    assert (connection.closed_first, connection.close_received) == ("us", None)
    assert connection.close_code == code


async def test_a_violation_ends_the_replies_and_nothing_follows_its_close_frame(wire):
    wire.start()
    peer = wire.peer
    segment = (
        peer.text("one") + peer.frame(PING, b"two") + peer.text("three") + peer.frame(3, b"bad")
    )
    frames = await wire.say_and_hear_all(segment + peer.text("never") * 5 + peer.frame(PING))
    assert opcodes(frames) == [TEXT, PONG, TEXT, CLOSE]
    assert wire.connection.messages_received == wire.connection.messages_sent == 2


async def test_after_a_violation_the_stream_ends_though_the_peer_says_nothing_more(wire):
    """Half-closed, not closed: a reset could overtake the close frame."""
    wire.start()
    await wire.peer.send(wire.peer.frame(3))
    assert opcodes(await wire.peer.receive_rest()) == [CLOSE]
    assert not wire.ended.is_set()
    await wire.peer.send(wire.peer.text("is not looked at"))
    await wire.peer.stream.aclose()
    await wire.end()
    assert wire.connection.messages_received == 0


async def test_wrong_text_is_refused_before_the_whole_frame_has_arrived(wire):
    wire.start()
    frame = wire.peer.frame(TEXT, b"\xff" + b"x" * 100_000)
    (close,) = await wire.say_and_hear_all(frame[:50])
    assert code_of(close) == 1007


def sizes():
    yield pytest.param(lambda p: p.frame(BINARY, bytes(1001)), id="whole")
    yield pytest.param(lambda p: p.frame(BINARY, bytes(1001))[: 4 + 4 * p.masks], id="header alone")
    yield pytest.param(
        lambda p: p.frame(BINARY, bytes(2**17))[: 10 + 4 * p.masks], id="large header alone"
    )
    yield pytest.param(
        lambda p: p.frame(TEXT, bytes(1001), fin=False)[: 4 + 4 * p.masks],
        id="header of a first fragment alone",
    )
    yield pytest.param(
        lambda p: (
            p.frame(BINARY, bytes(600), fin=False)
            + p.frame(CONTINUATION, bytes(401))[: 4 + 4 * p.masks]
        ),
        id="header of a continuation alone",
    )
    yield pytest.param(
        lambda p: (
            p.frame(BINARY, bytes(10), fin=False)
            + p.frame(CONTINUATION, bytes(10), fin=False) * 100
        ),
        id="many fragments",
    )
    yield pytest.param(lambda p: p.text("€" * 334), id="bytes, not characters")
    yield pytest.param(
        lambda p: p.frame(TEXT, ("€" * 334).encode(), fin=False), id="bytes in a fragment"
    )


@pytest.mark.parametrize("make", list(sizes()))
async def test_more_than_the_limit_is_refused_as_soon_as_it_is_announced(make_wire, make):
    wire = make_wire(Limits(max_message_bytes=1000))
    wire.start()
    (close,) = await wire.say_and_hear_all(make(wire.peer))
    await wire.end()
    assert code_of(close) == wire.connection.failure == 1009
    assert wire.connection.messages_received == 0


async def test_as_much_as_the_limit_is_allowed(make_wire):
    wire = make_wire(Limits(max_message_bytes=1000))
    wire.start()
    peer = wire.peer
    await peer.send(peer.frame(BINARY, bytes(1000)))
    await peer.send(peer.frame(BINARY, bytes(999), fin=False) + peer.frame(CONTINUATION, b"\0"))
    assert payloads(await peer.receive_many(2)) == [bytes(1000)] * 2


async def test_empty_fragments_are_counted(wire, nursery):
    wire.start()
    peer = wire.peer
    empty = peer.frame(CONTINUATION, fin=False)
    first, last = peer.frame(TEXT, b"a", fin=False), peer.frame(CONTINUATION, b"z")
    for _ in range(2):
        await peer.send(first + empty * MAX_EMPTY_FRAGMENTS + last)
        assert (await peer.receive()).payload == b"az"
    (close,) = await wire.say_and_hear_all(first + empty * (MAX_EMPTY_FRAGMENTS + 1))
    assert code_of(close) == wire.connection.failure == 1008


async def test_fragments_of_part_of_a_character_are_not_empty(wire):
    wire.start()
    peer = wire.peer
    text = "世" * MAX_EMPTY_FRAGMENTS
    await peer.send(peer.frame(TEXT, fin=False))
    for byte in text.encode():
        await peer.send(peer.frame(CONTINUATION, bytes((byte,)), fin=False))
    await peer.send(peer.frame(CONTINUATION))
    assert (await peer.receive()).payload == text.encode()
