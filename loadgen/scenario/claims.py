"""Find what claims each frame that a socket receives, so that it is counted in exactly one column.

A frame is offered to the requests that await it, then to `expect`, to streams, to the frames to be
ignored, and to subscriptions. A frame without a claim is kept: the script may claim it with its
next call. When the script has gone on from a later frame and still doesn't claim it, the frame is
unexpected. So the column of a frame depends on the order of frames and calls, and never on which
came first by chance.
"""

from __future__ import annotations

from time import perf_counter_ns
from typing import TYPE_CHECKING, Any, Final

from loadgen.engine.session import payload_bytes
from loadgen.engine.stamps import StampedSocket
from loadgen.results.verify import Verdict
from loadgen.scenario.awaited import Awaited
from loadgen.scenario.calls import Call
from loadgen.scenario.content import Decode, Fits
from loadgen.scenario.streams import Stream
from loadgen.scenario.topics import Subscription

if TYPE_CHECKING:
    from loadgen.scenario.context import UserContext

#: Frames without a claim that are kept for a script that makes no call.
MAX_KEPT: Final = 1024
#: The column of nearly every frame, at hand.
_ECHOED: Final = Verdict.ECHOED
#: A frame that seems unread for longer than this was stamped before the clock was set.
MAX_UNREAD_US: Final = 60_000_000


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


class Claims(Awaited):
    """The calls of a script on one socket, and the frames it has been sent.

    :param conn: the socket's number in the whole run.
    :param stamps: the socket, if it knows when the kernel received what it has read.
    :ivar problem: what a function of the script's has raised when a frame was offered to it.
    :ivar kept: the frames without a claim, the oldest first.
    :ivar streams: the streams that claim frames.
    :ivar ignored: tests for frames that are passed over.
    :ivar subscriptions: the subscriptions that get copies.
    """

    __slots__ = ("_conn", "_stamps", "ignored", "kept", "problem", "streams", "subscriptions")

    def __init__(
        self, context: UserContext, conn: int, decode: Decode, stamps: StampedSocket | None
    ) -> None:
        super().__init__(context, decode)
        self.streams: list[Stream] = []
        self.ignored: list[Fits] = []
        self.subscriptions: list[Subscription] = []
        self._conn = conn
        self._stamps = stamps
        self.kept: list[_Kept] = []
        self.problem: Exception | None = None

    # -- What comes ------------------------------------------------------------------------

    def receive(self, frame: str | bytes) -> None:
        """Take a frame. Called in the poller's task."""
        received_us, context = perf_counter_ns() // 1000, self._context
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
                call.fail(exc, received_us)
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
        self._end_calls(closed)
        for stream in self.streams:
            stream.end()
        if self._idle is not None:
            self._idle.set()

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
        if self.subscriptions and self._offer_to_subscriptions(frame, value, received_us):
            return True
        if self._turns and not (self._keyed and self._is_duplicate(value)):
            if (call := self._turns.popleft()).is_lost:
                self._book(Verdict.UNEXPECTED, value, received_us)
            else:
                self._answer(call, frame, value, received_us)
            return True
        return False

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

    def _offer_to_subscriptions(self, frame: str | bytes, value: Any, received_us: int) -> bool:
        for subscription in self.subscriptions:
            if subscription.fits(value):
                key = subscription.find_key(value, frame)
                if key is None:
                    continue
                self._book(Verdict.COPIES, value, received_us)
                self._context.events.take_copy(received_us, subscription.room, self._conn, (key, 0))
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
            context.verdicts[_ECHOED] += 1
            if context.trace is not None:
                context.trace.received(Verdict.ECHOED, value, received_us)
            due_us = call.due_us
            if step is None:
                context.book_service(service_us)
                context.book_intended(service_us if due_us is None else received_us - due_us)
            else:  # What is in the step's books comes into the whole run's once a second.
                step.ok += 1
                if due_us is None:
                    step.undue.append(service_us)
                else:
                    step.service.record(service_us)
                    step.intended.record(received_us - due_us)
        else:
            self._book(Verdict.CORRUPT, value, received_us)
            if step is not None:
                step.failed += 1
        call.settle(value, received_us)
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
        call.settle(value, max(received_us, call.sent_us))

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
