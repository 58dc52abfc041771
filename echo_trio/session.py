"""Serve one connection from handshake to close, and keep its errors from the others."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Final

import trio

from echo_trio import admission
from echo_trio.behaviours.player import ScriptPlayer
from echo_trio.behaviours.scripts import OnMessage
from echo_trio.callers import Caller, Peer, SessionEnd, Sessions
from echo_trio.metrics.counters import Outcome
from echo_trio.opening import REFUSAL_LINGER_S, open_connection
from echo_trio.proxy.pair import Pair
from echo_trio.wire.connection import Connection

#: The end of a session of which nothing else is known.
_FAILED: Final = SessionEnd(Outcome.FAILED)


async def serve_session(caller: Caller, sessions: Sessions) -> None:
    """Serve an accepted connection until it has ended.

    A caller that waits at the door has `REFUSAL_LINGER_S` to send its request; then it gets a
    place, or is told that there is none. Its end is counted, and its place given back. Raises
    nothing but `trio.Cancelled`: an error here must not end other connections.
    """
    # All in one coroutine, and nothing kept that is not needed any more: what an open connection
    # sleeps in is most of its memory (each coroutine between takes 250 bytes).
    end = _FAILED
    peer = _meet(caller, sessions)
    name = peer.name
    try:
        opened = await open_connection(caller, sessions, _deadline_of(caller, sessions), peer)
        name = peer.name
        del peer
        if isinstance(opened, SessionEnd):
            end = opened
        elif isinstance(opened, Pair):
            end = await _serve_pair(opened, sessions)
        else:
            sessions.places.settle(caller)
            connection, acting = opened
            del opened
            _count_opened(connection, sessions)
            try:
                await _run(connection, acting)
            finally:
                if isinstance(acting, ScriptPlayer):
                    sessions.counters.messages_unanswered += acting.unanswered
                _count_closed(connection, sessions)
            end = _end_of(connection)
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
        sessions.count_ended(end, name, trio.current_time() - caller.accepted_s)


def _meet(caller: Caller, sessions: Sessions) -> Peer:
    if sessions.observer is not None:
        caller.observer = sessions.observer.accepted(caller.peer)
    return Peer(caller.peer)


def _run(connection: Connection, acting: OnMessage | ScriptPlayer) -> Awaitable[None]:
    return acting.run() if isinstance(acting, ScriptPlayer) else connection.run(acting)


def _deadline_of(caller: Caller, sessions: Sessions) -> float:
    """Return Trio's time by which a handshake has to be done."""
    timeout_s = sessions.settings.open_timeout_s
    if caller.waits:
        timeout_s = min(timeout_s, REFUSAL_LINGER_S)
    return caller.accepted_s + timeout_s


async def _serve_pair(pair: Pair, sessions: Sessions) -> SessionEnd:
    """Serve a proxy's pair; it ends as its client's connection does."""
    upstream = pair.upstream
    sessions.upstreams.add(upstream)
    _count_opened(pair.client, sessions)
    try:
        await pair.run()
    finally:
        _count_closed(pair.client, sessions)
        sessions.upstreams.discard(upstream)
        sessions.counters.messages_unanswered += pair.lost
        sessions.counters.upstream_close_codes[upstream.close_code] += 1
    details = {
        "upstream_code": upstream.close_code,
        "upstream_closed_first": upstream.closed_first,
        "lost": pair.lost,
    }
    end = _end_of(pair.client)
    outcome = Outcome.MEMORY if upstream.evicted else end.outcome
    return SessionEnd(outcome, {**end.details, **details})


def _count_opened(connection: Connection, sessions: Sessions) -> None:
    counters = sessions.counters
    sessions.connections.add(connection)
    counters.open += 1
    counters.peak_open = max(counters.peak_open, counters.open)


def _count_closed(connection: Connection, sessions: Sessions) -> None:
    counters = sessions.counters
    sessions.connections.discard(connection)
    counters.open -= 1
    counters.add_traffic(connection)
    counters.close_codes[connection.close_code] += 1


def _end_of(connection: Connection) -> SessionEnd:
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
