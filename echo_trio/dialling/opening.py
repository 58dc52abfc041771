"""Open a connection for the page, step by step, and report each: DNS, TCP, TLS, upgrade."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Protocol

import msgspec
import trio

from echo_trio.dialling.ends import Cause, DialFailed, say
from echo_trio.dialling.order import Allowed, DialOrder, Target, make_request, why_not_there
from echo_trio.dialling.refusal import read_body
from echo_trio.dialling.tls_facts import TlsFacts, facts_of
from echo_trio.wire import client_handshake, deflate, handshake, sockets, tls

#: Addresses that are tried, one after the other; a name may have hundreds.
MAX_ADDRESSES: Final = 6
#: The longest time for TCP to one of several addresses: a dead one must not use up the rest.
ADDRESS_TIMEOUT_S: Final = 3.0

#: Takes the name of an event and its data.
Report = Callable[[str, dict[str, Any]], None]


class Clock:
    """Milliseconds since the dial began."""

    def __init__(self) -> None:
        self._began_s = trio.current_time()

    def now_ms(self) -> float:
        """Return the time since the beginning, to a microsecond."""
        return round((trio.current_time() - self._began_s) * 1000, 3)


class Contexts(Protocol):
    """A source of TLS contexts for clients."""

    async def get(self, certificate: str | None, *, verify: bool) -> ssl.SSLContext:
        """Return the context with one of the operator's certificates, or with none."""


@dataclass(slots=True)
class Opened:
    """A connection whose handshake is done.

    :ivar surplus: bytes that arrived behind the server's answer.
    """

    sock: socket.socket
    compression: deflate.Parameters | None
    surplus: bytes


class _NotTrusted(msgspec.Struct, frozen=True):
    problem: str


async def open_connection(
    order: DialOrder,
    target: Target,
    *,
    allowed: Allowed,
    contexts: Contexts,
    clock: Clock,
    report: Report,
) -> Opened:
    """Dial a target that is allowed by its name.

    Cancelled: the connection is closed.

    :param report: is called with `resolved`, `connected`, `tls`, `request`, `response` and
        `opened`, as far as it comes.
    :raises DialFailed: if there is no WebSocket in the end.
    """
    extensions = [deflate.OFFER] if order.compression else []
    key = client_handshake.make_key()
    request = make_request(order, target, key, extensions)
    addresses = await _resolve(target, allowed, clock, report)
    sock, address = await _connect(addresses, clock, report)
    if target.tls:
        sock = await _secure(sock, address, order, target, contexts, clock, report)
    try:
        return await _upgrade(sock, order, request, key, extensions, clock, report)
    except BaseException:
        sock.close()
        raise


async def _resolve(
    target: Target, allowed: Allowed, clock: Clock, report: Report
) -> list[sockets.Address]:
    began_ms = clock.now_ms()
    try:
        found = await sockets.resolve(target.host, target.port)
    except OSError as exc:
        raise DialFailed(
            Cause.NO_SUCH_HOST, f"the name {target.host} can't be resolved: {say(exc)}"
        ) from None
    except UnicodeError:
        raise DialFailed(Cause.NO_SUCH_HOST, f"{target.host} is no name of a host") from None
    refused = {
        address: why_not_there(target.host, target.port, str(address[1][0]), allowed)
        for address in found
    }
    report(
        "resolved",
        {
            "t": clock.now_ms(),
            "ms": round(clock.now_ms() - began_ms, 3),
            "addresses": [str(address[1][0]) for address in found],
        },
    )
    permitted = [address for address, why in refused.items() if why is None]
    if not permitted:
        raise DialFailed(Cause.FORBIDDEN_ADDRESS, next(filter(None, refused.values())))
    return permitted[:MAX_ADDRESSES]


async def _connect(
    addresses: list[sockets.Address], clock: Clock, report: Report
) -> tuple[socket.socket, sockets.Address]:
    """Connect to the first address that accepts. It is the address that was looked at before.

    :raises DialFailed: if none does.
    """
    failed = []
    for address in addresses:
        began_ms = clock.now_ms()
        host = str(address[1][0])
        try:
            with trio.fail_after(ADDRESS_TIMEOUT_S if len(addresses) > 1 else float("inf")):
                sock = await sockets.connect(address)
        except trio.TooSlowError:
            failed.append((host, f"no answer for {ADDRESS_TIMEOUT_S:g} s"))
            continue
        except OSError as exc:
            failed.append((host, say(exc)))
            continue
        report(
            "connected",
            {
                "t": clock.now_ms(),
                "ms": round(clock.now_ms() - began_ms, 3),
                "address": host,
                "port": address[1][1],
                "from": sock.getsockname()[0],
                "failed": [{"address": each, "error": why} for each, why in failed],
            },
        )
        return sock, address
    raise DialFailed(
        Cause.UNREACHABLE,
        "no TCP connection: " + "; ".join(f"{host}: {why}" for host, why in failed),
    )


async def _secure(
    sock: socket.socket,
    address: sockets.Address,
    order: DialOrder,
    target: Target,
    contexts: Contexts,
    clock: Clock,
    report: Report,
) -> socket.socket:
    """Do the TLS handshake, and tell whether the certificate is trusted.

    OpenSSL hides a chain that it does not accept. So it is asked for once more then, by a second
    connection that trusts anything; without `order.insecure` that one is closed at once.

    :raises DialFailed: if it fails.
    """
    began_ms = clock.now_ms()
    problem = None
    secured = await _shake_hands(sock, order, target, contexts, verify=True)
    if isinstance(secured, _NotTrusted):
        problem = secured.problem
        try:
            again = await sockets.connect(address)
        except OSError as exc:
            raise DialFailed(Cause.CERTIFICATE, f"{problem} ({say(exc)})") from None
        secured = await _shake_hands(again, order, target, contexts, verify=False)
        assert not isinstance(secured, _NotTrusted)
    facts: TlsFacts = facts_of(secured)
    report(
        "tls",
        {
            "t": clock.now_ms(),
            "ms": round(clock.now_ms() - began_ms, 3),
            **msgspec.to_builtins(facts),
            "verified": problem is None,
            "problem": problem,
            "server_name": target.host,
            "client_certificate": order.certificate,
        },
    )
    if problem is not None and not order.insecure:
        secured.close()
        raise DialFailed(Cause.CERTIFICATE, problem)
    return secured


async def _shake_hands(
    sock: socket.socket, order: DialOrder, target: Target, contexts: Contexts, *, verify: bool
) -> tls.TlsSocket | _NotTrusted:
    try:
        context = await contexts.get(order.certificate, verify=verify)
        secured = await tls.shake_hands(sock, context, server_name=target.host)
    except tls.TlsFailed as exc:
        if isinstance(exc.__context__, ssl.SSLCertVerificationError):
            return _NotTrusted(str(exc))
        raise DialFailed(Cause.TLS, f"the TLS handshake failed: {exc}") from None
    except OSError as exc:
        raise DialFailed(
            Cause.TLS, f"the connection broke in the TLS handshake: {exc.strerror or exc}"
        ) from None
    finally:
        if sock.fileno() != -1:  # The context could not be had.
            sock.close()
    secured.tell_cuts()
    return secured


async def _upgrade(
    sock: socket.socket,
    order: DialOrder,
    request: bytes,
    key: str,
    extensions: list[str],
    clock: Clock,
    report: Report,
) -> Opened:
    began_ms = clock.now_ms()
    report("request", {"t": began_ms, "head": request.decode("utf-8", "replace")})
    try:
        sockets.send_head(sock, request)
        head, surplus = await client_handshake.receive_answer(
            partial(sockets.receive_some, sock, handshake.MAX_HEAD_BYTES)
        )
    except client_handshake.HandshakeFailed as exc:
        raise DialFailed(Cause.BAD_ANSWER, f"{exc}") from None
    except handshake.HandshakeRefused as exc:  # of the head that we receive
        raise DialFailed(Cause.BAD_ANSWER, f"the server's answer is malformed: {exc.why}") from None
    except handshake.ConnectionCut as exc:
        raise DialFailed(Cause.BAD_ANSWER, _cut(exc.received)) from None
    except ssl.SSLEOFError:
        raise DialFailed(Cause.BAD_ANSWER, _cut(0)) from None
    except ssl.SSLError as exc:
        # By TLS 1.3 a server says only now that it wants a certificate, or another one.
        said = (exc.reason or str(exc)).lower().replace("_", " ")
        raise DialFailed(Cause.TLS, f"the server ended TLS instead of answering: {said}") from None
    except OSError as exc:
        raise DialFailed(
            Cause.BAD_ANSWER, f"the connection broke before the server had answered: {say(exc)}"
        ) from None
    told = {
        "t": clock.now_ms(),
        "ms": round(clock.now_ms() - began_ms, 3),
        "head": head.decode("latin-1"),
        "body": None,
        "whole": True,
    }
    try:
        answer = client_handshake.parse_response(head, key, order.subprotocols, extensions)
    except client_handshake.Rejected as exc:
        body = await read_body(sock, head, surplus)
        report("response", {**told, "body": body.text, "whole": body.whole})
        raise DialFailed(Cause.REFUSED, f"the server answered with HTTP {exc.status}") from None
    except client_handshake.HandshakeFailed as exc:
        report("response", told)
        raise DialFailed(Cause.BAD_ANSWER, f"{exc}") from None
    report("response", told)
    report(
        "opened",
        {
            "t": clock.now_ms(),
            "subprotocol": answer.subprotocol or "",
            "extensions": str(answer.compression) if answer.compression else "",
        },
    )
    return Opened(sock, answer.compression, surplus)


def _cut(received: int) -> str:
    if received:
        return f"the server ended the connection after {received} bytes of an answer"
    return "the server ended the connection without an answer: it may speak no HTTP there"
