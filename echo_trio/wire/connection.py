"""Serve a WebSocket, either end: a `trio_websocket.WebSocketConnection`, made fast.

Upstream runs a reader task beside the handler's, with a channel between them and an event object
for every frame. Here one task owns the connection, and data does not wait for it: the process's
`Poller` calls `_on_readable`, which reads, decodes, hands each message to a callback and sends what
that returns, all at once. The task sleeps in `run` until something needs patience: a reply that the
kernel cannot take yet, a closing handshake, the end.

    kernel ─► _receive ─► frames.decode ─► on_message ─► frames.encode ─► _write ─► kernel
                  └─► whatever is not plain: frames.read                  └─► flush, if full

One wake-up does a bounded amount of work: `FRAMES_PER_TURN` frames, or one step of inflating. The
rest of the bytes is kept, and the poller goes on with it after the others had their turn.

The handshake is done by then (see `handshake.py`). Upstream's own API, with upstream's handshake,
is in `upstream.py`. Bytes go out in `sender.py`, pings are sent in `watch.py`.
"""

from __future__ import annotations

import itertools
import socket
import struct
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Final, Self

import trio
from trio_websocket import CloseReason, ConnectionClosed, WebSocketConnection

from echo_trio.wire import deflate, frames, sockets
from echo_trio.wire.close_codes import (
    ABNORMAL_CLOSURE,
    INTERNAL_ERROR,
    NORMAL_CLOSURE,
    TRY_AGAIN_LATER,
)
from echo_trio.wire.limits import BULK_RECEIVE_BYTES, LARGE_BYTES, RECEIVE_BYTES, Limits
from echo_trio.wire.watch import Watched

if TYPE_CHECKING:
    from echo_trio.wire.budget import Budget
    from echo_trio.wire.poller import Poller

__all__ = ["Connection", "ConnectionClosed", "Limits"]

#: Frames that are read in one wake-up: about half a millisecond of work, replies included. Then
#: the other connections get their turn.
FRAMES_PER_TURN: Final = 128
#: With compression, a message longer than this ends the turn: inflating it, and compressing the
#: reply, is the work of a hundred short ones.
INFLATED_BYTES_PER_TURN: Final = 4 * 1024
#: Without a poller, the time between two looks at a peer that is not read from: is it still there?
#: The look is one system call, and most pauses are over before the first.
END_LOOK_S: Final = 1.0
_TURN: Final = range(FRAMES_PER_TURN)

# `_halt` holds the reasons why arriving bytes are not looked at as usual, one bit each. The first
# three leave them for later, in `_head`: when the last of these reasons ends, they are looked at.
# The last two belong to closing and go one way: open, then perhaps _SKIMMING, then _DEAF, which
# clears all other bits and stays.
_PAUSED: Final = 1  # left for later: the owner asked for that
_FULL: Final = 2  # left for later: too much is held for this peer
_TURN_OVER: Final = 4  # left for later: other connections come first
_FAREWELL: Final = 8  # read as usual, but close behind the next reply
_SKIMMING: Final = 16  # searched for a close frame only
_DEAF: Final = 32  # dropped: nothing the peer says matters any more
_LEFT: Final = _PAUSED | _FULL | _TURN_OVER

OnMessage = Callable[[str | bytes], str | bytes | None]


class Connection(Watched, WebSocketConnection):
    """One WebSocket, either end.

    :ivar before_closing: called when a closing handshake begins, the peer's or ours, while messages
        can still be sent; it must not block. For an owner that holds back messages which have to go
        first.
    :ivar answers_pings: true if the peer's pings are answered; a client that tests servers may not.
    :ivar close_sent: the code of the close frame that we sent, `NO_STATUS` if it had none; ``None``
        if we sent no close frame, or the connection broke before it was out.
    :ivar close_received: the same for the peer's close frame.
    :ivar closed_first: the end that sent the first close frame: ``"us"``, ``"peer"``, or ``None``.
    :ivar failure: the code with which we failed the connection (RFC 6455, section 7.1.7): because
        of what the peer sent, or `INTERNAL_ERROR` because `on_message` raised; else ``None``.
    :ivar timed_out: what took too long: ``"write"``, ``"close"``, ``"ping"`` or ``"idle"``; of
        several the first, if the connection ended because of that; else ``None``.
    :ivar messages_received: the number of whole messages handed to `on_message`.
    :ivar messages_sent: the number of whole messages sent, replies included.
    :ivar bytes_received: bytes of the stream since the handshake, headers of frames included.
    :ivar bytes_sent: the same for bytes handed to the kernel or waiting in line.
    """

    _IDS = itertools.count()

    # Upstream's constructor makes these for each connection, and few ever need them: so here are
    # defaults, replaced on first use. On ten thousand idle sockets this is most of the memory.
    _close_reason: CloseReason | None = None
    _handshake_headers: tuple[tuple[bytes, bytes], ...] = ()

    _compression: deflate.Parameters | None = None
    _encode: deflate.Encode = staticmethod(frames.encode)
    _farewell: tuple[int, int, str] | None = None  # messages_sent when asked for, code, reason
    _halt = 0  # the reasons why arriving bytes are not looked at as usual
    _head = b""  # the beginning of a frame's header, or what was left for later
    _held_to_read = 0  # held bytes that came from the peer: left for later, or waiting for more
    _incoming: frames.Incoming | None = None  # while a message is incomplete
    _inflater: deflate.Inflater | None = None  # while a message may refer to earlier ones
    _on_message: OnMessage
    _poller: Poller | None = None
    _raised: Exception | None = None  # by on_message, for the task that called run
    _skip_bytes = 0  # of a frame that isn't looked at
    # Asleep: the task that serves us, or the function that has one made.
    _task: trio.lowlevel.Task | Callable[[], None] | None = None
    _waiting: trio.CancelScope | None = None

    _cut = False  # by us, without a close frame
    _over = False

    answers_pings = True
    before_closing: Callable[[], None] | None = None
    close_received: int | None = None
    close_sent: int | None = None
    timed_out: str | None
    closed_first: str | None = None
    failure: int | None = None

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
    ) -> Self:
        """Make a connection whose handshake is done, to be served with `run`.

        :param transport: the stream to talk over. A non-blocking TCP socket itself takes less
            memory than one in a `trio.SocketStream`, and is otherwise the same; so is a `TlsSocket`
            (see `tls.py`).
        :param client: true if we are the client.
        :param poller: waits for the socket; without one, this connection's task does.
        :param path: the path of the request, and its query.
        :param subprotocol: the subprotocol that the handshake chose, if any.
        :param surplus: bytes that were received behind the handshake.
        :param compression: the parameters that the handshake agreed on, if it did.
        :param budget: the bound on what all connections of the process hold together.
        """
        self = cls.__new__(cls)
        # The order of the attributes' table: the ones that each message needs come first and
        # together, since the CPU's caches have lost them by the time the next message comes.
        self._sock = transport if isinstance(transport, socket.socket) else raw_socket(transport)
        self._halt = 0
        self._incoming = None
        self._head = surplus
        self._client = client
        self._on_message = None  # type: ignore[assignment]  # until `run` says
        self._encode = frames.encode
        self._limits = limits
        self._replies = None
        self._attention = False
        self.bytes_received = self.bytes_sent = 0
        self.messages_received = self.messages_sent = 0
        # These have defaults, but every connection comes to set them: CPython sizes the table that
        # instances share by the first few, and a later attribute costs each a dictionary (0.7 KB).
        self._awaited_pong = self._idle = self._pinged_at_s = None
        self.slot = 0
        self._task = None
        self._id = next(cls._IDS)
        if not isinstance(transport, socket.socket):
            self._stream = transport
        self._path = path
        self._subprotocol = subprotocol
        self._poller = poller if self._sock is not None else None
        self._budget = budget
        if compression is not None:
            self._compression = compression
            self._encode = deflate.encoder(compression, client=client)
        return self

    @property
    def is_client(self) -> bool:
        """True if we are the client."""
        return self._client

    @property
    def is_server(self) -> bool:
        """True if we are the server."""
        return not self._client

    @property
    def clean(self) -> bool:
        """True if both ends sent a close frame."""
        return self.close_sent is not None and self.close_received is not None

    @property
    def close_code(self) -> int:
        """The code of the first close frame on the wire; `ABNORMAL_CLOSURE` if there was none."""
        code = self.close_received if self.closed_first == "peer" else self.close_sent
        return ABNORMAL_CLOSURE if code is None else code

    @property
    def close_reason(self) -> str:
        """The reason in the peer's close frame; empty if it gave none, or sent no such frame."""
        if self.close_received is None or self._close_reason is None:
            return ""
        return self._close_reason.reason or ""

    # -- Serving ---------------------------------------------------------------------------

    async def run(self, on_message: OnMessage) -> None:
        """Serve the connection until it has ended, then close its stream.

        Each message goes to `on_message`, and what that returns is sent back, in order; ``None``
        sends nothing. It is called from the poller's task: it must not block, and must not depend
        on the current task. A peer that does not read its replies is not read from either.

        If all its replies are the messages with something behind, it may say so by an attribute
        `appended`: a function that returns what comes behind the next one, in ASCII. That is called
        instead for a large message, which then need not be decoded, copied and encoded.

        Returns however the connection ended; `closed`, `clean`, `failure` and `timed_out` tell how.
        What `on_message` raises is raised here, after the peer was told (1011). Cancelled: the
        stream is closed at once, without a close frame.
        """
        begins = self._on_message is None
        self._on_message = on_message
        try:
            try:
                if begins and self._head:
                    self.bytes_received += len(self._head)
                    self._receive(b"")
                self._raise_its_own()  # What was raised while there was no task.
                while self._close_reason is None:
                    await self._serve_once()
                    self._raise_its_own()
            except Exception:  # our fault, not the peer's: it gets 1011 before we raise
                self._fail(INTERNAL_ERROR, None)
                await self._serve_closing()
                raise
            await self._serve_closing()
        finally:
            await self._close_stream()

    def serve_unattended(self, on_message: OnMessage, attend: Callable[[], None]) -> None:
        """Serve the connection without a task, as long as nothing takes patience.

        When something does, perhaps at once, `attend` is called, once: it has to start a task that
        calls `run` with the same `on_message`. For this the connection needs a poller. Who wants to
        cancel it calls `attend` first.

        :param on_message: as of `run`.
        """
        assert self._poller is not None
        assert self._sock is not None
        if self._attention or self._head or self._halt or self._over or self._unsent:
            attend()
            return
        self._on_message = on_message
        self._poller.register(self._sock, self._on_readable)
        self._task = attend

    def attend(self) -> None:
        """Have a task made for a connection that is served unattended; nothing if it has one."""
        if callable(self._task):
            self._call_attention()

    async def _serve_closing(self) -> None:
        if self._over and not self._unsent and self.failure is None:
            return  # The usual end of a server's: the client closed, and has our answer.
        # One deadline for all that is left: our bytes in line, the peer's close frame, the end of
        # TCP. `_over` says that the last two are not waited for any more.
        half_closed = False
        with trio.move_on_after(self._limits.close_timeout_s) as closing:
            while self._unsent or not self._over:
                # After a failure or a cut the peer need not answer: half-close, so that it sees
                # our close frame and then the end. In the loop, since the peer may also break the
                # protocol only now, instead of answering our close frame.
                if not half_closed and (self.failure is not None or self._cut):
                    half_closed = True
                    await self._send_eof()
                else:
                    await self._serve_once()
                    self._raise_its_own()
        if closing.cancelled_caught and not self.clean and self.timed_out is None:
            self.timed_out = "close"

    def _serve_once(self) -> Awaitable[object]:
        """Do what needs patience; when nothing does, sleep until something does.

        Not a coroutine itself, as a connection mostly sleeps, and would do so in one more.
        """
        if self._unsent or self._over or self._poller is None or self._halt & _TURN_OVER:
            return self._serve_patiently()
        self._attention = False
        return self._sleep()

    async def _serve_patiently(self) -> None:
        # The order matters: bytes in line go out before more is read, or replies would pile up;
        # bytes left for later are looked at before the task sleeps, or they would wait until the
        # peer sends more; and it sleeps only if neither has made new work.
        self._attention = False
        if self._unsent and (
            # Otherwise the sender awaits `flush` itself, and meanwhile we read on.
            self._replies_blocked or self._over or self.close_received is not None
        ):
            await self.flush()
            self._replies_blocked = False
        if self._halt & _TURN_OVER:
            await trio.lowlevel.checkpoint()
            self._go_on()
        if self._attention or self._over or self._halt & _TURN_OVER:
            return
        if self._poller is not None:
            await self._sleep()
        else:
            await self._wait_without_poller()

    def _sleep(self) -> Awaitable[object]:
        assert self._poller is not None
        assert self._sock is not None
        callback = self._on_hang_up if self._paused else self._on_readable
        self._poller.register(self._sock, callback, reading=not self._paused)
        # Not before `register`: if that raised, this running task would later be taken for a
        # sleeping one, and rescheduled.
        self._task = trio.lowlevel.current_task()
        return trio.lowlevel.wait_task_rescheduled(self._stop_waiting)  # noqa: ASYNC105 - by the caller

    def _raise_its_own(self) -> None:
        """Raise what `on_message` has raised in the poller's task."""
        if self._raised is not None:
            raised, self._raised = self._raised, None
            raise raised

    async def _wait_without_poller(self) -> None:
        data = None
        with trio.CancelScope() as waiting:
            self._waiting = waiting
            data = await (self._await_end() if self._paused else self._receive_some())
        self._waiting = None
        if data is not None:
            self._take_arrived(data)

    async def _await_end(self) -> bytes:
        """Wait while nothing is read; return nothing, which is the end, when the peer ends TCP.

        Trio can wait for data and for the end only together, and there may be data.
        """
        if self._sock is None:
            await trio.sleep_forever()
        while True:
            await trio.sleep(END_LOOK_S)
            # A write that failed has taken the error by which we would know.
            if self._write_failed or self._has_left:
                return b""

    def _stop_waiting(self, _: object = None) -> trio.lowlevel.Abort:
        assert self._poller is not None
        assert self._sock is not None
        self._poller.unregister(self._sock)
        self._task = None
        return trio.lowlevel.Abort.SUCCEEDED

    def _call_attention(self) -> None:
        """Make the task look: at once if it sleeps, else before it next would."""
        self._attention = True
        if task := self._task:
            self._stop_waiting()
            if isinstance(task, trio.lowlevel.Task):
                trio.lowlevel.reschedule(task)
            else:
                task()
        elif self._waiting is not None:
            self._waiting.cancel()

    def _on_readable(self) -> None:
        """Read, answer and send: the data path. Called by the poller, in the poller's task."""
        try:
            data = self._sock.recv(  # type: ignore[union-attr]
                RECEIVE_BYTES if self._incoming is None else self._receive_size()
            )
        except BlockingIOError:
            return
        except OSError:
            data = b""
        size = len(data)
        try:
            if self._halt or not size:
                self._take_arrived(data)
            else:
                self.bytes_received += size
                self._receive(data)
        except Exception as exc:  # noqa: BLE001 - on_message's own: for the task that called run
            self._raised = exc
            self._attention = True
        if self._attention:
            self._call_attention()
        if size >= RECEIVE_BYTES and not self._halt & _TURN_OVER and self._task is not None:
            # There is more, and it is a turn's work as well.
            self._poller.postpone(self._sock, self._on_turn)  # type: ignore[union-attr,arg-type]

    def _on_hang_up(self) -> None:
        """End the connection: the peer has ended TCP. Called in the poller's task, or in a watch's.

        What it sent before is not looked at: a peer that does not wait for us is not answered.
        """
        self._lose()
        self._call_attention()

    def _on_turn(self) -> None:
        """Go on with the data that was too much for one turn. Called by the poller, in its task."""
        if not self._halt & _TURN_OVER:
            self._on_readable()
            return
        try:
            self._go_on()
        except Exception as exc:  # noqa: BLE001 - as above
            self._raised = exc
            self._attention = True
        if self._attention:
            self._call_attention()

    async def _receive_some(self) -> bytes:
        """Wait for data without a poller. An empty result is the end, also after an error."""
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
        if self._incoming is not None and self._incoming.missing > RECEIVE_BYTES:
            return BULK_RECEIVE_BYTES
        return RECEIVE_BYTES

    # -- Receiving -------------------------------------------------------------------------

    def _take_arrived(self, data: bytes) -> None:
        """Take what has arrived, in every state; empty data means the end."""
        if not data:
            self._lose()
            return
        if self._halt & _DEAF:
            return
        self.bytes_received += len(data)
        if self._halt & _LEFT:  # It was under way already.
            self._head += data
            self._count_held_to_read()
        else:
            self._look_at(data)

    def _look_at(self, data: bytes) -> None:
        if self._halt & _SKIMMING:
            self._skim(self._head + data)
        elif self._halt & _FAREWELL:
            # Off while reading: `_receive` stops behind the first message if any bit is set, and
            # every message that is here already is to be answered before the close frame.
            self._halt &= ~_FAREWELL
            try:
                self._receive(data)
            finally:
                if self._close_reason is None:
                    self._halt |= _FAREWELL
            self._say_farewell()
        else:
            self._receive(data)

    def _go_on(self) -> None:
        """Look at the bytes that were left for later."""
        self._halt &= ~_TURN_OVER
        if self._halt & (_LEFT | _DEAF):
            return
        kept, self._head = self._head, b""
        self._look_at(kept)

    def _receive(self, data: bytes) -> None:  # noqa: PLR0912 - a call would cost each message
        """Answer what can be answered in one turn; leave the rest for the next."""
        if self._head:
            data = self._head + data
            self._head = b""
        # Replies are collected and written in one system call, also if a message makes this fail:
        # then the close frame goes behind them (`_write` sends `_replies` first).
        self._replies = replies = []
        on_message, client, encode = self._on_message, self._client, self._encode
        at, end = 0, len(data)
        all_plain = True
        try:
            for _ in _TURN:
                if self._incoming is None:
                    # The first test alone is what this costs a message that comes by itself.
                    if (
                        end > LARGE_BYTES
                        and end - at > LARGE_BYTES
                        and (after := self._echo_large(data, at))
                    ):
                        at = after
                        if at == end or self._halt:
                            break
                        continue
                    plain = frames.decode(data, at, not client)
                    if plain is not None:
                        message, size, at = plain
                        if size > self._limits.max_message_bytes:
                            raise frames.too_big(self._limits.max_message_bytes)
                        self.messages_received += 1
                        reply = on_message(message)
                        if reply is not None and self._close_reason is None:
                            replies.append(encode(reply, client))
                            self.messages_sent += 1
                        if at == end or self._halt:
                            break
                        continue
                if (
                    self._incoming is None
                    and at < end
                    and (control := frames.decode_control(data, at, not client))
                ):
                    # A ping or a pong leaves nothing behind either.
                    opcode, payload, at = control
                    self._take_control(opcode, payload)
                    if at == end or self._halt:
                        break
                    continue
                all_plain = False
                at = self._receive_rare(data, at)
                if at == end or self._halt:
                    break
            else:
                self._halt |= _TURN_OVER
        except frames.Violation as exc:
            self._fail(exc.code, exc.reason)
        finally:
            self._replies = None
            if replies:
                self._write_replies(replies)
        # Plain messages alone leave nothing behind: nearly every call ends with this one test.
        if not all_plain or self._halt or self._held_to_read:
            self._end_turn(data[at:])

    @property
    def _appended(self) -> Callable[[], bytes] | None:
        """Tell what comes behind the next message, if large ones can be answered by that alone."""
        if self._client or self._encode is not frames.encode:
            return None
        appended: Callable[[], bytes] | None = getattr(self._on_message, "appended", None)
        return appended

    def _echo_large(self, data: bytes, at: int) -> int:
        """Answer a large plain message that only gets something appended; 0 if this is none."""
        appended = self._appended
        if appended is None:
            return 0
        plain = frames.check_plain(data, at, masked=True)
        if plain is None:
            return 0
        opcode, payload, after = plain
        if len(payload) > self._limits.max_message_bytes:
            raise frames.too_big(self._limits.max_message_bytes)
        self._echo(opcode, payload, appended)
        return after

    def _echo(self, opcode: int, payload: bytes, appended: Callable[[], bytes]) -> None:
        self.messages_received += 1
        suffix = appended()
        if self._close_reason is not None:
            return
        if len(payload) < LARGE_BYTES:
            self._reply(frames.encode_frame(opcode, payload + suffix, masked=False))
        else:
            header = frames.long_header(opcode, len(payload) + len(suffix))
            self._write_parts((header, payload, suffix))
        self.messages_sent += 1

    def _end_turn(self, rest: bytes) -> None:
        """Keep the rest for later, and do what follows from frames that were not plain."""
        if rest and not self._halt & _DEAF:
            self._head = rest
            if not self._paused:  # Otherwise `_resume` sets it, when the last reason has ended.
                self._halt |= _TURN_OVER
        if self._halt & _TURN_OVER:
            self._leave_for_next_turn()
        self._count_held_to_read()
        if self.close_received is not None and self.close_sent is None:
            self._answer_close()

    def _leave_for_next_turn(self) -> None:
        if self._poller is not None and self._task is not None:
            assert self._sock is not None
            self._poller.postpone(self._sock, self._on_turn)
        else:
            self._attention = True

    def _receive_rare(self, data: bytes, at: int) -> int:
        """Take some bytes that are not a whole plain frame; return where to go on."""
        if self._incoming is None and at < len(data):
            whole = frames.decode_fragments(
                data, at, not self._client, self._limits.max_message_bytes
            )
            if whole is not None:
                message, at = whole
                self._deliver(message)
                return at
        appended = self._appended
        what, value, at = frames.read(
            data,
            at,
            not self._client,
            self._incoming,
            self._limits.max_message_bytes,
            self._get_inflater if self._compression is not None else None,
            frames.Incoming if appended is None else frames.Encoded,
        )
        if what == frames.PARTIAL:
            assert isinstance(value, frames.Incoming)
            self._incoming = value
            if value.is_inflating:
                self._halt |= _TURN_OVER
        elif what == frames.HEADER:
            self._head = data[at:]
            return len(data)
        elif what < frames.CLOSE:
            assert isinstance(value, str | bytes)
            self._incoming = None
            if self._compression is not None and len(value) > INFLATED_BYTES_PER_TURN:
                self._halt |= _TURN_OVER
            if appended is None:
                self._deliver(value)
            else:
                assert isinstance(value, bytes)
                self._echo(what, value, appended)
        else:
            assert isinstance(value, bytes)
            self._take_control(what, value)
        return at

    def _get_inflater(self) -> deflate.Inflater:
        assert self._compression is not None
        inflater = self._inflater
        if inflater is None:
            inflater = deflate.Inflater(self._compression, client=self._client)
            if inflater.keeps_context:
                self._inflater = inflater
        return inflater

    def _deliver(self, message: str | bytes) -> None:
        self.messages_received += 1
        reply = self._on_message(message)
        if reply is not None and self._close_reason is None:
            self._reply(self._encode(reply, self._client))
            self.messages_sent += 1

    def _reply(self, frame: bytes) -> None:
        assert self._replies is not None
        self._replies.append(frame)

    def _take_control(self, opcode: int, payload: bytes) -> None:
        if opcode == frames.PING:
            self._answer_ping(payload)
        elif opcode == frames.PONG:
            self._take_pong(payload)
        else:
            self._take_close(*frames.read_close(payload))

    def _answer_ping(self, payload: bytes) -> None:
        if self._close_reason is None and self.answers_pings:
            self._reply(frames.encode_pong(payload, self._client))

    def _take_pong(self, payload: bytes) -> None:
        if payload == self._awaited_pong:
            self._awaited_pong = None

    def _take_close(self, code: int, reason: str) -> None:
        if self.close_sent is None and self.before_closing is not None:
            self.before_closing()
        self.close_received = code
        self._stop_listening()
        self._close_reason = CloseReason(code, reason or None)
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
        """End TCP as a server, or wait for the server to: both close frames are there.

        RFC 6455, section 7.1.1; so it is the server's port that stays in TIME_WAIT.
        """
        if not self._client:
            self._over = True
        self._attention = True

    def _skim(self, data: bytes) -> None:
        """Look for a close frame, in one turn, and at nothing else."""
        self._head = b""
        masked, end = not self._client, len(data)
        at = self._skip_bytes
        try:
            for _ in _TURN:
                if at >= end:
                    break
                frame = frames.skip(data, at, masked)
                if frame is None:
                    self._head = data[at:]
                    break
                opcode, payload, at = frame
                if opcode == frames.CLOSE:
                    self._take_close(*frames.read_close(payload))
                    break
            else:
                if at < end:
                    self._halt |= _TURN_OVER
                    self._head = data[at:]
                    self._leave_for_next_turn()
        except frames.Violation as exc:
            self._fail(exc.code, exc.reason)
        self._skip_bytes = max(at - end, 0)
        self._count_held_to_read()
        if self.close_received is not None and self.close_sent is None:
            self._answer_close()

    def _stop_listening(self) -> None:
        """Look at nothing more, and drop all that was kept to be read."""
        self._halt = _DEAF
        self._head = b""
        self._incoming = self._inflater = None
        self._count_held_to_read()

    def _fail(self, code: int, reason: str | None) -> None:
        """Fail the connection (RFC 6455, section 7.1.7): say why, and look at nothing more."""
        self.failure = code
        self._stop_listening()
        if self._close_reason is None:
            self._write_close(code, reason)
        self._attention = True

    def _lose(self) -> None:
        """Note that the stream has ended: nothing can be read or written any more."""
        self._over = self._attention = True
        self._stop_listening()
        self._fail_writing()
        if self._close_reason is None:
            self._close_reason = CloseReason(ABNORMAL_CLOSURE, None)

    # -- Sending ---------------------------------------------------------------------------

    def send_nowait(self, message: str | bytes) -> bool:
        """Send a message as far as the kernel takes it; keep the rest, in order.

        :returns: true if the kernel took it all. If not, somebody has to await `flush`.
        :raises ConnectionClosed: if the connection is closed or closing.
        """
        self._check_open()
        frame = self._encode(message, self._client)
        self.messages_sent += 1
        return self._write(frame)

    def send_fragments(self, message: str | bytes, size_bytes: int) -> Iterator[bool]:
        """Send a message in frames of `size_bytes` of payload, some with each step of the iterator.

        Until it is exhausted, no other message may be sent.

        :returns: for each step, true if the kernel took it all, as `send_nowait` does.
        :raises ConnectionClosed: if the connection is closed or closing.
        """
        for frames_ in frames.encode_fragments(message, size_bytes, self._client):
            self._check_open()
            yield self._write(frames_)
        self.messages_sent += 1

    def drop_in_frame(self, message: str | bytes) -> None:
        """Send the first half of a frame, and reset TCP: to test how a server handles that."""
        if self._close_reason is None:
            frame = self._encode(message, self._client)
            self._write(frame[: len(frame) // 2])
            self.abort()

    def _check_open(self) -> None:
        if self._close_reason is not None:
            raise ConnectionClosed(self._close_reason)
        if self._write_failed:
            raise ConnectionClosed(CloseReason(ABNORMAL_CLOSURE, None))

    def _fail_writing(self) -> None:
        if self._unsent and self.close_sent is not None:
            self.close_sent = None  # It was the last in line, so it did not get out.
            self.closed_first = None if self.close_received is None else "peer"
        super()._fail_writing()

    # -- Closing ---------------------------------------------------------------------------

    def close_nowait(self, code: int = NORMAL_CLOSURE, reason: str | None = None) -> bool:
        """Begin the closing handshake; `run` completes it. Idempotent.

        :param code: `NO_STATUS` sends an empty close frame.
        :param reason: longer than 123 bytes it is cut, between two characters.
        :returns: true if the kernel took the close frame. If not, somebody has to await `flush`.
        :raises ValueError: if the code may not be sent (see `close_codes`).
        """
        if self._close_reason is not None:
            return True
        if self.before_closing is not None:
            self.before_closing()
        self._resume(_PAUSED | _FULL)
        taken = self._write_close(code, reason)
        self._call_attention()
        return taken

    def close_behind_reply(self, code: int, reason: str) -> None:
        """Close as `close_nowait` does, but right behind the reply to the next message.

        A message that crosses our close frame can't be answered (RFC 6455, section 5.5.1). Right
        behind a reply none crosses it, if the peer's next one takes longer to come than our close
        frame takes to get there. If no message comes, nothing happens; `close_nowait` can still be
        called.
        """
        self._farewell = self.messages_sent, code, reason
        self._halt |= _FAREWELL

    def _say_farewell(self) -> None:
        assert self._farewell is not None
        messages_sent, code, reason = self._farewell
        amid_message = self._head or self._incoming is not None
        # An owner that holds back replies would lose those that aren't due yet.
        if self.messages_sent > messages_sent and not amid_message and self.before_closing is None:
            self._close_now(code, reason)

    def answer_what_arrived(self) -> None:
        """Take what the kernel already has for us, up to the size of one read, and answer it.

        For callers that are about to close: behind a close frame nothing can be answered.
        """
        # Without a poller our task waits for the same bytes; it then finds none, and waits on.
        waits = self._waiting is not None and self._sock is not None and not self._paused
        if (self._task is not None or waits) and not self._halt & (_LEFT | _DEAF):
            self._on_readable()

    def drain(self, code: int, reason: str) -> bool:
        """Close as `close_nowait` does, and look at what still arrives for a close frame only.

        Messages under way are no longer received; their parts that have arrived are dropped.

        :returns: true if the kernel took the close frame. If not, somebody has to await `flush`.
        """
        taken = self.close_nowait(code, reason)
        if not self._halt & (_DEAF | _SKIMMING):
            # `close_nowait` has resumed reading; bytes that a turn left for later are skimmed too.
            self._halt = self._halt & _TURN_OVER | _SKIMMING
            if self._incoming is not None:
                self._skip_bytes = self._incoming.missing
                self._incoming = self._inflater = None
                self._count_held_to_read()
        return taken

    def cut(self) -> None:
        """End our half of TCP without a close frame; `run` waits for the peer's end. Idempotent."""
        if self._close_reason is None:
            self._close_reason = CloseReason(ABNORMAL_CLOSURE, None)
            self._cut = True
            self._stop_listening()
            self._call_attention()

    def abort(self) -> None:
        """End the connection at once with a TCP reset, dropping unsent bytes."""
        if self._sock is not None and self._sock.fileno() != -1:
            # Without this the kernel would keep trying to send what the peer doesn't read.
            with suppress(OSError):  # macOS refuses it where TCP has ended already.
                self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            trio.lowlevel.notify_closing(self._sock)  # Wakes a `flush` that waits for the kernel.
        self._lose()
        self._call_attention()

    def _write_close(self, code: int, reason: str | None) -> bool:
        """Send our close frame: nothing is sent after it. True if the kernel took it."""
        frame = frames.encode_close(code, reason, self._client)
        if self._close_reason is None:
            self._close_reason = CloseReason(code, reason)
        taken = self._write(frame)
        if not self._write_failed:
            self.close_sent = code
            if self.close_received is None:
                self.closed_first = "us"
        return taken

    def _close_now(self, code: int, reason: str) -> None:
        if not self.close_nowait(code, reason):
            self._flush_in_run()

    def _give_up(self, code: int, reason: str) -> None:
        self._over = True
        self._close_now(code, reason)

    def _flush_in_run(self) -> None:
        self._replies_blocked = True
        self._call_attention()

    async def _close_stream(self) -> None:
        """Close the stream, without waiting for anything."""
        self._lose()
        self._give_back()
        if self._task is not None:
            self._call_attention()
        if self._sock is not None:
            if self._poller is not None:
                # A client's socket is registered by its handshake, and this may have ended unslept.
                self._poller.unregister(self._sock)
            if self._sock.fileno() != -1:
                trio.lowlevel.notify_closing(self._sock)
            self._sock.close()
        else:
            await trio.aclose_forcefully(self._stream)

    # -- Not reading, for a while ----------------------------------------------------------

    def pause_reading(self) -> None:
        """Stop looking at what comes behind the message being handled, until `resume_reading`.

        Nothing is lost; the peer finds that it can't send on. A closing handshake begun by us
        resumes reading. Idempotent.
        """
        self._pause(_PAUSED)

    def resume_reading(self) -> None:
        """End `pause_reading`. Idempotent."""
        self._resume(_PAUSED)

    def end_turn(self) -> None:
        """Give the other connections their turn before the next message is read.

        For an `on_message` that has done more work than as many echoes take.
        """
        self._halt |= _TURN_OVER
        if self._replies is None:  # Nothing is being read, at whose end that would be seen.
            self._call_attention()

    @property
    def _paused(self) -> bool:
        return self._halt & (_PAUSED | _FULL) > 0

    def _pause(self, why: int) -> None:
        if self._close_reason is None and not self._halt & why:
            self._halt |= why
            self._call_attention()

    def _resume(self, why: int) -> None:
        if self._halt & why:
            self._halt &= ~why
            if not self._paused:
                self._halt |= _TURN_OVER
                self._call_attention()

    @property
    def owes_too_much(self) -> bool:
        """True if more is held for the peer to take than may be held for a connection."""
        return self.held_bytes - self._held_to_read > self._limits.max_held_bytes

    def _regulate_reading(self) -> None:
        """Stop reading while too much is held for this peer.

        But not if all of that is what the peer sent: reading is what makes that less.
        """
        limit = max(self._limits.max_held_bytes, self._held_to_read)
        if self.held_bytes > limit:
            self._pause(_FULL)
        elif self._halt & _FULL:
            self._resume(_FULL)

    def _count_held_to_read(self) -> None:
        """Count the parts of messages, and the bytes left for later, as they are now."""
        held = len(self._head)
        if self._incoming is not None:
            held += self._incoming.held_bytes
        elif self._inflater is not None:
            held += frames.INFLATING_BYTES
        if held != self._held_to_read:
            before, self._held_to_read = self._held_to_read, held
            if held > before:
                self.hold(held - before)
            else:
                self.release(before - held)

    def _drop_everything(self) -> None:
        self._over = True
        self._stop_listening()
        if self._unsent:
            self.abort()  # Within a frame there is no place for a close frame.
            return
        if self._close_reason is None:
            self._write_close(TRY_AGAIN_LATER, "the server is short of memory")
        if self._sock is not None:
            self._fail_writing()  # Bytes that the kernel didn't take at once are not waited for.
        self._flush_in_run()

    # -- For a Watch -----------------------------------------------------------------------

    @property
    def _is_closing(self) -> bool:
        return self._close_reason is not None

    @property
    def _is_frozen(self) -> bool:
        # With a poller, no code reads what arrives while our task is busy with other things.
        return bool(self._halt & _PAUSED) or (self._poller is not None and self._task is None)

    @property
    def _is_reading(self) -> bool:
        return not self._paused and (self._poller is None or self._task is not None)

    @property
    def _is_shut_out(self) -> bool:
        return (
            self._sock is not None
            and bool(self._halt & _PAUSED)
            and sockets.is_receive_buffer_full(self._sock)
        )

    @property
    def _is_reset(self) -> bool:
        return self._sock is not None and sockets.is_reset(self._sock)

    @property
    def _has_left(self) -> bool:
        """True once the peer has ended TCP; its end, but no reset, hides behind unread data."""
        assert self._sock is not None
        return self._is_reset or sockets.is_at_end(self._sock)

    @property
    def has_unread(self) -> bool:
        """True if more has arrived than was looked at so far."""
        return any(self._unread_bytes())

    def _unread_bytes(self) -> tuple[int, int]:
        in_kernel = sockets.unread_bytes(self._sock) if self._sock is not None else 0
        return (len(self._head) if self._halt & _TURN_OVER else 0), in_kernel


def raw_socket(stream: trio.abc.Stream) -> socket.socket | None:
    """Return the operating system's socket under a plain TCP stream; ``None`` for other streams."""
    if isinstance(stream, trio.SocketStream):
        raw: socket.socket = stream.socket._sock  # type: ignore[attr-defined]  # noqa: SLF001
        return raw
    return None
