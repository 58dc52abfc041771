"""The books: every socket and every message ends in exactly one column, or the run is in error."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum

from loadgen.verify import Verdict


class Failure(StrEnum):
    """Why a socket did not open. The last three but one are this machine's."""

    REFUSED = "refused"
    TIMEOUT = "timeout"
    RESET = "reset"
    DNS = "dns"
    TLS = "tls"
    REJECTED = "rejected"
    PROTOCOL = "protocol"
    FILE_LIMIT = "file_limit"
    ADDRESS_IN_USE = "address_in_use"
    OTHER = "other"


class Ending(StrEnum):
    """How a socket that had opened ended."""

    CLEAN = "clean"
    """We closed it, and the peer answered."""
    BY_PEER = "by_peer"
    """The peer sent the first close frame."""
    ABNORMAL = "abnormal"
    """TCP ended without closing handshake, or the peer broke the protocol."""
    TIMEOUT = "timeout"
    """The peer did not answer our close frame in time; we cut it."""


class Unbalanced(Exception):
    """The columns don't add up: an error of the load generator's, never to be passed over."""


@dataclass(slots=True)
class Ledger:
    """Counts of one run.

    :ivar early: sockets that ended before we closed them, by close code.
    """

    requested: int
    opened: int = 0
    not_attempted: int = 0
    peak_open: int = 0
    failed: Counter[Failure] = field(default_factory=Counter)
    failed_status: Counter[int] = field(default_factory=Counter)
    closed: Counter[Ending] = field(default_factory=Counter)
    close_codes: Counter[int] = field(default_factory=Counter)
    early: Counter[int] = field(default_factory=Counter)
    sent: int = 0
    sent_bytes: int = 0
    received: int = 0
    received_bytes: int = 0
    verdicts: Counter[Verdict] = field(default_factory=Counter)
    lost: int = 0
    in_flight: int = 0

    @property
    def open(self) -> int:
        """Sockets open now."""
        return self.opened - self.closed.total()

    @property
    def settled(self) -> int:
        """Attempts that have led to an open socket or to a failure."""
        return self.opened + self.failed.total() + self.not_attempted

    @property
    def answered(self) -> int:
        """Messages that a reply has settled."""
        return sum(
            self.verdicts[verdict]
            for verdict in (Verdict.ECHOED, Verdict.REORDERED, Verdict.CORRUPT)
        )

    @property
    def unanswered(self) -> int:
        """Messages without a reply."""
        return self.sent - self.answered

    @property
    def errors(self) -> int:
        """Everything so far that should not have happened."""
        wrong = self.verdicts.total() - self.verdicts[Verdict.ECHOED]
        return self.failed.total() + self.early.total() + wrong

    def count_opened(self) -> None:
        """A handshake is done."""
        self.opened += 1
        self.peak_open = max(self.peak_open, self.open)

    def settle_unanswered(self, *, interrupted: bool) -> None:
        """Put what will never be answered where it belongs, at the end."""
        if interrupted:
            self.in_flight += self.unanswered
        else:
            self.lost += self.unanswered

    def check(self) -> None:
        """Assert the contract's identities, at the end.

        :raises Unbalanced: if one doesn't hold.
        """
        identities = {
            "requested = opened + failed + not attempted": (self.requested, self.settled),
            "opened = closed": (self.opened, self.closed.total()),
            "sent = echoed + reordered + corrupt + lost + in flight": (
                self.sent,
                self.answered + self.lost + self.in_flight,
            ),
            "received = echoed + reordered + corrupt + duplicate + unexpected": (
                self.received,
                self.verdicts.total(),
            ),
        }
        for identity, (left, right) in identities.items():
            if left != right:
                raise Unbalanced(f"{identity} doesn't hold: {left} and {right}")
