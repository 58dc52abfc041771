"""A server that stood still itself blames no peer for it; who is silent is cut all the same."""

from __future__ import annotations

import select
import signal
import socket
import time
from contextlib import ExitStack
from urllib.parse import urlsplit

import psutil

from .conftest import ServerProcess

PATIENCE_S = 120.0
PING_TIMEOUT_S = 0.5
#: As much as the kernel takes while nobody reads.
MESSAGES = 8_000
CLOSE, PING, PONG = 8, 9, 10


class Peer:
    """A client that says what it is told to say, and nothing by itself."""

    def __init__(self, server: ServerProcess, stack: ExitStack) -> None:
        parts = urlsplit(server.url)
        address = (parts.hostname or "", parts.port or 0)
        self.sock = stack.enter_context(socket.create_connection(address, PATIENCE_S))
        self.sock.sendall(
            b"GET /silent HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
        self._read = self.sock.makefile("rb")
        assert self._read.readline().startswith(b"HTTP/1.1 101 ")
        while self._read.readline() != b"\r\n":
            pass

    def frame(self) -> tuple[int, bytes]:
        """The next frame's opcode and payload."""
        first, second = self._read.read(2)
        return first & 0x0F, self._read.read(second)

    def pong(self, payload: bytes) -> None:
        """Answer a ping behind messages that take many turns to read, unmasked by zeros."""
        pong = bytes((0x80 | PONG, 0x80 | len(payload))) + bytes(4) + payload
        self.sock.sendall(b"\x81\x81\0\0\0\0x" * MESSAGES + pong)


def test_a_server_stopped_for_longer_than_the_ping_timeout_cuts_only_who_is_silent(start_server):
    server = start_server("--ping-interval=500ms", f"--ping-timeout={PING_TIMEOUT_S}s")
    process = psutil.Process(server.process.pid)
    with ExitStack() as stack:
        silent = Peer(server, stack)
        in_time = False
        while not in_time:
            peer = Peer(server, stack)
            opcode, payload = peer.frame()
            assert opcode == PING
            process.send_signal(signal.SIGSTOP)
            try:
                while process.status() != psutil.STATUS_STOPPED:
                    time.sleep(0.001)
                # On a busy machine the server may have lost patience before it stood still.
                in_time = not select.select([peer.sock], [], [], 0)[0]
                if in_time:
                    peer.pong(payload)
                    time.sleep(2 * PING_TIMEOUT_S)
            finally:
                process.send_signal(signal.SIGCONT)
        opcode, again = peer.frame()
        assert opcode == PING
        assert again != payload
        while (heard := silent.frame())[0] == PING:
            pass
        assert heard[0] == CLOSE
        assert int.from_bytes(heard[1][:2]) == 1011
