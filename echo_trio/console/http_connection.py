"""Serve one HTTP/1.1 connection of the console: bounded in what it takes, holds and waits for.

The app (ASGI) gets requests whole: it isn't called before the last byte of a body has arrived.
In every case the connection ends without an exception, and no bytes of the client's get
into one.
"""

from __future__ import annotations

import json
import socket
import time
from contextlib import suppress
from email.utils import formatdate
from functools import lru_cache
from typing import Any, Final

import h11
import trio
from starlette.types import ASGIApp

from echo_trio.console.http_request import (
    MAX_FRAMED_BODY_BYTES,
    MAX_HEAD_BYTES,
    PIECE_BYTES,
    HeadBuffer,
    RequestReader,
    RequestRefused,
)
from echo_trio.console.security_headers import SECURITY_HEADERS
from echo_trio.console.slots import GRACE_S, Slot, Slots, Waiting
from echo_trio.console.turns import Turns

#: The time for a request to begin, the first or the next one.
IDLE_TIMEOUT_S: Final = 5.0
#: From a head's first byte to its last; it can't be stretched by sending a byte now and then.
HEAD_TIMEOUT_S: Final = 10.0
BODY_TIMEOUT_S: Final = 10.0
#: The time for a client to take `WRITE_PIECE_BYTES`; after that it is not reading.
WRITE_TIMEOUT_S: Final = 10.0
WRITE_PIECE_BYTES: Final = 2**16
READ_BYTES: Final = 2**14
#: The time for which, and the bytes that, we read on behind the last answer: closing with unread
#: bytes would send a reset, which may destroy the answer. Four of the longest bodies are more than
#: an honest client sends before it reads; in large pieces, since each one costs a turn of the loop.
LINGER_S: Final = 2.0
LINGER_BYTES: Final = 4 * MAX_FRAMED_BODY_BYTES
LINGER_READ_BYTES: Final = 2**16
#: After this many requests a client has to connect again: no client keeps a slot for ever.
MAX_REQUESTS: Final = 1000

#: Requests for health, which have turns of their own. As bytes, since they are told apart before
#: anything is parsed.
_HEALTH: Final = tuple(
    method + path for method in (b"GET ", b"HEAD ") for path in (b"/healthz ", b"/readyz ")
)
#: Nobody who asks for health has a longer head.
_LONGEST_HEALTH_HEAD: Final = 4096
#: Connections without a slot that may yet say that they want to know about health.
MAX_IN_HALL: Final = 128


class HttpServer:
    """The app, the slots and the turns that all connections share.

    :param app: is called with whole HTTP requests only.
    """

    def __init__(self, app: ASGIApp, slots: Slots, turns: Turns, health_turns: Turns) -> None:
        self.app = app
        self.slots = slots
        self._turns = turns
        self._health_turns = health_turns
        self._in_hall = 0

    def turns_of(self, head: bytes) -> tuple[Turns, Waiting]:
        """Choose the line in which a request waits for its turn, by its first bytes."""
        if head.startswith(_HEALTH):
            return self._health_turns, Waiting.HEALTH
        return self._turns, Waiting.TURN

    async def serve(self, sock: socket.socket, slot: Slot) -> None:
        """Serve one connection to its end, which may be that its slot is given to another."""
        try:
            with slot.scope:
                await _Connection(self, sock, slot).run()
            if slot.lost_while is not None:
                await self._serve_health_or_turn_away(sock, slot.lost_while)
        finally:
            slot.give_up()
            sock.close()

    async def _serve_health_or_turn_away(self, sock: socket.socket, lost_while: Waiting) -> None:
        """Serve a connection that has lost its slot if it asks for health; else turn it away."""
        if lost_while is Waiting.END or (
            lost_while is Waiting.PEER and not await self._comes_to_ask_for_health(sock)
        ):
            return
        slot = self.slots.take_for_health() if lost_while is Waiting.PEER else None
        if slot is None:
            turn_away(sock)
            return
        try:
            await _Connection(self, sock, slot).run()
        finally:
            slot.give_up()

    async def _comes_to_ask_for_health(self, sock: socket.socket) -> bool:
        """Tell whether a request for health is there, or comes within the grace of a newcomer."""
        if self._in_hall >= MAX_IN_HALL or _has_spoken(sock):
            return asks_for_health(sock)
        self._in_hall += 1
        try:
            with trio.move_on_after(GRACE_S):
                await trio.lowlevel.wait_readable(sock)
        finally:
            self._in_hall -= 1
        return asks_for_health(sock)


class _Connection:
    def __init__(self, server: HttpServer, sock: socket.socket, slot: Slot) -> None:
        self._server = server
        self._sock = sock
        self._stream = trio.SocketStream(trio.socket.from_stdlib_socket(sock))
        self._slot = slot
        self._buffer = HeadBuffer()
        self._requests = 0
        self._arrived_s = 0.0
        # The current request runs in this; it is cancelled when the client has gone.
        self._request_scope = trio.CancelScope()

    async def run(self) -> None:
        """Serve requests, until one end wants no more."""
        try:
            client, server = self._sock.getpeername()[:2], self._sock.getsockname()[:2]
        except OSError:
            return  # The client has gone already.
        try:
            while (head := await self._read_head()) is not None:
                self._arrived_s = trio.current_time()
                turns, waiting = self._server.turns_of(head)
                with self._slot.waiting(waiting):
                    turn = await turns.take()
                exchange = await turn.run(self._serve_request(head, client, server))
                if not exchange.may_go_on:
                    if exchange.answered:
                        await self._linger()
                    return
        except RequestRefused as refused:
            await self.send(refusal(refused))
            await self._linger()

    async def _serve_request(self, head: bytes, client: Any, server: Any) -> _Exchange:
        """Serve one request, as far as its client lets us."""
        self._requests += 1
        reader = RequestReader(head)
        await self._read_body(reader)
        exchange = _Exchange(self, reader, last=self._is_last())
        with trio.CancelScope() as self._request_scope:
            scope = reader.scope(client, server, {"arrived_s": self._arrived_s})
            await self._server.app(scope, exchange.receive, exchange.send)
        return exchange

    def _is_last(self) -> bool:
        """Tell whether to close after this request: where others wait for slots, each has one."""
        return self._requests >= MAX_REQUESTS or self._server.slots.full

    async def _read_head(self) -> bytes | None:
        """Read the next head; None if there is none in time.

        :raises RequestRefused: if it is malformed or too long, or not complete in time.
        """
        if not self._buffer.data:
            arrived = False
            with trio.move_on_after(IDLE_TIMEOUT_S):
                arrived = await self._receive()
            if not arrived:
                return None
        with trio.move_on_after(HEAD_TIMEOUT_S):
            while (head := self._buffer.take_head()) is None:
                if not await self._receive():
                    return None
            return head
        raise RequestRefused(408)

    async def _read_body(self, reader: RequestReader) -> None:
        if reader.waits_for_continue:
            continue_ = h11.InformationalResponse(status_code=100, headers=[])
            await self.send(reader.connection.send(continue_) or b"")
        with trio.move_on_after(BODY_TIMEOUT_S):
            while not reader.read_body():
                if not self._buffer.data and not await self._receive():
                    raise RequestRefused(400)
                reader.feed(self._buffer.take(PIECE_BYTES))
                # However much has arrived, others have their turn between two pieces.
                await trio.lowlevel.checkpoint()
            self._buffer.put_back(reader.connection.trailing_data[0])
            return
        raise RequestRefused(408)

    async def _receive(self) -> bool:
        """Wait for bytes to arrive; false if no more will."""
        with self._slot.waiting(Waiting.PEER):
            try:
                data = await self._stream.receive_some(READ_BYTES)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                return False
        self._buffer.data += data
        return bool(data)

    async def send(self, data: bytes) -> None:
        """Send bytes; if the client doesn't take them, cancel its request."""
        with self._slot.waiting(Waiting.PEER):
            try:
                for at in range(0, len(data), WRITE_PIECE_BYTES):
                    piece = memoryview(data)[at : at + WRITE_PIECE_BYTES]
                    with trio.fail_after(WRITE_TIMEOUT_S):
                        await self._stream.send_all(piece)
            except (trio.BrokenResourceError, trio.ClosedResourceError, trio.TooSlowError):
                self._request_scope.cancel()
                await trio.lowlevel.checkpoint()

    async def wait_for_departure(self) -> None:
        """Return once the client has closed its end, or sends more than anybody wants to keep."""
        while len(self._buffer.data) <= MAX_HEAD_BYTES:
            try:
                data = await self._stream.receive_some(READ_BYTES)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                return
            if not data:
                return
            self._buffer.data += data

    async def _linger(self) -> None:
        """End our half, and give the client some time to read it and to stop sending."""
        if self._slot.of_health:
            with suppress(OSError):
                self._sock.recv(READ_BYTES)
            return  # The next one waits for this slot.
        with self._slot.waiting(Waiting.END), trio.move_on_after(LINGER_S):
            try:
                await self._stream.send_eof()
                received = 0
                while received < LINGER_BYTES and (
                    data := await self._stream.receive_some(LINGER_READ_BYTES)
                ):
                    received += len(data)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                pass


class _Exchange:
    """One request and its answer, as ASGI's `receive` and `send`.

    :ivar answered: true once all of the answer has been sent.
    """

    def __init__(self, connection: _Connection, reader: RequestReader, *, last: bool) -> None:
        self._connection = connection
        self._h11 = reader.connection
        self._is_head = reader.request.method.upper() == b"HEAD"
        self._body: bytes | None = bytes(reader.body)
        self._last = last
        self._unsent = b""
        self.answered = False

    @property
    def may_go_on(self) -> bool:
        """True if all is answered, and both ends want another request."""
        return self.answered and self._h11.our_state is self._h11.their_state is h11.DONE

    async def receive(self) -> dict[str, Any]:
        """Return the body as one message; after it, once the client has gone, that it has."""
        body, self._body = self._body, None
        if body is not None:
            await trio.lowlevel.checkpoint()
            return {"type": "http.request", "body": body, "more_body": False}
        await self._connection.wait_for_departure()
        return {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        """Send a part of the answer; its head goes with the first part of its body."""
        if message["type"] == "http.response.start":
            headers = [*message.get("headers", ()), (b"date", _date(int(time.time())))]
            if self._last:
                headers.append((b"connection", b"close"))
            response = h11.Response(status_code=message["status"], headers=headers)
            self._unsent = self._h11.send(response) or b""
            return
        data, self._unsent = self._unsent, b""
        if (body := message.get("body", b"")) and not self._is_head:
            data += self._h11.send(h11.Data(data=body)) or b""
        if not message.get("more_body", False):
            data += self._h11.send(h11.EndOfMessage()) or b""
        await self._connection.send(data)
        self.answered = not message.get("more_body", False)


def refusal(refused: RequestRefused) -> bytes:
    """Encode the answer to a request that the app never sees."""
    body = json.dumps({"error": str(refused)}).encode()
    headers = {
        "date": formatdate(usegmt=True),
        "content-type": "application/json",
        "content-length": str(len(body)),
        "connection": "close",
        **SECURITY_HEADERS,
        **({"retry-after": "1"} if refused.status == 503 else {}),
    }
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {refused.status} \r\n{lines}\r\n".encode("ascii") + body


def asks_for_health(sock: socket.socket) -> bool:
    """Tell whether the unread bytes begin with a whole request for health.

    Half a one does not count: whoever sends that would hold a slot that is for answers alone.
    """
    try:
        head = sock.recv(_LONGEST_HEALTH_HEAD, socket.MSG_PEEK)
    except OSError:
        return False
    return head.startswith(_HEALTH) and b"\r\n\r\n" in head


def _has_spoken(sock: socket.socket) -> bool:
    """Tell whether there is something to read, or the end."""
    try:
        sock.recv(1, socket.MSG_PEEK)
    except BlockingIOError:
        return False
    except OSError:
        pass
    return True


def turn_away(sock: socket.socket) -> None:
    """Answer that there are too many connections, if the kernel takes it at once."""
    with suppress(OSError):
        sock.send(refusal(RequestRefused(503)))
        sock.recv(READ_BYTES)  # Unread data at the close would make this a reset.


@lru_cache(maxsize=1)
def _date(unix_s: int) -> bytes:
    return formatdate(unix_s, usegmt=True).encode("ascii")
