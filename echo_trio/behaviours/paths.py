"""Find the behaviour behind a path: the table, and how its parameters are written. Pure.

`scripts` implements the behaviours. A path is compared as it is written: with its case, its slashes
and its percent signs. Only a close reason is percent-decoded.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import unquote_to_bytes

from echo_trio import units
from echo_trio.behaviours import scripts
from echo_trio.behaviours.scripts import Behaviour
from echo_trio.wire.close_codes import ABNORMAL_CLOSURE, MAX_REASON_BYTES, NO_STATUS, may_be_sent


@dataclass(frozen=True, slots=True)
class Refusal:
    """The status with which a path's handshake is refused, instead of a behaviour.

    :ivar headers: the headers that HTTP requires with this status.
    """

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)


class BadParameter(ValueError):
    """The path is in the table, but a parameter is wrong; the message says what is allowed."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """A part of a path that stands for a value.

    :ivar read: reads the value from a text, or raises `ValueError`.
    :ivar allowed: describes the allowed values, for people.
    """

    read: Callable[[str], Any]
    allowed: str


@dataclass(frozen=True, slots=True)
class Path:
    """A path of the table.

    :ivar make: makes the behaviour, given the values of the parameters.
    :ivar text: describes the behaviour, in one line.
    :ivar parameters: the parameters by their names in braces, in the order of the path.
    """

    make: Callable[..., Behaviour | Refusal]
    text: str
    parameters: Mapping[str, Parameter] = field(default_factory=dict)


# -- Parameters -------------------------------------------------------------------------------

#: The longest that a number or a duration may be written.
_MAX_DIGITS: Final = 20


def _number(read: Callable[[str], float], low: float, high: float) -> Callable[[str], float]:
    def within(text: str) -> float:
        if len(text) > _MAX_DIGITS or not low <= (value := read(text)) <= high:
            raise ValueError
        return value

    return within


def _count(low: int, high: int, what: str) -> Parameter:
    return Parameter(
        _number(units.parse_count, low, high), f"a whole number of {what} from {low} to {high}"
    )


def _read_close_code(text: str) -> int:
    code = int(text) if re.fullmatch("[0-9]{4}", text) else 0
    if not may_be_sent(code) and code not in {NO_STATUS, ABNORMAL_CLOSURE}:
        raise ValueError
    return code


def _read_status(text: str) -> int:
    if not re.fullmatch("[2-5][0-9]{2}", text):
        raise ValueError
    return int(text)


def _read_reason(text: str) -> str:
    if re.search("%(?![0-9A-Fa-f]{2})", text):
        raise ValueError
    reason = unquote_to_bytes(text)
    if len(reason) > MAX_REASON_BYTES:
        raise ValueError
    return reason.decode()


_DURATION: Final = Parameter(
    _number(units.parse_duration, 0, 3600),
    "a duration from 0s to 1h, written like 250ms, 1.5s, 2m or 1h",
)
_EVERY_MESSAGES: Final = _count(1, 1_000_000, "messages")
_EVERY_REPLIES: Final = _count(1, 1_000_000, "replies")
_CLOSE_CODE: Final = Parameter(
    _read_close_code,
    "1000 to 1003, 1007 to 1014, 3000 to 4999, 1005 (an empty close frame) "
    "or 1006 (the end of TCP without one)",
)


# -- The table --------------------------------------------------------------------------------

#: Headers that HTTP requires with a status (RFC 9110, sections 11.6.1, 11.7.1, 15.5.6, 15.5.22).
_STATUS_HEADERS: Final[dict[int, dict[str, str]]] = {
    401: {"WWW-Authenticate": 'Basic realm="echo-trio"'},
    405: {"Allow": "GET"},
    407: {"Proxy-Authenticate": 'Basic realm="echo-trio"'},
    426: {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13"},
}


def _refuse(status: int) -> Refusal:
    """Refuse the handshake with a status."""
    return Refusal(status, _STATUS_HEADERS.get(status, {}))


def _close(code: int, reason: str = "") -> Behaviour:
    if reason and code in {NO_STATUS, ABNORMAL_CLOSURE}:
        raise ValueError
    return scripts.close(code, reason)


BEHAVIOURS: Final[dict[str, Path]] = {
    "/": Path(
        lambda: scripts.echo_with_suffix,
        "each message, one space, a random number from 0 to 999999",
    ),
    "/plain": Path(lambda: scripts.echo_exactly, "each message, exactly"),
    "/info": Path(scripts.info, "first a message in JSON about the connection; then as /"),
    "/delay/{duration}": Path(
        scripts.delay, "each reply so long after its message arrived", {"duration": _DURATION}
    ),
    "/stall/{every}/{duration}": Path(
        scripts.stall,
        "every that many messages, the connection freezes so long, then replies",
        {"every": _EVERY_MESSAGES, "duration": _DURATION},
    ),
    "/silent": Path(lambda: scripts.silent, "reads, never replies"),
    "/drop/{n}": Path(
        scripts.drop,
        "n messages with their replies, then a TCP reset",
        {"n": _count(0, 1_000_000, "messages")},
    ),
    "/close/{code}": Path(
        _close, "at the first message, closes with that code", {"code": _CLOSE_CODE}
    ),
    "/close/{code}/{reason}": Path(
        _close,
        "at the first message, closes with that code and reason",
        {
            "code": _CLOSE_CODE,
            "reason": Parameter(
                _read_reason,
                f"at most {MAX_REASON_BYTES} bytes of UTF-8, percent-encoded; "
                "none with 1005 and 1006",
            ),
        },
    ),
    "/status/{http}": Path(
        _refuse,
        "refuses the handshake with that HTTP status",
        {"http": Parameter(_read_status, "an HTTP status from 200 to 599")},
    ),
    "/duplicate/{every}": Path(
        scripts.duplicate, "every that many replies, one is sent twice", {"every": _EVERY_REPLIES}
    ),
    "/corrupt/{every}": Path(
        scripts.corrupt, "every that many replies, one is altered", {"every": _EVERY_REPLIES}
    ),
    "/reorder/{every}": Path(
        scripts.reorder,
        "every that many replies, one is swapped with the next",
        {"every": _EVERY_REPLIES},
    ),
    "/swallow/{every}": Path(
        scripts.swallow, "every that many replies, one is never sent", {"every": _EVERY_REPLIES}
    ),
    "/fragment/{bytes}": Path(
        scripts.fragment,
        "each reply in frames of so many bytes",
        {
            "bytes": Parameter(
                _number(units.parse_size, 1, 2**30),
                "a size from 1 to 1GiB, written like 512, 64KiB or 1MiB",
            )
        },
    ),
    "/burst/{n}": Path(
        scripts.burst, "n replies to each message", {"n": _count(1, 1000, "replies")}
    ),
}


def find(path: str) -> Behaviour | Refusal | None:
    """Find the behaviour or refusal behind a path; ``None`` if there is none.

    A path is compared as it is written: with its case, its slashes and its percent signs. Only a
    close reason is percent-decoded.

    :raises BadParameter: if the path is one of the table's, but a parameter is wrong.
    """
    found = BEHAVIOURS.get(path)
    if found and not found.parameters:
        return found.make()
    parts = path.split("/")
    for template, found in BEHAVIOURS.items():
        if (texts := _match(template.split("/"), parts)) is not None:
            return _make(template, found, texts)
    return None


def _match(template: list[str], parts: list[str]) -> dict[str, str] | None:
    """Return the text in the place of each name in braces, if all other parts are equal."""
    if len(template) != len(parts):
        return None
    texts = {}
    for name, text in zip(template, parts, strict=True):
        if name.startswith("{"):
            texts[name[1:-1]] = text
        elif name != text:
            return None
    return texts


def _make(template: str, path: Path, texts: dict[str, str]) -> Behaviour | Refusal:
    values = []
    try:
        for name, text in texts.items():
            values.append(path.parameters[name].read(text))
        return path.make(*values)
    except ValueError:
        allowed = [f"  {{{name}}}: {path.parameters[name].allowed}" for name in texts]
        raise BadParameter("\n".join([f"{template} takes", *allowed])) from None


def listing() -> str:
    """List all paths, for somebody who asked for another."""
    width = max(map(len, BEHAVIOURS))
    return "\n".join(
        ["There is nothing here. These paths echo, or do what clients should be tested with:"]
        + [f"  {template:<{width}}  {path.text}" for template, path in BEHAVIOURS.items()]
    )
