"""The console as one task: listeners, sampler, runs. Whatever fails in it stays in it."""

from __future__ import annotations

import errno
import resource
import socket
import sys
from collections import Counter
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any, Final

import trio
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.config import Config
from hypercorn.events import Event, Updated
from hypercorn.trio.tcp_server import TCPServer
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import ConnectionState

from echo_trio.console.endpoints import PAGE, Sources, make_app
from echo_trio.console.guard import Access, Guard
from echo_trio.console.live import Live
from echo_trio.console.run_order import Targets
from echo_trio.console.runs import Runs
from echo_trio.console.snapshots import SnapshotCache
from echo_trio.logs import Sparing
from echo_trio.metrics import prometheus
from echo_trio.metrics.nursery_tree import current_tasks
from echo_trio.settings import Settings
from echo_trio.wire.addresses import ANY_ADDRESS, LOOPBACK_NAMES

#: Connections at once: each takes a descriptor that a WebSocket could have.
MAX_CONNECTIONS: Final = 128
#: For a browser to take what we send; after that it is not reading.
WRITE_TIMEOUT_S: Final = 10.0
#: After what failed has failed: so long until it is tried again, and twice as long each time.
FIRST_PAUSE_S: Final = 0.5
LONGEST_PAUSE_S: Final = 30.0
#: A kind of failure is logged once in so long: whoever caused it may cause it again and again.
SAME_FAILURE_S: Final = 60.0
#: How long to leave the listener alone when the machine is out of descriptors.
ACCEPT_PAUSE_S: Final = 0.1

_CONFIG: Final = Config()
_CONFIG.accesslog = _CONFIG.errorlog = None
_CONFIG.include_server_header = False


class Console:
    """Page, health, figures and runs on these listeners. Lives in `run`; never raises from it.

    :ivar failures: how often something in it failed that should not.
    :ivar accept_faults: times that accepting failed, by the name of the error; that is this
        machine's doing, or a client's that was gone before we looked.
    """

    def __init__(
        self,
        settings: Settings,
        listeners: list[socket.socket],
        *,
        url: str,
        snapshot: Callable[[], Any],
        tasks: Callable[[], Any] = current_tasks,
        log: Any,
        page: Path = PAGE,
    ) -> None:
        """Make the console that the settings want.

        :param url: where the echo listens.
        :param snapshot: the server as it stands. May be async, as `tasks` may: a supervisor asks
            its workers.
        :param page: the folder of the built web page.
        """
        self.failures = 0
        self.accept_faults: Counter[str] = Counter()
        self._quiet_until: dict[type[Exception], float] = {}
        self._listeners = listeners
        self._log = log
        self._sparing = Sparing(log)
        sources = Sources(
            tasks=tasks,
            targets=Targets.of(url, settings.host, settings.run_target),
            metrics=lambda: prometheus.console_exposition(self.failures, self.accept_faults),
            max_run=_file_limit(),
        )
        snapshots = SnapshotCache(snapshot)
        self._live = Live(snapshots)
        self._runs = Runs(log, self._on_failure)
        app = make_app(sources, snapshots, self._live, self._runs, page)
        guarded = Guard(app, _access(settings, listeners), self._on_failure)
        self._app = ASGIWrapper(guarded)  # type: ignore[arg-type]  # the same, said more exactly
        self._context = WorkerContext(None)

    def drain(self) -> None:
        """The server stops: streams end, a run is ended in good order; all else goes on."""
        self._live.end()
        self._runs.drain()

    def abandon(self) -> None:
        """The process ends at once: leave no run and no file behind."""
        self._runs.abandon()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve until cancelled."""
        listeners = [trio.socket.from_stdlib_socket(listener) for listener in self._listeners]
        try:
            async with trio.open_nursery() as nursery:
                await nursery.start(self._runs.serve)
                nursery.start_soon(self._keep_going, "sampler", self._live.sample_forever)
                for listener in listeners:
                    accept = partial(self._accept, listener)
                    nursery.start_soon(self._keep_going, "listener", accept)
                task_status.started()
        finally:
            for listener in listeners:
                listener.close()

    async def _keep_going(self, part: str, serve: Callable[[], Awaitable[None]]) -> None:
        """Start it again whenever it fails: after a pause, which grows."""
        pause_s = FIRST_PAUSE_S
        while True:
            began = trio.current_time()
            try:
                await serve()
            except* Exception as exc:  # noqa: BLE001 - none is the echo's business
                self._on_failure(part, exc)
            if trio.current_time() - began > LONGEST_PAUSE_S:
                pause_s = FIRST_PAUSE_S
            await trio.sleep(pause_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    def _on_failure(self, part: str, exc: Exception) -> None:
        """Count it; log it, unless the same kind of failure was logged a moment ago."""
        self.failures += 1
        while isinstance(exc, ExceptionGroup) and len(exc.exceptions) == 1:
            exc = exc.exceptions[0]
        now = trio.current_time()
        if now >= self._quiet_until.get(type(exc), 0.0):
            self._quiet_until[type(exc)] = now + SAME_FAILURE_S
            self._log.error(
                "the console failed, the echo goes on",
                part=part,
                failures=self.failures,
                exc_info=exc,
            )

    async def _accept(self, listener: trio.socket.SocketType) -> None:
        # At the limit nothing is accepted: who waits in the backlog is next when somebody leaves.
        slots = trio.Semaphore(MAX_CONNECTIONS)
        async with trio.open_nursery() as connections:
            while True:
                await slots.acquire()
                try:
                    sock, _ = await listener.accept()
                except OSError as exc:
                    slots.release()
                    self._count_accept_fault(exc)
                    await trio.sleep(ACCEPT_PAUSE_S)
                else:
                    connections.start_soon(self._serve, sock, slots.release)

    def _count_accept_fault(self, fault: OSError) -> None:
        name = errno.errorcode.get(fault.errno or 0, "other")
        self.accept_faults[name] += 1
        self._sparing.warning("the console can't accept for now", reason=fault.strerror, error=name)

    async def _serve(self, sock: trio.socket.SocketType, on_end: Callable[[], None]) -> None:
        """Serve one connection with Hypercorn; what fails in it ends it alone."""
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_close_when_cancelled, sock)
                state = ConnectionState({"abort": nursery.cancel_scope.cancel})
                stream: Any = _Stream(sock)
                await _Connection(self._app, _CONFIG, self._context, state, stream)
                nursery.cancel_scope.cancel()
        except* (trio.BrokenResourceError, trio.ClosedResourceError):
            pass  # The client has gone; hypercorn notices that in most places only.
        except* Exception as exc:  # noqa: BLE001 - nor another client's
            self._on_failure("connection", exc)
        finally:
            sock.close()
            on_end()


def _file_limit() -> int:
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    return sys.maxsize if limit == resource.RLIM_INFINITY else limit


def _access(settings: Settings, listeners: list[socket.socket]) -> Access:
    """Who may ask, given where we listen: names of this machine, and those of the settings."""
    addresses = {listener.getsockname()[0] for listener in listeners}
    hosts = {*addresses, settings.console_host, *settings.console_allow_host, *LOOPBACK_NAMES}
    public = bool(addresses & ANY_ADDRESS)
    if public:
        hosts.add(socket.gethostname())
    hosts = {host.lower() for host in hosts} - ANY_ADDRESS
    return Access(hosts=frozenset(hosts), any_address=public, token=settings.console_token)


async def _close_when_cancelled(sock: trio.socket.SocketType) -> None:
    """Hypercorn shields its writes from cancellation: what ends one at once is a closed socket."""
    try:
        await trio.sleep_forever()
    finally:
        sock.close()


class _Connection(TCPServer):
    """Hypercorn's connection, which ends when its client has gone, not a keep-alive time later."""

    _client_has_gone = False

    async def _read_data(self) -> None:
        await super()._read_data()
        self._client_has_gone = True
        await self.idle_task.stop()

    async def protocol_send(self, event: Event) -> None:
        # An answer that ends only now would start to wait for the next request.
        if not (self._client_has_gone and isinstance(event, Updated)):
            await super().protocol_send(event)


class _Stream:
    """What hypercorn needs of a stream, with a bound on how long a write may take."""

    def __init__(self, sock: trio.socket.SocketType) -> None:
        self.socket = sock
        self._stream = trio.SocketStream(sock)
        self.receive_some = self._stream.receive_some
        self.send_eof = self._stream.send_eof
        self.aclose = self._stream.aclose

    async def send_all(self, data: bytes) -> None:
        with trio.move_on_after(WRITE_TIMEOUT_S) as writing:
            await self._stream.send_all(data)
        if writing.cancelled_caught:
            self.socket.close()
            raise trio.BrokenResourceError("the client doesn't read")
