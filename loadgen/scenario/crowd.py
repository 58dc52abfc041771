"""Run all users of a process through the phases, and book how each of them ends."""

from __future__ import annotations

import itertools
import math
from collections.abc import Awaitable, Callable, Iterable
from typing import Final

import trio

from loadgen.engine.context import now_us
from loadgen.results.ledger import Failure
from loadgen.scenario import shields
from loadgen.scenario.blocking import BlockingWatch
from loadgen.scenario.context import UserContext
from loadgen.scenario.failures import find_cause
from loadgen.scenario.loader import Script
from loadgen.scenario.user import User

#: Users begun between two looks at Trio's other tasks.
BATCH: Final = 256
#: The step of tasks that wait for many users at once. Trio's clock ticks in milliseconds.
TICK_S: Final = 0.001
#: The share of the stop timeout for copies in flight.
COPIES_SHARE: Final = 0.5
#: A reply awaited for this share of the stop timeout or longer counts as lost when users that are
#: still at work are cancelled. A script that never ends always has a call in progress.
PATIENCE_SHARE: Final = 0.5


class UserCrowd:
    """The users of a run in this process.

    :param watch: runs the users' code.
    """

    def __init__(self, context: UserContext, script: Script, watch: BlockingWatch) -> None:
        self._context = context
        self._script = script
        self._watch = watch
        self._plan = context.plan
        self._phases = context.phases
        self._books = context.books.users
        self._scope = trio.CancelScope()
        self._nursery: trio.Nursery | None = None
        self._at_work = 0
        self._are_more_coming = False
        self._idle = trio.Event()
        self._is_hopeless = False

    async def host(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Hold the users' tasks, apart from the task that leads them through the phases."""
        with self._scope:
            async with trio.open_nursery() as self._nursery:
                task_status.started()
                await trio.sleep_forever()

    def dismiss(self) -> None:
        """End `host`, when no user is at work any more."""
        self._scope.cancel()

    # -- Open ------------------------------------------------------------------------------

    async def open(self, interruption: trio.CancelScope) -> None:
        """Begin the users that have to be there when the load begins; return when they are.

        :param interruption: when it is cancelled, they are waited for no longer.
        """
        if self._plan.arrive is not None:
            return
        self._books.requested = self._plan.count
        numbers = [self._plan.conn(each) for each in range(self._plan.count)]
        early = [number for number in numbers if self._script.of(number).begins_early]
        if not early:
            return
        self._phases.await_users(len(early))
        there = trio.Event()
        self._phases.on_all_there = there.set
        with interruption:
            await self._begin(early, is_early=True)
            await there.wait()

    async def _begin(self, numbers: list[int], *, is_early: bool) -> None:
        for begun, number in enumerate(numbers, 1):
            self._start(number, is_early=is_early)
            if begun % BATCH == 0:
                await trio.lowlevel.checkpoint()

    def _start(self, number: int, *, is_early: bool, is_repeated: bool = True) -> None:
        assert self._nursery is not None
        self._at_work += 1
        self._nursery.start_soon(self._run, number, is_early, is_repeated)

    # -- Load ------------------------------------------------------------------------------

    @property
    def has_load(self) -> bool:
        """True if any user is there, or will come, for a load to begin."""
        return bool(self._at_work) or self._plan.arrive is not None or self._has_late

    @property
    def _has_late(self) -> bool:
        return any(not each.begins_early for each in self._script.turns[: self._plan.count])

    async def load(self, interruption: trio.CancelScope) -> None:
        """Begin the load, and the users that begin with it; return when it has ended.

        :param interruption: when it is cancelled, the load ends.
        """
        self._idle = trio.Event()
        self._phases.begin_load()
        with interruption, trio.move_on_after(self._phases.load_s):
            if self._plan.arrive is not None:
                self._are_more_coming = True
                await self._let_arrive()
                self._are_more_coming = False
            else:
                numbers = [self._plan.conn(each) for each in range(self._plan.count)]
                late = [each for each in numbers if not self._script.of(each).begins_early]
                await self._begin(late, is_early=False)
            if self._at_work:
                await self._idle.wait()
        self._are_more_coming = False

    async def _let_arrive(self) -> None:
        """Begin users as they arrive; those that come when the limit is at work never begin."""
        phases, plan, steering = self._phases, self._plan, self._context.run.steering
        began_us, count, speeds = phases.began_us, plan.count, steering.speeds
        arrivals = plan.due_arrivals(speeds)
        due, following = next(arrivals, None), None
        while True:
            if steering.speeds is not speeds:
                speeds = steering.speeds
                arrivals = plan.due_arrivals(speeds, following)
                due = next(arrivals, None)
            if due is None:
                if not speeds.steps:
                    return
                await steering.sleep_until(math.inf)  # until a change, or the end of the load
                continue
            number, due_s = due
            due_us = began_us + int(due_s * 1_000_000)
            if due_us > now_us():
                left_s = (due_us - now_us()) / 1_000_000
                try:
                    await steering.sleep_until(trio.current_time() + left_s)
                except trio.Cancelled:
                    self._miss(itertools.chain([due], arrivals))
                    raise
                if steering.speeds is not speeds or due_us > now_us():
                    continue
            self._books.requested += 1
            if self._at_work < count:
                self._context.run.books.scheduling_lag.record(now_us() - due_us)
                self._start(number, is_early=False, is_repeated=False)
            else:
                self._books.not_started += 1
            following = number + plan.arrival_step
            due = next(arrivals, None)

    def _miss(self, arrivals: Iterable[tuple[int, float]]) -> None:
        """Count the users that fell due while the loop was held up until the load had ended."""
        since_s = (now_us() - self._phases.began_us) / 1_000_000
        missed = sum(1 for _ in itertools.takewhile(lambda each: each[1] <= since_s, arrivals))
        self._books.requested += missed
        self._books.not_started += missed

    # -- Close -----------------------------------------------------------------------------

    def interrupt(self) -> None:
        """Cancel all users at once; their sockets still shake hands. Idempotent."""
        phases = self._phases
        if not phases.is_interrupted:
            phases.is_interrupted = True
            phases.begin_closing()
            self._scope.cancel()
            phases.settle_copies()
            phases.end_load()

    async def close(self, wait_for_others: Callable[[], Awaitable[None]]) -> None:
        """Let users finish, then cancel those that don't, and wait until all sockets are closed.

        :param wait_for_others: called when no copy is under way any more, as far as is known here:
            where this is one of several processes, one of the others may still send some.
        """
        phases, context = self._phases, self._context
        phases.end_load()
        await self._wait(
            lambda: self._at_work <= phases.waiting_for_copies, until_s=phases.users_end_s
        )
        copies_end_s = min(
            trio.current_time() + self._plan.stop_timeout_s * COPIES_SHARE, phases.users_end_s
        )
        await self._wait(lambda: not context.events.awaited, until_s=copies_end_s)
        await wait_for_others()
        phases.settle_copies()
        await self._wait(lambda: not self._at_work, until_s=phases.users_end_s)
        phases.begin_closing()
        if not phases.is_interrupted:
            since_us = now_us() - int(self._plan.stop_timeout_s * PATIENCE_SHARE * 1_000_000)
            for socket in list(context.sockets):
                socket.lose_all(since_us)
        self._scope.cancel()
        await self._wait(lambda: not self._at_work, until_s=phases.shields_end_s, always=True)
        self._lift_shields()
        for socket in list(context.sockets):  # whose user has not left its block
            context.nursery.start_soon(socket.aclose)
        while self._at_work or context.sockets:
            await trio.sleep(TICK_S)

    async def _wait(
        self, holds: Callable[[], bool], *, until_s: float, always: bool = False
    ) -> None:
        """Wait until something holds, or a time; not for long once the run is interrupted."""
        while not holds() and trio.current_time() < until_s:
            if self._phases.is_interrupted and not always:
                return
            await trio.sleep(TICK_S)

    def _lift_shields(self) -> None:
        if self._nursery is not None:
            for task in self._nursery.child_tasks:
                shields.lift(task, self._scope, self._phases.sockets_end_s)

    # -- One user --------------------------------------------------------------------------

    async def _run(self, number: int, is_early: bool, is_repeated: bool) -> None:
        """Run one user, and book how it ends."""
        scenario, watch = self._script.of(number), self._watch
        user = User(number, scenario, self._context)
        watch.add(user)
        try:
            if is_early and not await self._take_place(user):
                return
            # Each turn of the user passes through this coroutine: there is none between it and the
            # user's code but the one that times it.
            try:
                await watch.timed(scenario.run(user), user)
                user.arrive()
                while is_repeated and scenario.is_journey:
                    await self._phases.wait_for_load()
                    while self._context.run.steering.is_paused and not self._phases.is_load_over:
                        await user.wait_for_end_or_change()
                    if self._phases.is_load_over:
                        break
                    await watch.timed(scenario.run(user), user)
            except trio.Cancelled:
                self._books.interrupted += 1
                raise
            except BaseException as exc:  # noqa: BLE001 - a user's failure is nobody else's end
                if (cancelled := self._book_failure(exc)) is not None:
                    raise cancelled  # noqa: B904 - the rest is booked
            else:
                self._books.finished += 1
            finally:
                user.arrive()
        finally:
            watch.remove()
            self._at_work -= 1
            if not self._at_work and not self._are_more_coming:
                self._idle.set()

    def _book_failure(self, exc: BaseException) -> BaseException | None:
        """Book a user that raised an exception; return the part that is a cancellation."""
        cancelled = None
        failed: BaseException | None = exc
        if isinstance(exc, BaseExceptionGroup):
            cancelled, failed = exc.split(trio.Cancelled)
        if failed is None:
            self._books.interrupted += 1
        else:
            self._books.fail(*find_cause(failed, self._script.file))
        return cancelled

    async def _take_place(self, user: User) -> bool:
        """Wait for a place among those that open; return whether to go on."""
        limiter = self._context.gate.limiter
        try:
            await limiter.acquire_on_behalf_of(user)
        except trio.Cancelled:
            self._phases.settle_user()
            self._books.not_started += 1
            raise
        user.await_arrival()
        if self._is_hopeless or self._is_target_mute():
            user.arrive()
            self._books.not_started += 1
            return False
        return True

    def _is_target_mute(self) -> bool:
        """Tell whether a whole wave has waited in vain: the others would only wait as long."""
        ledger = self._context.ledger
        timeouts = ledger.failed[Failure.TIMEOUT]
        self._is_hopeless = not ledger.opened and timeouts >= self._plan.connect_concurrency
        return self._is_hopeless
