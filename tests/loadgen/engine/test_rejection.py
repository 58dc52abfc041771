"""What a server answers instead of a WebSocket is told in one line, however it arrives."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from echo_trio.wire.client_handshake import Rejected
from loadgen.engine.rejection import _MAX_BODY_BYTES, explain_rejection

WORDS = st.text("abc xyz0123456789", min_size=1, max_size=60).map(lambda text: f"x{text}")


def rejected(status: int, **headers: str) -> Rejected:
    return Rejected(status, [(name.replace("_", "-"), value) for name, value in headers.items()])


def arriving(pieces: Sequence[bytes], asked: list[int]) -> Callable[[], Awaitable[bytes]]:
    """Make what receives these pieces, then the end; notes each time that it is asked."""
    left = [piece for piece in pieces if piece]  # An empty one would be the end.

    async def receive() -> bytes:
        await trio.lowlevel.checkpoint()
        asked.append(1)
        return left.pop(0) if left else b""

    return receive


def explain(refused: Rejected, surplus: bytes, *pieces: bytes) -> tuple[str, int]:
    """Return what is told, and how often more was asked for."""
    asked = list[int]()

    async def main() -> str:
        return await explain_rejection(refused, surplus, arriving(pieces, asked))

    return trio.run(main), len(asked)


@given(st.lists(WORDS, min_size=1, max_size=4), st.data())
def test_a_body_is_told_whole_whether_in_chunks_or_not_and_in_whatever_pieces(
    parts: list[str], data: st.DataObject
) -> None:
    text = "".join(parts)
    chunked = b"".join(b"%x\r\n%b\r\n" % (len(part), part.encode()) for part in parts)
    for body, headers in (
        (text.encode(), {"content_length": str(len(text))}),
        (text.encode(), {}),
        (chunked + b"0\r\n\r\n", {"transfer_encoding": "chunked"}),
    ):
        cut = data.draw(st.integers(0, len(body)))
        again = data.draw(st.integers(cut, len(body)))
        told, _ = explain(rejected(403, **headers), body[:cut], body[cut:again], body[again:])
        assert told == f"HTTP 403: {' '.join(text.split())[:200]}".removesuffix(": ")


@pytest.mark.parametrize(
    ("length", "surplus", "asked"),
    [("4", b"gone", 0), ("4", b"gon", 1), ("0", b"", 0), (None, b"", 2), ("9" * 12, b"", 2)],
)
def test_no_more_is_asked_for_than_there_is_to_come(
    length: str | None, surplus: bytes, asked: int
) -> None:
    headers = {} if length is None else {"content_length": length}
    _, times = explain(rejected(410, **headers), surplus, b"e")
    assert times == asked


def test_of_a_long_body_no_more_is_read_than_may_be_shown() -> None:
    told, asked = explain(rejected(500), b"", *[b"a" * 1024] * 100)
    assert (asked, told) == (_MAX_BODY_BYTES // 1024, f"HTTP 500: {'a' * 200}…")


@pytest.mark.parametrize(
    ("status", "headers", "body", "told"),
    [
        (301, {"location": "https://a.example/?token=secret"}, b"moved", "HTTP 301 to https://a."),
        (399, {"location": "/there"}, b"moved", "HTTP 399 to /there"),
        (299, {"location": "/there"}, b"not moved", "HTTP 299: not moved"),
        (400, {"location": "/there"}, b"not moved", "HTTP 400: not moved"),
        (302, {}, b"where to?", "HTTP 302: where to?"),
        (200, {"content_type": "text/html"}, b"<head><title>x</title></head><p>a <b>page",
         "HTTP 200: a page"),
        (503, {"content_type": "application/problem+json"}, b'{"a": 1}', 'HTTP 503: {"a": 1}'),
        (503, {"content_type": "image/png"}, b"\x89PNG", "HTTP 503"),
        (503, {"content_encoding": "gzip"}, b"\x1f\x8b", "HTTP 503"),
    ],
)  # fmt: skip
def test_a_redirect_names_where_to_and_only_text_is_shown(
    status: int, headers: dict[str, str], body: bytes, told: str
) -> None:
    said, _ = explain(rejected(status, **headers), body)
    assert said.startswith(told)
    assert "secret" not in said
