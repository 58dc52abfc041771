"""Whatever bytes arrive in a handshake: they parse, or raise the one documented error."""

from __future__ import annotations

import pytest
import trio
from hypothesis import example, given
from hypothesis import strategies as st

from echo_trio.wire import handshake
from echo_trio.wire.handshake import ConnectionCut, HandshakeFailed, Refused

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
REQUEST_LINES = [
    b"GET / HTTP/1.1",
    b"Host: example.org",
    b"Upgrade: websocket",
    b"Connection: Upgrade",
    b"Sec-WebSocket-Key: " + KEY.encode(),
    b"Sec-WebSocket-Version: 13",
]
RESPONSE_LINES = [
    b"HTTP/1.1 101 Switching Protocols",
    b"Upgrade: websocket",
    b"Connection: Upgrade",
    b"Sec-WebSocket-Accept: " + ACCEPT.encode(),
]


@st.composite
def damaged(draw, lines: list[bytes]) -> bytes:
    """A good head after some bytes and lines were changed, lost, doubled or swapped."""
    lines = list(lines)
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(lines) - 1))
        change = draw(st.sampled_from(["drop", "double", "swap", "insert", "overwrite"]))
        if change == "drop" and len(lines) > 1:
            del lines[at]
        elif change == "double":
            lines.append(lines[at])
        elif change == "swap":
            lines[0], lines[at] = lines[at], lines[0]
        else:
            position = draw(st.integers(0, len(lines[at])))
            some = draw(st.binary(max_size=3))
            rest = position + (len(some) if change == "overwrite" else 0)
            lines[at] = lines[at][:position] + some + lines[at][rest:]
    return b"\r\n".join(lines)


heads = st.binary() | st.text().map(str.encode)


@given(heads | damaged(REQUEST_LINES))
@example(b"\r\n".join(REQUEST_LINES))
def test_a_request_parses_or_is_refused(head):
    refused = None
    try:
        request = handshake.parse_request(head)
    except Refused as exc:
        refused = exc
    if refused is not None:
        assert refused.status in {400, 405, 426, 431, 505}
        assert handshake.refusal_response(refused).count(b"\r\n\r\n") == 1
    else:
        assert request.path.startswith("/")
        assert all(name == name.lower() for name, _ in request.headers)
        assert not any("\n" in value or "\r" in value for _, value in request.headers)
        assert handshake.accept_response(request).endswith(b"\r\n\r\n")


@given(heads | damaged(RESPONSE_LINES), st.lists(st.text(max_size=5), max_size=3))
@example(b"\r\n".join(RESPONSE_LINES), [])
def test_a_response_parses_or_fails_the_handshake(head, subprotocols):
    try:
        accepted = handshake.parse_response(head, KEY, subprotocols)
    except HandshakeFailed:
        pass
    else:
        assert head.startswith(b"HTTP/1.1 101")
        assert accepted.subprotocol is None or accepted.subprotocol in subprotocols


def receive_head(segments: list[bytes]) -> tuple[bytes, bytes]:
    waiting = list(segments)

    async def receive() -> bytes:
        return waiting.pop(0) if waiting else b""

    async def main() -> tuple[bytes, bytes]:
        head, surplus = await handshake.receive_head(receive)
        return head, surplus + b"".join(waiting)

    return trio.run(main)


@given((st.binary(max_size=60) | st.text("\r\nx", max_size=20).map(str.encode)).map(b"G".__add__))
@example(b"G\r\n\r\n")
@example(b"head\r\n\r\nsurplus\r\n\r\n")
def test_a_head_is_the_same_however_it_is_split(data):
    splits = [[data[:at], data[at:]] for at in range(1, len(data))]
    splits.append([data[at : at + 1] for at in range(len(data))])
    for segments in splits:
        if b"\r\n\r\n" in data:
            head, surplus = receive_head(segments)
            assert head + b"\r\n\r\n" + surplus == data
            assert b"\r\n\r\n" not in head
        else:
            with pytest.raises(ConnectionCut) as caught:
                receive_head(segments)
            assert caught.value.received == len(data)


tokens = st.text("abcXYZ019-_.!", min_size=1, max_size=8)
values = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=20)


@given(st.lists(st.tuples(tokens.map("X-{}".format), values)), st.lists(tokens, unique=True))
def test_what_we_ask_for_is_what_a_server_reads(headers, subprotocols):
    data = handshake.request_bytes("/x?y", "here:80", KEY, headers, subprotocols)
    request = handshake.parse_request(data[:-4])
    assert request.subprotocols == subprotocols
    expected = [(name.lower(), value.strip()) for name, value in headers]
    assert [pair for pair in request.headers if pair in expected] == expected


@given(st.text(), st.text(), st.text())
def test_no_header_can_be_smuggled_into_our_request(host, name, value):
    try:
        data = handshake.request_bytes("/", host, KEY, [(name, value)])
    except ValueError:
        return
    assert data.count(b"\r\n") == 8
    assert data.count(b"\n") == data.count(b"\r") == 8
