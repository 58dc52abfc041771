"""Open one socket of a run, exchange messages, close it; book every step.

A `Session` matches replies by the message that they repeat; the other rules of `--verify` are in
`exchanges` and `rooms`, which differ in what a message is owed and what claims a frame.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Protocol

import trio

from echo_trio.printable import printable
from echo_trio.wire.connection import Connection, ConnectionClosed, OnMessage
from loadgen.engine.context import RunContext, now_us
from loadgen.engine.endings import close_code_of, ending_of, show_code_of
from loadgen.engine.greeting import Greeting
from loadgen.engine.opening import (
    OPENING_ERRORS,
    Begun,
    book_failure,
    find_handshake,
    open_with,
)
from loadgen.results.ledger import Ending, Failure
from loadgen.results.verify import Sent, Verdict, judge

#: A server that sends more than this after our close frame, without an answer, goes on sending.
STILL_SENDING_BYTES: Final = 64 * 1024
#: Shared by all sessions that have none: nearly all.
_NO_BACKLOG: Final[list[int]] = []


class Opening(Protocol):
    """A handshake under way; a scope that holds it is one."""

    def cancel(self) -> object:
        """Give it up."""


#: Shared by all sessions whose handshake has yet to begin, and by those that shall not begin it.
_NOT_BEGUN: Final[Opening] = trio.CancelScope()
_GIVEN_UP: Final[Opening] = trio.CancelScope()


class Session:
    """One socket.

    :ivar successor: the session that follows it, once it has reached its age: it sends nothing
        more, and is closed when its replies have come.
    """

    __slots__ = (
        "_backlog",
        "_blocked",
        "_context",
        "_end_expected",
        "_greeting",
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
        self.conn: int = conn
        self.connection: Connection | None = None
        self.sent: int = 0
        self.successor: Session | None = None
        self._context = context
        self._backlog: list[int] = _NO_BACKLOG
        self._opening: Opening | None = _NOT_BEGUN
        #: Messages that are owed a reply; the container depends on how replies are matched.
        self._pending: Any = self._make_pending()
        self._greeting: Greeting | None = None
        self._strays = 0
        self._newest_answered = -1
        self._blocked = False
        self._end_expected = False
        self._received_before_closing = 0
        self._still_sending = False

    # -- Opening ---------------------------------------------------------------------------

    async def run(
        self,
        limiter: trio.CapacityLimiter,
        on_settled: Callable[[], None],
        begun: Begun | None = None,
        *,
        has_place: bool = True,
    ) -> None:
        """Open the socket under the limiter, serve it to its end.

        :param on_settled: called once it is open, or will never be.
        :param begun: what has been done of the handshake already.
        :param has_place: true if the limiter is held for it already.
        """
        opened = await self._open_within_timeout(limiter, begun, has_place=has_place)
        if opened is None:
            self.settle_failed(on_settled)
            return
        connection, took_us, deadline_s = opened
        if self._context.expect:
            self._await_greeting(connection, took_us, deadline_s, limiter, on_settled)
        else:
            limiter.release_on_behalf_of(self)
            self.settle_open(connection, took_us, on_settled)
        # As in `serve`: one coroutine more would be memory for each socket.
        try:
            await connection.run(self._receiver())
        finally:
            self._end(connection)

    def serve_unattended(self, connection: Connection) -> None:
        """Serve the socket, which is open, with no task until it takes one: then call `serve`."""
        connection.serve_unattended(self._receiver(), self._attend)

    def _attend(self) -> None:
        self._context.attend(self)

    def attend(self) -> None:
        """Have a task made for the socket, if it is open and has none."""
        if self.connection is not None:
            self.connection.attend()

    async def serve(self) -> None:
        """Serve the socket, which is open, to its end."""
        connection = self.connection
        assert connection is not None
        try:
            await connection.run(self._receiver())
        finally:
            self._end(connection)

    def _end(self, connection: Connection) -> None:
        if self._greeting is not None:
            self._greeting.fail(f"before it closed with {show_code_of(connection)}")
        if self.connection is not None:
            self._book_ending(connection)
            self.connection = None

    def _await_greeting(
        self,
        connection: Connection,
        took_us: int,
        deadline_s: float,
        limiter: trio.CapacityLimiter,
        on_settled: Callable[[], None],
    ) -> None:
        """Let the socket count as open only when the expected messages have come."""

        def begin() -> None:
            limiter.release_on_behalf_of(self)
            self.settle_open(connection, took_us, on_settled)

        def give_up() -> None:
            limiter.release_on_behalf_of(self)
            self.settle_failed(on_settled)

        self._greeting = Greeting(self._context, connection, begin, give_up)
        self._context.greetings.append((deadline_s, self._greeting))

    def set_out(self, opening: Opening | None) -> None:
        """Note that the handshake is under way outside of `run`; ``None`` ends that."""
        self._opening = _NOT_BEGUN if opening is None else opening

    def settle_failed(self, on_settled: Callable[[], None]) -> None:
        """Note that the socket will not open; why has been booked."""
        self._settle_opening(on_settled)
        self.miss_backlog()

    def settle_open(
        self, connection: Connection, took_us: int, on_settled: Callable[[], None]
    ) -> None:
        """Note that the socket is open.

        :param took_us: the microseconds that its handshake took.
        """
        context = self._context
        context.books.connect.record(took_us)
        context.ledger.count_opened()
        self.connection = connection
        self._settle_opening(on_settled)
        context.observer.opened(self)

    def _settle_opening(self, on_settled: Callable[[], None]) -> None:
        self._opening = None
        on_settled()

    def give_up_opening(self) -> None:
        """Stop opening, or don't begin; do nothing if it is open. Books it as not attempted."""
        if self._greeting is not None:
            self._greeting.give_up()
        elif self._opening is _NOT_BEGUN:
            self._opening = _GIVEN_UP
        elif self._opening is not None:
            self._opening.cancel()

    async def _open_within_timeout(
        self, limiter: trio.CapacityLimiter, begun: Begun | None, *, has_place: bool
    ) -> tuple[Connection, int, float] | None:
        """Open the socket; if that succeeds, the limiter is still held.

        :returns: the connection, how long its handshake took, and Trio's time by which that had to
            be done.
        """
        context, ledger = self._context, self._context.ledger
        opening = trio.CancelScope()
        if self._opening is _GIVEN_UP:
            opening.cancel()
        self._opening = opening
        opened = None
        with opening:
            if not has_place:
                await limiter.acquire_on_behalf_of(self)
            try:
                # A crowd that was given up meanwhile is not begun.
                if opening.cancel_called:
                    if begun is not None:
                        begun.abandon(context.poller)
                    await trio.lowlevel.checkpoint_if_cancelled()
                opening.deadline = (
                    trio.current_time() + context.connect_timeout_s
                    if begun is None
                    else begun.deadline_s
                )
                opened = await open_with(context, find_handshake(context, self.conn), begun)
            except OPENING_ERRORS as exc:
                book_failure(ledger, exc)
                return None
            finally:
                if opened is None:
                    limiter.release_on_behalf_of(self)
            return *opened, opening.deadline
        if trio.current_time() >= opening.deadline:
            ledger.failed[Failure.TIMEOUT] += 1
        else:
            ledger.not_attempted += 1
        return None

    @property
    def is_to_open(self) -> bool:
        """True while it is not open yet, and still may be."""
        return self._opening is not None

    # -- Exchanging ------------------------------------------------------------------------

    def send(self, due_us: int, nursery: trio.Nursery) -> None:
        """Send the next message, which was due at `due_us`.

        While the socket is still to open, the message waits for that. If it has ended, the message
        is booked as missed.

        :param nursery: runs the task that waits for the kernel, if that does not take the message
            at once.
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
        """True while messages wait for the socket to open."""
        return bool(self._backlog)

    def send_backlog(self, nursery: trio.Nursery) -> None:
        """Send the messages that fell due before the socket was open."""
        backlog, self._backlog = self._backlog, _NO_BACKLOG
        for due_us in backlog:
            self.send(due_us, nursery)

    def miss_backlog(self) -> None:
        """Book messages that wait for the socket to open as missed: it will not."""
        self._context.ledger.missed += len(self._backlog)
        self._backlog = _NO_BACKLOG

    def _make_pending(self) -> Any:
        """Make the container of messages that are owed a reply."""
        return list[Sent]()

    def _book_sent(self, message: str | bytes, due_us: int, sent_us: int) -> None:
        """Book a message, and what it is owed."""
        self._pending.append(Sent(message, self.sent, due_us, sent_us))
        self._count_sent(message, sent_us - due_us)

    def _count_sent(self, message: str | bytes, late_us: int) -> None:
        context = self._context
        self.sent += 1
        ledger = context.ledger
        ledger.sent += 1
        ledger.sent_bytes += payload_bytes(message)
        context.books.scheduling_lag.record(late_us)

    async def _flush(self, connection: Connection) -> None:
        await connection.flush()
        self._blocked = False

    def _receiver(self) -> OnMessage:
        """Choose the function that takes each frame: no more calls than the plan needs."""
        if self._greeting is not None:
            return self._receive_greeting
        return self._receive if self._context.ignores is None else self._receive_unless_ignored

    def _receive_greeting(self, frame: str | bytes) -> str | bytes | None:
        """Offer a frame to the greeting, until that is complete."""
        greeting = self._greeting
        if greeting is None:
            if self._context.ignores is None:
                return self._receive(frame)
            return self._receive_unless_ignored(frame)
        self._count_received(frame)
        self._context.ledger.verdicts[greeting.claim(frame)] += 1
        if self.connection is not None:
            self._greeting = None
        return None

    def _receive_unless_ignored(self, frame: str | bytes) -> str | bytes | None:
        context = self._context
        assert context.ignores is not None
        if not context.ignores(frame):
            return self._receive(frame)
        self._count_received(frame)
        context.ledger.verdicts[Verdict.IGNORED] += 1
        return None

    def _count_received(self, frame: str | bytes) -> None:
        ledger = self._context.ledger
        ledger.received += 1
        # `payload_bytes`, without its call: this runs for each copy in a room.
        plain = frame.__class__ is bytes or frame.isascii()
        ledger.received_bytes += len(frame) if plain else payload_bytes(frame)

    def _receive(self, reply: str | bytes) -> str | bytes | None:
        """Book a reply; in a closed loop, return the next message."""
        received_us = now_us()
        context, pending = self._context, self._pending
        ledger = context.ledger
        ledger.received += 1
        ledger.received_bytes += payload_bytes(reply)
        # Nearly every reply is the right one to the oldest message: no call for the common case.
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
            ledger.plain_echoes += verdict is Verdict.CORRUPT and reply == answered.message
        ledger.verdicts[verdict] += 1
        if answered.seq > self._newest_answered:  # noqa: PLR1730 - no call for each message
            self._newest_answered = answered.seq
        if verdict is not Verdict.CORRUPT:
            books = context.books
            books.intended.record(received_us - answered.due_us)
            books.service.record(received_us - answered.sent_us)
        return context.answered(self) if context.answered is not None else None

    def compose_next(self) -> str | bytes | None:
        """Make the next message of a closed loop, due now; ``None`` if the socket is closing."""
        if self._context.closing or self.successor is not None:
            return None
        due_us = now_us()
        message = self._context.payloads.render(self.conn, self.sent)
        self._book_sent(message, due_us, now_us())
        return message

    def _book_latencies(self, times: tuple[int, int], received_us: int) -> None:
        """Book how long a reply took since its message was due, and since it was sent."""
        due_us, sent_us = times
        books = self._context.books
        books.intended.record(received_us - due_us)
        books.service.record(received_us - sent_us)

    # -- Closing ---------------------------------------------------------------------------

    def _count_pending(self) -> int:
        """Count the messages that are owed a reply."""
        return len(self._pending)

    def _forget_pending(self) -> None:
        """Stop awaiting replies."""
        self._pending.clear()

    @property
    def awaits_reply(self) -> bool:
        """True while a message is not answered yet."""
        return bool(self._pending)

    def prepare_to_close(self) -> None:
        """Prepare for the last wait for replies: call the hook `on_closing`."""
        self._context.observer.closing(self)

    def expect_end(self) -> None:
        """Count the socket's end as expected from now on, unless it has begun already."""
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
        """End the socket at once, because the peer takes too long."""
        connection = self.connection
        if connection is not None:
            self._still_sending = connection.has_unread
            connection.timed_out = "close"
            connection.abort()

    def _book_ending(self, connection: Connection) -> None:
        context = self._context
        ledger = context.ledger
        # Replies that resembled no message, and messages without a reply: the former were wrong
        # answers to the latter.
        pending = self._count_pending()
        wrong = min(self._strays, pending)
        ledger.verdicts[Verdict.UNEXPECTED] -= wrong
        ledger.verdicts[Verdict.CORRUPT] += wrong
        ledger.abandoned += pending - wrong
        self._forget_pending()
        ending = ending_of(connection)
        if ending is Ending.TIMEOUT and self._end_expected:
            more = connection.bytes_received - self._received_before_closing
            ledger.still_sending += self._still_sending or more > STILL_SENDING_BYTES
        ledger.count_ended(
            ending,
            close_code_of(connection),
            early=not self._end_expected,
            reason=printable(connection.close_reason, at_most=200),
        )
        context.look_whether_any_is_open()


def payload_bytes(message: str | bytes) -> int:
    """Return the size of a message's payload in bytes."""
    if isinstance(message, str) and not message.isascii():
        return len(message.encode())
    return len(message)
