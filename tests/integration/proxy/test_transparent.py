"""A proxy without faults: what goes through comes out as it was, whichever way, however long."""

from __future__ import annotations

import random

import pytest
import trio

from .conftest import (
    PATIENCE_S,
    Proxy,
    Upstream,
    code_of,
    frame,
    masked,
    open_pair,
    reset,
    until,
)

SIZES = [0, 1, 125, 126, 65_535, 65_536, 200_000]


def text_of(size: int) -> str:
    """Text of so many bytes, of characters of every width."""
    pattern = "aü世🌍"
    width = len(pattern.encode())
    return pattern * (size // width) + "x" * (size % width)


async def test_text_and_binary_of_every_size_come_back_in_order(proxy: Proxy, upstream: Upstream):
    messages = [
        message
        for size in SIZES
        for message in (text_of(size), random.Random(size).randbytes(size))
    ]
    with trio.fail_after(PATIENCE_S):
        async with proxy.connect("/chat?x=1") as client, trio.open_nursery() as nursery:

            @nursery.start_soon
            async def send() -> None:
                for message in messages:
                    await client.send(message)

            assert [await client.recv() for _ in messages] == messages
        assert upstream.received == messages
        (connection,) = upstream.connections
        assert connection.request.path == "/chat?x=1"
        await proxy.until_ended()
    now = proxy.server.snapshot()
    assert (now.messages_received, now.messages_sent) == (len(messages),) * 2
    assert now.outcomes == {"clean": 1}
    assert now.close_codes == {1000: 1} == now.upstream_close_codes


@pytest.mark.parametrize(("code", "reason"), [(1000, ""), (1001, "bye"), (4321, "ä" * 61)])
@pytest.mark.parametrize("first", ["client", "upstream"])
async def test_a_close_goes_through_with_its_code_and_reason(
    proxy: Proxy, upstream: Upstream, first: str, code: int, reason: str
):
    with trio.fail_after(PATIENCE_S):
        async with proxy.connect() as client:
            server = await upstream.connection()
            ends = (client, server) if first == "client" else (server, client)
            await ends[0].aclose(code, reason)
            await until(lambda: ends[1].close_code)
            assert (ends[1].close_code, ends[1].close_reason) == (code, reason)
        await proxy.until_ended()
    assert proxy.server.snapshot().outcomes == {"clean": 1}
    assert proxy.server.snapshot().close_codes == {code: 1}


@pytest.mark.parametrize("first", ["client", "upstream"])
async def test_messages_that_come_with_a_close_frame_go_before_it(start_proxy, raw, first: str):
    url, accept = raw
    proxy = await start_proxy(url)
    with trio.fail_after(PATIENCE_S):
        closing, other = await open_pair(proxy, accept)
        if first == "upstream":
            closing, other = other, closing
        frames = [(0x81, b"last"), (0x82, b"words"), (0x88, b"\x03\xe8")]
        await closing.send(b"".join(frame(*each, masked=not closing.is_masked) for each in frames))
        assert [await other.frame() for _ in frames] == frames
        await other.send(frame(*frames[-1], masked=not other.is_masked))
        assert await closing.frame() == frames[-1]
        for end in (closing, other):
            await end.stream.aclose()
        await proxy.until_ended()


@pytest.mark.parametrize("first", ["client", "upstream"])
@pytest.mark.parametrize("fault", ["", "~delay/1ms/~up-delay/1ms"], ids=["direct", "with a fault"])
async def test_what_crosses_a_close_frame_goes_before_its_answer(
    start_proxy, raw, first: str, fault: str
):
    url, accept = raw
    proxy = await start_proxy(url, fault=fault)
    with trio.fail_after(PATIENCE_S):
        closing, other = await open_pair(proxy, accept)
        if first == "upstream":
            closing, other = other, closing
        await closing.send(frame(0x88, b"\x03\xe8", masked=not closing.is_masked))
        assert await other.frame() == (0x88, b"\x03\xe8")
        crossing = [(0x81, b"under way"), (0x01, b"in "), (0x80, b"parts"), (0x82, b"x" * 50_000)]
        for each in crossing[:3]:
            await other.send(frame(*each, masked=not other.is_masked))
        await other.send(frame(*crossing[3], masked=not other.is_masked))
        await other.send(frame(0x88, b"\x03\xe8", masked=not other.is_masked))
        received = b""
        while (got := await closing.frame())[0] & 0x0F != 8:
            received += got[1]
        assert received == b"".join(payload for _, payload in crossing)
        assert got == (0x88, b"\x03\xe8")
        for end in (closing, other):
            await end.stream.aclose()
        await proxy.until_ended()
    now = proxy.server.snapshot()
    assert (now.outcomes, now.messages_unanswered) == ({"clean": 1}, 0)


@pytest.mark.parametrize("fault", ["", "~delay/1ms/~up-delay/1ms"], ids=["direct", "with a fault"])
async def test_messages_that_nobody_takes_any_more_are_counted(start_proxy, raw, fault: str):
    url, accept = raw
    proxy = await start_proxy(url, fault=fault)
    with trio.fail_after(PATIENCE_S):
        ours, upstream = await open_pair(proxy, accept)
        await ours.send(frame(0x88, b"\x03\xe8", masked=True))
        assert await upstream.frame() == (0x88, b"\x03\xe8")
        (pair,) = proxy.server._proxy.switch.pairs
        reset(ours.stream)
        await until(lambda: not pair.client.takes_messages)
        await upstream.send(frame(0x81, b"a") + frame(0x82, b"b" * 200_000) + frame(0x81, b"c"))
        await upstream.send(frame(0x88, b"\x03\xe8"))
        await upstream.stream.aclose()
        await proxy.until_ended()
    assert proxy.server.snapshot().messages_unanswered == 3


async def test_fragments_and_pings_pass_in_their_order_both_ways(start_proxy, raw):
    url, accept = raw
    proxy = await start_proxy(url)
    with trio.fail_after(PATIENCE_S):
        ours, upstream = await open_pair(proxy, accept)
        frames = [
            (0x01, "aü".encode()[:2]),  # within a character
            (0x89, b"are you there?"),
            (0x80, "aü".encode()[2:]),
            (0x8A, b"unasked"),
            (0x82, b"\x00" * 300),
        ]
        await ours.send(b"".join(frame(*each, masked=True) for each in frames))
        assert [await upstream.frame() for _ in frames] == frames
        await upstream.send(b"".join(frame(*each) for each in frames))
        assert [await ours.frame() for _ in frames] == frames
        await ours.send(frame(0x88, b"", masked=True))
        assert await upstream.frame() == (0x88, b"")  # an empty close stays one
        await upstream.send(frame(0x88, b""))
        assert await ours.frame() == (0x88, b"")
        assert await ours.ends() == b""
        await upstream.stream.aclose()
        await proxy.until_ended()
    assert proxy.server.snapshot().close_codes == {1005: 1}


async def test_a_ping_and_a_close_find_their_way_amid_a_long_frame(start_proxy, raw):
    url, accept = raw
    proxy = await start_proxy(url)
    with trio.fail_after(PATIENCE_S):
        ours, upstream = await open_pair(proxy, accept)
        whole = frame(0x82, b"x" * 100_000)
        await upstream.send(whole[:70_000])
        first, piece = await ours.frame()
        assert first == 0x02  # a fragment: the first of the message
        await ours.send(frame(0x89, b"ping", masked=True))
        assert await upstream.frame() == (0x89, b"ping")
        proxy.server.drain()
        closing = await ours.frame()
        while closing[0] == 0x00:
            piece += closing[1]
            closing = await ours.frame()
        assert closing == (0x88, b"\x03\xe9the server is stopping")
        assert await upstream.frame() == closing
        assert piece == b"x" * len(piece)
        await ours.stream.aclose()
        await upstream.stream.aclose()
        await proxy.until_ended()


VIOLATIONS = [
    pytest.param(b"\xf1\x00", 1002, id="a reserved bit"),
    pytest.param(b"\x83\x00", 1002, id="an unknown opcode"),
    pytest.param(b"\x80\x00", 1002, id="a continuation of nothing"),
    pytest.param(frame(0x81, b"\xff"), 1007, id="text that is not UTF-8"),
    pytest.param(frame(0x82, b"x" * 2000), 1009, id="a message too big"),
    pytest.param(frame(0x88, b"\x03\xed"), 1002, id="a close code that may not be sent"),
]


@pytest.mark.parametrize(("wrong", "code"), VIOLATIONS)
@pytest.mark.parametrize("faulty", [False, True], ids=["direct", "with a fault"])
async def test_who_breaks_the_protocol_is_told_so_and_the_other_end_that_it_went(
    start_proxy, raw, wrong: bytes, code: int, faulty: bool
):
    url, accept = raw
    fault = "~delay/0s/~up-delay/0s" if faulty else ""
    proxy = await start_proxy(url, max_message_bytes=1000, fault=fault)
    with trio.fail_after(PATIENCE_S):
        ours, upstream = await open_pair(proxy, accept)
        await ours.send(frame(0x81, b"good", masked=True) + masked(wrong))
        assert await upstream.frame() == (0x81, b"good")
        closing = await upstream.frame()
        assert code_of(closing) == 1001
        if not faulty:  # What answers the good message goes before the verdict on the bad one.
            await upstream.send(frame(0x81, b"answer"))
            assert await ours.frame() == (0x81, b"answer")
        await upstream.send(frame(*closing))
        assert code_of(await ours.frame()) == code
        await ours.stream.aclose()
        await upstream.stream.aclose()
        await proxy.until_ended(1)
        ours, upstream = await open_pair(proxy, accept)
        await upstream.send(frame(0x81, b"good") + wrong)
        assert await ours.frame() == (0x81, b"good")
        closing = await ours.frame()
        assert code_of(closing) == 1014
        if not faulty:
            await ours.send(frame(0x81, b"answer", masked=True))
            assert await upstream.frame() == (0x81, b"answer")
        await ours.send(frame(*closing, masked=True))
        assert code_of(await upstream.frame()) == code
        await ours.stream.aclose()
        await upstream.stream.aclose()
        await proxy.until_ended(2)


@pytest.mark.parametrize("how", ["half close", "reset"])
async def test_a_client_that_just_goes_takes_its_upstream_with_it(start_proxy, raw, how: str):
    url, accept = raw
    proxy = await start_proxy(url)
    with trio.fail_after(PATIENCE_S):
        ours, upstream = await open_pair(proxy, accept)
        await ours.send(frame(0x81, b"last words", masked=True))
        assert await upstream.frame() == (0x81, b"last words")
        if how == "reset":
            reset(ours.stream)
        else:
            await ours.stream.send_eof()
        assert await upstream.ends() == b""  # without a close frame
        await upstream.stream.aclose()
        await proxy.until_ended()
    assert proxy.server.snapshot().outcomes == {"abnormal": 1}


@pytest.mark.parametrize("how", ["end", "reset"])
async def test_an_upstream_that_just_goes_is_a_bad_gateway(start_proxy, raw, how: str):
    url, accept = raw
    proxy = await start_proxy(url)
    with trio.fail_after(PATIENCE_S):
        ours, upstream = await open_pair(proxy, accept)
        await upstream.send(frame(0x81, b"last words"))
        assert await ours.frame() == (0x81, b"last words")
        if how == "reset":
            reset(upstream.stream)
        else:
            await upstream.stream.aclose()
        assert await ours.frame() == (0x88, b"\x03\xf6the upstream is gone")
        await ours.send(frame(0x88, b"\x03\xf6", masked=True))
        assert await ours.ends() == b""
        await ours.stream.aclose()
        await proxy.until_ended()
    assert proxy.server.snapshot().close_codes == {1014: 1}
    assert proxy.server.snapshot().upstream_close_codes == {1006: 1}


async def test_an_upstream_that_goes_instead_of_answering_a_close_is_a_bad_gateway(
    start_proxy, raw
):
    url, accept = raw
    proxy = await start_proxy(url)
    with trio.fail_after(PATIENCE_S):
        ours, upstream = await open_pair(proxy, accept)
        await ours.send(frame(0x88, b"\x03\xe8", masked=True))
        assert await upstream.frame() == (0x88, b"\x03\xe8")
        await upstream.stream.aclose()
        assert code_of(await ours.frame()) == 1014
        assert await ours.ends() == b""
        await ours.stream.aclose()
        await proxy.until_ended()
