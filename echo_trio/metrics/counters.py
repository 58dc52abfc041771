"""Count what the server does. Every accepted connection ends in exactly one outcome."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from operator import add, attrgetter
from typing import Final, NamedTuple, Protocol, Self

from echo_trio.metrics.durations import DurationHistogram, Durations, Spread


class Outcome(StrEnum):
    """The way in which a connection ended."""

    CLEAN = "clean"
    """Both ends sent a close frame."""
    REFUSED = "refused"
    """We answered the handshake with an HTTP error."""
    TLS_FAILED = "tls_failed"
    """The TLS handshake failed, or was not done within the open timeout."""
    CUT_IN_HANDSHAKE = "cut_in_handshake"
    """The client left before the handshake was done."""
    ABNORMAL = "abnormal"
    """TCP ended without closing handshake."""
    VIOLATION = "violation"
    """What the client sent broke the protocol or a limit; we failed the connection."""
    CLOSE_TIMEOUT = "close_timeout"
    """The client did not answer our close frame in time."""
    WRITE_TIMEOUT = "write_timeout"
    """The client did not read its replies in time."""
    PING_TIMEOUT = "ping_timeout"
    """The client did not answer our ping in time."""
    IDLE_TIMEOUT = "idle_timeout"
    """There was no message for too long; we closed with 1001."""
    MEMORY = "memory"
    """Too much was held for all connections, and most for this one; closed with 1013."""
    FAILED = "failed"
    """Our own bug: closed with 1011."""
    DROPPED = "dropped"
    """The drain's budget ran out before the connection was closed."""
    LOST_WITH_WORKER = "lost_with_worker"
    """The worker that had it was killed or crashed."""


class Traffic(Protocol):
    """The counts that a connection keeps itself, so that a message costs no further count."""

    messages_received: int
    messages_sent: int
    bytes_received: int
    bytes_sent: int


@dataclass(frozen=True, slots=True)
class GarbageCollection:
    """The work of the cyclic collector: runs by generation, and for how long they stopped us."""

    collections: tuple[int, ...] = (0, 0, 0)
    pause_ms_total: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Holdings:
    """The resources that a process holds (tasks, descriptors, memory) and has used (CPU, GC)."""

    tasks: int = 0
    descriptors: int = 0
    file_limit: int = 0
    rss_bytes: int = 0
    cpu_s: float = 0.0
    gc: GarbageCollection = field(default_factory=GarbageCollection)


@dataclass(frozen=True, slots=True, kw_only=True)
class Histograms:
    """Durations since the start, in the buckets of `durations.BOUNDS_S`.

    :ivar echo_s: from waking up for a socket until the kernel has its replies. A sample: some
        wake-ups are timed, the others not.
    :ivar handshake_s: from accept to our 101.
    :ivar loop_lag_s: how late the event loop ran a task that was due. A sample as well.
    """

    echo_s: DurationHistogram = field(default_factory=DurationHistogram)
    handshake_s: DurationHistogram = field(default_factory=DurationHistogram)
    loop_lag_s: DurationHistogram = field(default_factory=DurationHistogram)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSnapshot(Holdings):
    """The server at one moment, as `/api/server` shows it.

    `accepted` is `handshaking` + `open` + Σ `outcomes`. A handshake that was refused is under way
    until the client has read our answer.

    :ivar t: the moment, RFC 3339; `t_ms` is the same in Unix milliseconds.
    :ivar url: the URL that clients connect to.
    :ivar workers: the number of processes that this is the sum of.
    :ivar accept_fault_reasons: failures to accept, by the name of the error.
    :ivar refused: refused handshakes, by HTTP status.
    :ivar refused_reasons: refused handshakes, by reason.
    :ivar close_codes: ended connections, by the code of the first close frame on the wire, from
        either end.
    :ivar upstream_close_codes: the same of a proxy's connections to its upstream.
    :ivar upstream: the server behind a proxy, as `--upstream` names it; ``None`` if this is none.
    :ivar faults: the faults of all pairs of a proxy, as they were written; ``None`` if it is none.
    :ivar faults_seen: messages that came to a proxy's faults, by the name of the fault.
    :ivar faults_acted: how often faults of that name did what they are for, to a message or to its
        connection. Both are of all faults since the start, those of clients' paths among them.
    :ivar messages_unanswered: messages to which a behaviour (`/delay/…` and the like) still owed a
        reply, or part of one, when their connection ended; of a proxy, those that had not been
        passed on.
    :ivar messages_pushed: messages that a behaviour had for a client without its asking: copies of
        what is said in a room, ticks, greetings; counted when they are put in line for it.
    :ivar messages_undelivered: pushed messages that had not left when their connection ended.
    :ivar bytes_received: bytes of the streams behind the handshakes, headers of frames included.
    :ivar held_bytes: bytes held for connections: parts of messages, replies that the kernel has not
        taken, and replies that a behaviour sends later.
    :ivar echo_ms: how long echoes took inside the server, over the last one to two seconds.
    :ivar loop_lag_ms: how late the event loop was, over the last one to two seconds.
    """

    t: str
    t_ms: int
    uptime_s: float = 0.0
    url: str = ""
    workers: int = 1
    draining: bool
    accepted: int
    handshaking: int
    open: int
    peak_open: int
    accept_faults: int
    accept_fault_reasons: dict[str, int]
    outcomes: dict[Outcome, int]
    refused: dict[int, int]
    refused_reasons: dict[str, int]
    close_codes: dict[int, int]
    upstream_close_codes: dict[int, int] = field(default_factory=dict)
    upstream: str | None = None
    faults: str | None = None
    faults_seen: dict[str, int] = field(default_factory=dict)
    faults_acted: dict[str, int] = field(default_factory=dict)
    messages_received: int
    messages_sent: int
    messages_unanswered: int = 0
    messages_pushed: int = 0
    messages_undelivered: int = 0
    bytes_received: int
    bytes_sent: int
    held_bytes: int = 0
    echo_ms: Spread
    loop_lag_ms: Spread
    histograms: Histograms


@dataclass(slots=True)
class Counters:
    """The running counts behind a `ServerSnapshot`, written by the code that serves connections.

    :ivar echo: written by the poller.
    """

    accepted: int = 0
    open: int = 0
    peak_open: int = 0
    accept_fault_reasons: Counter[str] = field(default_factory=Counter)
    outcomes: Counter[Outcome] = field(default_factory=Counter)
    refused: Counter[int] = field(default_factory=Counter)
    refused_reasons: Counter[str] = field(default_factory=Counter)
    close_codes: Counter[int] = field(default_factory=Counter)
    upstream_close_codes: Counter[int] = field(default_factory=Counter)
    messages_received: int = 0
    messages_sent: int = 0
    messages_unanswered: int = 0
    messages_pushed: int = 0
    messages_undelivered: int = 0
    bytes_received: int = 0
    bytes_sent: int = 0
    echo: Durations = field(default_factory=Durations)
    handshake: Durations = field(default_factory=Durations)
    draining: bool = False

    @property
    def ended(self) -> int:
        """The number of connections that have ended."""
        return self.outcomes.total()

    @property
    def handshaking(self) -> int:
        """The number of connections that are neither open nor ended."""
        return self.accepted - self.open - self.ended

    def add_traffic(self, connection: Traffic) -> None:
        """Add the traffic of a connection that has ended."""
        self.messages_received += connection.messages_received
        self.messages_sent += connection.messages_sent
        self.bytes_received += connection.bytes_received
        self.bytes_sent += connection.bytes_sent

    def snapshot(
        self,
        live: Iterable[Traffic] = (),
        *,
        known: ServerSnapshot | None = None,
        url: str = "",
        uptime_s: float = 0.0,
        holdings: Holdings = Holdings(),
        loop_lag: Durations | None = None,
        held_bytes: int = 0,
    ) -> ServerSnapshot:
        """Copy the counters as they are now, with the traffic of the connections still open.

        :param live: the open connections.
        :param known: an earlier snapshot whose traffic is repeated: the connections are not looked
            at.
        :param uptime_s: seconds since the server started.
        :param loop_lag: ``None`` stands for no observation.
        """
        now_s = time.time()
        traffic = self._traffic(live) if known is None else _Sums(*_traffic_of(known))
        loop_lag = loop_lag or Durations()
        return ServerSnapshot(
            t=datetime.fromtimestamp(now_s, UTC).isoformat(timespec="milliseconds"),
            t_ms=int(now_s * 1000),
            uptime_s=round(uptime_s, 3),
            url=url,
            draining=self.draining,
            accepted=self.accepted,
            handshaking=self.handshaking,
            open=self.open,
            peak_open=self.peak_open,
            accept_faults=self.accept_fault_reasons.total(),
            accept_fault_reasons=dict(self.accept_fault_reasons),
            outcomes=dict(self.outcomes),
            refused=dict(self.refused),
            refused_reasons=dict(self.refused_reasons),
            close_codes=dict(self.close_codes),
            upstream_close_codes=dict(self.upstream_close_codes),
            messages_received=traffic.messages_received,
            messages_sent=traffic.messages_sent,
            messages_unanswered=self.messages_unanswered,
            messages_pushed=self.messages_pushed,
            messages_undelivered=self.messages_undelivered,
            bytes_received=traffic.bytes_received,
            bytes_sent=traffic.bytes_sent,
            held_bytes=held_bytes,
            echo_ms=self.echo.recent(),
            loop_lag_ms=loop_lag.recent(),
            histograms=Histograms(
                echo_s=self.echo.histogram(),
                handshake_s=self.handshake.histogram(),
                loop_lag_s=loop_lag.histogram(),
            ),
            **{name: getattr(holdings, name) for name in Holdings.__slots__},
        )

    def _traffic(self, live: Iterable[Traffic]) -> _Sums:
        """Add up what connections have received and sent, those that have ended included."""
        ended, open_now = _traffic_of(self), _Sums.of(live)
        return _Sums(*map(add, ended, open_now))


_TRAFFIC: Final = ("messages_received", "messages_sent", "bytes_received", "bytes_sent")
_traffic_of: Final = attrgetter(*_TRAFFIC)


class _Sums(NamedTuple):
    """The traffic of many connections together."""

    messages_received: int
    messages_sent: int
    bytes_received: int
    bytes_sent: int

    @classmethod
    def of(cls, live: Iterable[Traffic]) -> Self:
        """Add it up in one pass.

        The CPU's caches do not hold ten thousand connections: each pass fetches all of them anew.
        """
        received = sent = received_bytes = sent_bytes = 0
        for one_received, one_sent, one_received_bytes, one_sent_bytes in map(_traffic_of, live):
            received += one_received
            sent += one_sent
            received_bytes += one_received_bytes
            sent_bytes += one_sent_bytes
        return cls(received, sent, received_bytes, sent_bytes)
