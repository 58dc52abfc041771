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

from echo_trio import admission, proxies
from echo_trio.behaviours.about import About
from echo_trio.behaviours.player import ScriptPlayer
from echo_trio.behaviours.scripts import Behaviour, OnMessage, Script
from echo_trio.behaviours.transform import suffixes
from echo_trio.logs import Sparing
from echo_trio.metrics.counters import Counters, Outcome
from echo_trio.places import Places
from echo_trio.settings import Settings
from echo_trio.wire import deflate, handshake, proxy_protocol, sockets, tls
from echo_trio.wire.budget import Budget
from echo_trio.wire.connection import Connection, Limits
from echo_trio.wire.poller import Poller
from echo_trio.wire.watch import Watch

#: How long a refused client may take to read our answer before the connection is cut.
REFUSAL_LINGER_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class SessionEnd:
    """How a connection ended, and what there is to say of it in the log."""

    outcome: Outcome
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Peer:
    """Who is at the other end, as far as is known: a trusted proxy may say that it is another.

    For what is shown and logged. Nothing is decided by it.
    """

    name: str


@dataclass(eq=False, slots=True)
class Caller:
    """A connection that was accepted, until its handshake is done.

    :ivar sock: what it talks over; with TLS over it once that begins.
    :ivar heard_s: when something arrived from it last; at first, `accepted_s`.
    :ivar has_place: whether it holds one of the `Places`; `waits`: or waits for one.
    :ivar answered: it was refused, and is awaited for a moment to read why.
    :ivar displaced: a newcomer has its place, and its socket is closed.
    """

    sock: socket.socket
    accepted_s: float
    heard_s: float = field(init=False)
    has_place: bool = False
    waits: bool = False
    answered: bool = False
    displaced: bool = False

    def __post_init__(self) -> None:
        self.heard_s = self.accepted_s

    def has_unread(self) -> bool:
        """Has something arrived that was not read yet?"""
        return sockets.is_readable(self.sock)


@dataclass(slots=True)
class Sessions:
    """Who is connected, and what the sessions share. Drained by `server`.

    :ivar tls: what to serve TLS with, if it is served.
    :ivar limits: what a connection allows its client.
    :ivar budget: what all connections may hold together.
    :ivar origins: whose pages may connect; none stands for all.
    :ivar proxies: who may say that its client is another; none stands for nobody.
    :ivar openings: what to cancel to interrupt each handshake under way.
    :ivar places: of all that are connected.
    :ivar all_gone: set when, while draining, the last connection has ended.
    """

    settings: Settings
    poller: Poller | None
    tls: ssl.SSLContext | None
    log: Any
    counters: Counters
    places: Places[Caller]
    openings: set[trio.CancelScope] = field(default_factory=set)
    all_gone: trio.Event = field(default_factory=trio.Event)
    limits: Limits = field(init=False)
    budget: Budget = field(init=False)
    origins: frozenset[admission.Origin | None] = field(init=False)
    proxies: tuple[proxies.Network, ...] = field(init=False)
    connections: Watch = field(init=False)
    sparing: Sparing = field(init=False)

    def __post_init__(self) -> None:
        self.limits = self.settings.limits
        self.budget = Budget(self.settings.max_held_bytes)
        self.origins = frozenset(map(admission.parse_origin, self.settings.origin))
        self.proxies = tuple(filter(None, map(proxies.parse_network, self.settings.trust_proxy)))
        self.connections = Watch(self.limits)
        self.sparing = Sparing(self.log)

    @contextmanager
    def opening(self, deadline_s: float) -> Iterator[trio.CancelScope]:
        """A part of a handshake: cancelled at the deadline, or when the server drains."""
        with trio.CancelScope(deadline=deadline_s) as scope:
            self.openings.add(scope)
            if self.counters.draining:
                scope.cancel()
            try:
                yield scope
            finally:
                self.openings.discard(scope)

    def count_refused(self, refused: handshake.HandshakeRefused) -> None:
        """Count a handshake that was answered with this."""
        self.counters.refused[refused.status] += 1
        self.counters.refused_reasons[refused.reason] += 1

    def count_ended(self, end: SessionEnd, peer: str, duration_s: float) -> None:
        """Count how an accepted connection ended, and log it.

        Every one at the level debug; else those that didn't end well, as far as they aren't many.
        """
        counters, outcome = self.counters, end.outcome
        counters.outcomes[outcome] += 1
        if counters.draining and counters.ended == counters.accepted:
            self.all_gone.set()
        if self.settings.log_level == "debug":
            say = self.log.debug
        elif outcome is Outcome.MEMORY:  # Neither the client's fault nor ours: too little memory.
            say = partial(self.sparing.warning, kind=outcome)
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


def make_room(sessions: Sessions) -> bool:
    """Send away the handshake that has been silent for longest, if it has been for long enough.

    Its socket is closed at once, so that its descriptor is there for a newcomer; its task finds
    that out by itself.
    """
    caller = sessions.places.longest_silent(trio.current_time(), Caller.has_unread)
    if caller is None:
        return False
    if not caller.answered:
        caller.displaced = True
        refused = admission.displaced()
        sessions.count_refused(refused)
        if sessions.tls is None:
            with suppress(OSError):
                _send(caller.sock, handshake.refusal_response(refused))
    trio.lowlevel.notify_closing(caller.sock)
    caller.sock.close()
    return True


async def serve_session(caller: Caller, sessions: Sessions) -> None:
    """Serve an accepted connection until it is over.

    One that waits at the door has a moment to say what it wants; then it gets a place, or is told
    that there is none. Counts how it ended, and gives its place back. Raises nothing but
    `trio.Cancelled`: what goes wrong here is nobody else's business.
    """
    end = SessionEnd(Outcome.FAILED)
    timeout_s = sessions.settings.open_timeout_s
    if caller.waits:
        timeout_s = min(timeout_s, REFUSAL_LINGER_S)
    # It can't be asked any more when the peer has reset.
    peer = Peer(sockets.peer_of(caller.sock))
    try:
        end = await _serve_accepted(caller, sessions, caller.accepted_s + timeout_s, peer)
    except trio.Cancelled:
        end = SessionEnd(Outcome.DROPPED)
        raise
    except Exception:  # noqa: BLE001 - the boundary: a bug ends one session, not the server
        if not caller.displaced:
            sessions.sparing.exception("session failed")
    finally:
        caller.sock.close()
        sessions.places.leave(caller)
        if caller.displaced:
            end = _refused(admission.displaced())
        sessions.count_ended(end, peer.name, trio.current_time() - caller.accepted_s)


def turn_away_at_once(
    sock: socket.socket, sessions: Sessions, refused: handshake.HandshakeRefused
) -> None:
    """Tell an accepted connection why not as far as that goes at once, and close it."""
    peer = sockets.peer_of(sock)
    with sock, suppress(OSError):
        if sessions.tls is None:
            _send(sock, handshake.refusal_response(refused))
            # What is there unread would make this a reset, which may overtake the answer.
            sock.recv(handshake.MAX_HEAD_BYTES)
    sessions.count_refused(refused)
    sessions.count_ended(_refused(refused), peer, 0.0)


async def _serve_accepted(
    caller: Caller, sessions: Sessions, deadline_s: float, peer: Peer
) -> SessionEnd:
    if sessions.settings.proxy_protocol and proxies.is_trusted(peer.name, sessions.proxies):
        unknown = await _learn_peer(caller, sessions, deadline_s, peer)
        if unknown is not None:
            return unknown
    if sessions.tls is not None:
        insecure = await _secure(caller, sessions, sessions.tls, deadline_s)
        if insecure is not None:
            return insecure
    opened = await _shake_hands(caller, sessions, deadline_s, peer)
    if isinstance(opened, SessionEnd):
        return opened
    sessions.places.settle(caller)
    return await _serve(*opened, sessions)


async def _hear(caller: Caller, sessions: Sessions, size_bytes: int, flags: int = 0) -> bytes:
    """Receive the next part of a handshake."""
    data = await sockets.receive_some(caller.sock, size_bytes, flags)
    sessions.places.hear(caller, trio.current_time())
    return data


async def _learn_peer(
    caller: Caller, sessions: Sessions, deadline_s: float, peer: Peer
) -> SessionEnd | None:
    """Have a trusted proxy say who its client is; or how the connection ended instead."""
    try:
        with sessions.opening(deadline_s) as opening:
            header = await proxy_protocol.receive(
                lambda: _hear(caller, sessions, proxy_protocol.MAX_V2_BYTES, socket.MSG_PEEK),
                caller.sock.recv,
            )
    except proxy_protocol.Malformed:
        refused = admission.no_proxy_header()
    except (proxy_protocol.Cut, OSError):
        return SessionEnd(Outcome.CUT_IN_HANDSHAKE)
    else:
        if not opening.cancelled_caught:
            if header.source is not None:
                peer.name = proxies.show_peer(*header.source)
            return None
        refused = admission.draining() if sessions.counters.draining else admission.too_slow()
    sessions.count_refused(refused)
    if sessions.tls is None:  # Else it awaits TLS, and nothing that we could say is.
        await _refuse(caller, sessions, refused)
    return _refused(refused)


async def _secure(
    caller: Caller, sessions: Sessions, context: ssl.SSLContext, deadline_s: float
) -> SessionEnd | None:
    """Put TLS over its socket; or how the TLS handshake failed."""

    def progress(sock: tls.TlsSocket) -> None:
        caller.sock = sock
        sessions.places.hear(caller, trio.current_time())

    reason = "it took too long"
    with sessions.opening(deadline_s):
        try:
            await tls.shake_hands(caller.sock, context, on_progress=progress)
        except (tls.TlsFailed, OSError) as exc:
            reason = str(exc)
        else:
            return None
    return SessionEnd(Outcome.TLS_FAILED, {"reason": reason})


async def _shake_hands(
    caller: Caller, sessions: Sessions, deadline_s: float, peer: Peer
) -> tuple[Connection, OnMessage | ScriptPlayer] | SessionEnd:
    """The connection and what it asked for; or how it ended. The request itself is let go of."""
    counters = sessions.counters
    accepted_s = time.perf_counter()
    try:
        request, behaviour, surplus = await _receive_request(caller, sessions, deadline_s, peer)
        # The first that it prefers: a browser fails a connection for which none is chosen.
        subprotocol = next(iter(request.subprotocols), None)
        offered = request.extensions if sessions.settings.compression else ()
        compression = deflate.accept(offered)
        _send(caller.sock, handshake.accept_response(request, subprotocol, compression=compression))
        counters.handshake.observe(time.perf_counter() - accepted_s)
    except handshake.HandshakeRefused as refused:
        sessions.count_refused(refused)
        await _refuse(caller, sessions, refused)
        return _refused(refused)
    except (handshake.ConnectionCut, OSError):
        return SessionEnd(Outcome.CUT_IN_HANDSHAKE)
    connection = Connection.opened(
        caller.sock,
        client=False,
        limits=sessions.limits,
        poller=sessions.poller,
        path=request.target,
        subprotocol=subprotocol,
        surplus=surplus,
        compression=compression,
        budget=sessions.budget,
    )
    acting = behaviour(suffixes(sessions.settings.seed))
    if not isinstance(acting, Script):
        return connection, acting
    opening = acting.opened(_about(request, subprotocol, compression, peer.name))
    return connection, ScriptPlayer(connection, acting, opening)


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
    connection: Connection, acting: OnMessage | ScriptPlayer, sessions: Sessions
) -> SessionEnd:
    counters = sessions.counters
    sessions.connections.add(connection)
    counters.open += 1
    counters.peak_open = max(counters.peak_open, counters.open)
    try:
        if isinstance(acting, ScriptPlayer):
            await acting.run()
        else:
            await connection.run(acting)
    finally:
        if isinstance(acting, ScriptPlayer):
            counters.messages_unanswered += acting.unanswered
        sessions.connections.discard(connection)
        counters.open -= 1
        counters.add_traffic(connection)
        counters.close_codes[connection.close_code] += 1
    details = {
        "code": connection.close_code,
        "closed_first": connection.closed_first,
        "messages_received": connection.messages_received,
        "messages_sent": connection.messages_sent,
    }
    return SessionEnd(_outcome(connection), details)


def _refused(refused: handshake.HandshakeRefused) -> SessionEnd:
    details = {"status": refused.status, "reason": refused.reason.value}
    return SessionEnd(Outcome.REFUSED, details)


_TIMEOUTS: Final = {
    "write": Outcome.WRITE_TIMEOUT,
    "ping": Outcome.PING_TIMEOUT,
    "idle": Outcome.IDLE_TIMEOUT,
}


def _outcome(connection: Connection) -> Outcome:
    if connection.evicted:
        return Outcome.MEMORY
    if connection.timed_out in _TIMEOUTS:
        return _TIMEOUTS[connection.timed_out]
    if connection.failure is not None:
        return Outcome.VIOLATION
    if connection.timed_out == "close":
        return Outcome.CLOSE_TIMEOUT
    return Outcome.CLEAN if connection.clean else Outcome.ABNORMAL


async def _receive_request(
    caller: Caller, sessions: Sessions, deadline_s: float, peer: Peer
) -> tuple[handshake.UpgradeRequest, Behaviour, bytes]:
    """Read the handshake by the deadline, and decide on it."""
    with sessions.opening(deadline_s) as opening:
        head, surplus = await handshake.receive_head(
            lambda: _hear(caller, sessions, handshake.MAX_HEAD_BYTES)
        )
    if sessions.counters.draining:  # Also one that was read in the same moment: who says goodbye
        raise admission.draining()  # to those who are open has not seen it.
    if opening.cancelled_caught:
        raise admission.full() if caller.waits else admission.too_slow()
    if caller.waits and not _let_in(caller, sessions):
        raise admission.full()
    try:
        request = handshake.parse_request(head)
    except handshake.NotAnUpgrade as exc:
        raise admission.not_an_upgrade(exc) from None
    if sessions.proxies:
        forwarded_for = [value for name, value in request.headers if name == "x-forwarded-for"]
        peer.name = proxies.client_of(peer.name, forwarded_for, sessions.proxies)
    return request, admission.admit(request, sessions.origins), surplus


def _let_in(caller: Caller, sessions: Sessions) -> bool:
    """Give a place to one that has waited at the door, and has said what it wants."""
    places = sessions.places
    return places.enter(caller) or (make_room(sessions) and places.enter(caller))


def _send(sock: socket.socket, data: bytes) -> None:
    # A fresh socket's buffer takes a head whole; one that doesn't is no connection to keep.
    if sock.send(data) != len(data):
        raise OSError(errno.ENOBUFS, "the kernel did not take the handshake's answer")


async def _refuse(caller: Caller, sessions: Sessions, refused: handshake.HandshakeRefused) -> None:
    """Answer, then wait a moment for the client to be gone, unless its place is needed.

    Closing with bytes unread would send a reset, which may overtake the answer.
    """
    caller.answered = True
    sessions.places.dismiss(caller)
    sock = caller.sock
    with suppress(OSError, trio.ClosedResourceError):  # It is gone already, or was sent away.
        _send(sock, handshake.refusal_response(refused))
        sock.shutdown(socket.SHUT_WR)
        with trio.move_on_after(REFUSAL_LINGER_S):
            while await sockets.receive_some(sock, handshake.MAX_HEAD_BYTES):
                pass
