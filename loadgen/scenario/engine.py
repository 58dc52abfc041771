"""Run a plan whose users are a script's code: the phases of an engine, with users in them."""

from __future__ import annotations

import dataclasses
from collections.abc import Awaitable, Callable
from typing import Final

import trio

from echo_trio.wire import sockets
from echo_trio.wire.lag import LagWatch
from echo_trio.wire.poller import Poller
from loadgen.engine.context import Observer, RunContext
from loadgen.engine.dialer import Dialer
from loadgen.engine.engine import Engine
from loadgen.engine.gate import Gate
from loadgen.engine.running import Phase
from loadgen.engine.usage import Usage
from loadgen.results.result import Result
from loadgen.results.scenario import ScenarioBooks
from loadgen.scenario import loader
from loadgen.scenario.blocking import BlockingWatch
from loadgen.scenario.context import BOOKS, UserContext
from loadgen.scenario.crowd import UserCrowd
from loadgen.scenario.errors import BadScenario
from loadgen.scenario.phases import Phases
from loadgen.scenario.timetable import Timetable
from loadgen.scenario.trace import Trace
from loadgen.workload.lever import Lever
from loadgen.workload.plan import Plan

#: The time for which replies are taken before the users run whom they wake: some sixty, whose
#: objects are in the processor's caches still. With the poller's own 4 ms a request of 1,000 users
#: took 6 % more CPU, in the median of six pairs; with 0.4 ms as much as with this.
SLICE_S: Final = 0.001


def prepare(plan: Plan) -> Plan:
    """Load a plan's scenario, and check that it can be run so; return the plan with its files.

    With them it is complete for other processes and machines.

    :raises BadScenario: if it can't.
    """
    assert plan.scenario is not None
    script = loader.load(plan.scenario, plan.scenario_files)
    if plan.arrive is not None and not script.are_journeys:
        own = next(each.name for each in script.scenarios if not each.is_journey)
        raise BadScenario(
            f"--arrive begins users who leave again, and {own} waits for the load as a whole: "
            "it has a pace of its own, or user.ready()"
        )
    if plan.arrivals != "even" and plan.arrive is None and not script.has_pace:
        raise BadScenario(
            "--arrivals says when something falls due, and here nothing does: the scenario has no "
            "pace, and without --arrive no user falls due"
        )
    script.check_rows(plan.count_users())
    return dataclasses.replace(plan, scenario_files=script.files)


def make_engine(
    plan: Plan,
    *,
    on_warning: Callable[[str], None] = lambda _: None,
    gate: Callable[[Phase], Awaitable[None]] | None = None,
    on_second: Callable[[], None] = lambda: None,
    trace: Trace | None = None,
) -> Engine:
    """Make the engine of a plan, with a scenario or without; the parameters are `Engine`'s.

    :param trace: prints every frame of a scenario.
    :raises BadScenario: if the plan has a scenario that can't be loaded.
    """
    if plan.scenario is None:
        return Engine(plan, on_warning=on_warning, gate=gate, on_second=on_second)
    return ScenarioEngine(plan, on_warning=on_warning, gate=gate, on_second=on_second, trace=trace)


class ScenarioEngine(Engine):
    """One run of a scenario in this process; the parameters are those of `make_engine`."""

    def __init__(
        self,
        plan: Plan,
        *,
        on_warning: Callable[[str], None] = lambda _: None,
        gate: Callable[[Phase], Awaitable[None]] | None = None,
        on_second: Callable[[], None] = lambda: None,
        trace: Trace | None = None,
    ) -> None:
        self._script = loader.load(plan.scenario or "", plan.scenario_files)
        super().__init__(plan, on_warning=on_warning, gate=gate, on_second=on_second)
        self._trace = trace
        self._scenario = ScenarioBooks()
        # Users open as many sockets as they like.
        self.ledger.requested = 0
        self._crowd: UserCrowd | None = None
        self._context: UserContext | None = None

    def _make_lever(self) -> Lever:
        return self._script.make_lever(self.plan)

    def interrupt(self) -> None:
        """Stop: cancel every user, close every open socket, and have `run` return the result."""
        super().interrupt()
        if self._crowd is not None:
            self._crowd.interrupt()

    def result_so_far(self) -> Result:
        """Return the run up to the last second booked; see `Engine.result_so_far`."""
        result = super().result_so_far()
        fan_out = result.fan_out if self.ledger.published else None
        return dataclasses.replace(result, scenario=self._scenario, fan_out=fan_out)

    def _make_poller(self, watch: LagWatch) -> Poller:
        # Each reply wakes its user's task, and `BlockingWatch` tells turns by where Trio waits.
        return Poller(slice_s=SLICE_S, lag=watch, through_trio=True)

    async def _run_phases(
        self,
        addresses: list[sockets.Address],
        shared_poller: Poller | None,
        nursery: trio.Nursery,
    ) -> None:
        plan, watch = self.plan, BlockingWatch()
        events = self.events or self._matcher
        assert events is not None
        self._context = context = UserContext(
            plan=plan,
            run=RunContext(
                plan,
                Dialer(addresses, plan.sources(), has_stamps=True),
                shared_poller,
                self._books,
                Observer(),
                self._tls,
                self.steering,
            ),
            books=self._scenario,
            phases=Phases(plan.load_s, plan.stop_timeout_s),
            timetable=Timetable(),
            gate=Gate(plan),
            nursery=nursery,
            users=plan.count if plan.shard_of is None else plan.shard_of.sockets,
            events=events,
            trace=self._trace,
        )
        nursery.start_soon(context.timetable.run)
        nursery.start_soon(watch.keep_looking)
        self._crowd = crowd = UserCrowd(context, self._script, watch)
        books = BOOKS.set(self._scenario)
        try:
            with watch.watching(), self.steering.calling(self._take_change):
                await nursery.start(crowd.host)
                if self.interrupted:
                    crowd.interrupt()
                await self._lead(crowd)
        finally:
            BOOKS.reset(books)
        crowd.dismiss()

    def _take_change(self) -> None:
        """Let the users follow a change of the load."""
        context = self._context
        assert context is not None
        context.timetable.retime()
        context.phases.change_load()
        if (at_s := self.steering.coming_s) is not None:
            # A journey goes on when the pause is over, not when that is known.
            context.timetable.add(at_s, context.phases.change_load)

    async def _lead(self, crowd: UserCrowd) -> None:
        """Lead the users through the phases."""
        self._enter(Phase.OPEN)
        await crowd.open(self._new_interruption())
        users = self._scenario.users
        if not users.settled and not self.interrupted and self.ledger.opened:
            self._on_all_open()
        opening_s = self.phase_elapsed_s
        await self._wait_for_others(Phase.LOAD)
        if crowd.has_load and not self.interrupted:
            self._enter(Phase.LOAD)
            self._load_usage = Usage()
            self._scenario.begin_load(opening_s)
            await crowd.load(self._new_interruption())
            self._load_s = self.phase_elapsed_s
            self._load_strain = self._load_usage.strain(self._load_s)
        self._enter(Phase.CLOSE)
        await crowd.close(lambda: self._wait_for_others(Phase.CLOSE))

    def _book_unattempted(self) -> None:
        self._scenario.users.requested = self.plan.count
        if not self.interrupted:
            self.ledger.requested = self.plan.count
        super()._book_unattempted()

    def _settle(self) -> None:
        self._scenario.settle(interrupted=self.interrupted)
        self._scenario.check_identities()
        super()._settle()

    def sort_in(self) -> None:
        """Do as `Engine.sort_in` does, for what the scenario counts as well."""
        self._end_second()
        super().sort_in()

    def _count_errors(self) -> int:
        return super()._count_errors() + self._scenario.users.failed

    def _sample(self) -> None:
        if self._context is not None:
            self._context.compare_clocks()
        self._end_second()
        super()._sample()

    def _end_second(self) -> None:
        self._scenario.end_second(self._books.service, self._books.intended)
