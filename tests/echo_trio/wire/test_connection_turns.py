"""What one connection does in one turn, and who is served before it."""

from __future__ import annotations

import itertools
import zlib

import pytest
import trio
import trio.testing

from echo_trio.wire.connection import FRAMES_PER_TURN, INFLATED_BYTES_PER_TURN
from echo_trio.wire.deflate import Parameters
from echo_trio.wire.frames import INFLATE_STEP_BYTES

from .conftest import (
    BINARY,
    CONTINUATION,
    PATIENCE_S,
    PING,
    PONG,
    TEXT,
    Peer,
    until,
)

FRESH = Parameters(server_no_context_takeover=True, client_no_context_takeover=True)


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


@pytest.mark.parametrize(
    ("size", "a_turn"), [(INFLATED_BYTES_PER_TURN, 10), (INFLATED_BYTES_PER_TURN + 1, 1)]
)
async def test_a_compressed_message_that_was_much_work_ends_the_turn(make_wire, role, size, a_turn):
    """However few bytes it came in: it is counted as it is after inflating."""
    compressor = zlib.compressobj(wbits=-15)
    data = (compressor.compress(bytes(size)) + compressor.flush(zlib.Z_SYNC_FLUSH))[:-4]
    said = Peer(None, masks=role == "server").frame(BINARY, data, rsv=4) * 10
    wire = make_wire(compression=FRESH, surplus=said)
    heard = []
    wire.start(lambda message: heard.append(len(message)))
    counts = await in_rounds(lambda: len(heard) if len(heard) < 10 else None)
    assert heard == [size] * 10
    steps = [b - a for a, b in itertools.pairwise([0, *counts, 10])]
    # The poller may run before us and after us.
    assert max(steps) == 10 if a_turn == 10 else max(steps) <= 2


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
