"""Each step of an opening is told, with what it was and how long it took."""

from __future__ import annotations

import errno
import socket
import ssl
from collections.abc import Callable
from typing import Any

import pytest
import trio

from echo_trio.dialling import opening
from echo_trio.dialling.ends import Cause, DialFailed
from echo_trio.dialling.opening import Clock, Opened, open_connection
from echo_trio.dialling.order import DialOrder, read_target
from echo_trio.dialling.tls_facts import TlsFacts
from echo_trio.wire.deflate import Parameters
from echo_trio.wire.tls import CertificateRefused, TlsFailed

#: Those of RFC 6455, section 1.3.
KEY, ACCEPT = "dGhlIHNhbXBsZSBub25jZQ==", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
REQUEST = (
    "GET /x?y HTTP/1.1\r\nHost: a.example:81\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    f"Sec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Protocol: a, b\r\n"
    "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\nX-Kind: k\r\n\r\n"
)
ANSWER = (
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    f"Sec-WebSocket-Accept: {ACCEPT}"
)
CHOSEN = (
    "\r\nSec-WebSocket-Protocol: b"
    "\r\nSec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=10"
)
REFUSED = "HTTP/1.1 403 No\r\nContent-Length: 4"
FACTS = TlsFacts("TLSv1.3", "AES", 256, "http/1.1", [])
TOLD_FACTS = {"version": "TLSv1.3", "cipher": "AES", "bits": 256, "alpn": "http/1.1", "chain": []}


class Ours(socket.socket):
    """Our end, as if it were one of TCP, and of TLS once that is there."""

    tells_cuts = False

    def getsockname(self) -> tuple[str, int]:
        return "192.0.2.9", 1234

    def tell_cuts(self) -> None:
        self.tells_cuts = True


class Server:
    """A server that is reached at the last of several addresses, and answers as it is told.

    A name is resolved in half a second, the first address refuses after one, the second does not
    answer, a connection takes a quarter of a second, TLS another one, and an answer two.
    """

    def __init__(self, nursery: trio.Nursery, answer: bytes | None, problem: str | None) -> None:
        self.ours, self.theirs = list[Ours](), list[socket.socket]()
        self.heard = list[str]()
        self.reported = list[tuple[str, dict[str, Any]]]()
        self.shaken = list[Any]()
        self.failure: OSError | None = None  # of TCP, from the second connection on
        self.host = "192.0.2.3"
        self._nursery, self._answer, self._problem = nursery, answer, problem

    async def resolve(self, host: str, port: int) -> list[Any]:
        assert (host, port) == ("a.example", 81)
        await trio.sleep(0.5)
        found = [f"192.0.2.{last}" for last in (1, 2, 3, 4)]
        return [(socket.AF_INET, (each, port)) for each in ["127.0.0.1", *found]]

    async def connect(self, address: Any) -> socket.socket:
        host, port = address[1]
        assert port == 81
        if host == "192.0.2.1":
            await trio.sleep(1)
            raise ConnectionRefusedError(errno.ECONNREFUSED, "refused")
        if host == "192.0.2.2":
            await trio.sleep_forever()
        assert host == self.host
        await trio.sleep(0.25)
        if self.ours and self.failure is not None:
            raise self.failure
        ours, theirs = socket.socketpair()
        self.ours.append(Ours(fileno=ours.detach()))
        self.theirs.append(theirs)
        for sock in (self.ours[-1], theirs):
            sock.setblocking(False)
        self._nursery.start_soon(self._serve, theirs)
        return self.ours[-1]

    async def shake_hands(self, sock: socket.socket, context: Any, *, server_name: str) -> Any:
        self.shaken.append((*context, server_name))
        await trio.sleep(0.25)
        _, verify = context
        if self._problem is not None and verify:
            sock.close()
            try:
                raise ssl.SSLCertVerificationError
            except ssl.SSLCertVerificationError:
                raise CertificateRefused(self._problem) from None
        secured = Ours(fileno=sock.detach())
        self.ours[self.ours.index(sock)] = secured
        return secured

    async def get(self, certificate: str | None, *, verify: bool) -> Any:
        """Return what stands for a context here: what was asked for."""
        await trio.lowlevel.checkpoint()
        return certificate, verify

    async def _serve(self, theirs: socket.socket) -> None:
        heard = b""
        while not heard.endswith(b"\r\n\r\n"):
            await trio.lowlevel.wait_readable(theirs)
            some = theirs.recv(65536)
            if not some:
                return
            heard += some
        self.heard.append(heard.decode())
        await trio.sleep(2)
        if self._answer is not None:
            theirs.send(self._answer)
        theirs.shutdown(socket.SHUT_WR)

    def report(self, name: str, told: dict[str, Any]) -> None:
        self.reported.append((name, told))

    async def open(self, scheme: str, **more: Any) -> Opened:
        order = DialOrder(
            url=f"{scheme}://a.example:81/x?y", headers=[("X-Kind", "k")], subprotocols=["a", "b"],
            **more,
        )  # fmt: skip
        return await open_connection(
            order, read_target(order), allowed={("a.example", 81)}, contexts=self, clock=Clock(),
            report=self.report,
        )  # fmt: skip


@pytest.fixture
def serve(nursery, monkeypatch: pytest.MonkeyPatch):
    made = list[Server]()

    def start(answer: str | None = None, behind: bytes = b"", *, problem: str | None = None):
        data = None if answer is None else answer.encode() + b"\r\n\r\n" + behind
        server = Server(nursery, data, problem)
        made.append(server)
        monkeypatch.setattr(opening.sockets, "resolve", server.resolve)
        monkeypatch.setattr(opening.sockets, "connect", server.connect)
        monkeypatch.setattr(opening.tls, "shake_hands", server.shake_hands)
        monkeypatch.setattr(opening, "facts_of", lambda _: FACTS)
        monkeypatch.setattr(opening.client_handshake, "make_key", lambda: KEY)
        return server

    yield start
    for server in made:
        for sock in (*server.ours, *server.theirs):
            sock.close()


FOUND = ["127.0.0.1", "192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4"]
RESOLVED = ("resolved", {"t": 500.0, "ms": 500.0, "addresses": FOUND})
CONNECTED = (
    "connected",
    {
        "t": 4750.0, "ms": 250.0, "address": "192.0.2.3", "port": 81, "from": "192.0.2.9",
        "failed": [
            {"address": "192.0.2.1", "error": "Connection refused"},
            {"address": "192.0.2.2", "error": "no answer for 3 s"},
        ],
    },
)  # fmt: skip


def response(head: str, t: float = 6750.0, **more: Any) -> tuple[str, dict[str, Any]]:
    return "response", {"t": t, "ms": 2000.0, "head": head, "body": None, "whole": True, **more}


def tls_told(t: float, ms: float, problem: str | None, certificate: str | None) -> Any:
    return "tls", {
        "t": t, "ms": ms, **TOLD_FACTS, "verified": problem is None, "problem": problem,
        "server_name": "a.example", "client_certificate": certificate,
    }  # fmt: skip


@pytest.mark.parametrize("is_plain", [True, False])
async def test_every_step_is_told_with_its_own_time_and_what_came_of_it(
    serve, autojump_clock, is_plain
) -> None:
    """Neither an address that may not be dialled nor those that failed count as its time."""
    answer = ANSWER if is_plain else ANSWER + CHOSEN
    server = serve(answer, b"\x81\x00surplus")
    opened = await server.open("ws")
    assert server.heard == [REQUEST]
    extensions = "permessage-deflate; server_max_window_bits=10"
    opened_told = {
        "t": 6750.0, "subprotocol": "" if is_plain else "b",
        "extensions": "" if is_plain else extensions,
    }  # fmt: skip
    assert server.reported == [
        RESOLVED, CONNECTED, ("request", {"t": 4750.0, "head": REQUEST}), response(answer),
        ("opened", opened_told),
    ]  # fmt: skip
    compression = None if is_plain else Parameters(server_max_window_bits=10)
    assert opened == Opened(server.ours[0], compression, b"\x81\x00surplus")
    assert server.ours[0].fileno() >= 0


async def test_what_was_not_offered_is_not_asked_for(serve, autojump_clock) -> None:
    server = serve(ANSWER)
    await server.open("ws", compression=False)
    assert "Extensions" not in server.heard[0]
    assert server.reported[2] == ("request", {"t": 4750.0, "head": server.heard[0]})


@pytest.mark.parametrize(
    ("answer", "behind", "told", "cause", "why"),
    [
        (REFUSED, b"why?", [response(REFUSED, body="why?")], Cause.REFUSED, "HTTP 403"),
        (REFUSED, b"wh", [response(REFUSED, body="wh", whole=False)], Cause.REFUSED, "HTTP 403"),
        (ANSWER[:-1], b"", [response(ANSWER[:-1])], Cause.BAD_ANSWER, "does not answer our key"),
        (None, b"", [], Cause.BAD_ANSWER, "without an answer"),
        ("HTTP/1.1 ", b"", [response("HTTP/1.1 ")], Cause.BAD_ANSWER, "not HTTP/1.1"),
        ("\x16\x03", b"", [], Cause.BAD_ANSWER, "malformed: This is not HTTP."),
    ],
    ids=["refused", "a body cut", "another key", "no answer", "no status", "TLS"],
)
async def test_what_a_server_says_that_does_not_consent_is_told_before_the_end(
    serve, autojump_clock, answer, behind, told, cause, why
) -> None:
    server = serve(answer, behind)
    with pytest.raises(DialFailed, match=why) as failed:
        await server.open("ws")
    assert failed.value.end.cause is cause
    steps = [RESOLVED, CONNECTED, ("request", {"t": 4750.0, "head": REQUEST})]
    assert server.reported == [*steps, *told]
    assert [sock.fileno() for sock in server.ours] == [-1]


async def test_an_answer_that_is_cut_off_is_told_by_the_bytes_that_had_come(
    serve, autojump_clock
) -> None:
    server = serve("HTTP/1.1 101 Swi")
    server._answer = server._answer.strip()
    with pytest.raises(DialFailed, match="after 16 bytes of an answer"):
        await server.open("ws")


@pytest.mark.parametrize("certificate", [None, "mine"])
async def test_tls_that_is_trusted_is_told_with_its_facts(
    serve, autojump_clock, certificate
) -> None:
    server = serve(ANSWER)
    opened = await server.open("wss", certificate=certificate)
    assert server.reported[:4] == [
        RESOLVED, CONNECTED, tls_told(5000.0, 250.0, None, certificate),
        ("request", {"t": 5000.0, "head": REQUEST}),
    ]  # fmt: skip
    assert server.reported[4] == response(ANSWER, 7000.0)
    assert server.shaken == [(certificate, True, "a.example")]
    assert (opened.sock, server.ours[0].tells_cuts) == (server.ours[0], True)


async def test_one_that_is_not_trusted_is_looked_at_by_a_second_connection_which_goes_on_if_asked(
    serve, autojump_clock
) -> None:
    server = serve(ANSWER, problem="self-signed")
    opened = await server.open("wss", insecure=True, certificate="mine")
    told = tls_told(5500.0, 750.0, "self-signed", "mine")
    assert server.reported[2:4] == [told, ("request", {"t": 5500.0, "head": REQUEST})]
    assert server.shaken == [("mine", True, "a.example"), ("mine", False, "a.example")]
    assert (opened.sock, server.ours[1].tells_cuts) == (server.ours[1], True)
    assert [sock.fileno() >= 0 for sock in server.ours] == [False, True]


async def test_one_that_is_not_trusted_is_sent_nothing_and_told_with_its_facts(
    serve, autojump_clock
) -> None:
    server = serve(ANSWER, problem="self-signed")
    with pytest.raises(DialFailed) as failed:
        await server.open("wss")
    assert (failed.value.end.cause, failed.value.end.why) == (Cause.CERTIFICATE, "self-signed")
    assert server.reported == [
        RESOLVED, CONNECTED, tls_told(5500.0, 750.0, "self-signed", None)
    ]  # fmt: skip
    assert (server.heard, [sock.fileno() for sock in server.ours]) == ([], [-1, -1])


async def test_one_that_is_not_trusted_and_not_reached_again_is_told_by_both(
    serve, autojump_clock
) -> None:
    server = serve(ANSWER, problem="self-signed")
    server.failure = ConnectionRefusedError(errno.ECONNREFUSED, "refused")
    with pytest.raises(DialFailed) as failed:
        await server.open("wss", insecure=True)
    assert failed.value.end.cause is Cause.CERTIFICATE
    assert failed.value.end.why == "self-signed (Connection refused)"
    assert server.reported == [RESOLVED, CONNECTED]


@pytest.mark.parametrize(
    ("problem", "why"),
    [
        (TlsFailed("no shared cipher"), "the TLS handshake failed: no shared cipher"),
        (
            ConnectionResetError(errno.ECONNRESET, "it was reset"),
            "the connection broke in the TLS handshake: it was reset",
        ),
    ],
    ids=["TLS", "TCP"],
)
async def test_tls_that_fails_for_another_cause_is_tried_once(
    serve, autojump_clock, monkeypatch: pytest.MonkeyPatch, problem: Exception, why: str
) -> None:
    async def shake_hands(sock: socket.socket, *_: Any, **__: Any) -> Any:
        await trio.lowlevel.checkpoint()
        sock.close()
        raise problem

    server = serve(ANSWER)
    monkeypatch.setattr(opening.tls, "shake_hands", shake_hands)
    with pytest.raises(DialFailed) as failed:
        await server.open("wss")
    assert (failed.value.end.cause, failed.value.end.why) == (Cause.TLS, why)
    assert (server.reported, len(server.ours)) == ([RESOLVED, CONNECTED], 1)


def raises(exc: Exception) -> Callable[..., Any]:
    async def resolve(*_: Any) -> Any:
        await trio.lowlevel.checkpoint()
        raise exc

    return resolve


@pytest.mark.parametrize(
    ("problem", "why"),
    [
        (
            socket.gaierror(socket.EAI_NONAME, "unknown"),
            "the name a.example can't be resolved: unknown",
        ),
        (UnicodeError(), "a.example is no name of a host"),
    ],
    ids=["no address", "no name"],
)
async def test_a_name_without_an_address_is_told_as_one(
    serve, autojump_clock, monkeypatch: pytest.MonkeyPatch, problem: Exception, why: str
) -> None:
    server = serve(ANSWER)
    monkeypatch.setattr(opening.sockets, "resolve", raises(problem))
    with pytest.raises(DialFailed) as failed:
        await server.open("ws")
    assert (failed.value.end.cause, failed.value.end.why) == (Cause.NO_SUCH_HOST, why)
    assert server.reported == []


async def test_a_name_that_stands_for_this_machine_alone_is_resolved_and_not_dialled(
    serve, autojump_clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def resolve(*_: Any) -> Any:
        await trio.sleep(0.5)
        return [(socket.AF_INET, (f"127.0.0.{last}", 81)) for last in (1, 2)]

    server = serve(ANSWER)
    monkeypatch.setattr(opening.sockets, "resolve", resolve)
    with pytest.raises(DialFailed, match=r"--run-target 127\.0\.0\.1:81") as failed:
        await server.open("ws")
    assert failed.value.end.cause is Cause.FORBIDDEN_ADDRESS
    addresses = ["127.0.0.1", "127.0.0.2"]
    assert server.reported == [("resolved", {"t": 500.0, "ms": 500.0, "addresses": addresses})]
