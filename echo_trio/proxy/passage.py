"""Pass one direction of a pair on through its faults, or past them while there are none.

    source ─► take ─► in line ─► faults ─► sink        end: what the source's end means to the sink

A message waits in line until those before it are out; its faults are applied when its turn comes. A
change of faults stands in line as well, so it holds from the next message on. What waits is counted
with the source, which is not read from while that is too much.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from math import inf
from sys import getsizeof
from typing import TYPE_CHECKING, Final

import trio

from echo_trio.behaviours import faults
from echo_trio.behaviours.actions import Action, Close, Freeze, Reply, Reset
from echo_trio.behaviours.faults import Fault
from echo_trio.behaviours.line import FLUSH, IDLE, OVER, PLACE_BYTES, Entry, Line, Wait
from echo_trio.wire.connection import ConnectionClosed

if TYPE_CHECKING:
    from echo_trio.behaviours.fault_prefix import MakeFault
    from echo_trio.proxy.pair import Pair
    from echo_trio.wire.relay import Relay

#: Actions done in line before other connections get a turn: about a millisecond of sends.
BATCH: Final = 100


class Passage:
    """One direction of a pair: the `Way` of its source.

    :ivar is_whole: true if messages are to be whole here even without faults.
    :ivar lost: the number of messages that were not passed on, because the sink takes none any
        more, or the pair has ended.
    """

    def __init__(
        self, pair: Pair, source: Relay, sink: Relay, own: Iterable[MakeFault], *, is_whole: bool
    ) -> None:
        """Prepare a direction; nothing happens before `begin`.

        :param own: make the faults of this pair alone, behind those that change at run time.
        """
        self.is_whole = is_whole
        self.lost: int = 0
        self._pair = pair
        self._source, self._sink = source, sink
        self._shared: tuple[Fault, ...] = ()
        self._own = tuple(map(pair.make_fault, own))
        self._line = Line(self._carry_out)
        self._actions = 0  # that were done, see BATCH
        self._message_bytes = 0  # of the one that is being passed on
        self._held_bytes = 0  # as the source knows it
        self._is_flushing = False
        self._has_ended = False

    # -- What the source calls ---------------------------------------------------------------

    def take(self, message: str | bytes) -> None:
        """Take a whole message of the source."""
        if self._line.wait is OVER or not self._sink.takes_messages:
            self.lost += 1
            return
        self._line.put_message(trio.current_time(), message)
        self.advance()

    def block(self) -> None:
        """Stop reading from the source until the kernel has taken what the sink was sent."""
        if not self._is_flushing:
            self._is_flushing = True
            self._pair.start(self._flush)
            self.settle()

    def source_ended(self) -> None:
        """Tell the sink, behind everything that is in line, how the source has ended. Idempotent.

        Messages that a fault has held back go before that.
        """
        if not self._has_ended:
            self._has_ended = True
            self._line.put(Entry(trio.current_time(), self._endings(), PLACE_BYTES))
            self.advance()

    # -- What the pair calls -----------------------------------------------------------------

    def begin(self, shared: Iterable[MakeFault]) -> None:
        """Begin with these faults before its own."""
        self._line.put(Entry(trio.current_time(), self._beginnings(shared), 0))
        self.advance()

    def change(self, shared: Iterable[MakeFault]) -> None:
        """Replace the faults before its own, for the messages from the next one on.

        What the old ones have held back is let go.
        """
        self._line.put(Entry(trio.current_time(), self._changes(shared), 0))
        self.advance()

    def stop(self) -> None:
        """Pass nothing more on: the pair has been reset, or is over."""
        self._has_ended = True
        self._line.end()

    def close(self) -> None:
        """Forget what is in line, or held back by a fault, and count it as lost."""
        left = self._line.close()  # The entry under way adds its own rest to `lost` meanwhile.
        self.lost += left.unanswered
        self.lost += _count_replies(faults.endings(self._chain))

    @property
    def next_s(self) -> float:
        """The time at which something is due; infinity if nothing is."""
        until_s = self._line.wait.until_s
        return until_s if until_s > -inf else inf

    def advance(self, *, flushed: bool = False) -> None:
        """Do what is due."""
        self._line.advance(trio.current_time(), flushed=flushed)
        self.settle()

    # -- In line -----------------------------------------------------------------------------

    @property
    def _chain(self) -> tuple[Fault, ...]:
        return self._shared + self._own

    def _carry_out(self, entry: Entry) -> Iterator[Wait]:
        actions = entry.what
        if isinstance(actions, str | bytes):
            self._message_bytes = getsizeof(actions)
            actions = faults.pass_through(self._chain, (Reply(actions),))
        at_hand: tuple[Action, ...] = ()
        try:
            for action in actions:
                at_hand = (action,)
                if action.late_s:
                    yield Wait(entry.since_s + action.late_s, reading=True)
                yield from self._pair.thaw()
                yield from self._do(action)
                at_hand = ()
                self._actions += 1
                if self._actions % BATCH == 0:
                    yield from self._let_kernel_take()
        except (ConnectionClosed, GeneratorExit):
            if not entry.answers:  # What was held back until now is no message in line any more.
                self.lost += _count_replies((*at_hand, *actions))
            raise
        self._message_bytes = 0

    def _do(self, action: Action) -> Iterator[Wait]:
        match action:
            case Reply(message, _, None):
                if not self._sink.send_nowait(message):
                    yield from self._let_kernel_take()
            case Reply(message, _, size_bytes):
                assert size_bytes is not None
                for number, taken in enumerate(self._sink.send_fragments(message, size_bytes)):
                    # Between two blocks of fragments, the others get a turn as well.
                    if not taken or number:
                        yield from self._let_kernel_take()
            case Freeze(duration_s):
                self._pair.freeze(duration_s)
                yield from self._pair.thaw()
            case Close(code, reason):
                self.stop()
                if not self._sink.pass_close(code, reason):
                    self.block()
            case Reset():
                self._pair.reset()

    def _let_kernel_take(self) -> Iterator[Wait]:
        self.block()
        yield FLUSH

    async def _flush(self) -> None:
        await self._sink.flush()
        self._is_flushing = False
        self.advance(flushed=True)

    def _endings(self) -> Iterator[Action]:
        chain = self._chain
        yield from faults.endings(chain)
        yield from faults.pass_through(chain, (self._pair.last_words(self._source),))

    def _beginnings(self, shared: Iterable[MakeFault]) -> Iterator[Action]:
        self._shared = tuple(map(self._pair.make_fault, shared))
        yield from faults.beginnings(self._chain)

    def _changes(self, shared: Iterable[MakeFault]) -> Iterator[Action]:
        yield from _of_first(len(self._shared), self._chain, lambda fault: fault.end())
        self._shared = tuple(map(self._pair.make_fault, shared))
        yield from _of_first(len(self._shared), self._chain, lambda fault: fault.begin())

    # -- Reading and time ----------------------------------------------------------------------

    def settle(self) -> None:
        """Read from the source or not, count what is held for it, and set the pair's alarm."""
        line, chain = self._line, self._chain
        self._source.is_direct = line.wait is IDLE and not chain and not self.is_whole
        held_bytes = line.held_bytes + self._message_bytes
        for fault in chain:
            held_bytes += fault.held_bytes
        if line.wait.reading and not self._is_flushing and not self._pair.is_frozen:
            self._source.resume_reading()
        else:
            self._source.pause_reading()
        before, self._held_bytes = self._held_bytes, held_bytes
        if held_bytes > before:
            self._source.hold(held_bytes - before)
        elif held_bytes < before:
            self._source.release(before - held_bytes)
        self._pair.set_alarm()


def _count_replies(actions: Iterable[Action]) -> int:
    return sum(isinstance(action, Reply) for action in actions)


def _of_first(
    count: int, chain: Sequence[Fault], act: Callable[[Fault], Iterable[Action]]
) -> Iterator[Action]:
    """Yield what the first faults of a chain do, as it comes out of those behind each."""
    for at, fault in enumerate(chain[:count], 1):
        yield from faults.pass_through(chain[at:], act(fault))
