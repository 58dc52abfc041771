"""Judge whether a reply answers a message. Pure; knows the contract, not the server's code.

Every reply gets one verdict, and every message is answered by at most one reply, so the columns of
the ledger add up for every server.
"""

from __future__ import annotations

import operator
import re
from bisect import bisect_left
from collections.abc import Callable, Sequence
from enum import StrEnum
from operator import attrgetter
from typing import Final, NamedTuple

from loadgen.workload.payloads import Payloads

#: One space and a decimal integer from 0 to 999999, without leading zeros.
_SUFFIX: Final = re.compile(r" (?:0|[1-9][0-9]{0,5})")
_SUFFIX_BYTES: Final = re.compile(_SUFFIX.pattern.encode())
#: The share of a message that a wrong reply has in common with it, if it is a reply to it at all.
RESEMBLANCE: Final = 0.5

Answers = Callable[[str | bytes, str | bytes], bool]


class Verdict(StrEnum):
    """The claim on a received frame: every frame gets exactly one.

    The first three answer a message, a duplicate answers one again, and nothing claims an
    unexpected frame. The others are no replies, and nothing is wrong with them.
    """

    ECHOED = "echoed"
    REORDERED = "reordered"
    CORRUPT = "corrupt"
    DUPLICATE = "duplicate"
    UNEXPECTED = "unexpected"
    EXPECTED = "expected"
    """A message that the server sends by itself and the plan expects: a greeting."""
    IGNORED = "ignored"
    """A frame that the plan says to pass over."""
    STREAMED = "streamed"
    """A message pushed to a subscriber."""
    COPIES = "copies"
    """A copy of a message that was published."""

    # An enum's own is a function in Python that hashes the name: half a microsecond a message.
    __hash__ = str.__hash__


#: Verdicts that settle a message.
ANSWERING: Final = (Verdict.ECHOED, Verdict.REORDERED, Verdict.CORRUPT)
#: Verdicts that make a run fail.
WRONG: Final = (Verdict.REORDERED, Verdict.CORRUPT, Verdict.DUPLICATE, Verdict.UNEXPECTED)


class Sent(NamedTuple):
    """A message without a reply yet. Times are in microseconds of the run's clock."""

    message: str | bytes
    seq: int
    due_us: int
    sent_us: int


def answers_with_suffix(reply: str | bytes, message: str | bytes) -> bool:
    """Tell whether the reply is this text message, one space and a number in range."""
    return (
        isinstance(reply, str)
        and reply.startswith(message)  # type: ignore[arg-type]  # text, as all of this run's
        and _SUFFIX.fullmatch(reply, len(message)) is not None
    )


def answers_with_suffix_in_bytes(reply: str | bytes, message: str | bytes) -> bool:
    """Tell whether the reply is this binary message, one space and a number in range, in ASCII."""
    return (
        isinstance(reply, bytes)
        and reply.startswith(message)  # type: ignore[arg-type]  # bytes, as all of this run's
        and _SUFFIX_BYTES.fullmatch(reply, len(message)) is not None
    )


def answers_exactly(reply: str | bytes, message: str | bytes) -> bool:
    """Tell whether the reply is this message, with the same opcode."""
    return reply == message


ANSWERS: Final[dict[str, Answers]] = {
    "suffix": answers_with_suffix,
    "exact": answers_exactly,
}
BINARY_ANSWERS: Final[dict[str, Answers]] = ANSWERS | {"suffix": answers_with_suffix_in_bytes}
_SUFFIXED: Final = (answers_with_suffix, answers_with_suffix_in_bytes)


def judge(
    reply: str | bytes,
    pending: Sequence[Sent],
    *,
    answers: Answers,
    payloads: Payloads,
    conn: int,
    sent: int,
    newest_answered: int,
) -> tuple[Verdict, int | None]:
    """Judge a reply.

    :param pending: the socket's messages without a reply, oldest first.
    :param sent: how many messages this socket has sent.
    :param newest_answered: the highest number among its answered messages, -1 if there is none.
    :returns: the verdict, and the index in `pending` of the message that it settles. A corrupt
        reply that settles none resembles nothing: it is a wrong answer to a message, or it answers
        none. Which of the two shows when the socket ends, with that message answered or not.
    """
    body = _body(payloads.text_of(reply), answers)
    seq = None if body is None else payloads.find_sequence(body, conn, sent)
    index = _find(reply, pending, seq if payloads.has_sequence else None, answers)
    if index is not None and answers(reply, pending[index].message):
        late = pending[index].seq < newest_answered
        return (Verdict.REORDERED if late else Verdict.ECHOED), index
    if index is not None:
        # It carries the number of the message it answers, and is wrong otherwise.
        return Verdict.CORRUPT, index
    if seq is not None:
        return Verdict.DUPLICATE, None
    if not pending or (body is not None and payloads.is_anothers(body, conn)):
        return Verdict.UNEXPECTED, None
    text = _letters(reply)
    likeness = [_likeness(text, _letters(waiting.message)) for waiting in pending]
    best = max(likeness)
    return Verdict.CORRUPT, likeness.index(best) if best >= RESEMBLANCE else None


def _find(
    reply: str | bytes, pending: Sequence[Sent], seq: int | None, answers: Answers
) -> int | None:
    """Find the message in `pending` that a reply answers: by its number, if it has one."""
    if seq is not None:
        index = bisect_left(pending, seq, key=attrgetter("seq"))
        return index if index < len(pending) and pending[index].seq == seq else None
    for index, waiting in enumerate(pending):
        if answers(reply, waiting.message):
            return index
    return None


def _body(reply: str | None, answers: Answers) -> str | None:
    """Return the message to which a reply would be the right answer, if it is one at all."""
    if reply is None or answers not in _SUFFIXED:
        return reply
    body, _, _ = reply.rpartition(" ")
    return body if _SUFFIX.fullmatch(reply, len(body)) else None


def _letters(message: str | bytes) -> str:
    """Convert a text or binary message to text that can be compared."""
    return message if isinstance(message, str) else message.decode(errors="replace")


def _likeness(text: str, message: str) -> float:
    """Compute the share of the message's characters that are at the same place in the reply."""
    if not message:
        return 0.0
    alike: int = sum(map(operator.eq, text, message))
    return alike / len(message)
