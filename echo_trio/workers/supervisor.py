"""Supervise several processes on one port: start and watch them, replace dead ones, drain them all.

The supervisor makes every worker's listening socket and keeps a copy of each. So the connections
that wait for a worker that dies wait for the next one in its place, and are not reset; and the port
stays taken, whichever process dies.
"""

from __future__ import annotations

import signal
import socket
import time
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from math import inf
from typing import Any, Final, NoReturn, Self

import trio

from echo_trio.forks.starter import Process, Starter
from echo_trio.metrics import totals
from echo_trio.metrics.counters import Outcome, ServerSnapshot
from echo_trio.metrics.durations import Recent
from echo_trio.metrics.nursery_tree import TaskNode, current_tasks
from echo_trio.metrics.vitals import Vitals
from echo_trio.process_channel import Channel
from echo_trio.proxy.switch import read_faults
from echo_trio.server import proxy_of, tls_context_of, url_of
from echo_trio.settings import Settings
from echo_trio.wire import sockets
from echo_trio.wire.close_codes import GOING_AWAY
from echo_trio.workers.channel import (
    AskReport,
    Drain,
    FaultsSet,
    Order,
    Ready,
    Reload,
    Report,
    SetFaults,
    ShowTasks,
    SnapshotReport,
    Start,
    Tasks,
    supervisor_end,
)

#: The module that a worker runs.
WORKER: Final = "echo_trio.workers.worker"
#: The pause between the death of a worker and the start of the next: the first time; and while they
#: keep dying at once, twice as long each time, up to the longest.
FIRST_PAUSE_S: Final = 0.1
LONGEST_PAUSE_S: Final = 30.0
#: A worker that lived this long did not die at once.
LONG_LIFE_S: Final = 10.0
#: While the pause is longer than this, we close the place's listening sockets, so that the kernel
#: gives new connections to other workers.
QUEUE_PATIENCE_S: Final = 1.0
#: The end of the drain timeout that is the supervisor's own. Workers should have ended before; at
#: its beginning those that are stuck are killed, and in it they are reaped and this process ends.
OWN_END_S: Final = 0.6
#: The time for a process to end that has closed its channel, or was killed.
REAP_S: Final = 5.0
#: The time for a worker's answer to a question.
ANSWER_S: Final = 2.0
#: The same for a change of faults, whose answer says that it holds: a busy worker is waited for.
CHANGE_S: Final = 10.0


class WorkerFailed(Exception):
    """A worker ended before any worker in its place had served."""


@dataclass(eq=False, slots=True)
class _Place:
    """One worker's place: the successor of a worker that died has its number and its sockets.

    :ivar channel: to the worker, while there is one that serves.
    :ivar now: the worker's last report; ``None`` while there is none that serves.
    :ivar answered: the number of the last question that a report has answered.
    :ivar past: the counts of its predecessors.
    :ivar tree: its tasks, when it was asked for them.
    :ivar faults: those of its pairs, of a proxy.
    """

    number: int
    settings: Settings
    listeners: list[socket.socket]
    process: Process | None = None
    channel: Channel[Order, Report] | None = None
    now: ServerSnapshot | None = None
    answered: int = 0
    past: ServerSnapshot = field(default_factory=totals.nothing)
    tree: TaskNode | None = None
    told_tree: trio.Event = field(default_factory=trio.Event)
    faults: str = ""

    def stop_listening(self) -> None:
        """Close our copies of its sockets: once no worker has them either, the port is free."""
        for listener in self.listeners:
            listener.close()
        self.listeners = []


class Supervisor:
    """Workers on one port, used like an `EchoServer`: made by `listen`, it lives in `run`.

    :ivar url: the URL that clients connect to.
    """

    def __init__(
        self, settings: Settings, listeners: list[socket.socket], log: Any, starter: Starter
    ) -> None:
        self.url: str = url_of(listeners, tls=settings.tls_cert is not None)
        self._log = log
        self._starter = starter
        self._settings = settings
        self._reload = trio.Event()
        self._reloads = 0
        self._drain_timeout_s = settings.drain_timeout_s
        self._own_end_s = min(OWN_END_S, settings.drain_timeout_s / 4)
        self._addresses = sockets.share(listeners)
        self._places = [
            _Place(number, its_settings, sockets.join(self._addresses) if number > 1 else listeners)
            for number, its_settings in enumerate(share(settings), start=1)
        ]
        self._drain = trio.Event()
        self._drain_began_s = inf
        self._peak_open = 0
        self._echo, self._loop_lag = Recent(), Recent()
        self._vitals = Vitals()
        self._started_s = time.monotonic()
        self._asking = trio.Lock()
        self._asked = 0
        self._ask = trio.Event()
        self._told = trio.Event()
        self._faults = settings.fault
        self._faults_changed = trio.Event()
        self._faults_set = trio.Event()

    @classmethod
    def listen(cls, settings: Settings, log: Any, starter: Starter | None = None) -> Self:
        """Listen as the settings say, once for each worker, without accepting yet.

        :param starter: starts the workers, and ends with `run`.
        :raises OSError: if the address can't be had (another instance of this server may have it),
            or the certificate can't be used, which each worker reads by itself, and its successor
            again.
        """
        tls_context_of(settings)
        proxy_of(settings)
        listeners = sockets.listen(settings.host, settings.port)
        return cls(settings, listeners, log, starter or Starter(WORKER))

    @property
    def open(self) -> int:
        """The number of open connections."""
        return sum(place.now.open for place in self._places if place.now)

    async def ask(self) -> ServerSnapshot:
        """Add up all workers as they are now.

        One that doesn't answer within `ANSWER_S` is in it as it was at most a second ago.
        """
        self._asked += 1
        number = self._asked
        self._ask.set()
        self._ask = trio.Event()
        with trio.move_on_after(ANSWER_S):
            while any(
                place.channel is not None and place.answered < number for place in self._places
            ):
                await self._told.wait()
        return self.snapshot()

    def snapshot(self) -> ServerSnapshot:
        """Add up all workers as they were at most a second ago. Call it in a Trio task.

        The messages and bytes of a worker with very many connections may be older, see `Reports`.
        """
        total = self._total()
        living = [place.now for place in self._places if place.now]
        lags = [now.loop_lag_ms.max for now in living]
        echoes = [now.echo_ms.max for now in living]
        total = replace(
            total,
            url=self.url,
            uptime_s=round(time.monotonic() - self._started_s, 3),
            workers=len(living),
            upstream=self._settings.upstream,
            faults=self.faults,
            draining=self._drain.is_set(),
            peak_open=self._peak_open,
            echo_ms=self._echo.spread(total.histograms.echo_s, max(echoes, default=0) / 1000),
            loop_lag_ms=self._loop_lag.spread(
                total.histograms.loop_lag_s, max(lags, default=0) / 1000
            ),
        )
        return totals.with_holdings(total, self._vitals.holdings())

    async def tasks(self) -> TaskNode:
        """Return this process's nursery tree, and below it those of the workers that answer."""
        async with self._asking, trio.open_nursery() as nursery:
            for place in self._places:
                nursery.start_soon(_ask_for_tree, place)
        root = current_tasks()
        assert root is not None
        workers = tuple(
            TaskNode(f"worker {place.number}", 1, (place.tree,))
            for place in self._places
            if place.tree is not None
        )
        return TaskNode(root.name, root.count, root.children + workers)

    @property
    def activity(self) -> None:
        """Nothing: the workers have it, and the supervisor asks them for figures."""

    @property
    def budget(self) -> None:
        """Nothing: the connections are the workers', and so is the memory that they hold."""

    @property
    def faults(self) -> str | None:
        """The faults of all pairs of a proxy, as they were written; ``None`` if it is none."""
        return None if self._settings.upstream is None else self._faults

    async def set_faults(self, text: str) -> None:
        """Replace these faults in every worker; return when they hold in all that serve.

        A worker that does not answer within `CHANGE_S` is logged, and has them when it goes on.

        :raises ValueError: if they can't be read.
        """
        read_faults(text)
        self._faults = text
        for place in self._places:
            place.settings = replace(place.settings, fault=text)
        self._faults_changed.set()
        self._faults_changed = trio.Event()
        with trio.move_on_after(CHANGE_S) as waiting:
            while self._faults == text and any(
                place.channel is not None and place.faults != text for place in self._places
            ):
                await self._faults_set.wait()
        if waiting.cancelled_caught:
            self._log.warning("a worker has not yet said that the faults hold", faults=text)

    def drain(self, late_s: float = 0.0) -> None:
        """Begin to stop: the workers close every connection, and `run` returns. Idempotent.

        :param late_s: the seconds since the stop was asked for; the drain timeout counts from then.
        """
        if not self._drain.is_set():
            self._drain_began_s = trio.current_time() - late_s
            self._drain.set()
        for place in self._places:
            place.stop_listening()

    def reload(self) -> None:
        """Tell the workers to read certificate and key again, if they can be used."""
        if self._settings.tls_cert is None:
            self._log.info("there is no certificate to read again")
            return
        try:
            tls_context_of(self._settings)
        except OSError as exc:
            self._log.error("the certificate stays as it was", reason=exc.strerror)
            return
        self._reloads += 1
        self._reload.set()
        self._reload = trio.Event()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve until `drain` is called, and then until the workers have ended.

        A worker that has not ended shortly before the drain timeout is killed, and the connections
        it still had are counted as dropped. Cancelled: all workers are killed at once.

        :raises WorkerFailed: (in a group) if a worker never comes to serve.
        """
        try:
            async with trio.open_nursery() as watching:
                watching.start_soon(self._roll_forever)
                async with trio.open_nursery() as working:
                    async with trio.open_nursery() as starting:
                        for place in self._places:
                            starting.start_soon(working.start, self._keep, place)
                    task_status.started()
                    await self._drain.wait()
                    workers_s = self._drain_timeout_s - self._own_end_s
                    working.cancel_scope.deadline = self._drain_began_s + workers_s
                watching.cancel_scope.cancel()
        finally:
            self._starter.end()
            for place in self._places:
                place.stop_listening()

    def abandon(self) -> None:
        """Kill the workers: this process is about to end."""
        for place in self._places:
            if place.process is not None:
                place.process.kill()

    async def _keep(self, place: _Place, *, task_status: trio.TaskStatus[None]) -> None:
        """Keep a worker in this place until it drains."""
        served = trio.Event()
        pause_s = 0.0
        while not self._drain.is_set():
            started_s = trio.current_time()
            try:
                how = await self._run_worker(place, served, task_status)
            except OSError as exc:
                how = f"not started: {exc.strerror}"
            except BaseException:
                # Cancelled, alone or in a nursery's group: we killed it, with the clients that had
                # not answered our 1001 in time.
                self._retire(place, Outcome.DROPPED, GOING_AWAY)
                raise
            lost = self._retire(place)
            if self._drain.is_set():
                break
            if not served.is_set():
                raise WorkerFailed(f"worker {place.number} ended at once: {how}")
            lived_s = trio.current_time() - started_s
            pause_s = next_pause_s(pause_s, lived_s)
            self._log.warning(
                "a worker died, another takes its place",
                worker=place.number,
                how=how,
                lived_s=round(lived_s, 1),
                lost=lost,
                pause_s=pause_s,
            )
            others_serve = any(other.now for other in self._places if other is not place)
            if pause_s > QUEUE_PATIENCE_S and others_serve:
                place.stop_listening()
            with trio.move_on_after(pause_s):
                await self._drain.wait()
        if not served.is_set():
            task_status.started()

    async def _run_worker(
        self, place: _Place, served: trio.Event, task_status: trio.TaskStatus[None]
    ) -> str:
        """Run a worker to its end; return how it ended."""
        if not place.listeners:
            place.listeners = sockets.join(self._addresses)
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        async with supervisor_end(ours) as channel:
            with ExitStack() as inherited:
                # Copies: if we drain meanwhile, ours are closed, and a new file could get their
                # numbers.
                passed = [inherited.enter_context(theirs)]
                passed += [inherited.enter_context(each.dup()) for each in place.listeners]
                process = place.process = await self._starter.start(
                    f"{WORKER} {place.number}/{len(self._places)}",
                    [each.fileno() for each in passed],
                )
            try:
                place.faults = place.settings.fault
                await channel.say(Start(place.number, place.settings, len(self._places)))
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._pass_drain_on, channel)
                    nursery.start_soon(self._pass_reloads_on, channel)
                    nursery.start_soon(self._pass_faults_on, channel, place.faults)
                    nursery.start_soon(self._pass_questions_on, channel, place)
                    await self._listen_to(place, channel, served, task_status)
                    nursery.cancel_scope.cancel()
                with trio.move_on_after(REAP_S):
                    await process.wait()
            finally:
                place.process = None
                process.kill()
                with trio.move_on_after(REAP_S, shield=True):
                    await process.wait()
        return _describe(process.returncode)

    async def _listen_to(
        self,
        place: _Place,
        channel: Channel[Order, Report],
        served: trio.Event,
        task_status: trio.TaskStatus[None],
    ) -> None:
        """Take a worker's reports until it is gone."""
        async for report in channel:
            if isinstance(report, SnapshotReport):
                place.now = report.snapshot
                self._peak_open = max(self._peak_open, self.open)
                if report.answers:
                    place.answered = report.answers
                    self._note_told()
            elif isinstance(report, Tasks):
                place.tree = report.tree
                place.told_tree.set()
            elif isinstance(report, FaultsSet):
                place.faults = report.text
                self._note_faults_set()
            elif isinstance(report, Ready):
                place.channel = channel
                place.answered = self._asked  # by the report that came before this
                if not served.is_set():
                    served.set()
                    task_status.started()
        place.channel = None
        self._note_told()
        self._note_faults_set()  # Who waits for this worker waits in vain.

    def _note_told(self) -> None:
        self._told.set()
        self._told = trio.Event()

    def _note_faults_set(self) -> None:
        self._faults_set.set()
        self._faults_set = trio.Event()

    def _retire(self, place: _Place, *how: Any) -> int:
        """Take a dead worker's counts over; return how many connections are gone with it."""
        last, place.now, place.channel = place.now, None, None
        if last is None:
            return 0
        place.past = totals.add_up([place.past, totals.retire(last, *how)])
        return last.open + last.handshaking

    async def _pass_drain_on(self, channel: Channel[Order, Report]) -> None:
        await self._drain.wait()
        # As if the stop had been asked for earlier: so a worker ends before it would be killed.
        late_s = trio.current_time() - self._drain_began_s + self._own_end_s
        await channel.say(Drain(late_s))

    async def _pass_reloads_on(self, channel: Channel[Order, Report]) -> NoReturn:
        passed_on = self._reloads
        while True:
            if passed_on == self._reloads:
                await self._reload.wait()
            passed_on = self._reloads
            await channel.say(Reload())

    async def _pass_faults_on(self, channel: Channel[Order, Report], passed_on: str) -> NoReturn:
        while True:
            if passed_on == self._faults:
                await self._faults_changed.wait()
            passed_on = self._faults
            await channel.say(SetFaults(passed_on))

    async def _pass_questions_on(self, channel: Channel[Order, Report], place: _Place) -> NoReturn:
        passed_on = self._asked
        while True:
            if passed_on == self._asked:
                await self._ask.wait()
            passed_on = self._asked
            if place.channel is not None:  # Before that, its first report is still to come.
                await channel.say(AskReport(passed_on))

    async def _roll_forever(self) -> None:
        while True:
            now = self._total().histograms
            self._echo.roll(now.echo_s)
            self._loop_lag.roll(now.loop_lag_s)
            await trio.sleep(1)

    def _total(self) -> ServerSnapshot:
        return totals.add_up(
            [part for place in self._places for part in (place.past, place.now) if part]
        )


def share(settings: Settings) -> list[Settings]:
    """Divide the settings among the workers: each gets its share of `max_connections`."""
    at_most, left = divmod(settings.max_connections, settings.workers)
    return [
        replace(settings, workers=1, max_connections=at_most + (number < left))
        for number in range(settings.workers)
    ]


def next_pause_s(last_s: float, lived_s: float) -> float:
    """Compute how many seconds a place stays empty before the next worker starts.

    :param last_s: the pause before; 0 if there was none.
    :param lived_s: how long the worker lived that has died, in seconds.
    """
    if lived_s >= LONG_LIFE_S or not last_s:
        return FIRST_PAUSE_S
    return min(2 * last_s, LONGEST_PAUSE_S)


async def _ask_for_tree(place: _Place) -> None:
    place.tree, place.told_tree = None, trio.Event()
    if place.channel is not None:
        with trio.move_on_after(ANSWER_S):
            await place.channel.say(ShowTasks())
            await place.told_tree.wait()


def _describe(status: int | None) -> str:
    """Describe how a process ended, for people."""
    if status is None:
        return "how it ended is not known"
    if status < 0:
        return f"killed by {signal.Signals(-status).name}"
    return f"exit status {status}"
