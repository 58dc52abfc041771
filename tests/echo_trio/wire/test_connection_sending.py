"""What a connection sends to a peer that does not read, and what a cancellation leaves."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from echo_trio.wire.connection import Connection, Limits

from .conftest import (
    BINARY,
    CLOSE,
    opcodes,
    payloads,
)

# -- Sending ------------------------------------------------------------------------------------


@pytest.mark.parametrize("transport", ["poller", "unattended", "no-poller", "tls"])
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


@pytest.mark.parametrize("transport", ["poller", "unattended", "no-poller", "tls"])
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


@pytest.mark.parametrize("transport", ["poller", "unattended", "no-poller", "tls"])
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


@pytest.mark.parametrize("transport", ["poller", "unattended", "no-poller", "tls"])
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


@pytest.mark.parametrize("transport", ["poller", "unattended", "no-poller", "tls"])
async def test_a_close_frame_that_did_not_get_out_is_not_recorded(wire, transport):
    wire.connection.send_nowait(b"x" * 1_000_000)
    assert wire.connection.close_nowait(1001) is False
    assert wire.connection.close_sent == 1001
    wire.connection.abort()
    assert (wire.connection.close_sent, wire.connection.closed_first) == (None, None)
    wire.start()
    await wire.end()
    assert not wire.connection.clean


@pytest.mark.parametrize("transport", ["poller", "unattended", "no-poller", "tls"])
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


# -- Cancellation -------------------------------------------------------------------------------


async def test_cancelled_run_closes_the_stream_at_once_and_says_nothing(wire):
    wire.start()
    await wire.peer.send(wire.peer.text("x"))
    await wire.peer.receive()
    wire.cancel()
    assert await wire.peer.receive_rest() == []
    await wire.end()
    assert (wire.connection.closed.code, wire.connection.close_sent) == (1006, None)


async def test_closing_is_cancelled_as_well(wire):
    wire.start()
    wire.connection.close_nowait(1001)
    await wire.connection.flush()
    await wire.peer.receive()
    wire.cancel()
    assert await wire.peer.receive_rest() == []
    await wire.end()
    assert (wire.connection.close_sent, wire.connection.clean) == (1001, False)
    assert wire.connection.timed_out is None
