"""Give a script one open WebSocket: to send on it, await frames and pass over others."""

from __future__ import annotations

from time import perf_counter_ns
from typing import TYPE_CHECKING, Any, Final

import trio

from echo_trio import units
from echo_trio.printable import printable
from echo_trio.wire.close_codes import NORMAL_CLOSURE
from echo_trio.wire.connection import Connection, ConnectionClosed
from loadgen.engine.context import now_us
from loadgen.engine.endings import close_code_of, ending_of
from loadgen.engine.session import payload_bytes
from loadgen.engine.stamps import stamped_socket
from loadgen.results.fan_out import Joined, Left, Published
from loadgen.scenario.calls import Call, park
from loadgen.scenario.claims import Claims
from loadgen.scenario.content import Find, Fits, Meant, as_it_is, decode, encode, fits
from loadgen.scenario.errors import SocketClosed
from loadgen.scenario.streams import Stream
from loadgen.scenario.topics import Subscription, find_published_key, number_of

if TYPE_CHECKING:
    from loadgen.results.scenario import StepBooks
    from loadgen.scenario.context import UserContext
    from loadgen.scenario.pace import Due
    from loadgen.scenario.user import User

_NEVER: Final = float("inf")
#: Of the stop timeout, how long a socket that is to close waits for replies to its last messages.
REPLIES_SHARE: Final = 0.5


class Socket:
    """An open WebSocket of a user; made by `User.connect`.

    :ivar user: its user.
    :ivar closed: code and reason of its end; ``None`` while it is open.
    """

    __slots__ = (
        "_claims", "_conn", "_connection", "_end_expected", "_ended", "_rooms", "_spare_call",
        "_step", "closed", "context", "user",
    )  # fmt: skip

    def __init__(self, user: User, connection: Connection, conn: int, *, json: bool) -> None:
        self.user: User = user
        self.context: UserContext = user.context
        self.closed: tuple[int, str] | None = None
        self._connection = connection
        self._conn = conn
        self._claims = Claims(
            user.context, conn, decode if json else as_it_is, stamped_socket(connection)
        )
        self._rooms: tuple[int, ...] = ()
        self._end_expected = False
        self._ended: trio.Event | None = None
        #: A request's, which is over: most users have one request at a time.
        self._spare_call: Call | None = None
        #: Name and kind of the last step, and its books: most users have few.
        self._step: tuple[str, str, tuple[str, str], StepBooks] | None = None

    @property
    def subprotocol(self) -> str | None:
        """The subprotocol that the server chose; ``None`` if none."""
        return self._connection.subprotocol

    # -- Sending ---------------------------------------------------------------------------

    async def send(self, message: Any, *, name: str | None = None, due: Due | None = None) -> None:
        """Send a message that needs no reply.

        Cancelled: the message is sent all the same.

        :param message: text or bytes as they are; anything else as JSON.
        :param name: the name of the step in the report.
        :param due: from `User.pace`, if this is the call that was due.
        :raises SocketClosed: if the socket is closed.
        """
        frame = encode(message)
        step = self._begin(name, "send")
        self._claims.look_at_kept()
        sent_us = now_us()
        taken = self._hand_over(frame, step)
        self.context.ledger.one_way += 1
        self._book_one_way(step, sent_us, due)
        self._trace("send", name, frame)
        await self._finish_sending(taken=taken)

    async def request(  # noqa: PLR0912, PLR0915 - a call would cost each message
        self,
        message: Any,
        *,
        name: str | None = None,
        reply: str | Fits | None = None,
        due: Due | None = None,
        timeout: float | str | None = None,
    ) -> Any:
        """Send a message and wait for its reply, which others may overtake.

        Cancelled: the message is still owed its reply, which is counted when it comes.

        :param message: text or bytes as they are; anything else as JSON.
        :param name: the name of the step in the report.
        :param reply: how to recognise the reply: a JSON path, such as ``id`` or ``id=result.id``,
            at which message and reply have the same value (if the message has none there, a number
            that is unique on this socket is put there); or a function that is given each frame and
            tells; by default it is the next frame that nothing else claims.
        :param due: from `User.pace`, if this is the call that was due.
        :param timeout: in seconds, or like ``250ms``; by default the connect timeout in the open
            phase, and later the end of the run.
        :returns: the reply, decoded if it is JSON.
        :raises LostReply: if it did not come in time.
        :raises SocketClosed: if the socket is closed, or closes before.
        :raises ValueError: if a request with the same key awaits its reply, or no key can be put.
        """
        # This path, `Claims.receive` and `Call.finish` are what a request costs. Here a call of a
        # function that has little to do is 1 % of that: `_begin` and `_hand_over` stand here in
        # their shortest form, others are asked for only where they have something to do.
        claims, context, keyed, key, test = self._claims, self.context, None, None, None
        if isinstance(reply, str):
            message, keyed, key = claims.find_key(message, reply)
        elif reply is not None:
            test = reply
        frame = message if message.__class__ is str else encode(message)
        is_bounded = timeout is not None or self.user.is_awaited
        limit_s = self._limit_s(timeout) if is_bounded else _NEVER
        last = self._step
        if last is None or last[0] is not name or last[1] != "request" or self.closed is not None:
            step = self._begin(name, "request")
        else:
            if claims.problem is not None:
                claims.raise_problem()
            self.user.step, step = last[2], last[3]
            step.count += 1
        if claims.kept:
            claims.look_at_kept()
        due_us, sent_us = None if due is None else due.at_us, perf_counter_ns() // 1000
        if (call := self._spare_call) is None:
            call = Call(step, sent_us, due_us, frame.__class__ is bytes, test)
            call.make_message()
        else:
            self._spare_call = None
            call.step, call.sent_us, call.due_us = step, sent_us, due_us
            call.is_binary, call.fits = frame.__class__ is bytes, test
            call.is_settled = False
        try:
            taken = self._connection.send_nowait(frame)
        except ConnectionClosed:
            raise self._fail_closed(step) from None
        ledger = context.ledger
        ledger.sent += 1
        plain = frame.__class__ is bytes or frame.isascii()
        ledger.sent_bytes += len(frame) if plain else payload_bytes(frame)
        if keyed is None:
            claims.await_match(call, limit_s)
        elif is_bounded:
            claims.await_key(call, keyed, key, limit_s)
        else:
            keyed.open[key] = call
        if context.trace is not None:
            self._trace("request", name, frame)
        if not taken:
            await self._connection.flush()
        if call.is_settled:
            await trio.lowlevel.checkpoint()
        else:
            call.task = trio.lowlevel.current_task()
            await park(call.message)
        value = call.finish(context.books.script_lag)
        self._spare_call = call  # It has returned a value, so nobody else knows it any more.
        return value

    async def publish(
        self,
        message: Any,
        *,
        topic: str,
        name: str | None = None,
        due: Due | None = None,
        copy: str | None = None,
    ) -> None:
        """Send a message of which every socket that has subscribed to the topic should get a copy.

        Cancelled: the message is sent all the same.

        :param message: text or bytes as they are; anything else as JSON. No two of a run may be the
            same, or have the same value at `copy`.
        :param topic: the topic, as subscribers name it.
        :param name: the name of the step in the report.
        :param due: from `User.pace`, if this is the call that was due.
        :param copy: the JSON path by which subscribers tell copies apart; by default it is the
            whole message.
        :raises SocketClosed: if the socket is closed.
        :raises ValueError: if the message has nothing at that path.
        """
        key, frame = find_published_key(message, copy), encode(message)
        step = self._begin(name, "publish")
        self._claims.look_at_kept()
        context, sent_us = self.context, now_us()
        taken = self._hand_over(frame, step)
        context.ledger.published += 1
        context.events.take(Published(sent_us, number_of(topic), key, 0))
        self._book_one_way(step, sent_us, due)
        self._trace(f"publish {topic}", name, frame)
        await self._finish_sending(taken=taken)

    # -- Receiving -------------------------------------------------------------------------

    async def expect(
        self,
        meant: Meant = None,
        /,
        *,
        name: str | None = None,
        timeout: float | str | None = None,
        **fields: Any,
    ) -> Any:
        """Wait for a frame that is no reply.

        A frame that came before it and is not claimed by the next call on this socket is
        unexpected.

        :param meant: the frame itself, or a function that is given each frame and tells.
        :param name: the name of the step in the report.
        :param timeout: as for `request`.
        :param fields: values that stand in the frame, such as ``type="welcome"``; a name may be a
            JSON path. Without fields and `meant` it is the next frame.
        :returns: the frame, decoded if it is JSON.
        :raises LostReply: if it did not come in time.
        :raises SocketClosed: if the socket is closed, or closes before.
        """
        test, limit_s = fits(meant, fields), self._limit_s(timeout)
        step, claims = self._begin(name, "expect"), self._claims
        call = Call(step, now_us(), fits=test)
        claims.expect(call, limit_s)
        claims.look_at_kept()
        try:
            return await call.wait(self.context.books.script_lag)
        except trio.Cancelled:
            claims.expect_no_more(call)
            if step is not None and not call.is_settled and not self.context.phases.is_closing:
                step.failed += 1
            raise

    def stream(
        self,
        name: str = "stream",
        meant: Meant = None,
        /,
        *,
        order: Find | None = None,
        sent_at: Find | None = None,
        **fields: Any,
    ) -> Stream:
        """Iterate over the frames that the server pushes, until the load ends.

        From this call on, such frames belong to the stream until the socket closes, also while
        nobody iterates.

        :param name: the name under which the report counts the frames.
        :param meant: as for `expect`; `fields` too.
        :param order: a JSON path at which frames are numbered one by one, or a function that finds
            the number: missing numbers are counted in `gaps`.
        :param sent_at: the same for the time when the server sent a frame, in Unix milliseconds:
            the report's `age` is how old frames are when they come.
        """
        self._check_usable()
        self.user.arrive_with_stream()
        stream = Stream(self, fits(meant, fields), self.context.books.stream(name), order, sent_at)
        self._claims.streams.append(stream)
        self._claims.look_at_kept()
        return stream

    def ignore(self, meant: Meant = None, /, **fields: Any) -> None:
        """Pass over such frames from now on; they are counted as `ignored`.

        :param meant: as for `expect`; `fields` too.
        """
        self._claims.raise_problem()
        self._claims.ignored.append(fits(meant, fields))
        self._claims.look_at_kept()

    def subscribe(
        self, topic: str, meant: Meant = None, /, *, copy: str | None = None, **fields: Any
    ) -> None:
        """Note that this socket gets a copy of every message published to a topic from now on.

        Telling the server is the script's task: call this when it has confirmed.

        :param meant: which frames can be copies, as for `expect`; `fields` too. By default any that
            nothing else claims.
        :param copy: a JSON path by whose value copies are distinguished; by default a copy is the
            whole message.
        """
        self._check_usable()
        subscription = Subscription(topic, copy, fits(meant, fields))
        self.context.events.take(Joined(now_us(), subscription.room, self._conn))
        self._rooms += (subscription.room,)
        self._claims.subscriptions.append(subscription)
        self._claims.look_at_kept()

    def look_at_kept(self) -> None:
        """Count as a call on this socket: frames that were passed by are judged."""
        self._claims.raise_problem()
        self._claims.look_at_kept()

    # -- Each call -------------------------------------------------------------------------

    def _begin(self, name: str | None, kind: str) -> StepBooks | None:
        """Begin a call; return the books of its step, if it has a name."""
        if self.closed is not None or self._claims.problem is not None:
            self._check_usable()
        if name is None:
            return None
        last = self._step
        if last is None or last[0] is not name or last[1] is not kind:
            key = name, kind
            self._step = last = name, kind, key, self.context.books.step(name, kind)
        self.user.step, step = last[2], last[3]
        step.count += 1
        return step

    def _check_usable(self) -> None:
        self._claims.raise_problem()
        self.check_open()

    def check_open(self) -> None:
        """Check that the socket can be used.

        :raises SocketClosed: if it can't.
        """
        if self.closed is not None:
            raise SocketClosed(*self.closed)

    def _limit_s(self, timeout: float | str | None) -> float:
        """Compute when a call is lost, by Trio's clock."""
        if timeout is not None:
            seconds = units.parse_duration(timeout) if isinstance(timeout, str) else timeout
            return trio.current_time() + seconds
        if self.user.is_awaited:
            return trio.current_time() + self.context.plan.connect_timeout_s
        return _NEVER

    def _hand_over(self, frame: str | bytes, step: StepBooks | None) -> bool:
        """Hand a message to the kernel, and book it as sent; true if all was taken."""
        try:
            taken = self._connection.send_nowait(frame)
        except ConnectionClosed:
            raise self._fail_closed(step) from None
        ledger = self.context.ledger
        ledger.sent += 1
        plain = frame.__class__ is bytes or frame.isascii()
        ledger.sent_bytes += len(frame) if plain else payload_bytes(frame)
        return taken

    def _fail_closed(self, step: StepBooks | None) -> SocketClosed:
        """Book a call that the socket's end has made fail; return what to raise."""
        if step is not None:
            step.failed += 1
        return SocketClosed(close_code_of(self._connection), self._connection.close_reason)

    async def _finish_sending(self, *, taken: bool) -> None:
        if taken:
            await trio.lowlevel.checkpoint()
        else:
            await self._connection.flush()

    def _book_one_way(self, step: StepBooks | None, sent_us: int, due: Due | None) -> None:
        if step is not None:
            step.ok += 1
            if due is not None:
                step.intended.record(sent_us - due.at_us)

    def _trace(self, what: str, name: str | None, frame: str | bytes) -> None:
        if self.context.trace is not None:
            self.context.trace.sent(what if name is None else f"{what} {name}", frame)

    # -- Its life --------------------------------------------------------------------------

    async def serve(self) -> None:
        """Receive until the socket ends, and book how it ended."""
        connection, context = self._connection, self.context
        context.sockets.add(self)
        try:
            await connection.run(self._claims.receive)
        finally:
            context.sockets.discard(self)
            code = close_code_of(connection)
            self.closed = code, printable(connection.close_reason, at_most=200)
            if not context.phases.are_copies_settled:
                for room in self._rooms:
                    context.events.take(Left(now_us(), room, self._conn))
            self._claims.end(self.closed)
            ending = ending_of(connection)
            context.ledger.count_ended(
                ending, code, early=not self._end_expected, reason=self.closed[1]
            )
            if self._ended is not None:
                self._ended.set()

    def lose_all(self, since_us: int) -> None:
        """Lose everything that is awaited on this socket: the run is at its end."""
        self._claims.lose_all(since_us)

    async def aclose(self) -> None:
        """Do the closing handshake, within the stop timeout, also if cancelled. Idempotent.

        A socket whose server doesn't answer is cut.
        """
        phases = self.context.phases
        if self._rooms:
            await phases.wait_for_copies()
        if self.closed is None:
            connection = self._connection
            self._end_expected = self._end_expected or connection.closed is None
            if self._ended is None:
                self._ended = trio.Event()
            with trio.CancelScope(shield=True) as closing:
                closing.deadline = phases.socket_ends_s()
                if not phases.is_interrupted:  # A cancelled call may have left some behind.
                    with trio.move_on_after(phases.stop_timeout_s * REPLIES_SHARE):
                        await self._claims.wait_for_replies()
                if not connection.close_nowait(NORMAL_CLOSURE):
                    await connection.flush()
                await self._ended.wait()
            if self.closed is None:
                connection.timed_out = "close"
                connection.abort()
                with trio.CancelScope(shield=True):
                    await self._ended.wait()  # a turn of Trio's loop
