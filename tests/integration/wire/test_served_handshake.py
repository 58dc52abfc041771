"""The opening handshake on real sockets: who is let in, who is refused how, and who is cut."""

from __future__ import annotations

from contextlib import suppress

import pytest
import trio

from echo_trio import admission
from echo_trio.metrics.counters import Outcome
from echo_trio.wire import handshake
from echo_trio.wire.handshake import Reason

from .conftest import ACCEPT, BINARY, CLOSE, KEY, TEXT, close_frame, frame, request


async def close(peer) -> None:
    """The closing handshake."""
    await peer.send(close_frame(1000))
    assert (await peer.frame()).code == 1000


# -- Refused, with the right status -----------------------------------------------------------

NOT_ASCII = ["Host", "Connection", "Upgrade", "Sec_WebSocket_Protocol", "Origin", "X_Any"]

PLAIN_GET = b"GET %s HTTP/1.1\r\nHost: example.org\r\nConnection: close\r\n\r\n"

REFUSALS = [
    *(
        pytest.param(request(**{name: "ü"}), 400, Reason.HEADER, id=f"a byte above 0x7F in {name}")
        for name in NOT_ASCII
    ),
    pytest.param(b"nonsense\r\n\r\n", 400, Reason.NOT_HTTP, id="not HTTP"),
    pytest.param(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc", 400, Reason.NOT_HTTP, id="TLS"),
    pytest.param(request("GET / HTTP/1.0"), 505, Reason.HTTP_VERSION, id="HTTP/1.0"),
    pytest.param(request("PRI * HTTP/2.0"), 505, Reason.HTTP_VERSION, id="HTTP/2"),
    pytest.param(request("POST / HTTP/1.1"), 405, Reason.METHOD, id="another method"),
    pytest.param(request("GET x HTTP/1.1"), 400, Reason.TARGET, id="a target that is no path"),
    pytest.param(request(Sec_WebSocket_Key=None), 400, Reason.KEY, id="no key"),
    pytest.param(request(Sec_WebSocket_Key="?" * 24), 400, Reason.KEY, id="a key not in base64"),
    pytest.param(request(Sec_WebSocket_Key="c2hvcnQ="), 400, Reason.KEY, id="a short key"),
    pytest.param(
        request("GET / HTTP/1.1", f"Sec-WebSocket-Key: {KEY}"), 400, Reason.KEY, id="two keys"
    ),
    pytest.param(
        request(Sec_WebSocket_Version=None), 426, Reason.WEBSOCKET_VERSION, id="no version"
    ),
    pytest.param(
        request(Sec_WebSocket_Version="8"), 426, Reason.WEBSOCKET_VERSION, id="an old version"
    ),
    pytest.param(request(Upgrade=None), 426, Reason.NOT_AN_UPGRADE, id="no upgrade"),
    pytest.param(PLAIN_GET % b"/plain", 426, Reason.NOT_AN_UPGRADE, id="a plain GET"),
    pytest.param(PLAIN_GET % b"/no/such", 404, Reason.PATH, id="a plain GET of an unknown path"),
    pytest.param(PLAIN_GET % b"/delay/soon", 400, Reason.PARAMETER, id="a plain GET, misspelt"),
    pytest.param(request(Host=None), 400, Reason.HOST, id="no Host"),
    pytest.param(request("GET / HTTP/1.1", "Host: a"), 400, Reason.HOST, id="two Hosts"),
    pytest.param(request(Content_Length="5") + b"hello", 400, Reason.BODY, id="a body"),
    pytest.param(request(Transfer_Encoding="chunked"), 400, Reason.BODY, id="a chunked body"),
    pytest.param(request("GET / HTTP/1.1", " folded: x"), 400, Reason.HEADER, id="a folded header"),
    pytest.param(request("GET / HTTP/1.1", "Name : x"), 400, Reason.HEADER, id="a spaced name"),
    pytest.param(request(Sec_WebSocket_Protocol="a, a"), 400, Reason.SUBPROTOCOL, id="one twice"),
    pytest.param(
        request(Sec_WebSocket_Extensions="a; =b"), 400, Reason.EXTENSION, id="a bad extension"
    ),
    pytest.param(
        request(X_Long="x" * handshake.MAX_HEAD_BYTES), 431, Reason.HEAD_TOO_LARGE, id="a long head"
    ),
    pytest.param(
        b"GET / HTTP/1.1\r\n" + b"x" * handshake.MAX_HEAD_BYTES,
        431,
        Reason.HEAD_TOO_LARGE,
        id="a head without an end",
    ),
    pytest.param(
        request("GET / HTTP/1.1", *["X: y"] * handshake.MAX_HEADERS),
        431,
        Reason.HEAD_TOO_LARGE,
        id="many headers",
    ),
    pytest.param(request("GET /no/such HTTP/1.1"), 404, Reason.PATH, id="an unknown path"),
    pytest.param(
        request("GET /delay/soon HTTP/1.1"), 400, Reason.PARAMETER, id="a behaviour's parameter"
    ),
    pytest.param(
        request("GET /status/418 HTTP/1.1"), 418, Reason.ASKED_FOR, id="a status asked for"
    ),
]


@pytest.mark.parametrize(("data", "status", "reason"), REFUSALS)
async def test_a_bad_handshake_is_refused_with_its_status(wire, data, status, reason):
    peer = await wire.connect()
    await peer.send(data)
    response = await peer.response()
    assert response.status == status
    assert "close" in response.headers["Connection"]
    if status == 426:
        assert response.headers["Sec-WebSocket-Version"] == "13"
    if status == 405:
        assert response.headers["Allow"] == "GET"
    await peer.read_to_end()
    await peer.end()
    await wire.holds_invariants(Outcome.REFUSED, reason)
    assert wire.counts.refused[status] == 1


async def body_of(wire, data) -> str:
    peer = await wire.connect()
    await peer.send(data)
    await peer.response()
    return (await peer.read_to_end()).decode()


async def test_a_browser_on_the_wrong_port_is_told_what_to_do(wire):
    assert "ws:// or wss:// URL" in await body_of(wire, PLAIN_GET % b"/")
    listing = await body_of(wire, PLAIN_GET % b"/no/such")
    assert "/delay/{duration}" in listing
    assert listing == await body_of(wire, request("GET /no/such HTTP/1.1"))
    await wire.holds_invariants({Outcome.REFUSED: 3}, {Reason.NOT_AN_UPGRADE: 1, Reason.PATH: 2})


# -- Accepted ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [
        request("GET / HTTP/1.1", "Connection: keep-alive"),
        request("GET / HTTP/1.1", "Connection: Upgrade", Connection="keep-alive"),
        request(Connection="keep-alive, x , upgrade", Upgrade="h2c, WebSocket"),
        request(Content_Length="0"),
        request("GET / HTTP/1.1", *[f"X-{n}: y" for n in range(handshake.MAX_HEADERS - 5)]),
    ],
    ids=["Connection before", "Connection behind", "lists", "an empty body", "128 headers"],
)
async def test_an_unusual_handshake_is_accepted(wire, data):
    peer = await wire.connect()
    await peer.send(data)
    response = await peer.response()
    assert (response.status, response.headers["Sec-WebSocket-Accept"]) == (101, ACCEPT)
    await close(peer)
    await wire.holds_invariants(Outcome.CLEAN)


async def test_a_head_split_at_any_byte_is_accepted_and_what_follows_is_echoed(wire):
    data = request("GET /plain HTTP/1.1") + frame(TEXT, b"hi")
    for at in range(1, len(data)):
        peer = await wire.connect()
        await peer.send(data[:at])
        await trio.testing.wait_all_tasks_blocked()  # The server has read it.
        await peer.send(data[at:])
        assert (await peer.response()).status == 101
        assert await peer.frame() == (TEXT, b"hi")
        await close(peer)
        await peer.end()
    await wire.holds_invariants({Outcome.CLEAN: len(data) - 1})


async def test_a_head_that_comes_byte_by_byte_is_accepted(wire):
    peer = await wire.connect()
    for byte in request():
        await peer.send(bytes((byte,)))
    assert (await peer.response()).status == 101
    await close(peer)
    await wire.holds_invariants(Outcome.CLEAN)


async def test_frames_in_the_same_segment_as_the_request_are_answered_in_order(wire):
    peer = await wire.connect()
    messages = [b"%d" % number for number in range(50)]
    frames = b"".join(frame(BINARY, message) for message in messages)
    await peer.send(request("GET /plain HTTP/1.1") + frames + close_frame(4000))
    assert (await peer.response()).status == 101
    for message in messages:
        assert await peer.frame() == (BINARY, message)
    assert (await peer.frame()).opcode == CLOSE
    await wire.holds_invariants(Outcome.CLEAN)


# -- Left, cut, stalled -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "outcome"),
    [
        (b"", Outcome.CUT_IN_HANDSHAKE),
        (b"GET / HT", Outcome.CUT_IN_HANDSHAKE),
        (request(), Outcome.ABNORMAL),
    ],
    ids=["nothing said", "half a request", "a good handshake"],
)
async def test_a_reset_ends_that_connection_alone(wire, data, outcome):
    peer = await wire.connect()
    if data:
        await peer.send(data)
    if data.endswith(b"\r\n\r\n"):
        assert (await peer.response()).status == 101
    peer.reset()
    await wire.holds_invariants(outcome)


async def test_bad_http_and_then_a_reset_ends_that_connection_alone(wire):
    peer = await wire.connect()
    await peer.send(b"\xff\xfe bad HTTP\r\n\r\n")
    peer.reset()
    await wire.until_ended()
    # Which of the two the server saw first is up to the kernel.
    outcome = next(iter(wire.counts.outcomes.keys() - wire.before.outcomes.keys()))
    assert outcome in {Outcome.REFUSED, Outcome.CUT_IN_HANDSHAKE}
    await wire.holds_invariants(outcome, Reason.NOT_HTTP if outcome is Outcome.REFUSED else None)


@pytest.mark.parametrize("said", [b"", b"GET / HTTP/1.1\r\nHost:"], ids=["nothing", "half"])
async def test_a_handshake_that_stalls_gets_408_at_the_open_timeout(serve, said, autojump_clock):
    wire = await serve(open_timeout_s=7)
    began_s = trio.current_time()
    peer = await wire.connect()
    await peer.send(said)
    response = await peer.response()
    assert trio.current_time() - began_s == pytest.approx(7, abs=0.5)
    assert response.status == 408
    await peer.end()
    await wire.holds_invariants(Outcome.REFUSED, Reason.TIMEOUT)


async def test_a_handshake_that_drips_is_cut_at_the_open_timeout(serve, autojump_clock):
    wire = await serve(open_timeout_s=7)
    began_s = trio.current_time()
    peer = await wire.connect()
    with suppress(trio.BrokenResourceError):
        for byte in request() * 10:
            await peer.send(bytes((byte,)))
            await trio.sleep(0.5)
    assert trio.current_time() - began_s < 7 + 2 + 1  # The answer lingers for a second.
    await peer.end()
    await wire.holds_invariants(Outcome.REFUSED, Reason.TIMEOUT)


async def test_hundreds_of_connects_that_close_at_once_free_their_descriptors(wire):
    count = 300
    for _ in range(count):
        await (await wire.connect()).end()
    await wire.holds_invariants({Outcome.CUT_IN_HANDSHAKE: count})


# -- Origin -----------------------------------------------------------------------------------

ALLOWED = ("https://example.com", "http://127.0.0.1:5173", "http://[::1]:80")


@pytest.mark.parametrize(
    "origin",
    [
        None,
        "https://example.com",
        "HTTPS://EXAMPLE.com",
        "https://example.com:443",
        "http://127.0.0.1:5173",
        "http://[::1]",
    ],
)
async def test_an_origin_of_the_allowlist_is_let_in(serve, origin):
    wire = await serve(origin=ALLOWED)
    peer = await wire.open(Origin=origin)
    await close(peer)
    await wire.holds_invariants(Outcome.CLEAN)


@pytest.mark.parametrize(
    "origin",
    [
        "null",
        "",
        "http://example.com",
        "https://example.com.evil.org",
        "https://evil-example.com",
        "https://example.com:444",
        "https://example.com@evil.org",
        "https://evil.org/https://example.com",
        "https://example.com/",
        "https://www.example.com",
        "http://127.0.0.1",
        "https://example.com https://evil.org",
    ],
)
async def test_another_origin_and_what_looks_alike_is_refused(serve, origin):
    wire = await serve(origin=ALLOWED)
    peer = await wire.connect()
    await peer.send(request(Origin=origin))
    assert (await peer.response()).status == 403
    await peer.end()
    await wire.holds_invariants(Outcome.REFUSED, Reason.ORIGIN)


async def test_of_two_origins_both_have_to_be_allowed(serve):
    wire = await serve(origin=ALLOWED)
    peer = await wire.connect()
    await peer.send(
        request("GET / HTTP/1.1", "Origin: https://example.com", Origin="https://evil.org")
    )
    assert (await peer.response()).status == 403
    await peer.end()
    await wire.holds_invariants(Outcome.REFUSED, Reason.ORIGIN)


async def test_without_an_allowlist_any_origin_is_let_in(wire):
    await close(await wire.open(Origin="null"))
    await wire.holds_invariants(Outcome.CLEAN)


# -- Capacity ---------------------------------------------------------------------------------


async def test_above_its_capacity_the_server_says_503_and_when_to_come_again(serve):
    wire = await serve(max_connections=2)
    inside = [await wire.open(), await wire.connect()]  # A handshake under way counts too.
    await wire.until(lambda: wire.counts.accepted - wire.before.outcomes.total() == 2)
    late = await wire.connect()
    await late.send(request())
    response = await late.response()
    assert response.status == 503
    assert int(response.headers["Retry-After"]) > 0
    await late.end()
    await inside[1].open()
    for peer in inside:
        await close(peer)
    await wire.holds_invariants({Outcome.CLEAN: 2, Outcome.REFUSED: 1}, Reason.CAPACITY)


async def test_a_client_that_is_told_there_is_no_room_takes_none(serve):
    wire = await serve(max_connections=1)
    inside = await wire.open()
    silent = [await wire.connect() for _ in range(5)]
    await wire.until(lambda: wire.counts.handshaking == 5)
    await close(inside)
    await wire.until(lambda: wire.counts.open == 0)
    await close(await wire.open())
    for peer in silent:
        assert (await peer.response()).status == 503
        await peer.end()
    await wire.holds_invariants({Outcome.CLEAN: 2, Outcome.REFUSED: 5}, {Reason.CAPACITY: 5})


async def test_a_crowd_above_capacity_is_told_and_cut_and_takes_no_descriptors(serve, monkeypatch):
    monkeypatch.setattr(admission, "MAX_REFUSALS", 3)
    wire = await serve(max_connections=1)
    inside = await wire.open()
    crowd = [await wire.connect() for _ in range(30)]
    for peer in crowd:
        assert (await peer.response()).status == 503
        await peer.end()
    await close(inside)
    await wire.holds_invariants({Outcome.CLEAN: 1, Outcome.REFUSED: 30}, {Reason.CAPACITY: 30})


# -- Stopping ---------------------------------------------------------------------------------


async def test_a_half_open_handshake_gets_503_when_the_server_stops(wire):
    peer = await wire.connect()
    await peer.send(b"GET / HTTP/1.1\r\n")
    await wire.until(lambda: wire.counts.handshaking == 1)
    wire.server.drain()
    assert (await peer.response()).status == 503
    await peer.end()
    await wire.until_ended()
    assert wire.counts.refused_reasons == {Reason.DRAINING: 1}
