"""Find user code that blocks everybody: between two awaits it stops the whole loop.

A full loop is many short turns, and blames nobody. Nor does a collection of garbage: it takes 50 ms
where ten thousand users have made a million objects, and falls into the turn of whoever makes the
next.
"""

from __future__ import annotations

import gc
import time
import types
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Generator, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, NoReturn

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
#: Collections of garbage that are remembered, to be left out of a turn. A turn has one or two.
MAX_COLLECTIONS: Final = 16


class BlockingWatch(trio.abc.Instrument):
    """The watch on the turns of users' tasks, and of tasks that these start, to blame long ones.

    The users' own are timed by `timed`. Those of other tasks Trio has to tell, a microsecond for
    each turn of any task of the 30 that a request takes; so it is asked when a user starts one.

    :param clock_ns: a monotonic clock.
    :param waited_s: tells how long this thread has waited for a core so far.
    """

    def __init__(
        self,
        clock_ns: Callable[[], int] = time.perf_counter_ns,
        waited_s: Callable[[], float] = waited_for_core_s,
    ) -> None:
        self._users: dict[trio.lowlevel.Task, User] = {}
        self._clock_ns = clock_ns
        self._read_waited_s = waited_s
        self._waited_s = waited_s()
        self._turns = _Turns(self, clock_ns)
        #: When each began, and how long it took.
        self._collections: deque[tuple[int, int]] = deque(maxlen=MAX_COLLECTIONS)
        self._collecting_ns = 0

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
            if self._turns.is_asked:
                trio.lowlevel.remove_instrument(self._turns)

    async def keep_looking(self) -> NoReturn:
        """Keep up with how long this process waits for a core, until cancelled."""
        while True:
            self._waited_s = self._read_waited_s()
            await trio.sleep(LOOK_INTERVAL_S)

    def add(self, user: User) -> None:
        """Note that the current task is a user's own."""
        self._users[trio.lowlevel.current_task()] = user

    def remove(self) -> None:
        """Note that the current task is no user's any more."""
        del self._users[trio.lowlevel.current_task()]

    @types.coroutine
    def timed(self, awaitable: Awaitable[None], user: User) -> Generator[Any, Any, None]:
        """Run a user's code, in a task of its own that was added, and time each of its turns."""
        code = awaitable if isinstance(awaitable, Coroutine) else _wrap(awaitable)
        clock_ns, send = self._clock_ns, code.send
        step: Callable[[Any], Any] = send
        sent = None
        while True:
            began_ns = clock_ns()
            try:
                message = step(sent)
            except StopIteration:
                return
            finally:
                if (now_ns := clock_ns()) - began_ns >= MIN_BLOCKED_NS:
                    self.blame(user, began_ns, now_ns)
            try:
                sent = yield message
            except GeneratorExit:
                code.close()
                raise
            except BaseException as exc:  # noqa: BLE001 - it is for the code to see
                step, sent = code.throw, exc
            else:
                step = send

    def task_spawned(self, task: trio.lowlevel.Task) -> None:
        """Have Trio tell of every turn, once a user has started a task."""
        if not self._turns.is_asked and self.find_user(task) is not None:
            self._turns.is_asked = True
            trio.lowlevel.add_instrument(self._turns)

    def is_users_own(self, task: trio.lowlevel.Task) -> bool:
        """Tell whether `timed` times the turns of this task."""
        return task in self._users

    def find_user(self, task: trio.lowlevel.Task | None) -> User | None:
        """Find the user to whom a task belongs, its own or one that it started."""
        while task is not None:
            if (user := self._users.get(task)) is not None:
                return user
            nursery = task.parent_nursery
            task = None if nursery is None else nursery.parent_task
        return None

    def _note_collection(self, phase: str, _: dict[str, int]) -> None:
        now_ns = self._clock_ns()
        if phase == "start":
            self._collecting_ns = now_ns
        else:
            self._collections.append((self._collecting_ns, now_ns - self._collecting_ns))

    def blame(self, user: User, began_ns: int, now_ns: int) -> None:
        """Blame a user's step for a turn, if the turn was long by its own doing."""
        # Of a copy: another collection may come while this goes through them.
        collections = list(self._collections)
        collected_ns = sum(took for began, took in collections if began >= began_ns)
        took_us = (now_ns - began_ns - collected_ns) // 1000
        # If other work uses the cores, code seems slow that only waited for a core.
        waited_before_s, self._waited_s = self._waited_s, self._read_waited_s()
        took_us -= int((self._waited_s - waited_before_s) * 1_000_000)
        if took_us >= MIN_BLOCKED_US:
            name, kind = user.step or (user.scenario, "scenario")
            step = user.context.books.step(name, kind)
            step.blocked += 1
            step.blocked_us += took_us


class _Turns(trio.abc.Instrument):
    """The turns of all tasks, as Trio tells of them, to blame those that users have started.

    A turn ends where the next begins, or where the loop waits: two calls a turn would cost twice as
    much.

    :ivar is_asked: true once Trio was asked to tell.
    """

    def __init__(self, watch: BlockingWatch, clock_ns: Callable[[], int]) -> None:
        self.is_asked = False
        self._watch = watch
        self._clock_ns = clock_ns
        self._task: trio.lowlevel.Task | None = None
        self._began_ns = 0

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        """Begin a task's turn, and end that of the task before it."""
        now_ns = self._clock_ns()
        self._end_turn(now_ns)
        self._task, self._began_ns = task, now_ns

    def before_io_wait(self, timeout: float) -> None:
        """End the last turn of a round."""
        self._end_turn(self._clock_ns())
        self._task = None

    def _end_turn(self, now_ns: int) -> None:
        if now_ns - self._began_ns < MIN_BLOCKED_NS or (task := self._task) is None:
            return
        watch = self._watch
        if not watch.is_users_own(task) and (user := watch.find_user(task)) is not None:
            watch.blame(user, self._began_ns, now_ns)


async def _wrap(code: Awaitable[None]) -> None:
    await code
