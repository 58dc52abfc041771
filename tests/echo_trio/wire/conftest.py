"""A connection on one end, and on the other a peer that says any bytes a test likes.

The peer has its own few lines of framing, so that nothing here is checked by itself.
"""

from __future__ import annotations

import os
import socket
import ssl
import struct
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from typing import NamedTuple

import pytest
import trio
import trio.testing
import trustme

from echo_trio.wire import tls
from echo_trio.wire.connection import _TURN_OVER as TURN_OVER
from echo_trio.wire.connection import Connection, Limits
from echo_trio.wire.poller import Poller

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
PATIENCE_S = 60


class Frame(NamedTuple):
    opcode: int
    payload: bytes
    fin: bool = True


async def until(condition) -> None:
    """Wait until something holds, which others bring about."""
    with trio.fail_after(PATIENCE_S):
        while not condition():
            await trio.sleep(0.001)


def close_payload(code: int, reason: bytes = b"") -> bytes:
    return struct.pack("!H", code) + reason


def opcodes(frames) -> list[int]:
    return [frame.opcode for frame in frames]


def payloads(frames) -> list[bytes]:
    return [frame.payload for frame in frames]


def code_of(frame) -> int:
    assert frame.opcode == CLOSE
    return int.from_bytes(frame.payload[:2])


def xor(data: bytes, mask: bytes) -> bytes:
    repeated = (mask * (len(data) // 4 + 1))[: len(data)]
    return (int.from_bytes(data) ^ int.from_bytes(repeated)).to_bytes(len(data))


def frame_bytes(opcode: int, payload: bytes, *, fin: bool, rsv: int, masked: bool) -> bytes:
    size = len(payload)
    if size < 126:
        length, extension = size, b""
    elif size < 65536:
        length, extension = 126, struct.pack("!H", size)
    else:
        length, extension = 127, struct.pack("!Q", size)
    head = bytes((fin << 7 | rsv << 4 | opcode, masked << 7 | length)) + extension
    if not masked:
        return head + payload
    mask = os.urandom(4)
    return head + mask + xor(payload, mask)


class Peer:
    """The other end of a connection: sends bytes, receives frames."""

    def __init__(self, stream: trio.abc.Stream, masks: bool) -> None:
        self.stream = stream
        self.masks = masks
        self._unread = b""

    def frame(self, opcode: int, payload: bytes = b"", *, fin: bool = True, rsv: int = 0) -> bytes:
        return frame_bytes(opcode, payload, fin=fin, rsv=rsv, masked=self.masks)

    def text(self, message: str) -> bytes:
        return self.frame(TEXT, message.encode())

    def close(self, code: int, reason: bytes = b"") -> bytes:
        return self.frame(CLOSE, struct.pack("!H", code) + reason)

    async def send(self, data: bytes) -> None:
        await self.stream.send_all(data)

    async def receive(self) -> Frame:
        """The next frame."""
        with trio.fail_after(PATIENCE_S):
            while (parsed := self._parse()) is None:
                data = bytes(await self.stream.receive_some(65536))
                assert data, f"the stream ended, after {self._unread!r}"
                self._unread += data
        frame, size = parsed
        self._unread = self._unread[size:]
        return frame

    async def receive_many(self, count: int) -> list[Frame]:
        return [await self.receive() for _ in range(count)]

    async def receive_rest(self) -> list[Frame]:
        """Every frame up to the end of the stream, which must not come amid one."""
        received = [self._unread]
        with trio.fail_after(PATIENCE_S):
            while data := bytes(await self.stream.receive_some(65536)):
                received.append(data)
        self._unread = b"".join(received)
        frames = []
        while self._unread:
            parsed = self._parse()
            assert parsed, f"half a frame: {self._unread[:40]!r}"
            frame, size = parsed
            self._unread = self._unread[size:]
            frames.append(frame)
        return frames

    def _parse(self) -> tuple[Frame, int] | None:
        data = self._unread
        if len(data) < 2:
            return None
        assert (data[1] >= 128) is not self.masks, "only the client's end masks"
        size, start = data[1] & 0x7F, 2
        if size == 126:
            size, start = int.from_bytes(data[2:4]), 4
        elif size == 127:
            size, start = int.from_bytes(data[2:10]), 10
        mask = b"\0\0\0\0"
        if not self.masks:
            mask = data[start : start + 4]
            start += 4
        if len(data) < start + size:
            return None
        payload = xor(data[start : start + size], mask)
        return Frame(data[0] & 0x0F, payload, bool(data[0] & 0x80)), start + size


class Recorder:
    """In place of the kernel: what is sent is kept."""

    def __init__(self) -> None:
        self.sent = bytearray()

    def send(self, data: bytes) -> int:
        self.sent += data
        return len(data)


def unserved(on_message, *, client, limits, compression=None):
    """A connection that nobody serves, to be told with `arrive` what comes; and what it sends."""
    recorder = Recorder()
    connection = Connection.opened(None, client=client, limits=limits, compression=compression)
    connection._sock = recorder
    connection._on_message = on_message
    return connection, recorder


def arrive(connection, data: bytes) -> None:
    """Have a connection look at what has arrived, in as many turns as it takes."""
    if data:
        connection._take_arrived(data)
    while connection._halt & TURN_OVER:
        connection._go_on()


class TlsStream(trio.abc.HalfCloseableStream):
    """The peer's end of TLS: Python's own socket, nothing of ours."""

    def __init__(self, sock: ssl.SSLSocket) -> None:
        self.socket = sock
        self.setsockopt = sock.setsockopt
        sock.setblocking(False)

    async def send_all(self, data) -> None:
        while data:
            try:
                data = data[self.socket.send(data) :]
            except ssl.SSLWantWriteError:
                await trio.lowlevel.wait_writable(self.socket)
            except OSError as exc:
                raise trio.BrokenResourceError from exc
        await trio.lowlevel.checkpoint()

    async def wait_send_all_might_not_block(self) -> None:
        await trio.lowlevel.wait_writable(self.socket)

    async def receive_some(self, max_bytes=None) -> bytes:
        data, max_bytes = b"", max_bytes or 65536
        while len(data) < max_bytes:  # a record at a time
            try:
                some = self.socket.recv(max_bytes - len(data))
            except ssl.SSLWantReadError:
                if data:
                    break
                await trio.lowlevel.wait_readable(self.socket)
            except ssl.SSLZeroReturnError:
                break
            except OSError as exc:
                raise trio.BrokenResourceError from exc
            else:
                if not some:
                    break
                data += some
        return data

    async def send_eof(self) -> None:
        # SSLSocket.shutdown() would end TLS in both directions.
        with suppress(OSError):
            self.socket.unwrap()
        with suppress(OSError):
            socket.socket.shutdown(self.socket, socket.SHUT_WR)

    async def aclose(self) -> None:
        trio.lowlevel.notify_closing(self.socket)
        self.socket.close()
        await trio.lowlevel.checkpoint()


@dataclass
class Wire:
    """A connection under test, and its peer.

    `unattended` if it gets a task only when it needs one.
    """

    connection: Connection
    peer: Peer
    nursery: trio.Nursery
    unattended: bool = False
    raised: BaseException | None = None
    ended: trio.Event = field(default_factory=trio.Event)
    scope: trio.CancelScope = field(default_factory=trio.CancelScope)

    def start(self, on_message=lambda message: message) -> None:
        def attend() -> None:
            self.nursery.start_soon(self._run, on_message)

        if self.unattended:
            self.connection.serve_unattended(on_message, attend)
        else:
            attend()

    def cancel(self) -> None:
        self.connection.attend()
        self.scope.cancel()

    async def _run(self, on_message) -> None:
        try:
            with self.scope:
                await self.connection.run(on_message)
        except Exception as exc:  # noqa: BLE001 - for the test to look at
            self.raised = exc
        finally:
            self.ended.set()

    async def end(self) -> None:
        with trio.fail_after(PATIENCE_S):
            await self.ended.wait()
        assert self.raised is None

    async def say_and_hear_all(self, data: bytes) -> list[Frame]:
        """Send this, then the end of the stream when a close frame came; return all that came."""
        await self.peer.send(data)
        frames = [await self.peer.receive()]
        while frames[-1].opcode != CLOSE:
            frames.append(await self.peer.receive())
        with suppress(trio.BrokenResourceError):  # a server may have closed already
            await self.peer.stream.send_eof()
        assert await self.peer.receive_rest() == []
        return frames


@pytest.fixture(params=["server", "client"])
def role(request) -> str:
    return request.param


@pytest.fixture(params=["poller", "unattended", "no-poller", "stream", "tls"])
def transport(request) -> str:
    return request.param


@pytest.fixture(scope="session")
def tls_contexts(tmp_path_factory):
    """Ours and the peer's, by our role."""
    authority = trustme.CA()
    folder = tmp_path_factory.mktemp("tls")
    certificate, ca = folder / "server.pem", folder / "ca.pem"
    authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(certificate)
    authority.cert_pem.write_to_path(ca)
    server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    server.load_cert_chain(certificate)
    client.load_verify_locations(ca)
    return {
        "server": (tls.server_context(certificate, None), client),
        "client": (tls.client_context(ca), server),
    }


def over_tls(ours, theirs, role, contexts):
    """Both ends of a pair of sockets with TLS over them, the handshake done."""
    ours.setblocking(True)

    def wrap(sock, context, server) -> ssl.SSLSocket:
        return context.wrap_socket(
            sock,
            server_side=server,
            server_hostname=None if server else "localhost",
            suppress_ragged_eofs=False,  # A reset would look like an end.
        )

    wrapped = []
    ours_context, peers_context = contexts[role]
    thread = threading.Thread(
        target=lambda: wrapped.append(wrap(theirs, peers_context, role == "client"))
    )
    thread.start()
    ours = wrap(ours, ours_context, role == "server")
    thread.join(PATIENCE_S)
    return ours, TlsStream(wrapped[0])


@pytest.fixture
async def poller(nursery):
    poller = Poller()
    nursery.start_soon(poller.run)
    return poller


@pytest.fixture
def connection_class():
    """Whose instances `make_wire` makes."""
    return Connection


@pytest.fixture
def make_wire(role, transport, poller, nursery, tls_contexts, connection_class):
    """Makes a connection and its peer over a pair of sockets, or over memory ("stream")."""

    made = []

    def make(limits=None, surplus=b"", *, sockets=None, compression=None, budget=None) -> Wire:
        if transport == "stream" and sockets is None:
            ours, theirs = trio.testing.memory_stream_pair()
        else:
            ours, other = sockets or socket.socketpair()
            if transport == "tls":
                ours, theirs = over_tls(ours, other, role, tls_contexts)
            else:
                theirs = trio.SocketStream(trio.socket.from_stdlib_socket(other))
            ours.setblocking(False)
        connection = connection_class.opened(
            ours,
            client=role == "client",
            limits=limits or Limits(),
            poller=poller if transport in {"poller", "tls", "unattended"} else None,
            surplus=surplus,
            compression=compression,
            budget=budget,
        )
        made.extend((ours, theirs))
        peer = Peer(theirs, masks=role == "server")
        return Wire(connection, peer, nursery, unattended=transport == "unattended")

    yield make
    for end in made:
        if isinstance(end, trio.SocketStream | TlsStream):
            end.socket.close()
        elif isinstance(end, socket.socket):
            end.close()


@pytest.fixture
def wire(make_wire) -> Wire:
    return make_wire()


@pytest.fixture
def tcp_pair():
    """A pair of TCP sockets on loopback."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = socket.create_connection(listener.getsockname())
        server, _ = listener.accept()
    return server, client
