"""Test that the body of a refusal is read to its end, or to a bound, and it is known which."""

from __future__ import annotations

import socket

import pytest
import trio

from echo_trio.dialling.refusal import BODY_TIMEOUT_S, MAX_BODY_BYTES, read_body


def chunked(body: bytes) -> bytes:
    half = len(body) // 2
    parts = [*filter(None, (body[:half], body[half:])), b""]
    return b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts)


@pytest.mark.parametrize("how", ["length", "chunked", "end"])
@pytest.mark.parametrize("size", [1, MAX_BODY_BYTES - 1, MAX_BODY_BYTES, MAX_BODY_BYTES + 1])
@pytest.mark.parametrize("at_once", [0, 10])
async def test_a_body_is_whole_up_to_the_bound_however_its_end_is_told(
    how: str, size: int, at_once: int
) -> None:
    body = (b"0123456789" * MAX_BODY_BYTES)[:size]
    head, sent = {
        "length": (b"Content-Length: %d" % size, body),
        "chunked": (b"Transfer-Encoding: chunked", chunked(body)),
        "end": (b"Connection: close", body),
    }[how]
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        theirs.sendall(sent[at_once:])
        if how == "end":
            theirs.shutdown(socket.SHUT_WR)
        read = await read_body(ours, b"HTTP/1.1 403 No\r\n" + head, sent[:at_once])
    assert (read.text.encode(), read.whole) == (body[:MAX_BODY_BYTES], size <= MAX_BODY_BYTES)


async def test_what_has_arrived_of_a_body_that_breaks_off_is_not_whole() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        theirs.close()
        read = await read_body(ours, b"HTTP/1.1 403 No\r\nContent-Length: 9", b"\xffabc")
    assert (read.text, read.whole) == ("\N{REPLACEMENT CHARACTER}abc", False)


async def test_a_body_that_goes_on_and_on_is_read_for_a_time_in_all(
    nursery, autojump_clock
) -> None:
    ours, theirs = socket.socketpair()

    async def say_on() -> None:
        for number in range(10):
            theirs.send(b"%d" % number)
            await trio.sleep(0.75)

    with ours, theirs:
        ours.setblocking(False)
        began_s = trio.current_time()
        nursery.start_soon(say_on)
        read = await read_body(ours, b"HTTP/1.1 403 No\r\nContent-Length: 100", b"x")
        assert trio.current_time() - began_s == pytest.approx(BODY_TIMEOUT_S)
        nursery.cancel_scope.cancel()
    assert (read.text, read.whole) == ("x012", False)
