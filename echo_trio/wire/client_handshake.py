"""Open a WebSocket from the client's side (RFC 6455, section 4.1): strict, bounded, sans-I/O.

The request is built here and the answer judged; what both ends have in common is in `handshake`.
"""

from __future__ import annotations

import binascii
import os
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

from echo_trio.wire import deflate
from echo_trio.wire.handshake import (
    CONTROL,
    TARGET,
    TOKEN,
    VERSION,
    HandshakeRefused,
    Receive,
    accept_value,
    parse_extensions,
    parse_headers,
    receive_head,
    tokens,
    values,
)

#: Answers like 103 before the one that counts: servers send one or two.
MAX_INTERIM: Final = 8

_STATUS_LINE: Final = re.compile(r"HTTP/1\.([01]) ([1-5][0-9]{2})(?: .*)?")
_INTERIM: Final = re.compile(rb"HTTP/1\.1 1(?!01)[0-9]{2}[ \r]|HTTP/1\.1 1(?!01)[0-9]{2}\Z")


class HandshakeFailed(Exception):
    """The server's answer is not one that RFC 6455 allows, or it gave none."""


class Rejected(HandshakeFailed):
    """The server answered with an HTTP status other than 101.

    :ivar status: that status.
    :ivar headers: in order, names in lower case.
    """

    def __init__(self, status: int, headers: Iterable[tuple[str, str]] = ()) -> None:
        super().__init__(f"the server answered with HTTP status {status}")
        self.status = status
        self.headers: list[tuple[str, str]] = list(headers)

    def header(self, name: str) -> str | None:
        """Return the first header of this name, in lower case; ``None`` if there is none."""
        return next(iter(values(self.headers, name)), None)


@dataclass(frozen=True, slots=True)
class UpgradeResponse:
    """The server's consent.

    :ivar headers: in order, names in lower case.
    :ivar compression: the parameters to give to `Connection.opened`.
    """

    headers: list[tuple[str, str]] = field(default_factory=list)
    subprotocol: str | None = None
    compression: deflate.Parameters | None = None


def make_key() -> str:
    """Make a new Sec-WebSocket-Key: 16 random bytes in base64 (RFC 6455, section 4.1)."""
    return binascii.b2a_base64(os.urandom(16), newline=False).decode("ascii")


def request_bytes(
    target: str,
    host: str,
    key: str,
    headers: Iterable[tuple[str, str]] = (),
    subprotocols: Iterable[str] = (),
    extensions: Iterable[str] = (),
) -> bytes:
    """Make the request that asks for an upgrade.

    :param host: the Host header: with the port, unless that is the scheme's own.
    :param extensions: `deflate.OFFER`, or nothing.
    :raises ValueError: if a part is not what HTTP allows in its place: a line break, for example,
        would smuggle in another header.
    """
    headers, subprotocols = list(headers), list(subprotocols)
    if not TARGET.fullmatch(target):
        raise ValueError(f"{target!r} is not a path")
    for name, value in [("Host", host), *headers]:
        if not TOKEN.fullmatch(name) or CONTROL.search(value):
            # Without the value, which may be a secret.
            raise ValueError(f"{name!r} is not a header: no blanks in its name, one line of value")
    for name in subprotocols:
        if not TOKEN.fullmatch(name):
            raise ValueError("a subprotocol is one word, without blanks, commas and quotes")
    offers = ", ".join(extensions)
    parse_extensions([offers] if offers else [])
    lines = [
        f"GET {target} HTTP/1.1",
        f"Host: {host}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Key: {key}",
        f"Sec-WebSocket-Version: {VERSION}",
    ]
    if offered := ", ".join(subprotocols):
        lines.append(f"Sec-WebSocket-Protocol: {offered}")
    if offers:
        lines.append(f"Sec-WebSocket-Extensions: {offers}")
    lines += [f"{name}: {value}" for name, value in headers]
    # Text beyond ASCII goes out in UTF-8, wherever it was typed; other bytes as they were typed.
    return "\r\n".join([*lines, "", ""]).encode("utf-8", "surrogateescape")


class RequestTemplate:
    """The request that a function makes from a key, made once and filled in for each key.

    :param make: as `request_bytes`, for a key alone.
    :raises ValueError: as `request_bytes`.
    """

    def __init__(self, make: Callable[[str], bytes]) -> None:
        key = make_key()
        self._before, _, self._after = make(key).partition(key.encode("ascii"))

    def __call__(self, key: str) -> bytes:
        """Make the request with this key."""
        return b"%b%b%b" % (self._before, key.encode("ascii"), self._after)


class AnswerReader:
    """A reader of one server's answers, which are mostly the same but for Sec-WebSocket-Accept.

    What surrounds that value in the last answer is kept: an answer with the same around its own
    value means the same, and is not parsed again.

    :param subprotocols: those that are offered.
    :param extensions: those that are offered.
    """

    def __init__(self, subprotocols: Iterable[str] = (), extensions: Iterable[str] = ()) -> None:
        self._offered = tuple(subprotocols), tuple(extensions)
        self._around: tuple[bytes, bytes] | None = None
        self._known = UpgradeResponse()

    def read(self, head: bytes, key: str) -> UpgradeResponse:
        """Judge an answer as `parse_response` does, and raise what that raises.

        :returns: the server's consent; its headers are those of the first of such answers.
        """
        before, value, after = head.partition(accept_value(key).encode("ascii"))
        if (before, after) == self._around:
            return self._known
        known = parse_response(head, key, *self._offered)
        # If it stood there a second time, the next answer would need its own in both places.
        if value not in after:
            self._around, self._known = (before, after), known
        return known


async def receive_answer(receive: Receive) -> tuple[bytes, bytes]:
    """Receive the head of the server's answer, and pass over interim ones before it.

    RFC 9110, section 15.2: a client has to be able to parse 1xx responses received before the final
    one, even if it does not expect any. CDNs send 103 with what a browser may fetch ahead. 101 is
    final here: it is the answer that was asked for.

    :returns: the head, and the bytes that arrived after it.
    :raises HandshakeFailed: if there are more than `MAX_INTERIM` of them.
    :raises ConnectionCut, HandshakeRefused: as `receive_head`.
    """
    surplus = b""

    async def receive_on() -> bytes:
        nonlocal surplus
        if not surplus:
            return await receive()
        first, surplus = surplus, b""
        return first

    for _ in range(MAX_INTERIM + 1):
        head, surplus = await receive_head(receive_on)
        if not _INTERIM.match(head):
            return head, surplus
    raise HandshakeFailed(f"the server sent more than {MAX_INTERIM} interim answers")


def parse_response(
    head: bytes, key: str, subprotocols: Iterable[str] = (), extensions: Iterable[str] = ()
) -> UpgradeResponse:
    """Judge the server's answer (RFC 6455, section 4.1).

    :param subprotocols: those that were offered.
    :param extensions: those that were offered.
    :raises Rejected: if it is an HTTP status other than 101.
    :raises HandshakeFailed: if it is no answer to our request.
    """
    lines = head.decode("latin-1").split("\r\n")
    try:
        headers = parse_headers(lines[1:])
    except HandshakeRefused as exc:
        raise HandshakeFailed(f"the server's answer is malformed: {exc.why}") from None
    status = _STATUS_LINE.fullmatch(lines[0])
    if status is None:
        raise HandshakeFailed("the server's answer is not HTTP/1.1")
    minor, code = status.groups()
    if code != "101":
        raise Rejected(int(code), headers)  # by HTTP/1.0 too: proxies do
    if minor != "1":
        raise HandshakeFailed("the server's answer is not HTTP/1.1")
    if "websocket" not in tokens(headers, "upgrade") or "upgrade" not in tokens(
        headers, "connection"
    ):
        raise HandshakeFailed("the server said 101, but not to websocket")
    if values(headers, "sec-websocket-accept") != [accept_value(key)]:
        raise HandshakeFailed("the server's Sec-WebSocket-Accept does not answer our key")
    compression = _parse_chosen_extensions(headers, extensions)
    chosen = values(headers, "sec-websocket-protocol")
    if len(chosen) > 1 or any(name not in tuple(subprotocols) for name in chosen):
        raise HandshakeFailed("the server chose a subprotocol that was not offered")
    return UpgradeResponse(headers, chosen[0] if chosen else None, compression)


def _parse_chosen_extensions(
    headers: list[tuple[str, str]], offered: Iterable[str]
) -> deflate.Parameters | None:
    chosen = values(headers, "sec-websocket-extensions")
    if not chosen:
        return None
    try:
        return deflate.agree(parse_extensions(list(offered)), parse_extensions(chosen))
    except ValueError as exc:
        raise HandshakeFailed(str(exc)) from None
