"""Pings and idle connections, by the watch's own clock: who is silent, and who is unheard yet."""

from __future__ import annotations

import socket

import pytest
import trio
import trio.testing

from echo_trio.wire import sockets
from echo_trio.wire.connection import Limits
from echo_trio.wire.poller import Poller

from .conftest import CLOSE, PING, PONG, until

PINGS = Limits(ping_interval_s=10, ping_timeout_s=5, max_message_bytes=2**23)


@pytest.fixture
def transport() -> str:
    return "poller"


@pytest.fixture
def poller():
    """One that does not run yet: a server that is behind with its work."""
    return Poller()


async def pinged(wire, nursery) -> bytes:
    """Have the connection sleep, and ping the peer; its payload."""
    wire.start()
    await trio.testing.wait_all_tasks_blocked()
    wire.connection.look(0)
    wire.connection.look(10)
    ping = await wire.peer.receive()
    assert ping.opcode == PING
    return ping.payload


async def test_a_peer_that_does_not_answer_a_ping_is_told_and_cut(make_wire, nursery, poller):
    wire = make_wire(PINGS)
    await pinged(wire, nursery)
    assert wire.connection.look(14.9) == pytest.approx(0.1)
    wire.connection.look(15.1)
    [close] = await wire.peer.receive_rest()
    assert (close.opcode, int.from_bytes(close.payload[:2])) == (CLOSE, 1011)
    await wire.end()
    assert wire.connection.timed_out == "ping"


async def test_an_answer_that_we_have_not_read_yet_is_no_silence(make_wire, nursery, poller):
    wire = make_wire(PINGS)
    payload = await pinged(wire, nursery)
    await wire.peer.send(wire.peer.text("x" * 1000) * 20 + wire.peer.frame(PONG, payload))
    for now_s in (15.1, 20, 30):
        assert wire.connection.look(now_s) <= 0  # look again as soon as you can
    assert wire.connection.timed_out is None
    nursery.start_soon(poller.run)
    await until(lambda: wire.connection._awaited_pong is None)
    assert wire.connection.look(31) > 0
    assert wire.connection.timed_out is None


async def test_who_sends_all_the_time_and_never_answers_is_silent_all_the_same(
    make_wire, nursery, poller
):
    wire = make_wire(PINGS)
    await pinged(wire, nursery)

    async def flood() -> None:
        while True:
            await wire.peer.send(wire.peer.frame(PONG, b"another's") * 1000)

    nursery.start_soon(flood)
    await trio.testing.wait_all_tasks_blocked()
    assert sockets.unread_bytes(wire.connection._sock) > 0
    assert wire.connection.look(15.1) <= 0
    assert wire.connection.timed_out is None
    nursery.start_soon(poller.run)
    await until(lambda: wire.connection.look(15.2) and wire.connection.timed_out == "ping")
    nursery.cancel_scope.cancel()


async def test_a_message_that_we_have_not_read_yet_is_no_idleness(make_wire, nursery, poller):
    wire = make_wire(Limits(idle_timeout_s=10))
    wire.start()
    await trio.testing.wait_all_tasks_blocked()
    assert wire.connection.look(0) == 10
    await wire.peer.send(wire.peer.text("here"))
    assert wire.connection.look(11) <= 0
    nursery.start_soon(poller.run)
    assert (await wire.peer.receive()).payload == b"here"
    assert wire.connection.look(12) == 10
    assert wire.connection.timed_out is None


async def test_half_a_message_is_idleness_once_it_is_read(make_wire, nursery, poller):
    wire = make_wire(Limits(idle_timeout_s=10))
    wire.start()
    await trio.testing.wait_all_tasks_blocked()
    wire.connection.look(0)
    await wire.peer.send(wire.peer.text("half")[:-1])
    assert wire.connection.look(11) <= 0
    nursery.start_soon(poller.run)
    await until(lambda: wire.connection.bytes_received)
    wire.connection.look(12)
    assert wire.connection.timed_out == "idle"
    assert (await wire.peer.receive()).opcode == CLOSE


def test_the_kernel_says_how_much_is_unread_and_nothing_of_a_closed_socket():
    ours, theirs = socket.socketpair()
    with theirs:
        theirs.send(b"12345")
        assert sockets.unread_bytes(ours) == 5
        ours.recv(2)
        assert sockets.unread_bytes(ours) == 3
        ours.close()
        assert sockets.unread_bytes(ours) == 0
