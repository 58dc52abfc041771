"""Crowds that don't read, and crowds that come and go: who behaves does not notice, nothing stays.

By counts, not by time.
"""

from __future__ import annotations

import gc
import itertools
from collections import Counter

import pytest
import trio

from echo_trio.metrics.counters import Outcome
from echo_trio.wire.connection import Connection
from echo_trio.wire.handshake import Reason
from echo_trio.wire.limits import RECEIVE_BYTES

from .conftest import BINARY, PING, TEXT, close_frame, frame, request

DEAF = 40
NEIGHBOURS = 20
ROUNDS = 50


async def test_beside_peers_that_never_read_the_others_get_every_reply_and_memory_is_bounded(
    serve, nursery, autojump_clock
):
    wire = await serve(write_timeout_s=10, ping_interval_s=0)

    async def flood(peer) -> None:
        with pytest.raises(trio.BrokenResourceError):
            await peer.send(frame(BINARY, b"x" * 50_000) * 1000)

    for _ in range(DEAF):
        nursery.start_soon(flood, await wire.open())
    connections = wire.server._sessions.connections
    await wire.until(lambda: sum(bool(one._unsent) for one in connections) == DEAF)
    received = Counter()

    async def talk(number: int) -> None:
        peer = await wire.connect()
        await peer.open_path("/plain")
        for turn in range(ROUNDS):
            await peer.send(frame(TEXT, b"%d" % turn))
            assert await peer.frame() == (TEXT, b"%d" % turn)
            received[number] += 1
        # All that while they were stuck, and were not read from.
        assert sum(bool(one._unsent) for one in connections) == DEAF
        await peer.close()

    async with trio.open_nursery() as neighbours:
        for number in range(NEIGHBOURS):
            neighbours.start_soon(talk, number)
    assert received == dict.fromkeys(range(NEIGHBOURS), ROUNDS)
    for one in connections:
        # The replies to one read: a large message, and what came behind it.
        assert len(one._unsent or b"") <= 50_000 + 4 * RECEIVE_BYTES
    await wire.holds_invariants({Outcome.WRITE_TIMEOUT: DEAF, Outcome.CLEAN: NEIGHBOURS})


async def test_a_peer_that_reads_slowly_gets_everything(wire, nursery):
    peer = await wire.connect()
    await peer.open_path("/plain")
    sent = [bytes((number,)) * 500_000 for number in range(20)]
    nursery.start_soon(peer.send, b"".join(frame(BINARY, one) for one in sent))
    for one in sent:
        await trio.sleep(0.01)
        assert await peer.frame() == (BINARY, one)
    await peer.close()
    await wire.holds_invariants(Outcome.CLEAN)


async def test_a_peer_that_ends_its_half_of_tcp_gets_the_replies_it_is_owed(wire):
    peer = await wire.connect()
    await peer.open_path("/plain")
    await peer.send(b"".join(frame(TEXT, b"%d" % number) for number in range(100)))
    await peer.stream.send_eof()
    for number in range(100):
        assert await peer.frame() == (TEXT, b"%d" % number)
    assert await peer.read_to_end() == b""
    await wire.holds_invariants(Outcome.ABNORMAL)


async def test_a_client_that_resets_while_it_is_frozen_is_gone_at_once(wire):
    peer = await wire.connect()
    await peer.open_path("/stall/1/1h")
    await peer.send(frame(TEXT, b"freeze") + frame(TEXT, b"and this waits"))
    (connection,) = wire.server._sessions.connections
    await wire.until(lambda: connection._paused)
    await peer.send(frame(TEXT, b"this is not even read"))
    peer.reset()
    await wire.holds_invariants(Outcome.ABNORMAL)


# -- Churn ------------------------------------------------------------------------------------


async def say_goodbye(peer) -> None:
    await peer.send(frame(TEXT, b"x") + close_frame(1000))
    await peer.read_to_end()


async def vanish_amid_a_frame(peer) -> None:
    await peer.send(frame(TEXT, b"x" * 100)[:50])
    await peer.end()


async def reset(peer) -> None:
    await peer.send(frame(PING))
    peer.reset()


async def violate(peer) -> None:
    await peer.send(frame(3))
    await peer.read_to_end()


async def vanish_amid_a_message(peer) -> None:
    await peer.send(frame(TEXT, b"x" * 100, fin=False) + frame(0, b"y", fin=False))
    await peer.end()


WAYS_TO_LEAVE = {
    say_goodbye: Outcome.CLEAN,
    vanish_amid_a_frame: Outcome.ABNORMAL,
    reset: Outcome.ABNORMAL,
    violate: Outcome.VIOLATION,
    vanish_amid_a_message: Outcome.ABNORMAL,
}


async def test_of_hundreds_that_come_and_go_in_every_way_nothing_is_left(wire):
    turns = itertools.cycle(WAYS_TO_LEAVE)
    count = 100 * len(WAYS_TO_LEAVE)
    expected = Counter()
    jobs = iter(range(count))

    async def come_and_go() -> None:
        for _ in jobs:
            leave = next(turns)
            peer = await wire.open()
            await leave(peer)
            await peer.end()
            wire._peers.remove(peer)
            expected[WAYS_TO_LEAVE[leave]] += 1
            refused = await wire.connect()
            await refused.send(request("GET /nowhere HTTP/1.1"))
            assert (await refused.response()).status == 404
            await refused.end()
            wire._peers.remove(refused)
            expected[Outcome.REFUSED] += 1

    async with trio.open_nursery() as nursery:
        for _ in range(20):
            nursery.start_soon(come_and_go)
    await wire.holds_invariants(dict(expected), {Reason.PATH: count})
    gc.collect()
    assert not [one for one in gc.get_objects() if type(one) is Connection]
