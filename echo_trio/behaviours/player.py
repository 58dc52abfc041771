"""Carry out a connection's script: whatever takes time, or more than one reply to a message.

    on_message ─► in line ─► script ─► actions, each when it is due ─► connection

An action that can be done at once is done where the message arrives. One that has to wait – for its
time, for the end of a freeze, for the kernel to take more – waits at the head of the line, and a
task of the connection's own waits with it. Behind it wait messages as they came: a reply is made
when its turn comes, and the next one when the kernel has taken it. Ordinary echoes have none of
this: `session` runs them as they are.

The memory of what waits is counted with the connection (`Connection.hold`), which reads nothing
while that is too much, and is closed if it is too much for the process.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterable, Iterator
from contextlib import suppress
from sys import getsizeof
from typing import Final, NamedTuple

import trio

from echo_trio.behaviours.actions import Action, Close, Freeze, Reply, Reset
from echo_trio.behaviours.scripts import Script
from echo_trio.wire.close_codes import ABNORMAL_CLOSURE, INTERNAL_ERROR
from echo_trio.wire.connection import Connection, ConnectionClosed

#: Memory of a place in line, beside the message itself: a tuple, the time, a slot of the deque.
PLACE_BYTES: Final = 128
#: Actions done in line before the other connections get a turn: about a millisecond of sends.
BATCH: Final = 100


class _Wait(NamedTuple):
    """The event that the head of the line waits for: a time, or ``None``: the kernel taking more.

    :ivar reading: true if the client is read from meanwhile.
    """

    until_s: float | None
    reading: bool


_IDLE: Final = _Wait(float("inf"), reading=True)
_OVER: Final = _Wait(float("inf"), reading=True)
_FLUSH: Final = _Wait(None, reading=False)


class _Pending(NamedTuple):
    """An entry of the line: a message that the script has not had yet, or actions of its own."""

    arrived_s: float
    what: str | bytes | Iterator[Action]

    @property
    def held_bytes(self) -> int:
        """The memory that this takes, in bytes."""
        return PLACE_BYTES + (getsizeof(self.what) if isinstance(self.what, str | bytes) else 0)


class ScriptPlayer:
    """One connection's script, being carried out.

    :ivar unanswered: once `run` has returned, the number of messages whose replies were still to
        come (all of them, or some) when the connection ended.
    """

    def __init__(
        self, connection: Connection, script: Script, opening: Iterable[Action] = ()
    ) -> None:
        """Take a connection and its script; begin with `run`.

        :param opening: the actions of the script before any message (`Script.opened`).
        """
        self.unanswered = 0
        self._connection = connection
        self._script = script
        self._opening = opening
        self._line: deque[_Pending] = deque()
        self._line_bytes = 0
        self._reply_bytes = 0  # of the one that waits for its time, or for the kernel
        self._held_bytes = 0  # as the connection knows it
        self._done_actions = 0
        self._steps = self._carry_out()
        self._wait = _IDLE
        self._stirred = trio.Event()
        self._done = False  # the script has ended the connection
        self._raised: Exception | None = None

    async def run(self) -> None:
        """Serve the connection until it has ended, as `Connection.run` does.

        Replies that are not due yet when the connection ends are not sent. Those that the script
        holds back behind others, which are out, go before our close frame.
        """
        self._connection.before_closing = self._send_held_back
        self._stand_in_line(iter(self._opening))
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._wait_in_line)
                await self._connection.run(self._on_message)
                nursery.cancel_scope.cancel()
            if self._raised is not None:
                raise self._raised
        except BaseExceptionGroup as group:
            raise _what_counts(group) from None
        finally:
            self._steps.close()
            del self._connection  # It refers to us, too: no work for the garbage collector.
            self.unanswered += len(self._line)
            self._line.clear()
            if self._raised is None and not self._done:
                self.unanswered += sum(1 for _ in self._script.ended())

    def _on_message(self, message: str | bytes) -> None:
        if self._connection.closed is not None:
            return  # After our close frame, nothing is answered any more.
        if self._wait is _OVER:
            self.unanswered += 1  # The client doesn't listen any more.
        else:
            self._stand_in_line(message)

    def _send_held_back(self) -> None:
        if self._wait is _IDLE and not self._done:
            try:
                self._stand_in_line(iter(self._script.ended()))
            except Exception as exc:  # noqa: BLE001 - a script's own: not for who closes, which
                self._raised = exc  # may be the server, for all at once

    def _stand_in_line(self, what: str | bytes | Iterator[Action]) -> None:
        pending = _Pending(trio.current_time(), what)
        self._line.append(pending)
        self._line_bytes += pending.held_bytes
        if self._wait is _IDLE:
            self._advance()
        else:
            self._count_held()

    async def _wait_in_line(self) -> None:
        try:
            while True:
                if self._wait is _IDLE or self._wait is _OVER:
                    self._stirred = trio.Event()
                    await self._stirred.wait()
                elif self._wait.until_s is None:
                    await self._connection.flush()
                    self._advance()
                else:
                    await trio.sleep_until(self._wait.until_s)
                    self._advance()
        except Exception as exc:  # noqa: BLE001 - a script's own: for who called run, once the
            self._raised = exc  # client was told
            if not self._connection.close_nowait(INTERNAL_ERROR):
                await self._connection.flush()

    def _advance(self) -> None:
        """Do everything that is due."""
        self._wait = next(
            wait
            for wait in self._steps
            if wait.until_s is None or wait.until_s > trio.current_time()
        )
        self._stirred.set()
        if self._wait.reading:
            self._connection.resume_reading()
        else:
            self._connection.pause_reading()
        self._count_held()

    def _count_held(self) -> None:
        """Tell the connection how much is kept for it now; it may be closed for that."""
        before = self._held_bytes
        self._held_bytes = self._line_bytes + self._reply_bytes + self._script.held_bytes
        if self._held_bytes > before:
            self._connection.hold(self._held_bytes - before)
        elif self._held_bytes < before:
            self._connection.release(before - self._held_bytes)

    def _carry_out(self) -> Generator[_Wait]:
        """Do one action after the other; yield where that may have to wait."""
        with suppress(ConnectionClosed):
            while not self._done:
                if not self._line:
                    yield _IDLE
                    continue
                # No names for these here: while nothing is in line, they would keep the last
                # message and its reply for as long as the connection lasts, counted nowhere.
                yield from self._carry_out_first(*self._line[0])
                self._line_bytes -= self._line.popleft().held_bytes
        while True:
            yield _OVER

    def _carry_out_first(
        self, arrived_s: float, what: str | bytes | Iterator[Action]
    ) -> Iterator[_Wait]:
        actions = self._script.received(what) if isinstance(what, str | bytes) else what
        for action in actions:
            yield from self._do(action, arrived_s)
            self._reply_bytes = 0
            self._done_actions += 1
            if self._done_actions % BATCH == 0:
                yield _FLUSH

    def _do(self, action: Action, arrived_s: float) -> Iterator[_Wait]:
        match action:
            case Reply():
                self._reply_bytes = getsizeof(action.message)
                if action.late_s:
                    yield _Wait(arrived_s + action.late_s, reading=True)
                yield from self._send(action)
            case Freeze(duration_s):
                yield _Wait(trio.current_time() + duration_s, reading=False)
            case Close(code, reason):
                self._done = True
                if code == ABNORMAL_CLOSURE:
                    self._connection.cut()
                elif not self._connection.close_nowait(code, reason or None):
                    yield _FLUSH
            case Reset():
                self._done = True
                self._connection.abort()

    def _send(self, reply: Reply) -> Iterator[_Wait]:
        if reply.fragment_bytes is None:
            if not self._connection.send_nowait(reply.message):
                yield _FLUSH
        else:
            for number, taken in enumerate(
                self._connection.send_fragments(reply.message, reply.fragment_bytes)
            ):
                # Between two blocks of fragments, the others get a turn as well.
                if not taken or number:
                    yield _FLUSH


def _what_counts(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Choose one exception of a nursery's group: ours, if there is one; else the cancellation.

    The task that waits in line raises nothing else, so there is one of ours at most.
    """
    _, ours = group.split(trio.Cancelled)
    one: BaseException = ours or group
    while isinstance(one, BaseExceptionGroup):
        one = one.exceptions[0]
    return one
