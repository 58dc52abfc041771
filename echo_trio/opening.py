"""Open a connection on the server: PROXY header, TLS, handshake; or say why it is refused."""

from __future__ import annotations

import socket
import ssl
import time
from contextlib import suppress
from typing import Final

import trio

from echo_trio import admission, proxies
from echo_trio.behaviours.about import About
from echo_trio.behaviours.player import ScriptPlayer
from echo_trio.behaviours.scripts import Faulty, OnMessage, Script
from echo_trio.behaviours.transform import suffixes
from echo_trio.callers import Caller, Peer, SessionEnd, Sessions
from echo_trio.metrics.counters import Outcome
from echo_trio.pair_opening import open_pair
from echo_trio.proxy.pair import Pair
from echo_trio.proxy.proxy import Proxy
from echo_trio.wire import deflate, handshake, proxy_protocol, server_handshake, sockets, tls
from echo_trio.wire.connection import Connection
from echo_trio.wire.observed import ObservedConnection

#: The time a refused client has to read our answer before the connection is cut.
REFUSAL_LINGER_S: Final = 1.0
#: What it may send in that time; a flood is not read for as long as it can be kept up.
REFUSAL_LINGER_BYTES: Final = 2**20
#: Behaviours that a player carries out; the others take each message themselves.
_PLAYED: Final = (Script, Faulty)


def make_room(sessions: Sessions) -> bool:
    """Send away the handshake that has been silent for longest, if for `SILENCE_S` or more.

    Its socket is closed at once, so that its descriptor is there for a newcomer; its task finds
    that out by itself.

    :returns: true if there was one.
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
                sockets.send_head(caller.sock, server_handshake.refusal_response(refused))
    trio.lowlevel.notify_closing(caller.sock)
    caller.sock.close()
    return True


def turn_away_at_once(
    sock: socket.socket, peer: str, sessions: Sessions, refused: handshake.HandshakeRefused
) -> None:
    """Refuse an accepted connection as far as that goes without waiting, and close it."""
    with sock, suppress(OSError):
        if sessions.tls is None:
            sockets.send_head(sock, server_handshake.refusal_response(refused))
            # Unread bytes would turn this close into a reset, which may overtake the answer.
            sock.recv(handshake.MAX_HEAD_BYTES)
    sessions.count_refused(refused)
    end = SessionEnd.refusal(refused)
    if sessions.observer is not None:
        sessions.observer.accepted(peer).ended(end.outcome, end.details)
    sessions.count_ended(end, peer, 0.0)


async def open_connection(
    caller: Caller, sessions: Sessions, deadline_s: float, peer: Peer
) -> tuple[Connection, OnMessage | ScriptPlayer] | Pair | SessionEnd:
    """Open a caller's connection and find the behaviour it asked for; or return how it ended.

    :param deadline_s: Trio's time by which the handshake has to be done.
    :param peer: the peer; changed if a trusted proxy names its client.
    """
    if sessions.settings.proxy_protocol and proxies.is_trusted(peer.name, sessions.proxies):
        unknown = await _learn_peer(caller, sessions, deadline_s, peer)
        if unknown is not None:
            return unknown
    if sessions.tls is not None:
        insecure = await _secure(caller, sessions, sessions.tls, deadline_s)
        if insecure is not None:
            return insecure
    if sessions.proxy is not None:
        return await _open_pair(caller, sessions, sessions.proxy, deadline_s, peer)
    return await _shake_hands(caller, sessions, deadline_s, peer)


async def _open_pair(
    caller: Caller, sessions: Sessions, proxy: Proxy, deadline_s: float, peer: Peer
) -> Pair | SessionEnd:
    """Open a proxy's pair of connections; or return how the client's ended."""
    accepted_s = time.perf_counter()
    try:
        request, surplus = await _receive_request(caller, sessions, deadline_s, peer)
        admission.check_origin(request, sessions.origins)
        sessions.places.settle(caller)
        opened = await open_pair(caller, sessions, proxy, request, surplus, peer)
        sessions.counters.handshake.observe(time.perf_counter() - accepted_s)
    except handshake.HandshakeRefused as refused:
        sessions.count_refused(refused)
        if not caller.answered:
            await _refuse(caller, sessions, refused)
        else:
            await _linger(caller, sessions)
        return SessionEnd.refusal(refused)
    except (handshake.ConnectionCut, OSError):
        return SessionEnd(Outcome.CUT_IN_HANDSHAKE)
    return opened


async def _hear(caller: Caller, sessions: Sessions, size_bytes: int, flags: int = 0) -> bytes:
    """Receive the next part of a handshake."""
    data = await sockets.receive_some(caller.sock, size_bytes, flags)
    sessions.places.hear(caller, trio.current_time())
    return data


async def _learn_peer(
    caller: Caller, sessions: Sessions, deadline_s: float, peer: Peer
) -> SessionEnd | None:
    """Let a trusted proxy say who its client is; or return how the connection ended."""
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
                peer.name = peer.hop = proxies.show_peer(*header.source)
            return None
        refused = admission.draining() if sessions.counters.draining else admission.too_slow()
    sessions.count_refused(refused)
    if sessions.tls is None:  # Else it awaits TLS, and nothing that we could say is.
        await _refuse(caller, sessions, refused)
    return SessionEnd.refusal(refused)


async def _secure(
    caller: Caller, sessions: Sessions, context: ssl.SSLContext, deadline_s: float
) -> SessionEnd | None:
    """Do the TLS handshake on its socket; or return how that failed."""

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
    """Do the WebSocket handshake; or return how the connection ended.

    The request is local to this function, so that it is freed while the connection lives.
    """
    counters = sessions.counters
    accepted_s = time.perf_counter()
    try:
        request, surplus = await _receive_request(caller, sessions, deadline_s, peer)
        behaviour = admission.admit(request, sessions.origins, sessions.workers)
        # The client's first choice: a browser fails a connection for which none is chosen.
        subprotocol = next(iter(request.subprotocols), None)
        compression = None
        if request.extensions and sessions.settings.compression:
            compression = deflate.accept(request.extensions)
        sockets.send_head(
            caller.sock,
            server_handshake.accept_response(request, subprotocol, compression=compression),
        )
        counters.handshake.observe(time.perf_counter() - accepted_s)
    except handshake.HandshakeRefused as refused:
        sessions.count_refused(refused)
        await _refuse(caller, sessions, refused)
        return SessionEnd.refusal(refused)
    except (handshake.ConnectionCut, OSError):
        return SessionEnd(Outcome.CUT_IN_HANDSHAKE)
    observer = caller.observer
    kind = Connection if observer is None else ObservedConnection
    connection = kind.opened(
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
    if isinstance(connection, ObservedConnection):
        assert observer is not None
        connection.observer = observer
        observer.opened(subprotocol, [str(compression)] if compression else [])
    acting = behaviour(suffixes(sessions.settings.seed))
    if not isinstance(acting, _PLAYED):
        return connection, acting
    return connection, ScriptPlayer(
        connection,
        acting,
        _about(request, subprotocol, compression, peer.name),
        counters=counters,
        rooms=sessions.rooms,
        open_timeout_s=sessions.settings.open_timeout_s,
    )


def _about(
    request: server_handshake.UpgradeRequest,
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


async def _receive_request(
    caller: Caller, sessions: Sessions, deadline_s: float, peer: Peer
) -> tuple[server_handshake.UpgradeRequest, bytes]:
    """Read the handshake by the deadline.

    It mostly has arrived by now, since it follows right behind the connection: then there is
    nothing to wait for, and nothing that a deadline would have to bound.
    """
    first = _receive_first(caller)
    whole = handshake.whole_head(first) if first else None
    if whole is None:

        async def receive() -> bytes:
            nonlocal first
            if first is None:
                return await _hear(caller, sessions, handshake.MAX_HEAD_BYTES)
            data, first = first, None
            sessions.places.hear(caller, trio.current_time())
            return data

        with sessions.opening(deadline_s):
            whole = await handshake.receive_head(receive)
    if sessions.counters.draining:  # Also if it was read in the same moment: the drain closes the
        raise admission.draining()  # connections that are open, and this one is not among them.
    if whole is None:
        raise admission.full() if caller.waits else admission.too_slow()
    head, surplus = whole
    if caller.waits and not _let_in(caller, sessions):
        raise admission.full()
    try:
        request = server_handshake.parse_request(head)
    except server_handshake.NotAnUpgrade as exc:
        if sessions.proxy is not None:
            raise
        raise admission.not_an_upgrade(exc, sessions.workers) from None
    if caller.observer is not None:
        caller.observer.requested(request)
    if sessions.proxies:
        forwarded_for = [value for name, value in request.headers if name == "x-forwarded-for"]
        peer.name = proxies.client_of(peer.name, forwarded_for, sessions.proxies)
    return request, surplus


def _receive_first(caller: Caller) -> bytes | None:
    """Receive what has arrived already; ``None`` if that is nothing."""
    try:
        return caller.sock.recv(handshake.MAX_HEAD_BYTES)
    except BlockingIOError:
        return None


def _let_in(caller: Caller, sessions: Sessions) -> bool:
    """Give a place to a caller that has waited at the door, now that its request has arrived."""
    places = sessions.places
    return places.enter(caller) or (make_room(sessions) and places.enter(caller))


async def _refuse(caller: Caller, sessions: Sessions, refused: handshake.HandshakeRefused) -> None:
    """Answer, then wait a moment for the client to leave, unless its place is needed.

    Closing with bytes unread would send a reset, which may overtake the answer.
    """
    caller.answered = True
    with suppress(OSError):  # It is gone already, or was sent away.
        sockets.send_head(caller.sock, server_handshake.refusal_response(refused))
    await _linger(caller, sessions)


async def _linger(caller: Caller, sessions: Sessions) -> None:
    """Wait a moment for a client that was answered to leave, unless its place is needed."""
    sessions.places.dismiss(caller)
    sock = caller.sock
    with suppress(OSError, trio.ClosedResourceError):
        sock.shutdown(socket.SHUT_WR)
        with trio.move_on_after(REFUSAL_LINGER_S):
            received = 0
            while received < REFUSAL_LINGER_BYTES and (
                data := await sockets.receive_some(sock, handshake.MAX_HEAD_BYTES)
            ):
                received += len(data)
