"""Hold the connections that a server has, and everything that its sessions share."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, Self

import trio

from echo_trio import origins, proxies
from echo_trio.behaviours.rooms import Rooms
from echo_trio.metrics.activity import Activity
from echo_trio.metrics.counters import Counters, Outcome
from echo_trio.observer import ConnectionObserver, Observer
from echo_trio.places import Places
from echo_trio.proxy.proxy import Proxy
from echo_trio.settings import Settings
from echo_trio.sparing import Sparing
from echo_trio.wire import handshake, sockets
from echo_trio.wire.budget import Budget
from echo_trio.wire.connection import Limits
from echo_trio.wire.poller import Poller
from echo_trio.wire.watch import Watch

#: The characters of a reason that are logged.
_MAX_WHY: Final = 300
_OF_UPSTREAM: Final = {
    handshake.Reason.UPSTREAM_ANSWER,
    handshake.Reason.UPSTREAM_TIMEOUT,
    handshake.Reason.UPSTREAM_UNREACHABLE,
}


@dataclass(frozen=True, slots=True)
class SessionEnd:
    """The outcome of a connection, and the details that its log line gives."""

    outcome: Outcome
    details: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def refusal(cls, refused: handshake.HandshakeRefused) -> Self:
        """Make the end of a connection whose handshake was refused.

        Its details say why only where that is not the client's doing: what a browser's user does
        not get to see of an upstream, whoever runs the proxy has to find in the log.
        """
        details = {"status": refused.status, "reason": refused.reason.value}
        if refused.reason in _OF_UPSTREAM:
            details["why"] = refused.why[:_MAX_WHY]  # It may quote the upstream.
        return cls(Outcome.REFUSED, details)


@dataclass(slots=True)
class Peer:
    """The other end as far as it is known: a trusted proxy may say that its client is another.

    For display and logs. Nothing is decided by it.

    :ivar hop: whoever connects to us; of a PROXY header, the source that it names.
    """

    name: str
    hop: str = field(init=False)

    def __post_init__(self) -> None:
        self.hop = self.name


@dataclass(eq=False, slots=True)
class Caller:
    """A connection that was accepted, until its handshake is done.

    :ivar sock: the socket; once TLS begins, the one that does TLS.
    :ivar peer: the address of the other end, as it was accepted.
    :ivar heard_s: when bytes arrived from it last; at first, `accepted_s`.
    :ivar has_place: true while it holds one of the `Places`.
    :ivar waits: true while it waits for one.
    :ivar answered: true once it was refused, while it may read the reason.
    :ivar displaced: true once a newcomer has its place, and its socket is closed.
    :ivar observer: its observer; ``None`` without one.
    """

    sock: socket.socket
    peer: str
    accepted_s: float
    heard_s: float = field(init=False)
    has_place: bool = False
    waits: bool = False
    answered: bool = False
    displaced: bool = False
    observer: ConnectionObserver | None = None

    def __post_init__(self) -> None:
        self.heard_s = self.accepted_s

    def has_unread(self) -> bool:
        """Tell whether bytes have arrived that were not read yet."""
        return sockets.is_readable(self.sock)


@dataclass(slots=True)
class Sessions:
    """The connections, and what their sessions share. Drained by `server`.

    :ivar tls: the context to serve TLS with; ``None`` to serve without.
    :ivar limits: the limits of each connection.
    :ivar budget: the memory that all connections may hold together.
    :ivar origins: the origins whose pages may connect; empty means all.
    :ivar proxies: the networks of proxies that may name their clients; empty means none.
    :ivar openings: the scopes to cancel, which interrupts each handshake under way.
    :ivar places: the places of all connections.
    :ivar observer: is told of each connection; ``None`` if nobody is.
    :ivar workers: the number of processes that share the port.
    :ivar rooms: the rooms of this process.
    :ivar proxy: the upstream and the faults before it; ``None`` for a server that echoes.
    :ivar upstreams: the connections to the upstream.
    :ivar activity: is told when a connection begins or ends.
    :ivar all_gone: set when, while draining, the last connection has ended.
    """

    settings: Settings
    poller: Poller | None
    tls: ssl.SSLContext | None
    log: Any
    counters: Counters
    places: Places[Caller]
    observer: Observer | None = None
    workers: int = 1
    openings: set[trio.CancelScope] = field(default_factory=set)
    all_gone: trio.Event = field(default_factory=trio.Event)
    limits: Limits = field(init=False)
    budget: Budget = field(init=False)
    origins: frozenset[origins.Origin | None] = field(init=False)
    proxies: tuple[proxies.Network, ...] = field(init=False)
    connections: Watch = field(init=False)
    rooms: Rooms = field(default_factory=Rooms)
    sparing: Sparing = field(init=False)
    proxy: Proxy | None = None
    upstreams: Watch = field(init=False)
    activity: Activity = field(default_factory=Activity)

    def __post_init__(self) -> None:
        self.limits = self.settings.limits
        self.budget = Budget(self.settings.max_held_bytes)
        self.origins = frozenset(map(origins.parse_origin, self.settings.origin))
        self.proxies = tuple(filter(None, map(proxies.parse_network, self.settings.trust_proxy)))
        self.connections = Watch(self.limits)
        self.upstreams = Watch(self.limits)
        self.sparing = Sparing(self.log)

    @contextmanager
    def opening(self, deadline_s: float) -> Iterator[trio.CancelScope]:
        """Bound a part of a handshake: cancel it at the deadline, or when the server drains."""
        with trio.CancelScope(deadline=deadline_s) as scope:
            self.openings.add(scope)
            if self.counters.draining:
                scope.cancel()
            try:
                yield scope
            finally:
                self.openings.discard(scope)

    def count_refused(self, refused: handshake.HandshakeRefused) -> None:
        """Count a handshake that was answered with this."""
        self.counters.refused[refused.status] += 1
        self.counters.refused_reasons[refused.reason] += 1

    def count_ended(self, end: SessionEnd, peer: str, duration_s: float) -> None:
        """Count how an accepted connection ended, and log it.

        At the level debug every end is logged; otherwise ends that were not clean, one a second of
        each outcome.
        """
        counters, outcome = self.counters, end.outcome
        counters.outcomes[outcome] += 1
        self.activity.note()
        if counters.draining and counters.ended == counters.accepted:
            self.all_gone.set()
        if self.settings.log_level == "debug":
            say = self.log.debug
        elif outcome is Outcome.MEMORY:  # too little memory: nobody's fault
            say = partial(self.sparing.warning, kind=outcome)
        elif outcome is not Outcome.CLEAN:
            say = partial(self.sparing.info, kind=outcome)
        else:
            return
        say(
            "connection ended",
            outcome=outcome.value,
            peer=peer,
            duration_s=round(duration_s, 3),
            **end.details,
        )
