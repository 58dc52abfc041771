"""Who has connected, as a proxy in front of us says it."""

from __future__ import annotations

import socket
from types import SimpleNamespace
from typing import Any

import pytest
import trio

from echo_trio.callers import Peer
from echo_trio.opening import _learn_peer, _receive_request, make_room
from echo_trio.wire.handshake import HandshakeRefused


@pytest.mark.parametrize(
    ("header", "name"),
    [
        (b"PROXY TCP4 203.0.113.9 127.0.0.1 4711 80\r\n", "203.0.113.9:4711"),
        (b"PROXY UNKNOWN\r\n", "127.0.0.1:5"),
    ],
)
async def test_who_a_trusted_proxy_names_is_the_client_and_the_last_hop(
    header: bytes, name: str
) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(header)
        ours.setblocking(False)
        caller: Any = SimpleNamespace(sock=ours)
        sessions: Any = SimpleNamespace(
            opening=lambda deadline_s: trio.CancelScope(deadline=deadline_s),
            places=SimpleNamespace(hear=lambda *_: None),
        )
        peer = Peer("127.0.0.1:5")
        assert await _learn_peer(caller, sessions, trio.current_time() + 600, peer) is None
    assert (peer.name, peer.hop) == (name, name)


@pytest.mark.parametrize("is_tls", [False, True])
@pytest.mark.parametrize("is_answered", [False, True])
async def test_who_is_sent_away_is_refused_once_and_its_socket_is_there_for_the_next(
    is_answered: bool, is_tls: bool
) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        caller: Any = SimpleNamespace(sock=ours, answered=is_answered, displaced=False)
        refused = list[HandshakeRefused]()
        sessions: Any = SimpleNamespace(
            places=SimpleNamespace(longest_silent=lambda *_: caller),
            count_refused=refused.append,
            tls=object() if is_tls else None,
        )
        assert make_room(sessions)
        assert caller.displaced is (not is_answered)
        assert [each.status for each in refused] == [503] * (not is_answered)
        assert ours.fileno() == -1
        theirs.settimeout(60)
        said = b"".join(iter(lambda: theirs.recv(4096), b""))
        assert bool(said) is (not is_answered and not is_tls)
        assert said[:13] in {b"", b"HTTP/1.1 503 "}
    sessions.places.longest_silent = lambda *_: None
    assert not make_room(sessions)


@pytest.mark.parametrize("is_draining", [False, True])
async def test_a_request_that_is_there_as_the_server_begins_to_stop_is_refused(
    is_draining: bool,
) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        theirs.sendall(
            b"GET / HTTP/1.1\r\nHost: here\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        caller: Any = SimpleNamespace(sock=ours, waits=False, observer=None)
        sessions: Any = SimpleNamespace(
            counters=SimpleNamespace(draining=is_draining),
            opening=lambda deadline_s: trio.CancelScope(deadline=deadline_s),
            places=SimpleNamespace(hear=lambda *_: None),
            proxies=(),
            tls=None,
        )
        peer = Peer("127.0.0.1:5")
        if is_draining:
            with pytest.raises(HandshakeRefused) as refused:
                await _receive_request(caller, sessions, trio.current_time() + 600, peer)
            assert refused.value.status == 503
        else:
            request, surplus = await _receive_request(
                caller, sessions, trio.current_time() + 600, peer
            )
            assert (request.path, surplus) == ("/", b"")
