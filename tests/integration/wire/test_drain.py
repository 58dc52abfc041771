"""A drain as a conversation: what has arrived is answered, and goodbye comes behind a reply."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from echo_trio.metrics.counters import Outcome

from .conftest import CLOSE, TEXT, close_frame, frame

GOODBYE = b"\x03\xe9the server is stopping"


@pytest.fixture
async def graceful(serve):
    return await serve(drain_timeout_s=10, drain_grace_s=4)


async def assert_told_to_go(peer) -> None:
    """A close frame, 1001, is next; answer it."""
    assert await peer.frame() == (CLOSE, GOODBYE)
    await peer.send(close_frame(1001))
    assert await peer.read_to_end() == b""
    await peer.end()


async def test_within_the_grace_goodbye_comes_behind_the_next_reply_else_at_its_end(
    graceful, autojump_clock
):
    speaks, listens = [await graceful.open() for _ in range(2)]
    graceful.server.drain()
    began_s = trio.current_time()
    await trio.sleep(1)
    await speaks.send(frame(TEXT, b"one") + frame(TEXT, b"two"))
    assert (await speaks.frame()).payload.startswith(b"one ")
    assert (await speaks.frame()).payload.startswith(b"two ")
    await assert_told_to_go(speaks)
    assert trio.current_time() - began_s < 3.5
    await assert_told_to_go(listens)
    assert trio.current_time() - began_s == pytest.approx(4, abs=0.5)
    await graceful.until_ended(2)
    counts = graceful.counts
    assert counts.messages_received == counts.messages_sent
    assert counts.close_codes[1001] == 2


async def test_a_reply_from_before_the_drain_is_not_taken_for_the_next(graceful, autojump_clock):
    peer = await graceful.open()
    await peer.send(frame(TEXT, b"before"))
    assert (await peer.frame()).payload.startswith(b"before ")
    graceful.server.drain()
    with trio.move_on_after(2):
        await peer.frame()
        pytest.fail("told to go without having said anything")
    await peer.send(frame(TEXT, b"m"))
    assert (await peer.frame()).payload.startswith(b"m ")
    await assert_told_to_go(peer)


async def test_goodbye_waits_for_the_rest_of_a_message(graceful, autojump_clock):
    peer = await graceful.open()
    graceful.server.drain()
    half = frame(TEXT, b"half of it")
    await peer.send(frame(TEXT, b"whole") + half[:9])
    assert (await peer.frame()).payload.startswith(b"whole ")
    await trio.testing.wait_all_tasks_blocked()
    await peer.send(half[9:])
    assert (await peer.frame()).payload.startswith(b"half of it ")
    await assert_told_to_go(peer)


async def test_replies_that_a_behaviour_holds_back_have_the_grace_to_come(graceful, autojump_clock):
    peer = await graceful.connect()
    await peer.send(
        b"GET /delay/1s HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    assert (await peer.response()).status == 101
    graceful.server.drain()
    await peer.send(frame(TEXT, b"m"))
    assert (await peer.frame()).payload.startswith(b"m ")
    await assert_told_to_go(peer)
    await graceful.until_ended()
    assert graceful.counts.messages_unanswered == 0


async def test_what_had_arrived_before_the_close_frame_is_answered_before_it(wire):
    peer = await wire.open()
    (connection,) = wire.server._sessions.connections
    await trio.testing.wait_all_tasks_blocked()
    # Nothing of the server runs between these: the message is with the kernel, and no further.
    peer.stream.socket._sock.send(frame(TEXT, b"in time"))
    connection.answer_what_arrived()
    connection.close_nowait(1001, "the server is stopping")
    assert (await peer.frame()).payload.startswith(b"in time ")
    await assert_told_to_go(peer)
    await wire.holds_invariants(Outcome.CLEAN)
