"""One epoll for all: who is called back, when, and what one callback may do to another."""

from __future__ import annotations

import itertools
import socket

import pytest
import trio
import trio.testing

from echo_trio.wire import poller as poller_module
from echo_trio.wire.poller import Poller


@pytest.fixture
def pairs():
    pairs = [socket.socketpair() for _ in range(poller_module.BATCH + 10)]
    for ours, _ in pairs:
        ours.setblocking(False)
    yield pairs
    for ours, theirs in pairs:
        ours.close()
        theirs.close()


async def settle() -> None:
    for _ in range(10):
        await trio.lowlevel.checkpoint()


async def test_a_readable_socket_is_called_back_until_it_is_read(poller, pairs):
    (ours, theirs), calls = pairs[0], []

    def on_readable() -> None:
        calls.append(len(calls))
        if len(calls) == 3:
            ours.recv(10)

    poller.register(ours, on_readable)
    await settle()
    assert calls == []
    theirs.send(b"x")
    await settle()
    assert calls == [0, 1, 2]


async def test_the_end_of_a_stream_is_readable(poller, pairs):
    (ours, theirs), read = pairs[0], []

    def on_readable() -> None:
        read.append(ours.recv(10))
        poller.unregister(ours)

    poller.register(ours, on_readable)
    theirs.close()
    await settle()
    assert read == [b""]


async def test_more_sockets_than_a_batch_are_all_served(poller, pairs):
    served = set()
    for ours, theirs in pairs:

        def on_readable(ours=ours) -> None:
            ours.recv(10)
            served.add(ours.fileno())

        poller.register(ours, on_readable)
        theirs.send(b"x")
    await settle()
    assert served == {ours.fileno() for ours, _ in pairs}


async def test_nobody_is_called_after_unregistering_even_in_the_same_batch(poller, pairs):
    calls = []

    def on_readable(mine, other) -> None:
        calls.append(mine)
        poller.unregister(mine)
        poller.unregister(other)

    (a, to_a), (b, to_b) = pairs[:2]
    poller.register(a, lambda: on_readable(a, b))
    poller.register(b, lambda: on_readable(b, a))
    to_a.send(b"x")
    to_b.send(b"x")
    await settle()
    assert len(calls) == 1


async def test_unregistering_is_idempotent_and_survives_a_closed_socket(poller, pairs):
    ours = pairs[0][0]
    poller.register(ours, lambda: None)
    poller.unregister(ours)
    poller.unregister(ours)
    ours.close()
    poller.unregister(ours)


async def test_a_socket_can_be_registered_again(poller, pairs):
    (ours, theirs), read = pairs[0], []
    for _ in range(2):
        poller.register(ours, lambda: read.append(ours.recv(10)))
        theirs.send(b"x")
        await settle()
        poller.unregister(ours)
    assert read == [b"x", b"x"]


async def test_other_tasks_run_between_batches(poller, pairs):
    calls, turns = [], []
    for ours, theirs in pairs:
        poller.register(ours, lambda: calls.append(1))  # never reads: always ready
        theirs.send(b"x")
    for _ in range(5):
        await trio.lowlevel.checkpoint()
        turns.append(len(calls))
    assert turns[-1] > turns[0]
    # Within one turn of ours the poller has had one of its own, or one before us and one after.
    assert all(b - a <= 2 * poller_module.BATCH for a, b in itertools.pairwise(turns))


async def test_a_cancelled_poller_can_still_be_unregistered_from(pairs):
    poller, ours = Poller(), pairs[0][0]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(poller.run)
        poller.register(ours, lambda: None)
        await settle()
        nursery.cancel_scope.cancel()
    poller.unregister(ours)


async def test_registering_with_a_cancelled_poller_is_no_error(
    pairs,
):
    poller, ours = Poller(), pairs[0][0]
    with trio.CancelScope() as scope:
        scope.cancel()
        await poller.run()
    poller.register(ours, lambda: None)
    poller.unregister(ours)


async def test_a_sample_of_the_batches_is_timed(pairs):
    timed, served = [], []
    poller = Poller(timed.append)
    (ours, theirs), batches = pairs[0], 3 * poller_module.TIMED_EVERY
    async with trio.open_nursery() as nursery:
        nursery.start_soon(poller.run)
        poller.register(ours, lambda: served.append(ours.recv(10)))
        for _ in range(batches):
            theirs.send(b"x")
            await settle()
        assert len(served) == batches
        assert len(timed) == 3
        assert all(seconds > 0 for seconds in timed)
        nursery.cancel_scope.cancel()


async def test_the_next_batch_is_timed_when_that_is_asked_for(pairs):
    timed = []
    poller = Poller(timed.append)
    (ours, theirs), batches = pairs[0], 5
    async with trio.open_nursery() as nursery:
        nursery.start_soon(poller.run)
        poller.register(ours, lambda: ours.recv(10))
        for _ in range(batches):
            poller.time_next()
            theirs.send(b"x")
            await settle()
        assert len(timed) == batches
        nursery.cancel_scope.cancel()


async def test_who_waits_behind_others_in_a_batch_is_seen_to_take_longer(pairs):
    timed = []
    poller = Poller(timed.append)
    for ours, theirs in pairs[:10]:
        poller.register(ours, lambda ours=ours: ours.recv(10))
        theirs.send(b"x")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(poller.run)
        await settle()
        nursery.cancel_scope.cancel()
    assert timed == sorted(timed)
    assert len(timed) == 10
