"""A run: open → load → close → result, in one nursery, stoppable at any moment.

Knows nothing of terminals, files or clusters; whoever watches it reads `ledger` and `series`.
"""

from __future__ import annotations

import heapq
import math
import platform
import resource
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final, NoReturn

import trio

from echo_trio.wire import poller, process, sockets
from loadgen.latency import Recorder
from loadgen.ledger import Failure, Ledger
from loadgen.pacing import OpenLoop
from loadgen.plan import Plan
from loadgen.result import GeneratorFacts, Result, Second
from loadgen.session import Books, Session, Terms, now_us

#: The pacer's step: what is due within one goes out together. Trio's clock ticks in milliseconds.
TICK_S: Final = 0.001
#: Messages sent, or sockets closed, between two looks at Trio's other tasks: about 3 ms of work.
BATCH: Final = 256
#: How often the event loop's lag is measured.
LAG_INTERVAL_S: Final = 0.02
#: Of the stop timeout, what replies in flight may use; the rest is for closing.
AWAIT_SHARE: Final = 0.5
SAMPLE_INTERVAL_S: Final = 1.0


class Phase(StrEnum):
    """Where a run is."""

    OPEN = "open"
    LOAD = "load"
    CLOSE = "close"
    DONE = "done"


class Engine:
    """One run of a plan in this process."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.phase = Phase.OPEN
        #: Did somebody ask the run to stop?
        self.interrupted = False
        self.ledger = Ledger(plan.count)
        self.series: list[Second] = []
        self._books = Books(self.ledger)
        self._loop_lag = Recorder()
        self._sessions: list[Session] = []
        self._settled = trio.Event()
        self._interruption = trio.CancelScope()
        self._all_open_after_s: float | None = None
        self._load_s = 0.0
        self._sampled = (0, 0, 0)

    def interrupt(self) -> None:
        """Stop: no more sends, close every open socket, and have `run` return the result."""
        self.interrupted = True
        self._interruption.cancel()

    @property
    def elapsed_s(self) -> float:
        """Seconds since the run began."""
        return trio.current_time() - self._began

    @property
    def phase_elapsed_s(self) -> float:
        """Seconds since its present phase began."""
        return trio.current_time() - self._phase_began

    async def run(self) -> Result:
        """Run the plan to its end, or until `interrupt`.

        Cancelled: every socket is dropped at once and nothing is reported; `interrupt` is the way
        to stop.

        :raises Unbalanced: if the books don't add up.
        """
        self._began = self._phase_began = trio.current_time()
        started_at, cpu_before = datetime.now(UTC), time.process_time()
        addresses = await self._resolve()
        if addresses:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._sample_every_second)
                nursery.start_soon(self._measure_lag)
                await self._run_phases(addresses, nursery)
                nursery.cancel_scope.cancel()
            self._sample()
        self.phase = Phase.DONE
        self.ledger.settle_unanswered(interrupted=self.interrupted)
        self.ledger.check()
        wall_s = self.elapsed_s
        cpu_s = time.process_time() - cpu_before
        return Result(
            plan=self.plan,
            started_at=started_at,
            ended_at=datetime.now(UTC),
            interrupted=self.interrupted,
            ledger=self.ledger,
            all_open_after_s=self._all_open_after_s,
            load_s=self._load_s,
            connect=self._books.connect.total,
            intended=self._books.intended.total,
            service=self._books.service.total,
            scheduling_lag=self._books.scheduling_lag.total,
            loop_lag=self._loop_lag.total,
            generator=GeneratorFacts(
                processes=1,
                cpu_s=cpu_s,
                cpu_share=cpu_s / wall_s if wall_s else 0.0,
                peak_rss_bytes=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
                python=platform.python_version(),
                trio=trio.__version__,
            ),
            series=self.series,
        )

    async def _resolve(self) -> list[sockets.Address]:
        target = self.plan.target
        try:
            return await sockets.resolve(target.host, target.port)
        except socket.gaierror:
            self.ledger.failed[Failure.DNS] = self.plan.count
            return []

    async def _run_phases(self, addresses: list[sockets.Address], nursery: trio.Nursery) -> None:
        shared_poller = poller.Poller() if poller.AVAILABLE else None
        if shared_poller is not None:
            nursery.start_soon(shared_poller.run)
        terms = Terms(self.plan, addresses, shared_poller, self._books)
        await self._open(terms, nursery)
        process.spare_long_lived_objects()
        if self.ledger.open and not self.interrupted:
            self._enter(Phase.LOAD)
            with self._interruptible():
                await self._load(terms, nursery)
            self._load_s = self.phase_elapsed_s
        self._enter(Phase.CLOSE)
        await self._close(terms, nursery)

    def _enter(self, phase: Phase) -> None:
        self.phase = phase
        self._phase_began = trio.current_time()

    @contextmanager
    def _interruptible(self) -> Iterator[None]:
        """A block that `interrupt` leaves at once."""
        with trio.CancelScope() as self._interruption:
            if self.interrupted:
                self._interruption.cancel()
            yield

    # -- Open ------------------------------------------------------------------------------

    async def _open(self, terms: Terms, nursery: trio.Nursery) -> None:
        """Open all sockets; returns when each is open or will never be."""
        limiter = trio.CapacityLimiter(self.plan.connect_concurrency)
        self._sessions = [Session(conn, terms) for conn in range(self.plan.count)]
        with self._interruptible():
            for number, session in enumerate(self._sessions, 1):
                nursery.start_soon(session.run, limiter, self._on_settled)
                if number % BATCH == 0:
                    await trio.lowlevel.checkpoint()
            await self._settled.wait()
        for session in self._sessions:
            session.give_up_opening()
        # Giving up takes a turn of Trio's loop, and nothing that could block.
        await self._settled.wait()
        self._sessions = [session for session in self._sessions if session.connection is not None]

    def _on_settled(self) -> None:
        ledger = self.ledger
        if ledger.open == ledger.requested:
            self._all_open_after_s = self.elapsed_s
        elif not ledger.opened and ledger.failed[Failure.TIMEOUT] == self.plan.connect_concurrency:
            # A whole wave waited in vain: the others would only wait as long, wave by wave.
            for session in self._sessions:
                session.give_up_opening()
        if ledger.settled == ledger.requested:
            self._settled.set()

    # -- Load ------------------------------------------------------------------------------

    async def _load(self, terms: Terms, nursery: trio.Nursery) -> None:
        if self.plan.closed_loop:
            await self._load_closed_loop(terms, nursery)
        else:
            await self._load_open_loop(nursery)

    async def _load_open_loop(self, nursery: trio.Nursery) -> None:
        plan, live = self.plan, self._sessions
        pace = OpenLoop.of(len(live), plan.rate_per_conn, plan.duration_s, plan.messages)
        began, began_us = trio.current_time(), now_us()
        sent = 0
        while sent < pace.total:
            due = min(pace.due_by(trio.current_time() - began), sent + BATCH)
            for k in range(sent, due):
                due_us = began_us + int(pace.due_at(k) * 1_000_000)
                live[pace.socket_of(k)].send(due_us, nursery)
            sent = due
            if sent < pace.total:
                next_due = began + pace.due_at(sent)
                await trio.sleep_until(max(next_due, trio.current_time() + TICK_S))
        if plan.messages is None:
            await trio.sleep_until(began + plan.duration_s)

    async def _load_closed_loop(self, terms: Terms, nursery: trio.Nursery) -> None:
        plan = self.plan
        thinking: list[tuple[float, int, Session]] = []

        def on_answered(session: Session) -> str | None:
            if session.sent == plan.messages:
                return None
            if not plan.think_s:
                return session.compose_next()
            due = trio.current_time() + plan.think_s
            heapq.heappush(thinking, (due, session.conn, session))
            return None

        terms.on_answered = on_answered
        ends = trio.current_time() + plan.duration_s if plan.messages is None else math.inf
        with trio.move_on_at(ends):
            for number, session in enumerate(self._sessions, 1):
                session.send(now_us(), nursery)
                if number % BATCH == 0:
                    await trio.sleep(TICK_S)
            await self._until_all_answered(thinking, nursery)
        terms.on_answered = None

    async def _until_all_answered(
        self, thinking: list[tuple[float, int, Session]], nursery: trio.Nursery
    ) -> None:
        """Send after thinking, until nobody has anything to send or to wait for.

        A reply that never comes would hold its socket for ever: when nothing at all has arrived
        for the stop timeout beyond the time to think, that is the end too.
        """
        ledger, patience_s = self.ledger, self.plan.think_s + self.plan.stop_timeout_s
        progress, progress_at = -1, 0.0
        while thinking or ledger.unanswered:
            now = trio.current_time()
            while thinking and thinking[0][0] <= now:
                due, _, session = heapq.heappop(thinking)
                session.send(now_us() - int((now - due) * 1_000_000), nursery)
            if ledger.sent + ledger.received > progress:
                progress, progress_at = ledger.sent + ledger.received, now
            elif now - progress_at > patience_s:
                return
            await trio.sleep(TICK_S)

    # -- Close -----------------------------------------------------------------------------

    async def _close(self, terms: Terms, nursery: trio.Nursery) -> None:
        """Await replies in flight, then close every socket, within the stop timeout."""
        stop_timeout_s = self.plan.stop_timeout_s
        with trio.move_on_after(stop_timeout_s):
            with trio.move_on_after(stop_timeout_s * AWAIT_SHARE), self._interruptible():
                while self.ledger.unanswered:
                    await trio.sleep(TICK_S)
            terms.closing = True
            for number, session in enumerate(self._sessions, 1):
                session.close(nursery)
                if number % BATCH == 0:
                    await trio.lowlevel.checkpoint()
            while self.ledger.open:
                await trio.sleep(TICK_S)
        terms.closing = True
        for session in self._sessions:
            session.cut()
        # Cut sockets end in the next turn of Trio's loop.
        while self.ledger.open:
            await trio.sleep(TICK_S)

    # -- Watching --------------------------------------------------------------------------

    async def _measure_lag(self) -> NoReturn:
        """Measure how late the event loop is: the generator's own contribution to any latency."""
        while True:
            due = trio.current_time() + LAG_INTERVAL_S
            await trio.sleep_until(due)
            self._loop_lag.record(int((trio.current_time() - due) * 1_000_000))

    async def _sample_every_second(self) -> NoReturn:
        due = self._began
        while True:
            due += SAMPLE_INTERVAL_S
            await trio.sleep_until(due)
            self._sample()

    def _sample(self) -> None:
        """Book the second that ends now."""
        ledger, previous = self.ledger, self._sampled
        self._sampled = (ledger.sent, ledger.received, ledger.errors)
        sent, received, errors = (
            now - before for now, before in zip(self._sampled, previous, strict=True)
        )
        books = self._books
        p50, p99 = books.intended.end_second().percentiles_us([50, 99])
        for recorder in (books.connect, books.service, books.scheduling_lag):
            recorder.end_second()
        self.series.append(
            Second(
                t_s=round(self.elapsed_s, 3),
                open=ledger.open,
                opening=ledger.requested - ledger.settled if self.phase is Phase.OPEN else 0,
                sent=sent,
                received=received,
                errors=errors,
                p50_ms=p50 / 1000,
                p99_ms=p99 / 1000,
                lag_ms=self._loop_lag.end_second().max / 1000,
            )
        )
