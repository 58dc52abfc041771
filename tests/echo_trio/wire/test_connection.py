"""One connection against a peer that says whatever a test likes: both roles, every transport."""

from __future__ import annotations

import random
from contextlib import suppress

import pytest
import trio
import trio.testing

from echo_trio.wire import frames
from echo_trio.wire.connection import Connection, Limits

from .conftest import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    arrive,
    close_payload,
    code_of,
    opcodes,
    payloads,
    unserved,
    until,
)

# -- Messages -----------------------------------------------------------------------------------


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


# -- on_message ---------------------------------------------------------------------------------


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


# -- Counting -----------------------------------------------------------------------------------


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


@pytest.mark.parametrize("size", [200, 5000, 60_000])
def test_the_rest_of_a_frame_is_no_ping_whatever_it_begins_with(size):
    message = bytes(size // 2) + b"\x89\x80\0\0\0\0\x8a\x80\0\0\0\0" + bytes(size // 2)
    head = b"\x82\xfe" + len(message).to_bytes(2, "big")
    messages = []
    connection, sent = unserved(messages.append, client=False, limits=Limits())
    data = head + bytes(4) + message  # The mask is nought: on the wire as in the message.
    at = len(data) - len(message) + size // 2
    arrive(connection, data[:at])
    arrive(connection, data[at:])
    assert (messages, bytes(sent.sent)) == ([message], b"")


def test_a_message_may_be_exactly_as_large_as_is_allowed():
    for size, failure in ((10, None), (11, 1009)):
        for encoded in (frames.encode(b"x" * size, True), frames.encode("x" * size, True)):
            connection, _ = unserved(lambda _: None, client=False, limits=Limits(10))
            arrive(connection, encoded)
            assert connection.failure == failure
            assert connection.messages_received == (failure is None)


@pytest.mark.parametrize("transport", ["unattended"])
async def test_a_task_is_asked_for_once_and_only_for_what_takes_patience(wire, nursery):
    asked = []
    connection, peer = wire.connection, wire.peer
    connection.serve_unattended(lambda message: message, lambda: asked.append(wire))
    said = [peer.text("one"), peer.frame(PING, b"two"), peer.text("three"), peer.close(1000)]
    all_said, before = b"".join(said), len(nursery.child_tasks)
    cut = len(said[0] + said[1]) + 3  # amid the third
    await peer.send(all_said[:cut])
    assert payloads(await peer.receive_many(2)) == [b"one", b"two"]
    assert (asked, len(nursery.child_tasks)) == ([], before)
    for _ in range(2):
        connection.attend()
        connection.close_nowait()
    assert asked == [wire]
    nursery.start_soon(connection.run, lambda message: message)
    await peer.send(all_said[cut:])
    assert opcodes([await peer.receive()]) == [CLOSE]
    with suppress(trio.BrokenResourceError):  # A server has closed already.
        await peer.stream.send_eof()
    assert await peer.receive_rest() == []
    await until(lambda: len(nursery.child_tasks) == before)
    assert (connection.messages_received, connection.bytes_received) == (2, len(all_said))


@pytest.mark.parametrize("transport", ["poller", "unattended", "no-poller"])
@pytest.mark.parametrize("is_closing", [False, True])
async def test_half_a_frame_is_no_message_and_a_reset_follows(
    make_wire, tcp_pair, transport, is_closing
):
    wire = make_wire(sockets=tcp_pair)
    wire.start()
    await trio.testing.wait_all_tasks_blocked()
    if is_closing:
        wire.connection.close_nowait(1000)
    before_bytes = wire.connection.bytes_sent
    wire.connection.drop_in_frame("x" * 100)
    half_bytes = 0 if is_closing else (102 + 4 * wire.connection.is_client) // 2
    assert wire.connection.bytes_sent == before_bytes + half_bytes
    assert wire.connection.messages_sent == 0
    if not is_closing:
        with pytest.raises(trio.BrokenResourceError):
            await wire.peer.receive_rest()
    else:
        await wire.peer.stream.aclose()
    await wire.end()
    assert wire.connection.close_code == (1000 if is_closing else 1006)
