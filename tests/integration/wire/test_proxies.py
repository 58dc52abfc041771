"""Who the client is, behind a proxy that may say so: the PROXY protocol and X-Forwarded-For."""

from __future__ import annotations

import json
import socket

import pytest
import trio
import trio.testing

from echo_trio.metrics.counters import Outcome
from echo_trio.wire.handshake import Reason

from .conftest import TEXT, Peer, close_frame, frame, request

#: Loopback has more than one address: this one is the proxy's, others are strangers.
PROXY = "127.0.0.2"
V1 = b"PROXY TCP4 203.0.113.7 192.0.2.1 4711 443\r\n"
SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
V2 = SIGNATURE + b"\x21\x11\x00\x0c" + bytes((203, 0, 113, 7, 192, 0, 2, 1)) + b"\x12\x67\x01\xbb"
LOCAL = SIGNATURE + b"\x20\x00\x00\x00"


@pytest.fixture
async def behind_proxy(serve):
    return await serve(trust_proxy=(PROXY,), proxy_protocol=True, open_timeout_s=7)


class BehindHeader(trio.abc.HalfCloseableStream):
    """TCP whose first segment begins with a PROXY header."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self._stream = stream
        self._header = V2

    async def send_all(self, data) -> None:
        header, self._header = self._header, b""
        await self._stream.send_all(header + bytes(data))

    async def wait_send_all_might_not_block(self) -> None:
        await self._stream.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes=None) -> bytes:
        return bytes(await self._stream.receive_some(max_bytes))

    async def send_eof(self) -> None:
        await self._stream.send_eof()

    async def aclose(self) -> None:
        await self._stream.aclose()


async def connect_from(source: str, wire) -> Peer:
    sock = trio.socket.socket()
    await sock.bind((source, 0))
    await sock.connect((wire.host, wire.port))
    peer = Peer(trio.SocketStream(sock))
    wire._peers.append(peer)
    return peer


async def info(peer: Peer, *more: str) -> dict:
    """What the server takes this peer for."""
    await peer.send(request("GET /info HTTP/1.1", *more))
    assert (await peer.response()).status == 101
    return json.loads((await peer.frame()).payload)


@pytest.mark.parametrize("header", [V1, V2], ids=["version 1", "version 2"])
@pytest.mark.parametrize("how", ["at once", "byte by byte"])
async def test_a_trusted_proxy_says_who_its_client_is(behind_proxy, header, how):
    peer = await connect_from(PROXY, behind_proxy)
    if how == "at once":  # with the request right behind it, in the same segment
        await peer.send(header + request("GET /info HTTP/1.1"))
        assert (await peer.response()).status == 101
        told = json.loads((await peer.frame()).payload)
    else:
        await peer.send_byte_by_byte(header)
        told = await info(peer)
    assert told["peer"] == "203.0.113.7:4711"
    await peer.send(frame(TEXT, b"m"))
    assert (await peer.frame()).payload.startswith(b"m ")
    await peer.close()
    await behind_proxy.holds_invariants(Outcome.CLEAN)


@pytest.mark.parametrize("header", [LOCAL, b"PROXY UNKNOWN\r\n"], ids=["LOCAL", "UNKNOWN"])
async def test_the_proxys_own_connection_is_the_proxys(behind_proxy, header):
    peer = await connect_from(PROXY, behind_proxy)
    await peer.send(header)
    assert (await info(peer))["peer"] == f"{PROXY}:{peer.socket.getsockname()[1]}"
    await peer.close()
    await behind_proxy.holds_invariants(Outcome.CLEAN)


@pytest.mark.parametrize(
    "said",
    [
        request(),
        b"PROXY TCP4 300.0.0.1 1.2.3.4 1 1\r\n",
        b"PROXY " + b"x" * 200,
        SIGNATURE + b"\0",
    ],
    ids=["no header", "not an address", "an endless one", "an unknown version"],
)
async def test_a_proxy_without_a_proper_header_is_refused(behind_proxy, said):
    peer = await connect_from(PROXY, behind_proxy)
    await peer.send(said)
    assert (await peer.response()).status == 400
    await peer.read_to_end()
    await behind_proxy.holds_invariants(Outcome.REFUSED, Reason.PROXY_HEADER)


async def test_a_stranger_cannot_say_that_it_is_another(behind_proxy):
    stranger = await connect_from("127.0.0.3", behind_proxy)
    told = await info(stranger, "X-Forwarded-For: 203.0.113.7")
    assert told["peer"].startswith("127.0.0.3:")
    assert told["headers"]["x-forwarded-for"] == "203.0.113.7"
    await stranger.close()
    liar = await connect_from("127.0.0.3", behind_proxy)
    await liar.send(V1 + request())
    assert (await liar.response()).status == 400
    await liar.read_to_end()
    await behind_proxy.holds_invariants({Outcome.CLEAN: 1, Outcome.REFUSED: 1}, Reason.NOT_HTTP)


async def test_a_proxy_that_does_not_finish_its_header_gets_408(behind_proxy, autojump_clock):
    peer = await connect_from(PROXY, behind_proxy)
    began_s = trio.current_time()
    await peer.send(V1[:20])
    assert (await peer.response()).status == 408
    assert trio.current_time() - began_s == pytest.approx(7, abs=1)
    await peer.read_to_end()
    await behind_proxy.holds_invariants(Outcome.REFUSED, Reason.TIMEOUT)


async def test_a_header_that_is_cut_ends_that_connection_alone(behind_proxy):
    peer = await connect_from(PROXY, behind_proxy)
    await peer.send(V2[:-1])
    await peer.end()
    await behind_proxy.holds_invariants(Outcome.CUT_IN_HANDSHAKE)


async def test_draining_tells_a_proxy_in_mid_header(behind_proxy):
    peer = await connect_from(PROXY, behind_proxy)
    await peer.send(V1[:20])
    await trio.testing.wait_all_tasks_blocked()
    behind_proxy.server.drain()
    assert (await peer.response()).status == 503
    await peer.read_to_end()
    await behind_proxy.until_ended()
    assert behind_proxy.counts.refused_reasons == {Reason.DRAINING: 1}
    await peer.end()


async def test_above_capacity_a_proxys_client_is_told_so(serve):
    wire = await serve(trust_proxy=(PROXY,), proxy_protocol=True, max_connections=1)
    inside = await wire.open()
    late = await connect_from(PROXY, wire)
    await late.send(V2 + request())
    assert (await late.response()).status == 503
    await late.read_to_end()
    await inside.close()
    await wire.holds_invariants({Outcome.CLEAN: 1, Outcome.REFUSED: 1}, Reason.CAPACITY)


async def test_the_header_comes_before_tls_and_nothing_of_tls_is_lost_with_it(serve, pem):
    context = pem.client_context()
    wire = await serve(
        tls=context,
        tls_cert=pem.certificate,
        tls_key=pem.key,
        trust_proxy=(PROXY,),
        proxy_protocol=True,
    )
    plain = await connect_from(PROXY, wire)
    stream = trio.SSLStream(BehindHeader(plain.stream), context, server_hostname="localhost")
    peer = Peer(stream)
    assert (await info(peer))["peer"] == "203.0.113.7:4711"
    await peer.send(close_frame(1000))
    assert (await peer.frame()).code == 1000
    await plain.end()
    await wire.until_ended()
    malformed = await connect_from(PROXY, wire)
    await malformed.send(b"\x16\x03\x01")
    assert await malformed.read_to_end() == b""
    await wire.holds_invariants({Outcome.CLEAN: 1, Outcome.REFUSED: 1}, Reason.PROXY_HEADER)


async def test_x_forwarded_for_is_heard_from_a_trusted_proxy_alone_and_logged(serve):
    wire = await serve(trust_proxy=("127.0.0.0/30",))
    peer = await wire.connect()
    forwarded = ["X-Forwarded-For: 198.51.100.9, 203.0.113.7", "X-Forwarded-For: 127.0.0.3"]
    assert (await info(peer, *forwarded))["peer"] == "203.0.113.7"
    await peer.send(b"\x81\x01m")  # not masked
    await peer.read_to_end()
    await peer.end()
    refused = await wire.connect()
    await refused.send(request("GET /no HTTP/1.1", "X-Forwarded-For: 2001:db8::1"))
    assert (await refused.response()).status == 404
    await refused.read_to_end()
    await wire.until_ended(2)
    ends = {entry["outcome"]: entry["peer"] for entry in wire.log.entries}
    assert ends == {"violation": "203.0.113.7", "refused": "2001:db8::1"}
    await refused.end()


async def test_both_together_name_the_nearest_hop_that_is_no_proxy(behind_proxy):
    through_two = await connect_from(PROXY, behind_proxy)
    await through_two.send(f"PROXY TCP4 {PROXY} 192.0.2.1 4711 443\r\n".encode())
    assert (await info(through_two, "X-Forwarded-For: 203.0.113.7"))["peer"] == "203.0.113.7"
    through_one = await connect_from(PROXY, behind_proxy)
    await through_one.send(V1)
    told = await info(through_one, "X-Forwarded-For: 198.51.100.9")
    assert told["peer"] == "203.0.113.7:4711"
    await through_one.close()
    await through_two.close()
    await behind_proxy.holds_invariants({Outcome.CLEAN: 2})


@pytest.mark.skipif(not socket.has_ipv6, reason="no IPv6")
async def test_a_proxy_with_an_ipv6_address_is_one_too(serve):
    wire = await serve(host="::1", trust_proxy=("::1",))
    peer = await wire.connect()
    assert (await info(peer, "X-Forwarded-For: 203.0.113.7"))["peer"] == "203.0.113.7"
    await peer.close()
    await wire.holds_invariants(Outcome.CLEAN)
