"""An upstream's refusal reaches the client as it is, however its body is framed."""

from __future__ import annotations

import socket

import pytest
import trio

from echo_trio.proxy.decline import pass_on
from echo_trio.proxy.upstream import Declined, UpstreamFailed


async def passed_on(
    head: bytes, surplus: bytes = b"", later: bytes = b"", status: int = 418
) -> bytes:
    """Pass an answer on that arrives in these parts; return what the client gets."""
    client, ours = socket.socketpair()
    upstream, to_upstream = socket.socketpair()
    with client, ours, upstream, to_upstream:
        for each in (client, ours, to_upstream):
            each.setblocking(False)
        got, failed = b"", list[Exception]()

        async def read() -> None:
            nonlocal got
            while True:
                await trio.lowlevel.wait_readable(client)
                if not (data := client.recv(65536)):
                    return
                got += data

        with trio.fail_after(60):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(read)

                @nursery.start_soon
                async def say_the_rest() -> None:
                    await trio.to_thread.run_sync(upstream.sendall, later)
                    upstream.shutdown(socket.SHUT_WR)

                try:
                    await pass_on(Declined(to_upstream, 418, head, surplus), ours)
                except Exception as exc:  # noqa: BLE001 - raised below, without a group
                    failed.append(exc)
                finally:
                    ours.shutdown(socket.SHUT_WR)
        for exc in failed:
            raise exc
        return got


HEAD = b"HTTP/1.1 418 I'm a Teapot\r\nX-Kind: a\r\nServer: s"


@pytest.mark.parametrize(
    ("framing", "surplus", "later", "body"),
    [
        (b"\r\nContent-Length: 5", b"hello", b"", b"hello"),
        (b"\r\nContent-Length: 5", b"he", b"llo and more", b"hello"),
        (b"\r\nContent-Length: 0", b"", b"", b""),
        (b"\r\nTransfer-Encoding: chunked", b"2\r\nhe\r\n", b"3\r\nllo\r\n0\r\n\r\n", b"hello"),
        (b"", b"he", b"llo", b"hello"),
        (b"\r\nContent-Length: 300000", b"", b"x" * 300_000, b"x" * 300_000),
    ],
    ids=["at once", "in parts", "none", "chunked", "to the end", "long"],
)
async def test_the_body_goes_on_whole_and_ends_where_it_ends(
    framing: bytes, surplus: bytes, later: bytes, body: bytes
) -> None:
    head, _, came = (await passed_on(HEAD + framing, surplus, later)).partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    assert lines[0] == b"HTTP/1.1 418 I'm a Teapot"
    assert lines[1:4] == [b"x-kind: a", b"server: s", b"connection: close"]
    length = framing.partition(b"Content-Length: ")[2]
    assert lines[4:] == ([b"content-length: " + length] if length else [])
    assert came == body


async def test_a_body_that_ends_too_early_does_so_for_the_client() -> None:
    with pytest.raises(ConnectionAbortedError):
        await passed_on(HEAD + b"\r\nContent-Length: 5", b"he", b"l")


async def test_what_is_no_answer_is_told_in_our_words() -> None:
    with pytest.raises(UpstreamFailed) as told:
        await passed_on(b"HTTP/1.1 418 x\r\nContent-Length: nonsense")
    assert told.value.refused.status == 502
    assert "malformed" in told.value.refused.why
