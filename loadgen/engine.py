"""A run: open → load → close → result, in one nursery, stoppable at any moment.

Knows nothing of terminals, files or clusters; whoever watches it reads `ledger` and `series`.
"""

from __future__ import annotations

import heapq
import math
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final, NoReturn

import trio

from echo_trio.wire import poller, sockets
from loadgen.latency import Recorder
from loadgen.ledger import Failure, Ledger
from loadgen.pacing import OpenLoop
from loadgen.plan import Plan
from loadgen.result import Result, Second, Strain
from loadgen.session import Books, Session, Terms, now_us
from loadgen.usage import Usage

#: The pacer's step: what is due within one goes out together. Trio's clock ticks in milliseconds.
TICK_S: Final = 0.001
#: Messages sent, or sockets closed, between two looks at Trio's other tasks: about 3 ms of work.
BATCH: Final = 256
#: How often the event loop's lag is measured.
LAG_INTERVAL_S: Final = 0.02
LAG_INTERVAL_US: Final = 20_000
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
        # The report has this one: opening sockets holds the loop up, and makes no message late.
        self._load_lag = Recorder()
        self._sessions: list[Session] = []
        self._settled = trio.Event()
        self._interruption = trio.CancelScope()
        self._loading = trio.CancelScope()
        self._began = self._phase_began = math.nan
        self._all_open_after_s: float | None = None
        self._load_s = 0.0
        self._sampled = (0, 0, 0)
        self._second_booked = trio.lowlevel.ParkingLot()
        self._started_at = datetime.now(UTC)
        self._usage = self._load_usage = Usage()
        self._load_strain = Strain()

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

    async def wait_for_second(self) -> None:
        """Wait until the next second of the run is booked: `series` then has one more."""
        await self._second_booked.park()

    def result_so_far(self) -> Result:
        """The run up to the last second booked; the messages and sockets in it may be unsettled.

        Shares what goes on changing: to be read before the next checkpoint.
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
        )

    async def run(self) -> Result:
        """Run the plan to its end, or until `interrupt`.

        Cancelled: every socket is dropped at once and nothing is reported; `interrupt` is the way
        to stop.

        :raises Unbalanced: if the books don't add up.
        """
        self._began = self._phase_began = trio.current_time()
        self._started_at, self._usage = datetime.now(UTC), Usage()
        addresses = await self._resolve()
        if addresses:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._sample_every_second)
                nursery.start_soon(self._measure_lag)
                await self._run_phases(addresses, nursery)
                nursery.cancel_scope.cancel()
        self.phase = Phase.DONE
        self.ledger.settle_unanswered(interrupted=self.interrupted)
        self.ledger.check()
        self._sample()
        return self.result_so_far()

    async def _resolve(self) -> list[sockets.Address]:
        """The target's addresses; if there are none to be had, that is booked for every socket."""
        target, ledger = self.plan.target, self.ledger
        with self._interruptible(), trio.move_on_after(self.plan.connect_timeout_s):
            try:
                return await sockets.resolve(target.host, target.port)
            except (socket.gaierror, UnicodeError):  # the latter: a label of more than 63 letters
                pass
        if self.interrupted:
            ledger.not_attempted = ledger.requested
        else:
            ledger.failed[Failure.DNS] = ledger.requested
        return []

    async def _run_phases(self, addresses: list[sockets.Address], nursery: trio.Nursery) -> None:
        shared_poller = poller.Poller() if poller.AVAILABLE else None
        if shared_poller is not None:
            nursery.start_soon(shared_poller.run)
        terms = Terms(self.plan, addresses, shared_poller, self._books)
        await self._open(terms, nursery)
        if self.ledger.open and not self.interrupted:
            self._enter(Phase.LOAD)
            self._load_usage = Usage()
            with self._interruptible(), self._loading:
                # Nothing can be sent or held open when the last socket is gone.
                terms.on_none_open = self._loading.cancel
                await self._load(terms, nursery)
            self._load_s = self.phase_elapsed_s
            self._load_strain = self._load_usage.strain(self._load_s)
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
        started = 0
        with self._interruptible():
            for session in self._sessions:
                nursery.start_soon(session.run, limiter, self._on_settled)
                started += 1
                if started % BATCH == 0:
                    await trio.lowlevel.checkpoint()
            await self._settled.wait()
        self._give_up_opening()
        if started < len(self._sessions):
            self.ledger.not_attempted += len(self._sessions) - started
            self._on_settled()
        # Giving up takes a turn of Trio's loop, and nothing that could block.
        await self._settled.wait()
        self._sessions = [session for session in self._sessions if session.connection is not None]

    def _on_settled(self) -> None:
        ledger = self.ledger
        if ledger.open == ledger.requested:
            self._all_open_after_s = self.elapsed_s
        elif not ledger.opened and ledger.failed[Failure.TIMEOUT] == self.plan.connect_concurrency:
            # A whole wave waited in vain: the others would only wait as long, wave by wave.
            self._give_up_opening()
        if ledger.settled == ledger.requested:
            self._settled.set()

    def _give_up_opening(self) -> None:
        for session in self._sessions:
            session.give_up_opening()

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
        else:
            patience = Patience(self.ledger, plan.stop_timeout_s)
            while self.ledger.awaited and not patience.is_exhausted():
                await trio.sleep(TICK_S)

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
        try:
            with trio.move_on_at(ends):
                for number, session in enumerate(self._sessions, 1):
                    session.send(now_us(), nursery)
                    if number % BATCH == 0:
                        await trio.sleep(TICK_S)
                await self._send_after_thinking(thinking, nursery)
        finally:
            terms.on_answered = None

    async def _send_after_thinking(
        self, thinking: list[tuple[float, int, Session]], nursery: trio.Nursery
    ) -> None:
        """Send what is due, until nobody thinks or waits for a reply."""
        # With --messages no duration bounds this.
        bounded = self.plan.messages is not None
        limit_s = self.plan.think_s + self.plan.stop_timeout_s if bounded else math.inf
        patience = Patience(self.ledger, limit_s)
        while (thinking or self.ledger.awaited) and not patience.is_exhausted():
            now = trio.current_time()
            while thinking and thinking[0][0] <= now:
                due, _, session = heapq.heappop(thinking)
                session.send(now_us() - int((now - due) * 1_000_000), nursery)
            await trio.sleep(TICK_S)

    # -- Close -----------------------------------------------------------------------------

    async def _close(self, terms: Terms, nursery: trio.Nursery) -> None:
        """Await replies in flight, then close every socket, within the stop timeout."""
        stop_timeout_s = self.plan.stop_timeout_s
        with trio.move_on_after(stop_timeout_s):
            with trio.move_on_after(stop_timeout_s * AWAIT_SHARE), self._interruptible():
                while self.ledger.awaited:
                    await trio.sleep(TICK_S)
            self._expect_ends(terms)
            for number, session in enumerate(self._sessions, 1):
                session.close(nursery)
                if number % BATCH == 0:
                    await trio.lowlevel.checkpoint()
            while self.ledger.open:
                await trio.sleep(TICK_S)
        self._expect_ends(terms)
        for session in self._sessions:
            session.cut()
        # Cut sockets end in the next turn of Trio's loop.
        while self.ledger.open:
            await trio.sleep(TICK_S)

    def _expect_ends(self, terms: Terms) -> None:
        terms.closing = True
        for session in self._sessions:
            session.expect_end()

    # -- Watching --------------------------------------------------------------------------

    async def _measure_lag(self) -> NoReturn:
        """Measure how late the event loop is: the generator's own contribution to any latency."""
        while True:
            due = trio.current_time() + LAG_INTERVAL_S
            await trio.sleep_until(due)
            lag_us = int((trio.current_time() - due) * 1_000_000)
            # Looks that fell due while the loop stood still would have found it late as well:
            # without them a stop of two seconds would be one look in a thousand.
            for late_us in range(max(lag_us, 0), -1, -LAG_INTERVAL_US):
                self._loop_lag.record(late_us)
                if self.phase is Phase.LOAD:
                    self._load_lag.record(late_us)

    async def _sample_every_second(self) -> NoReturn:
        while True:
            # Counted from the beginning; seconds that the loop was held up for become one.
            number = math.floor(self.elapsed_s / SAMPLE_INTERVAL_S) + 1
            await trio.sleep_until(self._began + number * SAMPLE_INTERVAL_S)
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
        for recorder in (books.connect, books.service, books.scheduling_lag, self._load_lag):
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
        self._second_booked.unpark_all()


class Patience:
    """How long to wait for replies that may never come: as long as anything at all happens.

    :param limit_s: and so long beyond.
    """

    def __init__(self, ledger: Ledger, limit_s: float) -> None:
        self._ledger = ledger
        self._limit_s = limit_s
        self._progress = -1
        self._progress_at = 0.0

    def is_exhausted(self) -> bool:
        """Has nothing been sent or received for the whole limit?"""
        now, progress = trio.current_time(), self._ledger.sent + self._ledger.received
        if progress != self._progress:
            self._progress, self._progress_at = progress, now
        return now - self._progress_at > self._limit_s
