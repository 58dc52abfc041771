"""Match replies by a key, by turn, or not at all: sessions for servers that do not echo."""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable
from typing import Final

from loadgen.engine.context import RunContext, now_us
from loadgen.engine.rooms import RoomSession
from loadgen.engine.session import Session
from loadgen.results.verify import Verdict
from loadgen.workload.matching import Rule

#: A message that awaits its reply: when it was due and when it was sent, in microseconds.
Times = tuple[int, int]
#: Shared by all sockets that never had a key twice under way.
_NONE_QUEUED: Final[dict[Hashable, deque[Times]]] = {}


class KeyedSession(Session):
    """A socket whose replies are found by a key, at the same cost however many are open.

    Replies may overtake each other. Of messages with the same key the oldest is answered first.
    """

    __slots__ = ("_answered", "_queued")

    def __init__(self, conn: int, context: RunContext) -> None:
        super().__init__(conn, context)
        self._queued = _NONE_QUEUED
        #: The keys of answered messages, where a key alone does not tell whose it is.
        self._answered = set[Hashable]()

    def _make_pending(self) -> dict[Hashable, Times]:
        return {}

    def _book_sent(self, message: str | bytes, due_us: int, sent_us: int) -> None:
        keys = self._context.keys
        assert keys is not None
        key = keys.find_own(message)
        if key is None:
            key = object()  # no reply can find it
        if key in self._pending:
            if self._queued is _NONE_QUEUED:
                self._queued = {}
            self._queued.setdefault(key, deque()).append((due_us, sent_us))
        else:
            self._pending[key] = due_us, sent_us
        self._count_sent(message, sent_us - due_us)

    def _receive(self, reply: str | bytes) -> str | bytes | None:
        received_us = now_us()
        self._count_received(reply)
        context = self._context
        verdicts, keys = context.ledger.verdicts, context.keys
        assert keys is not None
        key = keys.find_theirs(reply)
        times: Times | None = self._pending.pop(key, None)
        if times is None:
            verdicts[self._judge_stray(key)] += 1
            return None
        if self._queued:
            self._take_from_queue(key)
        if not keys.are_numbered:
            self._answered.add(key)
        if isinstance(reply, bytes) is context.is_binary:
            verdicts[Verdict.ECHOED] += 1
            self._book_latencies(times, received_us)
        else:
            verdicts[Verdict.CORRUPT] += 1
        return context.answered(self) if context.answered is not None else None

    def _judge_stray(self, key: Hashable | None) -> Verdict:
        """Judge a frame that finds no open message: it may have found one before."""
        keys = self._context.keys
        assert keys is not None
        if key is not None and (
            keys.find_sequence(key, self.conn, self.sent) is not None
            if keys.are_numbered
            else key in self._answered
        ):
            return Verdict.DUPLICATE
        return Verdict.UNEXPECTED

    def _take_from_queue(self, key: Hashable) -> None:
        if (queue := self._queued.get(key)) is not None:
            self._pending[key] = queue.popleft()
            if not queue:
                del self._queued[key]

    def _count_pending(self) -> int:
        return len(self._pending) + sum(map(len, self._queued.values()))

    def _forget_pending(self) -> None:
        super()._forget_pending()
        self._queued = _NONE_QUEUED


class TurnSession(Session):
    """A socket on which the n-th frame answers the n-th message."""

    __slots__ = ()

    def _make_pending(self) -> deque[Times]:
        return deque()

    def _book_sent(self, message: str | bytes, due_us: int, sent_us: int) -> None:
        self._pending.append((due_us, sent_us))
        self._count_sent(message, sent_us - due_us)

    def _receive(self, reply: str | bytes) -> str | bytes | None:
        received_us = now_us()
        self._count_received(reply)
        context = self._context
        if not self._pending:
            context.ledger.verdicts[Verdict.UNEXPECTED] += 1
            return None
        context.ledger.verdicts[Verdict.ECHOED] += 1
        self._book_latencies(self._pending.popleft(), received_us)
        return context.answered(self) if context.answered is not None else None


class OneWaySession(Session):
    """A socket on which nothing is owed and no frame is a reply: both are counted.

    In a closed loop the next frame lets the next message go.
    """

    __slots__ = ("_awaits_turn",)

    def __init__(self, conn: int, context: RunContext) -> None:
        super().__init__(conn, context)
        self._awaits_turn = False

    def _book_sent(self, message: str | bytes, due_us: int, sent_us: int) -> None:
        context = self._context
        context.ledger.one_way += 1
        if context.answered is not None and not self._awaits_turn:
            self._awaits_turn = True
            context.turns_open += 1
        self._count_sent(message, sent_us - due_us)

    def _receive(self, reply: str | bytes) -> str | bytes | None:
        self._count_received(reply)
        context = self._context
        context.ledger.verdicts[Verdict.IGNORED] += 1
        if not self._awaits_turn:
            return None
        self._forget_pending()
        return context.answered(self) if context.answered is not None else None

    def _forget_pending(self) -> None:
        if self._awaits_turn:
            self._awaits_turn = False
            self._context.turns_open -= 1


_KINDS: Final[dict[Rule, type[Session]]] = {
    Rule.SUFFIX: Session,
    Rule.EXACT: Session,
    Rule.JSON: KeyedSession,
    Rule.REGEX: KeyedSession,
    Rule.TURN: TurnSession,
    Rule.FAN_OUT: RoomSession,
    Rule.OFF: OneWaySession,
}


def make_session(conn: int, context: RunContext) -> Session:
    """Make the session of a socket, by the way in which the plan matches replies."""
    return _KINDS[context.rule](conn, context)
