"""Who has connected, as a proxy in front of us says it."""

from __future__ import annotations

import socket
from types import SimpleNamespace
from typing import Any

import pytest
import trio

from echo_trio.callers import Peer
from echo_trio.opening import _learn_peer


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
