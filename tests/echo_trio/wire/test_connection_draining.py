"""Test what a connection takes once it is to be closed: messages, or a close frame alone."""

from __future__ import annotations

from contextlib import suppress

import pytest
import trio
import trio.testing

from echo_trio.wire.budget import Budget

from .conftest import BINARY, CLOSE, CONTINUATION, PING, TEXT, close_payload, frame_bytes, until
from .ends import End


async def test_a_farewell_waits_for_the_next_reply_and_says_why(wire):
    wire.start()
    await wire.peer.send(wire.peer.text("before"))
    assert (await wire.peer.receive()).payload == b"before"
    wire.connection.close_behind_reply(1001, "für heute")
    await trio.testing.wait_all_tasks_blocked()
    assert wire.connection.closed is None
    await wire.peer.send(wire.peer.text("one") + wire.peer.text("two"))
    assert [(frame.opcode, frame.payload) for frame in await wire.peer.receive_many(3)] == [
        (TEXT, b"one"),
        (TEXT, b"two"),
        (CLOSE, close_payload(1001, "für heute".encode())),
    ]
    await wire.peer.send(wire.peer.close(1001))
    with suppress(trio.BrokenResourceError):
        await wire.peer.stream.send_eof()
    await wire.end()
    assert (wire.connection.closed_first, wire.connection.clean) == ("us", True)


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
    assert await peer.receive() == (CLOSE, close_payload(1001, b"bye"), True)
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


@pytest.mark.parametrize("client", [False, True])
@pytest.mark.parametrize("amid", [0, 1])
def test_what_a_turn_left_is_looked_at_for_a_close_frame_in_a_turn_of_its_own(
    client: bool, amid: int
) -> None:
    """Though nothing more arrives: the rest of a frame is skipped over as well."""
    end = End(client=client)
    frames = [frame_bytes(TEXT, b"a", fin=True, rsv=0, masked=not client)] * 300
    close = frame_bytes(CLOSE, b"\x0f\xa0", fin=True, rsv=0, masked=not client)
    data = b"".join(frames) + close
    first = len(data) - len(close) - amid
    end.connection._take_arrived(data[:first])
    assert end.connection.messages_received == 128
    end.connection.drain(4001, "why")
    end.hear_bytes(b"")
    end.connection._take_arrived(data[first:])
    end.hear_bytes(b"")
    assert (end.connection.messages_received, end.connection.close_received) == (128, 4000)
    assert (end.connection.close_sent, end.connection.closed_first) == (4001, "us")
    assert (end.connection.bytes_received, end.budget.held_bytes) == (len(data), 0)


@pytest.mark.parametrize("client", [False, True])
def test_a_drain_finds_a_close_frame_among_what_a_turn_left(client: bool) -> None:
    end = End(client=client)
    frames = [frame_bytes(TEXT, b"a", fin=True, rsv=0, masked=not client)] * 200
    close = frame_bytes(CLOSE, b"\x0f\xa0", fin=True, rsv=0, masked=not client)
    end.connection._take_arrived(b"".join([*frames, close]))
    end.connection.drain(4001, "why")
    end.hear_bytes(b"")
    assert (end.connection.messages_received, end.connection.close_received) == (128, 4000)
    assert end.budget.held_bytes == 0


@pytest.mark.parametrize("client", [False, True])
def test_a_drain_ends_with_the_first_close_frame_whatever_comes_with_it(client: bool) -> None:
    end = End(client=client)
    end.connection.drain(4001, "why")
    closes = [
        frame_bytes(CLOSE, code.to_bytes(2), fin=True, rsv=0, masked=not client)
        for code in (4000, 4002)
    ]
    end.hear_bytes(b"".join(closes))
    assert (end.connection.close_received, end.connection.failure) == (4000, None)
    assert end.budget.held_bytes == 0


@pytest.mark.parametrize("client", [False, True])
@pytest.mark.parametrize("part", ["a header", "a frame", "a fragment"])
def test_a_farewell_is_said_behind_the_first_reply_behind_which_nothing_has_begun(
    client: bool, part: str
) -> None:
    end = End(client=client)
    end.connection.close_behind_reply(4001, "why")

    def frame(payload: bytes, *, fin: bool = True, opcode: int = TEXT) -> bytes:
        return frame_bytes(opcode, payload, fin=fin, rsv=0, masked=not client)

    whole, at = frame(b"bb"), 1 if part == "a header" else -1
    begun, rest = whole[:at], whole[at:]
    if part == "a fragment":
        begun, rest = frame(b"b", fin=False), frame(b"b", opcode=CONTINUATION)
    end.hear_bytes(frame(b"a") + begun)
    assert (end.connection.messages_sent, end.connection.close_sent) == (1, None)
    end.hear_bytes(rest)
    assert (end.connection.messages_sent, end.connection.close_sent) == (2, 4001)
    assert (end.connection.closed_first, end.budget.held_bytes) == ("us", 0)
