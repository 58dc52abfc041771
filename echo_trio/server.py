"""Accept, serve and drain: the echo server, and the nurseries that wait for its tasks."""

from __future__ import annotations

import errno
import socket
import ssl
import time
from dataclasses import replace
from math import inf
from typing import Any, Final, Self

import trio

from echo_trio import admission
from echo_trio.behaviours import turns
from echo_trio.callers import Caller, Sessions
from echo_trio.metrics.activity import Activity
from echo_trio.metrics.counters import Counters, ServerSnapshot
from echo_trio.metrics.vitals import Vitals
from echo_trio.observer import BothObservers, Observer
from echo_trio.opening import make_room, turn_away_at_once
from echo_trio.places import Places
from echo_trio.proxy.proxy import Proxy
from echo_trio.recording import Recorder
from echo_trio.session import serve_session
from echo_trio.settings import Settings
from echo_trio.wire import poller, process, sockets, tls
from echo_trio.wire.budget import Budget
from echo_trio.wire.close_codes import GOING_AWAY

#: The part of the drain timeout that is kept for the process's end: to drop clients that have not
#: answered (10,000 take a second on a busy core), and to exit.
END_S: Final = 0.8
END_OF_EACH_S: Final = 0.000_15
#: The largest share of the drain timeout in which messages that had arrived before are answered.
ANSWERING_SHARE: Final = 0.25
#: The time for which close frames are sent before other tasks get a turn.
GOODBYE_SLICE_S: Final = 0.005
_GOODBYE: Final = "the server is stopping"
#: The name of each session's task: as Trio would write it, anew for each.
_SESSION: Final = f"{serve_session.__module__}.{serve_session.__qualname__}"


class EchoServer:
    """A server that echoes on every connection of its listeners; made by `listen`.

    :ivar url: the URL that clients connect to.
    """

    def __init__(
        self,
        settings: Settings,
        listeners: list[socket.socket],
        log: Any,
        tls_context: ssl.SSLContext | None = None,
        observer: Observer | None = None,
        workers: int = 1,
        proxy: Proxy | None = None,
    ) -> None:
        self._listeners = listeners
        self._drain_timeout_s = settings.drain_timeout_s
        self._drain_grace_s = settings.drain_grace_s
        self._drain = trio.Event()
        self._drain_began_s = inf
        self._log = log
        self._recorder: Recorder | None = None
        if settings.record is not None:
            try:
                self._recorder = recorder = Recorder.open(settings.record, log)
            except OSError:
                for listener in listeners:
                    listener.close()
                raise
            observer = recorder if observer is None else BothObservers(observer, recorder)
        counters = Counters()
        self._vitals = Vitals(rolling=[counters.echo], on_try=self._time_next)
        self._poller = (
            poller.Poller(counters.echo.observe, lag=self._vitals.lag) if poller.AVAILABLE else None
        )
        self._proxy = proxy
        places: Places[Caller] = Places(self._find_capacity(settings.max_connections))
        self._sessions = Sessions(
            settings,
            self._poller,
            tls_context,
            log,
            counters,
            places,
            observer,
            workers,
            proxy=proxy,
            activity=self._vitals.activity,
        )
        self._started_s = time.monotonic()
        self.url: str = url_of(listeners, tls=tls_context is not None)

    @classmethod
    def listen(cls, settings: Settings, log: Any = None, observer: Observer | None = None) -> Self:
        """Listen as the settings say, without accepting yet.

        :param log: the logger; by default structlog's.
        :param observer: is told of each connection.
        :raises OSError: if the address can't be had, the certificate can't be used, or the file of
            the recording can't be made.
        """
        context, proxy = tls_context_of(settings), proxy_of(settings)
        listeners = sockets.listen(settings.host, settings.port)
        if log is None:
            # Imported here: it takes long, and a test's server logs otherwise.
            import structlog  # noqa: PLC0415

            log = structlog.get_logger()
        return cls(settings, listeners, log, context, observer, proxy=proxy)

    @property
    def open(self) -> int:
        """The number of open connections."""
        return self._sessions.counters.open

    @property
    def activity(self) -> Activity:
        """The news that there is something to do."""
        return self._vitals.activity

    @property
    def budget(self) -> Budget:
        """The memory that all connections may hold together."""
        return self._sessions.budget

    @property
    def held_bytes(self) -> int:
        """The bytes held for all connections together."""
        return self._sessions.budget.held_bytes

    @property
    def ended(self) -> int:
        """The number of connections that have ended."""
        return self._sessions.counters.ended

    def snapshot(self, known: ServerSnapshot | None = None) -> ServerSnapshot:
        """Return the server's counts and measurements as they are now. Call it in a Trio task.

        :param known: an earlier snapshot: its messages and bytes are repeated, so that the traffic
            of the open connections has not to be added up.
        """
        self._vitals.roll()
        snapshot = self._sessions.counters.snapshot(
            live=self._sessions.connections,
            known=known,
            url=self.url,
            uptime_s=time.monotonic() - self._started_s,
            holdings=self._vitals.holdings(),
            loop_lag=self._vitals.loop_lag,
            held_bytes=self._sessions.budget.held_bytes,
        )
        if self._proxy is None:
            return snapshot
        switch = self._proxy.switch
        return replace(
            snapshot,
            upstream=self._sessions.settings.upstream,
            faults=switch.text,
            faults_seen={name: tally.seen for name, tally in switch.tallies.items()},
            faults_acted={name: tally.acted for name, tally in switch.tallies.items()},
        )

    def drain(self, late_s: float = 0.0) -> None:
        """Begin to stop: `run` closes every connection and returns. Idempotent.

        :param late_s: the seconds since the stop was asked for; the drain timeout counts from then.
        """
        if not self._drain.is_set():
            self._sessions.counters.draining = True
            self._drain_began_s = trio.current_time() - late_s
            self._drain.set()

    @property
    def faults(self) -> str | None:
        """The faults of all pairs, as they were written; ``None`` if this is no proxy."""
        return None if self._proxy is None else self._proxy.switch.text

    def set_faults(self, text: str) -> None:
        """Replace the faults of all pairs, from the next message on. Call it in a Trio task.

        :raises ValueError: if they can't be read, or this is no proxy.
        """
        if self._proxy is None:
            raise ValueError("this server is no proxy: start it with an upstream")
        self._proxy.switch.set(text)

    def reload(self) -> None:
        """Read certificate and key again; new connections get them. A bad pair changes nothing."""
        sessions = self._sessions
        if sessions.tls is None:
            self._log.info("there is no certificate to read again")
            return
        try:
            sessions.tls = tls_context_of(sessions.settings)
        except OSError as exc:
            self._log.error("the certificate stays as it was", reason=exc.strerror)
        else:
            self._log.info("the certificate was read again")

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve until `drain` is called, and then until every connection has ended.

        While draining: no connection is accepted, handshakes under way get 503, open connections
        are closed with code 1001, right behind their next reply if that comes within the drain
        grace; from then on they are read only to find their close frame. A client that has not
        answered shortly before the drain timeout is dropped (see `patience_of`): this returns
        within the timeout in every case. Cancelled: every connection is dropped at once.
        """
        try:
            async with trio.open_nursery() as handling:
                if self._recorder is not None:
                    self._recorder.start()
                    handling.start_soon(self._recorder.run)
                if self._poller is not None:
                    handling.start_soon(self._poller.run)
                else:
                    handling.start_soon(self._vitals.lag.run)
                handling.start_soon(self._vitals.run)
                handling.start_soon(self._sessions.connections.run)
                if self._proxy is not None:
                    handling.start_soon(self._sessions.upstreams.run)
                handling.start_soon(turns.run, self._sessions.rooms)
                async with trio.open_nursery() as accepting:
                    for listener in self._listeners:
                        await accepting.start(
                            sockets.accept_forever,
                            listener,
                            lambda sock, peer: self._start_session(handling, sock, peer),
                            self._count_accept_fault,
                            self._turn_away_excess,
                        )
                    task_status.started()
                    await self._drain.wait()
                    accepting.cancel_scope.cancel()
                self.close()
                patience_s = patience_of(self._drain_timeout_s, len(self._sessions.connections))
                with trio.CancelScope(deadline=self._drain_began_s + patience_s):
                    await self._say_goodbye(handling)
                handling.cancel_scope.cancel()
        finally:
            self.close()
            if self._recorder is not None:
                self._recorder.close()

    def _time_next(self) -> None:
        if self._poller is not None:
            self._poller.time_next()

    def _start_session(self, handling: trio.Nursery, sock: socket.socket, peer: str) -> None:
        sessions, places = self._sessions, self._sessions.places
        sessions.counters.accepted += 1
        caller = Caller(sock, peer, trio.current_time())
        sessions.activity.note()
        # The kernel gives out the lowest free descriptor, so its number tells how many are in use.
        # The limit is asked for again, as it may have been changed meanwhile.
        short = sock.fileno() >= admission.last_descriptor(process.file_limit())
        # Places are taken here: a crowd is accepted before the first of its tasks has begun.
        if (not short and (places.enter(caller) or places.wait(caller))) or (
            make_room(sessions) and places.enter(caller)
        ):
            handling.start_soon(serve_session, caller, sessions, name=_SESSION)
        else:
            refused = admission.out_of_descriptors() if short else admission.full()
            turn_away_at_once(sock, peer, sessions, refused)

    async def _say_goodbye(self, handling: trio.Nursery) -> None:
        sessions, counters = self._sessions, self._sessions.counters
        if counters.ended == counters.accepted:
            return
        for opening in sessions.openings:
            opening.cancel()
        if self._drain_grace_s:
            for connection in sessions.connections:
                connection.close_behind_reply(GOING_AWAY, _GOODBYE)
            with trio.move_on_after(self._drain_grace_s):
                await sessions.all_gone.wait()
                return
        began_s = trio.current_time()
        answer_until_s = began_s + self._drain_timeout_s * ANSWERING_SHARE
        slice_ends_s = began_s + GOODBYE_SLICE_S
        for connection in [*sessions.connections, *sessions.upstreams]:
            now_s = trio.current_time()
            if now_s < answer_until_s:
                connection.answer_what_arrived()
            if not connection.drain(GOING_AWAY, _GOODBYE):
                handling.start_soon(connection.flush)
            if now_s >= slice_ends_s:
                await trio.lowlevel.checkpoint()
                slice_ends_s = trio.current_time() + GOODBYE_SLICE_S
        await sessions.all_gone.wait()

    def _count_accept_fault(self, fault: OSError) -> None:
        counters = self._sessions.counters
        name = errno.errorcode.get(fault.errno or 0, "other")
        counters.accept_fault_reasons[name] += 1
        self._sessions.sparing.warning(
            "can't accept for now", reason=fault.strerror, error=name, open=counters.open
        )

    def _turn_away_excess(self, sock: socket.socket, peer: str) -> None:
        self._sessions.counters.accepted += 1
        turn_away_at_once(sock, peer, self._sessions, admission.out_of_descriptors())

    def _find_capacity(self, max_connections: int) -> admission.PlaceCapacity:
        limit = process.file_limit()
        capacity = admission.PlaceCapacity.of(
            max_connections, limit, files_each=1 if self._proxy is None else 2
        )
        if capacity.connections < max_connections:
            self._log.warning(
                "the file limit allows fewer connections than asked for: raise it (ulimit -n)",
                max_connections=capacity.connections,
                asked_for=max_connections,
                file_limit=limit,
            )
        return capacity

    def abandon(self) -> None:
        """Save what can be: the process is about to end by force. For a signal's handler."""
        if self._recorder is not None:
            self._recorder.save_at_once()

    def close(self) -> None:
        """Stop listening. Idempotent; for a server that has yet to `run`, `run` does it itself."""
        for listener in self._listeners:
            trio.lowlevel.notify_closing(listener)
            listener.close()


def patience_of(drain_timeout_s: float, connections: int) -> float:
    """Compute how long clients may take to answer our close frame, within the drain timeout.

    :returns: seconds: the drain timeout, less the time that dropping the rest and exiting takes.
    """
    end_s = END_S + connections * END_OF_EACH_S
    return drain_timeout_s - min(end_s, drain_timeout_s / 2)


def tls_context_of(settings: Settings) -> ssl.SSLContext | None:
    """Make the TLS context that the settings ask for; ``None`` if they ask for none.

    :raises OSError: if the certificate can't be used.
    """
    if settings.tls_cert is None:
        return None
    return tls.server_context(settings.tls_cert, settings.tls_key)


def proxy_of(settings: Settings) -> Proxy | None:
    """Make the proxy that the settings ask for; ``None`` if they ask for none.

    :raises OSError: if the upstream's authorities can't be read.
    """
    if settings.upstream is None:
        return None
    return Proxy.of(
        settings.upstream,
        settings.fault,
        settings.upstream_cacert,
        insecure=settings.upstream_insecure,
        compression=settings.upstream_compression,
    )


def url_of(listeners: list[socket.socket], *, tls: bool) -> str:
    """Write the URL under which clients connect to these listeners."""
    return f"{'wss' if tls else 'ws'}://{sockets.own_authority(listeners[0])}/"
