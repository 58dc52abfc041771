"""Hold what a script awaits on a socket: a reply to each request, and frames it expects.

A call is settled by the frame that it claims, in the poller's task, and stamped there. The script's
own task is woken then, without a channel between, and the time for which it waits for its turn is
its script lag.
"""

from __future__ import annotations

import types
from array import array
from collections.abc import Callable, Generator, Hashable
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any, Final

import trio

from loadgen.scenario.content import Fits, KeyPath

if TYPE_CHECKING:
    from loadgen.results.latency import Recorder
    from loadgen.results.scenario import StepBooks
    from loadgen.scenario.timetable import Entry

#: Answered keys of the script's own that are remembered on each socket, to tell a duplicate from a
#: stray reply: 2 KB of hashes. Keys themselves would be 20 KB.
MAX_ANSWERED: Final = 256


class _Woken:
    """An outcome without a value, sent to any number of tasks that calls wake.

    Trio's own can be unwrapped once, so each reply would take a new one.
    """

    def unwrap(self) -> None:
        """Return nothing: what has come is in the call."""


_WOKEN: Final[Any] = _Woken()
#: At hand: each reply calls it.
_reschedule: Final = trio.lowlevel.reschedule


@types.coroutine
def park(message: object) -> Generator[object, Any, None]:
    """Sleep until rescheduled, as `trio.lowlevel.wait_task_rescheduled` does.

    That takes two coroutines and an object more, which each request would have to make, and each
    of its wake-ups to pass through.

    :param message: what Trio's loop is told: a call's.
    """
    woken = yield message
    if woken is not _WOKEN:
        woken.unwrap()  # The task was cancelled.


class Call:
    """A reply or frame that a script awaits.

    :param step: the books of its step, if it has a name.
    :ivar due_us: when it was due; ``None`` unless it was due at a time.
    :ivar sent_us: when its message was handed to the socket, or the call began.
    :ivar timeout: its entry in the timetable; ``None`` if only the end of the run ends it.
    :ivar is_settled: true once it has come, or never will.
    :ivar message: what a task that waits for it tells Trio's loop; ``None`` until it is made.
    :ivar value: what has come.
    :ivar received_us: when it came.
    :ivar task: the task that waits for it.
    """

    __slots__ = (
        "_exc", "due_us", "fits", "is_binary", "is_lost", "is_settled", "message", "received_us",
        "sent_us", "step", "task", "timeout", "value",
    )  # fmt: skip

    def __init__(
        self,
        step: StepBooks | None,
        sent_us: int,
        due_us: int | None = None,
        is_binary: bool = False,
        fits: Fits | None = None,
    ) -> None:
        self.step: StepBooks | None = step
        self.sent_us: int = sent_us
        self.due_us: int | None = due_us
        self.is_binary: bool = is_binary
        self.fits: Callable[[Any], bool] | None = fits
        self.is_lost: bool = False
        self.timeout: Entry | None = None
        self.is_settled: bool = False
        self.task: trio.lowlevel.Task | None = None
        self.value: Any = None
        self.received_us: int = 0
        self._exc: Exception | None = None
        self.message: object = None

    def settle(self, value: Any, received_us: int) -> None:
        """Hand over the frame that has come."""
        self.value = value
        self.received_us = received_us
        self.is_settled = True
        if (task := self.task) is not None:
            self.task = None
            _reschedule(task, _WOKEN)

    def fail(self, exc: Exception, received_us: int) -> None:
        """Let an exception be raised instead of what does not come."""
        self._exc = exc
        self.settle(None, received_us)

    def make_message(self) -> None:
        """Make the message of a task to Trio's loop that it waits for this."""
        waiting = trio.lowlevel.wait_task_rescheduled(self._forget)  # noqa: ASYNC105 - below
        self.message = waiting.send(None)
        waiting.close()

    async def wait(self, script_lag: Recorder) -> Any:
        """Wait for it.

        Cancelled: the call forgets this task, and the frame may come all the same.

        :raises LostReply: if it did not come in time.
        :raises SocketClosed: if the socket ended before.
        """
        if self.is_settled:
            await trio.lowlevel.checkpoint()
        else:
            self.task = trio.lowlevel.current_task()
            await trio.lowlevel.wait_task_rescheduled(self._forget)
        return self.finish(script_lag)

    def finish(self, script_lag: Recorder) -> Any:
        """Return what has come, once the script's task goes on.

        :raises LostReply: as `wait` does.
        :raises SocketClosed: as `wait` does.
        """
        if (exc := self._exc) is not None:
            try:
                raise exc
            finally:
                del exc, self  # or its traceback would keep itself alive
        lag_us = perf_counter_ns() // 1000 - self.received_us
        script_lag.record(lag_us)
        if (step := self.step) is not None and lag_us > step.longest_lag_us:
            step.longest_lag_us = lag_us
        value, self.value = self.value, None
        return value

    def _forget(self, _: object) -> trio.lowlevel.Abort:
        self.task = None
        return trio.lowlevel.Abort.SUCCEEDED


class KeyedCalls:
    """The requests whose replies are found by a key at one path.

    :ivar open: those without a reply yet, by their key.
    """

    __slots__ = ("_answered", "_count_answered", "_lost", "find_theirs", "open", "path")

    def __init__(self, path: KeyPath) -> None:
        self.path: KeyPath = path
        self.find_theirs: Callable[[Any], Hashable | None] = path.find_theirs
        self.open: dict[Hashable, Call] = {}
        #: Hashes, in a ring.
        self._answered: array[int] | None = None
        self._count_answered = 0
        self._lost: set[Hashable] | None = None

    def note_answered(self, key: Hashable) -> None:
        """Remember a key of the script's own."""
        if self._answered is None:
            self._answered = array("q")
        if len(self._answered) < MAX_ANSWERED:
            self._answered.append(hash(key))
        else:
            self._answered[self._count_answered % MAX_ANSWERED] = hash(key)
        self._count_answered += 1

    def note_lost(self, key: Hashable) -> None:
        """Remember that no call waits for a reply any more: it answers nothing when it comes."""
        if self._lost is None:
            self._lost = set()
        self._lost.add(key)

    def is_duplicate(self, value: Any, numbered: int) -> bool:
        """Tell whether a frame that answers nothing is a second answer.

        :param numbered: the number of keys that we gave, from 1 on.
        """
        key = self.find_theirs(value)
        if key is None or (self._lost is not None and key in self._lost):
            return False
        if self._answered is not None and hash(key) in self._answered:
            return True
        return key.__class__ is int and 0 < key <= numbered and key not in self.open
