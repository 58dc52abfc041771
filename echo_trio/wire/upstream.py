"""Offer upstream's own API: trio-websocket's handshake, reader task and `get_message`.

`UpstreamConnection` goes wherever a `trio_websocket.WebSocketConnection` does: its constructor, its
handshake by wsproto, `send_message`, `get_message`, `ping`, `pong` and `aclose` are there, and
upstream's own tests pass on it. Received messages go through an inbox to upstream's own handlers,
in a reader task. Frames are read and written by `frames.py` here as well.

This is the only file that touches private parts of trio-websocket, and the only one that knows
wsproto; `tests/echo_trio/wire/test_upstream.py` fails when they change.
"""

from __future__ import annotations

import ssl
import struct
from collections import OrderedDict, deque
from contextlib import suppress
from functools import cached_property
from random import getrandbits
from typing import TYPE_CHECKING, Any

import trio
from trio_websocket import CloseReason, ConnectionClosed, Endpoint
from trio_websocket import WebSocketConnection as Upstream
from wsproto.connection import ConnectionState
from wsproto.events import (
    AcceptConnection,
    CloseConnection,
    Event,
    Ping,
    Pong,
    RejectConnection,
    RejectData,
    Request,
)
from wsproto.utilities import RemoteProtocolError

from echo_trio.wire import frames
from echo_trio.wire.close_codes import ABNORMAL_CLOSURE, INTERNAL_ERROR
from echo_trio.wire.connection import Connection, raw_socket
from echo_trio.wire.limits import Limits

if TYPE_CHECKING:
    from wsproto import WSConnection


class UpstreamConnection(Connection):
    """One WebSocket, either end, as users of trio-websocket know it.

    It is made by upstream's constructor, with the handshake still to be done, or by `opened`. Then
    `start_reading` feeds `get_message`, or `run` serves the connection without it.
    """

    _close_handshake: Any = None
    _inbox: deque[str | bytes | Event] | None = None
    _on_message = None  # type: ignore[assignment]  # until `run` says
    _pings: Any = None
    _recv_channel: Any = None
    _wsproto: WSConnection | None = None  # type: ignore[assignment]  # until the handshake is done

    def __init__(
        self, stream: trio.abc.Stream, ws_connection: WSConnection, **options: Any
    ) -> None:
        """Take upstream's arguments; the handshake is still to be done, by `_reader_task`."""
        Upstream.__init__(self, stream, ws_connection, **options)
        self._client = ws_connection.client
        self._sock = raw_socket(stream)
        self._limits = Limits(self._max_message_size, float("inf"), float("inf"))

    @cached_property
    def _stream(self) -> trio.abc.Stream:  # type: ignore[override]
        """The stream that upstream's properties ask; above a socket, made when they first do."""
        assert self._sock is not None
        return trio.SocketStream(trio.socket.from_stdlib_socket(self._sock))

    @property
    def local(self) -> Endpoint | str:
        """Our address and port."""
        if isinstance(self._sock, ssl.SSLSocket):  # Nothing of Trio's goes over one.
            address, port, *_ = self._sock.getsockname()
            return Endpoint(address, port, is_ssl=True)
        return super().local

    @property
    def remote(self) -> Endpoint | str:
        """The peer's address and port."""
        if isinstance(self._sock, ssl.SSLSocket):
            address, port, *_ = self._sock.getpeername()
            return Endpoint(address, port, is_ssl=True)
        return super().remote

    # -- Sending ---------------------------------------------------------------------------

    async def send_message(self, message: str | bytes) -> None:
        """Send a message, waiting until the kernel has taken all its bytes.

        Cancelled while waiting, the message stays in line, and the next `flush` sends on where this
        one stopped: half a frame is never followed by another.

        :raises ConnectionClosed: if the connection is closed or closing.
        :raises ValueError: if the message is neither str nor bytes.
        """
        if not isinstance(message, str | bytes):
            raise ValueError("message must be str or bytes")
        self._check_open()
        frame = self._encode(message, self._client)
        await trio.lowlevel.checkpoint_if_cancelled()
        self.messages_sent += 1
        await self._finish_sending(taken=self._write(frame))

    async def ping(self, payload: bytes | None = None) -> None:
        """Send a ping and wait for its pong, or for one to a later ping.

        Cancelled: the ping is sent, and its pong is ignored.

        :param payload: at most 125 bytes; four random ones by default.
        :raises ConnectionClosed: if the connection is closed or closing, or ends before the pong.
        :raises ValueError: if a ping with this payload is under way, or it is too long.
        """
        if payload is None:
            payload = struct.pack("!I", getrandbits(32))
        frame = frames.encode_control(frames.PING, payload, self._client)
        await self._take_turn()
        if self._pings is None:
            self._pings = OrderedDict()
        if payload in self._pings:
            raise ValueError(f"Payload value {payload!r} is already in flight.")
        answered = self._pings[payload] = trio.Event()
        try:
            await self._finish_sending(taken=self._write(frame))
            await answered.wait()
        finally:
            unanswered = self._pings.pop(payload, None)
        if unanswered is not None:
            assert self._close_reason is not None
            raise ConnectionClosed(self._close_reason)

    async def pong(self, payload: bytes | None = None) -> None:
        """Send an unsolicited pong (RFC 6455, 5.5.3).

        :raises ConnectionClosed: if the connection is closed or closing.
        :raises ValueError: if the payload is longer than 125 bytes.
        """
        frame = frames.encode_control(frames.PONG, payload or b"", self._client)
        await self._take_turn()
        await self._finish_sending(taken=self._write(frame))

    async def _take_turn(self) -> None:
        """Checkpoint where upstream waits for its lock: its own tests count on the moment."""
        self._check_open()
        await trio.lowlevel.checkpoint()
        self._check_open()

    async def _finish_sending(self, taken: bool) -> None:
        if not taken:
            await self.flush()
        if self._write_failed:
            raise ConnectionClosed(self._close_reason or CloseReason(ABNORMAL_CLOSURE, None))
        if taken:
            await trio.lowlevel.cancel_shielded_checkpoint()

    async def _send(self, event: Event) -> None:
        """Send an event, as upstream sends everything."""
        if isinstance(event, CloseConnection):
            taken = self._write_close(int(event.code), event.reason)
        elif isinstance(event, Pong):
            # After our close frame there is nothing more to say (upstream's issue 184).
            pong = frames.encode_control(frames.PONG, bytes(event.payload), self._client)
            taken = self.close_sent is not None or self._write(pong)
        else:
            assert self._wsproto is not None
            await trio.lowlevel.checkpoint()  # see _take_turn
            taken = self._write(self._wsproto.send(event))
        await self._finish_sending(taken)

    # -- Receiving -------------------------------------------------------------------------

    def start_reading(self, nursery: trio.Nursery, *, queue_size: int = 1) -> None:
        """Serve an `opened` connection with `get_message` instead of `run`.

        :param nursery: where the reader runs, until the connection is over.
        :param queue_size: messages received ahead of `get_message`; then the peer has to wait.
        """
        self._send_channel, self._recv_channel = trio.open_memory_channel(queue_size)
        nursery.start_soon(self._read_into_channel)

    async def _reader_task(self) -> None:
        if await self._shake_hands():
            await self._read_into_channel()
        else:
            self._send_channel.close()

    async def _read_into_channel(self) -> None:
        self._inbox = deque()
        try:
            await self.run(self._inbox.append)
        finally:
            self._send_channel.close()
            # A checkpoint, as upstream's aclose() is; shielded, so that no cancellation replaces
            # the exception that was raised.
            await trio.lowlevel.cancel_shielded_checkpoint()

    def _receive(self, data: bytes) -> None:
        super()._receive(data)
        if self._inbox:
            self._attention = True

    def _take_control(self, opcode: int, payload: bytes) -> None:
        if self._inbox is None or opcode == frames.PONG:
            super()._take_control(opcode, payload)
        elif opcode == frames.PING:
            self._inbox.append(Ping(payload=payload))
        else:
            code, reason = frames.read_close(payload)
            self._inbox.append(CloseConnection(code=code, reason=reason))
            self._stop_listening()

    def _take_pong(self, payload: bytes) -> None:
        """Wake the ping that this answers, and those sent before it."""
        if not self._pings or payload not in self._pings:
            super()._take_pong(payload)
            return
        while True:
            sent, answered = self._pings.popitem(last=False)
            answered.set()
            if sent == payload:
                return

    async def _serve_once(self) -> None:
        if self._inbox:
            await self._deliver_inbox()
        else:
            await super()._serve_once()

    async def _deliver_inbox(self) -> None:
        assert self._inbox is not None
        while self._inbox:
            item = self._inbox.popleft()
            if isinstance(item, Ping):
                await self._handle_ping_event(item)
            elif isinstance(item, CloseConnection):
                await self._handle_close_connection_event(item)
            else:
                # A closed channel: no caller will ask for it, aclose() was called.
                with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
                    await self._send_channel.send(item)  # type: ignore[arg-type]

    # -- The handshake ---------------------------------------------------------------------

    async def _shake_hands(self) -> bool:
        """Do upstream's opening handshake, by wsproto. False if there is no connection after it."""
        wsproto = self._wsproto
        assert wsproto is not None
        handlers: dict[type[Event], Any] = {
            Request: self._handle_request_event,
            AcceptConnection: self._handle_accept_connection_event,
            RejectConnection: self._handle_reject_connection_event,
            RejectData: self._handle_reject_data_event,
        }
        try:
            if self._initial_request is not None:
                await self._send(self._initial_request)
            while True:
                for event in wsproto.events():
                    await handlers[type(event)](event)
                    if isinstance(event, AcceptConnection):
                        break  # From here on there are frames, which we read ourselves.
                if self._client and self._open_handshake.is_set():
                    break
                data = await self._receive_some()
                if not data:
                    self._abandon_handshake()
                    return False
                if wsproto.state is ConnectionState.OPEN:  # Accepted meanwhile: these are frames.
                    self._head = data
                    break
                if wsproto.state is not ConnectionState.CLOSED:
                    wsproto.receive_data(data)
        except ConnectionClosed:
            self._abandon_handshake()
            return False
        except RemoteProtocolError as exc:
            if exc.event_hint is not None:
                await self._send(exc.event_hint)
            await self._close_stream()
            return False
        self._head = _trailing_bytes(wsproto) + self._head
        self._wsproto = None
        return True

    def _abandon_handshake(self) -> None:
        self._lose()
        self._close_handshake.set()

    # -- Closing ---------------------------------------------------------------------------

    async def _handle_close_connection_event(self, event: CloseConnection) -> None:
        self._take_close(int(event.code), event.reason or "")
        if "_for_testing_peer_closed_connection" in self.__dict__:
            self._for_testing_peer_closed_connection.set()
        if self.close_sent is None:
            with suppress(ConnectionClosed):  # The peer did not wait for our answer.
                await self._send(event.response())
            self._finish_closing()
        self._send_channel.close()
        if self.is_server:
            await self._close_stream()

    async def _aclose(self, code: int, reason: str | None) -> None:
        if self._close_reason is not None:
            return
        if self._close_handshake is None:
            self._close_handshake = trio.Event()
        try:
            if self._wsproto is None or self._wsproto.state is ConnectionState.OPEN:
                await self._send(CloseConnection(code=code, reason=reason))
                self._call_attention()
                if self._recv_channel is not None:
                    self._recv_channel.close()
                await self._close_handshake.wait()
        except ConnectionClosed:
            pass
        finally:
            await self._close_stream()

    async def _serve_closing(self) -> None:
        if self._inbox is not None and self.failure == INTERNAL_ERROR:
            return  # A bug in one of upstream's handlers: its users expect it at once.
        await super()._serve_closing()

    def _finish_closing(self) -> None:
        super()._finish_closing()
        if self._close_handshake is not None:
            self._close_handshake.set()

    async def _close_stream(self) -> None:
        self._reader_running = False
        for unanswered in (self._pings or {}).values():
            unanswered.set()
        await super()._close_stream()
        if self._close_handshake is not None:
            self._close_handshake.set()


def _trailing_bytes(wsproto: WSConnection) -> bytes:
    """Return the bytes that wsproto received behind the handshake, and has not read yet."""
    parser = wsproto.connection
    return bytes(parser._proto._frame_decoder.buffer.buffer) if parser is not None else b""
