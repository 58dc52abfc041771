"""The WebSocket connection that both ends use: a `trio_websocket.WebSocketConnection`, made fast.

Upstream runs a reader task beside the handler's, with a channel between them and wsproto under
every byte. Here one task owns the connection, and data does not wait for it: the process's
`Poller` calls `_on_readable`, which reads, decodes, hands each message to a callback and sends
what that returns, all at once. The task sleeps in `run` until something needs patience: a reply
that the kernel cannot take yet, a closing handshake, the end.

    kernel ─► _receive ─► frames.decode ─► on_message ─► frames.encode ─► _write ─► kernel
                  └─► whatever is not plain: wsproto, the authority         └─► flush, if full

There are two ways to make one. `opened` takes a stream on which the handshake is done (see
`handshake.py`); the connection is then served by `run`, and is small. Upstream's constructor works
as well, with upstream's handshake, its reader task and `get_message`: what is received then goes
through an inbox to upstream's own handlers, and upstream's own tests pass on it.

This is the only file that touches private parts of trio-websocket and wsproto;
`tests/unit/wire/test_upstream.py` fails when they change.
"""

from __future__ import annotations

import itertools
import socket
import struct
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from random import getrandbits
from typing import TYPE_CHECKING, Any, Final

import outcome
import trio
from trio_websocket import CloseReason, ConnectionClosed, WebSocketConnection
from wsproto import ConnectionType
from wsproto.connection import Connection as Parser
from wsproto.connection import ConnectionState
from wsproto.events import (
    AcceptConnection,
    CloseConnection,
    Event,
    Message,
    Ping,
    Pong,
    RejectConnection,
    RejectData,
    Request,
    TextMessage,
)
from wsproto.utilities import RemoteProtocolError

from echo_trio.wire import frames

if TYPE_CHECKING:
    from wsproto import WSConnection

    from echo_trio.wire.poller import Poller

#: What one read takes. All of it is answered before the next, so this bounds the replies that a
#: wake-up makes, not the memory of a connection.
RECEIVE_BYTES: Final = 64 * 1024
#: The same while a large message arrives.
BULK_RECEIVE_BYTES: Final = 256 * 1024

# Close codes (RFC 6455, section 7.4.1).
NORMAL_CLOSURE: Final = 1000
GOING_AWAY: Final = 1001
PROTOCOL_ERROR: Final = 1002
NO_STATUS: Final = 1005  # never on the wire: a close frame without a code
ABNORMAL_CLOSURE: Final = 1006  # never on the wire: no close frame
INVALID_PAYLOAD: Final = 1007
MESSAGE_TOO_BIG: Final = 1009
INTERNAL_ERROR: Final = 1011

OnMessage = Callable[[str | bytes], str | bytes | None]


@dataclass(frozen=True, slots=True)
class Limits:
    """What a connection allows its peer; one object for all connections of a process.

    :ivar max_message_bytes: payload of one message; above it the connection fails with 1009.
    :ivar write_timeout_s: how long sent data may wait for the kernel before the connection is
        aborted.
    :ivar close_timeout_s: how long the peer may take to answer our close frame, or to end TCP.
    """

    max_message_bytes: int = 2**20
    write_timeout_s: float = 10.0
    close_timeout_s: float = 10.0


class Connection(WebSocketConnection):
    """One WebSocket, either end.

    :ivar close_sent: the code of the close frame that we sent, `NO_STATUS` if it had none;
        ``None`` if we sent no close frame.
    :ivar close_received: likewise, of the peer's close frame.
    :ivar closed_first: who sent the first close frame: ``"us"``, ``"peer"``, or ``None``.
    :ivar failure: the code with which we failed the connection because of what the peer sent
        (RFC 6455, section 7.1.7), else ``None``.
    :ivar timed_out: ``"write"`` or ``"close"`` if that took too long, else ``None``.
    :ivar messages_received: whole messages, handed to `on_message` or `get_message`.
    :ivar messages_sent: whole messages, replies too.
    :ivar bytes_received: of the stream since the handshake, headers of frames included.
    :ivar bytes_sent: likewise, handed to the kernel or waiting to be.
    """

    _IDS = itertools.count()

    # What upstream's constructor makes for each connection, and few ever need: defaults here,
    # the real thing on first use. On ten thousand idle sockets this is most of the memory.
    _close_reason: CloseReason | None = None
    _close_handshake: Any = None
    _handshake_headers: tuple[tuple[bytes, bytes], ...] = ()
    _pings: Any = None
    _recv_channel: Any = None
    _stream_lock: Any = None
    _wsproto: WSConnection | None = None  # type: ignore[assignment]  # until the handshake is done

    _fragments: list[Any] | None = None
    _fragments_bytes = 0
    _head = b""  # the beginning of a frame's header
    _inbox: list[str | bytes | Event] | None = None
    _on_message: OnMessage
    _parser: Parser | None = None
    _partial: frames.PartialMessage | None = None
    _poller: Poller | None = None
    _task: trio.lowlevel.Task | None = None
    _unsent: bytearray | None = None
    _waiting: trio.CancelScope | None = None

    _attention = False  # the task has more to do than wait
    _discarding = False  # what still arrives is not looked at
    _over = False
    _replies_blocked = False  # until they are gone, nothing is read
    _write_failed = False

    close_received: int | None = None
    close_sent: int | None = None
    closed_first: str | None = None
    failure: int | None = None
    timed_out: str | None = None

    messages_received = 0
    messages_sent = 0
    bytes_received = 0
    bytes_sent = 0

    def __init__(
        self, stream: trio.abc.Stream, ws_connection: WSConnection, **options: Any
    ) -> None:
        """Upstream's constructor; the handshake is still to be done, by `_reader_task`."""
        super().__init__(stream, ws_connection, **options)
        self._client = ws_connection.client
        self._sock = _raw_socket(stream)
        self._limits = Limits(self._max_message_size, float("inf"), float("inf"))

    @classmethod
    def opened(
        cls,
        stream: trio.abc.Stream,
        *,
        client: bool,
        limits: Limits,
        poller: Poller | None = None,
        path: str = "/",
        subprotocol: str | None = None,
        surplus: bytes = b"",
    ) -> Connection:
        """A connection whose handshake is done, to be served with `run`.

        :param client: which end we are.
        :param surplus: what was received behind the handshake.
        """
        self = cls.__new__(cls)
        self._id = next(cls._IDS)
        self._stream = stream
        self._sock = _raw_socket(stream)
        self._client = client
        self._limits = limits
        self._path = path
        self._subprotocol = subprotocol
        if surplus:
            self._head = surplus
        if self._sock is not None:
            self._poller = poller
        return self

    @property
    def is_client(self) -> bool:
        """Are we the client?"""
        return self._client

    @property
    def is_server(self) -> bool:
        """Are we the server?"""
        return not self._client

    @property
    def clean(self) -> bool:
        """Did both ends send a close frame?"""
        return self.close_sent is not None and self.close_received is not None

    # -- Serving ---------------------------------------------------------------------------

    async def run(self, on_message: OnMessage) -> None:
        """Serve the connection until it is over, then close its stream.

        Each message goes to `on_message`, and what that returns is sent back, in order; ``None``
        sends nothing. It is called from the poller's task: it must not block, and must not care
        which task is current. A peer that does not read its replies is not read from either.

        Returns however the connection ended: `closed`, `clean`, `failure` and `timed_out` tell.
        What `on_message` raises comes out here, after the peer was told (1011). Cancelled: the
        stream is closed at once, without a goodbye.
        """
        self._on_message = on_message
        try:
            try:
                if self._head:
                    surplus, self._head = self._head, b""
                    self._receive(surplus)
                while self.close_sent is None and not self._over:
                    await self._serve_once()
            except Exception:  # ours, not the peer's: it is told so before the caller is
                self._fail(INTERNAL_ERROR, None)
                await self._serve_closing()
                raise
            await self._serve_closing()
        finally:
            await self._close_stream()

    async def _serve_closing(self) -> None:
        with trio.move_on_after(self._limits.close_timeout_s) as closing:
            if self.failure is not None:
                await self._send_eof()
            while self._unsent or not self._over:
                await self._serve_once()
        if closing.cancelled_caught and not self.clean:
            self.timed_out = "close"

    async def _serve_once(self) -> None:
        """Do what needs patience; when nothing does, sleep until something does."""
        self._attention = False
        if self._unsent and (self._replies_blocked or self._over):
            await self.flush()
            self._replies_blocked = False
        if self._inbox:
            await self._deliver_inbox()
        if self._attention or self._over:
            return
        if self._poller is not None:
            assert self._sock is not None
            self._task = trio.lowlevel.current_task()
            self._poller.register(self._sock, self._on_readable)
            await trio.lowlevel.wait_task_rescheduled(self._stop_waiting)
        else:
            await self._wait_without_poller()

    async def _wait_without_poller(self) -> None:
        with trio.CancelScope() as waiting:
            self._waiting = waiting
            data = await self._receive_some()
            self._waiting = None
            self._receive(data)

    def _stop_waiting(self, _: object = None) -> trio.lowlevel.Abort:
        assert self._poller is not None
        assert self._sock is not None
        self._poller.unregister(self._sock)
        self._task = None
        return trio.lowlevel.Abort.SUCCEEDED

    def _call_attention(self) -> None:
        """Have the task look: at once if it sleeps, else before it next would."""
        self._attention = True
        if task := self._task:
            self._stop_waiting()
            trio.lowlevel.reschedule(task)
        elif self._waiting is not None:
            self._waiting.cancel()

    def _on_readable(self) -> None:
        """The data path. Called by the poller, in the poller's task."""
        try:
            self._receive(self._sock.recv(self._receive_size()))  # type: ignore[union-attr]
        except BlockingIOError:
            return
        except OSError:
            self._lose()
        except Exception as exc:  # noqa: BLE001 - on_message's own: for the task that called run
            task = self._task
            self._stop_waiting()
            trio.lowlevel.reschedule(task, outcome.Error(exc))  # type: ignore[arg-type]
            return
        if self._attention:
            self._call_attention()

    async def _receive_some(self) -> bytes:
        """Wait for data without a poller. Nothing, also after an error, is the end."""
        try:
            if self._sock is None:
                return bytes(await self._stream.receive_some(self._receive_size()))
            while True:
                # Waiting first: trying first would cost an exception for nearly every message.
                await trio.lowlevel.wait_readable(self._sock)
                try:
                    return self._sock.recv(self._receive_size())
                except BlockingIOError:
                    continue
        except (OSError, trio.BrokenResourceError, trio.ClosedResourceError):
            return b""

    def _receive_size(self) -> int:
        if self._partial is not None and self._partial.missing > RECEIVE_BYTES:
            return BULK_RECEIVE_BYTES
        return RECEIVE_BYTES

    # -- Receiving -------------------------------------------------------------------------

    def _receive(self, data: bytes) -> None:
        """Take what has arrived and answer what can be answered; no data means the end."""
        if not data:
            self._lose()
            return
        if self._discarding:
            return
        self.bytes_received += len(data)
        if self._head:
            data = self._head + data
            self._head = b""
        replies: list[bytes] = []
        on_message, client = self._on_message, self._client
        at, end = 0, len(data)
        try:
            while at < end and not self._discarding:
                if self._partial is None and self._parser is None:
                    plain = frames.decode(data, at, not client)
                    if plain is not None:
                        message, size, at = plain
                        if size > self._limits.max_message_bytes:
                            self._refuse_size()
                            break
                        self.messages_received += 1
                        reply = on_message(message)
                        if reply is not None and self.close_sent is None:
                            self.messages_sent += 1
                            replies.append(frames.encode(reply, client))
                        continue
                at = self._receive_rare(data, at, replies)
        finally:
            if replies:
                self._write_reply(b"".join(replies) if len(replies) > 1 else replies[0])
        if self.close_received is not None and self.close_sent is None:
            self._answer_close()
        if self._inbox:
            self._attention = True

    def _receive_rare(self, data: bytes, at: int, replies: list[bytes]) -> int:
        """Take what is not a whole plain frame; return where the next frame starts."""
        if self._partial is not None:
            return self._receive_part(self._partial, data, at, replies)
        if self._parser is None:
            begun = frames.begin(data, at, not self._client)
            if isinstance(begun, int):
                self._head = data[at:]
                return len(data)
            if begun is not None:
                self._partial, at = begun
                if self._partial.size > self._limits.max_message_bytes:
                    self._refuse_size()
                return at
            self._parser = Parser(ConnectionType.CLIENT if self._client else ConnectionType.SERVER)
        self._parser.receive_data(data[at:])
        self._take_events(self._parser, replies)
        return len(data)

    def _receive_part(
        self, partial: frames.PartialMessage, data: bytes, at: int, replies: list[bytes]
    ) -> int:
        chunk = data[at : at + partial.missing]
        try:
            partial.feed(chunk)
        except UnicodeDecodeError as exc:
            self._fail(INVALID_PAYLOAD, str(exc))
            return len(data)
        if not partial.missing:
            self._partial = None
            self._deliver(partial.message(), replies)
        return at + len(chunk)

    def _deliver(self, message: str | bytes, replies: list[bytes]) -> None:
        self.messages_received += 1
        reply = self._on_message(message)
        if reply is not None and self.close_sent is None:
            self.messages_sent += 1
            replies.append(frames.encode(reply, self._client))

    def _take_events(self, parser: Parser, replies: list[bytes]) -> None:
        """Take what wsproto has read."""
        for event in parser.events():
            if isinstance(event, Message):
                self._take_fragment(event, replies)
            elif isinstance(event, Pong):
                self._take_pong(bytes(event.payload))
            elif isinstance(event, CloseConnection) and parser.state is ConnectionState.OPEN:
                # There was no close frame: so wsproto says that what came is wrong.
                self._fail(int(event.code), event.reason)
            elif self._inbox is not None:
                self._inbox.append(event)
                self._discarding = isinstance(event, CloseConnection)
            elif isinstance(event, Ping):
                if self.close_sent is not None:
                    continue
                payload = bytes(event.payload)
                replies.append(frames.encode_control(frames.PONG, payload, self._client))
            elif isinstance(event, CloseConnection):
                self._take_close(event)
            if self._discarding:
                return
        if _is_idle(parser):
            self._parser = None
        elif self._fragments_bytes + _announced_bytes(parser) > self._limits.max_message_bytes:
            self._refuse_size()

    def _take_fragment(self, event: Message[Any], replies: list[bytes]) -> None:
        data = event.data
        self._fragments_bytes += len(data.encode() if isinstance(data, str) else data)
        if self._fragments_bytes > self._limits.max_message_bytes:
            self._refuse_size()
            return
        if self._fragments is None:
            self._fragments = []
        self._fragments.append(data)
        if event.message_finished:
            fragments, self._fragments, self._fragments_bytes = self._fragments, None, 0
            empty: Any = "" if isinstance(event, TextMessage) else b""
            self._deliver(empty.join(fragments), replies)

    def _take_pong(self, payload: bytes) -> None:
        """Wake the ping that this answers, and those sent before it."""
        if not self._pings or payload not in self._pings:
            return
        while True:
            sent, answered = self._pings.popitem(last=False)
            answered.set()
            if sent == payload:
                return

    def _take_close(self, event: CloseConnection) -> None:
        self.close_received = int(event.code)
        self._discarding = True
        self._close_reason = CloseReason(int(event.code), event.reason or None)
        if self.close_sent is None:
            self.closed_first = "peer"
        else:
            self._finish_closing()

    def _answer_close(self) -> None:
        reason = self._close_reason
        assert reason is not None
        self._write_close(None if reason.code == NO_STATUS else reason.code, reason.reason)
        self._finish_closing()

    def _finish_closing(self) -> None:
        """Both close frames are there: the server ends TCP, the client waits for that.

        RFC 6455, section 7.1.1; so it is the server's port that stays in TIME_WAIT.
        """
        if not self._client:
            self._over = True
        self._attention = True
        if self._close_handshake is not None:
            self._close_handshake.set()

    def _refuse_size(self) -> None:
        limit = self._limits.max_message_bytes
        self._fail(MESSAGE_TOO_BIG, f"Exceeded maximum message size: {limit} bytes")

    def _fail(self, code: int, reason: str | None) -> None:
        """Fail the connection (RFC 6455, section 7.1.7): say why, and look at nothing more."""
        self.failure = code
        self._discarding = True
        self._partial = self._parser = self._fragments = None
        if self.close_sent is None:
            self._close_reason = CloseReason(code, reason)
            self._write_close(code, reason)
            self.closed_first = "us"
        self._attention = True

    def _lose(self) -> None:
        """The stream has ended."""
        self._over = self._write_failed = self._attention = True
        self._unsent = None
        if self._close_reason is None:
            self._close_reason = CloseReason(ABNORMAL_CLOSURE, None)

    # -- Sending ---------------------------------------------------------------------------

    def send_nowait(self, message: str | bytes) -> bool:
        """Send a message as far as the kernel takes it; keep the rest, in order.

        :returns: whether the kernel took it all. If not, somebody has to await `flush`.
        :raises ConnectionClosed: if the connection is closed or closing.
        """
        self._check_open()
        self.messages_sent += 1
        return self._write(frames.encode(message, self._client))

    async def send_message(self, message: str | bytes) -> None:
        """Send a message, waiting until the kernel has all of it.

        Cancelled while waiting, the message stays in line, and the next `flush` sends on where
        this one stopped: there is never half a frame followed by another.

        :raises ConnectionClosed: if the connection is closed or closing.
        """
        if not isinstance(message, str | bytes):
            raise ValueError("message must be str or bytes")
        self._check_open()
        self.messages_sent += 1
        await self._send_bytes(frames.encode(message, self._client))

    async def ping(self, payload: bytes | None = None) -> None:
        """Send a ping and wait for its pong, or for one to a later ping.

        :param payload: at most 125 bytes; four random ones by default.
        :raises ConnectionClosed: if the connection is closed or closing.
        :raises ValueError: if a ping with this payload is under way, or it is too long.
        """
        self._check_open()
        if payload is None:
            payload = struct.pack("!I", getrandbits(32))
        if self._pings is None:
            self._pings = OrderedDict()
        if payload in self._pings:
            raise ValueError(f"Payload value {payload!r} is already in flight.")
        frame = frames.encode_control(frames.PING, payload, self._client)
        answered = self._pings[payload] = trio.Event()
        await self._send_bytes(frame)
        await answered.wait()

    async def pong(self, payload: bytes | None = None) -> None:
        """Send a pong that nobody asked for.

        :raises ConnectionClosed: if the connection is closed or closing.
        """
        await self._send_bytes(frames.encode_control(frames.PONG, payload or b"", self._client))

    def close_nowait(self, code: int = NORMAL_CLOSURE, reason: str | None = None) -> bool:
        """Begin the closing handshake; `run` completes it. Idempotent.

        :returns: whether the kernel took the close frame. If not, somebody has to await `flush`.
        """
        if self._close_reason is not None:
            return True
        self._close_reason = CloseReason(code, reason)
        self.closed_first = "us"
        taken = self._write_close(code, reason)
        self._call_attention()
        return taken

    def abort(self) -> None:
        """End the connection at once with a TCP reset, dropping what was not sent."""
        if self._sock is not None and self._sock.fileno() != -1:
            # Else the kernel would keep trying to send what the peer doesn't read.
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._lose()
        self._call_attention()

    async def flush(self) -> None:
        """Wait until all that was sent is with the kernel.

        If that takes longer than the write timeout, the connection is aborted. Cancelled: what is
        left stays in line (on a stream that isn't a socket, nobody knows what is left, so the
        connection is aborted).
        """
        if self._stream_lock is None:
            self._stream_lock = trio.Lock()
        async with self._stream_lock:
            with trio.move_on_after(self._limits.write_timeout_s) as writing:
                while self._unsent:
                    await self._flush_some()
            if writing.cancelled_caught:
                self.timed_out = "write"
                self.abort()

    async def _flush_some(self) -> None:
        try:
            if self._sock is not None:
                await trio.lowlevel.wait_writable(self._sock)
                if self._unsent:  # It may have been dropped meanwhile.
                    del self._unsent[: self._sock.send(self._unsent)]
            else:
                unsent, self._unsent = self._unsent, None
                try:
                    await self._stream.send_all(unsent)  # type: ignore[arg-type]
                except trio.Cancelled:
                    self.abort()
                    raise
        except BlockingIOError:
            pass
        except (OSError, trio.BrokenResourceError, trio.ClosedResourceError):
            self._fail_writing()

    def _write(self, data: bytes) -> bool:
        """Give the kernel what it takes now; keep the rest. True if nothing is left."""
        if self._write_failed:
            return True
        self.bytes_sent += len(data)
        if self._unsent:
            self._unsent += data
            return False
        sent = 0
        if self._sock is not None:
            try:
                sent = self._sock.send(data)
            except BlockingIOError:
                pass
            except OSError:
                self._fail_writing()
                return True
            if sent == len(data):
                return True
        self._unsent = bytearray(data[sent:] if sent else data)
        return False

    def _fail_writing(self) -> None:
        # Not the end yet: the peer's close frame may be there to be read. If there is nothing,
        # reading says so at once.
        self._write_failed = True
        self._unsent = None

    def _write_reply(self, data: bytes) -> None:
        if not self._write(data):
            self._replies_blocked = self._attention = True

    def _write_close(self, code: int | None, reason: str | None) -> bool:
        self.close_sent = NO_STATUS if code is None else code
        return self._write(frames.encode_close(code, reason, self._client))

    async def _send_bytes(self, data: bytes) -> None:
        self._check_open()
        await trio.lowlevel.checkpoint_if_cancelled()
        await self._finish_sending(taken=self._write(data))

    async def _finish_sending(self, taken: bool) -> None:
        if not taken:
            await self.flush()
        if self._write_failed:
            raise ConnectionClosed(self._close_reason or CloseReason(ABNORMAL_CLOSURE, None))
        if taken:
            await trio.lowlevel.cancel_shielded_checkpoint()

    def _check_open(self) -> None:
        if self._close_reason is not None:
            raise ConnectionClosed(self._close_reason)
        if self._write_failed:
            raise ConnectionClosed(CloseReason(ABNORMAL_CLOSURE, None))

    async def _send_eof(self) -> None:
        """Half-close, so that the peer sees our close frame, then the end, and not a reset."""
        await self.flush()
        if self._sock is not None and not self._write_failed:
            try:
                self._sock.shutdown(socket.SHUT_WR)
            except OSError:
                self._fail_writing()

    async def _close_stream(self) -> None:
        """Close the stream, without waiting for anything."""
        self._reader_running = False
        self._lose()
        if self._task is not None:
            self._call_attention()
        if isinstance(self._stream, trio.SocketStream):
            self._stream.socket.close()
        else:
            await trio.aclose_forcefully(self._stream)
        if self._close_handshake is not None:
            self._close_handshake.set()

    # -- Upstream's way: a reader task, get_message, aclose ---------------------------------

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
            await self._send_channel.aclose()

    async def _read_into_channel(self) -> None:
        self._inbox = []
        async with self._send_channel:
            await self.run(self._inbox.append)

    async def _deliver_inbox(self) -> None:
        assert self._inbox is not None
        while self._inbox:
            item = self._inbox.pop(0)
            if isinstance(item, Ping):
                await self._handle_ping_event(item)
            elif isinstance(item, CloseConnection):
                await self._handle_close_connection_event(item)
            else:
                # A closed channel: nobody will ask for it, aclose() was called.
                with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
                    await self._send_channel.send(item)  # type: ignore[arg-type]

    async def _shake_hands(self) -> bool:
        """Upstream's opening handshake, by wsproto. False if there is no connection after it."""
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
                        break  # What follows are frames, and ours to read.
                if self._client and self._open_handshake.is_set():
                    break
                data = await self._receive_some()
                if not data:
                    self._abandon_handshake()
                    return False
                if self._open_handshake.is_set():  # Accepted meanwhile: these are frames.
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

    async def _handle_close_connection_event(self, event: CloseConnection) -> None:
        self._take_close(event)
        if "_for_testing_peer_closed_connection" in self.__dict__:
            self._for_testing_peer_closed_connection.set()
        if self.close_sent is None:
            with suppress(ConnectionClosed):  # The peer did not wait for our answer.
                await self._send(event.response())
            self._finish_closing()
        await self._send_channel.aclose()
        if self.is_server:
            await self._close_stream()

    async def _send(self, event: Event) -> None:
        """Upstream's way to send anything."""
        if isinstance(event, CloseConnection):
            if self._close_reason is None:
                self._close_reason = CloseReason(int(event.code), event.reason)
                self.closed_first = "us"
            code = None if event.code == NO_STATUS else int(event.code)
            taken = self._write_close(code, event.reason)
        elif isinstance(event, Pong):
            # After our close frame there is nothing more to say (upstream's issue 184).
            pong = frames.encode_control(frames.PONG, bytes(event.payload), self._client)
            taken = self.close_sent is not None or self._write(pong)
        else:
            assert self._wsproto is not None
            taken = self._write(self._wsproto.send(event))
        await self._finish_sending(taken)

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
                    await self._recv_channel.aclose()
                await self._close_handshake.wait()
        except ConnectionClosed:
            pass
        finally:
            await self._close_stream()


def _raw_socket(stream: trio.abc.Stream) -> socket.socket | None:
    """The operating system's socket under a plain TCP stream."""
    if isinstance(stream, trio.SocketStream):
        raw: socket.socket = stream.socket._sock  # type: ignore[attr-defined]
        return raw
    return None


def _is_idle(parser: Parser) -> bool:
    """Is wsproto between messages, with nothing left to read?"""
    decoder = parser._proto._frame_decoder
    return (
        decoder.header is None
        and not len(decoder.buffer)
        and parser._proto._message_decoder.opcode is None
    )


def _announced_bytes(parser: Parser) -> int:
    """The part still to come of the data frame that wsproto is in the middle of."""
    decoder = parser._proto._frame_decoder
    if decoder.header is None or decoder.header.opcode.iscontrol():
        return 0
    return decoder.header.payload_len - decoder.payload_consumed


def _trailing_bytes(wsproto: WSConnection) -> bytes:
    """What wsproto received behind the handshake, and has not read yet."""
    parser = wsproto.connection
    return bytes(parser._proto._frame_decoder.buffer.buffer) if parser is not None else b""
