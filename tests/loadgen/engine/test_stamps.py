"""A socket that keeps the kernel's stamps reads as any other; real sockets on loopback."""

from __future__ import annotations

import socket
import time
from types import SimpleNamespace
from typing import Any

import pytest
import trio

from loadgen.engine.stamps import AVAILABLE, StampedSocket, stamped_socket

pytestmark = pytest.mark.skipif(not AVAILABLE, reason="it is so on Linux")


@pytest.fixture
def pair():
    """A socket that keeps stamps, and the other end of its connection."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        peer = socket.create_connection(listener.getsockname())
        accepted, _ = listener.accept()
        with peer, StampedSocket.of(accepted) as stamped:
            yield stamped, peer


def now_us() -> int:
    return time.time_ns() // 1000


async def test_what_is_read_has_the_time_at_which_the_kernel_received_it(pair):
    stamped, peer = pair
    assert stamped.stamped_us == 0
    for number in range(1000):
        before_us = now_us()
        peer.send(b"%d" % number)
        await trio.lowlevel.wait_readable(stamped)
        # Read later than it came, by more than the kernel needs.
        await trio.sleep(0.002)
        assert stamped.recv(100) == b"%d" % number
        if stamped.stamped_us:  # The kernel begins to stamp when it has the time for that.
            break
    assert before_us <= stamped.stamped_us <= now_us() - 2000


async def test_it_does_not_block_reads_no_more_than_asked_for_and_keeps_what_it_only_looks_at(pair):
    stamped, peer = pair
    with pytest.raises(BlockingIOError):
        stamped.recv(10)
    peer.send(b"hello")
    await trio.lowlevel.wait_readable(stamped)
    assert stamped.recv(2, socket.MSG_PEEK) == b"he"
    assert (stamped.recv(2), stamped.recv(10)) == (b"he", b"llo")
    peer.close()
    await trio.lowlevel.wait_readable(stamped)
    assert stamped.recv(10) == b""


def test_a_socket_is_taken_over_with_all_that_it_is():
    ours, theirs = socket.socketpair()
    descriptor = ours.fileno()
    with theirs, StampedSocket.of(ours) as stamped:
        assert (stamped.fileno(), ours.fileno()) == (descriptor, -1)
        assert (stamped.family, stamped.type, stamped.getblocking()) == (
            theirs.family, theirs.type, False
        )  # fmt: skip
        theirs.send(b"x")
        assert (stamped.recv(1), stamped.stamped_us) == (b"x", 0)  # None of its kind has stamps.


def test_a_connection_has_stamps_if_its_socket_keeps_them(pair):
    stamped, peer = pair
    for sock, expected in ((stamped, stamped), (peer, None)):
        connection: Any = SimpleNamespace(_sock=sock)
        assert stamped_socket(connection) is expected
