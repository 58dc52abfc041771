"""Run the console as one task: listeners, sampler, runs. Its failures never leave it."""

from __future__ import annotations

import errno
import socket
import traceback
from collections import Counter
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any, Final

import trio

from echo_trio.console.endpoints import PAGE, ConsoleSources, make_app
from echo_trio.console.event_stream import event
from echo_trio.console.faults import FaultControl
from echo_trio.console.guard import Access, Guard
from echo_trio.console.http_connection import HttpServer, asks_for_health, turn_away
from echo_trio.console.live import Live
from echo_trio.console.run_target import Targets
from echo_trio.console.runs import Runs
from echo_trio.console.slots import Slot, Slots
from echo_trio.console.snapshots import SnapshotCache
from echo_trio.console.turns import Turns
from echo_trio.dialling.room import ClientContexts, Dialling, named_certificates
from echo_trio.metrics import prometheus
from echo_trio.metrics.activity import Activity
from echo_trio.metrics.nursery_tree import current_tasks
from echo_trio.settings import Settings
from echo_trio.sparing import Sparing
from echo_trio.wire import process
from echo_trio.wire.addresses import ANY_ADDRESS, LOOPBACK_NAMES
from echo_trio.wire.budget import Budget

#: Connections at once: each takes a descriptor that a WebSocket could have.
MAX_CONNECTIONS: Final = 128
#: The kernel's buffer for a client that doesn't read; by default it grows to megabytes.
SEND_BUFFER_BYTES: Final = 2**17
#: The share of the loop's time for requests when there are more than can be answered: the rest is
#: the echo's. A request takes from a fraction of a millisecond to some (/metrics); the burst, which
#: is done in one go, is a page with its files.
REQUESTS_SHARE: Final = 0.25
REQUESTS_BURST_S: Final = 0.01
REQUEST_S: Final = 0.001
#: The share for health, beside that: if 500 connections ask together, they get their answers
#: within a second.
HEALTH_SHARE: Final = 0.2
HEALTH_BURST_S: Final = 0.005
HEALTH_S: Final = 0.0004
#: The share for what servers send over connections that are dialled for the page.
DIALS_SHARE: Final = 0.2
DIALS_BURST_S: Final = 0.01
DIAL_S: Final = 0.0005
#: Connections accepted between two looks at other tasks.
ACCEPT_BATCH: Final = 8
#: The pause before a part that failed is started again; twice as long each time.
FIRST_PAUSE_S: Final = 0.5
LONGEST_PAUSE_S: Final = 30.0
#: A kind of failure is logged once in this time: a client may be able to cause it at will.
SAME_FAILURE_S: Final = 60.0
#: Parts whose errors may contain a client's text: only the place is logged, in so few frames.
FOR_CLIENTS: Final = frozenset({"request", "connection", "run"})
TOLD_FRAMES: Final = 8
#: The pause of accepting when the machine is out of descriptors.
ACCEPT_PAUSE_S: Final = 0.1


class Console:
    """The web page, health, figures and runs on some listeners; `run` never raises an error.

    :ivar live: the snapshots of the last ten minutes.
    :ivar connections: the slots of its connections.
    :ivar failures: the number of failures that should not happen.
    :ivar accept_faults: failures to accept, by the name of the error; their cause is this machine,
        or a client that had gone before we looked.
    """

    def __init__(
        self,
        settings: Settings,
        listeners: list[socket.socket],
        *,
        url: str,
        snapshot: Callable[[], Any],
        known: Callable[[], Any] | None = None,
        tasks: Callable[[], Any] = current_tasks,
        faults: FaultControl | None = None,
        budget: Budget | None = None,
        activity: Activity | None = None,
        log: Any,
        page: Path = PAGE,
    ) -> None:
        """Make the console that the settings ask for.

        :param url: the URL where the echo listens.
        :param snapshot: returns the server's snapshot. May be async, as `tasks` may: a supervisor
            asks its workers.
        :param known: returns the snapshot that can be had without asking anybody, for those that
            nobody is shown; by default as `snapshot`.
        :param faults: of a proxy; ``None`` for a server that is none.
        :param budget: counts what is held for connections that are dialled for the page; by default
            one of its own, of the same size as the server's.
        :param activity: the server's, without which no snapshot has to be taken if nobody is shown
            any; ``None`` if that is not known.
        :param page: the folder of the built web page.
        :raises CertificateUnusable: if a file of a client certificate can't be used.
        """
        self.failures: int = 0
        self.accept_faults: Counter[str] = Counter()
        self._quiet_until: dict[type[Exception], float] = {}
        self._listeners = listeners
        self._log = log
        self._sparing = Sparing(log)
        sources = ConsoleSources(
            tasks=tasks,
            metrics=lambda: prometheus.console_exposition(self.failures, self.accept_faults),
            faults=faults,
        )
        snapshots = SnapshotCache(snapshot, known)
        self.live: Live = Live(snapshots, activity)
        targets = Targets.of(url, settings.host, settings.run_target)
        max_run = process.file_limit(hard=True)
        # The generator runs there: from its own folder a relative one would be another.
        scenario_dir = settings.scenario_dir and str(Path(settings.scenario_dir).absolute())
        history = settings.history and settings.history.absolute()
        self._runs = Runs(
            targets, max_run, log, self._on_failure, scenario_dir=scenario_dir, history=history
        )
        self._dialling = _make_dialling(settings, targets, budget)
        app = make_app(sources, snapshots, self.live, self._runs, self._dialling, page)
        self.connections: Slots = Slots(MAX_CONNECTIONS)
        self._server = HttpServer(
            Guard(app, _access(settings, listeners), self._on_failure),
            self.connections,
            Turns(REQUESTS_SHARE, burst_s=REQUESTS_BURST_S, advance_s=REQUEST_S),
            Turns(HEALTH_SHARE, burst_s=HEALTH_BURST_S, advance_s=HEALTH_S),
        )

    def drain(self) -> None:
        """End streams, and a run in good order, since the server stops; serve on otherwise."""
        self.live.end()
        self._runs.drain()
        self._dialling.stop()

    def abandon(self) -> None:
        """Leave no run and no file behind, since the process ends at once."""
        self._runs.abandon()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve until cancelled."""
        try:
            async with trio.open_nursery() as nursery:
                await nursery.start(self._runs.serve)
                nursery.start_soon(self._keep_going, "sampler", self.live.sample_forever)
                for listener in self._listeners:
                    accept = partial(self._accept, listener)
                    nursery.start_soon(self._keep_going, "listener", accept)
                task_status.started()
        finally:
            for listener in self._listeners:
                trio.lowlevel.notify_closing(listener)
                listener.close()

    async def _keep_going(self, part: str, serve: Callable[[], Awaitable[None]]) -> None:
        """Start a part again whenever it fails: after a pause, which grows."""
        pause_s = FIRST_PAUSE_S
        while True:
            began = trio.current_time()
            try:
                await serve()
            except* Exception as exc:  # noqa: BLE001 - no error of the console may end the echo
                self._on_failure(part, exc)
            if trio.current_time() - began > LONGEST_PAUSE_S:
                pause_s = FIRST_PAUSE_S
            await trio.sleep(pause_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    def _on_failure(self, part: str, exc: Exception) -> None:
        """Count a failure; log it, unless one of the same kind was logged a moment ago."""
        self.failures += 1
        while isinstance(exc, ExceptionGroup) and len(exc.exceptions) == 1:
            exc = exc.exceptions[0]
        now = trio.current_time()
        if now >= self._quiet_until.get(type(exc), 0.0):
            self._quiet_until[type(exc)] = now + SAME_FAILURE_S
            # Such an error may contain the client's text: only its place is logged.
            detail: dict[str, Any] = (
                {"error": type(exc).__name__, "at": _place_of(exc)}
                if part in FOR_CLIENTS
                else {"exc_info": exc}
            )
            self._log.error(
                "the console failed, the echo goes on",
                part=part,
                failures=self.failures,
                **detail,
            )

    async def _accept(self, listener: socket.socket) -> None:
        # Accepted sockets inherit it.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
        async with trio.open_nursery() as connections:
            while True:
                await trio.lowlevel.wait_readable(listener)
                try:
                    for _ in range(ACCEPT_BATCH):
                        sock, _ = listener.accept()
                        sock.setblocking(False)
                        await self._start(connections, sock)
                except BlockingIOError:
                    pass
                except OSError as exc:
                    self._count_accept_fault(exc)
                    await trio.sleep(ACCEPT_PAUSE_S)

    async def _start(self, connections: trio.Nursery, sock: socket.socket) -> None:
        try:
            slot = self._take_slot(sock)
            while slot is None and await self.connections.wait_for_health():
                slot = self._take_slot(sock)
        except trio.Cancelled:
            sock.close()
            raise
        if slot is not None:
            connections.start_soon(self._serve, sock, slot)
        else:
            turn_away(sock)
            sock.close()

    def _take_slot(self, sock: socket.socket) -> Slot | None:
        slots = self.connections
        if slots.full:
            self._sparing.warning(
                "the console is full: what waits longest makes room", connections=MAX_CONNECTIONS
            )
        # If all slots are taken, look at the newcomer now: it may have to leave before it is read.
        slot = slots.take_for_health() if slots.full and asks_for_health(sock) else None
        return slot or slots.take()

    def _count_accept_fault(self, fault: OSError) -> None:
        name = errno.errorcode.get(fault.errno or 0, "other")
        self.accept_faults[name] += 1
        self._sparing.warning("the console can't accept for now", reason=fault.strerror, error=name)

    async def _serve(self, sock: socket.socket, slot: Slot) -> None:
        """Serve one connection; an error in it ends it alone."""
        try:
            await self._server.serve(sock, slot)
        except Exception as exc:  # noqa: BLE001 - an error ends this connection, no other
            self._on_failure("connection", exc)


def _make_dialling(settings: Settings, targets: Targets, budget: Budget | None) -> Dialling:
    turns = Turns(DIALS_SHARE, burst_s=DIALS_BURST_S, advance_s=DIAL_S)
    contexts = ClientContexts(named_certificates(settings.dial_cert), settings.dial_cacert)
    contexts.check()
    return Dialling(
        targets.allowed,
        contexts,
        limits=settings.limits,
        open_timeout_s=settings.open_timeout_s,
        budget=budget or Budget(settings.max_held_bytes),
        take_turn=turns.take,
        encode=event,
    )


def _place_of(exc: BaseException) -> list[str]:
    """List the calls in which it was raised, the innermost last: a traceback without any values."""
    frames = traceback.extract_tb(exc.__traceback__)[-TOLD_FRAMES:]
    return [f"{Path(frame.filename).name}:{frame.lineno} {frame.name}" for frame in frames]


def _access(settings: Settings, listeners: list[socket.socket]) -> Access:
    """Make the rules for our addresses: names of this machine, and those of the settings."""
    addresses = {listener.getsockname()[0] for listener in listeners}
    hosts = {*addresses, settings.console_host, *settings.console_allow_host, *LOOPBACK_NAMES}
    public = bool(addresses & ANY_ADDRESS)
    if public:
        hosts.add(socket.gethostname())
    hosts = {host.lower().strip("[]") for host in hosts} - ANY_ADDRESS
    return Access(hosts=frozenset(hosts), any_address=public, token=settings.console_token)
