"""Let calls fall due at a rate while the load lasts, for one user: open loop.

User n of N begins with the n-th part of the first interval, so that all users together spread
evenly, in one process and in many. A call that falls due while the user is busy is due all the
same, and its latency counts from then: there is no coordinated omission.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, NoReturn

import trio

from loadgen.engine.context import now_us
from loadgen.workload.arrivals import OwnArrivals
from loadgen.workload.speeds import Speeds

if TYPE_CHECKING:
    from loadgen.scenario.user import User


class Due:
    """A time at which a call is due; hand it to that call.

    :ivar number: how many fell due for this user before.
    :ivar at_us: when it was due, in microseconds of the run's clock.
    """

    __slots__ = ("at_us", "number")

    def __init__(self, number: int, at_us: int) -> None:
        self.number: int = number
        self.at_us: int = at_us


class Pace(AsyncIterator[Due]):
    """The times at which calls fall due for a user; made by `User.pace`.

    It waits for the load, and ends with it.
    """

    __slots__ = ("_arrivals", "_number", "_rate_per_s", "_task_began", "_user")

    def __init__(self, user: User, rate_per_s: float) -> None:
        self._user = user
        self._rate_per_s = rate_per_s = rate_per_s * user.context.plan.pace_factor
        self._number = 0
        plan = user.context.plan
        self._arrivals = None
        if plan.arrivals != "even":
            self._arrivals = OwnArrivals([user.number], rate_per_s, plan.load_s, plan.seed)

    def __aiter__(self) -> Pace:
        return self

    async def __anext__(self) -> Due:
        """Wait until the next falls due; at once if it has already.

        :raises StopAsyncIteration: when the load is over.
        :raises trio.Cancelled: when the run was interrupted, whoever wakes this user first.
        """
        user = self._user
        context = user.context
        phases = context.phases
        if phases.began_s is None:
            await user.ready()
            if phases.began_s is None:  # The run was over before it began.
                await self._end()
        asked_us, steering = now_us(), context.run.steering
        while True:
            speeds = steering.speeds
            due_s = self._next_due_s(speeds)
            if due_s >= phases.load_s:
                await user.wait_for_end_or_change()
                if phases.is_load_over:
                    await self._end()
                continue
            at_us = phases.began_us + int(due_s * 1_000_000)
            if at_us <= asked_us:
                await trio.lowlevel.checkpoint()
                break
            await context.timetable.wait_until(phases.began_s + due_s, self._find_time)
            if steering.speeds is speeds:
                break  # Else a change of the load has put this off, or forward.
        if not phases.may_send_late:
            context.ledger.missed += self._count_left()
            await self._end()
        # What the user's own waiting makes late is in `intended`, and is not the generator's.
        context.run.books.scheduling_lag.record(now_us() - max(at_us, asked_us))
        due = Due(self._number, at_us)
        self._number += 1
        if self._arrivals is not None:
            self._arrivals.take()
        return due

    async def _end(self) -> NoReturn:
        """End the pace, unless its user is cancelled.

        An interruption ends the load and cancels all users in one step. Whoever was due to wake in
        that same turn of Trio's loop wakes without having been told: without this checkpoint that
        user would count as finished.
        """
        await trio.lowlevel.checkpoint_if_cancelled()
        raise StopAsyncIteration

    def _find_time(self) -> float:
        """Compute when to wake this user, by Trio's clock, now that the load has changed."""
        context = self._user.context
        phases, speeds = context.phases, context.run.steering.speeds
        assert phases.began_s is not None
        return phases.began_s + min(self._next_due_s(speeds), phases.load_s)

    def _next_due_s(self, speeds: Speeds) -> float:
        """Return when the next falls due, in seconds of the load; infinity: not in this load."""
        if self._arrivals is not None:
            if self._arrivals.speeds is not speeds:
                self._arrivals.steer(speeds)
            next_s = self._arrivals.next_due_s
            return math.inf if next_s is None else next_s
        context = self._user.context
        share = (self._user.number % context.users + 0.5) / context.users
        due_s = (self._number + share) / self._rate_per_s
        return speeds.elapsed(due_s) if speeds.steps else due_s

    def _count_left(self) -> int:
        """Count the times that fell due and are not handed out any more."""
        if self._user.context.phases.is_interrupted:
            return 0
        left, context = 0, self._user.context
        load_s, speeds = context.phases.load_s, context.run.steering.speeds
        while self._next_due_s(speeds) < load_s:
            left += 1
            self._number += 1
            if self._arrivals is not None:
                self._arrivals.take()
        return left
