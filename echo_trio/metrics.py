"""What the server counts. Every connection that was accepted ends in exactly one outcome."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Protocol


class Outcome(StrEnum):
    """How a connection ended."""

    CLEAN = "clean"
    """Both ends sent a close frame."""
    REFUSED = "refused"
    """We answered the handshake with an HTTP error."""
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
    FAILED = "failed"
    """Our own bug: closed with 1011."""
    DROPPED = "dropped"
    """The drain's budget ran out before the connection was closed."""


class Traffic(Protocol):
    """What a connection counts itself, so that a message costs the server no further count."""

    messages_received: int
    messages_sent: int
    bytes_received: int
    bytes_sent: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The server's counters at one moment. `accepted` is `handshaking` + `open` + Σ `outcomes`."""

    accepted: int
    handshaking: int
    open: int
    peak_open: int
    outcomes: dict[Outcome, int]
    refused: dict[int, int]
    close_codes: dict[int, int]
    messages_received: int
    messages_sent: int
    bytes_received: int
    bytes_sent: int
    accept_faults: int
    draining: bool


@dataclass(slots=True)
class Counters:
    """The running counts behind a `Snapshot`; only `server` and `session` write them.

    :ivar refused: handshakes by the HTTP status they were refused with.
    :ivar close_codes: ended connections by the code of the first close frame that was on the
        wire, whoever sent it.
    """

    accepted: int = 0
    handshaking: int = 0
    open: int = 0
    peak_open: int = 0
    outcomes: Counter[Outcome] = field(default_factory=Counter)
    refused: Counter[int] = field(default_factory=Counter)
    close_codes: Counter[int] = field(default_factory=Counter)
    messages_received: int = 0
    messages_sent: int = 0
    bytes_received: int = 0
    bytes_sent: int = 0
    accept_faults: int = 0
    draining: bool = False

    @property
    def ended(self) -> int:
        """Connections that are over."""
        return self.outcomes.total()

    def add_traffic(self, connection: Traffic) -> None:
        """Add what a connection that has ended received and sent."""
        self.messages_received += connection.messages_received
        self.messages_sent += connection.messages_sent
        self.bytes_received += connection.bytes_received
        self.bytes_sent += connection.bytes_sent

    def snapshot(self, live: Iterable[Traffic] = ()) -> Snapshot:
        """The counters as they stand, with the traffic of the connections still open."""
        if traffic := list(live):
            total = replace(self)
            for connection in traffic:
                total.add_traffic(connection)
            return total.snapshot()
        return Snapshot(
            accepted=self.accepted,
            handshaking=self.handshaking,
            open=self.open,
            peak_open=self.peak_open,
            outcomes=dict(self.outcomes),
            refused=dict(self.refused),
            close_codes=dict(self.close_codes),
            messages_received=self.messages_received,
            messages_sent=self.messages_sent,
            bytes_received=self.bytes_received,
            bytes_sent=self.bytes_sent,
            accept_faults=self.accept_faults,
            draining=self.draining,
        )
