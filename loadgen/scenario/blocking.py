"""Find user code that blocks everybody: between two awaits it stops the whole loop."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, NoReturn

import trio

from loadgen.engine.usage import waited_for_core_s

if TYPE_CHECKING:
    from loadgen.scenario.user import User

#: A turn of a user's code that is longer holds up replies of others by as much. Decoding a reply
#: and composing the next message take well below one millisecond.
MIN_BLOCKED_US: Final = 10_000
MIN_BLOCKED_NS: Final = MIN_BLOCKED_US * 1000
#: The interval at which the time that this process has waited for a core is read: a turn is blamed
#: for no more waiting than occurs in one interval.
LOOK_INTERVAL_S: Final = 0.02


class BlockingWatch(trio.abc.Instrument):
    """An instrument that times each turn of each task, to blame long ones.

    A turn ends where the next begins, or where the loop waits: two calls a turn would cost twice
    as much (a call of Trio's for an instrument takes a microsecond of the 40 that a request does).
    So a full loop, which is many short turns, blames nobody. Nor does a collection of garbage: it
    takes 50 ms where ten thousand users have made a million objects, and falls into the turn of
    whoever makes the next.

    :param clock_ns: a monotonic clock.
    :param waited_s: tells how long this thread has waited for a core so far.
    :ivar users: the user of each task; tasks that these start are found through them.
    """

    def __init__(
        self,
        clock_ns: Callable[[], int] = time.perf_counter_ns,
        waited_s: Callable[[], float] = waited_for_core_s,
    ) -> None:
        self.users: dict[trio.lowlevel.Task, User] = {}
        self._clock_ns = clock_ns
        self._read_waited_s = waited_s
        self._task: trio.lowlevel.Task | None = None
        self._began_ns = 0
        self._collecting_ns = 0
        self._waited_s = waited_s()

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Watch the turns of this thread's Trio while the block lasts."""
        trio.lowlevel.add_instrument(self)
        gc.callbacks.append(self._note_collection)
        try:
            yield
        finally:
            gc.callbacks.remove(self._note_collection)
            trio.lowlevel.remove_instrument(self)

    async def keep_looking(self) -> NoReturn:
        """Keep up with how long this process waits for a core, until cancelled."""
        while True:
            self._waited_s = self._read_waited_s()
            await trio.sleep(LOOK_INTERVAL_S)

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        """Begin a task's turn, and end that of the task before it."""
        now_ns = self._clock_ns()
        if now_ns - self._began_ns >= MIN_BLOCKED_NS and self._task is not None:
            self._blame(self._task, now_ns)
        self._task, self._began_ns = task, now_ns

    def before_io_wait(self, timeout: float) -> None:
        """End the last turn of a round."""
        now_ns = self._clock_ns()
        if now_ns - self._began_ns >= MIN_BLOCKED_NS and self._task is not None:
            self._blame(self._task, now_ns)
        self._task = None

    def _note_collection(self, phase: str, _: dict[str, int]) -> None:
        """Leave a collection of garbage out of the turn that it falls into."""
        now_ns = self._clock_ns()
        if phase == "start":
            self._collecting_ns = now_ns
        else:
            self._began_ns += now_ns - self._collecting_ns

    def _blame(self, task: trio.lowlevel.Task, now_ns: int) -> None:
        took_us = (now_ns - self._began_ns) // 1000
        # If other work uses the cores, code seems slow that only waited for a core.
        waited_before_s, self._waited_s = self._waited_s, self._read_waited_s()
        took_us -= int((self._waited_s - waited_before_s) * 1_000_000)
        if took_us >= MIN_BLOCKED_US and (user := self._find_user(task)) is not None:
            name, kind = user.step or (user.scenario, "scenario")
            step = user.context.books.step(name, kind)
            step.blocked += 1
            step.blocked_us += took_us

    def _find_user(self, task: trio.lowlevel.Task | None) -> User | None:
        while task is not None:
            if (user := self.users.get(task)) is not None:
                return user
            nursery = task.parent_nursery
            task = None if nursery is None else nursery.parent_task
        return None
