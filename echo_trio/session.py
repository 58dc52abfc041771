"""Serve one connection from handshake to close, and keep its errors from the others."""

from __future__ import annotations

from typing import Final

import trio

from echo_trio import admission
from echo_trio.behaviours.player import ScriptPlayer
from echo_trio.behaviours.scripts import OnMessage
from echo_trio.callers import Caller, Peer, SessionEnd, Sessions
from echo_trio.metrics.counters import Outcome
from echo_trio.opening import REFUSAL_LINGER_S, open_connection
from echo_trio.proxy.pair import Pair
from echo_trio.wire import sockets
from echo_trio.wire.connection import Connection


async def serve_session(caller: Caller, sessions: Sessions) -> None:
    """Serve an accepted connection until it has ended.

    A caller that waits at the door has `REFUSAL_LINGER_S` to send its request; then it gets a
    place, or is told that there is none. Its end is counted, and its place given back. Raises
    nothing but `trio.Cancelled`: an error here must not end other connections.
    """
    end = SessionEnd(Outcome.FAILED)
    timeout_s = sessions.settings.open_timeout_s
    if caller.waits:
        timeout_s = min(timeout_s, REFUSAL_LINGER_S)
    # It can't be asked any more when the peer has reset.
    peer = Peer(sockets.peer_of(caller.sock))
    if sessions.observer is not None:
        caller.observer = sessions.observer.accepted(peer.name)
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
            end = SessionEnd.refusal(admission.displaced())
        if caller.observer is not None:
            caller.observer.ended(end.outcome, end.details)
        sessions.count_ended(end, peer.name, trio.current_time() - caller.accepted_s)


async def _serve_accepted(
    caller: Caller, sessions: Sessions, deadline_s: float, peer: Peer
) -> SessionEnd:
    opened = await open_connection(caller, sessions, deadline_s, peer)
    if isinstance(opened, SessionEnd):
        return opened
    sessions.places.settle(caller)
    if isinstance(opened, Pair):
        return await _serve_pair(opened, sessions)
    return await _serve(*opened, sessions)


async def _serve_pair(pair: Pair, sessions: Sessions) -> SessionEnd:
    """Serve a proxy's pair; it ends as its client's connection does."""
    upstream = pair.upstream
    sessions.upstreams.add(upstream)
    try:
        end = await _serve(pair.client, pair, sessions)
    finally:
        sessions.upstreams.discard(upstream)
        sessions.counters.messages_unanswered += pair.lost
        sessions.counters.upstream_close_codes[upstream.close_code] += 1
    details = {
        "upstream_code": upstream.close_code,
        "upstream_closed_first": upstream.closed_first,
        "lost": pair.lost,
    }
    outcome = Outcome.MEMORY if upstream.evicted else end.outcome
    return SessionEnd(outcome, {**end.details, **details})


async def _serve(
    connection: Connection, acting: OnMessage | ScriptPlayer | Pair, sessions: Sessions
) -> SessionEnd:
    counters = sessions.counters
    sessions.connections.add(connection)
    counters.open += 1
    counters.peak_open = max(counters.peak_open, counters.open)
    try:
        if isinstance(acting, ScriptPlayer | Pair):
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
