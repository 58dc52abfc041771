"""Carry out a connection's script: whatever takes time, or more than one reply to a message.

    client ─► incoming faults ─► script ─┬─► outgoing faults ─► in line ─► client
    other connections, the clock ────────┘

An action that can be done at once is done where the message arrives. One that has to wait – for its
time, for the end of a freeze, for the kernel to take more – waits at the head of the line, and a
task of the connection's own waits with it. Behind it wait messages as they came: a reply is made
when its turn comes, and the next one when the kernel has taken it. A script that acts on others, or
by the clock, gets its messages at once, and its replies wait instead. Ordinary echoes have none of
this: `session` runs them as they are.

The memory of what waits is counted with the connection (`Connection.hold`), which reads nothing
while that is too much, and is closed if it is too much for the process. Not reading does not help
against what others make a connection owe its client: a connection that owes too much is closed.
"""

from __future__ import annotations

import heapq
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, count
from sys import getsizeof
from typing import TYPE_CHECKING, Final, Protocol

import trio

from echo_trio.behaviours import faults
from echo_trio.behaviours.actions import Action, Close, Freeze, Reply, Reset
from echo_trio.behaviours.late_answers import LateAnswers
from echo_trio.behaviours.line import FLUSH, IDLE, OVER, PLACE_BYTES, ROOM, Entry, Line, Wait
from echo_trio.behaviours.rooms import Rooms
from echo_trio.behaviours.scripts import Faulty, Script, with_faults
from echo_trio.exception_groups import main_exception
from echo_trio.wire.close_codes import ABNORMAL_CLOSURE, INTERNAL_ERROR
from echo_trio.wire.connection import Connection

if TYPE_CHECKING:
    from echo_trio.behaviours.about import About

#: Actions done in line before the other connections get a turn: about half a millisecond of sends.
#: An action that comes through faults counts once more for each of them.
BATCH: Final = 100
#: Due actions queued in one turn, and sent: 8 to 10 µs each, where one of `BATCH` takes 3.5.
DUE_BATCH: Final = 25
#: Messages that a script takes in one turn of its connection. A JSON-RPC call costs what three
#: echoes do: with 128 of each of 300 newcomers, the others waited for a third of a second.
TAKEN_PER_TURN: Final = 32
#: With more late answers waiting, one more ends the connection's turn: its place among them is made
#: by moving up to 16 bytes for each.
MANY_LATE: Final = 20_000
#: The longest sleep of a connection's task, in seconds. Trio keeps the scope of a sleep that was
#: cut short until its deadline comes, and with it the allocator's block that it is in: two crowds
#: of 300 that had been waiting for an hour left 600 scopes behind.
MAX_SLEEP_S: Final = 2.0
_AT_ONCE: Final = float("-inf")
_NEVER: Final = float("inf")


@dataclass(order=True, slots=True)
class _Due:
    """Actions that are to be queued at a certain time; they answer no message."""

    due_s: float
    number: int
    make: Callable[[], Sequence[Action]] = field(compare=False)
    held_bytes: int = field(compare=False)


class PushCounts(Protocol):
    """The counts of a process's pushed messages; see `ServerSnapshot`."""

    messages_pushed: int
    messages_undelivered: int


@dataclass(slots=True)
class NoPushes:
    """Counts that are not read."""

    messages_pushed: int = 0
    messages_undelivered: int = 0


class ScriptPlayer:
    """One connection's script, being carried out: its `Stage`.

    :ivar unanswered: once `run` has returned, the number of messages whose replies were still to
        come (all of them, or some) when the connection ended.
    """

    def __init__(
        self,
        connection: Connection,
        acting: Script | Faulty,
        about: About | None = None,
        *,
        counters: PushCounts | None = None,
        rooms: Rooms | None = None,
        open_timeout_s: float = 10.0,
    ) -> None:
        """Prepare to serve this connection; nothing is done before `run`.

        :param about: the description of the connection for the script, or ``None``.
        :param counters: where pushed messages are counted.
        :param rooms: the rooms that it may enter; by default rooms of its own.
        :param open_timeout_s: how long a client may take to open a connection.
        """
        self.unanswered: int = 0
        self.rooms: Rooms = Rooms() if rooms is None else rooms
        self.open_timeout_s = open_timeout_s
        self._connection = connection
        self._counters = NoPushes() if counters is None else counters
        faulty = with_faults(acting)
        self._script = faulty.script
        self._incoming, self._outgoing = faulty.incoming, faulty.outgoing
        self._about = about
        self._line = Line(self._send_out)
        # What the client has sent, where faults stand on its way to the script.
        self._inward = Line(self._pass_on) if faulty.incoming else None
        self._due: list[_Due] = []
        self._due_bytes = 0
        self._late = LateAnswers()
        self._numbers = count()
        self._reply_bytes = 0  # of the one that waits for its time, or for the kernel
        self._held_bytes = 0  # as the connection knows it
        self._actions = 0  # done in this turn, see BATCH
        self._taken = 0  # messages, see TAKEN_PER_TURN
        self._action_cost = 1 + len(faulty.incoming) + len(faulty.outgoing)
        self._frozen_until_s = 0.0
        self._wants_to_read = True  # as far as the script is concerned
        self._wake_s = _AT_ONCE  # when the task looks by itself; at once while it is awake
        self._stirred = trio.Event()
        self._done = False  # the script has ended the connection
        self._raised: Exception | None = None

    async def run(self) -> None:
        """Serve the connection until it has ended, as `Connection.run` does.

        Replies that are not due yet when the connection ends are not sent. Those that the script
        holds back behind others, which are out, go before our close frame.
        """
        self._connection.before_closing = self._send_held_back
        self._script.enter(self)
        try:
            self._open()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._keep_time)
                await self._connection.run(self._on_message)
                nursery.cancel_scope.cancel()
            if self._raised is not None:
                raise self._raised
        except BaseExceptionGroup as group:
            raise main_exception(group) from None
        finally:
            self._end()

    # -- For the script --------------------------------------------------------------------

    def now_s(self) -> float:
        """Return Trio's time."""
        return trio.current_time()

    def unix_ms(self) -> int:
        """Return the time in whole milliseconds since 1970."""
        return time.time_ns() // 1_000_000

    def put(self, actions: Sequence[Action]) -> None:
        """Queue these actions; they answer no message of this client.

        Called by other connections, so nothing that goes wrong here is raised. A connection that
        is closing is sent nothing any more. One that is owed more than may be held for a
        connection is closed: not reading from it would not make that less.
        """
        if self._is_over:
            return
        try:
            self._push(actions, trio.current_time())
            self._settle()
        except Exception as exc:  # noqa: BLE001 - a fault's own: for this connection's task
            self._fail(exc)
        if self._connection.owes_too_much:
            self._connection.evict()

    def put_at(
        self, due_s: float, make: Callable[[], Sequence[Action]], *, held_bytes: int
    ) -> None:
        """Queue at `due_s` the actions that `make` then returns; they answer no message."""
        heapq.heappush(self._due, _Due(due_s, next(self._numbers), make, held_bytes))
        self._due_bytes += held_bytes
        self._settle()

    def answer_at(self, due_s: float, answer: str | bytes) -> None:
        """Queue at `due_s` the answer to a message of this client."""
        self._late.put(due_s, answer)
        if len(self._late) > MANY_LATE:
            self._connection.end_turn()
        self._settle()

    def end_turn(self) -> None:
        """Let the other connections have their turn before the next message is read."""
        self._connection.end_turn()

    def stop_reading(self) -> None:
        """Read nothing more from the client until `go_on_reading`."""
        self._wants_to_read = False
        self._settle()

    def go_on_reading(self) -> None:
        """End `stop_reading`. Called by other connections, so errors are not raised."""
        self._wants_to_read = True
        try:
            self._advance()
        except Exception as exc:  # noqa: BLE001 - as above
            self._fail(exc)

    # -- What comes ------------------------------------------------------------------------

    def _open(self) -> None:
        for action in chain(faults.beginnings(self._incoming), faults.beginnings(self._outgoing)):
            self._line.put(Entry(trio.current_time(), iter((action,)), PLACE_BYTES))
        if self._about is not None:
            self._push(tuple(self._script.opened(self._about)), trio.current_time())
            self._about = None
        self._advance()

    def _on_message(self, message: str | bytes) -> None:
        self._taken += 1
        if self._taken == TAKEN_PER_TURN:
            self._taken = 0
            self._connection.end_turn()
        if self._connection.closed is not None:
            return  # After our close frame, nothing is answered any more.
        if self._is_over:
            self.unanswered += 1  # The client doesn't listen any more.
        elif self._inward is None:
            self._take(message)
        else:
            self._inward.put_message(trio.current_time(), message)
            self._advance()

    def _take(self, message: str | bytes) -> None:
        """Let the script answer a message: now, or when it is its turn."""
        if self._script.at_once:
            actions = tuple(self._script.received(message))
            if not actions:
                return
            self._line.put(self._entry_of_actions(actions, trio.current_time(), answers=True))
        else:
            self._line.put_message(trio.current_time(), message)
        self._line.advance(trio.current_time())
        self._settle()

    def _push(self, actions: Sequence[Action], since_s: float) -> None:
        """Queue actions that answer no message."""
        entry = self._entry_of_actions(actions, since_s, answers=False)
        self._counters.messages_pushed += entry.pushed
        self._line.put(entry)
        self._line.advance(trio.current_time())

    def _entry_of_actions(
        self, actions: Sequence[Action], since_s: float, *, answers: bool
    ) -> Entry:
        sizes = [getsizeof(action.message) for action in actions if isinstance(action, Reply)]
        held_bytes = PLACE_BYTES + sum(sizes)
        changed = faults.pass_through(self._outgoing, actions)
        return Entry(since_s, changed, held_bytes, answers, 0 if answers else len(sizes))

    def _send_held_back(self) -> None:
        if self._line.wait is not IDLE or self._done:
            return
        if self._inward is not None and self._inward.wait is not IDLE:
            return
        try:
            for action in faults.endings(self._incoming):
                if isinstance(action, Reply):
                    self._take(action.message)
            self._line.put(Entry(trio.current_time(), self._held_back(), 0))
            self._advance()
        except Exception as exc:  # noqa: BLE001 - a script's own: not for who closes, which
            self._raised = exc  # may be the server, for all at once

    def _held_back(self) -> Iterable[Action]:
        ended = faults.pass_through(self._outgoing, self._script.ended())
        return chain(ended, faults.endings(self._outgoing))

    # -- Time ------------------------------------------------------------------------------

    async def _keep_time(self) -> None:
        try:
            while self._raised is None:
                self._wake_s = self._next_s()
                if self._wake_s == _AT_ONCE:
                    await self._connection.flush()
                    self._advance(flushed=True)
                else:
                    self._stirred = trio.Event()
                    with trio.CancelScope(deadline=self._deadline_s()):
                        await self._stirred.wait()
                    self._wake_s = _AT_ONCE
                    pushed = self._put_what_is_due()
                    self._advance()
                    if pushed and self._connection.owes_too_much:
                        self._connection.evict()
        except Exception as exc:  # noqa: BLE001 - a script's own: for who called run, once the
            self._raised = exc  # client was told
        if not self._connection.close_nowait(INTERNAL_ERROR):
            await self._connection.flush()

    def _next_s(self) -> float:
        """Return when the next action is due; `_AT_ONCE` to let the kernel take more."""
        next_s = self._line.wait.until_s
        if self._inward is not None:
            next_s = min(next_s, self._inward.wait.until_s)
        if self._due:
            next_s = min(next_s, self._due[0].due_s)
        return min(next_s, self._late.next_s)

    def _deadline_s(self) -> float:
        """Return when the task wakes up: at `MAX_SLEEP_S` it looks, and sleeps on."""
        if self._wake_s == _NEVER:
            return _NEVER
        return min(self._wake_s, trio.current_time() + MAX_SLEEP_S)

    def _put_what_is_due(self) -> bool:
        """Queue the due actions; return true if one of them answers no message."""
        now_s = trio.current_time()
        pushed = False
        for _ in range(DUE_BATCH):
            due_s = self._due[0].due_s if self._due else _NEVER
            if min(due_s, self._late.next_s) > now_s or self._is_over:
                break
            if self._late.next_s <= due_s:
                since_s, answer = self._late.pop()
                self._line.put(self._entry_of_actions((Reply(answer),), since_s, answers=True))
                self._line.advance(now_s)
                continue
            due = heapq.heappop(self._due)
            self._due_bytes -= due.held_bytes
            actions = due.make()
            if actions:
                self._push(actions, due_s)
                pushed = True
        return pushed

    def _fail(self, exc: Exception) -> None:
        """Have the task close the connection with an error, and raise it from `run`."""
        self._raised = exc
        self._stirred.set()

    # -- In line ---------------------------------------------------------------------------

    @property
    def _is_over(self) -> bool:
        """Tell whether nothing can be sent any more."""
        return self._done or self._line.wait is OVER or self._connection.closed is not None

    def _advance(self, *, flushed: bool = False) -> None:
        """Do what is due, in both lines."""
        now_s = trio.current_time()
        self._line.advance(now_s, flushed=flushed)
        if self._inward is not None:
            self._inward.advance(now_s, flushed=flushed)
        self._settle()

    def _settle(self) -> None:
        """Start or stop reading, count the held bytes, and schedule the task's next wake-up.

        The connection may be closed for what it holds.
        """
        reading = self._wants_to_read and self._line.wait.reading
        held_bytes = self._line.held_bytes + self._reply_bytes + self._due_bytes
        held_bytes += self._late.held_bytes
        if self._inward is not None:
            reading = reading and self._inward.wait.reading
            held_bytes += self._inward.held_bytes
        for fault in chain(self._incoming, self._outgoing):
            held_bytes += fault.held_bytes
        held_bytes += self._script.held_bytes
        if reading:
            self._connection.resume_reading()
        else:
            self._connection.pause_reading()
        before, self._held_bytes = self._held_bytes, held_bytes
        if held_bytes > before:
            self._connection.hold(held_bytes - before)
        elif held_bytes < before:
            self._connection.release(before - held_bytes)
        if self._next_s() < self._wake_s:
            self._stirred.set()

    def _send_out(self, entry: Entry) -> Iterator[Wait]:
        """Carry out the queued actions for the client."""
        actions = entry.what
        if isinstance(actions, str | bytes):
            actions = faults.pass_through(self._outgoing, self._script.received(actions))
        for action in actions:
            if entry.answers and isinstance(action, Reply):
                self._reply_bytes = getsizeof(action.message)
            if action.late_s:
                yield Wait(entry.since_s + action.late_s, reading=True)
            if self._frozen_until_s:
                yield from self._thaw()
            yield from self._do(action)
            self._reply_bytes = 0
            yield from self._give_turn()

    def _do(self, action: Action) -> Iterator[Wait]:
        match action:
            case Reply(message, _, None):
                if not self._connection.send_nowait(message):
                    yield FLUSH
            case Reply(message, _, size_bytes):
                assert size_bytes is not None
                for number, taken in enumerate(
                    self._connection.send_fragments(message, size_bytes)
                ):
                    # Between two blocks of fragments, the others get a turn as well.
                    if not taken or number:
                        yield FLUSH
            case Freeze(duration_s):
                self._frozen_until_s = trio.current_time() + duration_s
                yield from self._thaw()
            case Close(code, reason):
                self._finish()
                if code == ABNORMAL_CLOSURE:
                    self._connection.cut()
                elif not self._connection.close_nowait(code, reason or None):
                    yield FLUSH
            case Reset():
                self._finish()
                self._connection.abort()

    def _pass_on(self, entry: Entry) -> Iterator[Wait]:
        """Pass a message of the client on to the script, through the faults on its way."""
        assert isinstance(entry.what, str | bytes)
        for action in faults.pass_through(self._incoming, (Reply(entry.what),)):
            if action.late_s:
                yield Wait(entry.since_s + action.late_s, reading=True)
            if self._frozen_until_s:
                yield from self._thaw()
            if isinstance(action, Reply):
                while not self._wants_to_read or self._connection.owes_too_much:
                    yield ROOM
                self._take(action.message)
            elif isinstance(action, Freeze):
                yield from self._do(action)
            else:
                self._push((replace(action, late_s=0.0),), trio.current_time())
            yield from self._give_turn()

    def _thaw(self) -> Iterator[Wait]:
        while self._frozen_until_s > trio.current_time():
            yield Wait(self._frozen_until_s, reading=False)
        self._frozen_until_s = 0.0

    def _give_turn(self) -> Iterator[Wait]:
        self._actions += self._action_cost
        if self._actions >= BATCH:
            self._actions = 0
            yield FLUSH

    def _finish(self) -> None:
        self._done = True
        self._line.end()
        if self._inward is not None:
            self._inward.end()

    def _end(self) -> None:
        """Leave, and count the actions that were left."""
        for line in (self._line, self._inward):
            if line is not None:
                left = line.close()
                self.unanswered += left.unanswered
                self._counters.messages_undelivered += left.pushed
        self.unanswered += len(self._late)
        self._due.clear()
        if self._raised is None and not self._done:
            self.unanswered += sum(1 for _ in faults.endings(self._incoming))
            self.unanswered += sum(1 for _ in self._held_back())
        self.unanswered += self._script.leave()
        # Both refer to us, too. Garbage that only the collector finds keeps the memory around it.
        del self._connection, self._script
