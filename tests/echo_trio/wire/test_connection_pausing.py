"""What a behaviour needs of a connection: pausing, cutting, a last word."""

from __future__ import annotations

import errno
import os
import select
import socket
import struct

import pytest
import trio
import trio.testing

from .conftest import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    opcodes,
    payloads,
    until,
)


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


@pytest.mark.parametrize("transport", ["poller", "unattended", "no-poller"], indirect=True)
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


@pytest.mark.parametrize("transport", ["poller", "unattended", "no-poller"], indirect=True)
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
