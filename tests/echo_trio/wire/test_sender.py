"""Bytes out: what the kernel does not take waits in line, is counted, and goes on when it can."""

from __future__ import annotations

import errno
import socket
import sys
from collections import Counter
from collections.abc import Iterator

import pytest
import trio
import trio.testing
from trio_websocket import ConnectionClosed

from echo_trio.wire.budget import Budget
from echo_trio.wire.limits import Limits
from echo_trio.wire.sender import SEND_BYTES, Sender

from .conftest import (
    BINARY,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    code_of,
    frame_bytes,
    opcodes,
    payloads,
    xor,
)
from .ends import End


@pytest.mark.parametrize(
    ("message", "size", "expected"),
    [
        ("", 3, [(TEXT, b"", True)]),
        (b"", 3, [(BINARY, b"", True)]),
        ("abc", 3, [(TEXT, b"abc", True)]),
        ("abcd", 3, [(TEXT, b"abc", False), (CONTINUATION, b"d", True)]),
        ("é", 1, [(TEXT, b"\xc3", False), (CONTINUATION, b"\xa9", True)]),
        (b"abcdef", 3, [(BINARY, b"abc", False), (CONTINUATION, b"def", True)]),
        ("abc", 2**30, [(TEXT, b"abc", True)]),
    ],
)
async def test_a_message_goes_out_in_frames_of_the_size_asked_for(wire, message, size, expected):
    wire.start()
    for taken in wire.connection.send_fragments(message, size):
        if not taken:
            await wire.connection.flush()
    assert await wire.peer.receive_many(len(expected)) == expected
    assert wire.connection.messages_sent == 1


@pytest.mark.parametrize("transport", ["poller"], indirect=True)
@pytest.mark.parametrize("role", ["server"], indirect=True)
async def test_64_kib_are_received_by_one_call_and_answered_by_one(wire):
    """The work is counted: with the header they are more than 64 KiB, and so is the answer."""
    wire.start(appending(b" 1"))
    await trio.testing.wait_all_tasks_blocked()
    calls: Counter[str] = Counter()

    def count(_frame, event, function) -> None:
        if event == "c_call" and getattr(function, "__self__", None) is wire.connection._sock:
            calls[function.__name__] += 1

    message = "é" * 2**15
    sys.setprofile(count)
    try:
        await wire.peer.send(wire.peer.text(message))
        assert (await wire.peer.receive()).payload == message.encode() + b" 1"
    finally:
        sys.setprofile(None)
    del calls["fileno"]
    assert calls == {"recv": 1, "sendmsg": 1}


@pytest.mark.parametrize("appends", [False, True])
async def test_large_answers_go_out_in_their_places_among_the_others(wire, appends):
    wire.start(appending(b"!") if appends else lambda message: message + "!")
    sent = ["a" * 10, "é" * 10_000, "b" * 100_000, "", "c" * 4095, "d" * 4096, "f" * 2**18, "e"]
    sent += ["g" * 65_534, "h" * 65_535]  # with what is appended, on both sides of a longer header
    frames = [wire.peer.text(message) for message in sent]
    frames.insert(3, wire.peer.frame(PING, b"?"))
    frames[4] = wire.peer.frame(TEXT, fin=False) + wire.peer.frame(CONTINUATION, b"")
    wire.nursery.start_soon(wire.peer.send, b"".join(frames))
    got = await wire.peer.receive_many(len(frames))
    assert got.pop(3) == (PONG, b"?", True)
    assert payloads(got) == [message.encode() + b"!" for message in sent]
    assert wire.connection.messages_received == wire.connection.messages_sent == len(sent)


@pytest.mark.parametrize("size", [4096, 100_000])
async def test_large_text_that_is_only_appended_to_is_checked_all_the_same(wire, size):
    wire.start(appending(b"!"))
    text = b"x" * (size - 2) + b"\xc3!"
    frames = await wire.say_and_hear_all(wire.peer.frame(TEXT, text))
    assert [code_of(frame) for frame in frames] == [1007]


@pytest.mark.parametrize("role", ["server"], indirect=True)
@pytest.mark.parametrize("transport", ["poller"], indirect=True)
async def test_large_messages_that_are_only_appended_to_are_bounded_and_end_at_a_close(
    make_wire, transport, role
):
    wire = make_wire(Limits(max_message_bytes=5000))
    wire.start(appending(b"!"))
    frame = wire.peer.frame
    got = await wire.say_and_hear_all(frame(BINARY, bytes(5000)) + frame(BINARY, bytes(5001)))
    assert got[0].payload == bytes(5000) + b"!"
    assert [code_of(each) for each in got[1:]] == [1009]

    wire = make_wire()
    wire.start(appending(b"!"))
    await trio.testing.wait_all_tasks_blocked()
    wire.connection.close_nowait()
    got = await wire.say_and_hear_all(wire.peer.frame(BINARY, bytes(5000)) + wire.peer.close(1000))
    assert [code_of(each) for each in got] == [1000]
    assert wire.connection.messages_received == 1
    assert wire.connection.messages_sent == 0


def appending(suffix: bytes):
    """An `on_message` that says what it appends."""

    def on_message(message):
        return message + (suffix if isinstance(message, bytes) else suffix.decode())

    on_message.appended = lambda: suffix
    return on_message


async def test_many_fragments_come_in_blocks_of_which_each_can_be_waited_for(wire, nursery):
    wire.start()
    blocks = 0

    async def send():
        nonlocal blocks
        for taken in wire.connection.send_fragments(b"x" * 20_000, 1):
            blocks += 1
            if not taken:
                await wire.connection.flush()

    nursery.start_soon(send)
    frames = await wire.peer.receive_many(20_000)
    assert opcodes(frames) == [BINARY] + [CONTINUATION] * 19_999
    assert [frame.fin for frame in frames] == [False] * 19_999 + [True]
    assert blocks > 2


async def test_no_fragment_is_sent_once_the_connection_closes(wire):
    wire.start()
    if not wire.connection.close_nowait():
        await wire.connection.flush()
    with pytest.raises(ConnectionClosed):
        next(wire.connection.send_fragments("x", 1))


class OutOfBuffers(socket.socket):
    """A socket of a kernel that has no memory for what is sent, so many times."""

    times = 0

    def send(self, data, *flags):
        if self.times > 0:
            self.times -= 1
            raise OSError(errno.ENOBUFS, "No buffer space available")
        return super().send(data, *flags)


@pytest.mark.parametrize("transport", ["poller", "no-poller"], indirect=True)
async def test_a_kernel_without_buffers_is_waited_for_and_nothing_is_lost(
    make_wire, autojump_clock
):
    ours, theirs = socket.socketpair()
    ours = OutOfBuffers(fileno=ours.detach())
    wire = make_wire(sockets=(ours, theirs))
    wire.start()
    ours.times = 3
    await wire.peer.send(wire.peer.text("one") + wire.peer.text("two"))
    assert payloads(await wire.peer.receive_many(2)) == [b"one", b"two"]
    ours.times = 3
    wire.connection.send_nowait("three")
    await wire.connection.flush()
    assert (await wire.peer.receive()).payload == b"three"
    await wire.peer.stream.aclose()
    await wire.end()


@pytest.mark.parametrize("transport", ["poller", "no-poller"], indirect=True)
async def test_a_kernel_that_never_has_buffers_is_waited_for_until_the_write_timeout(
    make_wire, autojump_clock
):
    ours, theirs = socket.socketpair()
    ours = OutOfBuffers(fileno=ours.detach())
    wire = make_wire(Limits(write_timeout_s=5), sockets=(ours, theirs))
    wire.start()
    ours.times = 10**9
    await wire.peer.send(wire.peer.text("one"))
    await wire.end()
    assert wire.connection.timed_out == "write"
    assert trio.current_time() == pytest.approx(5, abs=1)


@pytest.mark.parametrize("transport", ["poller", "no-poller"])
async def test_what_waits_in_line_is_sent_in_steps(make_wire, nursery):
    """A send of megabytes is a millisecond of the kernel's: the others have their turn."""
    sizes = []

    class Watched(socket.socket):
        def send(self, data) -> int:
            sizes.append(len(data))
            return super().send(data)

    ours, theirs = socket.socketpair()
    wire = make_wire(sockets=(Watched(fileno=ours.detach()), theirs))
    wire.start()
    wire.connection.send_nowait(b"x" * 2**21)
    nursery.start_soon(wire.connection.flush)
    assert (await wire.peer.receive()).payload == b"x" * 2**21
    assert len(sizes) > 2
    assert max(sizes[1:]) <= SEND_BYTES


@pytest.mark.parametrize("transport", ["poller", "no-poller", "tls"])
async def test_what_waits_in_line_is_counted_as_held_and_given_back(make_wire, nursery):
    budget = Budget()
    wire = make_wire(Limits(max_message_bytes=2**24), budget=budget)
    wire.start()
    connection = wire.connection
    assert not connection.send_nowait(b"x" * 2**23)
    assert budget.held_bytes == connection.held_bytes == len(connection._unsent) > 2**20
    assert not connection.send_nowait(b"y" * 1000)
    assert budget.held_bytes == len(connection._unsent)
    nursery.start_soon(connection.flush)
    assert len(await wire.peer.receive_many(2)) == 2
    await trio.testing.wait_all_tasks_blocked()
    assert budget.held_bytes == 0


@pytest.mark.parametrize("transport", ["poller", "no-poller", "tls"])
async def test_an_abort_ends_a_flush_that_waits_for_the_kernel(make_wire, nursery):
    budget = Budget()
    wire = make_wire(budget=budget)
    wire.start()
    wire.connection.send_nowait(b"x" * 2**23)
    flushed = trio.Event()

    async def flush() -> None:
        await wire.connection.flush()
        flushed.set()

    nursery.start_soon(flush)
    await trio.testing.wait_all_tasks_blocked()
    wire.connection.abort()
    await flushed.wait()
    await wire.end()
    assert budget.held_bytes == 0


# -- A sender and nothing else ---------------------------------------------------------------------
# Bytes out: in order, each counted once, and held for as long as they wait in line.


BLOCK = b"x" * 2**20


class Line(Sender):
    """A sender and nothing else."""

    def __init__(self, sock: socket.socket, budget: Budget, write_timeout_s: float = 60.0) -> None:
        self._sock = sock
        self._budget = budget
        self._limits = Limits(write_timeout_s=write_timeout_s)
        self.aborted = False

    def _regulate_reading(self) -> None:
        pass

    def abort(self) -> None:
        self.aborted = True
        self._fail_writing()

    def _drop_everything(self) -> None:
        self.abort()


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    theirs.setblocking(False)
    yield ours, theirs
    ours.close()
    theirs.close()


@pytest.fixture
def budget() -> Budget:
    return Budget()


async def read(theirs: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        await trio.lowlevel.wait_readable(theirs)
        data += theirs.recv(2**20)
    return data


def test_what_the_kernel_takes_at_once_is_sent_and_not_held(pair, budget):
    line = Line(pair[0], budget)
    assert line._write(b"hello")
    assert (line.bytes_sent, line.held_bytes, budget.held_bytes) == (5, 0, 0)
    assert pair[1].recv(10) == b"hello"


async def test_what_it_does_not_take_is_held_until_it_does(pair, budget, nursery):
    line = Line(pair[0], budget)
    assert not line._write(BLOCK)
    assert line._unsent
    waiting = len(line._unsent)
    assert 0 < waiting < len(BLOCK)
    assert line.held_bytes == budget.held_bytes == waiting
    assert not line._write(b"and more")
    assert line.held_bytes == budget.held_bytes == waiting + 8
    assert line.bytes_sent == len(BLOCK) + 8
    nursery.start_soon(line.flush)
    assert await read(pair[1], len(BLOCK) + 8) == BLOCK + b"and more"
    await trio.testing.wait_all_tasks_blocked()
    assert (line.held_bytes, budget.held_bytes, bool(line._unsent)) == (0, 0, False)
    assert line._write(b"again")
    assert line.held_bytes == 0


async def test_replies_made_before_go_out_before(pair, budget, nursery):
    line = Line(pair[0], budget)
    line._write(BLOCK)
    line._replies = [b"first ", b"second "]
    line._write(b"third")
    assert line._replies == []
    nursery.start_soon(line.flush)
    assert (await read(pair[1], len(BLOCK) + 18))[len(BLOCK) :] == b"first second third"
    assert line.bytes_sent == len(BLOCK) + 18


def test_a_large_frame_in_parts_that_the_kernel_takes_is_sent_and_not_held(pair, budget):
    line = Line(pair[0], budget)
    line._replies = [b"before "]
    line._write_parts((b"head ", b"payload"))
    assert pair[1].recv(100) == b"before head payload"
    assert (line.bytes_sent, line.held_bytes, line._replies_blocked) == (19, 0, False)


@pytest.mark.parametrize(("header", "payload"), [(b"head ", BLOCK), (BLOCK, b"payload")])
async def test_the_rest_of_a_large_frame_in_parts_waits_in_line(
    pair, budget, nursery, header, payload
):
    line = Line(pair[0], budget)
    line._replies = [b"before "]
    line._write_parts((header, payload))
    assert line._unsent
    assert 0 < len(line._unsent) < len(BLOCK)
    assert line.held_bytes == budget.held_bytes == len(line._unsent)
    assert line._replies_blocked
    # The kernel has room again, and still what is in line comes first.
    taken = pair[1].recv(2**16)
    line._write_parts((b"behind ", b"it"))
    assert line.held_bytes == len(line._unsent)
    nursery.start_soon(line.flush)
    expected = b"before " + header + payload + b"behind it"
    assert taken + await read(pair[1], len(expected) - len(taken)) == expected
    assert line.bytes_sent == len(expected)
    await trio.testing.wait_all_tasks_blocked()
    assert line.held_bytes == 0


def test_a_large_frame_in_parts_to_a_peer_that_has_gone_is_dropped(pair, budget):
    line = Line(pair[0], budget)
    pair[1].close()
    line._write_parts((b"head ", b"payload"))
    assert line._write_failed
    assert not line._replies_blocked
    line._write_parts((b"head ", b"payload"))
    assert line.held_bytes == 0


async def test_a_peer_that_takes_something_now_and_then_is_waited_for(pair, budget, autojump_clock):
    """The timeout is of one blocked write, however many there are."""
    line = Line(pair[0], budget, write_timeout_s=5.0)
    line._write(BLOCK * 4)

    async def take_slowly() -> None:
        taken = 0
        while taken < 4 * len(BLOCK):
            await trio.sleep(3.0)
            while True:
                try:
                    taken += len(pair[1].recv(2**20))
                except BlockingIOError:
                    break

    async with trio.open_nursery() as both:
        both.start_soon(take_slowly)
        await line.flush()
        assert (line.timed_out, line.aborted, line.held_bytes) == (None, False, 0)
        assert trio.current_time() > 5.0


async def test_a_peer_that_takes_nothing_is_given_up_and_nothing_is_held(
    pair, budget, autojump_clock
):
    line = Line(pair[0], budget, write_timeout_s=5.0)
    line._write(BLOCK)
    await line.flush()
    assert (line.timed_out, line.aborted) == ("write", True)
    assert (line.held_bytes, budget.held_bytes) == (0, 0)
    assert line._write(b"more")  # It is dropped.
    assert line.held_bytes == 0


def test_when_writing_fails_what_waits_is_dropped_and_given_back(pair, budget):
    line = Line(pair[0], budget)
    line._write(BLOCK)
    line._fail_writing()
    assert (line.held_bytes, budget.held_bytes) == (0, 0)
    line._fail_writing()
    assert budget.held_bytes == 0


def test_over_budget_as_many_have_to_go_as_it_takes():
    made = [socket.socketpair() for _ in range(4)]
    budget = Budget(1000)
    lines = [Line(ours, budget) for ours, _ in made]
    for line, size in zip(lines, (100, 300, 200, 150), strict=True):
        line.hold(size)
    lines[0].hold(250)  # exactly 1000
    assert (budget.held_bytes, budget.evicted) == (1000, 0)
    lines[3].hold(500)  # the largest, which is enough
    assert [line.evicted for line in lines] == [False, False, False, True]
    assert budget.held_bytes == 850
    budget.max_bytes = 250
    lines[2].hold(1)
    assert [line.evicted for line in lines] == [True, True, False, True]
    assert (budget.held_bytes, budget.evicted) == (201, 3)
    lines[2].release(201)
    assert budget.held_bytes == 0
    for ours, theirs in made:
        ours.close()
        theirs.close()


async def test_what_took_too_long_first_is_what_is_told(pair, budget, autojump_clock):
    line = Line(pair[0], budget, write_timeout_s=5.0)
    line._write(BLOCK)
    line.timed_out = "close"
    await line.flush()
    assert (line.timed_out, line.aborted) == ("close", True)


@pytest.mark.parametrize("client", [False, True])
def test_what_is_sent_while_messages_are_answered_has_its_place_among_the_replies(
    client: bool,
) -> None:
    def reply(message: str) -> str:
        if message == "b":
            end.connection.send_nowait("by itself")
        return message

    end = End(client=client, reply=reply)
    data = [frame_bytes(TEXT, text, fin=True, rsv=0, masked=not client) for text in (b"a", b"b")]
    end.hear_bytes(b"".join(data))
    sent, texts = bytes(end.kernel.sent), list[bytes]()
    while sent:
        size, start = sent[1] & 0x7F, 2 + end.mask_bytes
        texts.append(xor(sent[start : start + size], sent[2:start] or bytes(4)))
        sent = sent[start + size :]
    assert texts == [b"a", b"by itself", b"b"]
    assert end.connection.bytes_sent == len(end.kernel.sent)
