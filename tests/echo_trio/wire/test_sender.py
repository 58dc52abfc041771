"""What a behaviour needs of a connection: pausing, cutting, fragments, a last word."""

from __future__ import annotations

import errno
import socket

import pytest
import trio
import trio.testing
from trio_websocket import ConnectionClosed

from echo_trio.wire.connection import Limits

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10


def opcodes(frames) -> list[int]:
    return [frame.opcode for frame in frames]


def payloads(frames) -> list[bytes]:
    return [frame.payload for frame in frames]


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


@pytest.mark.parametrize(
    ("message", "size", "expected"),
    [
        ("", 3, [(TEXT, b"", True)]),
        (b"", 3, [(BINARY, b"", True)]),
        ("abc", 3, [(TEXT, b"abc", True)]),
        ("abcd", 3, [(TEXT, b"abc", False), (CONTINUATION, b"d", True)]),
        ("é", 1, [(TEXT, b"\xc3", False), (CONTINUATION, b"\xa9", True)]),
        (b"abcdef", 3, [(BINARY, b"abc", False), (CONTINUATION, b"def", True)]),
        ("abc", 2**30, [(TEXT, b"abc", True)]),
    ],
)
async def test_a_message_goes_out_in_frames_of_the_size_asked_for(wire, message, size, expected):
    wire.start()
    for taken in wire.connection.send_fragments(message, size):
        if not taken:
            await wire.connection.flush()
    assert await wire.peer.receive_many(len(expected)) == expected
    assert wire.connection.messages_sent == 1


async def test_many_fragments_come_in_blocks_of_which_each_can_be_waited_for(wire, nursery):
    wire.start()
    blocks = 0

    async def send():
        nonlocal blocks
        for taken in wire.connection.send_fragments(b"x" * 20_000, 1):
            blocks += 1
            if not taken:
                await wire.connection.flush()

    nursery.start_soon(send)
    frames = await wire.peer.receive_many(20_000)
    assert opcodes(frames) == [BINARY] + [CONTINUATION] * 19_999
    assert [frame.fin for frame in frames] == [False] * 19_999 + [True]
    assert blocks > 2


async def test_no_fragment_is_sent_once_the_connection_closes(wire):
    wire.start()
    if not wire.connection.close_nowait():
        await wire.connection.flush()
    with pytest.raises(ConnectionClosed):
        next(wire.connection.send_fragments("x", 1))


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


class OutOfBuffers(socket.socket):
    """A socket of a kernel that has no memory for what is sent, so many times."""

    times = 0

    def send(self, data, *flags):
        if self.times > 0:
            self.times -= 1
            raise OSError(errno.ENOBUFS, "No buffer space available")
        return super().send(data, *flags)


@pytest.mark.parametrize("transport", ["poller", "no-poller"], indirect=True)
async def test_a_kernel_without_buffers_is_waited_for_and_nothing_is_lost(
    make_wire, autojump_clock
):
    ours, theirs = socket.socketpair()
    ours = OutOfBuffers(fileno=ours.detach())
    wire = make_wire(sockets=(ours, theirs))
    wire.start()
    ours.times = 3
    await wire.peer.send(wire.peer.text("one") + wire.peer.text("two"))
    assert payloads(await wire.peer.receive_many(2)) == [b"one", b"two"]
    ours.times = 3
    wire.connection.send_nowait("three")
    await wire.connection.flush()
    assert (await wire.peer.receive()).payload == b"three"
    await wire.peer.stream.aclose()
    await wire.end()


@pytest.mark.parametrize("transport", ["poller", "no-poller"], indirect=True)
async def test_a_kernel_that_never_has_buffers_is_waited_for_until_the_write_timeout(
    make_wire, autojump_clock
):
    ours, theirs = socket.socketpair()
    ours = OutOfBuffers(fileno=ours.detach())
    wire = make_wire(Limits(write_timeout_s=5), sockets=(ours, theirs))
    wire.start()
    ours.times = 10**9
    await wire.peer.send(wire.peer.text("one"))
    await wire.end()
    assert wire.connection.timed_out == "write"
    assert trio.current_time() == pytest.approx(5, abs=1)
