"""Hold little as a proxy, whatever is sent and whoever does not read."""

from __future__ import annotations

import hashlib
import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
import trio
from websockets.trio.client import connect

from .conftest import PATIENCE_S, frame, open_pair, reset, until

LARGEST = 16 * 2**20
#: A held message would be four times this, and each of its copies as well.
MOST_GROWTH_BYTES = 4 * 2**20


def peak_bytes(pid: int) -> int:
    """The most memory that a process has had."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found is not None
    return int(found[1]) * 1024


async def test_a_message_of_16_mib_passes_both_ways_without_being_held(upstream, start_server):
    server = await trio.to_thread.run_sync(
        lambda: start_server("--upstream", upstream.url, "--max-message-size", "16MiB")
    )
    blob = hashlib.shake_256(b"16 MiB").digest(LARGEST)
    text = "世🌍x" * 2**17
    with trio.fail_after(PATIENCE_S):
        async with connect(
            server.url, max_size=None, compression=None, ping_interval=None, proxy=None
        ) as client:
            for message in (blob[: 2**20], text):  # What is made once, is made.
                await client.send(message)
                assert await client.recv() == message
            before = peak_bytes(server.process.pid)
            await client.send(blob)
            assert await client.recv() == blob
            growth = peak_bytes(server.process.pid) - before
            assert growth < MOST_GROWTH_BYTES, f"{growth / 2**20:.1f} MiB more"
    await trio.to_thread.run_sync(server.stop)


@dataclass
class Flood:
    """Sends the same frame again and again, until it is cancelled.

    :ivar sent_bytes: what the kernel has taken so far.
    """

    stream: trio.SocketStream
    frame: bytes
    sent_bytes: int = 0

    async def run(self) -> None:
        """Send, until the connection breaks."""
        try:
            while True:
                rest = self.frame[self.sent_bytes % len(self.frame) :]
                self.sent_bytes += await self.stream.socket.send(rest)
        except OSError:
            pass


async def test_who_does_not_read_is_not_read_for_and_loses_nothing(start_proxy, raw):
    url, accept = raw
    proxy = await start_proxy(url, write_timeout_s=PATIENCE_S)
    with trio.fail_after(PATIENCE_S):
        ours, upstream = await open_pair(proxy, accept)
        flood = Flood(upstream.stream, frame(0x82, b"x" * 50_000))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(flood.run)
            await until(lambda: proxy.server.held_bytes)
            assert proxy.server.held_bytes < 2**20
            # The other way goes on.
            await ours.send(frame(0x81, b"still here", masked=True))
            assert await upstream.frame() == (0x81, b"still here")
            assert proxy.server.held_bytes < 2**20
            nursery.cancel_scope.cancel()
        received = 0
        while received < flood.sent_bytes // len(flood.frame) * 50_000:
            first, payload = await ours.frame()
            assert first & 0x7F in (0x00, 0x02)
            assert payload == b"x" * len(payload)
            received += len(payload)
        reset(ours.stream)
        reset(upstream.stream)
        await proxy.until_ended()
    assert proxy.server.held_bytes == 0


async def test_an_upstream_that_goes_while_it_is_not_read_leaves_nothing_behind(start_proxy, raw):
    url, accept = raw
    proxy = await start_proxy(url)
    with trio.fail_after(PATIENCE_S):
        ours, upstream = await open_pair(proxy, accept, "/~stall/2/500ms")
        messages = [(0x81, b"a"), (0x81, b"b"), (0x81, b"c"), (0x88, b"\x03\xe8")]
        await upstream.send(b"".join(frame(*each) for each in messages))
        await upstream.stream.aclose()
        assert [await ours.frame() for _ in messages] == messages


@pytest.mark.parametrize("up", [True, False])
async def test_a_message_alone_and_whole_passes_up_to_the_limit_and_no_further(
    start_proxy, raw, up
):
    url, accept = raw
    proxy = await start_proxy(url, max_message_bytes=1_000)
    with trio.fail_after(PATIENCE_S):
        ends = await open_pair(proxy, accept)
        sender, receiver = ends if up else ends[::-1]
        await sender.send(frame(0x81, b"x" * 1_000, masked=not sender.is_masked))
        assert await receiver.frame() == (0x81, b"x" * 1_000)
        await sender.send(frame(0x81, b"x" * 1_001, masked=not sender.is_masked))
        # The other end is told first, and its answer is awaited.
        for end in (receiver, sender):
            first, payload = await end.frame()
            assert first == 0x88
            await end.send(frame(0x88, payload, masked=not end.is_masked))
        assert payload[:2] == b"\x03\xf1"
        for end in ends:
            await end.stream.aclose()
        await proxy.until_ended()


async def test_a_peer_that_takes_nothing_for_the_write_timeout_ends_the_pair(start_proxy, raw):
    url, accept = raw
    proxy = await start_proxy(url, write_timeout_s=0.5, close_timeout_s=0.5)
    with trio.fail_after(PATIENCE_S):
        ours, upstream = await open_pair(proxy, accept)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(Flood(upstream.stream, frame(0x82, b"x" * 50_000)).run)
            assert (await upstream.frame())[1][:2] == b"\x03\xe9"
            nursery.cancel_scope.cancel()
        await upstream.stream.aclose()
        await ours.stream.aclose()
        await proxy.until_ended()
    assert proxy.server.snapshot().outcomes == {"write_timeout": 1}


async def test_what_faults_hold_is_counted_and_has_a_bound(start_proxy, raw):
    url, accept = raw
    proxy = await start_proxy(
        url, fault="~delay/1h/~up-delay/1h", max_message_bytes=2**20, max_held_bytes=4 * 2**20
    )
    with trio.fail_after(PATIENCE_S):
        ours, upstream = await open_pair(proxy, accept)
        other, other_upstream = await open_pair(proxy, accept)
        budget = proxy.server._sessions.budget
        async with trio.open_nursery() as nursery:
            # One pair is not read from above two messages …
            nursery.start_soon(Flood(upstream.stream, frame(0x82, b"x" * 900_000)).run)
            await until(lambda: proxy.server.held_bytes > 2 * 2**20)
            # … and of several, what holds most goes when the process has too much.
            masked = frame(0x82, b"x" * 900_000, masked=True)
            nursery.start_soon(Flood(other.stream, masked).run)
            await until(lambda: budget.evicted)
            assert proxy.server.held_bytes < 4 * 2**20
            nursery.cancel_scope.cancel()
        for end in (ours, upstream, other, other_upstream):
            reset(end.stream)
        await proxy.until_ended(2)
    assert proxy.server.snapshot().outcomes["memory"] == 1


@pytest.mark.parametrize("up", [False, True], ids=["the upstream sends", "the client sends"])
async def test_a_pair_that_holds_too_much_is_told_so_at_both_ends(start_proxy, raw, up: bool):
    url, accept = raw
    proxy = await start_proxy(url, max_message_bytes=2**20, max_held_bytes=2**20)
    with trio.fail_after(PATIENCE_S):
        ours, upstream = await open_pair(proxy, accept, f"/~{'up-' * up}reorder/1")
        sender, receiver = (ours, upstream) if up else (upstream, ours)
        message = frame(0x82, b"x" * 900_000, masked=up)
        await sender.send(message)  # is held back until the next one,
        with suppress(trio.BrokenResourceError):  # The proxy may be gone before it has all.
            await sender.send(message[:450_000])  # which is never whole.
        assert await receiver.frame() == (0x82, b"x" * 900_000)
        assert await receiver.frame() == (0x88, b"\x03\xf5the proxy is short of memory")
        assert await sender.frame() == (0x88, b"\x03\xf5the server is short of memory")
        for end in (ours, upstream):
            await end.stream.aclose()
        await proxy.until_ended()
    assert proxy.server.snapshot().outcomes == {"memory": 1}


async def test_the_proxy_pings_both_ends_and_keeps_their_answers_to_itself(start_proxy, raw):
    url, accept = raw
    proxy = await start_proxy(url, ping_interval_s=0.2, ping_timeout_s=PATIENCE_S)
    with trio.fail_after(PATIENCE_S):
        ours, upstream = await open_pair(proxy, accept)
        for end in (ours, upstream):
            for _ in range(2):
                first, payload = await end.frame()
                assert first == 0x89
                await end.send(frame(0x8A, payload, masked=not end.is_masked))
        for end in (ours, upstream):
            await end.send(frame(0x81, b"behind", masked=not end.is_masked))
        for end in (ours, upstream):
            received = await end.frame()
            while received[0] == 0x89:  # the proxy's next ping
                received = await end.frame()
            assert received == (0x81, b"behind")


@pytest.mark.parametrize("up", [True, False])
async def test_a_second_answer_to_the_proxys_ping_passes_as_any_pong(start_proxy, raw, up):
    url, accept = raw
    proxy = await start_proxy(url, ping_interval_s=0.2, ping_timeout_s=PATIENCE_S)
    with trio.fail_after(PATIENCE_S):
        ends = await open_pair(proxy, accept)
        sender, receiver = ends if up else ends[::-1]
        first, payload = await sender.frame()
        assert first == 0x89
        await sender.send(2 * frame(0x8A, payload, masked=not sender.is_masked))
        received = await receiver.frame()
        while received[0] == 0x89:  # the proxy's own ping
            received = await receiver.frame()
        assert received == (0x8A, payload)


async def test_a_silent_upstream_is_given_up_and_its_client_is_told(start_proxy, raw):
    url, accept = raw
    proxy = await start_proxy(url, ping_interval_s=0.2, ping_timeout_s=0.5)
    with trio.fail_after(PATIENCE_S):
        ours, upstream = await open_pair(proxy, accept)
        received = await ours.frame()
        while received[0] == 0x89:
            await ours.send(frame(0x8A, received[1], masked=True))
            received = await ours.frame()
        assert received == (0x88, b"\x03\xf6the upstream did not answer in time")
        received = await upstream.frame()
        while received[0] == 0x89:
            received = await upstream.frame()
        assert received == (0x88, b"\x03\xf3there was no answer to a ping")
