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

import errno
import itertools
import socket
import ssl
import struct
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from math import inf
from random import getrandbits, random
from typing import TYPE_CHECKING, Any, Final

import trio
from trio_websocket import CloseReason, ConnectionClosed, Endpoint, WebSocketConnection
from wsproto import ConnectionType
from wsproto.connection import Connection as Parser
from wsproto.connection import ConnectionState
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Event,
    Ping,
    Pong,
    RejectConnection,
    RejectData,
    Request,
    TextMessage,
)
from wsproto.frame_protocol import Frame, FrameProtocol, ParseFailed
from wsproto.utilities import RemoteProtocolError

from echo_trio.wire import deflate, frames
from echo_trio.wire.close_codes import (
    ABNORMAL_CLOSURE,
    BAD_GATEWAY,
    GOING_AWAY,
    INTERNAL_ERROR,
    INVALID_PAYLOAD,
    MESSAGE_TOO_BIG,
    NORMAL_CLOSURE,
    POLICY_VIOLATION,
    TRY_AGAIN_LATER,
)

if TYPE_CHECKING:
    from wsproto import WSConnection

    from echo_trio.wire.budget import Budget
    from echo_trio.wire.poller import Poller

__all__ = ["Connection", "ConnectionClosed", "Limits"]

#: What one read takes. All of it is answered before the next, so this bounds the replies that a
#: wake-up makes, not the memory of a connection.
RECEIVE_BYTES: Final = 64 * 1024
#: The same while a large message arrives.
BULK_RECEIVE_BYTES: Final = 256 * 1024
#: What one write to a stream that is not a socket gives it: the write timeout is for each.
SEND_BYTES: Final = 256 * 1024
#: How long to leave the kernel alone when it has no memory for what is to be sent. It doesn't say
#: when it has some again.
OUT_OF_BUFFERS_PAUSE_S: Final = 0.05
_OUT_OF_BUFFERS: Final = {errno.ENOBUFS, errno.ENOMEM}
#: A peer may send this many fragments without a byte in them, in one message.
MAX_EMPTY_FRAGMENTS: Final = 1024
#: Held for one connection beside two of the largest messages, before it is read from no more: one
#: being received, its reply being sent, and what one read brings.
HELD_BESIDE_MESSAGES_BYTES: Final = RECEIVE_BYTES

#: Why nothing is read for now.
_BY_OWNER: Final = 1
_BY_BYTES_HELD: Final = 2

_BAD_GATEWAY_BYTES: Final = BAD_GATEWAY.to_bytes(2)

OnMessage = Callable[[str | bytes], str | bytes | None]


@dataclass(frozen=True, slots=True)
class Limits:
    """What a connection allows its peer; one object for all connections of a process.

    :ivar max_message_bytes: payload of one message; above it the connection fails with 1009.
    :ivar write_timeout_s: how long the kernel may take nothing of what waits to be sent, before
        the connection is aborted.
    :ivar close_timeout_s: how long the peer may take to answer our close frame, or to end TCP.
    :ivar ping_interval_s: how often a `Watch` pings the peer; 0: never.
    :ivar ping_timeout_s: how long the peer may take to answer such a ping, before it is told so
        (1011) and the connection is cut; 0: for ever.
    :ivar idle_timeout_s: how long there may be no message, before a `Watch` closes the connection
        with 1001; 0: for ever.
    """

    max_message_bytes: int = 2**20
    write_timeout_s: float = 10.0
    close_timeout_s: float = 10.0
    ping_interval_s: float = 0.0
    ping_timeout_s: float = 0.0
    idle_timeout_s: float = 0.0

    @property
    def max_held_bytes(self) -> int:
        """What may be held for a connection before it is not read from until that shrinks."""
        return 2 * self.max_message_bytes + HELD_BESIDE_MESSAGES_BYTES


class Connection(WebSocketConnection):
    """One WebSocket, either end.

    :ivar before_closing: called when a closing handshake begins, the peer's or ours, while messages
        can still be sent; it must not block. For whoever holds back what is to come before.
    :ivar answers_pings: whether the peer's pings are answered; a client that tests servers may not.
    :ivar close_sent: the code of the close frame that we sent, `NO_STATUS` if it had none;
        ``None`` if we sent no close frame, or the connection broke before it was out.
    :ivar close_received: likewise, of the peer's close frame.
    :ivar closed_first: who sent the first close frame: ``"us"``, ``"peer"``, or ``None``.
    :ivar evicted: closed (1013) because the process held too much, and this one most.
    :ivar failure: the code with which we failed the connection (RFC 6455, section 7.1.7): because
        of what the peer sent, or `INTERNAL_ERROR` because `on_message` raised; else ``None``.
    :ivar held_bytes: what is held for the peer now; see `hold`.
    :ivar holder_place: for the `Budget` to note where it has put this.
    :ivar slot: for a `Watch` to note where it has put this.
    :ivar timed_out: what took too long: ``"write"``, ``"close"``, ``"ping"`` or ``"idle"``; of
        several the first, if the connection ended because of it; else ``None``.
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

    _budget: Budget | None = None
    _awaited_pong: bytes | None = None  # the payload of the ping that a Watch sent
    _compression: deflate.Parameters | None = None
    _empty_fragments = 0
    _encode: deflate.Encode = staticmethod(frames.encode)
    _farewell: tuple[int, int, str] | None = None  # after so many messages sent, code and reason
    _fragments: bytearray | None = None
    _head = b""  # the beginning of a frame's header
    _inflater: deflate.Inflater | None = None
    _idle: tuple[int, float] | None = None  # after so many messages, since when a Watch saw it
    _inbox: deque[str | bytes | Event] | None = None
    _on_message: OnMessage
    _parser: Parser | None = None
    _partial: frames.PartialMessage | None = None
    _pinged_at_s: float | None = None  # by a Watch and its clock
    _poller: Poller | None = None
    _raised: Exception | None = None  # by on_message, for the task that called run
    _replies: list[bytes] | None = None  # made in this wake-up, not yet written
    _sock: socket.socket | None
    _task: trio.lowlevel.Task | None = None
    _unsent: bytearray | None = None
    _waiting: trio.CancelScope | None = None

    _attention = False  # the task has more to do than wait
    _cut = False  # by us, without a close frame
    _discarding = False  # what still arrives is not looked at
    _over = False
    _pauses = 0  # why
    _paused = False  # what still arrives is not looked at for now; then _discarding is set, too
    _replies_blocked = False  # until they are gone, nothing is read
    _resumed = False  # and what was kept meanwhile is not looked at yet
    _write_failed = False

    answers_pings = True
    before_closing: Callable[[], None] | None = None
    close_received: int | None = None
    close_sent: int | None = None
    closed_first: str | None = None
    evicted = False
    failure: int | None = None
    held_bytes = 0
    holder_place = 0
    slot = 0
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
        transport: trio.abc.Stream | socket.socket,
        *,
        client: bool,
        limits: Limits,
        poller: Poller | None = None,
        path: str = "/",
        subprotocol: str | None = None,
        surplus: bytes = b"",
        compression: deflate.Parameters | None = None,
        budget: Budget | None = None,
    ) -> Connection:
        """A connection whose handshake is done, to be served with `run`.

        :param transport: what to talk over. A non-blocking TCP socket as it is takes less memory
            than one in a `trio.SocketStream`, and is no different otherwise; nor is a `TlsSocket`
            (see `tls.py`).
        :param client: which end we are.
        :param surplus: what was received behind the handshake.
        :param compression: what the handshake agreed on, if it did.
        :param budget: what all connections of the process may hold together.
        """
        self = cls.__new__(cls)
        # In the order of the attributes' table: what each message needs comes first and together,
        # since it is cold by the time the next one comes.
        self._sock = transport if isinstance(transport, socket.socket) else _raw_socket(transport)
        self._head = surplus
        self._client = client
        self._on_message = None  # type: ignore[assignment]  # until `run` says
        self._encode = frames.encode
        self._limits = limits
        self._replies = self._partial = None
        self._attention = False
        self.bytes_received = self.bytes_sent = 0
        self.messages_received = self.messages_sent = 0
        # What every connection comes to set, though it has defaults: CPython sizes the table that
        # instances share by the first few, and what comes later costs each a dictionary (0.7 KB).
        self._awaited_pong = self._idle = self._pinged_at_s = None
        self.slot = 0
        self._task = None
        self._id = next(cls._IDS)
        if not isinstance(transport, socket.socket):
            self._stream = transport
        self._path = path
        self._subprotocol = subprotocol
        self._poller = poller if self._sock is not None else None
        if budget is not None:
            self._budget = budget
        if compression is not None:
            self._compression = compression
            self._encode = deflate.encoder(compression, client=client)
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

    @property
    def close_code(self) -> int:
        """The code of the first close frame on the wire; `ABNORMAL_CLOSURE` if there was none."""
        code = self.close_received if self.closed_first == "peer" else self.close_sent
        return ABNORMAL_CLOSURE if code is None else code

    @cached_property
    def _stream(self) -> trio.abc.Stream:  # type: ignore[override]
        """What upstream's properties ask; above a socket, made when they first do."""
        assert self._sock is not None
        return trio.SocketStream(trio.socket.from_stdlib_socket(self._sock))

    @property
    def local(self) -> Endpoint | str:
        """Our address."""
        if isinstance(self._sock, ssl.SSLSocket):  # Nothing of Trio's goes over one.
            address, port, *_ = self._sock.getsockname()
            return Endpoint(address, port, is_ssl=True)
        return super().local

    @property
    def remote(self) -> Endpoint | str:
        """The peer's address."""
        if isinstance(self._sock, ssl.SSLSocket):
            address, port, *_ = self._sock.getpeername()
            return Endpoint(address, port, is_ssl=True)
        return super().remote

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
                while self._close_reason is None:
                    await self._serve_once()
            except Exception:  # ours, not the peer's: it is told so before the caller is
                self._fail(INTERNAL_ERROR, None)
                if self._inbox is None:  # else a bug in upstream's way: its users expect it at once
                    await self._serve_closing()
                raise
            await self._serve_closing()
        finally:
            await self._close_stream()

    async def _serve_closing(self) -> None:
        if self._over and not self._unsent and self.failure is None:
            return  # The usual end of a server's: the client closed, and has our answer.
        half_closed = False
        with trio.move_on_after(self._limits.close_timeout_s) as closing:
            while self._unsent or not self._over:
                # Also if the peer breaks the protocol only now, instead of answering our close.
                if not half_closed and (self.failure is not None or self._cut):
                    half_closed = True
                    await self._send_eof()
                else:
                    await self._serve_once()
        if closing.cancelled_caught and not self.clean and self.timed_out is None:
            self.timed_out = "close"

    async def _serve_once(self) -> None:
        """Do what needs patience; when nothing does, sleep until something does."""
        self._attention = False
        if self._unsent and (
            # Else whoever sent it awaits `flush`, and meanwhile we read on.
            self._replies_blocked or self._over or self.close_received is not None
        ):
            await self.flush()
            self._replies_blocked = False
        if self._inbox:
            await self._deliver_inbox()
        if self._resumed:
            self._resumed = False
            self._receive_kept()
        if self._attention or self._over:
            return
        if self._poller is not None:
            assert self._sock is not None
            self._poller.register(self._sock, self._on_readable, reading=not self._paused)
            # Not before: if that raised, a running task would later be taken for a waiting one.
            self._task = trio.lowlevel.current_task()
            await trio.lowlevel.wait_task_rescheduled(self._stop_waiting)
            if self._raised is not None:
                raised, self._raised = self._raised, None
                raise raised
        else:
            await self._wait_without_poller()

    async def _wait_without_poller(self) -> None:
        data = None
        with trio.CancelScope() as waiting:
            self._waiting = waiting
            if self._paused:
                await trio.sleep_forever()
            data = await self._receive_some()
        self._waiting = None
        if data is not None:
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
            data = self._sock.recv(self._receive_size())  # type: ignore[union-attr]
        except BlockingIOError:
            return
        except OSError:
            data = b""
        try:
            self._receive(data)
        except Exception as exc:  # noqa: BLE001 - on_message's own: for the task that called run
            self._raised = exc
            self._attention = True
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

    def _receive(self, data: bytes) -> None:  # noqa: PLR0912 - a call would cost each message
        """Take what has arrived and answer what can be answered; no data means the end."""
        if not data:
            self._lose()
            return
        if self._discarding:
            if self._paused:  # It was under way already.
                self._head += data
                self.bytes_received += len(data)
            return
        self.bytes_received += len(data)
        if self._head:
            data = self._head + data
            self._head = b""
        self._replies = replies = []
        on_message, client, encode = self._on_message, self._client, self._encode
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
                        if reply is not None and self._close_reason is None:
                            replies.append(encode(reply, client))
                            self.messages_sent += 1
                        continue
                at = self._receive_rare(data, at)
        finally:
            self._replies = None
            if replies:
                self._write_replies(replies)
        if at < end and self._paused:
            self._head = data[at:]
        if self.close_received is not None and self.close_sent is None:
            self._answer_close()
        if self._farewell is not None:
            self._say_farewell(*self._farewell)
        if self._inbox:
            self._attention = True

    def _receive_kept(self) -> None:
        """Go on where `pause_reading` had us stop."""
        kept, self._head = self._head, b""
        if kept:
            self.bytes_received -= len(kept)  # counted when it came
            self._receive(kept)

    def _receive_rare(self, data: bytes, at: int) -> int:
        """Take some of what is not a whole plain frame; return where to go on."""
        if self._partial is not None:
            return self._receive_part(self._partial, data, at)
        if self._parser is None:
            if (agreed := self._compression) is not None:
                deflated = frames.decode_deflated(data, at, not self._client)
                if deflated is not None:
                    opcode, payload, at = deflated
                    self._receive_deflated(self._get_inflater(agreed), opcode, payload)
                    return at
            control = frames.decode_control(data, at, not self._client)
            if control is not None and self._inbox is None:
                opcode, payload, at = control
                if opcode == frames.PONG:
                    self._take_pong(payload)
                else:
                    self._answer_ping(payload)
                return at
            begun = frames.begin(data, at, not self._client)
            if isinstance(begun, int):
                self._head = data[at:]
                return len(data)
            if begun is not None:
                self._partial, at = begun
                if self._partial.size > self._limits.max_message_bytes:
                    self._refuse_size()
                return at
            self._parser = self._make_parser()
        return self._receive_by_wsproto(self._parser, data, at)

    def _receive_deflated(self, inflater: deflate.Inflater, opcode: int, payload: bytes) -> None:
        try:
            message = inflater.inflate_message(payload)
            text = message.decode() if opcode == frames.TEXT else None
        except UnicodeDecodeError as exc:
            self._fail(INVALID_PAYLOAD, str(exc))
        except ParseFailed as exc:
            self._take_verdict(int(exc.code), str(exc))
        else:
            self._deliver(message if text is None else text)

    def _get_inflater(self, agreed: deflate.Parameters) -> deflate.Inflater:
        if self._inflater is None:
            limit = self._limits.max_message_bytes
            self._inflater = deflate.Inflater(agreed, client=self._client, max_message_bytes=limit)
        return self._inflater

    def _make_parser(self) -> Parser:
        kind = ConnectionType.CLIENT if self._client else ConnectionType.SERVER
        agreed = self._compression
        parser = Parser(kind, [self._get_inflater(agreed)] if agreed is not None else [])
        parser._proto._process_close = _process_close  # type: ignore[method-assign]
        return parser

    def _receive_part(self, partial: frames.PartialMessage, data: bytes, at: int) -> int:
        chunk = data[at : at + partial.missing]
        try:
            partial.feed(chunk)
        except UnicodeDecodeError as exc:
            self._fail(INVALID_PAYLOAD, str(exc))
            return len(data)
        if not partial.missing:
            self._partial = None
            self._deliver(partial.message())
        return at + len(chunk)

    def _deliver(self, message: str | bytes) -> None:
        self.messages_received += 1
        reply = self._on_message(message)
        if reply is not None and self._close_reason is None:
            self._reply(self._encode(reply, self._client))
            self.messages_sent += 1

    def _reply(self, frame: bytes) -> None:
        assert self._replies is not None
        self._replies.append(frame)

    def _receive_by_wsproto(self, parser: Parser, data: bytes, at: int) -> int:
        """Have wsproto read, until it is between two messages: what follows may be plain.

        It gets no more than the rest of the frame it is in and one control frame, so that little
        is copied in vain when it is done early.
        """
        fed = data[at : at + _announced_bytes(parser) + frames.MAX_CONTROL_FRAME_BYTES]
        parser.receive_data(fed)
        for event in parser.events():
            self._take_event(parser, event)
            if _is_between_messages(parser):
                self._parser = None
                return at + len(fed) - len(_unread_bytes(parser))
            if self._discarding:
                return len(data)
        if self._inflater is not None and self._inflater.inflating:
            return at + len(fed)  # What was announced is not what it inflates to; that is counted.
        if len(self._fragments or b"") + _announced_bytes(parser) > self._limits.max_message_bytes:
            self._refuse_size()
        return at + len(fed)

    def _take_event(self, parser: Parser, event: Event) -> None:
        # By type, not isinstance(): events are ABCs, whose caches would come to lie amid a crowd's
        # objects and keep their memory from going back to the system.
        kind = type(event)
        if kind is TextMessage or kind is BytesMessage:
            self._take_fragment(parser, event)  # type: ignore[arg-type]
        elif kind is Pong:
            self._take_pong(bytes(event.payload))  # type: ignore[attr-defined]
        elif kind is CloseConnection and parser.state is ConnectionState.OPEN:
            # There was no close frame: so wsproto says that what came is wrong.
            self._take_verdict(int(event.code), event.reason)  # type: ignore[attr-defined]
        elif self._inbox is not None:
            self._inbox.append(event)
            self._discarding = kind is CloseConnection
        elif kind is CloseConnection:
            self._take_close(event)  # type: ignore[arg-type]
        else:
            self._answer_ping(bytes(event.payload))  # type: ignore[attr-defined]

    def _take_fragment(self, parser: Parser, event: TextMessage | BytesMessage) -> None:
        data = event.data.encode() if isinstance(event.data, str) else event.data
        if self._fragments is None:
            self._fragments = bytearray()
        self._fragments += data
        if len(self._fragments) > self._limits.max_message_bytes:
            self._refuse_size()
        elif event.message_finished:
            whole, self._fragments, self._empty_fragments = self._fragments, None, 0
            self._deliver(whole.decode() if type(event) is TextMessage else bytes(whole))
        elif event.frame_finished and not _frame_bytes(parser):
            self._empty_fragments += 1
            if self._empty_fragments > MAX_EMPTY_FRAGMENTS:
                self._fail(POLICY_VIOLATION, "too many empty fragments")

    def _answer_ping(self, payload: bytes) -> None:
        if self._close_reason is None and self.answers_pings:
            self._reply(frames.encode_control(frames.PONG, payload, self._client))

    def _take_pong(self, payload: bytes) -> None:
        """Wake the ping that this answers, and those sent before it."""
        if payload == self._awaited_pong:
            self._awaited_pong = None
            return
        if not self._pings or payload not in self._pings:
            return
        while True:
            sent, answered = self._pings.popitem(last=False)
            answered.set()
            if sent == payload:
                return

    def _take_close(self, event: CloseConnection) -> None:
        if self.close_sent is None and self.before_closing is not None:
            self.before_closing()
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
        self._write_close(reason.code, reason.reason)
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

    def _take_verdict(self, code: int, reason: str | None) -> None:
        """What came is wrong, say wsproto or the inflater."""
        if code == MESSAGE_TOO_BIG:
            self._refuse_size()
        else:
            self._fail(code, reason)

    def _refuse_size(self) -> None:
        limit = self._limits.max_message_bytes
        self._fail(MESSAGE_TOO_BIG, f"Exceeded maximum message size: {limit} bytes")

    def _fail(self, code: int, reason: str | None) -> None:
        """Fail the connection (RFC 6455, section 7.1.7): say why, and look at nothing more."""
        self.failure = code
        self._discarding = True
        self._paused = False
        self._partial = self._parser = self._fragments = self._inflater = None
        if self._close_reason is None:
            self._write_close(code, reason)
        self._attention = True

    def _lose(self) -> None:
        """The stream has ended."""
        self._over = self._attention = True
        self._fail_writing()
        if self._close_reason is None:
            self._close_reason = CloseReason(ABNORMAL_CLOSURE, None)

    # -- Sending ---------------------------------------------------------------------------

    def send_nowait(self, message: str | bytes) -> bool:
        """Send a message as far as the kernel takes it; keep the rest, in order.

        :returns: whether the kernel took it all. If not, somebody has to await `flush`.
        :raises ConnectionClosed: if the connection is closed or closing.
        """
        self._check_open()
        frame = self._encode(message, self._client)
        self.messages_sent += 1
        return self._write(frame)

    def send_fragments(self, message: str | bytes, size_bytes: int) -> Iterator[bool]:
        """Send a message in frames of so many bytes of payload, as this is iterated.

        Until it is at its end, no other message may be sent.

        :returns: for each of its steps, whether the kernel took it all, as `send_nowait` does.
        :raises ConnectionClosed: if the connection is closed or closing.
        """
        for frames_ in frames.encode_fragments(message, size_bytes, self._client):
            self._check_open()
            yield self._write(frames_)
        self.messages_sent += 1

    async def send_message(self, message: str | bytes) -> None:
        """Send a message, waiting until the kernel has all of it.

        Cancelled while waiting, the message stays in line, and the next `flush` sends on where
        this one stopped: there is never half a frame followed by another.

        :raises ConnectionClosed: if the connection is closed or closing.
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
        """Send a pong that nobody asked for.

        :raises ConnectionClosed: if the connection is closed or closing.
        :raises ValueError: if the payload is longer than 125 bytes.
        """
        frame = frames.encode_control(frames.PONG, payload or b"", self._client)
        await self._take_turn()
        await self._finish_sending(taken=self._write(frame))

    def close_nowait(self, code: int = NORMAL_CLOSURE, reason: str | None = None) -> bool:
        """Begin the closing handshake; `run` completes it. Idempotent.

        :param code: `NO_STATUS` sends an empty close frame.
        :param reason: cut at a character when it is longer than 123 bytes.
        :returns: whether the kernel took the close frame. If not, somebody has to await `flush`.
        :raises ValueError: if the code may not be sent (see `close_codes`).
        """
        if self._close_reason is not None:
            return True
        if self.before_closing is not None:
            self.before_closing()
        self._resume(self._pauses)
        taken = self._write_close(code, reason)
        self._call_attention()
        return taken

    def close_behind_reply(self, code: int, reason: str) -> None:
        """Close as `close_nowait` does, but right behind the reply to a message yet to come.

        A message that crosses our close frame can't be answered (RFC 6455, section 5.5.1). Right
        behind a reply none crosses it, if the peer's next one takes longer to come than our close
        frame takes to get there. If no message comes, nothing happens: `close_nowait` still can.
        """
        self._farewell = self.messages_sent, code, reason

    def _say_farewell(self, messages_sent: int, code: int, reason: str) -> None:
        amid_message = self._head or self._partial is not None or self._parser is not None
        # Whoever holds back replies would lose those that aren't due yet.
        if self.messages_sent > messages_sent and not amid_message and self.before_closing is None:
            self._close_now(code, reason)

    def answer_what_arrived(self) -> None:
        """Take what the kernel already has for us, as far as one read takes, and answer it.

        For whoever is about to close: behind a close frame nothing can be answered.
        """
        if self._task is not None and not self._discarding:
            self._on_readable()

    def cut(self) -> None:
        """End our half of TCP without a close frame; `run` waits for the peer's end. Idempotent."""
        if self._close_reason is None:
            self._close_reason = CloseReason(ABNORMAL_CLOSURE, None)
            self._paused = False
            self._cut = self._discarding = True
            self._call_attention()

    def drop_in_frame(self, message: str | bytes) -> None:
        """Send the first half of a frame, and reset TCP: to test what a server makes of that."""
        if self._close_reason is None:
            frame = self._encode(message, self._client)
            self._write(frame[: len(frame) // 2])
            self.abort()

    def pause_reading(self) -> None:
        """Look at nothing that comes behind the message being handled, until `resume_reading`.

        Nothing of it is lost; the peer finds that it can't send on. A closing handshake of ours
        resumes. Idempotent.
        """
        self._pause(_BY_OWNER)

    def resume_reading(self) -> None:
        """End `pause_reading`. Idempotent."""
        self._resume(_BY_OWNER)

    def _pause(self, why: int) -> None:
        if self._close_reason is None:
            self._pauses |= why
            if not self._paused:
                self._paused = self._discarding = True
                self._call_attention()

    def _resume(self, why: int) -> None:
        self._pauses &= ~why
        if self._paused and not self._pauses:
            self._paused = self._discarding = False
            self._resumed = True
            self._call_attention()

    def hold(self, size_bytes: int) -> None:
        """Count bytes that are kept for this connection from now on, by whoever keeps them.

        Above `Limits.max_held_bytes` nothing is read from the peer until enough is given back.
        Above the process's budget the connection that holds most is closed, which may be this one:
        what it held is then given back already, and is to be dropped.
        """
        if self._budget is None or self.evicted:
            return
        self._budget.hold(self, size_bytes)
        if self.held_bytes > self._limits.max_held_bytes and not self._pauses & _BY_BYTES_HELD:
            self._pause(_BY_BYTES_HELD)

    def release(self, size_bytes: int) -> None:
        """Count bytes that are no longer kept: those of a `hold` before."""
        if self._budget is None or self.evicted:
            return
        self._budget.release(self, size_bytes)
        if self._pauses & _BY_BYTES_HELD and self.held_bytes <= self._limits.max_held_bytes:
            self._resume(_BY_BYTES_HELD)

    def evict(self) -> None:
        """Close with 1013 as far as that goes at once, and cut: the process holds too much.

        Called by the `Budget`, which has counted all that was held here as given back.
        """
        self.evicted = True
        self._discarding = self._over = True
        self._paused = False
        self._head = b""
        self._partial = self._parser = self._fragments = self._inflater = None
        if self._unsent:
            self.abort()  # Amid a frame there is no place for a close frame.
        else:
            if self._close_reason is None:
                self._write_close(TRY_AGAIN_LATER, "the server is short of memory")
            if self._sock is not None:
                self._fail_writing()  # What the kernel didn't take at once is not waited for.
            self._flush_in_run()

    def look(self, now_s: float) -> float:
        """Ping the peer, or give up on it, if it is time to. Called by a `Watch`.

        :param now_s: by the watch's clock.
        :returns: in how many seconds to look again.
        """
        limits = self._limits
        if self._close_reason is not None:
            return inf  # The close timeout bounds the rest.
        idle_in_s = ping_in_s = inf
        if limits.idle_timeout_s:
            idle_in_s = self._idle_in(now_s, limits.idle_timeout_s)
        if idle_in_s <= 0:
            self.timed_out = "idle"
            self._close_now(GOING_AWAY, "there was no message for too long")
        elif limits.ping_interval_s:
            ping_in_s = self._ping_in(now_s, limits.ping_interval_s, limits.ping_timeout_s)
        return min(idle_in_s, ping_in_s)

    def _idle_in(self, now_s: float, timeout_s: float) -> float:
        messages = self.messages_received + self.messages_sent
        if self._idle is None or self._idle[0] != messages:
            self._idle = messages, now_s
        return self._idle[1] + timeout_s - now_s

    def _ping_in(self, now_s: float, interval_s: float, timeout_s: float) -> float:
        """Ping if it is time to, or give up; returns when there is something to do next."""
        if self._pinged_at_s is None:
            # As if some time ago: so a crowd that came at once is not pinged at once.
            self._pinged_at_s = now_s - interval_s * random() / 2
        elif self._unsent or self._paused or (self._poller is not None and self._task is None):
            # The write timeout is for who doesn't read; and we don't either, so the pong may be
            # there.
            self._pinged_at_s = now_s
        elif self._awaited_pong is not None and timeout_s:
            if now_s >= self._pinged_at_s + timeout_s:
                self.timed_out = "ping"
                self._over = True
                self._close_now(INTERNAL_ERROR, "there was no answer to a ping")
        elif now_s >= self._pinged_at_s + interval_s:
            self._pinged_at_s = now_s
            self._awaited_pong = payload = struct.pack("!I", getrandbits(32))
            if not self._write(frames.encode_control(frames.PING, payload, self._client)):
                self._flush_in_run()
        awaiting = self._awaited_pong is not None and timeout_s
        return self._pinged_at_s + (timeout_s if awaiting else interval_s) - now_s

    def _close_now(self, code: int, reason: str) -> None:
        if not self.close_nowait(code, reason):
            self._flush_in_run()

    def _flush_in_run(self) -> None:
        self._replies_blocked = True
        self._call_attention()

    def abort(self) -> None:
        """End the connection at once with a TCP reset, dropping what was not sent."""
        if self._sock is not None and self._sock.fileno() != -1:
            # Else the kernel would keep trying to send what the peer doesn't read.
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            trio.lowlevel.notify_closing(self._sock)  # Nobody need wait for it to take more.
        self._lose()
        self._call_attention()

    async def flush(self) -> None:
        """Wait until all that was sent is with the kernel.

        If the kernel takes nothing for as long as the write timeout, the connection is aborted.
        Cancelled: what is left stays in line (on a stream that isn't a socket, nobody knows what
        is left, so the connection is aborted).
        """
        if self._stream_lock is None:
            self._stream_lock = trio.Lock()
        async with self._stream_lock:
            with trio.CancelScope() as writing:
                while self._unsent:
                    writing.deadline = trio.current_time() + self._limits.write_timeout_s
                    await self._flush_some()
            if writing.cancelled_caught:
                self.timed_out = self.timed_out or "write"
                self.abort()

    async def _flush_some(self) -> None:
        try:
            if self._sock is not None:
                await trio.lowlevel.wait_writable(self._sock)
                while self._unsent:  # It may be dropped meanwhile.
                    try:
                        self._drop_sent(self._sock.send(self._unsent))
                        return
                    except OSError as exc:
                        if exc.errno not in _OUT_OF_BUFFERS:
                            raise
                    await trio.sleep(OUT_OF_BUFFERS_PAUSE_S)
            elif self._unsent:
                some = bytes(self._unsent[:SEND_BYTES])
                try:
                    await self._stream.send_all(some)
                except trio.Cancelled:
                    self.abort()
                    raise
                if self._unsent:
                    self._drop_sent(len(some))
        except BlockingIOError:
            pass
        except (OSError, trio.BrokenResourceError, trio.ClosedResourceError):
            self._fail_writing()

    def _drop_sent(self, size_bytes: int) -> None:
        assert self._unsent is not None
        del self._unsent[:size_bytes]
        self.release(size_bytes)

    def _write(self, data: bytes) -> bool:
        """Give the kernel what it takes now; keep the rest. True if nothing is left."""
        if self._write_failed:
            return True
        if self._replies:
            self._write_replies(self._replies)  # They were made before this, so they go before it.
        self.bytes_sent += len(data)
        if self._unsent:
            self._unsent += data
            self.hold(len(data))
            return False
        sent = 0
        if self._sock is not None:
            try:
                sent = self._sock.send(data)
            except BlockingIOError:
                pass
            except OSError as exc:
                if exc.errno not in _OUT_OF_BUFFERS:
                    self._fail_writing()
                    return True
            if sent == len(data):
                return True
        self._unsent = bytearray(memoryview(data)[sent:])
        self.hold(len(data) - sent)
        return False

    def _fail_writing(self) -> None:
        # Not the end yet: the peer's close frame may be there to be read. If there is nothing,
        # reading says so at once.
        self._write_failed = True
        if self._unsent:
            self.release(len(self._unsent))
            self._unsent = None
            if self.close_sent is not None:  # It was the last in line, so it did not get out.
                self.close_sent = None
                self.closed_first = None if self.close_received is None else "peer"

    def _write_replies(self, replies: list[bytes]) -> None:
        data = b"".join(replies) if len(replies) > 1 else replies[0]
        replies.clear()
        if not self._write(data):
            self._replies_blocked = self._attention = True

    def _write_close(self, code: int, reason: str | None) -> bool:
        """Send our close frame: nothing is sent after it."""
        frame = frames.encode_close(code, reason, self._client)
        if self._close_reason is None:
            self._close_reason = CloseReason(code, reason)
        taken = self._write(frame)
        if not self._write_failed:
            self.close_sent = code
            if self.close_received is None:
                self.closed_first = "us"
        return taken

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

    def _check_open(self) -> None:
        if self._close_reason is not None:
            raise ConnectionClosed(self._close_reason)
        if self._write_failed:
            raise ConnectionClosed(CloseReason(ABNORMAL_CLOSURE, None))

    async def _send_eof(self) -> None:
        """Half-close, so that the peer sees our close frame, then the end, and not a reset."""
        await self.flush()
        if self._write_failed:
            return
        try:
            if self._sock is not None:
                self._sock.shutdown(socket.SHUT_WR)
            elif isinstance(self._stream, trio.abc.HalfCloseableStream):
                await self._stream.send_eof()
        except (OSError, trio.BrokenResourceError):
            self._fail_writing()

    async def _close_stream(self) -> None:
        """Close the stream, without waiting for anything."""
        self._reader_running = False
        self._lose()
        if self._budget is not None:
            self._budget.forget(self)
            self._budget = None
        for unanswered in (self._pings or {}).values():
            unanswered.set()
        if self._task is not None:
            self._call_attention()
        if self._sock is not None:
            if self._sock.fileno() != -1:
                trio.lowlevel.notify_closing(self._sock)
            self._sock.close()
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
            self._send_channel.close()

    async def _read_into_channel(self) -> None:
        self._inbox = deque()
        try:
            await self.run(self._inbox.append)
        finally:
            self._send_channel.close()
            # As upstream's aclose() is one, but a cancellation can't replace what was raised.
            await trio.lowlevel.cancel_shielded_checkpoint()

    async def _deliver_inbox(self) -> None:
        assert self._inbox is not None
        while self._inbox:
            item = self._inbox.popleft()
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
        self._send_channel.close()
        if self.is_server:
            await self._close_stream()

    async def _send(self, event: Event) -> None:
        """Upstream's way to send anything."""
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


def _raw_socket(stream: trio.abc.Stream) -> socket.socket | None:
    """The operating system's socket under a plain TCP stream."""
    if isinstance(stream, trio.SocketStream):
        raw: socket.socket = stream.socket._sock  # type: ignore[attr-defined]
        return raw
    return None


def _process_close(frame: Frame) -> Frame:
    """What wsproto reads in a close frame. It does not know a code that IANA knows: 1014."""
    payload = bytes(frame.payload)  # type: ignore[arg-type]
    if payload[:2] != _BAD_GATEWAY_BYTES:
        return FrameProtocol._process_close(None, frame)  # type: ignore[arg-type]
    as_normal = frame._replace(payload=NORMAL_CLOSURE.to_bytes(2) + payload[2:])
    read = FrameProtocol._process_close(None, as_normal).payload  # type: ignore[arg-type]
    return frame._replace(payload=(BAD_GATEWAY, str(read[1])))


def _is_between_messages(parser: Parser) -> bool:
    """Has wsproto read the last frame to its end, and is no message open?"""
    proto = parser._proto
    return proto._frame_decoder.header is None and proto._message_decoder.opcode is None


def _unread_bytes(parser: Parser) -> bytearray:
    """What wsproto was fed, and has not read yet."""
    return parser._proto._frame_decoder.buffer.buffer


def _frame_bytes(parser: Parser) -> int:
    """The payload of the data frame that wsproto has just read, as far as it has."""
    return parser._proto._frame_decoder.payload_consumed


def _announced_bytes(parser: Parser) -> int:
    """The part still to come of the data frame that wsproto is in the middle of."""
    decoder = parser._proto._frame_decoder
    if decoder.header is None or decoder.header.opcode.iscontrol():
        return 0
    return decoder.header.payload_len - decoder.payload_consumed


def _trailing_bytes(wsproto: WSConnection) -> bytes:
    """What wsproto received behind the handshake, and has not read yet."""
    parser = wsproto.connection
    return bytes(_unread_bytes(parser)) if parser is not None else b""
