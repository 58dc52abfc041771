"""Open sockets against scripted servers on loopback, and book why some do not open."""

import errno
import os
import socket
import ssl
from collections import Counter
from contextlib import suppress

import pytest
import trio

from echo_trio.wire import deflate, handshake, server_handshake, tls
from echo_trio.wire.client_handshake import HandshakeFailed, Rejected
from loadgen.engine.books import Books
from loadgen.engine.context import Observer, RunContext
from loadgen.engine.dialer import Dialer
from loadgen.engine.opening import OPENING_ERRORS, book_failure, find_handshake, open_with
from loadgen.results.ledger import Failure, Fault, Ledger
from loadgen.workload.plan import Plan
from loadgen.workload.sources import Sources

REFUSED = handshake.HandshakeRefused(400, "A header is malformed.", handshake.Reason.HEADER)


class Server:
    """Answers each handshake with what it is told to, and notes what came and whether it ended."""

    def __init__(self, listener, answer):
        self.listener, self.answer = listener, answer
        self.requests, self.ended = [], 0

    async def run(self):
        async with trio.open_nursery() as nursery:
            while True:  # until its listener is closed
                try:
                    accepted, _ = await self.listener.accept()
                except trio.ClosedResourceError:
                    return
                stream = trio.SocketStream(accepted)
                nursery.start_soon(self._serve, stream)

    async def _serve(self, stream):
        async with stream:
            head = b""
            while b"\r\n\r\n" not in head:
                head += await stream.receive_some()
            self.requests.append(head.decode())
            request = server_handshake.parse_request(head[:-4])
            await stream.send_all(self.answer(request))
            with suppress(trio.BrokenResourceError):
                while await stream.receive_some():
                    pass
            self.ended += 1


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
    ],
    ids=["rejected", "not ours", "TLS"],
)
async def test_a_handshake_that_fails_closes_its_socket_and_says_why(serve, answer, error, said):
    server, context = await serve(lambda _: answer)
    with pytest.raises(error) as caught:
        await open_with(context, find_handshake(context, 0))
    assert ("wss://" in str(caught.value)) == answer.startswith(b"\x15")
    await wait_for(lambda: server.ended)
    assert context.ledger.tcp == 1
    details = [detail for (_, detail) in context.ledger.details]
    assert all(any(word in detail for detail in details) for word in said)


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
        (errno.ENETDOWN, Fault.NETWORK),
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
