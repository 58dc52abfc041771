"""Hold what all sessions of a run have in common: settings made ready to use, and an observer."""

from __future__ import annotations

import ssl
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from echo_trio.wire.client_handshake import AnswerReader, RequestTemplate
from echo_trio.wire.poller import Poller
from loadgen.engine.allowance import make_budget, make_limits
from loadgen.engine.books import Books
from loadgen.engine.dialer import Dialer
from loadgen.engine.steering import Steering
from loadgen.results.fan_out import TakesEvents
from loadgen.results.verify import ANSWERS, BINARY_ANSWERS, Answers, answers_exactly
from loadgen.workload.keys import Keys
from loadgen.workload.matching import Fits, Rule, compile_pattern
from loadgen.workload.payloads import Payloads
from loadgen.workload.plan import Plan
from loadgen.workload.proxy import Proxy

if TYPE_CHECKING:
    from echo_trio.wire.budget import Budget
    from echo_trio.wire.limits import Limits
    from loadgen.engine.greeting import Greeting
    from loadgen.engine.rooms import Copies
    from loadgen.engine.session import Session
    from loadgen.results.ledger import Ledger


def now_us() -> int:
    """Read a monotonic clock, in microseconds."""
    return time.perf_counter_ns() // 1000


class Observer:
    """The hooks that a run's sessions call; these do nothing.

    The sessions call them within the poller's turn: none may block.

    :ivar catch_up_s: the time that sockets have, once the close phase has begun, to read what the
        server has sent meanwhile, before their replies are awaited.
    """

    catch_up_s: float = 0.0

    def opened(self, session: Session) -> None:
        """Note that a socket has opened."""

    def answered(self, session: Session) -> str | bytes | None:
        """Note that a message was answered, in a closed loop.

        :returns: the next message, to be sent at once; ``None`` if there is none.
        """
        return None

    def closing(self, session: Session) -> None:
        """Note that the close phase begins for this socket."""

    def none_open(self) -> None:
        """Note that a socket has ended or did not open, no other is open, and none will be."""


class RunContext:
    """The settings that all sessions of a run have in common, and their observer.

    :ivar requests: for each room a function that makes the handshake's request from a key.
    :ivar expect: the messages expected before a socket counts as open, in order.
    :ivar ignores: tells whether a frame is to be passed over; ``None`` if none is.
    :ivar steering: tells how fast the load is to be, and wakes who sends it when that changes.
    :ivar answered: the observer's `answered` in a closed loop; ``None`` in an open one.
    :ivar greetings: the sockets that await a greeting, each with its deadline, the oldest first.
    :ivar fan_out: takes the events of rooms; ``None`` unless messages go to whole rooms.
    :ivar copies: tells copies apart; ``None`` unless messages go to whole rooms.
    :ivar reopening: the number of sockets still to follow those that were closed because of their
        age.
    :ivar turns_open: in a closed loop where nothing is owed: sockets that await their next frame.
    :ivar closing: true once we close the sockets.
    :ivar attend: starts the task that serves an open socket; the crowd sets it.
    """

    def __init__(
        self,
        plan: Plan,
        dialer: Dialer,
        poller: Poller | None,
        books: Books,
        observer: Observer,
        tls_context: ssl.SSLContext | None = None,
        steering: Steering | None = None,
    ) -> None:
        targets = [plan.target_of(room) for room in range(plan.rooms)]
        self.dialer = dialer
        self.tls = tls_context
        self.server_name: str = plan.target.server_name
        self.proxy: Proxy | None = None if plan.proxy is None else Proxy.parse(plan.proxy)
        self.port: int = plan.target.port
        self.extensions: tuple[str, ...] = plan.extensions
        self.rooms: int = plan.rooms
        self.resources: list[str] = [target.resource for target in targets]
        self.requests: list[Callable[[str], bytes]] = [
            RequestTemplate(plan.request(target)) for target in targets
        ]
        self.subprotocols: tuple[str, ...] = plan.subprotocols
        self._answers: dict[tuple[str, ...], AnswerReader] = {}
        self.connect_timeout_s: float = plan.connect_timeout_s
        self.payloads: Payloads = plan.payloads()
        self.limits: Limits = make_limits(plan, self.payloads)
        self.budget: Budget = make_budget(plan, self.payloads)
        self.is_binary: bool = plan.binary
        matching = plan.matching
        self.rule: Rule = matching.rule
        answers = BINARY_ANSWERS if plan.binary else ANSWERS
        self.answers: Answers = answers.get(matching.rule, answers_exactly)
        self.keys: Keys | None = (
            None if matching.find_own is None else Keys(matching, self.payloads)
        )
        self.expect: tuple[Callable[[str | bytes], bool], ...] = tuple(
            compile_pattern(text) for text in plan.expect
        )
        self.ignores: Callable[[str | bytes], bool] | None = _any_of(
            [compile_pattern(text) for text in plan.ignore]
        )
        self.poller = poller
        self.books = books
        self.ledger: Ledger = books.ledger
        self.observer = observer
        self.steering: Steering = steering or Steering()
        self.answered: Callable[[Session], str | bytes | None] | None = (
            observer.answered if plan.closed_loop else None
        )
        self.greetings: deque[tuple[float, Greeting]] = deque()
        self.fan_out: TakesEvents | None = None
        self.copies: Copies | None = None
        self.reopening = 0
        self.turns_open = 0
        self.closing = False
        self.attend: Callable[[Session], None] = _attend_none

    def answers_to(self, subprotocols: tuple[str, ...]) -> AnswerReader:
        """Return the reader of answers to handshakes that offer these subprotocols."""
        if (known := self._answers.get(subprotocols)) is None:
            known = self._answers[subprotocols] = AnswerReader(subprotocols, self.extensions)
        return known

    @property
    def awaits_frames(self) -> bool:
        """True if a frame may still come that a message waits for."""
        copies = self.fan_out is not None and self.fan_out.awaited
        return bool(self.ledger.awaited or self.turns_open or copies)

    def look_whether_any_is_open(self) -> None:
        """Tell the observer if no socket is open; after one has ended, or failed to open."""
        if not self.ledger.open and not self.reopening:
            self.observer.none_open()


def _attend_none(session: Session) -> None:
    raise NotImplementedError("no crowd has these sessions")


def _any_of(patterns: Sequence[Fits]) -> Fits | None:
    """Make a function that tells whether one of the patterns fits; ``None`` if there is none."""
    if len(patterns) < 2:
        return next(iter(patterns), None)
    return lambda frame: any(fits(frame) for fits in patterns)
