"""An upstream is dialled as its client asked; why that failed is told, and nothing is left open."""

from __future__ import annotations

import base64
import errno
import hashlib
import os
import socket
from collections.abc import Callable
from typing import Any

import pytest
import trio

from echo_trio.proxy import upstream as upstream_module
from echo_trio.proxy.address import parse_upstream
from echo_trio.proxy.upstream import (
    Accepted,
    Declined,
    Upstream,
    UpstreamFailed,
    _errno,
    send_all,
    too_late,
)
from echo_trio.wire import deflate, tls
from echo_trio.wire.handshake import Reason

HINT = "--upstream-cacert names an authority to trust, --upstream-insecure trusts all"
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class Server:
    """An upstream of bytes: answers the first request as `answer` says, and keeps what it read."""

    def __init__(self, answer: Callable[[str], bytes]) -> None:
        self._answer = answer
        self.request = b""
        self.gone = trio.Event()

    async def serve(self, *, task_status: Any) -> None:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        task_status.started(listeners[0].socket.getsockname()[1])
        async with await listeners[0].accept() as stream:
            while b"\r\n\r\n" not in self.request:
                self.request += await stream.receive_some()
            key = next(
                line.split(b": ")[1] for line in self.request.split(b"\r\n")
                if line.lower().startswith(b"sec-websocket-key: ")
            )  # fmt: skip
            accept = base64.b64encode(hashlib.sha1(key + GUID).digest()).decode()
            await stream.send_all(self._answer(accept))
            try:
                while await stream.receive_some():
                    pass
            except trio.BrokenResourceError:
                pass
        self.gone.set()
        await listeners[0].aclose()


def consent(accept: str, more: str = "") -> bytes:
    return (
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Accept: {accept}\r\nX-Served-By: a\r\n{more}\r\n"
    ).encode()


async def opened(server: Server, nursery: trio.Nursery, *subprotocols: str) -> Any:
    port = await nursery.start(server.serve)
    upstream = Upstream(parse_upstream(f"ws://127.0.0.1:{port}"), None)
    with trio.fail_after(60):
        return await upstream.open("/room?a=b", [("x-kind", "plain")], subprotocols)


async def test_consent_is_taken_with_all_that_came_with_it(nursery: trio.Nursery) -> None:
    server = Server(
        lambda accept: consent(accept, "Sec-WebSocket-Protocol: chat\r\n") + b"\x81\x01m"
    )
    answer = await opened(server, nursery, "chat", "other")
    assert isinstance(answer, Accepted)
    assert (answer.subprotocol, answer.compression, answer.surplus) == ("chat", None, b"\x81\x01m")
    assert ("x-served-by", "a") in answer.headers
    assert server.request.startswith(b"GET /room?a=b HTTP/1.1\r\n")
    head = server.request.lower()
    assert b"\r\nx-kind: plain\r\n" in head
    assert b"\r\nsec-websocket-protocol: chat, other\r\n" in head
    assert b"sec-websocket-extensions" not in head
    assert answer.sock.fileno() >= 0
    answer.sock.close()
    await server.gone.wait()


async def test_a_refusal_is_kept_with_its_connection(nursery: trio.Nursery) -> None:
    server = Server(lambda _: b"HTTP/1.1 418 Teapot\r\nContent-Length: 5\r\n\r\nhel")
    answer = await opened(server, nursery)
    assert isinstance(answer, Declined)
    assert (answer.status, answer.surplus) == (418, b"hel")
    assert answer.head == b"HTTP/1.1 418 Teapot\r\nContent-Length: 5"
    answer.sock.close()
    await server.gone.wait()


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (lambda _: consent("wrong"), "The upstream did not open a WebSocket: "),
        (lambda _: b"\x16\x03\x01", "the server's answer is malformed: "),
        (
            lambda accept: consent(accept, "Sec-WebSocket-Protocol: other\r\n"),
            "did not open",
        ),
    ],
    ids=["accept", "no http", "subprotocol"],
)
async def test_an_answer_that_is_none_is_told_and_its_connection_closed(
    nursery: trio.Nursery, answer: Callable[[str], bytes], says: str
) -> None:
    server = Server(answer)
    with pytest.raises(UpstreamFailed) as told:
        await opened(server, nursery, "chat")
    refused = told.value.refused
    assert (refused.status, refused.reason) == (502, Reason.UPSTREAM_ANSWER)
    assert says in refused.why
    with trio.fail_after(60):
        await server.gone.wait()


async def test_a_dial_that_nobody_wants_any_more_leaves_no_connection(
    nursery: trio.Nursery,
) -> None:
    """Amid the handshake: the server has the request, and takes its time to answer."""
    server = Server(lambda _: b"")
    with trio.fail_after(60):
        async with trio.open_nursery() as dialling:
            dialling.start_soon(opened, server, nursery)
            while not server.request.endswith(b"\r\n\r\n"):
                await trio.lowlevel.checkpoint()
            dialling.cancel_scope.cancel()
        await server.gone.wait()


@pytest.mark.parametrize(
    ("breaks", "says"),
    [
        (b"", "the server ended the connection in the handshake"),
        (
            ConnectionResetError(errno.ECONNRESET, "reset"),
            "the connection broke in the handshake: ",
        ),
    ],
)
async def test_a_connection_that_breaks_meanwhile_is_told(
    monkeypatch: pytest.MonkeyPatch, breaks: Any, says: str
) -> None:
    ours, theirs = socket.socketpair()

    async def receive_some(*_: Any) -> bytes:
        await trio.lowlevel.checkpoint()
        if isinstance(breaks, OSError):
            raise breaks
        return breaks

    async def connect(_: Upstream) -> socket.socket:
        await trio.lowlevel.checkpoint()
        return ours

    monkeypatch.setattr(upstream_module.sockets, "receive_some", receive_some)
    monkeypatch.setattr(Upstream, "_connect", connect)
    with theirs, pytest.raises(UpstreamFailed, match=says) as told:
        await Upstream(parse_upstream("ws://a"), None).open("/", [], ())
    assert told.value.refused.reason is Reason.UPSTREAM_ANSWER
    assert ours.fileno() == -1


def all_failed(number: int) -> OSError:
    """The error of Trio when none of several addresses can be connected to."""
    error = OSError("all attempts to connect to a:80 failed")
    error.__cause__ = ExceptionGroup("", [OSError(number, "x"), OSError(number, "x")])
    return error


@pytest.mark.parametrize(
    ("raises", "status", "reason", "says"),
    [
        (OSError(errno.EMFILE, "x"), 503, Reason.DESCRIPTORS, "too many files open"),
        (OSError(errno.ENFILE, "x"), 503, Reason.DESCRIPTORS, "too many files open"),
        (all_failed(errno.EMFILE), 503, Reason.DESCRIPTORS, "too many files open"),
        (OSError(errno.ECONNREFUSED, "x"), 502, Reason.UPSTREAM_UNREACHABLE, "out of reach: "),
        (all_failed(errno.ECONNREFUSED), 502, Reason.UPSTREAM_UNREACHABLE, "out of reach: "),
        (OSError("in words"), 502, Reason.UPSTREAM_UNREACHABLE, "out of reach: in words"),
        (
            socket.gaierror(-2, "Name or service not known"), 502, Reason.UPSTREAM_UNREACHABLE,
            "out of reach: Name or service not known",
        ),
        (tls.TlsFailed("no"), 502, Reason.UPSTREAM_UNREACHABLE, "out of reach: TLS failed: no"),
    ],
    ids=lambda value: repr(value) if isinstance(value, OSError) else "",
)  # fmt: skip
async def test_why_it_cannot_be_reached_is_told(
    monkeypatch: pytest.MonkeyPatch, raises: Exception, status: int, reason: Reason, says: str
) -> None:
    async def connect(_: Upstream) -> socket.socket:
        await trio.lowlevel.checkpoint()
        raise raises

    monkeypatch.setattr(Upstream, "_connect", connect)
    with pytest.raises(UpstreamFailed) as told:
        await Upstream(parse_upstream("ws://a"), None).open("/", [], ())
    assert (told.value.refused.status, told.value.refused.reason) == (status, reason)
    assert says in told.value.refused.why


def test_of_errors_within_errors_the_first_has_the_number() -> None:
    inner = OSError(errno.ECONNREFUSED, "refused")
    outer = OSError("all attempts failed")
    outer.__cause__ = ExceptionGroup("", [inner, OSError(errno.EMFILE, "x")])
    assert _errno(outer) == _errno(inner) == errno.ECONNREFUSED
    assert _errno(OSError("in words")) is None
    assert _errno(ValueError()) is None


async def test_all_is_sent_however_little_is_taken_at_a_time() -> None:
    ours, theirs = socket.socketpair()
    data, got = bytes(range(256)) * 5000, bytearray()
    with ours, theirs:
        for each in (ours, theirs):
            each.setblocking(False)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(send_all, ours, data)
            while len(got) < len(data):
                await trio.lowlevel.wait_readable(theirs)
                got += theirs.recv(1 << 16)
    assert got == data


def test_one_that_answers_too_late_is_told_with_how_long_it_had() -> None:
    refused = too_late(2.5)
    assert (refused.status, refused.reason) == (504, Reason.UPSTREAM_TIMEOUT)
    assert refused.why == "The upstream did not answer within 2.5 s."


async def test_compression_is_asked_for_if_it_is_to_be_offered(nursery: trio.Nursery) -> None:
    chosen = "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover\r\n"
    server = Server(lambda accept: consent(accept, chosen))
    port = await nursery.start(server.serve)
    upstream = Upstream(parse_upstream(f"ws://127.0.0.1:{port}"), None, (deflate.OFFER,))
    with trio.fail_after(60):
        answer = await upstream.open("/", [], ())
    assert isinstance(answer, Accepted)
    assert answer.compression == deflate.Parameters(server_no_context_takeover=True)
    assert f"Sec-WebSocket-Extensions: {deflate.OFFER}\r\n".encode() in server.request
    assert f"Host: 127.0.0.1:{port}\r\n".encode() in server.request
    assert answer.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    assert not answer.sock.getblocking()
    answer.sock.close()
    await server.gone.wait()


@pytest.mark.parametrize(
    ("raises", "says"),
    [
        (None, ""),
        (
            tls.CertificateRefused("self-signed"),
            f"self-signed ({HINT})",
        ),
        (tls.TlsFailed("no"), "no"),
        (
            ConnectionResetError(errno.ECONNRESET, "x"),
            f"{os.strerror(errno.ECONNRESET)}; is it a wss server?",
        ),
    ],
    ids=["trusted", "not trusted", "TLS", "TCP"],
)
async def test_tls_is_for_the_name_of_the_upstream_and_why_it_fails_is_told(
    monkeypatch: pytest.MonkeyPatch, nursery: trio.Nursery, raises: Exception | None, says: str
) -> None:
    shaken = list[Any]()

    async def shake_hands(sock: socket.socket, context: Any, *, server_name: str) -> Any:
        await trio.lowlevel.checkpoint()
        shaken.append((context, server_name))
        if raises is not None:
            sock.close()
            raise raises
        return sock

    monkeypatch.setattr(upstream_module.tls, "shake_hands", shake_hands)
    context: Any = object()
    if raises is None:
        server = Server(consent)
        port = await nursery.start(server.serve)
        answer = await Upstream(parse_upstream(f"wss://127.0.0.1:{port}"), context).open(
            "/", [], ()
        )
        answer.sock.close()
        await server.gone.wait()
    else:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            upstream = Upstream(
                parse_upstream(f"wss://127.0.0.1:{listener.getsockname()[1]}"), context
            )
            assert "object" not in repr(upstream)
            with pytest.raises(UpstreamFailed) as told:
                await upstream.open("/", [], ())
        assert told.value.refused.status == 502
        assert told.value.refused.why == f"The upstream is out of reach: TLS failed: {says}"
    assert shaken == [(context, "127.0.0.1")]
