"""Dial through a proxy that the test plays, byte for byte; its answers come in any pieces."""

from __future__ import annotations

import socket
from base64 import b64encode
from collections.abc import Iterator

import pytest
import trio
import trio.testing

from echo_trio.wire.client_handshake import HandshakeFailed
from echo_trio.wire.handshake import ConnectionCut
from loadgen.engine import proxy as proxies
from loadgen.engine.proxy import MAX_ANSWER_BYTES, ProxyRefused, connect_through
from loadgen.workload.proxy import Proxy

HTTP, SOCKS = Proxy.parse("http://p"), Proxy.parse("socks5://p")
KNOWN_HTTP = Proxy.parse("http://ann:s%C3%A9cret@p")
KNOWN_SOCKS = Proxy.parse("socks5://ann:s%C3%A9cret@p")

#: What the client says, and what the proxy answers to that.
Script = list[tuple[bytes, bytes]]


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        theirs.setblocking(False)
        yield ours, theirs


async def play(theirs: socket.socket, script: Script, piece: int) -> None:
    """Play the proxy: hear exactly what it should, answer in pieces; at the end say no more."""
    sock = trio.socket.from_stdlib_socket(theirs)
    for expected, answer in script:
        heard = b""
        while len(heard) < len(expected):
            heard += await sock.recv(len(expected) - len(heard))
        assert heard.lower() == expected.lower()
        for at in range(0, len(answer), piece):
            await sock.send(answer[at : at + piece])
            await trio.testing.wait_all_tasks_blocked()
    sock.shutdown(socket.SHUT_WR)


async def dial(ends, proxy: Proxy, script: Script, host="h.example", port=8765, piece=1000):
    """Dial; return what came behind the proxy's answer."""
    ours, theirs = ends
    failed = None
    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(play, theirs, script, piece)
            try:
                await connect_through(ours, proxy, host, port)
            except (ProxyRefused, HandshakeFailed, ConnectionCut) as exc:
                failed = exc
                nursery.cancel_scope.cancel()
    if failed is not None:
        raise failed
    assert ours.fileno() != -1
    return ours.recv(100)


V4, V6 = bytes([127, 0, 0, 9]), bytes(15) + b"\x01"
PORT = (8765).to_bytes(2, "big")
#: Addresses from which a proxy may say that it connects.
BOUND = [b"\x01" + V4, b"\x04" + V6, b"\x03\x05there", b"\x03\x00"]


@pytest.mark.parametrize(
    ("host", "written"),
    [("127.0.0.9", b"\x01" + V4), ("::1", b"\x04" + V6), ("h.example", b"\x03\x09h.example")],
)
@pytest.mark.parametrize("bound", BOUND)
@pytest.mark.parametrize("piece", [1, 1000])
async def test_a_socks_proxy_is_told_where_to_and_its_yes_is_read_to_its_last_byte(
    ends, host, written, bound, piece
):
    script = [
        (b"\x05\x01\x00", b"\x05\x00"),
        (b"\x05\x01\x00" + written + PORT, b"\x05\x00\x00" + bound + b"\x12\x34hi"),
    ]
    assert await dial(ends, SOCKS, script, host, piece=piece) == b"hi"


REQUEST, YES = b"\x05\x01\x00\x03\x09h.example" + PORT, b"\x05\x00\x00\x01" + V4 + PORT
PASSWORD = "sécret".encode()
LOGIN = b"\x01\x03ann" + bytes([len(PASSWORD)]) + PASSWORD


async def test_a_socks_proxy_that_asks_who_we_are_is_told(ends):
    script = [(b"\x05\x02\x00\x02", b"\x05\x02"), (LOGIN, b"\x01\x00"), (REQUEST, YES)]
    assert await dial(ends, KNOWN_SOCKS, script) == b""


async def test_a_socks_proxy_that_does_not_ask_is_not_told(ends):
    assert (
        await dial(ends, KNOWN_SOCKS, [(b"\x05\x02\x00\x02", b"\x05\x00"), (REQUEST, YES)]) == b""
    )


HELLO, HELLO_KNOWN, ANY = b"\x05\x01\x00", b"\x05\x02\x00\x02", b"\x05\x00"


@pytest.mark.parametrize(
    ("proxy", "script", "error", "says"),
    [
        (SOCKS, [(HELLO, b"\x04\x00")], HandshakeFailed, "no SOCKS 5 proxy"),
        (SOCKS, [(HELLO, b"\x05\xff")], ProxyRefused, "it wants a user and a password"),
        (SOCKS, [(HELLO, b"\x05\x02")], ProxyRefused, "it wants a user and a password"),
        (KNOWN_SOCKS, [(HELLO_KNOWN, b"\x05\xff")], ProxyRefused, "it wants a user and"),
        (KNOWN_SOCKS, [(HELLO_KNOWN, b"\x05\x02"), (LOGIN, b"\x01\x01")], ProxyRefused,
         "user or password is wrong"),
        (SOCKS, [(HELLO, ANY), (REQUEST, b"\x04\x00\x00\x01")], HandshakeFailed, "malformed"),
        (SOCKS, [(HELLO, ANY), (REQUEST, b"\x05\x00\x00\x02" + V4 + PORT)], HandshakeFailed,
         "malformed"),
        *(
            (SOCKS, [(HELLO, ANY), (REQUEST, bytes([5, number, 0, 1]))], ProxyRefused, said)
            for number, said in enumerate(
                ["general failure", "not allowed by its rules", "network unreachable",
                 "host unreachable", "connection refused", "TTL expired", "command not supported",
                 "kind of address not supported", "SOCKS reply 9"], 1)
        ),
    ],
)  # fmt: skip
async def test_a_socks_proxy_that_says_no_is_quoted_and_one_that_is_none_is_told_so(
    ends, proxy, script, error, says
):
    with pytest.raises(error, match=says):
        await dial(ends, proxy, script)


@pytest.mark.parametrize("cut", range(1, len(ANY + YES)))
async def test_a_proxy_that_goes_before_it_has_answered_has_cut_the_connection(ends, cut):
    answered = (ANY + YES)[:cut]
    script = [(HELLO, answered[:2])] + [(REQUEST, answered[2:])] * (cut >= 2)
    with pytest.raises(ConnectionCut):
        await dial(ends, SOCKS, script)


def connect(authority: str, *more: str) -> bytes:
    lines = [f"CONNECT {authority} HTTP/1.1", f"Host: {authority}", *more, "", ""]
    return "\r\n".join(lines).encode()


TOKEN = b64encode("ann:sécret".encode()).decode()


@pytest.mark.parametrize(
    ("proxy", "host", "said"),
    [
        (HTTP, "h.example", connect("h.example:8765")),
        (HTTP, "127.0.0.9", connect("127.0.0.9:8765")),
        (HTTP, "::1", connect("[::1]:8765")),
        (KNOWN_HTTP, "h.example",
         connect("h.example:8765", f"Proxy-Authorization: Basic {TOKEN}")),
    ],
)  # fmt: skip
@pytest.mark.parametrize("status", [200, 299])
@pytest.mark.parametrize("piece", [1, 1000])
async def test_an_http_proxy_is_asked_to_connect_and_says_yes(
    ends, proxy, host, said, status, piece
):
    script = [(said, f"HTTP/1.1 {status} Yes\r\nVia: x\r\n\r\n".encode())]
    assert await dial(ends, proxy, script, host, piece=piece) == b""


ASKED = connect("h.example:8765")
LONG = b"HTTP/1.1 200 Yes\r\nX: "


@pytest.mark.parametrize(
    ("answer", "error", "says"),
    [
        (b"HTTP/1.1 300 No\r\n\r\n", ProxyRefused, "HTTP 300"),
        (b"HTTP/1.1 407 Who?\r\nContent-Length: 0\r\n\r\n", ProxyRefused, "HTTP 407"),
        (b"HTTP/1.1 502 No\r\n\r\n", ProxyRefused, "HTTP 502"),
        (b"HTTP/1.1 200 Yes\r\n\r\nmore", HandshakeFailed, "more than its answer"),
        (b"SSH-2.0-OpenSSH\r\n\r\n", HandshakeFailed, "is no HTTP proxy"),
        (b"HTTP/1.1 200", ConnectionCut, None),
        (b"", ConnectionCut, None),
        (LONG + b"x" * (MAX_ANSWER_BYTES + 4096), HandshakeFailed, "is no HTTP proxy"),
    ],
)
async def test_what_is_no_yes_of_an_http_proxy_is_told_by_what_it_is(ends, answer, error, says):
    with pytest.raises(error, match=says):
        await dial(ends, HTTP, [(ASKED, answer)], piece=4096)


async def test_an_answer_of_some_kilobytes_is_read(ends):
    answer = LONG + b"x" * (MAX_ANSWER_BYTES - 100) + b"\r\n\r\n"
    assert MAX_ANSWER_BYTES == 16 * 1024
    assert await dial(ends, HTTP, [(ASKED, answer)], piece=4096) == b""


async def test_what_the_kernel_does_not_take_at_once_is_sent_behind_it(ends):
    ours, theirs = ends
    data, heard = bytes(range(256)) * 8192, bytearray()

    async def hear() -> None:
        sock = trio.socket.from_stdlib_socket(theirs)
        while len(heard) < len(data):
            heard.extend(await sock.recv(65536))

    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(hear)
            await proxies._send_all(ours, data)
    assert heard == data
