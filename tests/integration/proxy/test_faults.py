"""The faults of a proxy, each in both directions, and how they change while pairs are open."""

from __future__ import annotations

import pytest
import trio
from websockets.exceptions import ConnectionClosed

from .conftest import (
    PATIENCE_S,
    REQUEST,
    Proxy,
    code_of,
    dial,
    frame,
    open_pair,
    reset,
    until,
)

WAYS = pytest.mark.parametrize("up", [False, True], ids=["to the client", "to the upstream"])


async def pair(start_proxy, raw, path: str, *, up: bool, **settings):
    """The sender's end and the receiver's of the way that the path has a fault on."""
    url, accept = raw
    proxy = await start_proxy(url, **settings)
    ours, upstream = await open_pair(proxy, accept, path.replace("~", "~up-" if up else "~"))
    return proxy, *((ours, upstream) if up else (upstream, ours))


async def send(sender, *texts: str) -> None:
    for text in texts:
        await sender.send(frame(0x81, text.encode(), masked=not sender.is_masked))


async def receive(receiver, count: int) -> list[str]:
    return [payload.decode() for _, payload in [await receiver.frame() for _ in range(count)]]


CHANGES = [
    ("/~delay/1ms", "abcd", ["a", "b", "c", "d"]),
    ("/~duplicate/2", "abcd", ["a", "b", "b", "c", "d", "d"]),
    ("/~corrupt/2", "abcd", ["a", '"', "c", "$"]),
    ("/~reorder/2", "abcd", ["a", "c", "b"]),
    ("/~swallow/2", "abcd", ["a", "c"]),
    ("/~swallow/2/~duplicate/2", "abcdef", ["a", "c", "c", "e"]),
    ("/~duplicate/2/~swallow/2", "abcd", ["a", "b", "d"]),
    ("/~stall/2/1ms", "abcd", ["a", "b", "c", "d"]),
]


@pytest.mark.parametrize(("path", "sent", "received"), CHANGES)
@WAYS
async def test_messages_are_changed_on_their_way(start_proxy, raw, path, sent, received, up):
    _, sender, receiver = await pair(start_proxy, raw, path + "/chat", up=up)
    with trio.fail_after(PATIENCE_S):
        await send(sender, *sent)
        assert await receive(receiver, len(received)) == received
        # The other way is as it was.
        await send(receiver, "back")
        assert await receive(sender, 1) == ["back"]


@pytest.mark.parametrize("path", ["/~reorder/1", "/~reorder/1/~delay/1h"])
async def test_what_a_fault_still_holds_back_at_the_end_is_counted(start_proxy, raw, path):
    proxy, upstream, ours = await pair(start_proxy, raw, path, up=False)
    with trio.fail_after(PATIENCE_S):
        await send(upstream, "held")
        await until(lambda: proxy.server.held_bytes)
        reset(ours.stream)
        await upstream.ends()
        await upstream.stream.aclose()
        await proxy.until_ended()
    assert proxy.server.snapshot().messages_unanswered == 1


@WAYS
async def test_what_has_passed_a_fault_is_held_no_longer(start_proxy, raw, up):
    proxy, sender, receiver = await pair(start_proxy, raw, "/~reorder/1/~delay/1ms", up=up)
    with trio.fail_after(PATIENCE_S):
        await send(sender, "a", "b")
        assert await receive(receiver, 2) == ["b", "a"]
        assert proxy.server.held_bytes == 0
    assert proxy.server.snapshot().open == 1


@WAYS
async def test_what_a_fault_holds_back_goes_before_the_close(start_proxy, raw, up):
    _, sender, receiver = await pair(start_proxy, raw, "/~reorder/1/~delay/1ms", up=up)
    with trio.fail_after(PATIENCE_S):
        await send(sender, "held")
        await sender.send(frame(0x88, b"\x0f\xa1", masked=not sender.is_masked))
        assert await receive(receiver, 1) == ["held"]
        assert await receiver.frame() == (0x88, b"\x0f\xa1")


@WAYS
async def test_fragments_of_a_size_leave_for_each_message(start_proxy, raw, up):
    _, sender, receiver = await pair(start_proxy, raw, "/~fragment/2", up=up)
    with trio.fail_after(PATIENCE_S):
        await send(sender, "abcde")
        assert [await receiver.frame() for _ in range(3)] == [
            (0x01, b"ab"),
            (0x00, b"cd"),
            (0x80, b"e"),
        ]


@WAYS
async def test_silence_lets_no_message_through_and_pings_and_the_close(start_proxy, raw, up):
    _, sender, receiver = await pair(start_proxy, raw, "/~silent", up=up)
    with trio.fail_after(PATIENCE_S):
        await send(sender, "never")
        await sender.send(frame(0x89, b"ping", masked=not sender.is_masked))
        await sender.send(frame(0x88, b"", masked=not sender.is_masked))
        assert await receiver.frame() == (0x89, b"ping")
        assert await receiver.frame() == (0x88, b"")


@WAYS
async def test_a_drop_resets_both_ends_behind_its_messages(start_proxy, raw, up):
    proxy, sender, receiver = await pair(start_proxy, raw, "/~drop/2", up=up)
    with trio.fail_after(PATIENCE_S):
        await send(sender, "a", "b")
        assert await receive(receiver, 2) == ["a", "b"]
        assert await receiver.ends() == b"(reset)"
        assert await sender.ends() == b"(reset)"
        await proxy.until_ended()
    assert proxy.server.snapshot().outcomes == {"abnormal": 1}


@WAYS
async def test_a_close_reaches_both_ends_with_its_code_instead_of_the_first_message(
    start_proxy, raw, up
):
    proxy, sender, receiver = await pair(start_proxy, raw, "/~close/4001:go%20away", up=up)
    closing = (0x88, b"\x0f\xa1go away")
    with trio.fail_after(PATIENCE_S):
        await send(sender, "a")
        assert await receiver.frame() == closing
        await receiver.send(frame(*closing, masked=not receiver.is_masked))
        assert await sender.frame() == closing
        await sender.send(frame(*closing, masked=not sender.is_masked))
        for end in (sender, receiver):
            await end.stream.aclose()
        await proxy.until_ended()
    assert proxy.server.snapshot().close_codes == {4001: 1}


async def test_a_close_without_a_frame_is_the_end_of_tcp(start_proxy, raw):
    _, upstream, ours = await pair(start_proxy, raw, "/~close/1006", up=False)
    with trio.fail_after(PATIENCE_S):
        await send(upstream, "a")
        assert await ours.ends() == b""
        assert await upstream.ends() == b""


@WAYS
async def test_a_freeze_stops_both_ways_and_ends(start_proxy, raw, up, autojump_clock):
    """On the virtual clock: it only jumps when nothing moves, so nothing moves meanwhile."""
    _, sender, receiver = await pair(start_proxy, raw, "/~stall/1/60s", up=up, ping_interval_s=0)
    began_s = trio.current_time()
    await send(sender, "a")
    assert await receive(receiver, 1) == ["a"]
    assert trio.current_time() - began_s >= 60


@WAYS
async def test_a_freeze_holds_the_other_way_as_well(start_proxy, raw, up, autojump_clock):
    path = "/~stall/1/60s"
    proxy, sender, receiver = await pair(start_proxy, raw, path, up=up, ping_interval_s=0)
    with trio.fail_after(PATIENCE_S):
        await send(sender, "a")
        (frozen,) = proxy.server._proxy.switch.pairs
        await until(lambda: frozen.is_frozen)
        began_s = trio.current_time()
        await send(receiver, "b")
        assert await receive(sender, 1) == ["b"]
        assert trio.current_time() - began_s >= 30
        assert await receive(receiver, 1) == ["a"]


async def test_what_is_due_first_goes_first_whichever_way_it_goes(start_proxy, raw, autojump_clock):
    path = "/~delay/60s/~up-delay/20s"
    _, upstream, ours = await pair(start_proxy, raw, path, up=False, ping_interval_s=0)
    with trio.fail_after(PATIENCE_S):
        began_s = trio.current_time()
        await send(upstream, "later")
        await send(ours, "first")
        assert await receive(upstream, 1) == ["first"]
        assert 20 <= trio.current_time() - began_s < 60
        assert await receive(ours, 1) == ["later"]
        assert trio.current_time() - began_s >= 60


async def test_the_delay_of_a_message_does_not_hold_the_other_way_up(
    start_proxy, raw, autojump_clock
):
    _, upstream, ours = await pair(start_proxy, raw, "/~delay/60s", up=False, ping_interval_s=0)
    began_s = trio.current_time()
    await send(upstream, "late")
    await send(ours, "now")
    assert await receive(upstream, 1) == ["now"]
    await upstream.send(frame(0x88, b"\x03\xe8"))
    assert trio.current_time() - began_s < 60
    assert await receive(ours, 1) == ["late"]
    assert trio.current_time() - began_s >= 60
    assert code_of(await ours.frame()) == 1000


async def test_a_status_refuses_without_a_word_to_the_upstream(proxy: Proxy, upstream):
    ours = await dial(proxy)
    await ours.send(REQUEST.format("/~delay/1s/~status/503/chat", "").encode())
    assert (await ours.read_head()).startswith("HTTP/1.1 503 ")
    assert not upstream.connections


@pytest.mark.parametrize(
    ("path", "target"),
    [
        ("/~delay/1ms/~up-drop/9/chat?x=1", "/chat?x=1"),
        ("/~silent", "/"),
        ("/~silent?x", "/?x"),
        ("/~silent/", "/"),
        ("/~/~alice/", "/~alice/"),
        ("/~delay/1ms/~/~alice", "/~alice"),
        ("/~", "/"),
        ("/a/~silent", "/a/~silent"),
        ("/~silent//a", "//a"),
    ],
)
async def test_the_upstream_sees_the_path_behind_the_faults(start_proxy, raw, path, target):
    url, accept = raw
    proxy = await start_proxy(url)
    _, upstream = await open_pair(proxy, accept, path)
    assert upstream.head.startswith(f"GET {target} HTTP/1.1\r\n")


@pytest.mark.parametrize(
    ("path", "status"),
    [("/~alice/", 404), ("/~delay", 404), ("/~delay/x/chat", 400), ("/~up-status/500/chat", 400)],
)
async def test_a_fault_that_is_none_is_refused(proxy: Proxy, path: str, status: int):
    ours = await dial(proxy)
    await ours.send(REQUEST.format(path, "").encode())
    head, _, body = (await ours.ends()).decode().partition("\r\n\r\n")
    assert head.startswith(f"HTTP/1.1 {status} ")
    assert "~delay" in body or "~status" in body


async def test_faults_of_all_pairs_come_first_and_change_from_the_next_message_on(start_proxy, raw):
    url, accept = raw
    proxy = await start_proxy(url, fault="~duplicate/1")
    with trio.fail_after(PATIENCE_S):
        ours, upstream = await open_pair(proxy, accept, "/~swallow/2/chat")
        await send(upstream, "a", "b")
        assert await receive(ours, 2) == ["a", "b"]  # of "aabb", each second one
        proxy.server.set_faults("~reorder/1/~up-corrupt/1")
        assert proxy.server.faults == "~reorder/1/~up-corrupt/1"
        await send(ours, "a")
        assert await receive(upstream, 1) == ["!"]
        await send(upstream, "c")
        await until(lambda: proxy.server.held_bytes)
        proxy.server.set_faults("")  # What was held back is let go: the fifth, so it passes.
        assert await receive(ours, 1) == ["c"]
        await send(upstream, "d", "e")
        assert await receive(ours, 1) == ["e"]
        with pytest.raises(ValueError, match="no fault"):
            proxy.server.set_faults("~nothing")
        assert proxy.server.faults == ""
        proxy.server.set_faults("~drop/0")
        assert await ours.ends() == b"(reset)"
        assert await upstream.ends() == b"(reset)"


async def test_a_message_that_has_begun_passes_before_a_fault_holds(start_proxy, raw):
    url, accept = raw
    proxy = await start_proxy(url)
    whole = frame(0x82, b"x" * 100_000)
    with trio.fail_after(PATIENCE_S):
        ours, upstream = await open_pair(proxy, accept)
        await upstream.send(whole[:50_000])
        received = await ours.frame()
        proxy.server.set_faults("~corrupt/1")
        await upstream.send(whole[50_000:] + frame(0x82, b"y"))
        size = len(received[1])
        while not received[0] & 0x80:
            received = await ours.frame()
            assert set(received[1]) == {ord("x")}
            size += len(received[1])
        assert size == 100_000
        assert await ours.frame() == (0x82, b"9")
        proxy.server.set_faults("")
        await upstream.send(frame(0x82, b"z"))
        assert await ours.frame() == (0x82, b"z")


async def test_a_status_for_all_refuses_new_clients_and_leaves_open_ones_alone(proxy: Proxy):
    with trio.fail_after(PATIENCE_S):
        async with proxy.connect() as client:
            proxy.server.set_faults("~status/429")
            await client.send("still here")
            assert await client.recv() == "still here"
            ours = await dial(proxy)
            await ours.send(REQUEST.format("/", "").encode())
            assert (await ours.read_head()).startswith("HTTP/1.1 429 ")


async def test_messages_that_a_fault_still_had_are_counted(start_proxy, raw):
    proxy, upstream, ours = await pair(start_proxy, raw, "/~delay/1h", up=False)
    with trio.fail_after(PATIENCE_S):
        await send(upstream, "a", "b", "c")
        await until(lambda: proxy.server.held_bytes)
        await send(ours, "x")
        assert await receive(upstream, 1) == ["x"]
        proxy.server.drain()
        assert code_of(await ours.frame()) == code_of(await upstream.frame()) == 1001
        for end in (ours, upstream):
            await end.send(frame(0x88, b"\x03\xe9", masked=not end.is_masked))
            await end.stream.aclose()
        await proxy.until_ended()
    assert proxy.server.snapshot().messages_unanswered == 3


async def test_a_drain_closes_both_ends_of_every_pair_with_1001(proxy: Proxy, upstream):
    count = 20
    with trio.fail_after(PATIENCE_S):
        async with trio.open_nursery() as nursery:
            closed = []

            async def hold(path: str) -> None:
                async with proxy.connect(path) as client:
                    await client.send("hello")
                    await client.recv()
                    with pytest.raises(ConnectionClosed):
                        await client.recv()
                    closed.append(client.close_code)

            for number in range(count):
                nursery.start_soon(hold, "/~delay/1ms" if number % 2 else "/")
            await until(lambda: len(upstream.received) == count)
            await until(lambda: proxy.server.snapshot().messages_sent == count)
            proxy.server.drain()
        assert closed == [1001] * count
        await until(lambda: all(each.close_code for each in upstream.connections))
        assert {each.close_code for each in upstream.connections} == {1001}
    assert proxy.server.snapshot().outcomes == {"clean": count}
