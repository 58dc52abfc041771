"""Open a WebSocket from the server's side (RFC 6455, section 4.2): strict, bounded, sans-I/O.

The upgrade request is read before trio-websocket or h11 sees a byte: a request that is let through
is one that RFC 6455 allows, and one that is refused can raise nothing but `HandshakeRefused`. What
both ends have in common is in `handshake`.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from email.utils import formatdate
from http import HTTPStatus
from typing import Final

from echo_trio.wire import deflate
from echo_trio.wire.handshake import (
    TARGET,
    TOKEN,
    VERSION,
    HandshakeRefused,
    Reason,
    accept_value,
    list_elements,
    parse_extensions,
    parse_headers,
    tokens,
    values,
)

#: RFC 3986, section 3.2.2, and a port; empty where the target has no authority.
_HOST: Final = re.compile(
    r"(?:(?:\[[0-9A-Fa-f:.]+\]|(?:[A-Za-z0-9._~!$&'()*+,;=-]|%[0-9A-Fa-f]{2})+)(?::[0-9]*)?)?"
)
# Compiled here: at the first handshake it would take half as long as all the rest.
_SPOKEN: Final = re.compile(r"HTTP/1\.[1-9]")
_OTHER_HTTP: Final = re.compile(r"HTTP/[0-9](\.[0-9])?")
#: A target in absolute form: its host, and path and query.
_ABSOLUTE: Final = re.compile(rf"(?:http|ws)s?://({_HOST.pattern})((?:[/?][!-~]*)?)", re.IGNORECASE)


class NotAnUpgrade(HandshakeRefused):
    """A well-formed request for something other than a WebSocket: from a browser, or a probe.

    :ivar path: the path that it asked for.
    """

    def __init__(self, path: str, why: str) -> None:
        super().__init__(426, why, Reason.NOT_AN_UPGRADE, **_UPGRADE_HEADERS)
        self.path = path


@dataclass(slots=True)  # not frozen, which takes three times as long to make
class UpgradeRequest:
    """A request that may be upgraded.

    :ivar target: path and query, as sent.
    :ivar headers: in order, names in lower case.
    """

    target: str
    headers: list[tuple[str, str]]
    key: str
    subprotocols: list[str]
    extensions: list[deflate.Extension] = field(default_factory=list)

    @property
    def path(self) -> str:
        """The target without its query."""
        return self.target.partition("?")[0]


#: 16 bytes in base64.
KEY_CHARACTERS: Final = 24
#: Requests that are remembered, and the longest of them: 64 KiB in all, whatever clients send.
MAX_SHAPES: Final = 64
MAX_SHAPE_BYTES: Final = 1024
_BEFORE_KEY: Final = b"\r\nSec-WebSocket-Key: "
#: Headers that have neither credentials nor a person's address in them.
_PUBLIC: Final = frozenset(
    {
        "host",
        "upgrade",
        "connection",
        "origin",
        "user-agent",
        "accept",
        "accept-encoding",
        "accept-language",
        "cache-control",
        "pragma",
        "sec-websocket-key",
        "sec-websocket-version",
        "sec-websocket-extensions",
        "sec-fetch-dest",
        "sec-fetch-mode",
        "sec-fetch-site",
    }
)


class _Shapes:
    """The requests read last, by what surrounds their keys: a client's are mostly the same.

    A request with the same around a key of its own means the same, and is not parsed again. One
    whose head may have a secret in it is not kept.
    """

    def __init__(self) -> None:
        self._known: dict[tuple[bytes, bytes], tuple[UpgradeRequest, int]] = {}

    def find(self, head: bytes) -> UpgradeRequest | None:
        """Read a request if one like it is known."""
        before, _, rest = head.partition(_BEFORE_KEY)
        known = self._known.get((before, rest[KEY_CHARACTERS:]))
        if known is None or not _is_key(rest[:KEY_CHARACTERS]):
            return None
        like, place = known
        key = rest[:KEY_CHARACTERS].decode("ascii")
        headers = like.headers.copy()
        headers[place] = headers[place][0], key
        return UpgradeRequest(like.target, headers, key, like.subprotocols, like.extensions)

    def keep(self, head: bytes, request: UpgradeRequest) -> None:
        """Remember a request, unless it is long or may have a secret in it."""
        names = [name for name, _ in request.headers]
        if len(head) > MAX_SHAPE_BYTES or "?" in request.target or not _PUBLIC.issuperset(names):
            return
        before, _, rest = head.partition(_BEFORE_KEY)
        # It could be spelled otherwise.
        if rest[:KEY_CHARACTERS] == request.key.encode("ascii"):
            if len(self._known) >= MAX_SHAPES:
                self._known.clear()
            place = names.index("sec-websocket-key")
            self._known[before, rest[KEY_CHARACTERS:]] = request, place


_SHAPES: Final = _Shapes()


def parse_request(head: bytes) -> UpgradeRequest:
    """Parse an upgrade request.

    :param head: up to the empty line, without it.
    :raises HandshakeRefused: if it is anything else, with the status that says what; `NotAnUpgrade`
        if nothing else is wrong with it.
    """
    request = _SHAPES.find(head)
    if request is None:
        request = _parse_request(head)
        _SHAPES.keep(head, request)
    return request


def _parse_request(head: bytes) -> UpgradeRequest:
    try:
        lines = head.decode("ascii").split("\r\n")
    except UnicodeDecodeError:
        raise HandshakeRefused(
            400, "A header has a byte that is not ASCII.", Reason.HEADER
        ) from None
    method, target = _parse_request_line(lines[0])
    headers = parse_headers(lines[1:])
    if method != "GET":
        refused = HandshakeRefused(405, "A WebSocket begins with GET.", Reason.METHOD, Allow="GET")
        refused.is_of_head = method == "HEAD"
        raise refused
    hosts = values(headers, "host")
    if len(hosts) != 1 or not _HOST.fullmatch(hosts[0]):
        raise HandshakeRefused(400, "There has to be one Host header, a host.", Reason.HOST)
    absolute = _ABSOLUTE.fullmatch(target)
    if absolute and absolute[1]:
        # As to a proxy; its host is then the one that counts (RFC 9112, section 3.2.2).
        headers = [(key, absolute[1] if key == "host" else value) for key, value in headers]
        target = absolute[2] if absolute[2].startswith("/") else f"/{absolute[2]}"
    if not TARGET.fullmatch(target):
        raise HandshakeRefused(400, "The request's target is not a path.", Reason.TARGET)
    if values(headers, "transfer-encoding") or any(
        value != "0" for value in values(headers, "content-length")
    ):
        raise HandshakeRefused(400, "An upgrade request has no body.", Reason.BODY)
    if "websocket" not in tokens(headers, "upgrade") or "upgrade" not in tokens(
        headers, "connection"
    ):
        raise NotAnUpgrade(
            target.partition("?")[0],
            "This is a WebSocket server: connect to it with a WebSocket client, by its ws:// or "
            "wss:// URL.",
        )
    versions = values(headers, "sec-websocket-version")
    if versions != [VERSION]:
        raise HandshakeRefused(
            426,
            f"The WebSocket version has to be {VERSION}.",
            Reason.WEBSOCKET_VERSION,
            **_UPGRADE_HEADERS,
        )
    return UpgradeRequest(
        target,
        headers,
        _parse_key(headers),
        _parse_subprotocols(headers),
        _parse_offered_extensions(headers),
    )


#: RFC 9110, sections 15.3.5, 15.3.6 and 15.4.5.
_WITHOUT_BODY: Final = {
    HTTPStatus.NO_CONTENT,
    HTTPStatus.RESET_CONTENT,
    HTTPStatus.NOT_MODIFIED,
}
_UPGRADE_HEADERS: Final = {
    "Upgrade": "websocket",
    "Connection": "Upgrade, close",  # RFC 9110, section 7.8
    "Sec_WebSocket_Version": VERSION,
}


_PLAIN_ANSWER: Final = (
    b"HTTP/1.1 101 Switching Protocols\r\n"
    b"Upgrade: websocket\r\n"
    b"Connection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: %b\r\n\r\n"
)


def accept_response(
    request: UpgradeRequest,
    subprotocol: str | None = None,
    compression: deflate.Parameters | None = None,
    headers: Iterable[tuple[str, str]] = (),
) -> bytes:
    """Make the answer that turns the connection into a WebSocket (RFC 6455, section 4.2.2).

    :param compression: the result of `deflate.accept` for `request.extensions`.
    :param headers: further headers.
    """
    accept = accept_value(request.key)
    if not subprotocol and not compression and not headers:
        return _PLAIN_ANSWER % accept.encode("ascii")
    extension = f"Sec-WebSocket-Extensions: {compression}\r\n" if compression else ""
    protocol = f"Sec-WebSocket-Protocol: {subprotocol}\r\n" if subprotocol else ""
    more = "".join(f"{name}: {value}\r\n" for name, value in headers)
    return (
        "HTTP/1.1 101 Switching Protocols\r\n"
        "Upgrade: websocket\r\n"
        "Connection: Upgrade\r\n"
        f"Sec-WebSocket-Accept: {accept}\r\n"
        f"{protocol}{extension}{more}\r\n"
    ).encode("latin-1")


def refusal_response(refused: HandshakeRefused) -> bytes:
    """Make the answer that says why not; the connection is closed after it."""
    body = b"" if refused.status in _WITHOUT_BODY else (refused.why + "\n").encode()
    # RFC 9110, section 6.6.1: whoever has a clock says the date.
    headers = {"Date": formatdate(usegmt=True), "Connection": "close", **refused.headers}
    if body:
        headers["Content-Type"] = "text/plain; charset=utf-8"
    if body or refused.status == HTTPStatus.RESET_CONTENT:
        headers["Content-Length"] = str(len(body))
    try:
        phrase = HTTPStatus(refused.status).phrase
    except ValueError:
        phrase = ""
    lines = [f"HTTP/1.1 {refused.status} {phrase}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    head = "\r\n".join([*lines, "", ""]).encode("ascii")
    return head if refused.is_of_head else head + body


def _parse_request_line(line: str) -> tuple[str, str]:
    parts = line.split(" ")
    if len(parts) != 3 or not TOKEN.fullmatch(parts[0]):
        raise HandshakeRefused(400, "This is not an HTTP request.", Reason.NOT_HTTP)
    method, target, version = parts
    # A later minor version means the same to who knows this one (RFC 9110, section 2.5).
    if not _SPOKEN.fullmatch(version):
        if _OTHER_HTTP.fullmatch(version):
            raise HandshakeRefused(505, "A WebSocket begins with HTTP/1.1.", Reason.HTTP_VERSION)
        raise HandshakeRefused(400, "This is not an HTTP request.", Reason.NOT_HTTP)
    return method, target


def _parse_key(headers: list[tuple[str, str]]) -> str:
    keys = values(headers, "sec-websocket-key")
    if len(keys) == 1 and _is_key(keys[0]):
        return keys[0]
    raise HandshakeRefused(
        400, "There has to be one Sec-WebSocket-Key, 16 bytes in base64.", Reason.KEY
    )


def _is_key(text: str | bytes) -> bool:
    try:
        return len(binascii.a2b_base64(text, strict_mode=True)) == 16
    except (ValueError, binascii.Error):
        return False


def _parse_subprotocols(headers: list[tuple[str, str]]) -> list[str]:
    offered = list_elements(headers, "sec-websocket-protocol")
    if not all(TOKEN.fullmatch(name) for name in offered) or len(set(offered)) != len(offered):
        raise HandshakeRefused(
            400, "Sec-WebSocket-Protocol is not a list of different names.", Reason.SUBPROTOCOL
        )
    return offered


def _parse_offered_extensions(headers: list[tuple[str, str]]) -> list[deflate.Extension]:
    try:
        return parse_extensions(values(headers, "sec-websocket-extensions"))
    except ValueError as exc:
        raise HandshakeRefused(400, f"{exc}.", Reason.EXTENSION) from None
