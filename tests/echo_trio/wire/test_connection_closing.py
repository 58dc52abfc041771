"""Who closes a connection, in which order, and what is known of it then."""

from __future__ import annotations

import os
import socket
import struct
from contextlib import suppress

import pytest
import trio
import trio.testing

from echo_trio.wire.budget import Budget
from echo_trio.wire.connection import Connection, Limits
from echo_trio.wire.poller import Poller

from .conftest import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PATIENCE_S,
    PING,
    PONG,
    TEXT,
    close_payload,
    code_of,
    opcodes,
    until,
)

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
    await wire.peer.send(wire.peer.close(4001))
    wire.start()
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


@pytest.mark.parametrize("transport", ["poller", "unattended", "no-poller", "tls"])
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


@pytest.mark.parametrize("transport", ["poller", "unattended", "no-poller", "tls"])
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


@pytest.mark.parametrize("transport", ["poller", "no-poller"])
async def test_an_answer_that_did_not_get_out_makes_us_not_the_first_to_close(
    make_wire, tcp_pair, transport
):
    """Put before our close frame what the peer does not read: it is lost with that frame."""
    wire = make_wire(sockets=tcp_pair)
    wire.start(lambda _: b"x" * 2**24)
    await wire.peer.send(wire.peer.text("much, please") + wire.peer.close(4000))
    await until(lambda: wire.connection.close_sent)
    assert wire.connection.closed_first == "peer"
    linger = trio.socket.SO_LINGER
    wire.peer.stream.setsockopt(trio.socket.SOL_SOCKET, linger, struct.pack("ii", 1, 0))
    await wire.peer.stream.aclose()
    await wire.end()
    connection = wire.connection
    assert (connection.close_received, connection.close_sent) == (4000, None)
    assert (connection.closed_first, connection.close_code, connection.clean) == (
        "peer", 4000, False,
    )  # fmt: skip


async def test_whoever_holds_too_much_for_a_peer_still_hears_its_answer_to_a_close(make_wire):
    """A behaviour's late answers are held for as long as they like."""
    limits = Limits(max_message_bytes=1000)
    wire = make_wire(limits, budget=Budget())
    wire.start()
    await trio.testing.wait_all_tasks_blocked()
    wire.connection.hold(limits.max_held_bytes + 1)
    await trio.testing.wait_all_tasks_blocked()
    wire.connection.close_nowait(1001, "bye")
    await wire.connection.flush()
    assert await wire.peer.receive() == (CLOSE, close_payload(1001, b"bye"), True)
    await wire.peer.send(wire.peer.close(1001))
    await wire.peer.stream.aclose()
    await wire.end()
    assert (wire.connection.clean, wire.connection.timed_out) == (True, None)


async def test_of_a_message_whose_rest_is_not_awaited_any_more_nothing_is_held(make_wire):
    """From then on, and not from the end of TCP, which the peer may put off."""
    budget = Budget()
    wire = make_wire(budget=budget)
    wire.start()
    await wire.peer.send(wire.peer.frame(BINARY, b"x" * 70_000, fin=False)[:50_000])
    await until(lambda: budget.held_bytes > 49_000)
    wire.connection.cut()
    assert budget.held_bytes == 0
    assert not wire.ended.is_set()
    await wire.peer.stream.aclose()
    await wire.end()


@pytest.mark.parametrize("transport", ["stream", "no-poller"], indirect=True)
@pytest.mark.parametrize("role", ["client"], indirect=True)
@pytest.mark.parametrize(
    ("answers", "before", "timed_out"),
    [(True, None, None), (False, None, "close"), (True, "idle", "idle"), (False, "idle", "idle")],
)
async def test_a_server_that_does_not_end_tcp_has_timed_out_if_it_has_not_answered_either(
    make_wire, autojump_clock, answers: bool, before: str | None, timed_out: str | None
) -> None:
    """One deadline for all: what it says meanwhile does not move that. The first cause stays."""
    wire = make_wire(Limits(close_timeout_s=5.0, write_timeout_s=50.0))
    wire.connection.timed_out = before
    wire.start()
    await trio.sleep(1)
    if not wire.connection.close_nowait(4001):
        await wire.connection.flush()
    for _ in range(2):
        await trio.sleep(2)
        await wire.peer.send(wire.peer.text("crosses it"))
    if answers:
        await wire.peer.send(wire.peer.close(4001))
    await wire.end()
    assert trio.current_time() == pytest.approx(6)
    assert (wire.connection.clean, wire.connection.timed_out) == (answers, timed_out)
    assert wire.connection.closed_first == "us"
