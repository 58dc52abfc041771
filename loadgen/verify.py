"""Does this reply answer that message? Pure; knows the contract, not the server's code.

Every reply gets one verdict, and every message is answered by at most one reply, so the columns
of the ledger add up whatever a server does.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import Final, NamedTuple

from loadgen.payloads import Payloads

#: One space and a decimal integer from 0 to 999999, without leading zeros.
_SUFFIX: Final = re.compile(r" (?:0|[1-9][0-9]{0,5})")
#: The share of a message that a wrong reply has in common with it, if it is a reply to it at all.
RESEMBLANCE: Final = 0.5

Answers = Callable[[str | bytes, str], bool]


class Verdict(StrEnum):
    """What a reply is. The first three answer a message, the others answer none."""

    ECHOED = "echoed"
    REORDERED = "reordered"
    CORRUPT = "corrupt"
    DUPLICATE = "duplicate"
    UNEXPECTED = "unexpected"


class Sent(NamedTuple):
    """A message without a reply yet. Times are in microseconds of the run's clock."""

    message: str
    seq: int
    due_us: int
    sent_us: int


def answers_with_suffix(reply: str | bytes, message: str) -> bool:
    """Is the reply this message, one space and a number in range?"""
    return (
        isinstance(reply, str)
        and reply.startswith(message)
        and _SUFFIX.fullmatch(reply, len(message)) is not None
    )


def answers_exactly(reply: str | bytes, message: str) -> bool:
    """Is the reply this message?"""
    return reply == message


def answers_anyhow(_reply: str | bytes, _message: str) -> bool:
    """With verification off, each reply answers the oldest message."""
    return True


ANSWERS: Final[dict[str, Answers]] = {
    "suffix": answers_with_suffix,
    "exact": answers_exactly,
    "off": answers_anyhow,
}


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
    :returns: the verdict, and which of `pending` it settles.
    """
    for index, waiting in enumerate(pending):
        if answers(reply, waiting.message):
            late = waiting.seq < newest_answered
            return (Verdict.REORDERED if late else Verdict.ECHOED), index
    text = reply if isinstance(reply, str) else reply.decode(errors="replace")
    body = _body(text, answers)
    if isinstance(reply, str) and body is not None:
        if payloads.find_sequence(body, conn, sent) is not None:
            return Verdict.DUPLICATE, None
        if payloads.is_anybodys(body):
            return Verdict.UNEXPECTED, None
    likeness = [_likeness(text, waiting.message) for waiting in pending]
    if likeness and max(likeness) >= RESEMBLANCE:
        return Verdict.CORRUPT, likeness.index(max(likeness))
    return Verdict.UNEXPECTED, None


def _body(text: str, answers: Answers) -> str | None:
    """The message that a well-formed reply would be the answer to."""
    if answers is not answers_with_suffix:
        return text
    body, _, _ = text.rpartition(" ")
    return body if _SUFFIX.fullmatch(text, len(body)) else None


def _likeness(text: str, message: str) -> float:
    """The share of the message's characters that stand in the reply at the same place."""
    if not message:
        return 0.0
    return sum(a == b for a, b in zip(text, message, strict=False)) / len(message)
