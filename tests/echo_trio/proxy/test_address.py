"""Take as `--upstream`, and with it, only what can be one."""

from __future__ import annotations

import pytest

from echo_trio.proxy.address import UpstreamAddress, parse_upstream
from echo_trio.settings import Settings


@pytest.mark.parametrize(
    ("url", "address", "authority"),
    [
        ("ws://127.0.0.1:9000", UpstreamAddress("127.0.0.1", 9000, tls=False), "127.0.0.1:9000"),
        ("ws://chat.example", UpstreamAddress("chat.example", 80, tls=False), "chat.example"),
        ("wss://Chat.example/", UpstreamAddress("chat.example", 443, tls=True), "chat.example"),
        ("wss://[::1]:80", UpstreamAddress("::1", 80, tls=True), "[::1]:80"),
        ("ws://[::1]", UpstreamAddress("::1", 80, tls=False), "[::1]"),
    ],
)
def test_a_url_is_a_host_a_port_and_whether_there_is_tls(url, address, authority):
    assert parse_upstream(url) == address
    assert parse_upstream(url).authority == authority


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"upstream": "http://127.0.0.1:1"}, "--upstream: 'http://127.0.0.1:1' does not begin"),
        ({"upstream": "ws://127.0.0.1:1/chat"}, "has a path or a query"),
        ({"upstream": "ws://127.0.0.1:1?x"}, "has a path or a query"),
        ({"upstream": "ws://"}, "names no host"),
        ({"upstream": "ws://a:99999"}, "'ws://a:99999' has no port from 1 to 65535"),
        ({"upstream": "ws://me:secret@a"}, "a URL with a user in it is none of an upstream's"),
        ({"upstream": "ws://localhost:8765"}, "is where this proxy itself listens: give it anoth"),
        ({"upstream": "ws://127.0.0.1:1", "host": "0.0.0.0", "port": 1}, "this proxy itself"),
        ({"fault": "~delay/1s"}, "--fault needs --upstream"),
        ({"upstream_compression": True}, "--upstream-compression needs --upstream"),
        ({"upstream": "ws://a", "fault": "~delay"}, "~delay lacks its parameters: ~delay/200ms"),
        (
            {"upstream": "ws://a", "fault": "~up-dealy/1s"},
            "no fault; did you mean ~up-delay? There",
        ),
        ({"upstream": "ws://a", "fault": "~x"}, "--fault: ~x is no fault. There are ~delay "),
        ({"upstream": "ws://a", "fault": "~delay/1"}, "--fault: ~delay takes"),
        ({"upstream": "ws://a", "fault": "~silent/chat"}, "--fault: 'chat' is no fault"),
    ],
)
def test_settings_of_a_proxy_that_make_no_sense_are_named(given, told: str):
    with pytest.raises(ValueError, match=r"^--") as refused:
        Settings(**given)
    assert told in str(refused.value)
    assert "secret" not in str(refused.value)
