"""Bytes out: what the kernel does not take waits in line, is counted, and goes on when it can."""

from __future__ import annotations

import errno
import socket

import pytest
import trio
import trio.testing
from trio_websocket import ConnectionClosed

from echo_trio.wire.budget import Budget
from echo_trio.wire.connection import Limits
from echo_trio.wire.sender import SEND_BYTES

from .conftest import BINARY, CONTINUATION, TEXT, opcodes, payloads


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
