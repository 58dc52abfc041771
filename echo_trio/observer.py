"""Define observers of connections: of their handshakes, messages and ends, as they happen.

A server without an observer pays nothing for this: its connections are plain ones. With one, each
connection is an `ObservedConnection`, which reports every message before it goes out: when a client
has received a reply, the observer has it already.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from echo_trio.metrics.counters import Outcome
from echo_trio.wire.observed import MessageObserver
from echo_trio.wire.server_handshake import UpgradeRequest


class ConnectionObserver(MessageObserver, Protocol):
    """An observer of one connection, called in Trio's thread; it must neither block nor raise."""

    def requested(self, request: UpgradeRequest) -> None:
        """Take the request of the handshake, before it is accepted or refused."""

    def opened(self, subprotocol: str | None, extensions: Sequence[str]) -> None:
        """Note that the handshake is done, with the agreed subprotocol and extensions."""

    def ended(self, outcome: Outcome, details: Mapping[str, Any]) -> None:
        """Note how the connection ended; this is the last call.

        :param details: those of the log line: `code`, `messages_received`, `messages_sent`; of a
            refused handshake `status` and `reason`.
        """


class Observer(Protocol):
    """An observer of a server's connections, called in Trio's thread."""

    def accepted(self, peer: str) -> ConnectionObserver:
        """Return the observer of a connection that was just accepted.

        :param peer: the peer's address and port.
        """


class BothObservers:
    """Two observers as one, each told of everything, the first one first."""

    def __init__(self, first: Observer, second: Observer) -> None:
        self._observers = first, second

    def accepted(self, peer: str) -> ConnectionObserver:
        """Return the observer of a connection for both (see `Observer`)."""
        first, second = self._observers
        return _BothOfConnection(first.accepted(peer), second.accepted(peer))


class _BothOfConnection:
    def __init__(self, *observers: ConnectionObserver) -> None:
        self._observers = observers

    def requested(self, request: UpgradeRequest) -> None:
        for observer in self._observers:
            observer.requested(request)

    def opened(self, subprotocol: str | None, extensions: Sequence[str]) -> None:
        for observer in self._observers:
            observer.opened(subprotocol, extensions)

    def received(self, message: str | bytes) -> None:
        for observer in self._observers:
            observer.received(message)

    def sent(self, message: str | bytes) -> None:
        for observer in self._observers:
            observer.sent(message)

    def ended(self, outcome: Outcome, details: Mapping[str, Any]) -> None:
        for observer in self._observers:
            observer.ended(outcome, details)
