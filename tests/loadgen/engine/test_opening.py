"""Open sockets against scripted servers on loopback, and book why some do not open."""

import errno
import os
import socket
import ssl
from collections import Counter
from contextlib import suppress
from types import SimpleNamespace

import pytest
import trio
import trustme

from echo_trio.wire import deflate, handshake, poller, server_handshake, tls
from echo_trio.wire.client_handshake import HandshakeFailed, Rejected, make_key
from loadgen.engine.books import Books
from loadgen.engine.context import Observer, RunContext, now_us
from loadgen.engine.dialer import Dialer, Pending
from loadgen.engine.opening import (
    OPENING_ERRORS,
    Begun,
    Handshake,
    book_failure,
    find_handshake,
    open_with,
)
from loadgen.engine.proxy import ProxyRefused
from loadgen.results.ledger import Failure, Fault, Ledger
from loadgen.workload.plan import Plan
from loadgen.workload.proxy import Proxy
from loadgen.workload.sources import Sources

REFUSED = handshake.HandshakeRefused(400, "A header is malformed.", handshake.Reason.HEADER)


class Server:
    """Answers each handshake with what it is told to, and notes what came and whether it ended.

    It may speak TLS, and play the proxy before itself.
    """

    tls: ssl.SSLContext | None = None
    is_proxy, proxy_says = False, b"HTTP/1.1 200 Yes\r\n\r\n"

    def __init__(self, listener, answer):
        self.listener, self.answer = listener, answer
        self.proxied, self.requests, self.ended = [], [], 0

    async def run(self):
        async with trio.open_nursery() as nursery:
            while True:  # until its listener is closed
                try:
                    accepted, _ = await self.listener.accept()
                except trio.ClosedResourceError:
                    return
                nursery.start_soon(self._serve, trio.SocketStream(accepted))

    async def _serve(self, stream):
        with suppress(trio.BrokenResourceError):
            if self.is_proxy:
                self.proxied.append(await self._read_head(stream))
                await stream.send_all(self.proxy_says)
            if self.tls is not None:
                stream = trio.SSLStream(stream, self.tls, server_side=True, https_compatible=True)
            async with stream:
                head = await self._read_head(stream)
                self.requests.append(head)
                request = server_handshake.parse_request(head.encode()[:-4])
                await stream.send_all(self.answer(request))
                with suppress(trio.BrokenResourceError):
                    while await stream.receive_some():
                        pass
                self.ended += 1

    async def _read_head(self, stream):
        head = b""
        while b"\r\n\r\n" not in head:
            if not (more := await stream.receive_some()):
                self.ended += 1
                raise trio.BrokenResourceError
            head += more
        return head.decode()


@pytest.fixture
def serve(nursery):
    async def start(answer, **settings):
        listener = trio.socket.socket()
        await listener.bind(("127.0.0.1", 0))
        listener.listen()
        listeners.append(listener)
        server, address = Server(listener, answer), listener.getsockname()
        nursery.start_soon(server.run)
        plan = Plan(2, f"ws://127.0.0.1:{address[1]}/chat{{room}}", **settings)
        books = Books(Ledger(2))
        dialer = Dialer([(socket.AF_INET, address)], Sources(()))
        return server, RunContext(plan, dialer, None, books, Observer())

    listeners = []
    yield start
    for listener in listeners:
        listener.close()


def accept(request):
    compression = deflate.accept(request.extensions)
    return server_handshake.accept_response(request, compression=compression)


async def wait_for(holds):
    with trio.fail_after(60):
        while not holds():
            await trio.sleep(0.002)


async def test_an_opened_socket_has_its_rooms_resource_and_what_came_with_the_answer(serve):
    server, context = await serve(
        lambda request: accept(request) + b"\x81\x02hi",
        rooms=2, verify="fan-out", message="{conn} {seq}",
    )  # fmt: skip
    connection, took_us = await open_with(context, find_handshake(context, 3))
    assert (connection.path, context.ledger.tcp, context.ledger.compressed) == ("/chat1", 1, 0)
    assert server.requests[0].startswith("GET /chat1 HTTP/1.1\r\n")
    assert took_us > 0
    got = []
    with trio.move_on_after(60) as scope:
        await connection.run(lambda frame: got.append(frame) or scope.cancel())
    assert got == ["hi"]


async def test_a_handshake_that_has_begun_goes_on_with_its_key_and_took_time_since_then(serve):
    server, context = await serve(accept)
    begun = Begun(now_us() - 3_000_000_000, trio.current_time() + 60, make_key(), None)
    connection, took_us = await open_with(context, find_handshake(context, 0), begun)
    assert took_us >= 3_000_000_000
    assert f"\r\nSec-WebSocket-Key: {begun.key}\r\n" in server.requests[0]
    with trio.CancelScope() as scope:
        scope.cancel()
        await connection.run(lambda _: None)


@pytest.mark.parametrize(("offered", "is_ours"), [(("b", "chat"), True), (("b",), False)])
async def test_a_subprotocol_is_one_that_this_handshake_offers_whatever_the_run_does(
    serve, offered, is_ours
):
    _, context = await serve(
        lambda request: server_handshake.accept_response(request, subprotocol="chat"),
        subprotocols=() if is_ours else ("chat",),
    )
    asked = Handshake(context.requests[0], "/chat0", offered)
    if not is_ours:
        with pytest.raises(HandshakeFailed):
            await open_with(context, asked)
        return
    connection, _ = await open_with(context, asked)
    assert connection.subprotocol == "chat"
    with trio.CancelScope() as scope:
        scope.cancel()
        await connection.run(lambda _: None)


@pytest.mark.parametrize(
    ("offered", "answer"),
    [(True, accept), (False, accept), (True, server_handshake.accept_response)],
)
async def test_a_socket_counts_as_compressed_if_both_ends_agree(serve, offered, answer):
    server, context = await serve(answer, compression=offered)
    connection, _ = await open_with(context, find_handshake(context, 0))
    assert context.ledger.compressed == int(offered and answer is accept)
    assert ("permessage-deflate" in server.requests[0]) == offered
    with trio.CancelScope() as scope:
        scope.cancel()
        await connection.run(lambda _: None)


@pytest.mark.parametrize(
    ("answer", "error", "said"),
    [
        (b"HTTP/1.1 503 No\r\nContent-Length: 4\r\n\r\nfull", Rejected, ["full"]),
        (b"HTTP/1.1 101 Yes\r\nUpgrade: websocket\r\n\r\n", HandshakeFailed, []),
        (b"\x15\x03\x03\x00\x02\x02\x46", HandshakeFailed, []),
        (b"\x16\x03\x03\x00\x02\x02\x46", HandshakeFailed, []),
    ],
    ids=["rejected", "not ours", "TLS alert", "TLS record"],
)
async def test_a_handshake_that_fails_closes_its_socket_and_says_why(serve, answer, error, said):
    server, context = await serve(lambda _: answer)
    with pytest.raises(error) as caught:
        await open_with(context, find_handshake(context, 0))
    assert ("wss://" in str(caught.value)) == answer.startswith((b"\x15", b"\x16"))
    await wait_for(lambda: server.ended)
    assert context.ledger.tcp == 1
    details = [detail for (_, detail) in context.ledger.details]
    assert all(any(word in detail for detail in details) for word in said)


@pytest.fixture(scope="module")
def contexts():
    """The ends of TLS between a client and a server that it trusts."""
    authority = trustme.CA()
    theirs, ours = (ssl.SSLContext(side) for side in (ssl.PROTOCOL_TLS_SERVER,
                                                      ssl.PROTOCOL_TLS_CLIENT))  # fmt: skip
    authority.issue_cert("127.0.0.1").configure_cert(theirs)
    authority.configure_trust(ours)
    return theirs, ours


@pytest.mark.parametrize("is_proxied", [False, True])
@pytest.mark.parametrize("is_tls", [False, True])
async def test_each_step_on_the_way_is_taken_and_counted_before_the_request_goes(
    serve, contexts, is_tls, is_proxied
):
    server, context = await serve(lambda request: accept(request) + b"\x81\x02hi")
    server.is_proxy = is_proxied
    if is_proxied:
        context.proxy = Proxy.parse("http://proxy.example")
    if is_tls:
        server.tls, context.tls = contexts
        context.tls.sslsocket_class = tls.TlsSocket
    got = []
    with trio.fail_after(60):
        connection, took_us = await open_with(context, find_handshake(context, 0))
        with trio.CancelScope() as scope:
            await connection.run(lambda frame: got.append(frame) or scope.cancel())
    assert (got, took_us > 0) == (["hi"], True)
    assert (context.ledger.tcp, context.ledger.tls) == (1, int(is_tls))
    assert context.ledger.addresses == ({} if is_proxied else {"127.0.0.1": 1})
    assert [head.splitlines()[0] for head in server.proxied] == (
        [f"CONNECT 127.0.0.1:{context.port} HTTP/1.1"] * is_proxied
    )
    assert server.requests[0].startswith("GET /chat0 HTTP/1.1\r\n")


async def test_a_server_that_nobody_trusts_has_a_tcp_connection_and_no_tls(serve, contexts):
    server, context = await serve(accept)
    server.tls, _ = contexts
    context.tls = tls.client_context()
    with pytest.raises(tls.TlsFailed):
        await open_with(context, find_handshake(context, 0))
    assert (context.ledger.tcp, context.ledger.tls, server.requests) == (1, 0, [])


async def test_a_proxy_that_says_no_has_led_to_no_connection_and_is_left(serve):
    server, context = await serve(lambda _: b"")
    context.proxy = Proxy.parse("http://proxy.example")
    server.is_proxy, server.proxy_says = True, b"HTTP/1.1 403 No\r\n\r\n"
    with pytest.raises(ProxyRefused, match="HTTP 403"), trio.fail_after(60):
        await open_with(context, find_handshake(context, 0))
    assert (context.ledger.tcp, server.requests) == (0, [])
    await wait_for(lambda: server.ended)


@pytest.mark.parametrize("is_pending", [False, True])
@pytest.mark.parametrize("is_polled", [False, True])
def test_what_is_abandoned_is_closed_and_no_longer_waited_for(is_pending, is_polled):
    ours, theirs = socket.socketpair()
    unregistered = []
    poller = SimpleNamespace(unregister=unregistered.append) if is_polled else None
    with theirs:
        dialled = Pending((socket.AF_INET, ("127.0.0.1", 1)), ours) if is_pending else ours
        Begun(1, 2.0, "key", dialled).abandon(poller)
        assert (ours.fileno(), unregistered) == (-1, [ours] * is_polled)
    Begun(1, 2.0, "key", None).abandon(poller)


@pytest.mark.parametrize(
    ("exc", "detail"),
    [
        (ProxyRefused("HTTP 407"), (Failure.REJECTED, "proxy: HTTP 407")),
        (HandshakeFailed("no accept."), (Failure.PROTOCOL, "no accept")),
        (HandshakeFailed("no accept"), (Failure.PROTOCOL, "no accept")),
    ],
)
def test_what_was_said_is_a_detail_of_the_failure(exc, detail):
    ledger = Ledger(1)
    book_failure(ledger, exc)
    assert (ledger.failed, ledger.details) == ({detail[0]: 1}, {detail: 1})


def test_the_handshake_of_a_socket_is_its_rooms():
    plan = Plan(7, "ws://h/{room}", rooms=3, verify="fan-out", subprotocols=("a",))
    context = RunContext(plan, Dialer([], Sources(())), None, Books(Ledger(7)), Observer())
    for conn in range(7):
        asked = find_handshake(context, conn)
        assert (asked.resource, asked.subprotocols) == (f"/{conn % 3}", ("a",))
        assert asked.request("k").startswith(f"GET /{conn % 3} ".encode())


async def test_with_the_poller_an_answer_is_waited_for_and_not_looked_for_again_and_again(
    serve, nursery
):
    _, context = await serve(accept)
    context.poller = poller.Poller()
    await nursery.start(context.poller.run)
    waits = []
    wait_readable = context.poller.wait_readable

    async def wait(sock):
        waits.append(sock)
        await wait_readable(sock)

    context.poller.wait_readable = wait
    with trio.fail_after(60):
        connection, _ = await open_with(context, find_handshake(context, 0))
    assert len(waits) >= 1
    with trio.CancelScope() as scope:
        scope.cancel()
        await connection.run(lambda _: None)


async def test_a_server_that_is_not_there_takes_no_tcp(serve):
    _, context = await serve(accept)
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        context.dialer = Dialer([(socket.AF_INET, bound.getsockname())], Sources(()))
        with pytest.raises(OPENING_ERRORS):
            await open_with(context, find_handshake(context, 0))
    assert context.ledger.tcp == 0


def of_openssl():
    """What OpenSSL raises for an answer that is no TLS."""
    incoming = ssl.MemoryBIO()
    incoming.write(b"HTTP/1.1 400 Bad Request")
    talk = ssl.create_default_context().wrap_bio(incoming, ssl.MemoryBIO(), server_hostname="x")
    try:
        talk.do_handshake()
    except ssl.SSLError as exc:
        return exc


def os_error(number):
    return OSError(number, os.strerror(number))


@pytest.mark.parametrize(
    ("exc", "failure"),
    [
        (os_error(errno.ECONNREFUSED), Failure.REFUSED),
        (os_error(errno.ECONNRESET), Failure.RESET),
        (os_error(errno.ECONNABORTED), Failure.RESET),
        (os_error(errno.EPIPE), Failure.RESET),
        (os_error(errno.ETIMEDOUT), Failure.TIMEOUT),
        (os_error(errno.EMFILE), Failure.FILE_LIMIT),
        (os_error(errno.ENFILE), Failure.FILE_LIMIT),
        (os_error(errno.EADDRNOTAVAIL), Failure.ADDRESS_IN_USE),
        (os_error(errno.EADDRINUSE), Failure.ADDRESS_IN_USE),
        (os_error(errno.EHOSTUNREACH), Failure.OTHER),
        (Rejected(503), Failure.REJECTED),
        (HandshakeFailed("no accept."), Failure.PROTOCOL),
        (REFUSED, Failure.PROTOCOL),
        (handshake.ConnectionCut(3), Failure.RESET),
        (tls.TlsFailed("certificate has expired"), Failure.TLS),
        (of_openssl(), Failure.TLS),
    ],
    ids=lambda value: str(value) if isinstance(value, Failure) else type(value).__name__,
)
def test_each_reason_not_to_open_is_in_its_column_alone(exc, failure):
    ledger = Ledger(1)
    book_failure(ledger, exc)
    ledger.check()
    assert ledger.failed == {failure: 1}
    assert ledger.failed_status == ({503: 1} if failure is Failure.REJECTED else {})
    assert ledger.tls_errors.total() == (failure is Failure.TLS)
    assert ledger.other_errors.total() == (failure is Failure.OTHER)


@pytest.mark.parametrize(
    ("number", "fault"),
    [
        (errno.EHOSTUNREACH, Fault.NETWORK),
        (errno.EHOSTDOWN, Fault.NETWORK),
        (errno.ENETUNREACH, Fault.NETWORK),
        (errno.ENETDOWN, Fault.NETWORK),
        (errno.ENETRESET, Fault.NETWORK),
        (errno.ENOBUFS, Fault.MACHINE),
        (0, Fault.MACHINE),
    ],
)
def test_other_errors_have_a_culprit(number, fault):
    ledger = Ledger(1)
    book_failure(ledger, OSError(number, "what") if number else OSError("what"))
    assert ledger.other_faults == Counter({fault: 1})
    assert ledger.other_errors == {os.strerror(number) if number else "what": 1}


def test_an_error_that_only_windows_has_a_number_for_is_named(monkeypatch):
    monkeypatch.setattr(socket, "errorTab", {10013: "Permission denied."}, raising=False)
    ledger = Ledger(1)
    book_failure(ledger, OSError(10013, "what"))
    assert ledger.other_errors == {"Permission denied.": 1}
