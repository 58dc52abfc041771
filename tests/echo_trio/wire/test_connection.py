"""One connection against a peer that says whatever a test likes: both roles, every transport."""

from __future__ import annotations

import errno
import itertools
import os
import random
import select
import socket
import struct
import zlib
from contextlib import suppress

import pytest
import trio
import trio.testing

from echo_trio.wire import frames
from echo_trio.wire.budget import Budget
from echo_trio.wire.connection import FRAMES_PER_TURN, Connection, Limits
from echo_trio.wire.deflate import Parameters
from echo_trio.wire.frames import INFLATE_STEP_BYTES, MAX_EMPTY_FRAGMENTS
from echo_trio.wire.poller import Poller

from .conftest import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PATIENCE_S,
    PING,
    PONG,
    TEXT,
    Peer,
    arrive,
    close_payload,
    code_of,
    opcodes,
    payloads,
    unserved,
    until,
)

FRESH = Parameters(server_no_context_takeover=True, client_no_context_takeover=True)


# -- Messages ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("opcode", "payload"),
    [
        pytest.param(TEXT, b"", id="empty text"),
        pytest.param(BINARY, b"", id="empty binary"),
        pytest.param(TEXT, "Grüße, 世界 🌍".encode(), id="text"),
        pytest.param(BINARY, bytes(range(256)), id="every byte"),
        pytest.param(BINARY, b"x" * 125, id="125"),
        pytest.param(BINARY, b"x" * 126, id="126"),
        pytest.param(TEXT, b"x" * 65_535, id="65535"),
        pytest.param(TEXT, b"x" * 65_536, id="65536"),
        pytest.param(BINARY, random.Random(1).randbytes(2**20), id="the largest allowed"),
        pytest.param(TEXT, ("€" * 300_000).encode(), id="large text cut within characters"),
    ],
)
async def test_a_message_of_any_size_is_answered(wire, nursery, opcode, payload):
    wire.start()
    nursery.start_soon(wire.peer.send, wire.peer.frame(opcode, payload))
    assert await wire.peer.receive() == (opcode, payload, True)


async def test_a_thousand_frames_in_one_segment_are_answered_in_order(wire, nursery):
    wire.start()
    messages = [f"message {n}" for n in range(1000)]
    segment = b"".join(wire.peer.text(message) for message in messages)
    nursery.start_soon(wire.peer.send, segment)
    frames = await wire.peer.receive_many(1000)
    assert payloads(frames) == [message.encode() for message in messages]


async def test_one_byte_per_segment_makes_no_difference(wire):
    wire.start()
    peer = wire.peer
    stream = (
        peer.text("one")
        + peer.frame(PING, b"two")
        + peer.frame(BINARY, b"3" * 130)
        + peer.frame(TEXT, "vïe".encode()[:2], fin=False)
        + peer.frame(CONTINUATION, "vïe".encode()[2:])
        + peer.text("five")
    )
    for at in range(len(stream)):
        await peer.send(stream[at : at + 1])
        await trio.lowlevel.checkpoint()
    assert await peer.receive_many(5) == [
        (TEXT, b"one", True),
        (PONG, b"two", True),
        (BINARY, b"3" * 130, True),
        (TEXT, "vïe".encode(), True),
        (TEXT, b"five", True),
    ]


async def test_no_reply_is_sent_for_none(wire):
    seen = []
    wire.start(seen.append)
    frames = await wire.say_and_hear_all(wire.peer.text("quiet") + wire.peer.close(1000))
    assert (opcodes(frames), seen) == ([CLOSE], ["quiet"])


async def test_what_arrived_behind_the_handshake_comes_first(make_wire, role):
    probe = make_wire()
    surplus = probe.peer.text("early") + probe.peer.text("split")
    wire = make_wire(surplus=surplus[:-3])
    wire.start()
    assert (await wire.peer.receive()).payload == b"early"
    await wire.peer.send(surplus[-3:] + wire.peer.text("late"))
    assert payloads(await wire.peer.receive_many(2)) == [b"split", b"late"]


async def test_fragments_make_one_message(wire):
    wire.start()
    peer = wire.peer
    await peer.send(
        peer.frame(BINARY, b"a", fin=False)
        + peer.frame(CONTINUATION, b"", fin=False)
        + peer.frame(CONTINUATION, b"b" * 70_000, fin=False)
        + peer.frame(CONTINUATION, b"c")
        + peer.text("next")
    )
    assert payloads(await peer.receive_many(2)) == [b"a" + b"b" * 70_000 + b"c", b"next"]


async def test_a_ping_amid_a_fragmented_message_is_answered_at_once(wire):
    wire.start()
    peer = wire.peer
    await peer.send(peer.frame(TEXT, b"be", fin=False) + peer.frame(PING, b"now"))
    assert await peer.receive() == (PONG, b"now", True)
    await peer.send(peer.frame(CONTINUATION, b"gun"))
    assert await peer.receive() == (TEXT, b"begun", True)


@pytest.mark.parametrize("payload", [b"", b"x", b"x" * 125], ids=["empty", "short", "longest"])
async def test_a_ping_gets_its_payload_back(wire, payload):
    wire.start()
    await wire.peer.send(wire.peer.frame(PING, payload))
    assert await wire.peer.receive() == (PONG, payload, True)


async def test_pongs_and_pings_keep_their_place_among_the_messages(wire):
    wire.start()
    peer = wire.peer
    await peer.send(peer.text("1") + peer.frame(PING, b"2") + peer.text("3") + peer.frame(PONG))
    await peer.send(peer.text("4"))
    assert payloads(await peer.receive_many(4)) == [b"1", b"2", b"3", b"4"]


# -- Violations -------------------------------------------------------------------------------


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


# -- Closing ----------------------------------------------------------------------------------

CODES = [1000, 1001, 1002, 1003, *range(1007, 1015), 3000, 3999, 4000, 4999]


@pytest.mark.parametrize("code", CODES)
async def test_the_peers_close_code_is_echoed(wire, code):
    wire.start()
    reason = "für heute".encode()
    (close,) = await wire.say_and_hear_all(wire.peer.close(code, reason))
    await wire.end()
    connection = wire.connection
    assert close.payload == close_payload(code, reason)
    assert (connection.close_received, connection.close_sent) == (code, code)
    assert (connection.closed.code, connection.closed.reason) == (code, "für heute")
    assert (connection.closed_first, connection.clean) == ("peer", True)
    assert (connection.failure, connection.timed_out) == (None, None)


async def test_an_empty_close_frame_is_answered_by_an_empty_one(wire):
    wire.start()
    assert await wire.say_and_hear_all(wire.peer.frame(CLOSE)) == [(CLOSE, b"", True)]
    await wire.end()
    assert (wire.connection.close_received, wire.connection.close_sent) == (1005, 1005)
    assert wire.connection.clean


async def test_nothing_is_read_behind_a_close_frame(wire):
    wire.start()
    peer = wire.peer
    segment = peer.text("last") + peer.close(1000) + peer.text("lost") + peer.frame(PING)
    frames = await wire.say_and_hear_all(segment + peer.close(1001))
    await wire.end()
    assert opcodes(frames) == [TEXT, CLOSE]
    assert (wire.connection.messages_received, wire.connection.close_received) == (1, 1000)


async def test_we_close_first(wire):
    wire.start()
    await trio.testing.wait_all_tasks_blocked()
    assert wire.connection.close_nowait(1001, "gone") is (wire.connection._sock is not None)
    await wire.connection.flush()
    assert await wire.peer.receive() == (CLOSE, close_payload(1001, b"gone"), True)
    await wire.peer.send(wire.peer.close(1001, b"gone"))
    await wire.peer.stream.aclose()
    await wire.end()
    connection = wire.connection
    assert (connection.closed_first, connection.clean) == ("us", True)
    assert (connection.close_sent, connection.close_received) == (1001, 1001)
    assert connection.close_nowait(4000)  # idempotent
    assert connection.close_sent == 1001


async def test_both_close_at_once(wire):
    wire.start()
    await wire.peer.send(wire.peer.close(4001))
    wire.connection.close_nowait(4000)
    await wire.connection.flush()
    assert code_of(await wire.peer.receive()) == 4000
    await wire.peer.stream.aclose()
    await wire.end()
    connection = wire.connection
    assert (connection.close_sent, connection.close_received) == (4000, 4001)
    assert (connection.closed_first, connection.clean) == ("us", True)


async def test_messages_and_pings_between_our_close_frame_and_the_peers_do_no_harm(wire):
    seen = []
    wire.start(lambda message: seen.append(message) or "reply")
    wire.connection.close_nowait()
    await wire.connection.flush()
    peer = wire.peer
    await peer.send(peer.text("late") + peer.frame(PING) + peer.frame(PONG))
    fragments = peer.frame(TEXT, b"la", fin=False) + peer.frame(CONTINUATION, b"ter")
    frames = await wire.say_and_hear_all(fragments + peer.close(1000))
    await wire.end()
    assert (opcodes(frames), seen) == ([CLOSE], ["late", "later"])
    assert wire.connection.clean
    assert wire.connection.messages_sent == 0


async def test_a_violation_between_our_close_frame_and_the_peers_ends_it_without_another(wire):
    wire.start()
    wire.connection.close_nowait(4000)
    await wire.connection.flush()
    (close,) = await wire.say_and_hear_all(wire.peer.frame(3) + wire.peer.close(1000))
    await wire.end()
    connection = wire.connection
    assert code_of(close) == connection.close_sent == connection.close_code == 4000
    assert (connection.failure, connection.close_received) == (1002, None)
    assert not connection.clean


@pytest.mark.parametrize(
    ("data", "code"), [(b"\x83\x00", 1002), (b"\x88\x02\x03\xe8", None)], ids=["ours", "answer"]
)
def test_a_close_frame_that_nobody_takes_is_not_recorded(data, code):
    class Deaf:
        def send(self, _data: bytes) -> int:
            raise ConnectionResetError

    connection = Connection.__new__(Connection)
    connection._sock, connection._client, connection._limits = Deaf(), True, Limits()
    connection._on_message = lambda message: message
    connection._receive(data)
    assert (connection.failure, connection.close_sent) == (code, None)
    assert connection.close_code == (1006 if code else 1000)


@pytest.mark.parametrize("role", ["server"])
async def test_the_server_ends_tcp(wire, role):
    wire.start()
    await wire.peer.send(wire.peer.close(1000))
    assert opcodes(await wire.peer.receive_rest()) == [CLOSE]
    await wire.end()


@pytest.mark.parametrize("role", ["client"])
@pytest.mark.parametrize("first", ["us", "peer"])
async def test_the_client_waits_for_the_server_to_end_tcp(wire, role, first, autojump_clock):
    wire.start()
    if first == "us":
        wire.connection.close_nowait()
        await wire.connection.flush()
    await wire.peer.send(wire.peer.close(1000))
    assert opcodes([await wire.peer.receive()]) == [CLOSE]
    await trio.testing.wait_all_tasks_blocked()
    assert not wire.ended.is_set()
    await wire.peer.stream.aclose()
    await wire.end()
    assert (wire.connection.clean, wire.connection.timed_out) == (True, None)


@pytest.mark.parametrize("amid", [b"", b"\x81"], ids=["between frames", "amid a frame"])
async def test_the_end_of_the_stream_without_a_close_frame_is_abnormal(wire, amid):
    wire.start()
    await wire.peer.send(wire.peer.text("x") + amid)
    await wire.peer.receive()
    await wire.peer.stream.aclose()
    await wire.end()
    connection = wire.connection
    assert connection.closed.code == 1006
    assert (connection.close_sent, connection.close_received, connection.closed_first) == (
        None,
        None,
        None,
    )
    assert (connection.clean, connection.failure, connection.timed_out) == (False, None, None)


@pytest.mark.parametrize("transport", ["poller", "no-poller", "tls"])
async def test_a_reset_is_abnormal(make_wire, tcp_pair, transport):
    wire = make_wire(sockets=tcp_pair)
    wire.start()
    await wire.peer.send(wire.peer.text("x"))
    await wire.peer.receive()
    wire.peer.stream.setsockopt(
        trio.socket.SOL_SOCKET, trio.socket.SO_LINGER, struct.pack("ii", 1, 0)
    )
    await wire.peer.stream.aclose()
    await wire.end()
    assert wire.connection.closed.code == 1006


@pytest.mark.parametrize("transport", ["poller", "no-poller", "tls"])
@pytest.mark.parametrize("during", ["run", "on_message"])
async def test_abort_resets(make_wire, tcp_pair, transport, during):
    wire = make_wire(sockets=tcp_pair)
    wire.start(lambda _: wire.connection.abort() if during == "on_message" else "reply")
    await wire.peer.send(wire.peer.text("x"))
    if during == "run":
        await wire.peer.receive()
        wire.connection.abort()
    with pytest.raises(trio.BrokenResourceError):
        await wire.peer.receive_rest()
    await wire.end()
    assert (wire.connection.closed.code, wire.connection.close_sent) == (1006, None)


async def test_a_connection_that_never_slept_leaves_its_number_to_the_next_file(nursery):
    """A client's socket is with the poller since its handshake, and so before `run`."""
    poller = Poller()
    await nursery.start(poller.run)
    (ours, theirs), (following, its_peer) = socket.socketpair(), socket.socketpair()
    number = ours.fileno()
    for sock in (ours, following):
        sock.setblocking(False)
    theirs.send(b"the answer to the handshake")
    with theirs, its_peer, following:
        await poller.wait_readable(ours)
        connection = Connection.opened(ours, client=True, limits=Limits(), poller=poller)
        connection.abort()
        await connection.run(lambda _: None)
        assert ours.fileno() == -1
        os.dup2(following.fileno(), number)
        with socket.socket(fileno=number) as heir:
            its_peer.send(b"x")
            with trio.fail_after(PATIENCE_S):
                await poller.wait_readable(heir)
            poller.unregister(heir)


@pytest.mark.parametrize("code", [0, 999, 1004, 1006, 1015, 2000, 5000, 70_000, -1])
async def test_a_code_that_may_not_be_sent_is_refused_and_the_connection_stays_open(wire, code):
    wire.start()
    with pytest.raises(ValueError, match="close frame"):
        wire.connection.close_nowait(code)
    assert wire.connection.closed is None
    (reply, close) = await wire.say_and_hear_all(wire.peer.text("hi") + wire.peer.close(1000))
    assert (reply.payload, code_of(close)) == (b"hi", 1000)


async def test_a_close_frame_can_be_empty_and_its_reason_is_cut_at_a_character(make_wire):
    empty, long = make_wire(), make_wire()
    empty.connection.close_nowait(1005)
    long.connection.close_nowait(4000, "€" * 60)
    for wire in (empty, long):
        wire.start()
        await wire.connection.flush()
    assert await empty.peer.receive() == (CLOSE, b"", True)
    assert await long.peer.receive() == (CLOSE, close_payload(4000, ("€" * 41).encode()), True)
    assert empty.connection.close_sent == 1005


async def test_a_peer_that_never_answers_our_close_frame_is_cut(make_wire, autojump_clock):
    wire = make_wire(Limits(close_timeout_s=5))
    wire.start()
    wire.connection.close_nowait(1001)
    await wire.connection.flush()
    await wire.end()
    assert wire.connection.timed_out == "close"
    assert trio.current_time() == pytest.approx(5)
    assert (wire.connection.close_sent, wire.connection.close_received) == (1001, None)


async def test_a_peer_that_goes_silent_after_a_violation_is_cut(make_wire, autojump_clock):
    wire = make_wire(Limits(max_message_bytes=10, close_timeout_s=5))
    wire.start()
    await wire.peer.send(wire.peer.text("longer than ten"))
    assert code_of(await wire.peer.receive()) == 1009
    await wire.end()
    assert (wire.connection.failure, wire.connection.timed_out) == (1009, "close")
    assert trio.current_time() == pytest.approx(5)


async def test_a_peer_that_keeps_sending_after_our_close_frame_is_cut(make_wire, autojump_clock):
    wire = make_wire(Limits(close_timeout_s=5))
    seen = []
    wire.start(seen.append)
    wire.connection.close_nowait()
    await wire.connection.flush()
    while not wire.ended.is_set():
        with suppress(trio.BrokenResourceError):
            await wire.peer.send(wire.peer.text("more"))
        await trio.sleep(0.5)
    await wire.end()
    assert wire.connection.timed_out == "close"
    assert len(seen) > 5


# -- on_message ------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [ValueError, OSError, BlockingIOError, ConnectionResetError])
async def test_what_on_message_raises_comes_out_of_run_after_the_peer_was_told(wire, error):
    mistake = error("mine")

    def on_message(message):
        if message == "bad":
            raise mistake
        return message

    wire.start(on_message)
    peer = wire.peer
    frames = await wire.say_and_hear_all(peer.text("good") + peer.text("bad") + peer.text("good"))
    await wire.ended.wait()
    assert wire.raised is mistake
    assert [frame.payload[:4] for frame in frames] == [b"good", close_payload(1011)]
    assert (wire.connection.close_sent, wire.connection.failure) == (1011, 1011)


async def test_on_message_may_close_and_what_it_answered_before_goes_out_first(wire):
    def on_message(message):
        if message == "close":
            wire.connection.close_nowait(4000)
        return message

    wire.start(on_message)
    peer = wire.peer
    frames = await wire.say_and_hear_all(
        peer.text("one")
        + peer.frame(PING)
        + peer.text("close")
        + peer.text("two")
        + peer.close(4000)
    )
    await wire.end()
    assert opcodes(frames) == [TEXT, PONG, CLOSE]
    assert (code_of(frames[-1]), wire.connection.clean) == (4000, True)
    assert wire.connection.messages_received == 3  # it hears what the peer sent before its Close
    assert wire.connection.messages_sent == 1


async def test_on_message_may_close_and_then_raise(wire):
    def on_message(message):
        wire.connection.close_nowait(4000)
        raise ValueError(message)

    wire.start(on_message)
    (close,) = await wire.say_and_hear_all(wire.peer.text("both"))
    await wire.ended.wait()
    assert code_of(close) == wire.connection.close_sent == 4000
    assert str(wire.raised) == "both"


async def test_one_connections_mistake_is_not_its_neighbours(make_wire):
    broken, neighbour = make_wire(), make_wire()
    broken.start(lambda message: 1 / 0)
    neighbour.start()
    await broken.peer.send(broken.peer.text("x"))
    assert code_of(await broken.peer.receive()) == 1011
    await neighbour.peer.send(neighbour.peer.text("still here"))
    assert (await neighbour.peer.receive()).payload == b"still here"


async def test_what_on_message_sends_keeps_its_place_among_the_replies(wire):
    def on_message(message):
        if message == "2":
            wire.connection.send_nowait("extra")
        return message

    wire.start(on_message)
    await wire.peer.send(b"".join(wire.peer.text(str(n)) for n in range(4)))
    frames = await wire.peer.receive_many(5)
    assert payloads(frames) == [b"0", b"1", b"extra", b"2", b"3"]


# -- Sending ----------------------------------------------------------------------------------


@pytest.mark.parametrize("transport", ["poller", "no-poller", "tls"])
async def test_a_cancelled_flush_never_leaves_half_a_frame(
    wire, nursery, transport, autojump_clock
):
    wire.start()
    with trio.move_on_after(1) as sending:
        wire.connection.send_nowait(b"x" * 1_000_000)
        await wire.connection.flush()
    assert sending.cancelled_caught
    wire.connection.send_nowait("next")
    nursery.start_soon(wire.connection.flush)
    frames = await wire.peer.receive_many(2)
    assert payloads(frames) == [b"x" * 1_000_000, b"next"]


@pytest.mark.parametrize("transport", ["poller", "no-poller", "tls"])
async def test_nothing_is_read_while_replies_are_blocked(wire, nursery, transport, autojump_clock):
    wire.start()
    count, message = 200, b"x" * 50_000
    nursery.start_soon(wire.peer.send, wire.peer.frame(BINARY, message) * count)
    await trio.sleep(1)
    heard = wire.connection.messages_received
    assert 0 < heard < count // 4
    await trio.sleep(1)
    assert wire.connection.messages_received == heard
    frames = await wire.peer.receive_many(count)
    assert payloads(frames) == [message] * count


@pytest.mark.parametrize("transport", ["poller", "no-poller", "tls"])
async def test_a_peer_that_never_reads_is_cut(make_wire, nursery, transport, autojump_clock):
    wire = make_wire(Limits(write_timeout_s=7))
    wire.start()

    async def send() -> None:
        with pytest.raises(trio.BrokenResourceError):
            await wire.peer.send(wire.peer.frame(BINARY, b"x" * 50_000) * 200)

    nursery.start_soon(send)
    await wire.end()
    connection = wire.connection
    assert trio.current_time() == pytest.approx(7)
    assert (connection.timed_out, connection.closed.code) == ("write", 1006)
    assert connection.close_sent is None


@pytest.mark.parametrize("transport", ["poller", "no-poller", "tls"])
async def test_a_peer_that_reads_slowly_is_not(make_wire, transport, autojump_clock):
    wire = make_wire(Limits(write_timeout_s=10, max_message_bytes=2**22))
    wire.start()
    size = 1_000_000
    wire.connection.send_nowait(b"x" * size)
    received = 0
    async with trio.open_nursery() as nursery:
        nursery.start_soon(wire.connection.flush)
        while received < size:
            await trio.sleep(1)
            some = await wire.peer.stream.receive_some(50_000)
            assert some
            received += len(some)
    assert trio.current_time() > 1.5 * 10
    assert wire.connection.timed_out is None


@pytest.mark.parametrize("transport", ["stream"])
async def test_a_stream_that_takes_nothing_is_cut(role, transport, nursery, autojump_clock):
    ours, _theirs = trio.testing.lockstep_stream_pair()
    limits = Limits(write_timeout_s=7)
    connection = Connection.opened(ours, client=role == "client", limits=limits)
    nursery.start_soon(connection.run, lambda message: message)
    connection.send_nowait("nobody reads this")
    await connection.flush()
    assert (connection.timed_out, trio.current_time()) == ("write", pytest.approx(7))


@pytest.mark.parametrize("transport", ["poller", "no-poller", "tls"])
async def test_a_close_frame_that_did_not_get_out_is_not_recorded(wire, transport):
    wire.connection.send_nowait(b"x" * 1_000_000)
    assert wire.connection.close_nowait(1001) is False
    assert wire.connection.close_sent == 1001
    wire.connection.abort()
    assert (wire.connection.close_sent, wire.connection.closed_first) == (None, None)
    wire.start()
    await wire.end()
    assert not wire.connection.clean


@pytest.mark.parametrize("transport", ["poller", "no-poller", "tls"])
async def test_the_answer_to_a_close_frame_waits_its_turn(wire, transport, autojump_clock):
    wire.start()
    wire.connection.send_nowait(b"x" * 1_000_000)
    await wire.peer.send(wire.peer.close(4000))
    await trio.sleep(1)
    frames = await wire.peer.receive_many(2)
    assert opcodes(frames) == [BINARY, CLOSE]
    await wire.peer.stream.aclose()
    await wire.end()
    assert wire.connection.clean


# -- Cancellation -----------------------------------------------------------------------------


async def test_cancelled_run_closes_the_stream_at_once_and_says_nothing(wire):
    wire.start()
    await wire.peer.send(wire.peer.text("x"))
    await wire.peer.receive()
    wire.scope.cancel()
    assert await wire.peer.receive_rest() == []
    await wire.end()
    assert (wire.connection.closed.code, wire.connection.close_sent) == (1006, None)


async def test_closing_is_cancelled_as_well(wire):
    wire.start()
    wire.connection.close_nowait(1001)
    await wire.connection.flush()
    await wire.peer.receive()
    wire.scope.cancel()
    assert await wire.peer.receive_rest() == []
    await wire.end()
    assert (wire.connection.close_sent, wire.connection.clean) == (1001, False)
    assert wire.connection.timed_out is None


# -- Counting ---------------------------------------------------------------------------------


async def test_messages_and_bytes_are_counted(wire):
    wire.start(lambda message: message if message != "quiet" else None)
    peer = wire.peer
    said = [
        peer.text("quiet"),
        peer.text("loud"),
        peer.frame(PING),
        peer.frame(TEXT, b"in ", fin=False),
        peer.frame(CONTINUATION, b"two"),
        peer.close(1000),
    ]
    frames = await wire.say_and_hear_all(b"".join(said))
    await wire.end()
    connection = wire.connection
    overhead = 2 if connection.is_server else 6
    assert connection.bytes_received == sum(map(len, said))
    assert connection.bytes_sent == sum(overhead + len(frame.payload) for frame in frames)
    assert (connection.messages_received, connection.messages_sent) == (3, 2)


# -- What a behaviour needs: pausing, cutting, a last word -------------------------------------


@pytest.fixture
def segment(wire) -> bytes:
    """Messages of every kind in one segment; each is answered by itself."""
    peer = wire.peer
    return (
        peer.text("one")
        + peer.frame(TEXT, b"t", fin=False)
        + peer.frame(PING, b"amid")
        + peer.frame(CONTINUATION, b"wo")
        + peer.frame(PING, b"behind")
        + peer.frame(BINARY, b"three" * 40)
        + peer.text("four")
        + peer.close(1000)
    )


ANSWERS = [b"one", b"amid", b"two", b"behind", b"three" * 40, b"four", b"\x03\xe8"]


async def test_pausing_at_each_message_loses_nothing_and_keeps_the_order(wire, nursery, segment):
    connection = wire.connection

    def on_message(message):
        connection.pause_reading()
        nursery.start_soon(resume)
        return message

    async def resume():
        await trio.testing.wait_all_tasks_blocked()
        connection.resume_reading()

    wire.start(on_message)
    await wire.peer.send(segment)
    assert payloads(await wire.peer.receive_many(7)) == ANSWERS
    await wire.peer.stream.aclose()
    await wire.end()
    assert connection.bytes_received == len(segment)
    assert connection.messages_received == 4
    assert connection.clean


async def test_while_paused_nothing_is_answered_not_even_a_ping(wire):
    connection = wire.connection
    seen = []

    def on_message(message):
        seen.append(message)
        connection.pause_reading()
        connection.pause_reading()
        return message

    wire.start(on_message)
    first = wire.peer.text("one") + wire.peer.frame(PING) + wire.peer.text("two")
    await wire.peer.send(first)
    assert (await wire.peer.receive()).payload == b"one"
    await wire.peer.send(wire.peer.frame(PING))
    await trio.testing.wait_all_tasks_blocked(0.01)
    assert seen == ["one"]
    assert connection.bytes_received == len(first), "read on"
    connection.resume_reading()
    assert opcodes(await wire.peer.receive_many(2)) == [PONG, TEXT]
    assert seen == ["one", "two"]


async def test_pausing_from_elsewhere_loses_nothing_that_was_under_way(wire):
    wire.start()
    for number in range(20):
        await wire.peer.send(wire.peer.text(f"{number}"))
        wire.connection.pause_reading()
        await trio.lowlevel.checkpoint()
        wire.connection.resume_reading()
        await trio.lowlevel.checkpoint()
    assert payloads(await wire.peer.receive_many(20)) == [b"%d" % n for n in range(20)]


async def test_our_goodbye_ends_a_pause(wire, role):
    def on_message(message):
        wire.connection.pause_reading()
        return message

    wire.start(on_message)
    await wire.peer.send(wire.peer.text("one"))
    assert (await wire.peer.receive()).payload == b"one"
    if not wire.connection.close_nowait(1001):
        await wire.connection.flush()
    assert (await wire.peer.receive()).opcode == CLOSE
    await wire.peer.send(wire.peer.close(1001))
    if role == "client":
        await wire.peer.stream.send_eof()
    await wire.end()
    assert wire.connection.clean


async def test_an_abort_ends_a_paused_connection(wire):
    def on_message(message):
        wire.connection.pause_reading()

    wire.start(on_message)
    await wire.peer.send(wire.peer.text("one"))
    await trio.testing.wait_all_tasks_blocked(0.01)
    wire.connection.abort()
    await wire.end()


class EndedOnMacos(socket.socket):
    """Refuses options, as sockets of macOS do once TCP has ended in both directions."""

    def setsockopt(self, *_):
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))


async def test_an_abort_ends_a_connection_whose_socket_takes_no_options_any_more(
    make_wire, tcp_pair
):
    wire = make_wire(sockets=tcp_pair)
    wire.connection._sock = ended = EndedOnMacos(fileno=wire.connection._sock.detach())
    ended.setblocking(False)
    wire.start()
    wire.connection.abort()
    await wire.end()


@pytest.mark.parametrize("transport", ["poller", "no-poller"], indirect=True)
@pytest.mark.parametrize("has_poll", [True, False], ids=["poll", "without poll"])
async def test_a_reset_behind_unread_data_ends_a_paused_connection(
    make_wire, tcp_pair, has_poll, monkeypatch, autojump_clock
):
    if not has_poll:
        monkeypatch.delattr(select, "poll")
    wire = make_wire(sockets=tcp_pair)

    def on_message(message):
        wire.connection.pause_reading()

    wire.start(on_message)
    await wire.peer.send(wire.peer.text("one"))
    await until(lambda: wire.connection._paused)
    await wire.peer.send(wire.peer.text("this is not even read"))
    peer = wire.peer.stream.socket
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    peer.close()
    await wire.end()
    assert wire.connection.messages_received == 1


@pytest.mark.parametrize("transport", ["poller", "no-poller"], indirect=True)
async def test_the_end_of_a_peer_is_seen_while_nothing_is_read(make_wire, tcp_pair, autojump_clock):
    wire = make_wire(sockets=tcp_pair)

    def on_message(message):
        wire.connection.pause_reading()

    wire.start(on_message)
    await wire.peer.send(wire.peer.text("one"))
    await until(lambda: wire.connection._paused)
    await wire.peer.stream.aclose()
    await wire.end()


async def test_a_bug_while_paused_is_still_told_to_the_peer(wire):
    def on_message(message):
        wire.connection.pause_reading()
        raise ZeroDivisionError

    wire.start(on_message)
    await wire.peer.send(wire.peer.text("one") + wire.peer.text("two"))
    assert (await wire.peer.receive()).payload == b"\x03\xf3"
    await wire.peer.send(wire.peer.close(1011))
    await wire.peer.stream.send_eof()
    with trio.fail_after(60):
        await wire.ended.wait()
    assert isinstance(wire.raised, ZeroDivisionError)


async def test_a_cut_ends_the_stream_without_a_close_frame_and_awaits_the_peers(wire):
    wire.start()
    await wire.peer.send(wire.peer.text("one"))
    assert (await wire.peer.receive()).payload == b"one"
    wire.connection.cut()
    wire.connection.cut()
    assert await wire.peer.receive_rest() == []
    assert not wire.ended.is_set()
    await wire.peer.send(wire.peer.text("two"))
    await wire.peer.stream.send_eof()
    await wire.end()
    assert (wire.connection.close_sent, wire.connection.timed_out) == (None, None)
    assert wire.connection.closed.code == 1006
    assert wire.connection.messages_received == 1


@pytest.mark.parametrize("first", ["us", "peer"])
async def test_the_last_word_goes_before_our_close_frame_whoever_closes(wire, first):
    connection, words = wire.connection, ["last"]
    connection.before_closing = lambda: connection.send_nowait(words.pop())
    wire.start()
    if first == "us":
        connection.close_nowait(1000)
        await connection.flush()
    else:
        await wire.peer.send(wire.peer.text("one") + wire.peer.close(1000))
        assert (await wire.peer.receive()).payload == b"one"
    assert opcodes(await wire.peer.receive_many(2)) == [TEXT, CLOSE]
    assert connection.closed_first == first


# -- Turns ------------------------------------------------------------------------------------


async def in_rounds(look):
    """What `look` returns each time the other tasks had their turn, until it returns ``None``."""
    seen = []
    with trio.fail_after(PATIENCE_S):
        while (now := look()) is not None:
            seen.append(now)
            await trio.lowlevel.checkpoint()
    return seen


@pytest.mark.parametrize("payload", [b"", b"x" * 16], ids=["empty", "16 bytes"])
@pytest.mark.parametrize("kind", ["text", "ping", "pong", "two fragments", "many fragments"])
async def test_one_wake_up_reads_a_bounded_number_of_frames(make_wire, role, kind, payload):
    """Counted, not timed: the bytes that are left, each time the other tasks had their turn."""
    peer = Peer(None, masks=role == "server")
    first, last = peer.frame(TEXT, payload, fin=False), peer.frame(CONTINUATION, payload)
    more = peer.frame(CONTINUATION, payload, fin=False)
    said = {
        "text": peer.frame(TEXT, payload) * 2000,
        "ping": peer.frame(PING, payload) * 2000,
        "pong": peer.frame(PONG, payload) * 2000,
        "two fragments": (first + last) * 1000,
        "many fragments": (first + more * 998 + last) * 2,
    }[kind]
    wire = make_wire(surplus=said)
    wire.start(lambda _: None)
    connection = wire.connection
    left = await in_rounds(lambda: len(connection._head) or None)
    assert connection.bytes_received == len(said)
    # A message in two fragments may count as one, and the poller may run before us and after us.
    a_turn = FRAMES_PER_TURN * 2 * len(last)
    assert len(left) >= 2000 // (2 * 2 * FRAMES_PER_TURN)
    assert all(a - b <= 2 * a_turn for a, b in itertools.pairwise([*left, 0]))
    await wire.peer.send(wire.peer.frame(PING, b"done?"))
    while (await wire.peer.receive()).payload != b"done?":
        pass


async def test_a_message_is_inflated_in_steps_and_the_others_have_their_turn_in_between(
    make_wire, role
):
    whole = bytes(2**20)
    compressor = zlib.compressobj(wbits=-15)
    data = (compressor.compress(whole) + compressor.flush(zlib.Z_SYNC_FLUSH))[:-4]
    peer = Peer(None, masks=role == "server")
    wire = make_wire(compression=FRESH, surplus=peer.frame(BINARY, data, rsv=4))
    heard = []
    wire.start(heard.append)
    connection = wire.connection

    def size() -> int | None:
        return None if heard else connection._incoming.size if connection._incoming else 0

    sizes = await in_rounds(size)
    assert len(sizes) > 8
    assert all(b - a <= 2 * INFLATE_STEP_BYTES for a, b in itertools.pairwise(sizes))
    assert heard == [whole]


@pytest.mark.parametrize("transport", ["poller"])
async def test_who_sends_much_is_served_behind_who_sends_little(make_wire, nursery):
    flood, probe = make_wire(), make_wire()
    order = []
    flood.start(lambda _: order.append("flood"))
    probe.start(lambda _: order.append("probe"))
    await trio.testing.wait_all_tasks_blocked()
    await flood.peer.send(flood.peer.text("x") * 2000)
    await probe.peer.send(probe.peer.text("x"))
    await until(lambda: len(order) == 2001)
    assert order.index("probe") <= 2 * FRAMES_PER_TURN


async def test_a_message_that_was_much_work_ends_the_turn(make_wire, role):
    wire = make_wire(surplus=Peer(None, masks=role == "server").text("x") * 10)
    connection = wire.connection
    heard = []

    def work(message: str | bytes) -> None:
        heard.append(message)
        connection.end_turn()

    wire.start(work)
    counts = await in_rounds(lambda: len(heard) if len(heard) < 10 else None)
    # The poller may run before us and after us.
    assert all(b - a <= 2 for a, b in itertools.pairwise([0, *counts, 10]))


@pytest.mark.parametrize("transport", ["poller"])
async def test_a_turn_that_ends_between_two_messages_goes_on_with_the_next(make_wire):
    wire = make_wire()
    heard = []
    wire.start(heard.append)
    await wire.peer.send(wire.peer.text("x"))
    await until(lambda: len(heard) == 1)
    wire.connection.end_turn()
    await wire.peer.send(wire.peer.text("y"))
    await until(lambda: len(heard) == 2)


@pytest.mark.parametrize("transport", ["poller"])
async def test_who_sends_large_messages_is_served_behind_who_sends_little(make_wire, nursery):
    """However many there are: only one of them has its turn before the others."""
    floods, probe = [make_wire() for _ in range(30)], make_wire()
    reads = []

    class Counted:
        def __init__(self, sock) -> None:
            self._sock = sock

        def recv(self, size) -> bytes:
            data = self._sock.recv(size)
            reads.append(len(data))
            return data

        def __getattr__(self, name):
            return getattr(self._sock, name)

    for flood in floods:
        flood.connection._sock = Counted(flood.connection._sock)
        flood.start(lambda _: None)
        data = flood.peer.frame(BINARY, bytes(2**20))
        nursery.start_soon(flood.peer.send, data * 20)
    probe.start()
    await until(lambda: len(reads) > 300)
    seen = []
    for _ in range(10):
        before = len(reads)
        await probe.peer.send(probe.peer.text("x"))
        await probe.peer.receive()
        seen.append(sum(size >= 2**16 for size in reads[before:]))
    # The round in which the probe's message arrives may have begun, and may have all the others
    # before it; it is answered in the next, in which they may stand before it once more. No less is
    # promised, and each of them has one turn in a round: without that, they have 16 and more.
    assert sorted(seen)[5] < 2 * len(floods)
    nursery.cancel_scope.cancel()


# -- Draining ---------------------------------------------------------------------------------


async def test_after_a_drain_began_nothing_is_looked_at_but_the_peers_close_frame(make_wire):
    budget = Budget()
    wire = make_wire(budget=budget)
    heard = []
    wire.start(heard.append)
    peer, connection = wire.peer, wire.connection
    begun = peer.frame(BINARY, b"x" * 70_000, fin=False)
    await peer.send(peer.text("before") + begun[:50_000])
    await until(lambda: connection.bytes_received > 50_000)
    connection.drain(1001, "bye")
    await connection.flush()
    assert budget.held_bytes == 0
    await peer.send(begun[50_000:])
    await peer.send(peer.frame(CONTINUATION, b"y" * 3000) + peer.frame(PING))
    await peer.send(peer.text("no more") * 1000 + peer.close(1001, b"see you"))
    assert [frame.opcode for frame in await peer.receive_many(1)] == [CLOSE]
    with suppress(trio.BrokenResourceError):
        await peer.stream.send_eof()
    assert await peer.receive_rest() == []
    await wire.end()
    assert heard == ["before"]
    assert (connection.clean, connection.close_received, connection.failure) == (True, 1001, None)


async def test_a_drain_goes_on_with_what_was_left_for_later(make_wire):
    wire = make_wire()
    heard = []

    def on_message(message):
        heard.append(message)
        wire.connection.pause_reading()

    wire.start(on_message)
    peer = wire.peer
    close = peer.close(1000)
    await peer.send(peer.text("one") + peer.text("two") * 500 + close[:-1])
    await until(lambda: wire.connection.messages_received)
    wire.connection.drain(1001, "bye")
    await wire.connection.flush()
    await peer.receive()
    await peer.send(close[-1:])
    with suppress(trio.BrokenResourceError):
        await peer.stream.send_eof()
    await wire.end()
    assert (heard, wire.connection.clean) == (["one"], True)


async def test_what_is_malformed_ends_a_drain_at_once(make_wire):
    wire = make_wire()
    wire.start()
    await trio.testing.wait_all_tasks_blocked()
    wire.connection.drain(1001, "bye")
    await wire.connection.flush()
    await wire.peer.send(wire.peer.text("x") + wire.peer.frame(3))
    assert [frame.opcode for frame in await wire.peer.receive_rest()] == [CLOSE]
    await wire.peer.stream.aclose()
    await wire.end()
    assert (wire.connection.failure, wire.connection.close_sent) == (1002, 1001)


async def test_the_reason_that_the_peer_gave_is_kept(wire):
    assert wire.connection.close_reason == ""
    wire.start()
    await wire.say_and_hear_all(wire.peer.close(4000, "tschüß".encode()))
    await wire.end()
    assert wire.connection.close_reason == "tschüß"


async def test_our_own_reason_is_not_the_peers(wire):
    wire.start()
    await trio.testing.wait_all_tasks_blocked()
    wire.connection.close_nowait(4000, "ours")
    await wire.connection.flush()
    await wire.peer.receive()
    assert wire.connection.close_reason == ""
    await wire.peer.stream.aclose()
    await wire.end()
    assert wire.connection.close_reason == ""


# -- What is counted, of a connection that nobody serves ----------------------------------------


def counted(connection: Connection) -> tuple[int, int]:
    return connection.messages_received, connection.messages_sent


@pytest.mark.parametrize("client", [False, True], ids=["server", "client"])
def test_each_message_counts_once_however_it_came_and_however_it_is_answered(client):
    connection, sent = unserved(lambda message: message, client=client, limits=Limits())
    masked, data = not client, b""
    for message in ("plain", b"binary", "x" * 70_000):
        data += frames.encode(message, masked)
    data += b"".join(frames.encode_fragments("in fragments", 5, masked))
    arrive(connection, data)
    assert counted(connection) == (4, 4)
    assert (connection.bytes_received, connection.bytes_sent) == (len(data), len(sent.sent))
    # Byte by byte, which never is a whole frame.
    for at in range(len(data)):
        arrive(connection, data[at : at + 1])
    assert counted(connection) == (8, 8)
    assert connection.bytes_received == 2 * len(data)


@pytest.mark.parametrize("size", [1, 10, 100, 40_000])
def test_a_message_sent_in_fragments_counts_once_when_it_is_out(size):
    connection, sent = unserved(lambda _: None, client=False, limits=Limits())
    body = b"x" * 100_000
    steps = connection.send_fragments(body, size)
    assert next(steps)
    assert connection.messages_sent == 0
    for taken in steps:
        assert taken
    assert connection.messages_sent == 1
    assert connection.bytes_sent == len(sent.sent)


def test_only_the_pong_to_the_ping_that_is_awaited_ends_the_wait():
    connection, _ = unserved(lambda _: None, client=False, limits=Limits())
    connection._awaited_pong = b"1234"
    for wrong in (b"", b"4321", b"12345", b"123"):
        arrive(connection, frames.encode_control(frames.PONG, wrong, True))
        assert connection._awaited_pong == b"1234"
    arrive(connection, frames.encode_control(frames.PONG, b"1234", True))
    assert connection._awaited_pong is None


def test_a_message_may_be_exactly_as_large_as_is_allowed():
    for size, failure in ((10, None), (11, 1009)):
        for encoded in (frames.encode(b"x" * size, True), frames.encode("x" * size, True)):
            connection, _ = unserved(lambda _: None, client=False, limits=Limits(10))
            arrive(connection, encoded)
            assert connection.failure == failure
            assert connection.messages_received == (failure is None)
