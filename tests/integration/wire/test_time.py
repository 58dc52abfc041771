"""Nothing waits for ever: pings, silence, peers that don't read, peers that don't close.

Real sockets, and the virtual clock.
"""

from __future__ import annotations

import time

import pytest
import trio
import trio.testing

from echo_trio.metrics.counters import Outcome

from .conftest import BINARY, CLOSE, PING, PONG, TEXT, close_frame, frame


async def close(peer) -> None:
    """The closing handshake."""
    await peer.send(close_frame(1000))
    while (answer := await peer.frame()).opcode == PING:
        pass
    assert answer.code == 1000


# -- Ping -------------------------------------------------------------------------------------


async def test_a_peer_that_answers_pings_stays(serve, autojump_clock):
    wire = await serve(ping_interval_s=10, ping_timeout_s=5)
    peer = await wire.open()
    for _ in range(3):
        ping = await peer.frame()
        assert ping.opcode == PING
        await peer.send(frame(PONG, ping.payload))
    assert 25 <= trio.current_time() < 3 * 10 * 1.2
    await close(peer)
    await wire.holds_invariants(Outcome.CLEAN)


async def test_every_ping_is_another(serve, autojump_clock):
    wire = await serve(ping_interval_s=10)
    peer = await wire.open()
    payloads = set()
    for _ in range(4):
        ping = await peer.frame()
        payloads.add(ping.payload)
        await peer.send(frame(PONG, ping.payload))
    assert len(payloads) == 4
    await close(peer)
    await wire.holds_invariants(Outcome.CLEAN)


async def test_a_peer_gone_without_a_word_is_found_by_ping_and_the_gauge_falls(
    serve, autojump_clock
):
    wire = await serve(ping_interval_s=10, ping_timeout_s=5)
    began_s = trio.current_time()
    peer = await wire.open()
    assert wire.counts.open == 1
    await wire.until(lambda: wire.counts.open == 0)
    assert 5 + 5 <= trio.current_time() - began_s <= 10 * 1.2 + 5 * 1.2
    assert (await peer.frame()).opcode == PING
    assert (await peer.frame()).code == 1011
    assert await peer.read_to_end() == b""
    await wire.holds_invariants(Outcome.PING_TIMEOUT)
    assert wire.counts.close_codes[1011] == 1


@pytest.mark.parametrize(
    "said",
    [frame(PONG), frame(PONG, b"else"), frame(PING, b"else"), frame(TEXT, b"I live")],
    ids=["an empty pong", "another pong", "a ping", "a message"],
)
async def test_nothing_but_the_matching_pong_answers_a_ping(serve, nursery, said, autojump_clock):
    wire = await serve(ping_interval_s=10, ping_timeout_s=5)
    peer = await wire.open()

    async def keep_talking() -> None:
        while not wire.server.ended - wire.before.outcomes.total():
            try:
                await peer.send(said)
            except trio.BrokenResourceError:
                return
            await trio.sleep(1)

    nursery.start_soon(keep_talking)
    await wire.holds_invariants(Outcome.PING_TIMEOUT)


async def test_a_pong_that_comes_late_but_before_the_timeout_counts(serve, autojump_clock):
    wire = await serve(ping_interval_s=10, ping_timeout_s=5)
    peer = await wire.open()
    for _ in range(3):
        ping = await peer.frame()
        await trio.sleep(4.9)
        await peer.send(frame(PONG, ping.payload))
    await close(peer)
    await wire.holds_invariants(Outcome.CLEAN)


@pytest.mark.parametrize("settings", [{"ping_interval_s": 0}, {"ping_timeout_s": 0}])
async def test_with_0_nobody_is_cut_for_silence(serve, settings, autojump_clock):
    wire = await serve(**settings)
    peer = await wire.open()
    await trio.sleep(150)
    await peer.send(frame(TEXT, b"still here"))
    pings = 0
    while (heard := await peer.frame()).opcode == PING:
        pings += 1
    assert heard.opcode == TEXT
    assert pings == 0 if "ping_interval_s" in settings else pings > 5
    await close(peer)
    await wire.holds_invariants(Outcome.CLEAN)


async def test_the_pings_of_a_crowd_are_spread(serve, autojump_clock):
    wire = await serve(ping_interval_s=20)
    count, pinged_at_s = 100, []
    async with trio.open_nursery() as nursery:

        async def stay(peer) -> None:
            assert (await peer.frame()).opcode == PING
            pinged_at_s.append(trio.current_time())
            await close(peer)

        for _ in range(count):
            nursery.start_soon(stay, await wire.open())
    pinged_at_s.sort()
    assert pinged_at_s[-1] - pinged_at_s[0] > 5
    assert all(
        sum(at <= other < at + 1 for other in pinged_at_s) < count // 3 for at in pinged_at_s
    )
    await wire.holds_invariants({Outcome.CLEAN: count})


async def test_time_for_which_the_server_stood_still_does_not_count_against_its_peers(serve):
    wire = await serve(ping_interval_s=0.3, ping_timeout_s=0.3)
    peer = await wire.open()
    for _ in range(3):
        ping = await peer.frame()
        await peer.send(frame(PONG, ping.payload))
        time.sleep(0.7)  # noqa: ASYNC251 - the whole process: nobody can read the pong
    await close(peer)
    await wire.holds_invariants(Outcome.CLEAN)


# -- Idle -------------------------------------------------------------------------------------


async def test_without_a_message_for_too_long_a_connection_is_closed_with_1001(
    serve, autojump_clock
):
    wire = await serve(idle_timeout_s=30, ping_interval_s=0)
    began_s = trio.current_time()
    peer = await wire.open()
    answer = await peer.frame()
    assert answer.code == 1001
    assert 30 <= trio.current_time() - began_s <= 30 * 1.3
    await peer.send(close_frame(1001))
    assert await peer.read_to_end() == b""
    await wire.holds_invariants(Outcome.IDLE_TIMEOUT)
    assert wire.counts.close_codes[1001] == 1


async def test_messages_keep_a_connection_and_pings_and_pongs_do_not(serve, autojump_clock):
    wire = await serve(idle_timeout_s=30, ping_interval_s=10)
    peer = await wire.open()
    for _ in range(3):
        await trio.sleep(20)
        await peer.send(frame(TEXT, b"x"))
        while (heard := await peer.frame()).opcode == PING:
            await peer.send(frame(PONG, heard.payload))
        assert heard.opcode == TEXT
    silent_since_s = trio.current_time()
    while (heard := await peer.frame()).opcode == PING:
        await peer.send(frame(PONG, heard.payload) + frame(PING, b"mine"))
        assert (await peer.frame()) == (PONG, b"mine")
    assert heard.code == 1001
    assert 30 <= trio.current_time() - silent_since_s <= 30 * 1.4
    await peer.send(close_frame(1001))
    await wire.holds_invariants(Outcome.IDLE_TIMEOUT)


async def test_an_idle_peer_that_does_not_answer_the_close_is_cut(serve, autojump_clock):
    wire = await serve(idle_timeout_s=30, close_timeout_s=7, ping_interval_s=0)
    began_s = trio.current_time()
    peer = await wire.open()
    assert (await peer.frame()).code == 1001
    assert await peer.read_to_end() == b""
    assert 37 <= trio.current_time() - began_s <= 30 * 1.3 + 7 + 1
    await wire.holds_invariants(Outcome.IDLE_TIMEOUT)


# -- Write and close --------------------------------------------------------------------------


async def test_a_peer_that_never_reads_is_aborted_at_the_write_timeout(
    serve, nursery, autojump_clock
):
    wire = await serve(write_timeout_s=7, ping_interval_s=3, ping_timeout_s=3)
    peer = await wire.open()

    async def flood() -> None:
        with pytest.raises(trio.BrokenResourceError):
            await peer.send(frame(BINARY, b"x" * 500_000) * 100)

    nursery.start_soon(flood)
    await wire.holds_invariants(Outcome.WRITE_TIMEOUT)


@pytest.mark.parametrize(
    ("said", "outcome"),
    [(frame(3), Outcome.VIOLATION), (frame(BINARY, b"x" * 101), Outcome.VIOLATION)],
    ids=["after a violation", "after too big a message"],
)
@pytest.mark.parametrize("then", [b"", frame(TEXT, b"more")], ids=["silent", "talking"])
async def test_a_peer_that_does_not_end_is_cut_at_the_close_timeout(
    serve, nursery, said, outcome, then, autojump_clock
):
    wire = await serve(close_timeout_s=7, max_message_bytes=100, ping_interval_s=0)
    peer = await wire.open()
    began_s = trio.current_time()
    await peer.send(said)
    assert (await peer.frame()).opcode == CLOSE

    async def keep_talking() -> None:
        while wire.counts.open:
            try:
                await peer.send(then)
            except trio.BrokenResourceError:
                return
            await trio.sleep(1)

    if then:
        nursery.start_soon(keep_talking)
    await wire.until(lambda: wire.counts.open == 0)
    assert trio.current_time() - began_s == pytest.approx(7, abs=1.5)
    await wire.holds_invariants(outcome)
