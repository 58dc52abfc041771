"""Requests within their bounds, however their bytes arrive."""

from __future__ import annotations

import pytest

from echo_trio.console.http_request import (
    MAX_BODY_BYTES,
    MAX_CHUNKS,
    MAX_HEAD_BYTES,
    MAX_HEADERS,
    PIECE_BYTES,
    HeadBuffer,
    RequestReader,
    RequestRefused,
)

HEAD = b"POST /a%20b?c=d HTTP/1.1\r\nHost: h\r\n"


def head_of(data: bytes, step: int) -> bytes | None:
    buffer = HeadBuffer()
    for at in range(0, len(data), step):
        buffer.data += data[at : at + step]
        if (head := buffer.take_head()) is not None:
            return head
    return None


def read(head: bytes, framed: bytes) -> bytes:
    reader = RequestReader(head)
    while not reader.read_body():
        reader.feed(framed[:PIECE_BYTES])
        framed = framed[PIECE_BYTES:]
    return bytes(reader.body)


def chunked(*chunks: bytes) -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"


@pytest.mark.parametrize("step", [1, 2, 3, 7, 10**6])
@pytest.mark.parametrize("end", [b"\r\n", b"\n"], ids=["crlf", "lf"])
def test_a_head_is_found_however_it_arrives(step: int, end: bytes) -> None:
    head = b"GET / HTTP/1.1" + end + b"Host: h" + end + end
    assert head_of(head + b"next", step) == head
    assert head_of(head[:-1], step) is None


@pytest.mark.parametrize("step", [1, 100, 10**6])
def test_a_head_has_so_many_headers_and_bytes_and_no_more(step: int) -> None:
    lines = b"a: b\r\n" * MAX_HEADERS
    whole = b"GET / HTTP/1.1\r\n" + lines + b"\r\n"
    assert head_of(whole, step) == whole
    long = b"GET / HTTP/1.1\r\na: %b\r\n\r\n"
    fitting = long % (b"x" * (MAX_HEAD_BYTES - len(long) + 2))
    assert len(fitting) == MAX_HEAD_BYTES
    assert head_of(fitting, step) == fitting
    for excess in (
        b"GET / HTTP/1.1\r\na: b\r\n" + lines + b"\r\n",
        b"GET / HTTP/1.1\r\n" + b"a:\r\n" * 6000 + b"\r\n",
        long % (b"x" * (MAX_HEAD_BYTES - len(long) + 3)),
        b"GET /" + b"x" * MAX_HEAD_BYTES,
    ):
        with pytest.raises(RequestRefused) as refused:
            head_of(excess, step)
        assert refused.value.status == 431


def test_lines_behind_a_head_are_none_of_its_headers() -> None:
    head = HEAD + b"Content-Length: 1000\r\n\r\n"
    buffer = HeadBuffer()
    buffer.data += head + b"\n" * 1000
    assert buffer.take_head() == head
    assert buffer.data == b"\n" * 1000


@pytest.mark.parametrize("nonsense", [b"\x16\x03\x01", b"\r\n\r\n", b"\0", b" GET / HTTP/1.1"])
def test_what_can_be_no_head_is_refused_at_its_first_byte(nonsense: bytes) -> None:
    with pytest.raises(RequestRefused) as refused:
        head_of(nonsense, 1)
    assert refused.value.status == 400


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        (HEAD + b"a b: c\r\n\r\n", 400),
        (HEAD + b"Content-Length: 1, 2\r\n\r\n", 400),
        (HEAD + b"Content-Length: -1\r\n\r\n", 400),
        (HEAD + b"Content-Length: " + b"9" * 10_000 + b"\r\n\r\n", 400),
        (HEAD + b"Transfer-Encoding: gzip\r\n\r\n", 501),
        (HEAD + b"Content-Length: %d\r\n\r\n" % (MAX_BODY_BYTES + 1), 413),
        (b"PRI * HTTP/2.0\r\n\r\n", 505),
        (b"GET / HTTP/3.0\r\nHost: h\r\n\r\n", 505),
    ],
)
def test_a_bad_head_is_refused_without_a_word_of_it(head: bytes, status: int) -> None:
    with pytest.raises(RequestRefused) as refused:
        RequestReader(head)
    assert refused.value.status == status
    assert "nonsense" not in str(refused.value)
    assert refused.value.__cause__ is None


def test_a_request_becomes_what_asgi_has() -> None:
    reader = RequestReader(HEAD + b"X: \xff\r\nContent-Length: 0\r\n\r\n")
    assert reader.read_body()
    scope = reader.scope(("::1", 1), ("::1", 2), {"a": 1})
    assert (scope["method"], scope["path"], scope["query_string"]) == ("POST", "/a b", b"c=d")
    assert scope["raw_path"] == b"/a%20b"
    assert (b"x", b"\xff") in scope["headers"]


@pytest.mark.parametrize("size", [0, 1, PIECE_BYTES, MAX_BODY_BYTES])
def test_a_body_is_read_whole(size: int) -> None:
    body = b"x" * size
    assert read(HEAD + b"Content-Length: %d\r\n\r\n" % size, body) == body
    framed = chunked(*([body] if body else []))
    assert read(HEAD + b"Transfer-Encoding: chunked\r\n\r\n", framed) == body


def test_what_comes_behind_a_body_is_left_for_the_next_request() -> None:
    reader = RequestReader(HEAD + b"Content-Length: 2\r\n\r\n")
    reader.feed(b"okGET / HTTP/1.1\r\n")
    assert reader.read_body()
    assert bytes(reader.body) == b"ok"
    assert reader.connection.trailing_data[0] == b"GET / HTTP/1.1\r\n"
    buffer = HeadBuffer()
    buffer.data += b"Host: h\r\n\r\nnext"
    buffer.put_back(reader.connection.trailing_data[0])
    assert buffer.take_head() == b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"
    assert bytes(buffer.data) == b"next"


def test_what_is_put_back_is_searched_anew() -> None:
    buffer = HeadBuffer()
    buffer.data += b"GET /first HTTP/1.1\r\nHost: first\r\n"
    assert buffer.take_head() is None
    buffer.put_back(b"GET / HTTP/1.1\r\n\r\n")
    assert buffer.take_head() == b"GET / HTTP/1.1\r\n\r\n"


@pytest.mark.parametrize(
    "framed",
    [
        chunked(b"x" * (MAX_BODY_BYTES + 1)),
        chunked(*[b"x"] * 70_000),
        chunked(*[b"x"] * (MAX_CHUNKS + 1)),
        b"1;" + b"e" * 10_000 + b"\r\nx\r\n0\r\n\r\n",
        (b"1;%b\r\nx\r\n" % (b"e" * 500)) * 1000 + b"0\r\n\r\n",
        b"0\r\n" + b"a: b\r\n" * 10_000 + b"\r\n",
        b"0\r\n" + b"a: " + b"b" * 10_000 + b"\r\n\r\n",
    ],
    ids=["long", "70000", "chunks", "extension", "extensions", "trailers", "trailer"],
)
def test_a_chunked_body_costs_bounded_work(framed: bytes) -> None:
    with pytest.raises(RequestRefused) as refused:
        read(HEAD + b"Transfer-Encoding: chunked\r\n\r\n", framed)
    assert refused.value.status == 413


@pytest.mark.parametrize("framed", [b"x\r\n", b"1\r\nxx\r\n", b"-1\r\n", b""])
def test_a_malformed_body_is_400(framed: bytes) -> None:
    with pytest.raises(RequestRefused) as refused:
        read(HEAD + b"Transfer-Encoding: chunked\r\n\r\n", framed)
    assert refused.value.status == 400


def test_the_first_byte_tells_that_it_is_no_head() -> None:
    for first in range(256):
        buffer = HeadBuffer()
        buffer.data += bytes([first])
        if first <= 0x20:  # TLS, or a blank line
            with pytest.raises(RequestRefused):
                buffer.take_head()
        else:
            assert buffer.take_head() is None


def test_what_was_searched_is_not_searched_again_but_for_the_half_of_an_end() -> None:
    buffer = HeadBuffer()
    for size in range(1, 100):
        buffer.data += b"x"
        assert buffer.take_head() is None
        assert buffer._searched == max(0, size - 2)


def test_a_chunk_counts_once_in_however_many_parts_it_arrives() -> None:
    size = MAX_CHUNKS + 1
    reader = RequestReader(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
    reader.feed(b"%x\r\n" % size)
    for _ in range(size):
        reader.feed(b"x")
        assert not reader.read_body()
    reader.feed(b"\r\n0\r\n\r\n")
    assert reader.read_body()
    assert len(reader.body) == size
