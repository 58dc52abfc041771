"""Open a WebSocket to the upstream, as the client of a proxy's client."""

from __future__ import annotations

import errno
import socket
import ssl
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final

import trio

from echo_trio.proxy.address import UpstreamAddress
from echo_trio.wire import client_handshake, deflate, handshake, sockets, tls
from echo_trio.wire.handshake import HandshakeRefused, Reason

_OUT_OF_DESCRIPTORS: Final = {errno.EMFILE, errno.ENFILE}


@dataclass(slots=True)
class Accepted:
    """The upstream's consent.

    :ivar compression: the parameters that it chose; ``None`` for no compression.
    :ivar headers: those of its answer, names in lower case.
    :ivar surplus: bytes that arrived behind it.
    """

    sock: socket.socket
    subprotocol: str | None
    compression: deflate.Parameters | None
    headers: list[tuple[str, str]]
    surplus: bytes


@dataclass(slots=True)
class Declined:
    """The upstream's answer if it is anything but consent.

    :ivar head: its head, without the empty line behind it.
    :ivar surplus: bytes that arrived behind it: the beginning of a body, if there is one.
    """

    sock: socket.socket
    status: int
    head: bytes
    surplus: bytes


class UpstreamFailed(Exception):
    """There is no connection to the upstream; says how the client is to be refused."""

    def __init__(self, refused: HandshakeRefused) -> None:
        super().__init__(refused.why)
        self.refused = refused


@dataclass(frozen=True, slots=True)
class Upstream:
    """The upstream of a proxy.

    :ivar context: the TLS context to dial with; ``None`` for one without TLS.
    :ivar extensions: those that are offered to it.
    """

    address: UpstreamAddress
    context: ssl.SSLContext | None = field(repr=False)
    extensions: tuple[str, ...] = ()

    async def open(
        self, target: str, headers: list[tuple[str, str]], subprotocols: Sequence[str]
    ) -> Accepted | Declined:
        """Connect to the nearest of its addresses (RFC 8305), and ask for an upgrade.

        Cancelled: the connection is closed.

        :param target: path and query.
        :raises UpstreamFailed: if it is out of reach, or its answer is none that RFC 6455 allows.
        """
        try:
            sock = await self._connect()
        except tls.CertificateRefused as exc:
            hint = "--upstream-cacert names an authority to trust, --upstream-insecure trusts all"
            raise _unreachable(f"TLS failed: {exc} ({hint})") from None
        except tls.TlsFailed as exc:
            raise _unreachable(f"TLS failed: {exc}") from None
        except OSError as exc:
            if _errno(exc) in _OUT_OF_DESCRIPTORS:
                raise UpstreamFailed(
                    HandshakeRefused(503, "The proxy has too many files open.", Reason.DESCRIPTORS)
                ) from None
            raise _unreachable(_reason(exc)) from None
        try:
            return await self._shake_hands(sock, target, headers, subprotocols)
        except client_handshake.HandshakeFailed as exc:
            sock.close()
            raise _wrong(f"{exc}") from None
        except HandshakeRefused as exc:  # of the head that we receive
            sock.close()
            raise _wrong(f"the server's answer is malformed: {exc.why}") from None
        except handshake.ConnectionCut:
            sock.close()
            raise _wrong("the server ended the connection in the handshake") from None
        except OSError as exc:
            sock.close()
            raise _wrong(f"the connection broke in the handshake: {_reason(exc)}") from None
        except BaseException:
            sock.close()
            raise

    async def _connect(self) -> socket.socket:
        stream = await trio.open_tcp_stream(self.address.host, self.address.port)
        sock = socket.socket(fileno=stream.socket.detach())
        sockets.prepare(sock)
        if self.context is None:
            return sock
        try:
            return await tls.shake_hands(sock, self.context, server_name=self.address.host)
        except OSError as exc:
            raise tls.TlsFailed(f"{_reason(exc)}; is it a wss server?") from None

    async def _shake_hands(
        self,
        sock: socket.socket,
        target: str,
        headers: list[tuple[str, str]],
        subprotocols: Sequence[str],
    ) -> Accepted | Declined:
        key = client_handshake.make_key()
        await send_all(
            sock,
            client_handshake.request_bytes(
                target, self.address.authority, key, headers, subprotocols, self.extensions
            ),
        )
        head, surplus = await client_handshake.receive_answer(
            partial(sockets.receive_some, sock, handshake.MAX_HEAD_BYTES)
        )
        try:
            answer = client_handshake.parse_response(head, key, subprotocols, self.extensions)
        except client_handshake.Rejected as exc:
            return Declined(sock, exc.status, head, surplus)
        return Accepted(sock, answer.subprotocol, answer.compression, answer.headers, surplus)


async def send_all(sock: socket.socket, data: bytes) -> None:
    """Send bytes on a non-blocking socket, waiting for the kernel.

    :raises OSError: if the connection has broken.
    """
    view = memoryview(data)
    while view:
        try:
            view = view[sock.send(view) :]
        except BlockingIOError:
            await trio.lowlevel.wait_writable(sock)


def too_late(timeout_s: float) -> HandshakeRefused:
    """Refuse a client because the upstream has not answered in time."""
    return HandshakeRefused(
        504, f"The upstream did not answer within {timeout_s:g} s.", Reason.UPSTREAM_TIMEOUT
    )


def _unreachable(why: str) -> UpstreamFailed:
    return UpstreamFailed(
        HandshakeRefused(502, f"The upstream is out of reach: {why}", Reason.UPSTREAM_UNREACHABLE)
    )


def _wrong(why: str) -> UpstreamFailed:
    return UpstreamFailed(
        HandshakeRefused(
            502, f"The upstream did not open a WebSocket: {why}", Reason.UPSTREAM_ANSWER
        )
    )


def _errno(exc: BaseException) -> int | None:
    """Return the number of the first error behind one, which Trio wraps."""
    while exc.__cause__ is not None or isinstance(exc, BaseExceptionGroup):
        exc = exc.exceptions[0] if isinstance(exc, BaseExceptionGroup) else exc.__cause__  # type: ignore[assignment]
    return exc.errno if isinstance(exc, OSError) else None


def _reason(exc: OSError) -> str:
    if isinstance(exc, socket.gaierror):
        return exc.strerror or str(exc)
    number = _errno(exc)
    return sockets.describe_error(number) if number else str(exc)
