"""Run a plan: preflight → open → load → close → result, in one nursery, stoppable at any moment.

The engine knows nothing of terminals, files or clusters; its observers read `ledger` and `series`.
"""

from __future__ import annotations

import math
import socket
import ssl
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Final, NoReturn

import trio

from echo_trio.wire import poller, sockets
from echo_trio.wire.lag import LagWatch
from echo_trio.wire.poller import Poller
from echo_trio.wire.tls import CertificateUnusable
from loadgen.engine import load_phase
from loadgen.engine.books import Books
from loadgen.engine.context import RunContext
from loadgen.engine.crowd import Crowd
from loadgen.engine.dialer import Dialer, make_tls_context, reachable_from
from loadgen.engine.gate import Gate
from loadgen.engine.misbehaving import RECEIVE_BUFFER_BYTES, Misbehaving, MisbehavingCrowd
from loadgen.engine.observer import CrowdObserver
from loadgen.engine.running import Phase, find_why_not
from loadgen.engine.steering import Steering
from loadgen.engine.usage import Usage
from loadgen.preflight import check, machine
from loadgen.preflight.check import Refused
from loadgen.results.fan_out import EventLog, Matcher
from loadgen.results.latency import Recorder
from loadgen.results.ledger import Failure, Ledger
from loadgen.results.result import Result, Strain
from loadgen.results.series import Second
from loadgen.workload.lever import Lever, NotLoading, Wanted
from loadgen.workload.misbehaviour import Behave, Kind
from loadgen.workload.plan import Plan

#: The interval of measuring the event loop's lag, of a run in one process; and the longest of each
#: process where several measure. A look is a wake-up for nothing else: six processes that looked
#: every 20 ms took 2 % of a core for it.
LAG_INTERVAL_US: Final = 20_000
LONGEST_LAG_INTERVAL_US: Final = 50_000
SAMPLE_INTERVAL_S: Final = 1.0


class Engine:
    """One run of a plan in this process.

    :param on_warning: called with each warning of preflight, one line.
    :param gate: awaited before the phases open, load and close: where this is one of several
        processes that go through them together.
    :param on_second: called as each second is booked, with no message in between.
    """

    def __init__(
        self,
        plan: Plan,
        *,
        on_warning: Callable[[str], None] = lambda _: None,
        gate: Callable[[Phase], Awaitable[None]] | None = None,
        on_second: Callable[[], None] = lambda: None,
    ) -> None:
        self.plan = plan
        self._on_warning = on_warning
        self._gate = gate
        self._on_second = on_second
        self._tls: ssl.SSLContext | None = None
        self._unresolved = ""
        self.phase: Phase = Phase.PREFLIGHT
        #: Is the run to stop?
        self.interrupted: bool = False
        self._conns, self._apart = plan.conns()
        self.ledger: Ledger = Ledger(len(self._conns))
        #: The books of those that misbehave on purpose, by how.
        self.apart: dict[Kind, Ledger] = {
            kind: Ledger(len(conns)) for kind, conns in self._apart.items()
        }
        self.series: list[Second] = []
        #: The rate of the load, and its changes by hand; of one of several processes, nothing.
        self.lever: Lever = self._make_lever()
        self.steering: Steering = Steering()
        self._books = Books(self.ledger)
        self._books_apart = {kind: Books(ledger) for kind, ledger in self.apart.items()}
        self.all_books: tuple[Books, ...] = (self._books, *self._books_apart.values())
        is_fan_out = plan.has_rooms
        #: In one of several processes: what happens in the rooms, for who runs them all.
        self.events: EventLog | None = EventLog() if is_fan_out and gate is not None else None
        self._matcher = Matcher(self.ledger) if is_fan_out and gate is None else None
        self._loop_lag = Recorder()
        # The report has this one: opening sockets holds the loop up, and makes no message late.
        self._load_lag = Recorder()
        shards = 1 if plan.shard_of is None else plan.shard_of.shards
        self._lag_interval_us = min(shards * LAG_INTERVAL_US, LONGEST_LAG_INTERVAL_US)
        self._interruptions: list[trio.CancelScope] = []
        self._began = self._phase_began = math.nan
        self._all_open_after_s: float | None = None
        self._load_s = 0.0
        self._sampled = (0, 0, 0)
        self._second_booked = trio.lowlevel.ParkingLot()
        self._started_at = datetime.now(UTC)
        self._usage = self._load_usage = Usage()
        self._load_strain = Strain()

    def interrupt(self) -> None:
        """Stop: send no more, close every open socket, and let `run` return the result."""
        self.interrupted = True
        for scope in self._interruptions:
            scope.cancel()

    def steer(self, wanted: Wanted) -> None:
        """Change the load from now on.

        :raises NotLoading: if the run is not in its load phase.
        :raises BadChange: if this load can't be changed so.
        """
        if why := find_why_not(self):
            raise NotLoading(why)
        load_s = self.phase_elapsed_s
        if self.lever.pull(wanted, t_s=self.elapsed_s, load_s=load_s):
            self.steering.turn(load_s, self.lever.speed)

    def _make_lever(self) -> Lever:
        return Lever(self.plan)

    @property
    def elapsed_s(self) -> float:
        """Seconds since the run began."""
        return trio.current_time() - self._began

    @property
    def phase_elapsed_s(self) -> float:
        """Seconds since its present phase began."""
        return trio.current_time() - self._phase_began

    async def wait_for_second(self) -> None:
        """Wait until the next second of the run is booked: `series` then has one more."""
        await self._second_booked.park()

    def result_so_far(self) -> Result:
        """Return the run up to the last second booked; its messages and sockets may be unsettled.

        It shares objects that go on changing: read it before the next checkpoint.
        """
        load_s, strain = self._load_s, self._load_strain
        if self.phase is Phase.LOAD:
            load_s = self.phase_elapsed_s
            strain = self._load_usage.strain(load_s)
        return Result(
            plan=self.plan,
            started_at=self._started_at,
            ended_at=datetime.now(UTC),
            interrupted=self.interrupted,
            ledger=self.ledger,
            all_open_after_s=self._all_open_after_s,
            load_s=load_s,
            connect=self._books.connect.total,
            intended=self._books.intended.total,
            service=self._books.service.total,
            scheduling_lag=self._books.scheduling_lag.total,
            loop_lag=self._load_lag.total,
            generator=self._usage.facts(self.elapsed_s),
            load_strain=strain,
            series=self.series,
            apart=self.apart,
            fan_out=None if self._matcher is None else self._matcher.result(),
            changes=self.lever.changes,
        )

    async def run(self) -> Result:
        """Run the plan to its end, or until `interrupt`.

        Cancelled: every socket is dropped at once and nothing is reported; `interrupt` is the way
        to stop.

        :raises Refused: if preflight finds that this can't work; nothing was tried then.
        :raises Unbalanced: if the ledger doesn't add up.
        """
        self._began = self._phase_began = trio.current_time()
        self._started_at, self._usage = datetime.now(UTC), Usage()
        addresses = await self._check_machine()
        if addresses:
            await self._wait_for_others(Phase.OPEN)
            if self._gate is not None:
                self._began, self._started_at = trio.current_time(), datetime.now(UTC)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._sample_every_second)
                await self._run_phases(addresses, await self._start_poller(nursery), nursery)
                nursery.cancel_scope.cancel()
        self.phase = Phase.DONE
        self._settle()
        self._sample()
        return self.result_so_far()

    def _settle(self) -> None:
        """Put what is open at the end into its column, and check that all adds up.

        :raises Unbalanced: if it doesn't.
        """
        if self._matcher is not None:
            self._matcher.finish(interrupted=self.interrupted)
        for ledger in (self.ledger, *self.apart.values()):
            ledger.settle_unanswered(interrupted=self.interrupted)
            ledger.check()

    async def _check_machine(self) -> list[sockets.Address]:
        """Do the preflight; return the target's addresses, if this machine can run the plan.

        :raises Refused: if it can't.
        """
        plan, sources = self.plan, self.plan.sources()
        addresses = await self._resolve()
        with self._new_interruption():
            if addresses and not (reachable := reachable_from(addresses, sources)):
                raise Refused(f"--source-ip: {plan.target.host} has no address of that family")
            if addresses:
                facts = await trio.to_thread.run_sync(
                    machine.gather, reachable, sources, abandon_on_cancel=True
                )
                for warning in [*check.check(plan, facts), *plan.payloads().notes]:
                    self._on_warning(warning)
                try:
                    self._tls = make_tls_context(plan)
                except CertificateUnusable as exc:
                    raise Refused(f"wss: {exc.strerror}") from None
                return reachable
        self._book_unattempted()
        return []

    def _book_unattempted(self) -> None:
        for ledger in (self.ledger, *self.apart.values()):
            if self.interrupted:
                ledger.not_attempted = ledger.requested
            else:
                ledger.failed[Failure.DNS] = ledger.requested
                ledger.details[Failure.DNS, self._unresolved] = ledger.requested

    async def _resolve(self) -> list[sockets.Address]:
        """Resolve the target's addresses; an empty list if there are none."""
        host, port = self.plan.dialled
        self._unresolved = f"{host}: no answer within --connect-timeout"
        with self._new_interruption(), trio.move_on_after(self.plan.connect_timeout_s):
            try:
                return await sockets.resolve(host, port)
            except socket.gaierror as exc:
                self._unresolved = f"{host}: {exc.strerror}"
            except UnicodeError:  # a label of more than 63 letters
                self._unresolved = f"{host}: no name in the DNS is written so"
        return []

    async def _start_poller(self, nursery: trio.Nursery) -> Poller | None:
        """Begin to wait for sockets, if this system can for all together, and to watch the loop."""
        watch = LagWatch(self._lag_interval_us / 1_000_000, self._book_look)
        if not poller.AVAILABLE:
            nursery.start_soon(watch.run)
            return None
        shared_poller = self._make_poller(watch)
        await nursery.start(shared_poller.run)
        return shared_poller

    def _make_poller(self, watch: LagWatch) -> Poller:
        return Poller(lag=watch)

    async def _run_phases(
        self,
        addresses: list[sockets.Address],
        shared_poller: Poller | None,
        nursery: trio.Nursery,
    ) -> None:
        plan, gate = self.plan, Gate(self.plan)
        self._enter(Phase.OPEN)
        dialer = Dialer(addresses, plan.sources())
        observer = CrowdObserver(plan, nursery)
        context = RunContext(
            plan, dialer, shared_poller, self._books, observer, self._tls, self.steering
        )
        context.fan_out = self.events or self._matcher
        crowd = Crowd(plan, context, observer, nursery, gate, self._conns)
        others = [
            self._make_apart(each, addresses, shared_poller, nursery, gate)
            for each in plan.behave
            if each.kind in self.apart
        ]
        async with trio.open_nursery() as opening:
            for other in others:
                opening.start_soon(other.crowd.open, self._new_interruption())
            await crowd.open(self._new_interruption(), self._on_all_open)
        await self._wait_for_others(Phase.LOAD)
        if self.ledger.open and not self.interrupted:
            self._enter(Phase.LOAD)
            self._load_usage = Usage()
            with self._new_interruption(), observer.loading():
                async with trio.open_nursery() as loading:
                    loading.start_soon(crowd.change)
                    # All send what fell due in the load, however late this machine is.
                    async with trio.open_nursery() as sending:
                        for other in others:
                            sending.start_soon(other.run_load, nursery)
                        await load_phase.run(plan.part(len(self._conns)), crowd, context, nursery)
                    loading.cancel_scope.cancel()
            self._load_s = self.phase_elapsed_s
            self._load_strain = self._load_usage.strain(self._load_s)
        await self._wait_for_others(Phase.CLOSE)
        self._enter(Phase.CLOSE)
        async with trio.open_nursery() as closing:
            for other in others:
                closing.start_soon(other.crowd.close, self._new_interruption())
            await crowd.close(self._new_interruption())

    def _make_apart(
        self,
        behave: Behave,
        addresses: list[sockets.Address],
        shared_poller: Poller | None,
        nursery: trio.Nursery,
        gate: Gate,
    ) -> MisbehavingCrowd:
        conns = self._apart[behave.kind]
        is_slow = behave.kind is Kind.SLOW_READER
        dialer = Dialer(
            addresses,
            self.plan.sources(),
            receive_buffer_bytes=RECEIVE_BUFFER_BYTES if is_slow else None,
        )
        plan = self.plan.part(len(conns)).without_churn()
        observer, books = Misbehaving(behave, plan, nursery), self._books_apart[behave.kind]
        context = RunContext(plan, dialer, shared_poller, books, observer, self._tls, self.steering)
        context.payloads = self.plan.payloads()
        crowd = Crowd(plan, context, observer, nursery, gate, conns)
        return MisbehavingCrowd(behave, plan, context, crowd)

    async def _wait_for_others(self, phase: Phase) -> None:
        if self._gate is not None:
            with self._new_interruption():
                await self._gate(phase)

    def _enter(self, phase: Phase) -> None:
        self.phase = phase
        self._phase_began = trio.current_time()
        if phase is Phase.LOAD:
            self.steering.begin()

    def _new_interruption(self) -> trio.CancelScope:
        """Make a scope that `interrupt` cancels, at once if it was called already."""
        scope = trio.CancelScope()
        self._interruptions.append(scope)
        if self.interrupted:
            scope.cancel()
        return scope

    def _on_all_open(self) -> None:
        self._all_open_after_s = self.elapsed_s

    # -- Watching --------------------------------------------------------------------------

    def _book_look(self, late_s: float) -> None:
        """Book how late the event loop is: the generator's own contribution to any latency."""
        # Looks that fell due while the loop stood still would have found it late as well: without
        # them a stop of two seconds would be one look in a thousand.
        for late_us in range(int(late_s * 1_000_000), -1, -self._lag_interval_us):
            self._loop_lag.record(late_us)
            if self.phase is Phase.LOAD:
                self._load_lag.record(late_us)

    async def _sample_every_second(self) -> NoReturn:
        while True:
            # Counted from the beginning; seconds that the loop was held up for become one.
            number = math.floor(self.elapsed_s / SAMPLE_INTERVAL_S) + 1
            await trio.sleep_until(self._began + number * SAMPLE_INTERVAL_S)
            self._sample()

    def sort_in(self) -> None:
        """Let the result so far agree with the ledger, in the middle of a second."""
        for books in self.all_books:
            books.sort_in()

    def _count_errors(self) -> int:
        return self.ledger.errors

    def _sample(self) -> None:
        """Book the second that ends now."""
        ledger, previous = self.ledger, self._sampled
        self._sampled = (ledger.sent, ledger.received, self._count_errors())
        sent, received, errors = (
            now - before for now, before in zip(self._sampled, previous, strict=True)
        )
        second, *_ = [books.end_second() for books in self.all_books]
        p50_ms, p99_ms = second.percentiles_ms([50, 99])
        self._load_lag.end_second()
        if self._matcher is not None:
            self._matcher.end_second()
        self.series.append(
            Second(
                t_s=round(self.elapsed_s, 3),
                open=ledger.open,
                opening=ledger.requested - ledger.settled,
                sent=sent,
                received=received,
                errors=errors,
                p50_ms=p50_ms,
                p99_ms=p99_ms,
                lag_ms=self._loop_lag.end_second().max_ms,
            )
        )
        self._on_second()
        self._second_booked.unpark_all()
