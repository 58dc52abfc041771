"""Run the server as a program: its signals, the echo, the console, the ready line."""

from __future__ import annotations

import ipaddress
import os
import socket
import sys
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any, Final, Protocol

import trio

from echo_trio import admission, certificates, logs, signals, systemd
from echo_trio.forks.starter import Starter
from echo_trio.metrics.activity import Activity
from echo_trio.metrics.counters import ServerSnapshot
from echo_trio.settings import Settings
from echo_trio.wire import process, sockets
from echo_trio.wire.budget import Budget
from echo_trio.workers.supervisor import WORKER, Supervisor, WorkerFailed
from echo_trio.workers.worker import Worker

if TYPE_CHECKING:
    from echo_trio.console.serve import Console


#: The time beyond the drain timeout after which the process ends by force. Server and console keep
#: the timeout themselves, so it hangs, or the machine is too busy to tell the difference.
LAST_RESORT_S: Final = 5.0


#: Open files without which no server is started: its own, and those that connections leave alone.
LEAST_FILES: Final = admission.SPARE_DESCRIPTORS
#: The open files of a supervisor: its own; and for each worker its listening sockets, their copies
#: while it starts, a channel, and the process.
SUPERVISOR_FILES: Final = 32
FILES_PER_WORKER: Final = 8


class CannotStart(Exception):
    """The settings can't be met on this machine; the message is one line for the user."""


class Server(Protocol):
    """A server that echoes: this process, or several that it supervises."""

    url: str

    @property
    def open(self) -> int:
        """The number of open connections."""

    def snapshot(self) -> ServerSnapshot:
        """Return the server's counts and measurements, as far as they are known at once."""

    async def ask(self) -> ServerSnapshot:
        """Return them as they are now, of all processes."""

    async def tasks(self) -> object:
        """Return the nursery tree, for the console."""

    @property
    def budget(self) -> Budget | None:
        """The memory that all connections of this process may hold; ``None`` if it has none."""

    @property
    def activity(self) -> Activity | None:
        """The news that there is something to do; ``None`` if that is not known here."""
        return None

    @property
    def faults(self) -> str | None:
        """The faults of all pairs of a proxy, as they were written; ``None`` if it is none."""

    async def set_faults(self, text: str) -> None:
        """Replace these faults, from the next message on."""

    def drain(self, late_s: float = 0.0) -> None:
        """Begin to stop, as it should have done `late_s` seconds ago."""

    async def run(self, *, task_status: trio.TaskStatus[None]) -> None:
        """Serve until it is drained."""

    def reload(self) -> None:
        """Read certificate and key again."""

    def abandon(self) -> None:
        """Leave no other process behind, and save what can be: this one is about to end."""


def check_machine(settings: Settings) -> None:
    """Check that this machine lets a server start at all. Call it before Trio runs.

    :raises CannotStart: if the file limit is too low, or one port can't be served by several
        processes.
    """
    if settings.workers > 1 and not sockets.SPREADS:
        raise CannotStart(
            f"--workers {settings.workers} needs SO_REUSEPORT as Linux has it, which spreads new "
            "connections over processes: use --workers 1 on this system"
        )
    limit = process.raise_file_limit()
    least = LEAST_FILES
    if settings.workers > 1:
        least = max(least, SUPERVISOR_FILES + FILES_PER_WORKER * settings.workers)
    if limit < least:
        raise CannotStart(
            f"the limit on open files is {limit}, and a server needs {least} at least: "
            f"raise it (ulimit -n {least}, or LimitNOFILE= of its unit)"
        )


def make_starter(settings: Settings) -> AbstractContextManager[Starter | None]:
    """Make the starter of the workers, if there are any. Enter it before Trio runs."""
    return nullcontext() if settings.workers == 1 else Starter(WORKER)


async def run_service(settings: Settings, log: Any, starter: Starter | None = None) -> None:
    """Serve until SIGINT or SIGTERM, then drain and return.

    SIGHUP reads certificates again; if it comes because the terminal went away, it counts as
    SIGTERM.

    The first signal drains; a second one ends the process at once with status 1, as does a drain
    that goes on for `LAST_RESORT_S` beyond its budget. The ready line is printed on stdout once
    everything listens.

    :param starter: starts the workers, if there are any.
    :raises CannotStart: if an address can't be had, or a worker fails.
    """
    file_limit = process.raise_file_limit()
    server, console_listeners = _listen(settings, log, starter)
    console = None
    if console_listeners:
        console = _make_console(settings, console_listeners, server, log)
    failed: BaseException | None = None

    def drain(signal_name: str, late_s: float) -> None:
        server.drain(late_s)
        if console is not None:
            console.drain()
        systemd.notify(systemd.STOPPING)
        log.info("draining", signal=signal_name, open=server.open)

    def give_up(why: str) -> None:
        if console is not None:
            console.abandon()
        server.abandon()
        if logs.can_write():
            log.warning("ended without draining", why=why, open=server.open)

    try:
        with signals.stopping(
            drain=drain,
            reload=server.reload,
            give_up=give_up,
            budget_s=settings.drain_timeout_s + LAST_RESORT_S,
        ):
            async with trio.open_nursery() as nursery:
                if settings.tls_cert is not None:
                    files = [path for path in (settings.tls_cert, settings.tls_key) if path]
                    nursery.start_soon(certificates.watch, files, server.reload)
                facts = {"console": url_of_console(console_listeners), "file_limit": file_limit}
                if settings.upstream is not None:
                    facts |= {"upstream": settings.upstream, "fault": settings.fault or "-"}
                await _serve(server, console, facts, log)
                nursery.cancel_scope.cancel()
    except* WorkerFailed as group:
        failed = group
    if failed is not None:
        while isinstance(failed, BaseExceptionGroup):
            failed = failed.exceptions[0]
        raise CannotStart(str(failed))
    _log_summary(server, log)


async def _serve(
    server: Server, console: Console | None, facts: Mapping[str, Any], log: Any
) -> None:
    """Serve, and say so with these facts, among them the URL of the console."""
    async with trio.open_nursery() as nursery:
        if console is not None:
            await nursery.start(console.run)
        async with trio.open_nursery() as serving:
            await serving.start(server.run)
            if not server.snapshot().draining:  # It may have been told to while it started.
                _announce(f"ready ws={server.url} console={facts['console']}", log)
                systemd.notify(systemd.READY)
                log.info("serving", url=server.url, **facts)
        nursery.cancel_scope.cancel()


def _listen(
    settings: Settings, log: Any, starter: Starter | None
) -> tuple[Server, list[socket.socket]]:
    server: Server
    with _explaining(settings.host):
        if settings.workers == 1:
            server = Worker.listen(settings, log)
        else:
            server = Supervisor.listen(settings, log, starter)
    console_listeners = listen_for_console(settings) if settings.console else []
    if "::" in (settings.host, settings.console and settings.console_host):
        log.warning("listens on :: and that is IPv6 alone: 0.0.0.0 is IPv4, a name may be both")
    return server, console_listeners


def listen_for_console(settings: Settings) -> list[socket.socket]:
    """Listen where the console is to be.

    :raises CannotStart: if the address can't be had, or others can reach it and there is no token.
    """
    with _explaining(settings.console_host):
        listeners = sockets.listen(settings.console_host, settings.console_port)
    addresses = [ipaddress.ip_address(listener.getsockname()[0]) for listener in listeners]
    if settings.console_token is None and not all(address.is_loopback for address in addresses):
        for listener in listeners:
            listener.close()
        raise CannotStart("a console that others can reach needs a token: --console-token")
    return listeners


@contextmanager
def _explaining(host: str) -> Iterator[None]:
    try:
        yield
    except socket.gaierror as exc:
        raise CannotStart(f"can't find the host {host}: {exc.strerror}") from None
    except OSError as exc:
        raise CannotStart(exc.strerror or str(exc)) from None


def _make_console(
    settings: Settings, listeners: list[socket.socket], server: Server, log: Any
) -> Console:
    # Imported here: a server without a console needs no web framework in its memory.
    from echo_trio.console.faults import FaultControl  # noqa: PLC0415
    from echo_trio.console.serve import Console  # noqa: PLC0415

    faults = None
    if settings.upstream is not None:
        faults = FaultControl(lambda: server.faults or "", server.set_faults)
    with _explaining(settings.console_host):
        return Console(
            settings,
            listeners,
            url=server.url,
            snapshot=server.ask,
            known=server.snapshot,
            tasks=server.tasks,
            faults=faults,
            budget=server.budget,
            activity=server.activity,
            log=log,
        )


def url_of_console(listeners: list[socket.socket]) -> str:
    """Write the URL of a console that listens there; ``-`` if there is none."""
    if not listeners:
        return "-"
    return f"http://{sockets.own_authority(listeners[0])}/"


def _announce(line: str, log: Any) -> None:
    """Print a line; if it can't be written, log that and go on: the log has the same facts."""
    try:
        print(line, flush=True)  # noqa: T201
    except OSError as exc:
        log.warning("nobody takes the ready line", reason=exc.strerror)
        # Otherwise Python would try once more at its end, and print an error.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _log_summary(server: Server, log: Any) -> None:
    counts = server.snapshot()
    log.info(
        "stopped",
        accepted=counts.accepted,
        peak_open=counts.peak_open,
        outcomes={outcome.value: n for outcome, n in counts.outcomes.items()},
        close_codes=counts.close_codes,
        messages_received=counts.messages_received,
        messages_sent=counts.messages_sent,
        messages_unanswered=counts.messages_unanswered,
    )
