"""Messages on a stream of bytes come out as they went in, however the bytes arrive."""

import socket
from contextlib import suppress
from itertools import pairwise

import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from echo_trio import process_channel
from echo_trio.process_channel import LENGTH_BYTES, MAX_BYTES, Channel, Inbox, Outbox, frame


class Pieces(trio.abc.ReceiveStream):
    """What arrives at each read; then the end."""

    def __init__(self, pieces):
        self._pieces = list(pieces)
        self.reads = 0

    async def receive_some(self, max_bytes=None):
        self.reads += 1
        return self._pieces.pop(0) if self._pieces else b""

    async def aclose(self):
        pass


def cut(data, places):
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[a:b] for a, b in pairwise(edges) if a < b]


@given(st.lists(st.binary(max_size=40), max_size=6), st.lists(st.integers(0, 10**6), max_size=12))
def test_messages_come_out_whole_and_in_order_however_they_are_cut(messages, places):
    stream = Pieces(cut(b"".join(map(frame, messages)), places))

    async def read():
        inbox, came = Inbox(stream.receive_some), []
        while (message := await inbox.read()) is not None:
            came.append(message)
        return came

    assert trio.run(read) == messages


async def test_a_message_that_is_there_is_not_waited_for():
    stream = Pieces([frame(b"one") + frame(b""), b"never asked for"])
    inbox = Inbox(stream.receive_some)
    assert (await inbox.read(), await inbox.read()) == (b"one", b"")
    assert stream.reads == 1


async def test_half_a_message_and_one_that_claims_too_much_are_the_end():
    assert await Inbox(Pieces([frame(b"half")[:-1]]).receive_some).read() is None
    too_long = (MAX_BYTES + 1).to_bytes(LENGTH_BYTES, "big")
    stream = Pieces([too_long, b"never asked for"])
    assert await Inbox(stream.receive_some).read() is None
    assert stream.reads == 1


@pytest.mark.parametrize("size", [9, 10, 11])
async def test_a_message_may_be_exactly_as_long_as_is_allowed(monkeypatch, size):
    monkeypatch.setattr(process_channel, "MAX_BYTES", 10)
    heard = await Inbox(Pieces([frame(b"x" * size)]).receive_some).read()
    assert heard == (b"x" * size if size <= 10 else None)


async def test_what_is_put_is_sent_in_order_and_counted_while_it_waits(nursery):
    ours, theirs = trio.testing.memory_stream_pair()
    outbox, inbox = Outbox(ours), Inbox(theirs.receive_some)
    for message in (b"one", b"two", b"three"):
        outbox.put(message)
    assert outbox.waiting == 3
    outbox.close()
    nursery.start_soon(outbox.write)
    assert [await inbox.read() for _ in range(3)] == [b"one", b"two", b"three"]
    assert outbox.waiting == 0


async def test_who_writes_to_one_that_is_gone_is_not_told():
    ours, theirs = trio.testing.memory_stream_pair()
    outbox = Outbox(ours)
    await theirs.aclose()
    outbox.put(b"one")
    outbox.put(b"two")
    outbox.close()
    await outbox.write()
    assert outbox.waiting == 0


@pytest.fixture
def pair():
    """Both ends of a channel on which text is said."""
    ends = socket.socketpair()
    yield [Channel(end, str.encode, bytes.decode) for end in ends]
    for end in ends:
        end.close()


async def test_a_channel_carries_what_is_said_whole_and_in_order_until_an_end_is_closed(pair):
    said = ["one", "", "x" * 5_000_000, "last"]  # more than the kernel takes at once
    heard = []

    async def say_all():
        async with pair[0] as channel:
            for each in said:
                assert await channel.say(each)

    async with pair[1] as channel, trio.open_nursery() as nursery:
        nursery.start_soon(say_all)
        heard += [each async for each in channel]
        assert await channel.hear() is None
    assert heard == said


async def test_what_several_say_at_once_is_heard_whole_and_in_their_order(pair):
    said = [letter * 3_000_000 for letter in "abc"]  # each is more than the kernel takes at once
    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            for each in said:
                nursery.start_soon(pair[0].say, each)
                await trio.testing.wait_all_tasks_blocked()
            heard = [await pair[1].hear() for _ in said]
    assert heard == said
    pair[0].close()
    pair[1].close()


async def test_who_talks_to_somebody_that_is_gone_is_told(pair):
    pair[1].close()
    with trio.fail_after(60):
        while await pair[0].say("is anybody there?"):
            pass


async def test_nothing_follows_a_message_that_was_cancelled_half_way(pair):
    async with trio.open_nursery() as nursery:
        nursery.start_soon(pair[0].say, "a" * 10_000_000)
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    with trio.fail_after(60):
        assert not await pair[0].say("more")
        assert [heard async for heard in pair[1]] == []


async def test_one_that_was_cancelled_before_it_began_leaves_the_channel_open(pair):
    with trio.CancelScope() as scope:
        scope.cancel()
        await pair[0].say("never")
    with trio.fail_after(60):
        assert await pair[0].say("more")
        assert await pair[1].hear() == "more"
    pair[0].close()
    pair[1].close()


async def test_who_is_cancelled_before_a_byte_was_sent_can_go_on_and_who_is_amid_a_message_cannot():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        channel = Channel(ours, encode=bytes, decode=bytes)
        filled_bytes = 0
        ours.setblocking(False)
        with suppress(BlockingIOError):
            while True:
                filled_bytes += ours.send(bytes(1000))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(channel.say, b"never")
            await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
        theirs.settimeout(60)
        while filled_bytes:
            filled_bytes -= len(theirs.recv(filled_bytes))
        assert await channel.say(b"first")
        assert theirs.recv(100) == frame(b"first")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(channel.say, bytes(MAX_BYTES - 10))
            await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
        assert not await channel.say(b"after half a message")
