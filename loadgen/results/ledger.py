"""Count every socket and every message in exactly one column, or find the run in error.

The ledger knows two rules. A message that is sent is *owed* something: nothing (`one_way`), one
reply, or a copy for each subscriber (`published`). A frame that is received is *claimed* by
something, which its `Verdict` names, or it is unexpected.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from echo_trio.wire.close_codes import ABNORMAL_CLOSURE
from loadgen.results.verify import ANSWERING, WRONG, Verdict


class Failure(StrEnum):
    """The reason why a socket did not open.

    `FILE_LIMIT` and `ADDRESS_IN_USE` are this machine's faults.
    """

    REFUSED = "refused"
    TIMEOUT = "timeout"
    RESET = "reset"
    DNS = "dns"
    TLS = "tls"
    REJECTED = "rejected"
    PROTOCOL = "protocol"
    GREETING = "greeting"
    """The messages that were expected after the handshake did not come in time."""
    FILE_LIMIT = "file_limit"
    ADDRESS_IN_USE = "address_in_use"
    OTHER = "other"


class Fault(StrEnum):
    """The party at fault when a socket did not open."""

    TARGET = "target"
    NETWORK = "network"
    MACHINE = "machine"
    """The machine that the load generator runs on."""


#: The party at fault for each reason; for `OTHER` it depends on the system's error.
FAULTS: Final = {
    Failure.REFUSED: Fault.TARGET,
    Failure.TIMEOUT: Fault.TARGET,
    Failure.RESET: Fault.TARGET,
    Failure.DNS: Fault.TARGET,
    Failure.TLS: Fault.TARGET,
    Failure.REJECTED: Fault.TARGET,
    Failure.PROTOCOL: Fault.TARGET,
    Failure.GREETING: Fault.TARGET,
    Failure.FILE_LIMIT: Fault.MACHINE,
    Failure.ADDRESS_IN_USE: Fault.MACHINE,
}


class Ending(StrEnum):
    """The way in which a socket that had opened ended."""

    CLEAN = "clean"
    """We closed it, and the peer answered."""
    BY_PEER = "by_peer"
    """The peer sent the first close frame."""
    ABNORMAL = "abnormal"
    """TCP ended without closing handshake, or the peer broke the protocol."""
    TIMEOUT = "timeout"
    """The peer did not answer our close frame, or read what we sent, in time; we cut it."""


#: The number of details that are kept: a target may give each of a million sockets another reason.
MAX_DETAILS: Final = 100


class Unbalanced(Exception):
    """The columns don't add up: an error of the load generator's, never to be passed over."""


@dataclass(slots=True)
class Ledger:
    """The counts of one run.

    :ivar tcp: sockets whose TCP connection was made.
    :ivar tls: sockets that finished their TLS handshake.
    :ivar opened: sockets that finished the WebSocket's handshake.
    :ivar compressed: opened sockets that agreed on permessage-deflate.
    :ivar other_errors: sockets that failed for an `OTHER` reason, by the system's message.
    :ivar other_faults: sockets that failed for an `OTHER` reason, by the party at fault.
    :ivar tls_errors: sockets that failed for a `TLS` reason, by OpenSSL's message.
    :ivar details: failed sockets by reason and further detail, in words.
    :ivar addresses: TCP connections to each address of the target, 0 where there was none;
        `close_reasons`, how often the peer gave which reason, with its close code.
    :ivar plain_echoes: corrupt replies that were exactly the message they answered.
    :ivar early: sockets that ended before we closed them, by how they ended and the close code.
    :ivar still_sending: sockets that we cut while their server went on sending instead of answering
        our close frame.
    :ivar abandoned: messages whose socket ended before they were answered.
    :ivar given_up: messages that a timeout of their own has ended: lost, however the run ends.
    :ivar due: messages that the open loop's schedule has called for; ``None`` in a closed loop,
        which has no schedule.
    :ivar one_way: messages sent that are owed nothing.
    :ivar published: messages sent that are owed a copy for each subscriber of their room.
    :ivar owed: copies for subscribers. Each ends as `delivered`, `missing`, `unsettled` (its
        subscriber joined or left while it was under way) or `copies_in_flight` (the run was
        interrupted).
    :ivar extra: copies that came and were not owed.
    :ivar missed: messages that were due and not sent: there was no socket, or no time (`overdue`).
    :ivar overdue: the part of `missed` that the generator was still behind with when the stop
        timeout after the load ran out.
    :ivar orphaned: sockets that were open when the process they were in died.
    :ivar orphaned_messages: messages that were unanswered on orphaned sockets.
    """

    requested: int
    tcp: int = 0
    tls: int = 0
    opened: int = 0
    compressed: int = 0
    not_attempted: int = 0
    peak_open: int = 0
    failed: Counter[Failure] = field(default_factory=Counter)
    failed_status: Counter[int] = field(default_factory=Counter)
    other_errors: Counter[str] = field(default_factory=Counter)
    other_faults: Counter[Fault] = field(default_factory=Counter)
    tls_errors: Counter[str] = field(default_factory=Counter)
    details: Counter[tuple[Failure, str]] = field(default_factory=Counter)
    closed: Counter[Ending] = field(default_factory=Counter)
    close_codes: Counter[int] = field(default_factory=Counter)
    addresses: Counter[str] = field(default_factory=Counter)
    close_reasons: Counter[tuple[int, str]] = field(default_factory=Counter)
    plain_echoes: int = 0
    early: Counter[tuple[Ending, int]] = field(default_factory=Counter)
    sent: int = 0
    sent_bytes: int = 0
    received: int = 0
    received_bytes: int = 0
    verdicts: Counter[Verdict] = field(default_factory=Counter)
    abandoned: int = 0
    given_up: int = 0
    lost: int = 0
    in_flight: int = 0
    one_way: int = 0
    published: int = 0
    owed: int = 0
    delivered: int = 0
    missing: int = 0
    unsettled: int = 0
    copies_in_flight: int = 0
    extra: int = 0
    due: int | None = None
    missed: int = 0
    overdue: int = 0
    orphaned: int = 0
    orphaned_messages: int = 0
    still_sending: int = 0

    @property
    def open(self) -> int:
        """The number of sockets open now."""
        return self.opened - self.closed.total()

    @property
    def settled(self) -> int:
        """The number of attempts that have led to an open socket or to a failure."""
        return self.opened + self.failed.total() + self.not_attempted

    @property
    def answered(self) -> int:
        """The number of messages that a reply has settled."""
        return sum(self.verdicts[verdict] for verdict in ANSWERING)

    @property
    def unanswered(self) -> int:
        """The number of messages without the reply that they are owed."""
        return self.sent - self.one_way - self.published - self.answered

    @property
    def awaited(self) -> int:
        """The number of messages whose reply may still come."""
        return self.unanswered - self.abandoned - self.given_up

    @property
    def errors(self) -> int:
        """The number of sockets and messages so far with which something was wrong."""
        wrong = sum(self.verdicts[verdict] for verdict in WRONG) + self.missing + self.extra
        ended_badly = (
            self.early.total() + self.unanswered_closes + self.unclean_closes + self.orphaned
        )
        return self.failed.total() + ended_badly + wrong + self.lost

    @property
    def unanswered_closes(self) -> int:
        """The number of sockets that we cut because they did not answer our close frame."""
        return self.closed[Ending.TIMEOUT] - self._early(Ending.TIMEOUT)

    @property
    def unclean_closes(self) -> int:
        """The number of sockets that ended otherwise than by an answer to our close frame."""
        return self.closed[Ending.ABNORMAL] - self._early(Ending.ABNORMAL) - self.orphaned

    def _early(self, ending: Ending) -> int:
        return sum(count for (how, _), count in self.early.items() if how is ending)

    def failed_by(self, fault: Fault) -> int:
        """Count the sockets that did not open through this party's fault."""
        known = sum(count for reason, count in self.failed.items() if FAULTS.get(reason) is fault)
        return known + self.other_faults[fault]

    def explain(self, failure: Failure, detail: str) -> None:
        """Note why a socket failed, in words; at most `MAX_DETAILS` different ones are kept."""
        if (failure, detail) in self.details or len(self.details) < MAX_DETAILS:
            self.details[failure, detail] += 1

    def count_opened(self) -> None:
        """Count a socket whose handshake is done."""
        self.opened += 1
        self.peak_open = max(self.peak_open, self.open)

    def count_ended(self, ending: Ending, code: int, *, early: bool, reason: str = "") -> None:
        """Count a socket that has opened and ended.

        :param code: of the first close frame.
        :param reason: the peer's, if it gave one; of very many different ones the first count.
        """
        self.closed[ending] += 1
        self.close_codes[code] += 1
        if early:
            self.early[ending, code] += 1
        known = (code, reason) in self.close_reasons or len(self.close_reasons) < MAX_DETAILS
        if reason and known:
            self.close_reasons[code, reason] += 1

    def settle_unanswered(self, *, interrupted: bool) -> None:
        """Count messages that will never be answered as lost, or in flight if interrupted."""
        if interrupted:
            self.in_flight += self.unanswered - self.given_up
            self.lost += self.given_up
        else:
            self.lost += self.unanswered
        self.settle_copies(interrupted=interrupted)

    def settle_copies(self, *, interrupted: bool) -> None:
        """Count copies that will never come as missing, or in flight if interrupted."""
        settled = self.delivered + self.missing + self.unsettled + self.copies_in_flight
        if interrupted:
            self.copies_in_flight += self.owed - settled
        else:
            self.missing += self.owed - settled

    def write_off(self, why: str, *, interrupted: bool) -> None:
        """Close the ledger of a process that has died: its unsettled entries are its fault.

        Its sockets ended without a close frame, or will not open; its messages stay unanswered;
        messages that were due and not sent are missed.

        :param why: the error of sockets that will not open.
        """
        if unsettled := self.requested - self.settled:
            self.failed[Failure.OTHER] += unsettled
            self.other_errors[why] += unsettled
            self.other_faults[Fault.MACHINE] += unsettled
        if orphans := self.open:
            self.orphaned += orphans
            self.closed[Ending.ABNORMAL] += orphans
            self.close_codes[ABNORMAL_CLOSURE] += orphans
        self.orphaned_messages += 0 if interrupted else self.awaited
        self.settle_unanswered(interrupted=interrupted)
        if self.due is not None:
            # Messages that waited for a socket to open are gone with the process.
            self.missed = self.due - self.sent

    def merge(self, other: Ledger) -> None:
        """Add the ledger of another part of the same run: of another shard.

        `peak_open` then is the sum of the peaks: at most that number were open together.
        """
        for each in dataclasses.fields(self):
            own, others = getattr(self, each.name), getattr(other, each.name)
            if isinstance(own, Counter):
                own.update(others)
            elif own is not None or others is not None:
                setattr(self, each.name, (own or 0) + (others or 0))

    def check(self) -> None:
        """Assert the identities of the contract, at the end.

        :raises Unbalanced: if one doesn't hold.
        """
        identities = {
            "requested = opened + failed + not attempted": (self.requested, self.settled),
            "opened = closed": (self.opened, self.closed.total()),
            "sent = one way + published + echoed + reordered + corrupt + lost + in flight": (
                self.sent,
                self.one_way + self.published + self.answered + self.lost + self.in_flight,
            ),
            f"received = {' + '.join(Verdict)}": (self.received, self.verdicts.total()),
            "owed = delivered + missing + unsettled + in flight": (
                self.owed,
                self.delivered + self.missing + self.unsettled + self.copies_in_flight,
            ),
        }
        if self.other_faults:
            others = (self.failed[Failure.OTHER], self.other_faults.total())
            identities["failed for other reasons = by whose fault"] = others
        if self.due is not None:
            identities["due = sent + missed"] = (self.due, self.sent + self.missed)
        for identity, (left, right) in identities.items():
            if left != right:
                raise Unbalanced(f"{identity} doesn't hold: {left} and {right}")
