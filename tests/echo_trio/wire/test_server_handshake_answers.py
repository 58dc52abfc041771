"""Each answer of a server to a handshake, to the byte."""

from __future__ import annotations

import pytest

from echo_trio.wire import deflate, server_handshake
from echo_trio.wire.handshake import HandshakeRefused, Reason
from echo_trio.wire.server_handshake import UpgradeRequest

DATE = "Mon, 30 Nov 2026 12:00:00 GMT"
ACCEPTED = (
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
)
EXTENSION = "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover\r\n"


@pytest.mark.parametrize(
    ("subprotocol", "compression", "headers", "more"),
    [
        (None, None, [], ""),
        ("chat", None, [], "Sec-WebSocket-Protocol: chat\r\n"),
        (None, deflate.Parameters(server_no_context_takeover=True), [], EXTENSION),
        (
            None,
            None,
            [("set-cookie", "a"), ("set-cookie", "é")],
            "set-cookie: a\r\nset-cookie: é\r\n",
        ),
        (
            "chat",
            deflate.Parameters(server_no_context_takeover=True),
            [("x", "y")],
            f"Sec-WebSocket-Protocol: chat\r\n{EXTENSION}x: y\r\n",
        ),
    ],
    ids=["plain", "subprotocol", "compression", "headers", "all"],
)
def test_consent_has_what_was_chosen_and_nothing_else(
    subprotocol, compression, headers, more
) -> None:
    request = UpgradeRequest("/", [], "dGhlIHNhbXBsZSBub25jZQ==", ["chat"])
    answer = server_handshake.accept_response(request, subprotocol, compression, headers)
    assert answer == f"{ACCEPTED}{more}\r\n".encode("latin-1")


CLOSES = f"Date: {DATE}\r\nConnection: close\r\n"
UPGRADES = f"Date: {DATE}\r\nConnection: Upgrade, close\r\n"
TEXT = "wé\n"
BODY = f"Content-Type: text/plain; charset=utf-8\r\nContent-Length: 4\r\n\r\n{TEXT}"


@pytest.mark.parametrize(
    ("status", "is_of_head", "more", "expected"),
    [
        (403, False, {}, f"403 Forbidden\r\n{CLOSES}{BODY}"),
        (
            503,
            False,
            {"Retry_After": "5", "Connection": "Upgrade, close"},
            f"503 Service Unavailable\r\n{UPGRADES}Retry-After: 5\r\n{BODY}",
        ),
        (499, False, {}, f"499 \r\n{CLOSES}{BODY}"),
        # The answer to a HEAD has the headers of a body alone.
        (
            405,
            True,
            {},
            f"405 Method Not Allowed\r\n{CLOSES}{BODY.removesuffix(TEXT)}",
        ),
        (204, False, {}, f"204 No Content\r\n{CLOSES}\r\n"),
        (304, False, {}, f"304 Not Modified\r\n{CLOSES}\r\n"),
        (
            205,
            False,
            {},
            f"205 Reset Content\r\n{CLOSES}Content-Length: 0\r\n\r\n",
        ),
    ],
    ids=lambda value: value if isinstance(value, int) else "",
)
def test_a_refusal_says_why_where_there_may_be_a_body(
    monkeypatch: pytest.MonkeyPatch, status, is_of_head, more, expected
) -> None:
    monkeypatch.setattr(server_handshake, "formatdate", lambda *, usegmt: DATE if usegmt else "")
    refused = HandshakeRefused(status, "wé", Reason.ASKED_FOR, **more)
    refused.is_of_head = is_of_head
    assert server_handshake.refusal_response(refused).decode() == f"HTTP/1.1 {expected}"
