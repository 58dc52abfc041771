"""One connection's life: handshake, echo, close. And the boundary that keeps its errors its own."""

from __future__ import annotations

import errno
import socket
import ssl
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

import trio

from echo_trio import admission
from echo_trio.behaviours.player import Performance
from echo_trio.behaviours.scripts import About, Behaviour, OnMessage, Script
from echo_trio.behaviours.transform import suffixes
from echo_trio.logs import Sparing
from echo_trio.metrics.counters import Counters, Outcome
from echo_trio.settings import Settings
from echo_trio.wire import deflate, handshake, proxy_protocol, sockets, tls
from echo_trio.wire.connection import Connection, Limits
from echo_trio.wire.poller import Poller
from echo_trio.wire.watch import Watch

#: How long a refused client may take to read our answer before the connection is cut.
REFUSAL_LINGER_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class End:
    """How a connection ended, and what there is to say of it in the log."""

    outcome: Outcome
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Peer:
    """Who is at the other end, as far as is known: a trusted proxy may say that it is another.

    For what is shown and logged. Nothing is decided by it.
    """

    name: str


@dataclass(slots=True)
class Presence:
    """Who is connected, and what the sessions share. Drained by `server`.

    :ivar tls: what to serve TLS with, if it is served.
    :ivar limits: what a connection allows its client.
    :ivar origins: whose pages may connect; none stands for all.
    :ivar proxies: who may say that its client is another; none stands for nobody.
    :ivar handshakes: what to cancel to interrupt each handshake under way.
    :ivar admitted: connections that have a place.
    :ivar turned_away: those that have none, and are being told so.
    :ivar all_gone: set when, while draining, the last connection has ended.
    """

    settings: Settings
    poller: Poller | None
    tls: ssl.SSLContext | None
    log: Any
    counters: Counters
    handshakes: set[trio.CancelScope] = field(default_factory=set)
    all_gone: trio.Event = field(default_factory=trio.Event)
    admitted: int = 0
    turned_away: int = 0
    limits: Limits = field(init=False)
    origins: frozenset[admission.Origin | None] = field(init=False)
    proxies: tuple[admission.Network, ...] = field(init=False)
    connections: Watch = field(init=False)
    sparing: Sparing = field(init=False)

    def __post_init__(self) -> None:
        self.limits = self.settings.limits
        self.origins = frozenset(map(admission.parse_origin, self.settings.origin))
        self.proxies = tuple(filter(None, map(admission.parse_network, self.settings.trust_proxy)))
        self.connections = Watch(self.limits)
        self.sparing = Sparing(self.log)

    @contextmanager
    def opening(self, deadline_s: float) -> Iterator[trio.CancelScope]:
        """A part of a handshake: cancelled at the deadline, or when the server drains."""
        with trio.CancelScope(deadline=deadline_s) as scope:
            self.handshakes.add(scope)
            if self.counters.draining:
                scope.cancel()
            try:
                yield scope
            finally:
                self.handshakes.discard(scope)

    def count_refused(self, refused: handshake.Refused) -> None:
        """Count a handshake that was answered with this."""
        self.counters.refused[refused.status] += 1
        self.counters.refused_reasons[refused.reason] += 1

    def count_ended(self, end: End, peer: str, duration_s: float) -> None:
        """Count how an accepted connection ended, and log it.

        Every one at the level debug; else those that didn't end well, as far as they aren't many.
        """
        counters, outcome = self.counters, end.outcome
        counters.outcomes[outcome] += 1
        if counters.draining and counters.ended == counters.accepted:
            self.all_gone.set()
        if self.settings.log_level == "debug":
            say = self.log.debug
        elif outcome is not Outcome.CLEAN:
            say = partial(self.sparing.info, kind=outcome)
        else:
            return
        say(
            "connection ended",
            outcome=outcome.value,
            peer=peer,
            duration_s=round(duration_s, 3),
            **end.details,
        )


async def serve_session(sock: socket.socket, presence: Presence) -> None:
    """Serve one accepted connection, which has its place, until it is over.

    Counts how it ended, and gives its place back. Raises nothing but `trio.Cancelled`: what goes
    wrong here is nobody else's business.
    """
    try:
        await _serve_accepted(sock, presence, presence.settings.open_timeout_s, admitted=True)
    finally:
        presence.admitted -= 1


async def turn_away(sock: socket.socket, presence: Presence) -> None:
    """Tell an accepted connection that there is no room; wait a moment for it to be gone."""
    timeout_s = min(presence.settings.open_timeout_s, REFUSAL_LINGER_S)
    try:
        await _serve_accepted(sock, presence, timeout_s, admitted=False)
    finally:
        presence.turned_away -= 1


def turn_away_at_once(sock: socket.socket, presence: Presence, refused: handshake.Refused) -> None:
    """Tell an accepted connection why not as far as that goes at once, and close it."""
    peer = sockets.peer_of(sock)
    with sock, suppress(OSError):
        if presence.tls is None:
            _send(sock, handshake.refusal_response(refused))
            # What is there unread would make this a reset, which may overtake the answer.
            sock.recv(handshake.MAX_HEAD_BYTES)
    presence.count_refused(refused)
    presence.count_ended(_refused(refused), peer, 0.0)


async def _serve_accepted(
    sock: socket.socket, presence: Presence, timeout_s: float, *, admitted: bool
) -> None:
    end = End(Outcome.FAILED)
    accepted_s = trio.current_time()
    # It can't be asked any more when the peer has reset.
    peer = Peer(sockets.peer_of(sock))
    try:
        if presence.settings.proxy_protocol and admission.is_trusted(peer.name, presence.proxies):
            unknown = await _learn_peer(sock, presence, accepted_s + timeout_s, peer)
            if unknown is not None:
                end = unknown
                return
        secured = await _secure(sock, presence, accepted_s + timeout_s)
        if isinstance(secured, End):
            end = secured
            return
        sock = secured
        opened = await _shake_hands(sock, presence, accepted_s + timeout_s, peer, admitted=admitted)
        end = opened if isinstance(opened, End) else await _serve(*opened, presence)
    except trio.Cancelled:
        end = End(Outcome.DROPPED)
        raise
    except Exception:  # noqa: BLE001 - the boundary: a bug ends one session, not the server
        presence.sparing.exception("session failed")
    finally:
        sock.close()
        presence.count_ended(end, peer.name, trio.current_time() - accepted_s)


async def _learn_peer(
    sock: socket.socket, presence: Presence, deadline_s: float, peer: Peer
) -> End | None:
    """Have a trusted proxy say who its client is; or how the connection ended instead."""
    try:
        with presence.opening(deadline_s) as opening:
            header = await proxy_protocol.receive(
                lambda: sockets.receive_some(sock, proxy_protocol.MAX_V2_BYTES, socket.MSG_PEEK),
                sock.recv,
            )
    except proxy_protocol.Malformed:
        refused = admission.no_proxy_header()
    except (proxy_protocol.Cut, OSError):
        return End(Outcome.CUT_IN_HANDSHAKE)
    else:
        if not opening.cancelled_caught:
            if header.source is not None:
                peer.name = admission.show_peer(*header.source)
            return None
        refused = admission.draining() if presence.counters.draining else admission.too_slow()
    presence.count_refused(refused)
    if presence.tls is None:  # Else it awaits TLS, and nothing that we could say is.
        await _refuse(sock, refused)
    return _refused(refused)


async def _secure(
    sock: socket.socket, presence: Presence, deadline_s: float
) -> socket.socket | End:
    """The socket, with TLS over it if it is served; or how the TLS handshake failed."""
    if presence.tls is None:
        return sock
    reason = "it took too long"
    with presence.opening(deadline_s):
        try:
            return await tls.shake_hands(sock, presence.tls)
        except (tls.TlsFailed, OSError) as exc:
            reason = str(exc)
    return End(Outcome.TLS_FAILED, {"reason": reason})


async def _shake_hands(
    sock: socket.socket, presence: Presence, deadline_s: float, peer: Peer, *, admitted: bool
) -> tuple[Connection, OnMessage | Performance] | End:
    """The connection and what it asked for; or how it ended. The request itself is let go of."""
    counters = presence.counters
    accepted_s = time.perf_counter()
    try:
        request, behaviour, surplus = await _receive_request(
            sock, presence, deadline_s, peer, admitted=admitted
        )
        # The first that it prefers: a browser fails a connection for which none is chosen.
        subprotocol = next(iter(request.subprotocols), None)
        offered = request.extensions if presence.settings.compression else ()
        compression = deflate.accept(offered)
        _send(sock, handshake.accept_response(request, subprotocol, compression=compression))
        counters.handshake.observe(time.perf_counter() - accepted_s)
    except handshake.Refused as refused:
        presence.count_refused(refused)
        await _refuse(sock, refused)
        return _refused(refused)
    except (handshake.ConnectionCut, OSError):
        return End(Outcome.CUT_IN_HANDSHAKE)
    connection = Connection.opened(
        sock,
        client=False,
        limits=presence.limits,
        poller=presence.poller,
        path=request.target,
        subprotocol=subprotocol,
        surplus=surplus,
        compression=compression,
    )
    acting = behaviour(suffixes(presence.settings.seed))
    if not isinstance(acting, Script):
        return connection, acting
    opening = acting.opened(_about(request, subprotocol, compression, peer.name))
    return connection, Performance(connection, acting, opening)


def _about(
    request: handshake.UpgradeRequest,
    subprotocol: str | None,
    compression: deflate.Parameters | None,
    peer: str,
) -> About:
    return About(
        path=request.path,
        query=request.target.partition("?")[2],
        headers=request.headers,
        subprotocol=subprotocol,
        extensions=[str(compression)] if compression else [],
        peer=peer,
    )


async def _serve(
    connection: Connection, acting: OnMessage | Performance, presence: Presence
) -> End:
    counters = presence.counters
    presence.connections.add(connection)
    counters.open += 1
    counters.peak_open = max(counters.peak_open, counters.open)
    try:
        if isinstance(acting, Performance):
            await acting.run()
        else:
            await connection.run(acting)
    finally:
        if isinstance(acting, Performance):
            counters.messages_unanswered += acting.unanswered
        presence.connections.discard(connection)
        counters.open -= 1
        counters.add_traffic(connection)
        counters.close_codes[connection.close_code] += 1
    details = {
        "code": connection.close_code,
        "closed_first": connection.closed_first,
        "messages_received": connection.messages_received,
        "messages_sent": connection.messages_sent,
    }
    return End(_outcome(connection), details)


def _refused(refused: handshake.Refused) -> End:
    details = {"status": refused.status, "reason": refused.reason.value}
    return End(Outcome.REFUSED, details)


_TIMEOUTS: Final = {
    "write": Outcome.WRITE_TIMEOUT,
    "ping": Outcome.PING_TIMEOUT,
    "idle": Outcome.IDLE_TIMEOUT,
}


def _outcome(connection: Connection) -> Outcome:
    if connection.timed_out in _TIMEOUTS:
        return _TIMEOUTS[connection.timed_out]
    if connection.failure is not None:
        return Outcome.VIOLATION
    if connection.timed_out == "close":
        return Outcome.CLOSE_TIMEOUT
    return Outcome.CLEAN if connection.clean else Outcome.ABNORMAL


async def _receive_request(
    sock: socket.socket, presence: Presence, deadline_s: float, peer: Peer, *, admitted: bool
) -> tuple[handshake.UpgradeRequest, Behaviour, bytes]:
    """Read the handshake by the deadline, and decide on it."""
    with presence.opening(deadline_s) as opening:
        head, surplus = await handshake.receive_head(
            lambda: sockets.receive_some(sock, handshake.MAX_HEAD_BYTES)
        )
    if not admitted:
        raise admission.full()
    if presence.counters.draining:  # Also one that was read in the same moment: who says goodbye
        raise admission.draining()  # to those who are open has not seen it.
    if opening.cancelled_caught:
        raise admission.too_slow()
    try:
        request = handshake.parse_request(head)
    except handshake.NotAnUpgrade as exc:
        raise admission.not_an_upgrade(exc) from None
    if presence.proxies:
        forwarded_for = [value for name, value in request.headers if name == "x-forwarded-for"]
        peer.name = admission.client_of(peer.name, forwarded_for, presence.proxies)
    return request, admission.admit(request, presence.origins), surplus


def _send(sock: socket.socket, data: bytes) -> None:
    # A fresh socket's buffer takes a head whole; one that doesn't is no connection to keep.
    if sock.send(data) != len(data):
        raise OSError(errno.ENOBUFS, "the kernel did not take the handshake's answer")


async def _refuse(sock: socket.socket, refused: handshake.Refused) -> None:
    """Answer, then wait a moment for the client to be gone.

    Closing with bytes unread would send a reset, which may overtake the answer.
    """
    try:
        _send(sock, handshake.refusal_response(refused))
        sock.shutdown(socket.SHUT_WR)
        with trio.move_on_after(REFUSAL_LINGER_S):
            while await sockets.receive_some(sock, handshake.MAX_HEAD_BYTES):
                pass
    except OSError:
        pass  # It is gone already.
