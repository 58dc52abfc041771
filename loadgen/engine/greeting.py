"""Await the messages that a server sends first, before its socket counts as open."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import trio

from echo_trio.wire.connection import Connection
from loadgen.engine.context import RunContext
from loadgen.results.ledger import Failure
from loadgen.results.verify import Verdict

#: The sleep of a sweep when no socket awaits a greeting.
_IDLE_S: Final = 0.05


class Greeting:
    """One socket's greeting: the frames that the plan expects, in their order.

    :param on_complete: called when all have come.
    :param on_failed: called when they will not.
    :ivar is_over: true once it is complete or has failed.
    """

    __slots__ = ("_connection", "_context", "_heard", "_on_complete", "_on_failed", "is_over")

    def __init__(
        self,
        context: RunContext,
        connection: Connection,
        on_complete: Callable[[], None],
        on_failed: Callable[[], None],
    ) -> None:
        self.is_over: bool = False
        self._context = context
        self._connection = connection
        self._on_complete = on_complete
        self._on_failed = on_failed
        self._heard = 0

    def claim(self, frame: str | bytes) -> Verdict:
        """Judge a frame while the greeting is awaited."""
        expected, context = self._context.expect, self._context
        if not self.is_over and expected[self._heard](frame):
            self._heard += 1
            if self._heard == len(expected):
                self.is_over = True
                self._on_complete()
            return Verdict.EXPECTED
        if context.ignores is not None and context.ignores(frame):
            return Verdict.IGNORED
        return Verdict.UNEXPECTED

    def fail(self, why: str = "") -> None:
        """Book that the greeting did not come, unless it is complete.

        :param why: for the report; empty if the target has nothing to do with it.
        """
        if self.is_over:
            return
        self.is_over = True
        ledger = self._context.ledger
        if why:
            ledger.failed[Failure.GREETING] += 1
            ledger.explain(Failure.GREETING, f"{self._heard} of {len(self._context.expect)} {why}")
        else:
            ledger.not_attempted += 1
        self._on_failed()

    def give_up(self, why: str = "") -> None:
        """Stop waiting, unless the greeting is complete: close the socket."""
        if not self.is_over:
            self.fail(why)
            self._connection.close_nowait()


async def sweep(context: RunContext) -> None:
    """Give up greetings that have not come in time, until cancelled."""
    greetings = context.greetings
    while True:
        now = trio.current_time()
        while greetings and (greetings[0][0] <= now or greetings[0][1].is_over):
            greetings.popleft()[1].give_up(f"within {context.connect_timeout_s:g} s")
        await trio.sleep_until(greetings[0][0] if greetings else now + _IDLE_S)
