"""Read the parts of a path that stand for a value. Pure.

A parameter is percent-decoded, so that any text can stand in one: a slash is written `%2F`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import unquote_to_bytes

from echo_trio import units
from echo_trio.wire.close_codes import ABNORMAL_CLOSURE, MAX_REASON_BYTES, NO_STATUS, may_be_sent

#: The longest that a number or a duration may be written.
_MAX_DIGITS: Final = 20
_STRAY_PERCENT: Final = re.compile("%(?![0-9A-Fa-f]{2})")
_FOUR_DIGITS: Final = re.compile("[0-9]{4}")
_HTTP_STATUS: Final = re.compile("[2-5][0-9]{2}")
#: The longest name of a room, or token, in bytes.
_MAX_NAME_BYTES: Final = 128


class BadParameter(ValueError):
    """A path names something there is, with a wrong parameter; the message says what is allowed."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """A part of a path that stands for a value.

    :ivar read: the value of a decoded text; a `ValueError` says that it has none.
    :ivar allowed: what may stand there, for people.
    :ivar kind: what is written there, for a program that checks it: `count`, `duration`, `size`,
        `rate`, `status`, `code`, or `text`, of which only `read` knows what may stand in it.
    :ivar example: a text that may stand there.
    :ivar low: the least value, in seconds, bytes or messages; the greatest is `high`. Both are
        ``None`` where the kind has no order.
    """

    read: Callable[[str], Any]
    allowed: str
    kind: str
    example: str
    low: float | None = None
    high: float | None = None


def decode(part: str) -> str:
    """Return what a part of a path stands for.

    :raises ValueError: if a percent sign stands for no byte, or the bytes are not UTF-8.
    """
    if "%" not in part:
        return part
    if _STRAY_PERCENT.search(part):
        raise ValueError
    return unquote_to_bytes(part).decode()


def _number(read: Callable[[str], float], low: float, high: float) -> Callable[[str], float]:
    def within(text: str) -> float:
        if len(text) > _MAX_DIGITS or not low <= (value := read(text)) <= high:
            raise ValueError
        return value

    return within


def count_of(low: int, high: int, what: str) -> Parameter:
    """Return the parameter for a whole number of things."""
    return Parameter(
        _number(units.parse_count, low, high),
        f"a whole number of {what} from {low} to {high}",
        kind="count",
        example="3",
        low=low,
        high=high,
    )


def _read_close_code(text: str) -> int:
    code = int(text) if _FOUR_DIGITS.fullmatch(text) else 0
    if not may_be_sent(code) and code not in {NO_STATUS, ABNORMAL_CLOSURE}:
        raise ValueError
    return code


def _read_status(text: str) -> int:
    if not _HTTP_STATUS.fullmatch(text):
        raise ValueError
    return int(text)


def _read_reason(text: str) -> str:
    if len(text.encode()) > MAX_REASON_BYTES:
        raise ValueError
    return text


def _read_code_and_reason(text: str) -> tuple[int, str]:
    code_text, _, reason = text.partition(":")
    code = _read_close_code(code_text)
    if reason and code in {NO_STATUS, ABNORMAL_CLOSURE}:
        raise ValueError
    return code, _read_reason(reason)


def _read_name(text: str) -> str:
    if not 0 < len(text.encode()) <= _MAX_NAME_BYTES:
        raise ValueError
    return text


def _read_rate(text: str) -> float:
    return units.parse_rate(text if "/" in text else f"{text}/s")


DURATION: Final = Parameter(
    _number(units.parse_duration, 0, 3600),
    "a duration from 0s to 1h, written like 250ms, 1.5s, 2m or 1h",
    kind="duration",
    example="200ms",
    low=0,
    high=3600,
)
INTERVAL: Final = Parameter(
    _number(units.parse_duration, 0.001, 3600),
    "a duration from 1ms to 1h, written like 250ms, 1.5s, 2m or 1h",
    kind="duration",
    example="1s",
    low=0.001,
    high=3600,
)
EVERY_MESSAGES: Final = count_of(1, 1_000_000, "messages")
EVERY_REPLIES: Final = count_of(1, 1_000_000, "replies")
MESSAGES: Final = count_of(0, 1_000_000, "messages")
_CODES: Final = (
    "1000 to 1003, 1007 to 1014, 3000 to 4999, 1005 (an empty close frame) "
    "or 1006 (the end of TCP without one)"
)
CLOSE_CODE: Final = Parameter(_read_close_code, _CODES, kind="code", example="4000")
REASON: Final = Parameter(
    _read_reason,
    f"at most {MAX_REASON_BYTES} bytes of UTF-8, percent-encoded; none with 1005 and 1006",
    kind="text",
    example="enough",
)
CODE_AND_REASON: Final = Parameter(
    _read_code_and_reason,
    f"{_CODES}; with a reason, 4000:go%20away",
    kind="text",
    example="4000",
)
STATUS: Final = Parameter(
    _read_status,
    "an HTTP status from 200 to 599",
    kind="status",
    example="503",
    low=200,
    high=599,
)
FRAGMENT: Final = Parameter(
    _number(units.parse_size, 1, 2**30),
    "a size from 1 to 1GiB, written like 512, 64KiB or 1MiB",
    kind="size",
    example="8",
    low=1,
    high=2**30,
)
NAME: Final = Parameter(
    _read_name,
    f"a name of 1 to {_MAX_NAME_BYTES} bytes, percent-encoded",
    kind="text",
    example="den",
)
RATE: Final = Parameter(
    _number(_read_rate, 0.001, 1_000_000),
    "messages a second from 0.001 to 1000000, written like 10 or 10%2Fs",
    kind="rate",
    example="5",
    low=0.001,
    high=1_000_000,
)
