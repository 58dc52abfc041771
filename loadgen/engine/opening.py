"""Open one socket: TCP, TLS, the WebSocket's handshake; and say why it could not be opened."""

from __future__ import annotations

import errno
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Final, NamedTuple

import trio

from echo_trio.wire import client_handshake, handshake, sockets, tls
from echo_trio.wire.connection import Connection
from loadgen.engine.context import now_us
from loadgen.engine.dialer import Pending
from loadgen.engine.proxy import ProxyRefused, connect_through
from loadgen.engine.rejection import explain_rejection
from loadgen.results.ledger import Failure, Fault, Ledger

if TYPE_CHECKING:
    from echo_trio.wire.poller import Poller
    from loadgen.engine.context import RunContext

#: The only place where foreign errors become our own.
_FAILURE_BY_ERRNO: Final = {
    errno.ECONNREFUSED: Failure.REFUSED,
    errno.ECONNABORTED: Failure.RESET,  # So Windows calls some resets.
    errno.ECONNRESET: Failure.RESET,
    errno.EPIPE: Failure.RESET,
    errno.ETIMEDOUT: Failure.TIMEOUT,
    errno.EMFILE: Failure.FILE_LIMIT,
    errno.ENFILE: Failure.FILE_LIMIT,
    errno.EADDRNOTAVAIL: Failure.ADDRESS_IN_USE,
    errno.EADDRINUSE: Failure.ADDRESS_IN_USE,
}
#: The first bytes of a TLS alert and of a handshake record (RFC 8446, section 5.1).
_TLS_RECORDS: Final = (b"\x15\x03", b"\x16\x03")
_FAULT_BY_ERRNO: Final = {
    errno.EHOSTUNREACH: Fault.NETWORK,
    errno.EHOSTDOWN: Fault.NETWORK,
    errno.ENETUNREACH: Fault.NETWORK,
    errno.ENETDOWN: Fault.NETWORK,
    errno.ENETRESET: Fault.NETWORK,
}


#: The exceptions of opening a socket.
OPENING_ERRORS: Final = (
    client_handshake.HandshakeFailed,
    handshake.HandshakeRefused,
    handshake.ConnectionCut,
    ProxyRefused,
    tls.TlsFailed,
    OSError,
)


class Handshake(NamedTuple):
    """The contents of the WebSocket's handshake.

    :ivar request: makes the request from a key.
    :ivar subprotocols: those that it offers.
    """

    request: Callable[[str], bytes]
    resource: str
    subprotocols: tuple[str, ...]


class Begun:
    """A handshake that has begun: its request is sent, or will be once TCP is there.

    :ivar began_us: when that was.
    :ivar dialled: the socket that the request was sent on; or the connection that is still to open;
        or ``None`` if the target is to be dialled once more.
    :ivar received: what was received of the answer; ``None`` if nothing was looked for.
    """

    __slots__ = ("began_us", "deadline_s", "dialled", "key", "received")

    def __init__(
        self,
        began_us: int,
        deadline_s: float,
        key: str,
        dialled: socket.socket | Pending | None,
    ) -> None:
        self.began_us: int = began_us
        self.deadline_s: float = deadline_s
        self.key: str = key
        self.dialled = dialled
        self.received: bytes | None = None

    def abandon(self, poller: Poller | None) -> None:
        """Close the socket, if there is one: the handshake ends here."""
        sock = self.dialled.sock if isinstance(self.dialled, Pending) else self.dialled
        if sock is not None:
            if poller is not None:
                poller.unregister(sock)
            sock.close()


def find_handshake(context: RunContext, conn: int) -> Handshake:
    """Find the contents of the handshake of one of the plan's sockets."""
    room = conn % context.rooms
    return Handshake(context.requests[room], context.resources[room], context.subprotocols)


async def open_with(
    context: RunContext, asked: Handshake, begun: Begun | None = None
) -> tuple[Connection, int]:
    """Open a socket; return it, and how long TCP and the handshakes took, in microseconds.

    Cancelled: the socket is closed.

    :param begun: what has been done already.
    :raises Exception: one of `OPENING_ERRORS`, for `book_failure`.
    """
    began_us = now_us() if begun is None else begun.began_us
    key = client_handshake.make_key() if begun is None else begun.key
    sock = await _connect(context, asked.request(key), begun)
    # Wait with the poller, which will read its messages as well; TLS has bytes of its own first.
    poller = context.poller if context.tls is None else None
    received = None if begun is None else begun.received

    async def receive() -> bytes:
        nonlocal received
        if received is not None:
            data, received = received, None
            return data
        while True:
            if poller is not None:
                await poller.wait_readable(sock)
            else:
                await trio.lowlevel.wait_readable(sock)
            # The bytes may be TLS's own, such as a session ticket.
            with suppress(BlockingIOError):
                return sock.recv(handshake.MAX_HEAD_BYTES)

    try:
        head, surplus = await client_handshake.receive_answer(_refusing_tls(receive))
        try:
            response = context.answers_to(asked.subprotocols).read(head, key)
        except client_handshake.Rejected as rejected:
            context.ledger.explain(
                Failure.REJECTED, await explain_rejection(rejected, surplus, receive)
            )
            raise
    except BaseException:
        if poller is not None:
            poller.unregister(sock)
        sock.close()
        raise
    return make_connection(context, sock, asked.resource, response, surplus), now_us() - began_us


async def _connect(context: RunContext, request: bytes, begun: Begun | None) -> socket.socket:
    """Connect to the target, by its proxy and TLS if there are any, and send the request."""
    ledger, dialled = context.ledger, None if begun is None else begun.dialled
    # Without a proxy and TLS the request is the first thing that is said.
    is_plain = context.proxy is None and context.tls is None
    if isinstance(dialled, socket.socket):
        return dialled
    if dialled is not None:
        sock = await context.dialer.finish(dialled, ledger.addresses, request)
    else:
        sock = await context.dialer.dial(
            None if context.proxy else ledger.addresses, request if is_plain else None
        )
    try:
        if context.proxy is not None:
            await connect_through(sock, context.proxy, context.server_name, context.port)
        ledger.tcp += 1
        if context.tls is not None:
            sock = await tls.shake_hands(sock, context.tls, server_name=context.server_name)
            ledger.tls += 1
        if not is_plain:
            sockets.send_head(sock, request)
    except BaseException:
        sock.close()
        raise
    return sock


def make_connection(
    context: RunContext,
    sock: socket.socket,
    resource: str,
    response: client_handshake.UpgradeResponse,
    surplus: bytes,
) -> Connection:
    """Make the connection of a socket whose handshake is done.

    :param surplus: bytes that were received behind the answer.
    """
    if response.compression is not None:
        context.ledger.compressed += 1
    return Connection.opened(
        sock,
        client=True,
        limits=context.limits,
        poller=context.poller,
        path=resource,
        subprotocol=response.subprotocol,
        surplus=surplus,
        compression=response.compression,
        budget=context.budget,
    )


def _refusing_tls(receive: handshake.Receive) -> handshake.Receive:
    """Tell TLS from other bytes that are no HTTP: it is the answer of a port of wss://."""

    async def receive_checked() -> bytes:
        data = await receive()
        if data[:2] in _TLS_RECORDS:
            raise client_handshake.HandshakeFailed(
                "TLS answers there: the URL should begin with wss://"
            )
        return data

    return receive_checked


def book_failure(ledger: Ledger, exc: Exception) -> None:
    """Book why a socket could not be opened.

    :param exc: one of `OPENING_ERRORS`.
    """
    match exc:
        case client_handshake.Rejected():
            ledger.failed[Failure.REJECTED] += 1
            ledger.failed_status[exc.status] += 1
        case ProxyRefused():
            ledger.failed[Failure.REJECTED] += 1
            ledger.explain(Failure.REJECTED, f"proxy: {exc}")
        case client_handshake.HandshakeFailed() | handshake.HandshakeRefused():
            ledger.failed[Failure.PROTOCOL] += 1
            ledger.explain(Failure.PROTOCOL, str(exc).removesuffix("."))
        case handshake.ConnectionCut():
            ledger.failed[Failure.RESET] += 1
        case tls.TlsFailed():
            ledger.failed[Failure.TLS] += 1
            ledger.tls_errors[str(exc)] += 1
        case ssl.SSLError():  # an OSError, but OpenSSL's numbers are not the system's
            ledger.failed[Failure.TLS] += 1
            ledger.tls_errors[exc.reason or str(exc)] += 1
        case OSError():
            _book_os_error(ledger, exc)


def _book_os_error(ledger: Ledger, exc: OSError) -> None:
    number = exc.errno or 0
    failure = _FAILURE_BY_ERRNO.get(number, Failure.OTHER)
    ledger.failed[failure] += 1
    if failure is Failure.OTHER:
        ledger.other_errors[sockets.describe_error(number) if number else str(exc)] += 1
        ledger.other_faults[_FAULT_BY_ERRNO.get(number, Fault.MACHINE)] += 1
