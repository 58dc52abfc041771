"""A drain is a deadline: whatever clients do, the server ends in good order within its time."""

from __future__ import annotations

import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from time import monotonic
from urllib.parse import urlsplit

import pytest

from echo_trio.server import END_S, patience_of

from .conftest import ServerProcess

StartServer = Callable[..., ServerProcess]
PATIENCE_S = 120.0
DRAIN_S = 6.0
#: None of these ends what a client can hold up, before the drain does.
NO_OTHER_TIMEOUT = ("--write-timeout=1h", "--close-timeout=1h", "--ping-interval=0")

TEXT, PING = 1, 9


def frame(payload: bytes, opcode: int = TEXT, *, fin: bool = True) -> bytes:
    """As a client sends it, with a mask that changes nothing."""
    first = bytes(((0x80 if fin else 0) | opcode,))
    if len(payload) < 126:
        length = bytes((0x80 | len(payload),))
    else:
        length = bytes((0x80 | 127,)) + len(payload).to_bytes(8, "big")
    return first + length + b"\0\0\0\0" + payload


class Clients:
    """Clients of every kind that a drain can't count on."""

    def __init__(self, server: ServerProcess, stack: ExitStack) -> None:
        parts = urlsplit(server.url)
        self._address = (parts.hostname or "", parts.port or 0)
        self._stack = stack
        self._stop = threading.Event()
        stack.callback(self._stop.set)

    def connect(self) -> socket.socket:
        return self._stack.enter_context(socket.create_connection(self._address, PATIENCE_S))

    def open(self, path: str = "/") -> socket.socket:
        sock = self.connect()
        sock.sendall(
            f"GET {path} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
            "\r\n".encode()
        )
        assert sock.recv(4096).startswith(b"HTTP/1.1 101 ")
        return sock

    def flood(self, block: bytes, *, reading: bool) -> None:
        """A client that sends as fast as it can, until the server is gone."""
        sock = self.open()
        sock.settimeout(0.2)

        def send() -> None:
            while not self._stop.is_set():
                try:
                    sock.send(block)
                except TimeoutError:
                    pass
                except OSError:
                    return
                if reading:
                    with suppress(OSError):
                        sock.recv(2**20, socket.MSG_DONTWAIT)

        thread = threading.Thread(target=send, daemon=True)
        thread.start()
        self._stack.callback(thread.join)
        self._stack.callback(self._stop.set)

    def stuff(self, path: str, message: bytes, times: int) -> None:
        """A client that sends what it can, and never reads."""
        sock = self.open(path)
        sock.setblocking(False)
        with suppress(BlockingIOError):
            for _ in range(times):
                sock.send(message)


@contextmanager
def crowd(server: ServerProcess) -> Iterator[None]:
    with ExitStack() as stack:
        clients = Clients(server, stack)
        for _ in range(20):
            clients.connect().sendall(b"GET / HT")
            clients.open()
            clients.stuff("/", frame(b"m" * 500_000), 20)
            clients.stuff("/delay/1h", frame(b"m" * 1000) * 50, 1)
            clients.stuff("/stall/1/1h", frame(b"m" * 1000) * 50, 1)
            clients.stuff("/burst/1000", frame(b"m" * 10_000) * 10, 1)
        in_two = (frame(b"12345678", fin=False) + frame(b"12345678", 0)) * 200
        for block, reading in (
            (in_two, True),
            (frame(b"x" * 16) * 1000, True),
            (frame(b"x" * 16) * 1000, False),
            (frame(b"", PING) * 500, True),
        ):
            clients.flood(block, reading=reading)
            clients.flood(block, reading=reading)
        yield


@pytest.mark.alone
@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_crowd_of_every_kind_does_not_hold_the_end_up(
    start_server: StartServer, workers: str
) -> None:
    server = start_server(f"--drain-timeout={DRAIN_S}s", *NO_OTHER_TIMEOUT, "--workers", workers)
    with crowd(server):
        signalled_s = monotonic()
        assert server.stop() == 0, server.log
        assert monotonic() - signalled_s < DRAIN_S
    outcomes = server.summary["outcomes"]
    assert server.summary["accepted"] == sum(outcomes.values()) == 128
    assert outcomes["refused"] == 20
    assert outcomes["dropped"] > 0


@pytest.mark.alone
def test_a_second_signal_amid_a_crowd_exits_1_at_once(start_server: StartServer) -> None:
    server = start_server("--drain-timeout=1h", *NO_OTHER_TIMEOUT)
    with crowd(server):
        server.process.send_signal(signal.SIGTERM)
        signalled_s = monotonic()
        # Another one: two of the same that come at once are one.
        assert server.stop(signal.SIGINT) == 1
        assert monotonic() - signalled_s < DRAIN_S


@pytest.mark.parametrize(
    ("drain_timeout_s", "connections", "patience_s"),
    [
        (10.0, 0, 10 - END_S),
        (10.0, 10_000, 8.5 - END_S),
        (0.2, 10_000, 0.1),
        (1.0, 0, 0.5),
        (0.0, 5, 0.0),
    ],
)
def test_time_is_left_for_the_end_itself(
    drain_timeout_s: float, connections: int, patience_s: float
) -> None:
    assert patience_of(drain_timeout_s, connections) == pytest.approx(patience_s)
