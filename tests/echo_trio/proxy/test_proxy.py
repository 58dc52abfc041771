"""The faults before a path are the proxy's, and the rest of it is the upstream's."""

from __future__ import annotations

import ssl

import pytest

from echo_trio.proxy.proxy import Proxy, split_target
from echo_trio.wire import deflate
from echo_trio.wire.handshake import HandshakeRefused, Reason


@pytest.mark.parametrize(
    ("target", "outgoing", "incoming", "rest"),
    [
        ("/", [], [], "/"),
        ("/room?a=~b", [], [], "/room?a=~b"),
        ("/a/~delay/1s", [], [], "/a/~delay/1s"),
        ("/~silent", ["silent"], [], "/"),
        ("/~silent/", ["silent"], [], "/"),
        ("/~silent/~up-drop/3/room?a=/~b", ["silent"], ["up-drop"], "/room?a=/~b"),
        ("/~silent/~/~silent", ["silent"], [], "/~silent"),
        ("/~/x", [], [], "/x"),
        ("/~silent?", ["silent"], [], "/?"),
    ],
)
def test_faults_come_first_and_the_upstream_gets_the_rest(
    target: str, outgoing: list[str], incoming: list[str], rest: str
) -> None:
    prefix, left = split_target(target)
    assert [make.name for make in prefix.outgoing] == outgoing
    assert [make.name for make in prefix.incoming] == incoming
    assert (left, prefix.refusal) == (rest, None)


@pytest.mark.parametrize(
    ("target", "status", "reason", "says"),
    [
        ("/~silnet/x", 404, Reason.PATH, "did you mean ~silent?"),
        ("/~delay/x/y", 400, Reason.PARAMETER, "~delay takes"),
    ],
)
def test_what_is_no_fault_is_told_as_no_path_would_be(
    target: str, status: int, reason: Reason, says: str
) -> None:
    with pytest.raises(HandshakeRefused) as told:
        split_target(target)
    assert (told.value.status, told.value.reason) == (status, reason)
    assert says in told.value.why


def test_an_upstream_has_tls_and_compression_as_it_was_asked_for() -> None:
    plain = Proxy.of("ws://a:1", "~silent", None, insecure=False, compression=False)
    assert (plain.upstream.context, plain.upstream.extensions) == (None, ())
    assert plain.switch.text == "~silent"
    secure = Proxy.of("wss://a:1", "", None, insecure=False, compression=True).upstream
    assert secure.extensions == (deflate.OFFER,)
    assert secure.context is not None
    assert secure.context.verify_mode is ssl.CERT_REQUIRED
    anyone = Proxy.of("wss://a:1", "", None, insecure=True, compression=False).upstream
    assert anyone.context is not None
    assert anyone.context.verify_mode is ssl.CERT_NONE
