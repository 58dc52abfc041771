"""What a server answers instead of a WebSocket is told in one line, however it arrives."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from echo_trio.wire.client_handshake import Rejected
from loadgen.engine.rejection import explain_rejection

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
    assert (asked, told) == (4, f"HTTP 500: {'a' * 200}…")


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


async def test_a_body_that_does_not_come_is_waited_for_half_a_second(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async def receive() -> bytes:
        await trio.sleep_forever()
        raise AssertionError

    began_s = trio.current_time()
    told = await explain_rejection(rejected(503, content_length="9"), b"half", receive)
    assert told == "HTTP 503: half"
    assert 0.5 <= trio.current_time() - began_s < 0.6


async def test_a_server_that_resets_the_connection_is_quoted_as_far_as_it_came() -> None:
    async def receive() -> bytes:
        await trio.lowlevel.checkpoint()
        raise ConnectionResetError

    told = await explain_rejection(rejected(503, content_length="9"), b"half", receive)
    assert told == "HTTP 503: half"


@pytest.mark.parametrize(
    ("status", "location", "shown"),
    [
        (300, "/a", True),
        (399, "/a", True),
        (302, f"/{'a' * 199}", True),
        (302, "/" + "a" * 200, False),
    ],
)
def test_of_where_a_redirect_leads_to_two_hundred_characters_are_shown(
    status: int, location: str, shown: bool
) -> None:
    told, _ = explain(rejected(status, location=location), b"")
    assert told == f"HTTP {status} to {location if shown else location[:200] + '…'}"


@pytest.mark.parametrize(
    ("body", "told"),
    [(b"3\r\nabc\r\n0\r\n\r\n", "abc"), (b"3;x=y\r\nabc\r\nA\r\n0123456789\r\n0", "abc0123456789"),
     (b"3\r\nabc\r\n7\r\nhalf", "abchalf"), (b"3\r\nabc\r\nno size", "abc"), (b"0\r\n\r\n", "")],
)  # fmt: skip
def test_chunks_are_joined_as_far_as_they_came(body: bytes, told: str) -> None:
    said, _ = explain(rejected(400, transfer_encoding="Chunked"), body)
    assert said == f"HTTP 400: {told}".removesuffix(": ")
