"""Read recorded traffic: HAR files of browsers, and logs of the web page and of our server; pure.

A HAR file has `_webSocketMessages`, as DevTools save them. A log has a JSON object a line, or one
array of them, as the page exports and `python -m echo_trio --record` writes:

    {"type": "opened", "connection": 1, "details": {"path": "/ws", "query": "", …}, …}
    {"type": "sent", "at_ms": 3.4, "connection": 1, "kind": "text", "data": "hello", …}
    {"type": "received", …}
    {"type": "closed", …}
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

_NOT_JSON: Final = (msgspec.DecodeError, UnicodeError, RecursionError)


class NoTraffic(ValueError):
    """A file that holds no WebSocket messages; says what it is instead."""


class Message(msgspec.Struct, rename="camel"):
    """A message as DevTools record it.

    :ivar type: ``send`` or ``receive``.
    :ivar time: in seconds.
    :ivar opcode: 1 is text, 2 is binary, whose data is base64.
    """

    type: str
    time: float
    opcode: int
    data: str


@dataclass
class Traffic:
    """The messages of one socket.

    :ivar url: with or without a host.
    :ivar is_masked: true if the values in the URL's query are not those that were sent.
    """

    url: str
    messages: list[Message] = field(default_factory=list)
    is_masked: bool = False


def read(content: bytes) -> list[Traffic]:
    """Read a file of recorded traffic, by its content; return the sockets that have messages.

    :raises NoTraffic: if it is none, or has no WebSocket messages.
    """
    lines = _read_lines(content)
    sockets = [
        socket for socket in (_read_har(content) if lines is None else _read_log(lines))
        if socket.messages
    ]  # fmt: skip
    if not sockets:
        raise NoTraffic(
            "it has no WebSocket messages: in DevTools, open the page with the network panel "
            "open, then save all as HAR"
        )
    return sockets


# -- HAR ------------------------------------------------------------------------------------


class _Request(msgspec.Struct):
    url: str


class _Entry(msgspec.Struct):
    request: _Request
    messages: list[Message] = msgspec.field(name="_webSocketMessages", default_factory=list)


class _Log(msgspec.Struct):
    entries: list[_Entry]


class _Har(msgspec.Struct):
    log: _Log


def _read_har(content: bytes) -> list[Traffic]:
    try:
        har = msgspec.json.decode(content, type=_Har)
    except _NOT_JSON as exc:
        raise NoTraffic(
            f"it is no HAR file, nor a log that the page or `--record` has written: {exc}"
        ) from None
    return [Traffic(entry.request.url, entry.messages) for entry in har.log.entries]


# -- Logs -----------------------------------------------------------------------------------


class _Line(msgspec.Struct):
    type: str
    at_ms: float
    connection: int = 0
    kind: str = "text"
    data: str | None = None
    details: dict[str, Any] = {}


def _read_lines(content: bytes) -> list[_Line] | None:
    """Read the lines of a log; ``None`` if the file is something else.

    :raises NoTraffic: if it begins like a log, and one of its lines is none.
    """
    try:
        return msgspec.json.decode(content, type=list[_Line])
    except _NOT_JSON:
        pass
    lines: list[_Line] = []
    *_, last = all_lines = content.splitlines() or [b""]
    for number, line in enumerate(all_lines, 1):
        if not line.strip():
            continue
        try:
            lines.append(msgspec.json.decode(line, type=_Line))
        except _NOT_JSON as exc:
            if not lines:
                return None
            is_json = isinstance(exc, msgspec.ValidationError)
            if line is last and not is_json and not content.endswith(b"\n"):
                break  # Whoever wrote it was killed in the middle.
            raise NoTraffic(f"line {number} is not as the lines before it: {exc}") from None
    return lines


def _read_log(lines: list[_Line]) -> list[Traffic]:
    """Sort the lines by connection; where they have no number, each `opened` begins another."""
    sockets: list[Traffic] = []
    open_now: dict[int, Traffic] = {}
    for line in lines:
        if line.type == "opened" or line.connection not in open_now:
            open_now[line.connection] = _find_url(line.details)
            sockets.append(open_now[line.connection])
        if line.type in {"sent", "received"} and line.data is not None:
            message = Message(
                type="send" if line.type == "sent" else "receive",
                time=line.at_ms / 1000,
                opcode=2 if line.kind == "binary" else 1,
                data=line.data,
            )
            open_now[line.connection].messages.append(message)
    return sockets


def _find_url(details: dict[str, Any]) -> Traffic:
    """Make the socket of a line: the page knows its URL, the server masks what is in the query."""
    url, path, query = (details.get(name) for name in ("url", "path", "query"))
    if isinstance(url, str):
        return Traffic(url)
    path = path if isinstance(path, str) and path.startswith("/") else "/"
    return Traffic(f"{path}?{query}" if isinstance(query, str) and query else path, is_masked=True)
