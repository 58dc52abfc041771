"""One socket of a run: open it, exchange messages, close it; every step is booked."""

from __future__ import annotations

import errno
import os
import ssl
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final

import trio

from echo_trio.wire import handshake, tls
from echo_trio.wire.close_codes import ABNORMAL_CLOSURE, MESSAGE_TOO_BIG
from echo_trio.wire.connection import Connection, ConnectionClosed
from echo_trio.wire.poller import Poller
from loadgen.engine.allowance import make_budget, make_limits
from loadgen.engine.books import Books
from loadgen.engine.dialer import Dialer
from loadgen.results.ledger import Ending, Failure, Fault
from loadgen.results.verify import ANSWERS, BINARY_ANSWERS, Answers, Sent, Verdict, judge
from loadgen.workload.payloads import Payloads
from loadgen.workload.plan import Plan

#: Foreign errors become ours here, and nowhere else.
_FAILURE_BY_ERRNO: Final = {
    errno.ECONNREFUSED: Failure.REFUSED,
    errno.ECONNRESET: Failure.RESET,
    errno.EPIPE: Failure.RESET,
    errno.ETIMEDOUT: Failure.TIMEOUT,
    errno.EMFILE: Failure.FILE_LIMIT,
    errno.ENFILE: Failure.FILE_LIMIT,
    errno.EADDRNOTAVAIL: Failure.ADDRESS_IN_USE,
    errno.EADDRINUSE: Failure.ADDRESS_IN_USE,
}


_FAULT_BY_ERRNO: Final = {
    errno.EHOSTUNREACH: Fault.NETWORK,
    errno.EHOSTDOWN: Fault.NETWORK,
    errno.ENETUNREACH: Fault.NETWORK,
    errno.ENETDOWN: Fault.NETWORK,
    errno.ENETRESET: Fault.NETWORK,
}
#: A server from which more comes after our close frame, which it does not answer, goes on sending.
STILL_SENDING_BYTES: Final = 64 * 1024
#: Shared by all sessions that have none: nearly all.
_NO_BACKLOG: Final[list[int]] = []


def now_us() -> int:
    """Microseconds of a monotonic clock."""
    return time.perf_counter_ns() // 1000


class RunContext:
    """What all sessions of a run have in common.

    :ivar on_opened: called with a session whose socket has opened.
    :ivar on_answered: called with a session whose message was answered, when the plan is a
        closed loop; returns the next message to send at once, or ``None``.
    :ivar on_closing: called with each session when the close phase begins.
    :ivar on_none_open: called when a socket has ended, no other is open, and none will be.
    :ivar reopening: sockets that are to follow those that were closed of age.
    :ivar closing: whether the sockets are being closed by us.
    """

    def __init__(
        self,
        plan: Plan,
        dialer: Dialer,
        poller: Poller | None,
        books: Books,
        tls_context: ssl.SSLContext | None = None,
    ) -> None:
        self.dialer = dialer
        self.tls = tls_context
        self.server_name = plan.target.host
        self.extensions = plan.extensions
        self.resource = plan.target.resource
        self.request = plan.request(plan.target)
        self.subprotocols = plan.subprotocols
        self.connect_timeout_s = plan.connect_timeout_s
        self.payloads: Payloads = plan.payloads()
        self.limits = make_limits(plan, self.payloads)
        self.budget = make_budget(plan, self.payloads)
        answers = BINARY_ANSWERS if plan.binary else ANSWERS
        self.answers: Answers = answers[plan.verify]
        self.poller = poller
        self.books = books
        self.ledger = books.ledger
        self.on_opened: Callable[[Session], None] | None = None
        self.on_closing: Callable[[Session], None] | None = None
        self.on_answered: Callable[[Session], str | bytes | None] | None = None
        self.on_none_open: Callable[[], None] | None = None
        self.reopening = 0
        self.closing = False

    def look_whether_any_is_open(self) -> None:
        """To be called when a socket has ended, or will not open."""
        if not self.ledger.open and not self.reopening and self.on_none_open is not None:
            self.on_none_open()


class Session:
    """One socket.

    :ivar successor: what follows it, once it has reached its age: it sends nothing more, and is
        closed when its replies are in.
    """

    __slots__ = (
        "_backlog",
        "_blocked",
        "_context",
        "_end_expected",
        "_newest_answered",
        "_opening",
        "_pending",
        "_received_before_closing",
        "_still_sending",
        "_strays",
        "conn",
        "connection",
        "sent",
        "successor",
    )

    def __init__(self, conn: int, context: RunContext) -> None:
        self.conn = conn
        self.connection: Connection | None = None
        self.sent = 0
        self.successor: Session | None = None
        self._context = context
        self._backlog: list[int] = _NO_BACKLOG
        self._opening: trio.CancelScope | None = trio.CancelScope()
        self._pending: list[Sent] = []
        self._strays = 0
        self._newest_answered = -1
        self._blocked = False
        self._end_expected = False
        self._received_before_closing = 0
        self._still_sending = False

    # -- Opening ---------------------------------------------------------------------------

    async def run(self, limiter: trio.CapacityLimiter, on_settled: Callable[[], None]) -> None:
        """Open the socket under the limiter, serve it to its end.

        :param on_settled: called once it is open, or will never be.
        """
        self.connection = connection = await self._open_within_timeout(limiter)
        self._opening = None
        on_settled()
        if connection is None:
            self.miss_backlog()
            return
        if (on_opened := self._context.on_opened) is not None:
            on_opened(self)
        try:
            await connection.run(self._receive)
        finally:
            self._book_ending(connection)
            self.connection = None

    def give_up_opening(self) -> None:
        """Stop trying, or don't begin to; nothing if it is open. Books it as not attempted."""
        if self._opening is not None:
            self._opening.cancel()

    async def _open_within_timeout(self, limiter: trio.CapacityLimiter) -> Connection | None:
        ledger, opening = self._context.ledger, self._opening
        assert opening is not None
        with opening:
            async with limiter:
                opening.deadline = trio.current_time() + self._context.connect_timeout_s
                try:
                    return await self._open()
                except handshake.Rejected as exc:
                    ledger.failed[Failure.REJECTED] += 1
                    ledger.failed_status[exc.status] += 1
                except (handshake.HandshakeFailed, handshake.Refused):
                    ledger.failed[Failure.PROTOCOL] += 1
                except handshake.ConnectionCut:
                    ledger.failed[Failure.RESET] += 1
                except tls.TlsFailed as exc:
                    ledger.failed[Failure.TLS] += 1
                    ledger.tls_errors[str(exc)] += 1
                except OSError as exc:
                    self._book_failure(exc)
                return None
        if trio.current_time() >= opening.deadline:
            ledger.failed[Failure.TIMEOUT] += 1
        else:
            ledger.not_attempted += 1
        return None

    def _book_failure(self, exc: OSError) -> None:
        ledger, number = self._context.ledger, exc.errno or 0
        if isinstance(exc, ssl.SSLError):  # OpenSSL's numbers are not the system's
            ledger.failed[Failure.TLS] += 1
            ledger.tls_errors[exc.reason or str(exc)] += 1
            return
        failure = _FAILURE_BY_ERRNO.get(number, Failure.OTHER)
        ledger.failed[failure] += 1
        if failure is Failure.OTHER:
            ledger.other_errors[os.strerror(number) if number else str(exc)] += 1
            ledger.other_faults[_FAULT_BY_ERRNO.get(number, Fault.MACHINE)] += 1

    async def _open(self) -> Connection:
        context, ledger = self._context, self._context.ledger
        began_us = now_us()
        sock = await context.dialer.dial()
        ledger.tcp += 1
        if context.tls is not None:
            sock = await tls.shake_hands(sock, context.tls, server_name=context.server_name)
            ledger.tls += 1
        try:
            key = handshake.make_key()
            sock.send(context.request(key))

            async def receive() -> bytes:
                while True:
                    await trio.lowlevel.wait_readable(sock)
                    # TLS has a word of its own to say now and then.
                    with suppress(BlockingIOError):
                        return sock.recv(handshake.MAX_HEAD_BYTES)

            head, surplus = await handshake.receive_head(receive)
            response = handshake.parse_response(head, key, context.subprotocols, context.extensions)
        except BaseException:
            sock.close()
            raise
        context.books.connect.record(now_us() - began_us)
        ledger.count_opened()
        if response.compression is not None:
            ledger.compressed += 1
        return Connection.opened(
            sock,
            client=True,
            limits=context.limits,
            poller=context.poller,
            path=context.resource,
            subprotocol=response.subprotocol,
            surplus=surplus,
            compression=response.compression,
            budget=context.budget,
        )

    @property
    def is_to_open(self) -> bool:
        """Is it not open yet, and may yet be?"""
        return self._opening is not None

    # -- Exchanging ------------------------------------------------------------------------

    def send(self, due_us: int, nursery: trio.Nursery) -> None:
        """Send the next message, which was due then.

        While the socket is still to open, the message waits for that. Has it ended, the message
        is booked as missed.

        :param nursery: where to wait for the kernel, should it not take the message at once.
        """
        connection = self.connection
        if connection is None:
            self._defer(due_us)
            return
        message = self._context.payloads.render(self.conn, self.sent)
        sent_us = now_us()
        try:
            taken = connection.send_nowait(message)
        except ConnectionClosed:
            self._context.ledger.missed += 1
            return
        self._book_sent(message, due_us, sent_us)
        if not taken and not self._blocked:
            self._blocked = True
            nursery.start_soon(self._flush, connection)

    def _defer(self, due_us: int) -> None:
        if self._opening is None:
            self._context.ledger.missed += 1
        else:
            self._backlog = [*self._backlog, due_us]

    @property
    def has_backlog(self) -> bool:
        """Do messages wait for the socket to open?"""
        return bool(self._backlog)

    def send_backlog(self, nursery: trio.Nursery) -> None:
        """Send what fell due before the socket was open."""
        backlog, self._backlog = self._backlog, _NO_BACKLOG
        for due_us in backlog:
            self.send(due_us, nursery)

    def miss_backlog(self) -> None:
        """Book what waits for the socket to open as missed: it will not."""
        self._context.ledger.missed += len(self._backlog)
        self._backlog = _NO_BACKLOG

    def _book_sent(self, message: str | bytes, due_us: int, sent_us: int) -> None:
        context = self._context
        self._pending.append(Sent(message, self.sent, due_us, sent_us))
        self.sent += 1
        ledger = context.ledger
        ledger.sent += 1
        ledger.sent_bytes += _payload_bytes(message)
        context.books.scheduling_lag.record(sent_us - due_us)

    async def _flush(self, connection: Connection) -> None:
        await connection.flush()
        self._blocked = False

    def _receive(self, reply: str | bytes) -> str | bytes | None:
        """Book a reply; in a closed loop, return the next message."""
        received_us = now_us()
        context, pending = self._context, self._pending
        ledger = context.ledger
        ledger.received += 1
        ledger.received_bytes += _payload_bytes(reply)
        # Nearly every reply is the right one to the oldest message: no call for what is plain.
        if (
            pending
            and (answered := pending[0]).seq > self._newest_answered
            and context.answers(reply, answered.message)
        ):
            verdict = Verdict.ECHOED
            del pending[0]
        else:
            verdict, index = judge(
                reply,
                pending,
                answers=context.answers,
                payloads=context.payloads,
                conn=self.conn,
                sent=self.sent,
                newest_answered=self._newest_answered,
            )
            if index is None:
                if verdict is Verdict.CORRUPT:
                    verdict = Verdict.UNEXPECTED
                    self._strays += 1
                ledger.verdicts[verdict] += 1
                return None
            answered = pending.pop(index)
        ledger.verdicts[verdict] += 1
        if answered.seq > self._newest_answered:  # noqa: PLR1730 - no call for each message
            self._newest_answered = answered.seq
        if verdict is not Verdict.CORRUPT:
            books = context.books
            books.intended.record(received_us - answered.due_us)
            books.service.record(received_us - answered.sent_us)
        return context.on_answered(self) if context.on_answered is not None else None

    def compose_next(self) -> str | bytes | None:
        """In a closed loop: the next message, due now; ``None`` if the socket is closing."""
        if self._context.closing or self.successor is not None:
            return None
        due_us = now_us()
        message = self._context.payloads.render(self.conn, self.sent)
        self._book_sent(message, due_us, now_us())
        return message

    # -- Closing ---------------------------------------------------------------------------

    @property
    def awaits_reply(self) -> bool:
        """Has a message not been answered yet?"""
        return bool(self._pending)

    def prepare_to_close(self) -> None:
        """Do what has to be done before its replies are awaited for the last time."""
        if (on_closing := self._context.on_closing) is not None:
            on_closing(self)

    def expect_end(self) -> None:
        """From now on the socket's end is not early, unless it has begun already."""
        if self.connection is not None and self.connection.closed is None:
            self._end_expected = True

    def close(self, nursery: trio.Nursery) -> None:
        """Begin the closing handshake, if the socket is open."""
        connection = self.connection
        if connection is None:
            return
        self._received_before_closing = connection.bytes_received
        if not connection.close_nowait():
            nursery.start_soon(self._flush, connection)

    def cut(self) -> None:
        """End the socket at once, because the peer takes too long to."""
        connection = self.connection
        if connection is not None:
            self._still_sending = connection.has_unread
            connection.timed_out = "close"
            connection.abort()

    def _book_ending(self, connection: Connection) -> None:
        context = self._context
        ledger = context.ledger
        # Replies that resembled nothing, and messages that got no other: those were the answers.
        wrong = min(self._strays, len(self._pending))
        ledger.verdicts[Verdict.UNEXPECTED] -= wrong
        ledger.verdicts[Verdict.CORRUPT] += wrong
        ledger.abandoned += len(self._pending) - wrong
        self._pending.clear()
        ending = _ending(connection)
        if ending is Ending.TIMEOUT and self._end_expected:
            more = connection.bytes_received - self._received_before_closing
            ledger.still_sending += self._still_sending or more > STILL_SENDING_BYTES
        ledger.count_ended(ending, _close_code(connection), early=not self._end_expected)
        context.look_whether_any_is_open()


def _ending(connection: Connection) -> Ending:
    if connection.failure is not None or connection.evicted:
        return Ending.ABNORMAL
    if connection.closed_first == "peer":
        return Ending.BY_PEER
    if connection.clean:
        return Ending.CLEAN
    if connection.timed_out is not None:
        return Ending.TIMEOUT
    return Ending.ABNORMAL


def _close_code(connection: Connection) -> int:
    """The peer's code; ours, if the peer broke the protocol; 1006 if there was no close frame."""
    if connection.evicted:
        return MESSAGE_TOO_BIG  # All that it sent at once, that is.
    if connection.failure is not None:
        return connection.close_code
    return ABNORMAL_CLOSURE if connection.close_received is None else connection.close_received


def _payload_bytes(message: str | bytes) -> int:
    if isinstance(message, str) and not message.isascii():
        return len(message.encode())
    return len(message)
