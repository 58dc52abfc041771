"""The heads that both ends of the handshake read: however they are split, and whatever they are."""

from __future__ import annotations

import pytest
import trio
from hypothesis import example, given
from hypothesis import strategies as st

from echo_trio.wire import handshake
from echo_trio.wire.handshake import ConnectionCut, HandshakeRefused, Reason

HEAD = b"GET /chat?x=1 HTTP/1.1\r\nHost: example.org\r\nUpgrade: websocket"


def chunks(*parts: bytes):
    """What `receive_head` receives."""
    waiting = list(parts)

    async def receive() -> bytes:
        return waiting.pop(0) if waiting else b""

    return receive


REQUEST = HEAD + b"\r\n\r\n"
SURPLUS = b"\x81\x00\r\n\r\n"


async def test_a_head_can_be_split_at_every_byte():
    for at in range(1, len(REQUEST + SURPLUS)):
        data = REQUEST + SURPLUS
        got, surplus = await handshake.receive_head(chunks(data[:at], data[at:]))
        assert got == HEAD
        assert surplus == SURPLUS[: max(0, at - len(REQUEST))] if at >= len(REQUEST) else SURPLUS


async def test_a_head_can_come_byte_by_byte():
    parts = [REQUEST[at : at + 1] for at in range(len(REQUEST))]
    assert await handshake.receive_head(chunks(*parts)) == (HEAD, b"")


@pytest.mark.parametrize(
    "parts", [[b"\r\n" + REQUEST], [b"\r", b"\n", REQUEST], [b"\r\nG", REQUEST[1:]]]
)
async def test_one_empty_line_in_front_is_passed_over(parts):
    assert await handshake.receive_head(chunks(*parts)) == (HEAD, b"")


@pytest.mark.parametrize("lines", [[b"\r\n", b"\r\n"], [b"\r\n", b"\r", b"\n"], [b"\r\n\r", b"\n"]])
async def test_two_empty_lines_in_front_are_none_s_habit_however_they_come(lines):
    with pytest.raises(HandshakeRefused) as caught:
        await handshake.receive_head(chunks(*lines, REQUEST))
    assert caught.value.reason is Reason.NOT_HTTP


@pytest.mark.parametrize("received", [b"", b"GET", REQUEST[:-1]], ids=["nothing", "some", "most"])
async def test_a_stream_that_ends_first_is_told_apart(received):
    with pytest.raises(ConnectionCut) as caught:
        await handshake.receive_head(chunks(received))
    assert caught.value.received == len(received)


@pytest.mark.parametrize("first", [b"\x16\x03\x01", b"\0", b"\r\n\r\n", b"\r\r", b" GET"])
async def test_what_begins_as_no_head_does_is_refused_at_its_first_byte(first):
    with pytest.raises(HandshakeRefused) as caught:
        await handshake.receive_head(chunks(first, b"never asked for"))
    assert (caught.value.status, caught.value.reason) == (400, Reason.NOT_HTTP)


async def test_a_head_of_16_kib_is_allowed_and_a_byte_more_is_not():
    longest = b"x" * handshake.MAX_HEAD_BYTES
    assert await handshake.receive_head(chunks(longest + b"\r\n\r\n")) == (longest, b"")
    with pytest.raises(HandshakeRefused) as caught:
        await handshake.receive_head(chunks(longest + b"x\r\n\r\n"))
    assert caught.value.status == 431


async def test_a_head_without_an_end_is_refused_and_not_kept():
    received = []

    async def receive() -> bytes:
        received.append(1000)
        return b"x" * 1000

    with pytest.raises(HandshakeRefused) as caught:
        await handshake.receive_head(receive)
    assert caught.value.status == 431
    assert sum(received) <= handshake.MAX_HEAD_BYTES + 1000


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


OFFERS = {
    "x": ("x", []),
    "y-1; a": ("y-1", [("a", None)]),
    'z; b=2; c="3\\4"': ("z", [("b", "2"), ("c", "34")]),
    "": None,
    " \t": None,
}


@given(st.lists(st.tuples(st.sampled_from(sorted(OFFERS)), st.booleans()), min_size=1))
def test_extensions_are_one_list_however_it_is_spread_over_headers(offers):
    """Each may begin a header of its own; a list may have empty elements, and whole empty lines."""
    lines = [""]
    for written, begins in offers:
        if begins:
            lines.append(written)
        else:
            lines[-1] += f",{written}"
    meant = [OFFERS[written] for written, _ in offers if OFFERS[written] is not None]
    if meant:
        assert handshake.parse_extensions(lines) == meant
    else:
        with pytest.raises(ValueError, match="malformed"):
            handshake.parse_extensions(lines)


@pytest.mark.parametrize(
    ("data", "whole"),
    [
        (REQUEST, (HEAD, b"")),
        (REQUEST + SURPLUS, (HEAD, SURPLUS)),
        (REQUEST[:-1], None),
        (b"\r\n" + REQUEST, None),
        (b"\x16\x03\r\n\r\n", None),
        (b"", None),
        (b"G" * handshake.MAX_HEAD_BYTES + b"\r\n\r\nx", (b"G" * handshake.MAX_HEAD_BYTES, b"x")),
        (b"G" * (handshake.MAX_HEAD_BYTES + 1) + b"\r\n\r\n", None),
    ],
    ids=lambda value: repr(value)[:20],
)
def test_a_head_that_is_all_there_is_taken_as_it_would_be_received(data, whole):
    assert handshake.whole_head(data) == whole
    if whole is not None:
        assert trio.run(handshake.receive_head, chunks(data)) == whole


def test_headers_are_read_in_their_order_with_their_values_as_they_were():
    lines = ["Host: a", "X-A:\t1 \t", "x-a:", "X-B:b:c", "X-C: d  e"]
    assert handshake.parse_headers(lines) == [
        ("host", "a"), ("x-a", "1"), ("x-a", ""), ("x-b", "b:c"), ("x-c", "d  e"),
    ]  # fmt: skip
    assert handshake.parse_headers([]) == []


@pytest.mark.parametrize("over", [0, 1])
def test_so_many_headers_are_read_and_no_more(over):
    lines = ["a: b"] * (handshake.MAX_HEADERS + over)
    if not over:
        assert handshake.parse_headers(lines) == [("a", "b")] * handshake.MAX_HEADERS
        return
    with pytest.raises(HandshakeRefused) as caught:
        handshake.parse_headers(lines)
    assert (caught.value.status, caught.value.reason) == (431, Reason.HEAD_TOO_LARGE)
    assert caught.value.why == f"There are more than {handshake.MAX_HEADERS} headers."


@pytest.mark.parametrize("line", ["", "a", "a b: c", "a : c", ": c", " a: b", "a: b\x00", "ä: b"])
def test_a_header_that_could_smuggle_another_is_refused(line):
    with pytest.raises(HandshakeRefused) as caught:
        handshake.parse_headers(["x: y", line])
    assert (caught.value.status, caught.value.reason) == (400, Reason.HEADER)


def test_a_refusal_and_a_cut_keep_what_they_were_told():
    refused = HandshakeRefused(405, "why", Reason.METHOD, Allow="GET", Sec_WebSocket_Version="13")
    assert (refused.status, refused.why, refused.reason) == (405, "why", Reason.METHOD)
    assert refused.headers == {"Allow": "GET", "Sec-WebSocket-Version": "13"}
    assert refused.is_of_head is False
    assert (ConnectionCut(7).received, "after 7 bytes" in str(ConnectionCut(7))) == (7, True)


def test_what_stands_in_a_header_is_found_wherever_and_however_it_is_written():
    headers = [("a", "B, c"), ("b", "x"), ("a", ""), ("a", "c ,\tD,,")]
    assert handshake.values(headers, "a") == ["B, c", "", "c ,\tD,,"]
    assert handshake.list_elements(headers, "a") == ["B", "c", "c", "D"]
    assert handshake.tokens(headers, "a") == {"b", "c", "d"}
    assert handshake.values(headers, "c") == handshake.list_elements(headers, "c") == []


def test_a_key_is_answered_as_in_the_standards_example():
    assert handshake.accept_value("dGhlIHNhbXBsZSBub25jZQ==") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
