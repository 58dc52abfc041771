"""Serve one dialled connection: the server's frames to the page's stream, the page's to the server.

    server ─► _read ─► FrameReader ─► Outbox ─► the page's stream
    server ◄─ _write ◄─ line ◄─ send, pongs, close frames

Three tasks: one reads, one writes, one keeps the times. Nothing is read from the server while the
page has not taken what came before, and no request to send is answered before the kernel has all.
"""

from __future__ import annotations

import base64
import socket
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import suppress
from dataclasses import dataclass
from math import inf
from typing import Any, Final, Protocol

import trio

from echo_trio.dialling.ends import Cause, DialFailed, End, end_of_error
from echo_trio.dialling.frame_reader import Frame, FrameReader, describe_sent
from echo_trio.dialling.opening import Clock, Contexts, Opened, open_connection
from echo_trio.dialling.order import Allowed, BadOrder, DialOrder, Target
from echo_trio.dialling.outbox import Emit, Outbox
from echo_trio.dialling.sending import Item
from echo_trio.wire import close_codes, deflate, frames, sockets
from echo_trio.wire.budget import Budget, Holder
from echo_trio.wire.limits import RECEIVE_BYTES, Limits

#: Records that become one event: some milliseconds of work, after which others have their turn.
RECORDS_PER_EVENT: Final = 64
EVENT_BYTES: Final = 64 * 1024
#: A connection on which no frame has come or gone for this long is closed: its page was forgotten.
IDLE_TIMEOUT_S: Final = 600.0
#: Pings are not answered while more bytes than these are in line: the server does not read.
PONG_LINE_BYTES: Final = 16 * 1024
WRITE_PIECE_BYTES: Final = 64 * 1024
#: The time that a server has to end TCP once all is said, and the bytes that it may go on sending.
FAREWELL_S: Final = 2.0
FAREWELL_BYTES: Final = 2**20


_CLOSED_BY: Final = {
    "server": "the server closed the connection, with a close frame",
    "us": "the server has answered our close frame",
    None: "the server sent a close frame",
}


class CannotSend(Exception):
    """The reason why nothing was sent.

    :ivar status: the HTTP status.
    """

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class Turn(Protocol):
    """A turn on the loop, see `console.turns`."""

    async def run(self, work: Coroutine[Any, Any, bool]) -> bool:
        """Await a coroutine, and pay for the time of its steps."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DialRoom:
    """Hold what all dials of a console share.

    :ivar allowed: the hosts and ports that may be dialled.
    :ivar budget: counts what is held for the page and for the server.
    :ivar take_turn: waits until the loop has time for one more piece of work.
    :ivar encode: makes one event of a stream.
    """

    allowed: Allowed
    contexts: Contexts
    limits: Limits
    open_timeout_s: float
    budget: Budget
    take_turn: Callable[[], Awaitable[Turn]]
    encode: Callable[[str, bytes], bytes]


@dataclass(slots=True)
class _Outgoing:
    """Bytes in line for the server, one or several frames."""

    data: bytes
    frame: Frame
    ticket: int | None
    is_close: bool = False


class Dial(Holder):
    """One connection that the console dials for the page.

    :ivar id: unguessable; whoever knows it, and may ask the console at all, may send.
    """

    def __init__(self, dial_id: str, order: DialOrder, target: Target, room: DialRoom) -> None:
        self.id = dial_id
        self.target = target
        self._order = order
        self._room = room
        self._budget = room.budget
        self._clock = Clock()
        self._outbox = Outbox(room.encode, self)
        self._scope = trio.CancelScope()
        self._sock: socket.socket | None = None
        self._encode: deflate.Encode = frames.encode
        self._line: deque[_Outgoing] = deque()
        self._line_bytes = 0
        self._line_changed = trio.Event()
        self._is_sending = False
        self._unfinished = bytearray()
        self._end: End | None = None
        self._close_sent: tuple[int, str] | None = None
        self._close_received: tuple[int, str] | None = None
        self._closed_first: str | None = None
        self._active_s = trio.current_time()
        self._close_by_s = inf
        self._times_changed = trio.Event()

    # -- The page's stream ---------------------------------------------------------------------

    async def run(self, emit: Emit) -> None:
        """Dial, and emit all there is to tell, to the end of the connection.

        Cancelled, because the page has left: the server is told so (1001), and the connection is
        closed.
        """
        try:
            async with trio.open_nursery() as nursery:
                # Both as tasks of their own: this one's steps are paid for as one request's.
                nursery.start_soon(self._outbox.drain, emit)
                nursery.start_soon(self._tell)
        finally:
            self._leave()

    async def _tell(self) -> None:
        self._outbox.put("dial", {"id": self.id, "url": self._order.url, "t": 0})
        with self._scope:
            await self._serve()
        self._outbox.put("closed", self._tell_end())
        self._outbox.end()

    async def _serve(self) -> None:
        opened: Opened | None = None
        try:
            with trio.move_on_after(self._room.open_timeout_s):
                opened = await open_connection(
                    self._order,
                    self.target,
                    allowed=self._room.allowed,
                    contexts=self._room.contexts,
                    clock=self._clock,
                    report=self._outbox.put,
                )
        except DialFailed as exc:
            self._end_with(exc.end)
            return
        if opened is None:
            timeout = f"{self._room.open_timeout_s:g} s"
            self._end_with(End(Cause.OPEN_TIMEOUT, f"the server had not answered after {timeout}"))
            return
        self._sock = opened.sock
        if opened.compression is not None:
            self._encode = deflate.encoder(opened.compression, client=True)
        self._active_s = trio.current_time()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._write)
            nursery.start_soon(self._keep_time)
            await self._read(opened)
            nursery.cancel_scope.cancel()

    def _tell_end(self) -> dict[str, Any]:
        end = self._end
        if self.evicted:
            end = End(Cause.MEMORY, "the server's memory for all connections (--max-held) was full")
        if end is None:
            end = End(Cause.STOPPING, "the console's server stops")
        received, sent = self._close_received, self._close_sent
        return {
            "t": self._clock.now_ms(),
            "opened": self._sock is not None,
            "cause": end.cause,
            "why": end.why,
            "closed_first": self._closed_first,
            "received": received and {"code": received[0], "reason": received[1]},
            "sent": sent and {"code": sent[0], "reason": sent[1]},
        }

    def _leave(self) -> None:
        """Close the connection at once, with a last word if the kernel takes it."""
        is_open = self._end is None and not self.evicted
        self._end_with(End(Cause.STOPPING, "the page has left"))
        if self._sock is not None:
            if is_open and not self._line:
                with suppress(OSError):
                    self._sock.send(frames.encode_close(close_codes.GOING_AWAY, None, True))
            trio.lowlevel.notify_closing(self._sock)
            self._sock.close()
        self._give_back()

    def _end_with(self, end: End) -> None:
        """Note the end; the first cause is the true one."""
        self._end = self._end or end
        self._line_changed.set()

    def _regulate_reading(self) -> None:
        """Do nothing: the outbox does."""

    def _drop_everything(self) -> None:
        self._scope.cancel()

    # -- From the server -----------------------------------------------------------------------

    async def _read(self, opened: Opened) -> None:
        """Read until the connection has ended, or there is nothing more to hear."""
        reader = FrameReader(opened.compression, self._room.limits.max_message_bytes)
        held = 0
        data = opened.surplus
        while True:
            if data:
                self._active_s = trio.current_time()
                try:
                    await self._take(reader, data)
                except frames.Violation as exc:
                    self._fail(exc)
                    await self._part()
                    return
                if self._close_received is not None:
                    self._end_with(End(Cause.CLOSED, _CLOSED_BY[self._closed_first]))
                    await self._part()
                    return
                held = self._count_held(held, reader.held_bytes)
            await self._outbox.room()
            assert self._sock is not None
            try:
                data = await sockets.receive_some(self._sock, RECEIVE_BYTES)
            except OSError as exc:
                self._end_with(end_of_error(exc))
                return
            if not data:
                self._end_with(reader.end())
                return

    def _count_held(self, before: int, now: int) -> int:
        if now > before:
            self.hold(now - before)
        else:
            self.release(before - now)
        return now

    async def _take(self, reader: FrameReader, data: bytes) -> None:
        """Pass on what these bytes complete, in events of bounded size, each in a turn of its own.

        :raises frames.Violation: if the server sent what it may not.
        """
        seen = reader.feed(data)
        goes_on = True
        while goes_on:
            await self._outbox.room()
            turn = await self._room.take_turn()
            goes_on = await turn.run(self._pass_some_on(seen))

    async def _pass_some_on(self, seen: Iterator[Frame | str | bytes]) -> bool:
        """Pass some on; true if there may be more."""
        records: list[dict[str, Any]] = []
        size = 0
        t = self._clock.now_ms()
        try:
            for one in seen:
                if isinstance(one, Frame):
                    records.append(_tell_frame("in", one, t))
                    if one.opcode >= frames.CLOSE and not self._take_control(one):
                        return False
                else:
                    records.append(_tell_message(one, t))
                    size += len(one)
                if len(records) >= RECORDS_PER_EVENT or size >= EVENT_BYTES:
                    return True
            return False
        finally:
            if records:
                self._outbox.put("records", records)

    def _take_control(self, frame: Frame) -> bool:
        """Answer a control frame; false if it was the last frame."""
        if frame.opcode == frames.PING:
            if self._line_bytes < PONG_LINE_BYTES and self._close_sent is None:
                encoded = frames.encode_pong(frame.payload, True)
                self._stand_in_line(
                    encoded, describe_sent(encoded, len(frame.payload), frame.payload), None
                )
            return True
        if frame.opcode == frames.CLOSE:
            code, reason = frames.read_close(frame.payload)
            self._close_received = code, reason
            self._closed_first = self._closed_first or "server"
            self._close(code, "")
            return False
        return True

    def _fail(self, violation: frames.Violation) -> None:
        """Tell the server what it did wrong (RFC 6455, section 7.1.7)."""
        is_size = violation.code == close_codes.MESSAGE_TOO_BIG
        self._end_with(
            End(Cause.TOO_BIG, f"a message is larger than --max-message-size: {violation.reason}")
            if is_size
            else End(Cause.VIOLATION, f"the server broke the protocol: {violation.reason}")
        )
        self._closed_first = self._closed_first or "us"
        self._close(violation.code, "")

    async def _part(self) -> None:
        """End our half once our close frame is out, and wait for the server to end its own.

        RFC 6455, section 7.1.1, has the server end TCP first. One that awaits us gets our half's
        end at once. Closing with bytes unread would reset the connection, and that may overtake
        our close frame.
        """
        assert self._sock is not None
        with trio.move_on_after(FAREWELL_S), suppress(OSError):
            while self._line:
                self._line_changed = changed = trio.Event()
                await changed.wait()
            self._sock.shutdown(socket.SHUT_WR)
            received = 0
            while received < FAREWELL_BYTES and (
                data := await sockets.receive_some(self._sock, RECEIVE_BYTES)
            ):
                received += len(data)

    # -- To the server -------------------------------------------------------------------------

    async def send(self, items: list[Item]) -> None:
        """Send messages, pings or a close frame; return once the kernel has all of them.

        :raises CannotSend: 409 while another call goes on, or before and after the connection is
            open, 410 if it ends meanwhile, 413 if a message is larger than the limits allow.
        :raises BadOrder: if a text is not UTF-8; what came before it is sent.
        """
        if self._is_sending:
            raise CannotSend("one at a time: wait for the answer to the last request", 409)
        self._is_sending = True
        try:
            for item in items:
                self._check_open()
                self._send_item(item)
            while self._line and self._end is None:
                self._line_changed = changed = trio.Event()
                await changed.wait()
            if self._line:
                raise CannotSend("the connection has ended before all was sent", 410)
        finally:
            self._is_sending = False

    def _check_open(self) -> None:
        if self._sock is None and self._end is None:
            raise CannotSend("the connection is not open yet", 409)
        if self._end is not None or self._close_sent is not None or self._closed_first is not None:
            raise CannotSend("the connection is closed, or about to be", 409)

    def _send_item(self, item: Item) -> None:
        payload = item.payload()
        if item.kind == "close":
            self._closed_first = self._closed_first or "us"
            self._close(close_codes.NO_STATUS if item.code is None else item.code, payload.decode())
            return
        if item.kind == "ping":
            encoded = frames.encode_control(frames.PING, payload, True)
            self._stand_in_line(encoded, describe_sent(encoded, len(payload), payload), item.ticket)
            return
        max_bytes = self._room.limits.max_message_bytes
        if len(self._unfinished) + len(payload) > max_bytes:
            self.release(len(self._unfinished))
            self._unfinished.clear()
            raise CannotSend(
                f"a message through the server has at most {max_bytes} bytes (--max-message-size)",
                413,
            )
        if item.more:
            self._unfinished += payload
            self.hold(len(payload))
            return
        if self._unfinished:
            payload = bytes(self._unfinished) + payload
            self.release(len(self._unfinished))
            self._unfinished.clear()
        message: str | bytes = payload
        if item.kind == "text":
            try:
                message = payload.decode()
            except UnicodeDecodeError:
                raise BadOrder("base64: this is not UTF-8", field="base64") from None
        encoded = self._encode(message, True)
        self._stand_in_line(encoded, describe_sent(encoded, len(payload)), item.ticket)

    def _close(self, code: int, reason: str) -> None:
        """Put our close frame in line, unless it is there."""
        if any(one.is_close for one in self._line) or self._close_sent is not None:
            return
        encoded = frames.encode_close(code, reason or None, True)
        payload = b"" if code == close_codes.NO_STATUS else code.to_bytes(2) + reason.encode()
        frame = describe_sent(encoded, len(payload), payload)
        self._stand_in_line(encoded, frame, None, is_close=True)

    def _stand_in_line(
        self, data: bytes, frame: Frame, ticket: int | None, *, is_close: bool = False
    ) -> None:
        self._line.append(_Outgoing(data, frame, ticket, is_close))
        self._line_bytes += len(data)
        self.hold(len(data))
        self._line_changed.set()

    async def _write(self) -> None:
        """Send what stands in line, each with the moment before the kernel gets it."""
        while True:
            while not self._line:
                self._line_changed = changed = trio.Event()
                await changed.wait()
            await self._outbox.room()
            one = self._line[0]
            self._active_s = trio.current_time()
            record = _tell_frame("out", one.frame, self._clock.now_ms())
            if one.ticket is not None:
                record["ticket"] = one.ticket
            if one.is_close:
                # Before it is out: its answer may come in the meantime.
                self._close_sent = _read_code(one.frame.payload)
            self._outbox.put("records", [record])
            if not await self._send_all(one.data):
                return
            if one.is_close:
                self._expect_end()
            self._line.popleft()
            self._line_bytes -= len(one.data)
            self.release(len(one.data))
            self._line_changed.set()

    async def _send_all(self, data: bytes) -> bool:
        """Give all to the kernel; false if that failed, or takes too long: then all ends."""
        assert self._sock is not None
        view = memoryview(data)
        while view:
            try:
                view = view[self._sock.send(view[:WRITE_PIECE_BYTES]) :]
            except BlockingIOError:
                with trio.move_on_after(self._room.limits.write_timeout_s) as waiting:
                    await trio.lowlevel.wait_writable(self._sock)
                if waiting.cancelled_caught:
                    timeout = f"{self._room.limits.write_timeout_s:g} s"
                    self._end_now(
                        End(Cause.WRITE_TIMEOUT, f"the server has read nothing for {timeout}")
                    )
                    return False
            except OSError as exc:
                # The reader finds out why: what the server said before is still to be heard.
                await trio.sleep(1.0)
                self._end_now(end_of_error(exc))
                return False
        return True

    def _end_now(self, end: End) -> None:
        self._end_with(end)
        self._scope.cancel()

    # -- Times ---------------------------------------------------------------------------------

    def _expect_end(self) -> None:
        """Give the server its time to answer our close frame, and to end TCP."""
        self._close_by_s = trio.current_time() + self._room.limits.close_timeout_s
        self._times_changed.set()

    async def _keep_time(self) -> None:
        while True:
            self._times_changed = changed = trio.Event()
            idle_s = self._active_s + IDLE_TIMEOUT_S
            with trio.move_on_at(min(idle_s, self._close_by_s)):
                await changed.wait()
            now = trio.current_time()
            if now >= self._close_by_s:
                self._end_now(
                    End(Cause.CLOSE_TIMEOUT, "the server did not answer our close frame in time")
                )
            elif now >= self._active_s + IDLE_TIMEOUT_S:
                self._active_s = now
                self._end_with(
                    End(Cause.IDLE, f"there was no frame for {IDLE_TIMEOUT_S / 60:g} minutes")
                )
                self._closed_first = self._closed_first or "us"
                self._close(close_codes.GOING_AWAY, "no frame for too long")

    def stop(self) -> None:
        """Close the connection, since the console's server stops; `run` returns soon."""
        self._end_with(End(Cause.STOPPING, "the console's server stops"))
        if self._sock is None:
            self._scope.cancel()
        else:
            self._closed_first = self._closed_first or "us"
            self._close(close_codes.GOING_AWAY, "the console stops")


def _tell_frame(way: str, frame: Frame, t: float) -> dict[str, Any]:
    told: dict[str, Any] = {
        "type": "frame",
        "way": way,
        "t": t,
        "opcode": frame.opcode,
        "fin": frame.fin,
        "rsv1": frame.rsv1,
        "masked": frame.masked,
        "wire": frame.wire_bytes,
        "plain": frame.plain_bytes,
    }
    if frame.opcode == frames.CLOSE:
        if len(frame.payload) >= 2:
            told["code"] = int.from_bytes(frame.payload[:2])
            told["reason"] = frame.payload[2:].decode(errors="replace")
    elif frame.payload:
        told["base64"] = base64.b64encode(frame.payload).decode("ascii")
    return told


def _tell_message(message: str | bytes, t: float) -> dict[str, Any]:
    if isinstance(message, str):
        return {"type": "message", "t": t, "text": message}
    return {"type": "message", "t": t, "base64": base64.b64encode(message).decode("ascii")}


def _read_code(payload: bytes) -> tuple[int, str]:
    if len(payload) < 2:
        return close_codes.NO_STATUS, ""
    return int.from_bytes(payload[:2]), payload[2:].decode(errors="replace")
