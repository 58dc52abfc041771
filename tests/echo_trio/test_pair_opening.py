"""A pair is opened, or the client is told why not, and nothing is left open to the upstream."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import trio
import trio.lowlevel
import trio.testing
from structlog.testing import LogCapture

from echo_trio import pair_opening
from echo_trio.admission import PlaceCapacity
from echo_trio.callers import Caller, Peer, Sessions
from echo_trio.metrics.counters import Counters
from echo_trio.pair_opening import _address_of, _dial, _pass_refusal_on, _watch, open_pair
from echo_trio.places import Places
from echo_trio.proxy.pair import Pair
from echo_trio.proxy.proxy import Proxy
from echo_trio.proxy.switch import FaultSwitch
from echo_trio.proxy.upstream import Accepted, Declined, UpstreamFailed
from echo_trio.settings import Settings
from echo_trio.wire import handshake
from echo_trio.wire.handshake import ConnectionCut, HandshakeRefused, Reason
from echo_trio.wire.relay import ObservedRelay
from echo_trio.wire.server_handshake import UpgradeRequest, parse_request

from .conftest import log_to

#: A hang guard, by the virtual clock.
HANGS_S = 600.0
FAILED = HandshakeRefused(502, "Out of reach.", Reason.UPSTREAM_UNREACHABLE)


def sessions_of(**settings: Any) -> Sessions:
    log = log_to(LogCapture())
    return Sessions(
        Settings(port=0, console=False, upstream="ws://upstream:9", **settings), None, None, log,
        Counters(), Places(PlaceCapacity(1, 1)),
    )  # fmt: skip


@pytest.fixture
def ends() -> Iterator[list[socket.socket]]:
    """A client and our end of its connection; our end to an upstream, and the upstream."""
    client, to_client = socket.socketpair()
    to_upstream, upstream = socket.socketpair()
    made = [client, to_client, to_upstream, upstream]
    for each in made:
        each.setblocking(False)
    yield made
    for each in made:
        each.close()


def accepted(sock: socket.socket, subprotocol: str | None = None) -> Accepted:
    headers = [("x-served-by", "a"), ("connection", "upgrade"), ("upgrade", "websocket")]
    return Accepted(sock, subprotocol, None, headers, b"")


@pytest.mark.parametrize(
    ("happens", "ends_s", "outcome"),
    [
        ("answer", 1.0, "accepted"),
        ("answer while too much is sent", 1.0, "accepted"),
        ("failure", 1.0, 502),
        ("the client leaves", 2.0, "cut"),
        ("the client leaves as the answer comes", 3.0, "cut"),
        ("the server stops", 4.0, 503),
        ("the server stops as the answer comes", 4.5, 503),
        ("nothing", 10.0, 504),
    ],
)
async def test_a_dial_lasts_as_long_as_anybody_wants_it(
    autojump_clock, ends: list[socket.socket], nursery: trio.Nursery,
    happens: str, ends_s: float, outcome: Any,
) -> None:  # fmt: skip
    sessions, answer = sessions_of(open_timeout_s=10.0), accepted(ends[2])

    async def dial() -> Accepted:
        if happens.startswith("answer") or happens == "failure":
            await trio.sleep(1)
            if happens == "failure":
                raise UpstreamFailed(FAILED)
            return answer
        if happens.endswith("as the answer comes"):
            with trio.CancelScope(shield=True):
                await trio.sleep(ends_s)
            return answer
        await trio.sleep_forever()
        raise AssertionError

    async def watch() -> bool:
        if happens.startswith("the client leaves"):
            await trio.sleep(2)
            return True
        if happens.endswith("too much is sent"):
            return False
        await trio.sleep_forever()
        raise AssertionError

    async def stop() -> None:
        await trio.sleep(4)
        sessions.counters.draining = True
        for opening in sessions.openings:
            opening.cancel()

    began_s = trio.current_time()
    if happens.startswith("the server stops"):
        nursery.start_soon(stop)
    with trio.fail_after(HANGS_S):
        if outcome == "accepted":
            assert await _dial(sessions, dial, watch) is answer
        elif outcome == "cut":
            with pytest.raises(ConnectionCut):
                await _dial(sessions, dial, watch)
        else:
            with pytest.raises(HandshakeRefused) as told:
                await _dial(sessions, dial, watch)
            assert told.value.status == outcome
            if outcome == 504:
                assert told.value.why == "The upstream did not answer within 10 s."
    assert trio.current_time() - began_s == pytest.approx(ends_s)
    given_up = happens.endswith("as the answer comes")
    assert (ends[2].fileno() == -1) is given_up
    assert sessions.openings == set()


async def test_what_a_client_sends_meanwhile_is_kept_up_to_a_bound(
    ends: list[socket.socket], nursery: trio.Nursery
) -> None:
    client, ours, *_ = ends
    caller, arrived, told = Caller(ours, "peer:1", 0.0), bytearray(b"surplus"), list[bool]()

    async def watch() -> None:
        told.append(await _watch(caller, arrived)())

    nursery.start_soon(watch)
    client.sendall(b" and more")
    with trio.fail_after(60):
        while arrived != b"surplus and more":
            await trio.lowlevel.checkpoint()
        client.sendall(bytes(handshake.MAX_HEAD_BYTES - len(arrived)))
        while len(arrived) < handshake.MAX_HEAD_BYTES:
            await trio.lowlevel.checkpoint()
        await trio.testing.wait_all_tasks_blocked()
        assert told == []
        client.sendall(b"x")
        while not told:
            await trio.lowlevel.checkpoint()
    assert (told, len(arrived)) == ([False], handshake.MAX_HEAD_BYTES + 1)


@pytest.mark.parametrize("how", ["end", "fault"])
async def test_a_client_that_leaves_is_noticed(
    ends: list[socket.socket], monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    client, ours, *_ = ends
    client.close()
    if how == "fault":

        async def fail(*_: Any) -> bytes:
            await trio.lowlevel.checkpoint()
            raise ConnectionResetError

        monkeypatch.setattr(pair_opening.sockets, "receive_some", fail)
    assert await _watch(Caller(ours, "peer:1", 0.0), bytearray())() is True


@pytest.mark.parametrize(
    ("peer", "address"),
    [
        ("203.0.113.9:4711", "203.0.113.9"),
        ("203.0.113.9", "203.0.113.9"),
        ("[2001:db8::1]:4711", "2001:db8::1"),
        ("2001:db8::1", "2001:db8::1"),
        ("", "unknown"),
        ("a:b:c", "unknown"),
    ],
)
def test_a_client_is_named_to_its_upstream_without_its_port(peer: str, address: str) -> None:
    assert _address_of(peer) == address


@pytest.mark.parametrize("fails", [False, True])
async def test_an_upstreams_refusal_is_passed_on_or_told_in_our_words(
    ends: list[socket.socket], monkeypatch: pytest.MonkeyPatch, fails: bool
) -> None:
    _, ours, to_upstream, _ = ends
    sessions, caller = sessions_of(), Caller(ours, "peer:1", 0.0)
    declined = Declined(to_upstream, 418, b"HTTP/1.1 418 I'm a teapot", b"")

    async def pass_on(what: Declined, client: socket.socket) -> None:
        await trio.lowlevel.checkpoint()
        assert (what, client, caller.answered) == (declined, ours, True)
        assert len(sessions.openings) == 1
        if fails:
            raise UpstreamFailed(FAILED)

    monkeypatch.setattr(pair_opening.decline, "pass_on", pass_on)
    with pytest.raises(HandshakeRefused) as told:
        await _pass_refusal_on(declined, caller, sessions)
    assert caller.answered is not fails
    if fails:
        assert told.value is FAILED
    else:
        assert (told.value.status, told.value.reason) == (418, Reason.UPSTREAM_REFUSED)
    assert (to_upstream.fileno(), sessions.openings) == (-1, set())


class Dialled:
    """An upstream whose answer the test gives, and what it was asked for.

    :ivar meanwhile: is called while the upstream is asked.
    """

    def __init__(self, answer: Accepted | Declined) -> None:
        self.asked = list[tuple[Any, ...]]()
        self.meanwhile: Callable[[], Any] = lambda: None
        self._answer = answer

    async def open(self, *asked: Any) -> Accepted | Declined:
        self.meanwhile()
        await trio.testing.wait_all_tasks_blocked()
        self.asked.append(asked)
        return self._answer


def request_of(target: str, *more: str) -> UpgradeRequest:
    lines = [
        f"GET {target} HTTP/1.1", "Host: front.example", "Upgrade: websocket",
        "Connection: Upgrade", "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "X-Kind: plain", *more,
    ]  # fmt: skip
    return parse_request("\r\n".join(lines).encode())


class Observing:
    """An observer of one connection, as far as its opening goes."""

    def __init__(self) -> None:
        self.opened_with = list[tuple[Any, ...]]()

    def opened(self, *how: Any) -> None:
        self.opened_with.append(how)


@pytest.mark.parametrize("compression", [False, True])
@pytest.mark.parametrize("observed", [False, True])
async def test_each_end_gets_the_others_part_of_the_handshake(
    ends: list[socket.socket], compression: bool, observed: bool
) -> None:
    client, ours, to_upstream, _ = ends
    sessions = sessions_of(compression=compression)
    caller = Caller(ours, "peer:1", 0.0)
    observer = Observing()
    if observed:
        caller.observer = observer  # type: ignore[assignment]
    upstream: Any = Dialled(accepted(to_upstream, "chat"))
    upstream.meanwhile = lambda: client.send(b"\x82\x80\0\0\0\0")
    proxy = Proxy(
        upstream, Proxy.of("ws://u:9", "", None, insecure=False, compression=False).switch
    )
    request = request_of(
        "/~silent/room?a=b", "Sec-WebSocket-Protocol: chat, other",
        "Sec-WebSocket-Extensions: permessage-deflate",
    )  # fmt: skip
    pair = await open_pair(
        caller, sessions, proxy, request, b"\x81\x80\0\0\0\0", Peer("203.0.113.9:4711")
    )
    assert isinstance(pair, Pair)
    ((target, headers, subprotocols),) = upstream.asked
    assert (target, list(subprotocols)) == ("/room?a=b", ["chat", "other"])
    assert ("x-kind", "plain") in headers
    assert ("x-forwarded-for", "203.0.113.9") in headers
    assert ("x-forwarded-proto", "http") in headers
    assert ("x-forwarded-host", "front.example") in headers
    head = client.recv(4096).decode().lower()
    assert head.startswith("http/1.1 101 ")
    assert "sec-websocket-protocol: chat\r\n" in head
    assert "x-served-by: a\r\n" in head
    assert head.count("upgrade: websocket\r\n") == 1
    assert ("sec-websocket-extensions: permessage-deflate" in head) is compression
    assert (pair.client.is_server, pair.upstream.is_client) == (True, True)
    assert (pair.client.subprotocol, pair.upstream.subprotocol) == ("chat", "chat")
    # What came behind the request, and what came while the upstream was asked.
    assert pair.client._head == b"\x81\x80\0\0\0\0" + b"\x82\x80\0\0\0\0"
    assert (pair.client.path, pair.upstream.path) == ("/~silent/room?a=b", "/room?a=b")
    assert isinstance(pair.client, ObservedRelay) is observed
    assert [len(how[1]) for how in observer.opened_with] == [int(compression)] * observed
    assert [how[0] for how in observer.opened_with] == ["chat"] * observed


async def test_a_client_that_is_gone_leaves_no_connection_to_the_upstream(
    ends: list[socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, ours, to_upstream, _ = ends

    def fail(*_: Any) -> None:
        raise BrokenPipeError

    monkeypatch.setattr(pair_opening.sockets, "send_head", fail)
    upstream: Any = Dialled(accepted(to_upstream))
    proxy = Proxy(
        upstream, Proxy.of("ws://u:9", "", None, insecure=False, compression=False).switch
    )
    with pytest.raises(BrokenPipeError):
        await open_pair(
            Caller(ours, "peer:1", 0.0), sessions_of(), proxy, request_of("/"), b"", Peer("a:1")
        )
    assert to_upstream.fileno() == -1


@pytest.mark.parametrize(
    ("faults", "target", "status"),
    [("", "/~status/503/room", 503), ("~status/404", "/room", 404),
     ("~status/404", "/~status/503", 404)],
)  # fmt: skip
async def test_who_is_to_be_refused_is_so_without_the_upstream(
    ends: list[socket.socket], faults: str, target: str, status: int
) -> None:
    _, ours, to_upstream, _ = ends
    upstream: Any = Dialled(accepted(to_upstream))
    switch = FaultSwitch(faults)
    with pytest.raises(HandshakeRefused) as told:
        await open_pair(
            Caller(ours, "peer:1", 0.0), sessions_of(), Proxy(upstream, switch),
            request_of(target), b"", Peer("a:1"),
        )  # fmt: skip
    assert (told.value.status, told.value.reason) == (status, Reason.ASKED_FOR)
    assert (upstream.asked, switch.tallies["status"].acted) == ([], 1)
