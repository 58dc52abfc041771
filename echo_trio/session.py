"""One connection's life: handshake, echo, close. And the boundary that keeps its errors its own."""

from __future__ import annotations

import errno
import socket
import time
from dataclasses import dataclass, field
from typing import Any, Final

import trio

from echo_trio import admission
from echo_trio.metrics import Counters, Outcome
from echo_trio.performance import Performance
from echo_trio.scripts import About, Behaviour, OnMessage, Script
from echo_trio.settings import Settings
from echo_trio.transform import suffixes
from echo_trio.wire import deflate, handshake, sockets
from echo_trio.wire.connection import Connection, Limits
from echo_trio.wire.poller import Poller

#: How long a refused client may take to read our answer before the connection is cut.
REFUSAL_LINGER_S: Final = 1.0


@dataclass(slots=True)
class Presence:
    """Who is connected, and what the sessions share. Drained by `server`.

    :ivar limits: what a connection allows its client.
    :ivar handshakes: what to cancel to interrupt each handshake under way.
    :ivar all_gone: set when, while draining, the last connection has ended.
    """

    settings: Settings
    poller: Poller | None
    log: Any
    counters: Counters
    handshakes: set[trio.CancelScope] = field(default_factory=set)
    connections: set[Connection] = field(default_factory=set)
    all_gone: trio.Event = field(default_factory=trio.Event)
    limits: Limits = field(init=False)

    def __post_init__(self) -> None:
        self.limits = self.settings.limits


async def serve_session(sock: socket.socket, presence: Presence) -> None:
    """Serve one accepted connection until it is over, and count how it ended.

    Raises nothing but `trio.Cancelled`: what goes wrong here is nobody else's business.
    """
    counters = presence.counters
    outcome = Outcome.FAILED
    try:
        opened = await _shake_hands(sock, presence)
        outcome = opened if isinstance(opened, Outcome) else await _serve(*opened, presence)
    except trio.Cancelled:
        outcome = Outcome.DROPPED
        raise
    except Exception:  # the boundary: a bug ends one session, not the server
        presence.log.exception("session failed")
    finally:
        sock.close()
        counters.outcomes[outcome] += 1
        if counters.draining and counters.ended == counters.accepted:
            presence.all_gone.set()


async def _shake_hands(
    sock: socket.socket, presence: Presence
) -> tuple[Connection, OnMessage | Performance] | Outcome:
    """The connection and what it asked for; or how it ended. The request itself is let go of."""
    counters = presence.counters
    counters.handshaking += 1
    accepted_s = time.perf_counter()
    try:
        try:
            request, behaviour, surplus = await _receive_request(sock, presence)
            # The first that it prefers: a browser fails a connection for which none is chosen.
            subprotocol = next(iter(request.subprotocols), None)
            offered = request.extensions if presence.settings.compression else ()
            compression = deflate.accept(offered)
            _send(sock, handshake.accept_response(request, subprotocol, compression=compression))
            counters.handshake.observe(time.perf_counter() - accepted_s)
        finally:
            counters.handshaking -= 1
    except handshake.Refused as refused:
        counters.refused[refused.status] += 1
        await _refuse(sock, refused)
        return Outcome.REFUSED
    except (handshake.ConnectionCut, OSError):
        return Outcome.CUT_IN_HANDSHAKE
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
    opening = acting.opened(_about(request, subprotocol, compression, sock))
    return connection, Performance(connection, acting, opening)


def _about(
    request: handshake.UpgradeRequest,
    subprotocol: str | None,
    compression: deflate.Parameters | None,
    sock: socket.socket,
) -> About:
    try:
        host, port, *_ = sock.getpeername()
        peer = sockets.authority(host, port)
    except OSError:  # It is gone already: so nobody will read this.
        peer = ""
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
) -> Outcome:
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
    outcome = _outcome(connection)
    counters.close_codes[connection.close_code] += 1
    presence.log.debug(
        "connection ended",
        outcome=outcome.value,
        code=connection.close_code,
        closed_first=connection.closed_first,
        messages=connection.messages_received,
    )
    return outcome


def _outcome(connection: Connection) -> Outcome:
    if connection.timed_out == "write":
        return Outcome.WRITE_TIMEOUT
    if connection.failure is not None:
        return Outcome.VIOLATION
    if connection.timed_out == "close":
        return Outcome.CLOSE_TIMEOUT
    return Outcome.CLEAN if connection.clean else Outcome.ABNORMAL


async def _receive_request(
    sock: socket.socket, presence: Presence
) -> tuple[handshake.UpgradeRequest, Behaviour, bytes]:
    """Read the handshake and decide on it, within the open timeout."""

    async def receive() -> bytes:
        await trio.lowlevel.wait_readable(sock)
        return sock.recv(handshake.MAX_HEAD_BYTES)

    with trio.move_on_after(presence.settings.open_timeout_s) as opening:
        presence.handshakes.add(opening)
        if presence.counters.draining:
            opening.cancel()
        try:
            head, surplus = await handshake.receive_head(receive)
        finally:
            presence.handshakes.discard(opening)
        request = handshake.parse_request(head)
        return request, admission.admit(request), surplus
    raise admission.draining() if presence.counters.draining else admission.too_slow()


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
            while True:
                await trio.lowlevel.wait_readable(sock)
                if not sock.recv(handshake.MAX_HEAD_BYTES):
                    return
    except OSError:
        pass  # It is gone already.
