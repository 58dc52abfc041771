"""Handshakes that are never done must not keep out those that are."""

from __future__ import annotations

import ssl
from contextlib import suppress

import pytest
import trio

from echo_trio import opening
from echo_trio.metrics.counters import Outcome
from echo_trio.wire.handshake import Reason

from .conftest import Peer, Wire, request
from .test_proxies import PROXY, connect_from

HEAD_BEGUN = b"GET / HTTP/1.1\r\n"
#: More than the kernel keeps of a stream that nobody reads, in the buffers of both ends.
BUFFERED_BYTES = 2**26


async def crowd(wire: Wire, count: int, say: bytes = b"") -> list[Peer]:
    """Connections that begin a handshake, or not even that, and do no more."""
    peers = []
    for _ in range(count):
        peers.append(Peer(await trio.open_tcp_stream(wire.host, wire.port)))
        if say:
            await peers[-1].send(say)
    return peers


async def leave(peers: list[Peer]) -> None:
    for peer in peers:
        with suppress(trio.BrokenResourceError):
            await peer.end()


async def until_all_are_there(wire: Wire, count: int) -> None:
    before = wire.before.outcomes.total()
    await wire.until(lambda: wire.counts.accepted - before >= count)


@pytest.mark.parametrize("say", [b"", HEAD_BEGUN], ids=["not a byte", "half a head"])
async def test_silent_connections_above_the_capacity_keep_nobody_out(serve, autojump_clock, say):
    wire = await serve(max_connections=100, open_timeout_s=3600)
    silent = await crowd(wire, 150, say)
    await until_all_are_there(wire, 150)
    await trio.sleep(2)
    for _ in range(5):
        await wire.echoes()
    inside = [await wire.open() for _ in range(100)]
    late = await wire.connect()
    await late.send(request())
    assert (await late.response()).status == 503
    for peer in inside:
        await peer.close()
    await leave([*silent, *inside, late])
    assert wire.counts.refused_reasons[Reason.DISPLACED] == 100
    await wire.until(lambda: not wire.counts.open)
    await wire.echoes()


async def test_the_oldest_silent_handshake_is_told_and_cut_and_the_others_are_not(
    serve, autojump_clock
):
    wire = await serve(max_connections=2)
    oldest, other = [(await crowd(wire, 1, HEAD_BEGUN))[0] for _ in range(2)]
    await until_all_are_there(wire, 2)
    await trio.sleep(2)
    newcomer = await wire.open()
    response = await oldest.response()
    assert response.status == 503
    assert int(response.headers["Retry-After"]) > 0
    assert (
        await oldest.read_to_end() == b"The server is full, and this connection has said nothing.\n"
    )
    await other.send(request()[len(HEAD_BEGUN) :])
    assert (await other.response()).status == 101
    await newcomer.close()
    await other.close()
    await leave([oldest, other])
    await wire.holds_invariants({Outcome.CLEAN: 2, Outcome.REFUSED: 1}, Reason.DISPLACED)


async def test_a_handshake_that_goes_on_keeps_its_place_however_slow_it_is(serve, autojump_clock):
    wire = await serve(max_connections=1, open_timeout_s=3600)
    slow = await wire.connect()
    for byte in request()[:-1]:
        await slow.send(bytes((byte,)))
        await trio.sleep(0.9)
    late = await wire.connect()
    await late.send(request())
    assert (await late.response()).status == 503
    await slow.send(request()[-1:])
    assert (await slow.response()).status == 101
    await slow.close()
    await wire.holds_invariants({Outcome.CLEAN: 1, Outcome.REFUSED: 1}, Reason.CAPACITY)


async def test_silent_newcomers_take_nobodys_place(serve, autojump_clock):
    wire = await serve(max_connections=1)
    first = (await crowd(wire, 1, HEAD_BEGUN))[0]
    await until_all_are_there(wire, 1)
    await trio.sleep(2)
    silent = await crowd(wire, 20)
    await until_all_are_there(wire, 21)
    await trio.sleep(2)
    await first.send(request()[len(HEAD_BEGUN) :])
    assert (await first.response()).status == 101
    await first.close()
    await leave([first, *silent])
    await wire.holds_invariants({Outcome.CLEAN: 1, Outcome.REFUSED: 20}, {Reason.CAPACITY: 20})


async def test_a_refused_client_that_lingers_makes_room_at_once(serve):
    wire = await serve(max_connections=1)
    refused = await wire.connect()
    await refused.send(request("GET /nowhere HTTP/1.1"))
    assert (await refused.response()).status == 404
    newcomer = await wire.open()  # Though the other has not closed yet.
    await newcomer.close()
    await wire.holds_invariants({Outcome.CLEAN: 1, Outcome.REFUSED: 1}, Reason.PATH)


async def test_a_refused_client_that_goes_on_sending_is_read_for_so_many_bytes_and_no_more(
    serve, monkeypatch
):
    monkeypatch.setattr(opening, "REFUSAL_LINGER_S", 3600)
    wire = await serve()
    refused = await wire.connect()
    await refused.send(request("GET /nowhere HTTP/1.1"))
    assert (await refused.response()).status == 404
    sent = 0
    with suppress(trio.BrokenResourceError):
        while sent < opening.REFUSAL_LINGER_BYTES + BUFFERED_BYTES:
            await refused.send(bytes(2**14))
            sent += 2**14
    assert opening.REFUSAL_LINGER_BYTES <= sent < opening.REFUSAL_LINGER_BYTES + BUFFERED_BYTES
    await wire.holds_invariants({Outcome.REFUSED: 1}, Reason.PATH)


@pytest.mark.parametrize("say", [b"", b"\x16\x03\x01\x02\x00\x01"], ids=["silent", "half a hello"])
async def test_half_a_tls_handshake_keeps_nobody_out(serve, pem, autojump_clock, say):
    wire = await serve(
        tls=pem.client_context(), tls_cert=pem.certificate, tls_key=pem.key, max_connections=3
    )
    silent = await crowd(wire, 3, say)
    await until_all_are_there(wire, 3)
    await trio.sleep(2)
    inside = [await wire.open() for _ in range(3)]
    for peer in silent:
        assert await peer.read_to_end() == b""
    for peer in inside:
        await peer.close()
    await leave(silent)
    await wire.holds_invariants({Outcome.CLEAN: 3, Outcome.REFUSED: 3}, {Reason.DISPLACED: 3})


async def test_tls_that_is_there_without_a_request_behind_it_keeps_nobody_out(
    serve, pem, autojump_clock
):
    context: ssl.SSLContext = pem.client_context()
    wire = await serve(tls=context, tls_cert=pem.certificate, tls_key=pem.key, max_connections=2)
    silent = [await wire.connect() for _ in range(2)]
    await trio.sleep(2)
    inside = [await wire.open() for _ in range(2)]
    for peer in inside:
        await peer.close()
    await wire.holds_invariants({Outcome.CLEAN: 2, Outcome.REFUSED: 2}, {Reason.DISPLACED: 2})
    await leave(silent)


async def test_half_a_proxy_header_keeps_nobody_out(serve, autojump_clock):
    wire = await serve(trust_proxy=(PROXY,), proxy_protocol=True, max_connections=2)
    for _ in range(2):
        await (await connect_from(PROXY, wire)).send(b"PROXY TCP4 ")
    await until_all_are_there(wire, 2)
    await trio.sleep(2)
    inside = [await connect_from(PROXY, wire) for _ in range(2)]
    for peer in inside:
        await peer.send(b"PROXY UNKNOWN\r\n" + request())
        assert (await peer.response()).status == 101
    for peer in inside:
        await peer.close()
    await wire.holds_invariants({Outcome.CLEAN: 2, Outcome.REFUSED: 2}, {Reason.DISPLACED: 2})


async def test_at_the_file_limit_a_silent_connection_gives_its_descriptor_up(
    serve, autojump_clock, monkeypatch
):
    wire = await serve(open_timeout_s=3600)
    silent = await crowd(wire, 30)
    await until_all_are_there(wire, 30)
    await trio.sleep(2)
    # From now on every number is too high to have: as if all others were taken.
    monkeypatch.setattr("echo_trio.admission.last_descriptor", lambda _: 0)
    newcomers = [await wire.open() for _ in range(10)]
    for peer in newcomers:
        await peer.close()
    await leave([*silent, *newcomers])
    await wire.until_ended(40)
    assert wire.counts.refused_reasons == {Reason.DISPLACED: 10}
    assert wire.counts.outcomes[Outcome.CLEAN] == 11
