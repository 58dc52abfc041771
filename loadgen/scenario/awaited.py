"""Hold what a script awaits on one socket, until it comes, is lost, or the socket ends."""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import trio

from loadgen.engine.context import now_us
from loadgen.scenario.calls import Call, KeyedCalls
from loadgen.scenario.content import Decode, KeyPath
from loadgen.scenario.errors import LostReply, SocketClosed

if TYPE_CHECKING:
    from loadgen.scenario.context import UserContext

#: The limit of a call that is lost only with the end of the run.
_NEVER: Final = float("inf")


class Awaited:
    """The calls of a script on one socket: requests by key, by function and by turn, and `expect`.

    :param decode: decodes a message that is text, to find its key.
    """

    __slots__ = (
        "_context", "_decode", "_expected", "_idle", "_keyed", "_matched", "_numbered", "_turns",
    )  # fmt: skip

    def __init__(self, context: UserContext, decode: Decode) -> None:
        self._context = context
        self._decode = decode
        self._keyed: dict[str, KeyedCalls] = {}
        #: Keys given by us, from 1 on.
        self._numbered = 0
        self._idle: trio.Event | None = None
        self._matched: list[Call] = []
        #: Requests that any frame answers; made when there is one, for an empty deque takes 624
        #: bytes.
        self._turns: deque[Call] | tuple[()] = ()
        self._expected: list[Call] = []

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
        call.fail(LostReply("it did not come in time"), now_us())

    def lose_all(self, since_us: int) -> None:
        """End everything that is awaited: the run is at its end.

        A reply that comes all the same while the socket closes is counted as one.

        :param since_us: what was sent later has not had its time, and is left to be cancelled.
        """
        requests = [call for keyed in self._keyed.values() for call in keyed.open.values()]
        for call in (*requests, *self._matched, *self._turns):
            self._call_off(call)
            if call.sent_us <= since_us and not call.is_settled:
                call.fail(LostReply("it did not come before the end"), now_us())
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

    # -- The socket's end ------------------------------------------------------------------

    def _end_calls(self, closed: tuple[int, str]) -> None:
        """Settle every call: the socket is closed, and nothing more will come."""
        for keyed in self._keyed.values():
            self._abandon(list(keyed.open.values()), closed)
            keyed.open.clear()
        turns = [call for call in self._turns if not call.is_lost]
        self._abandon([*self._matched, *turns], closed)
        self._matched.clear()
        self._turns = ()
        self._fail_expected(SocketClosed(*closed))

    def _fail_expected(self, exc: Exception) -> None:
        for call in self._expected:
            if call.step is not None:
                call.step.failed += 1
            self._call_off(call)
            call.fail(exc, now_us())
        self._expected.clear()

    def _abandon(self, calls: list[Call], closed: tuple[int, str]) -> None:
        """Give up requests; the end of the run tells which are lost and which in flight."""
        self._context.ledger.abandoned += len(calls)
        for call in calls:
            self._call_off(call)
            call.fail(SocketClosed(*closed), now_us())
