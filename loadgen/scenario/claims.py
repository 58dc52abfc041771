"""Find what claims each frame that a socket receives, so that it is counted in exactly one column.

A frame is offered to the requests that await it, then to `expect`, to streams, to the frames to be
ignored, and to subscriptions. A frame without a claim is kept: the script may claim it with its
next call. When the script has gone on from a later frame and still doesn't claim it, the frame is
unexpected. So the column of a frame depends on the order of frames and calls, and never on which
came first by chance.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Hashable
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import outcome
import trio

from loadgen.engine.context import now_us
from loadgen.engine.session import payload_bytes
from loadgen.engine.stamps import StampedSocket
from loadgen.results.verify import Verdict
from loadgen.scenario.calls import Call, KeyedCalls
from loadgen.scenario.content import Decode, Fits, KeyPath
from loadgen.scenario.errors import LostReply, SocketClosed
from loadgen.scenario.streams import Stream
from loadgen.scenario.topics import Subscription

if TYPE_CHECKING:
    from loadgen.scenario.context import UserContext

#: Frames without a claim that are kept for a script that makes no call.
MAX_KEPT: Final = 1024
#: A frame that seems unread for longer than this was stamped before the clock was set.
MAX_UNREAD_US: Final = 60_000_000
#: The limit of a call that is lost only with the end of the run.
_NEVER: Final = float("inf")


class _Kept:
    """A frame that nothing has claimed yet.

    :ivar is_passed: true once the script has gone on from a later one.
    """

    __slots__ = ("frame", "is_passed", "received_us", "value")

    def __init__(self, frame: str | bytes, value: Any, received_us: int) -> None:
        self.frame = frame
        self.value = value
        self.received_us = received_us
        self.is_passed = False


class Claims:
    """The calls of a script on one socket, and the frames it has been sent.

    :param conn: the socket's number in the whole run.
    :param stamps: the socket, if it knows when the kernel received what it has read.
    :ivar problem: what a function of the script's has raised when a frame was offered to it.
    :ivar kept: the frames without a claim, the oldest first.
    :ivar streams: the streams that claim frames.
    :ivar ignored: tests for frames that are passed over.
    :ivar subscriptions: the subscriptions that get copies.
    """

    __slots__ = (
        "_conn", "_context", "_decode", "_expected", "_idle", "_keyed", "_matched", "_numbered",
        "_stamps", "_turns", "ignored", "kept", "problem", "streams", "subscriptions",
    )  # fmt: skip

    def __init__(
        self, context: UserContext, conn: int, decode: Decode, stamps: StampedSocket | None
    ) -> None:
        self.streams: list[Stream] = []
        self.ignored: list[Fits] = []
        self.subscriptions: list[Subscription] = []
        self._context = context
        self._conn = conn
        self._decode = decode
        self._stamps = stamps
        self._keyed: dict[str, KeyedCalls] = {}
        #: Keys given by us, from 1 on.
        self._numbered = 0
        self._idle: trio.Event | None = None
        self._matched: list[Call] = []
        #: Requests that any frame answers; made when there is one, for an empty deque takes 624
        #: bytes.
        self._turns: deque[Call] | tuple[()] = ()
        self._expected: list[Call] = []
        self.kept: list[_Kept] = []
        self.problem: Exception | None = None

    # -- What is awaited -------------------------------------------------------------------

    def find_key(self, message: Any, path: str) -> tuple[Any, KeyedCalls, Hashable]:
        """Find the key of a request, or give it one; return the message with its key.

        :raises ValueError: if it can't be given one, or another with that key is open.
        """
        if (keyed := self._keyed.get(path)) is None:
            keyed = self._keyed[path] = KeyedCalls(KeyPath(path))
        looked_at = self._decode(message) if message.__class__ is str else message
        key = keyed.path.find_own(looked_at)
        if key is None:
            self._numbered += 1
            while self._numbered in keyed.open:
                self._numbered += 1
            key = self._numbered
            message = keyed.path.put(looked_at, self._numbered)
        elif key in keyed.open:
            raise ValueError(f"a request with {path} {key!r} awaits its reply already")
        return message, keyed, key

    def await_key(self, call: Call, keyed: KeyedCalls, key: Hashable, limit_s: float) -> None:
        """Let a request be settled by the frame with its key."""
        keyed.open[key] = call
        if limit_s != _NEVER:
            self._set_timeout(call, limit_s, partial(self._lose_keyed, call, keyed, key))

    def await_match(self, call: Call, limit_s: float) -> None:
        """Let a request be settled by the frame that its function accepts; by any if it has none.

        Of several such requests the oldest is first.
        """
        if call.fits is None:
            if not isinstance(self._turns, deque):
                self._turns = deque()
            self._turns.append(call)
            if limit_s != _NEVER:
                self._set_timeout(call, limit_s, partial(self._lose_request, call))
        else:
            self._matched.append(call)
            if limit_s != _NEVER:
                self._set_timeout(call, limit_s, partial(self._lose_match, call))

    def expect(self, call: Call, limit_s: float) -> None:
        """Let a call be settled by the next frame that it accepts; of kept frames, the oldest."""
        self._expected.append(call)
        if limit_s != _NEVER:
            self._set_timeout(call, limit_s, partial(self._lose_expected, call))

    def expect_no_more(self, call: Call) -> None:
        """Stop a call from claiming frames. Idempotent."""
        self._call_off(call)
        if call in self._expected:
            self._expected.remove(call)

    def _set_timeout(self, call: Call, limit_s: float, lose: partial[None]) -> None:
        call.timeout = self._context.timetable.add(limit_s, lose)

    def _call_off(self, call: Call) -> None:
        if call.timeout is not None:
            self._context.timetable.call_off(call.timeout)
            call.timeout = None

    def _lose_keyed(self, call: Call, keyed: KeyedCalls, key: Hashable) -> None:
        del keyed.open[key]
        keyed.note_lost(key)
        self._lose_request(call)

    def _lose_match(self, call: Call) -> None:
        self._matched.remove(call)
        self._lose_request(call)

    def _lose_request(self, call: Call) -> None:
        # One that any frame answers keeps its place in the line: its reply may come late, and
        # would be taken for that of the next.
        self._context.ledger.given_up += 1
        self._settle_lost(call)

    def _lose_expected(self, call: Call) -> None:
        self._expected.remove(call)
        self._settle_lost(call)

    def _settle_lost(self, call: Call) -> None:
        if call.step is not None:
            call.step.lost += 1
        call.is_lost = True
        call.timeout = None
        call.settle(outcome.Error(LostReply("it did not come in time")), now_us())

    def lose_all(self, since_us: int) -> None:
        """End everything that is awaited: the run is at its end.

        A reply that comes all the same while the socket closes is counted as one.

        :param since_us: what was sent later has not had its time, and is left to be cancelled.
        """
        requests = [call for keyed in self._keyed.values() for call in keyed.open.values()]
        for call in (*requests, *self._matched, *self._turns):
            self._call_off(call)
            if call.sent_us <= since_us and not call.is_settled:
                call.settle(outcome.Error(LostReply("it did not come before the end")), now_us())
        for call in list(self._expected):
            self._call_off(call)
            if call.sent_us <= since_us:
                self._lose_expected(call)

    @property
    def awaits_reply(self) -> bool:
        """True while a request may still be answered, whether or not the script waits for it."""
        return bool(
            self._matched
            or any(not call.is_lost for call in self._turns)
            or any(keyed.open for keyed in self._keyed.values())
        )

    async def wait_for_replies(self) -> None:
        """Wait until every request is answered, or the socket has ended."""
        if self.awaits_reply:
            self._idle = trio.Event()
            await self._idle.wait()

    # -- What comes ------------------------------------------------------------------------

    def receive(self, frame: str | bytes) -> None:
        """Take a frame. Called in the poller's task."""
        received_us, context = time.perf_counter_ns() // 1000, self._context
        if self._stamps is not None:
            stamped_us = self._stamps.stamped_us - context.wall_offset_us
            if received_us - MAX_UNREAD_US < stamped_us < received_us:  # else a clock was set
                received_us = stamped_us
        ledger = context.ledger
        ledger.received += 1
        plain = frame.__class__ is bytes or frame.isascii()
        ledger.received_bytes += len(frame) if plain else payload_bytes(frame)
        try:
            value = self._decode(frame)
            # Nearly every frame is the reply to a request with a key, so keys are looked at first.
            if not (
                self._keyed and self._offer_to_keys(frame, value, received_us)
            ) and not self._offer_to_others(frame, value, received_us):
                self.kept.append(_Kept(frame, value, received_us))
                if len(self.kept) > MAX_KEPT:
                    self._judge(self.kept.pop(0))
        except Exception as exc:  # noqa: BLE001 - a function of the script's, for its next call
            self._context.verdicts[Verdict.UNEXPECTED] += 1
            self.problem = self.problem or exc
            for call in [*self._matched, *self._turns]:
                call.settle(outcome.Error(exc), received_us)
            self._fail_expected(exc)

    def raise_problem(self) -> None:
        """Raise the exception of a script's function to which a frame was offered."""
        if self.problem is not None:
            problem, self.problem = self.problem, None
            raise problem

    def look_at_kept(self) -> None:
        """Offer kept frames again, after a new call, and judge those that the script passed by."""
        if self.kept:
            kept, self.kept = self.kept, []
            for number, each in enumerate(kept, 1):
                try:
                    is_claimed = self._offer(each.frame, each.value, each.received_us)
                except Exception:
                    self._book(Verdict.UNEXPECTED, each.value, each.received_us)
                    self.kept += kept[number:]
                    raise
                if is_claimed:
                    continue
                if each.is_passed:
                    self._judge(each)
                else:
                    self.kept.append(each)

    def end(self, closed: tuple[int, str]) -> None:
        """Note that the socket is closed: nothing more will come."""
        for each in self.kept:
            # The next call might have claimed it, and the interruption came before that call.
            if self._context.phases.is_interrupted and not self._is_duplicate(each.value):
                self._book(Verdict.IGNORED, each.value, each.received_us)
            else:
                self._judge(each)
        self.kept.clear()
        for keyed in self._keyed.values():
            self._abandon(list(keyed.open.values()), closed)
            keyed.open.clear()
        turns = [call for call in self._turns if not call.is_lost]
        self._abandon([*self._matched, *turns], closed)
        self._matched.clear()
        self._turns = ()
        self._fail_expected(SocketClosed(*closed))
        for stream in self.streams:
            stream.end()
        if self._idle is not None:
            self._idle.set()

    def _fail_expected(self, exc: Exception) -> None:
        for call in self._expected:
            if call.step is not None:
                call.step.failed += 1
            self._call_off(call)
            call.settle(outcome.Error(exc), now_us())
        self._expected.clear()

    def _abandon(self, calls: list[Call], closed: tuple[int, str]) -> None:
        """Give up requests; the end of the run tells which are lost and which in flight."""
        self._context.ledger.abandoned += len(calls)
        for call in calls:
            self._call_off(call)
            call.settle(outcome.Error(SocketClosed(*closed)), now_us())

    # -- What claims it --------------------------------------------------------------------

    def _offer(self, frame: str | bytes, value: Any, received_us: int) -> bool:
        """Find what claims a frame, and hand it over; true if something does."""
        if self._keyed and self._offer_to_keys(frame, value, received_us):
            return True
        return self._offer_to_others(frame, value, received_us)

    def _offer_to_others(self, frame: str | bytes, value: Any, received_us: int) -> bool:
        """Find what claims a frame that is no reply by its key."""
        if (self._matched or self._expected) and self._offer_to_tests(frame, value, received_us):
            return True
        for stream in self.streams:
            if stream.fits(value):
                self._book(Verdict.STREAMED, value, received_us)
                stream.take(value, received_us)
                return True
        for ignores in self.ignored:
            if ignores(value):
                self._book(Verdict.IGNORED, value, received_us)
                return True
        return self._offer_rest(frame, value, received_us)

    def _offer_to_tests(self, frame: str | bytes, value: Any, received_us: int) -> bool:
        for waiting in (self._matched, self._expected):
            for call in waiting:
                if call.fits is not None and call.fits(value):
                    waiting.remove(call)
                    if waiting is self._expected:
                        self._meet(call, value, received_us)
                    else:
                        self._answer(call, frame, value, received_us)
                    return True
        return False

    def _offer_to_keys(self, frame: str | bytes, value: Any, received_us: int) -> bool:
        for keyed in self._keyed.values():
            if (
                keyed.open
                and (key := keyed.find_theirs(value)) is not None
                and (call := keyed.open.pop(key, None)) is not None
            ):
                if key.__class__ is not int or not 0 < key <= self._numbered:
                    keyed.note_answered(key)
                self._answer(call, frame, value, received_us)
                return True
        return False

    def _offer_rest(self, frame: str | bytes, value: Any, received_us: int) -> bool:
        for subscription in self.subscriptions:
            if subscription.fits(value):
                key = subscription.find_key(value, frame)
                if key is None:
                    continue
                self._book(Verdict.COPIES, value, received_us)
                self._context.events.take_copy(received_us, subscription.room, self._conn, (key, 0))
                return True
        if self._turns and not (self._keyed and self._is_duplicate(value)):
            if (call := self._turns.popleft()).is_lost:
                self._book(Verdict.UNEXPECTED, value, received_us)
            else:
                self._answer(call, frame, value, received_us)
            return True
        return False

    def _answer(self, call: Call, frame: str | bytes, value: Any, received_us: int) -> None:
        """Settle a request with its reply."""
        # Nearly every frame comes by here: no call for what is rarely there.
        if self.kept:
            self._pass()
        if call.timeout is not None:
            self._call_off(call)
        step, context = call.step, self._context
        if (frame.__class__ is bytes) is call.is_binary:
            service_us = received_us - call.sent_us
            context.verdicts[Verdict.ECHOED] += 1
            if context.trace is not None:
                context.trace.received(Verdict.ECHOED, value, received_us)
            context.book_service(service_us)
            due_us = call.due_us
            intended_us = service_us if due_us is None else received_us - due_us
            context.book_intended(intended_us)
            if step is not None:
                step.ok += 1
                step.service.record(service_us)
                if due_us is not None:
                    step.intended.record(intended_us)
        else:
            self._book(Verdict.CORRUPT, value, received_us)
            if step is not None:
                step.failed += 1
        call.settle(outcome.Value(value), received_us)
        if self._idle is not None and not self.awaits_reply:
            self._idle.set()

    def _meet(self, call: Call, value: Any, received_us: int) -> None:
        """Settle an `expect` with the frame it expected."""
        self._pass()
        self._call_off(call)
        self._book(Verdict.EXPECTED, value, received_us)
        if (step := call.step) is not None:
            step.ok += 1
            step.service.record(max(received_us - call.sent_us, 0))
        # Of a frame that was there before, the script is not late for the time before it asked.
        call.settle(outcome.Value(value), max(received_us, call.sent_us))

    def _pass(self) -> None:
        for each in self.kept:
            each.is_passed = True

    def _judge(self, kept: _Kept) -> None:
        """Book a frame that nothing has claimed."""
        is_duplicate = self._is_duplicate(kept.value)
        verdict = Verdict.DUPLICATE if is_duplicate else Verdict.UNEXPECTED
        self._book(verdict, kept.value, kept.received_us)

    def _is_duplicate(self, value: Any) -> bool:
        return any(keyed.is_duplicate(value, self._numbered) for keyed in self._keyed.values())

    def _book(self, verdict: Verdict, value: Any, received_us: int) -> None:
        self._context.verdicts[verdict] += 1
        if self._context.trace is not None:
            self._context.trace.received(str(verdict), value, received_us)
