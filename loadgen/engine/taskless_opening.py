"""Open sockets with no task for each until it is open: the way of nearly all.

A handshake with a server on this machine is a connection, a request that goes out with it, and one
piece of an answer like the one before. A task for that, its cancel scope and its deadline cost more
than the handshake (docs/decisions/0054). So the request is sent as the
socket is made, the poller calls when the answer is there, and one task watches over the deadlines
of all.

Whatever takes patience goes on in the session's own task, from where it is: TCP that takes a round
trip, an answer in pieces, a refusal and its body. So does all of TLS, proxies and greetings, which
never come here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, NoReturn

import trio

from echo_trio.wire import client_handshake, handshake
from loadgen.engine.context import now_us
from loadgen.engine.dialer import Pending
from loadgen.engine.opening import Begun, book_failure, make_connection
from loadgen.results.ledger import Failure

if TYPE_CHECKING:
    import socket

    from echo_trio.wire.poller import Poller
    from loadgen.engine.context import RunContext
    from loadgen.engine.session import Session


class TasklessOpenings:
    """The handshakes of a crowd that are under way without a task.

    :param limiter: is held for each session when it comes here, and given back.
    :param on_settled: called once a session is open, or will never be.
    :param go_on: starts the task of a session that takes patience, which keeps the limiter; with
        what has been done of its handshake, if anything has.
    """

    def __init__(
        self,
        context: RunContext,
        poller: Poller,
        limiter: trio.CapacityLimiter,
        on_settled: Callable[[], None],
        go_on: Callable[[Session, Begun | None], None],
    ) -> None:
        self.context = context
        self.poller = poller
        self.limiter = limiter
        self.on_settled = on_settled
        self.go_on = go_on
        self.answers: client_handshake.AnswerReader = context.answers_to(context.subprotocols)
        #: The oldest first, so that of all deadlines the first one's passes first.
        self.under_way: dict[_Opening, None] = {}

    @staticmethod
    def poller_for(context: RunContext) -> Poller | None:
        """Return the poller to open a run's sockets with; ``None`` if each needs a task."""
        needs_task = context.tls is not None or context.proxy is not None or context.expect
        return None if needs_task else context.poller

    def begin(self, session: Session) -> None:
        """Begin the handshake of a session; a failure is booked at once."""
        context = self.context
        began_us, deadline_s = now_us(), trio.current_time() + context.connect_timeout_s
        key = client_handshake.make_key()
        request = context.requests[session.conn % context.rooms](key)
        try:
            dialled = context.dialer.begin(context.ledger.addresses, request)
        except OSError as exc:
            self.fail(session, exc)
            return
        if dialled is None or isinstance(dialled, Pending):
            self.go_on(session, Begun(began_us, deadline_s, key, dialled))
            return
        context.ledger.tcp += 1
        opening = _Opening(began_us, deadline_s, key, dialled, session, self)
        try:
            self.poller.register(dialled, opening.on_readable)
        except OSError as exc:  # This user waits for as many sockets as the system lets it.
            dialled.close()
            self.fail(session, exc)
            return
        session.set_out(opening)
        self.under_way[opening] = None

    def fail(self, session: Session, exc: Exception) -> None:
        """Book why a session did not open, one of `OPENING_ERRORS`."""
        self.limiter.release_on_behalf_of(session)
        book_failure(self.context.ledger, exc)
        session.settle_failed(self.on_settled)

    @contextmanager
    def watched(self, nursery: trio.Nursery) -> Iterator[None]:
        """Watch over the deadlines as long as this lasts; if it fails, close all sockets."""
        watching = trio.CancelScope()
        nursery.start_soon(self._expire, watching)
        try:
            yield
        finally:
            watching.cancel()
            for opening in list(self.under_way):
                opening.close()

    async def _expire(self, scope: trio.CancelScope) -> None:
        with scope:
            await self._expire_all()

    async def _expire_all(self) -> NoReturn:
        """End each handshake whose deadline has passed, until cancelled."""
        while True:
            now_s = trio.current_time()
            for opening in list(self.under_way):
                if opening.deadline_s > now_s:
                    break
                if opening in self.under_way:  # One that ends may make the crowd give up others.
                    opening.cancel()
            # Who begins after this has later deadlines than this.
            first = next(iter(self.under_way), None)
            await trio.sleep_until(
                now_s + self.context.connect_timeout_s if first is None else first.deadline_s
            )


class _Opening(Begun):
    """One handshake under way."""

    __slots__ = ("_openings", "_session", "_sock")

    def __init__(
        self,
        began_us: int,
        deadline_s: float,
        key: str,
        sock: socket.socket,
        session: Session,
        openings: TasklessOpenings,
    ) -> None:
        super().__init__(began_us, deadline_s, key, sock)
        self._sock = sock
        self._session = session
        self._openings = openings

    def on_readable(self) -> None:
        """Receive the answer, and open the socket if that is what it says. Called by the poller."""
        openings, session, sock = self._openings, self._session, self._sock
        try:
            data = sock.recv(handshake.MAX_HEAD_BYTES)
        except BlockingIOError:
            return
        except OSError as exc:
            self.close()
            openings.fail(session, exc)
            return
        whole = handshake.whole_head(data)
        if whole is not None:
            head, surplus = whole
            try:
                response = openings.answers.read(head, self.key)
            except client_handshake.HandshakeFailed:
                pass  # Or it is an interim answer: the task finds out.
            else:
                self._open(response, surplus)
                return
        self._leave()
        session.set_out(None)
        self.received = data
        openings.go_on(session, self)

    def _open(self, response: client_handshake.UpgradeResponse, surplus: bytes) -> None:
        openings, session = self._openings, self._session
        self._leave()
        context = openings.context
        resource = context.resources[session.conn % context.rooms]
        connection = make_connection(context, self._sock, resource, response, surplus)
        openings.limiter.release_on_behalf_of(session)
        session.settle_open(connection, now_us() - self.began_us, openings.on_settled)
        session.serve_unattended(connection)

    def _leave(self) -> None:
        """Hand the socket on, registered, to a task that will wait for it with the poller."""
        openings = self._openings
        del openings.under_way[self]
        openings.poller.keep(self._sock)

    def cancel(self) -> None:
        """End the handshake: in vain, if its time has passed, or else before its time."""
        openings, session = self._openings, self._session
        self.close()
        openings.limiter.release_on_behalf_of(session)
        ledger = openings.context.ledger
        if trio.current_time() >= self.deadline_s:
            ledger.failed[Failure.TIMEOUT] += 1
        else:
            ledger.not_attempted += 1
        session.settle_failed(openings.on_settled)

    def close(self) -> None:
        """Close the socket of a handshake under way."""
        del self._openings.under_way[self]
        self.abandon(self._openings.poller)
