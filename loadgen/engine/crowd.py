"""Open all sockets of a run under the limiter, replace those of a certain age, close all."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from random import Random
from typing import Final, NoReturn

import trio

from loadgen.engine import greeting
from loadgen.engine.context import RunContext
from loadgen.engine.exchanges import make_session
from loadgen.engine.gate import Gate
from loadgen.engine.observer import CrowdObserver
from loadgen.engine.opening import Begun
from loadgen.engine.session import Session
from loadgen.engine.taskless_opening import TasklessOpenings
from loadgen.results.ledger import Failure
from loadgen.workload.misbehaviour import Behave
from loadgen.workload.plan import Plan

#: Sockets begun or closed between two looks at Trio's other tasks: about 3 ms of work.
BATCH: Final = 256
#: The step of tasks that wait for many sockets at once. Trio's clock ticks in milliseconds.
TICK_S: Final = 0.001
#: The interval of looking for sockets that have reached their age, or still await replies.
AGE_TICK_S: Final = 0.005
#: Who waits long need not look each millisecond: a hundredth of the wait so far is soon enough, and
#: a longer step than this would spare little more. Ten seconds of waiting took 0.6 s of CPU before.
LONGEST_TICK_S: Final = 0.01
#: The share of the stop timeout for replies in flight; the rest is for closing.
AWAIT_SHARE: Final = 0.5


async def wait_while(holds: Callable[[], bool]) -> None:
    """Wait until something of all sockets no longer holds; a checkpoint only if it does."""
    began = trio.current_time()
    while holds():
        waited_s = trio.current_time() - began
        await trio.sleep(min(max(waited_s / 100, TICK_S), LONGEST_TICK_S))


#: The name of each session's task: Trio would write one anew for each.
_SESSION: Final = f"{Session.run.__module__}.{Session.run.__qualname__}"


class Crowd:
    """The sockets of a run, each in its place.

    :param conns: their numbers.
    :ivar slots: the session in each place. Once all have opened, places whose socket did not open
        are taken out.
    """

    def __init__(
        self,
        plan: Plan,
        context: RunContext,
        observer: CrowdObserver,
        nursery: trio.Nursery,
        gate: Gate,
        conns: Sequence[int],
    ) -> None:
        self.slots: list[Session] = [make_session(conn, context) for conn in conns]
        self.observer = observer
        self._plan = plan
        self._context = context
        self._ledger = context.ledger
        self._nursery = nursery
        self._limiter = gate.limiter
        self._connect_pace = gate.pace
        self._settled = trio.Event()
        self._gave_up = False
        # Of a crowd that changes only.
        self._created = plan.count
        self._slot_of: dict[int, int] = {}
        self._retired: set[Session] = set()
        self._settling = False

    # -- Opening ---------------------------------------------------------------------------

    async def open(
        self, interruption: trio.CancelScope, on_all_open: Callable[[], None] = lambda: None
    ) -> None:
        """Open all sockets; return when each is open or will never be.

        :param interruption: when it is cancelled, sockets that are not open are given up.
        :param on_all_open: called at the moment when all are open.
        """
        if self._context.expect:
            self._nursery.start_soon(greeting.sweep, self._context)

        def on_settled() -> None:
            self._look_whether_settled(on_all_open)

        with self._beginning(on_settled) as begin:
            started = await self._begin_all(begin, interruption)
            self._give_up_opening()
            if started < len(self.slots):
                self._ledger.not_attempted += len(self.slots) - started
                on_settled()
            # Giving up takes a turn of Trio's loop, and nothing that could block.
            await self._settled.wait()
        self.slots = [session for session in self.slots if session.connection is not None]
        self._slot_of = {session.conn: slot for slot, session in enumerate(self.slots)}

    @contextmanager
    def _beginning(self, on_settled: Callable[[], None]) -> Iterator[Callable[[Session], None]]:
        """Return a function that begins to open a session, for which the limiter is held."""
        nursery, limiter = self._nursery, self._limiter
        run, serve = (
            (self._run_generations, self._serve_generations)
            if self._changes
            else (Session.run, Session.serve)
        )
        self._context.attend = lambda session: nursery.start_soon(serve, session, name=_SESSION)

        def go_on(session: Session, begun: Begun | None = None) -> None:
            nursery.start_soon(run, session, limiter, on_settled, begun, name=_SESSION)

        poller = TasklessOpenings.poller_for(self._context)
        if poller is None:
            yield go_on
            return
        nursery.start_soon(self._attend_when_cancelled)
        openings = TasklessOpenings(self._context, poller, limiter, on_settled, go_on)
        with openings.watched(nursery):
            yield openings.begin

    async def _attend_when_cancelled(self) -> NoReturn:
        """Wait to be cancelled, and have a task made for each socket, to be cancelled as well."""
        try:
            await trio.sleep_forever()
        finally:
            for session in self._all():
                session.attend()

    async def _begin_all(
        self, begin: Callable[[Session], None], interruption: trio.CancelScope
    ) -> int:
        """Begin to open all sessions, and wait until each is settled; return how many began."""
        limiter, pace, started = self._limiter, self._connect_pace, 0
        with interruption:
            for session in self.slots:
                if pace.is_limited:
                    await pace.wait_for_turn()
                # Taken here and not by a task: so no task begins before it has something to do.
                try:
                    limiter.acquire_on_behalf_of_nowait(session)
                except trio.WouldBlock:
                    await limiter.acquire_on_behalf_of(session)
                if self._gave_up:
                    limiter.release_on_behalf_of(session)
                    break
                begin(session)
                started += 1
                if started % BATCH == 0:
                    await trio.lowlevel.checkpoint()
            else:
                await self._settled.wait()
        return started

    def _look_whether_settled(self, on_all_open: Callable[[], None]) -> None:
        ledger = self._ledger
        if ledger.settled == ledger.requested:
            if ledger.open == ledger.requested:
                on_all_open()
            self._settled.set()
        elif not ledger.opened and (
            ledger.failed[Failure.TIMEOUT] + ledger.failed[Failure.GREETING]
            == self._plan.connect_concurrency
        ):
            # A whole wave waited in vain: the others would only wait as long, wave by wave.
            self._give_up_opening()

    def _give_up_opening(self) -> None:
        if self._gave_up:  # Each that is given up comes to ask again.
            return
        self._gave_up = True
        for session in self.slots:
            session.give_up_opening()

    # -- Replacing -------------------------------------------------------------------------

    @property
    def _changes(self) -> bool:
        """True if sockets are replaced during the run."""
        return self._plan.lifetime_s is not None or self._plan.storm is not None

    async def change(self) -> None:
        """Replace sockets as the plan says, until cancelled.

        Sockets that are then being replaced stay as they are; see `close`.
        """
        async with trio.open_nursery() as changing:
            if self._plan.lifetime_s is not None:
                changing.start_soon(self._replace_those_of_age, self._plan.lifetime_s)
            if self._plan.storm is not None:
                changing.start_soon(self._storm, self._plan.storm)

    async def _storm(self, storm: Behave) -> NoReturn:
        """Replace the same share of all sockets at once, at each interval."""
        began = trio.current_time()
        count = min(storm.of(len(self.slots)), len(self.slots))
        places = Random(self._plan.seed).sample(range(len(self.slots)), count)
        for number in itertools.count(1):
            await trio.sleep_until(began + number * storm.parameter)
            for place in places:
                self.retire(self.slots[place])
        raise AssertionError("there is always another")

    async def _replace_those_of_age(self, lifetime_s: float) -> NoReturn:
        ages = self.observer.ages
        while True:
            now = trio.current_time()
            while ages and ages[0][0] + lifetime_s <= now:
                self.retire(ages.popleft()[1])
            await trio.sleep(AGE_TICK_S)

    def retire(self, session: Session) -> None:
        """Let another socket take this one's place; do nothing if it has ended.

        Messages that fall due meanwhile wait for the new one.
        """
        if session.connection is None or session.successor is not None:
            return
        following = make_session(self._plan.conn(self._created), self._context)
        self._created += 1
        slot = self._slot_of.pop(session.conn)
        self._slot_of[following.conn] = slot
        self.slots[slot] = session.successor = following
        self._context.reopening += 1
        self._retired.add(session)
        if session.awaits_reply:
            self._nursery.start_soon(self._close_answered, session)
        else:
            session.expect_end()
            session.close(self._nursery)

    async def _close_answered(self, session: Session) -> None:
        with trio.move_on_after(self._plan.stop_timeout_s * AWAIT_SHARE):
            while session.awaits_reply and session.connection is not None:
                await trio.sleep(AGE_TICK_S)
        session.expect_end()
        session.close(self._nursery)

    async def _run_generations(
        self,
        session: Session,
        limiter: trio.CapacityLimiter,
        on_settled: Callable[[], None],
        begun: Begun | None = None,
    ) -> None:
        """Run a socket that holds the limiter, and those that take its place."""
        await session.run(limiter, on_settled, begun)
        await self._run_successors(session)

    async def _serve_generations(self, session: Session) -> None:
        """Serve a socket that is open, and run those that take its place."""
        await session.serve()
        await self._run_successors(session)

    async def _run_successors(self, session: Session) -> None:
        while (following := session.successor) is not None:
            self._retired.discard(session)
            await self._connect_pace.wait_for_turn()
            if self._context.closing or (self._settling and not following.has_backlog):
                self._context.reopening -= 1
                return
            self._ledger.requested += 1
            session = following
            await session.run(self._limiter, self._on_reopening_settled, has_place=False)

    def _on_reopening_settled(self) -> None:
        self._context.reopening -= 1
        self._context.look_whether_any_is_open()

    # -- Closing ---------------------------------------------------------------------------

    async def close(self, interruption: trio.CancelScope) -> None:
        """Await replies in flight, then close every socket, within the stop timeout.

        :param interruption: when it is cancelled, no reply is awaited any more.
        """
        context, ledger, stop_timeout_s = self._context, self._ledger, self._plan.stop_timeout_s
        self._settling = True
        for session in self._all():
            session.prepare_to_close()
        with trio.move_on_after(stop_timeout_s):
            if catch_up_s := self.observer.catch_up_s:
                await trio.sleep(catch_up_s)
            with trio.move_on_after(stop_timeout_s * AWAIT_SHARE), interruption:
                await wait_while(lambda: context.awaits_frames or bool(context.reopening))
            await self._settle()
            self._expect_ends()
            for number, session in enumerate(self._all(), 1):
                session.close(self._nursery)
                if number % BATCH == 0:
                    await trio.lowlevel.checkpoint()
            await wait_while(lambda: bool(ledger.open))
        await self._settle()
        self._expect_ends()
        for session in self._all():
            session.cut()
        # Cut sockets end in the next turn of Trio's loop.
        while ledger.open:
            await trio.sleep(TICK_S)

    async def _settle(self) -> None:
        """Give up sockets that are still opening: from here on the crowd only shrinks."""
        self._context.closing = True
        for session in self.slots:
            session.give_up_opening()
            session.miss_backlog()
        while self._ledger.settled != self._ledger.requested:  # a turn of Trio's loop
            await trio.sleep(TICK_S)

    def _expect_ends(self) -> None:
        for session in self._all():
            session.expect_end()

    def _all(self) -> list[Session]:
        return [*self.slots, *self._retired] if self._retired else self.slots
