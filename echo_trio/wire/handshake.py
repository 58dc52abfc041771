"""The opening handshake (RFC 6455, section 4), both ends: strict, bounded, sans-I/O.

The server's end reads the upgrade request before anything of trio-websocket or h11 sees a byte:
what it lets through is a request that RFC 6455 allows, and nothing that it refuses can raise
anything but `HandshakeRefused`. The client's end builds the request and judges the answer. Frames
that arrive behind either head are handed on as surplus.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import re
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from http import HTTPStatus
from typing import Final

from echo_trio.wire import deflate

MAX_HEAD_BYTES: Final = 16 * 1024
MAX_HEADERS: Final = 128
#: Answers like 103 before the one that counts: servers send one or two.
MAX_INTERIM: Final = 8
VERSION: Final = "13"

_ACCEPT_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
#: RFC 9110, section 5.6.2: what methods, header names and subprotocols consist of.
_TCHAR: Final = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]"
_TOKEN: Final = re.compile(f"{_TCHAR}+")
_TARGET: Final = re.compile(r"/[!-~]*")
_STATUS_LINE: Final = re.compile(r"HTTP/1\.([01]) ([1-5][0-9]{2})(?: .*)?")
_INTERIM: Final = re.compile(rb"HTTP/1\.1 1(?!01)[0-9]{2}[ \r]|HTTP/1\.1 1(?!01)[0-9]{2}\Z")
#: RFC 6455, section 9.1. A quoted value has to be a token once its quotes are gone.
_EXTENSION: Final = re.compile(rf"[ \t]*({_TCHAR}+)")
_EXTENSION_PARAMETER: Final = re.compile(
    rf"[ \t]*;[ \t]*({_TCHAR}+)"
    rf'(?:[ \t]*=[ \t]*(?:({_TCHAR}+)|"((?:\\?{_TCHAR})+)"))?'
)
_BETWEEN_EXTENSIONS: Final = re.compile(r"[ \t]*(?:,|\Z)")
_CONTROL: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")

Receive = Callable[[], Awaitable[bytes]]


class Reason(StrEnum):
    """Why a handshake was refused: each in exactly one."""

    NOT_HTTP = "not_http"
    HTTP_VERSION = "http_version"
    METHOD = "method"
    TARGET = "target"
    HEADER = "header"
    """One that is malformed, or has a byte that is not ASCII."""
    HEAD_TOO_LARGE = "head_too_large"
    HOST = "host"
    BODY = "body"
    NOT_AN_UPGRADE = "not_an_upgrade"
    WEBSOCKET_VERSION = "websocket_version"
    KEY = "key"
    SUBPROTOCOL = "subprotocol"
    EXTENSION = "extension"
    PATH = "path"
    PARAMETER = "parameter"
    """Of a behaviour."""
    ASKED_FOR = "asked_for"
    """By a behaviour that refuses."""
    ORIGIN = "origin"
    TIMEOUT = "timeout"
    CAPACITY = "capacity"
    DISPLACED = "displaced"
    """It had been silent, and its place was needed."""
    DESCRIPTORS = "descriptors"
    """The machine had none left."""
    DRAINING = "draining"
    PROXY_HEADER = "proxy_header"
    """A trusted proxy did not begin with one, or with one that is malformed."""


class HandshakeRefused(Exception):
    """The server will not upgrade: the status to answer with, and why.

    :ivar status: the HTTP status.
    :ivar why: one line for the body of the answer.
    :ivar reason: what it is counted as.
    :ivar headers: further headers of the answer.
    """

    def __init__(self, status: int, why: str, reason: Reason, **headers: str) -> None:
        super().__init__(status, why)
        self.status = status
        self.why = why
        self.reason = reason
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


class NotAnUpgrade(HandshakeRefused):
    """A well-formed request for something else than a WebSocket: a browser's, say, or a probe's.

    :ivar path: what it asked for.
    """

    def __init__(self, path: str, why: str) -> None:
        super().__init__(426, why, Reason.NOT_AN_UPGRADE, **_UPGRADE_HEADERS)
        self.path = path


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
        self.headers = list(headers)

    def header(self, name: str) -> str | None:
        """The first header of that name, which is in lower case."""
        return next(iter(_values(self.headers, name)), None)


class ConnectionCut(Exception):
    """The stream ended before the handshake did.

    :ivar received: how many bytes of it had arrived.
    """

    def __init__(self, received: int) -> None:
        super().__init__(f"the connection ended after {received} bytes of the handshake")
        self.received = received


@dataclass(frozen=True, slots=True)
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


async def receive_head(receive: Receive) -> tuple[bytes, bytes]:
    """Receive up to the empty line that ends an HTTP head.

    :param receive: returns the next bytes, none at the end of the stream.
    :returns: the head, and what arrived behind it.
    :raises ConnectionCut: if the stream ends first.
    :raises HandshakeRefused: 431, as soon as the head is longer than `MAX_HEAD_BYTES`; 400 at the
        first byte, if no head begins so: a TLS handshake, say.
    """
    data = b""
    while (end := data.find(b"\r\n\r\n")) < 0 and len(data) <= MAX_HEAD_BYTES:
        chunk = await receive()
        if not chunk:
            raise ConnectionCut(len(data))
        data += chunk
        if not data[:1].isalpha():
            raise HandshakeRefused(400, "This is not HTTP.", Reason.NOT_HTTP)
    if end < 0 or end > MAX_HEAD_BYTES:
        raise HandshakeRefused(
            431, f"The request's head is longer than {MAX_HEAD_BYTES} bytes.", Reason.HEAD_TOO_LARGE
        )
    return data[:end], data[end + 4 :]


# -- The server's end -------------------------------------------------------------------------


def parse_request(head: bytes) -> UpgradeRequest:
    """Read an upgrade request.

    :param head: up to the empty line, without it.
    :raises HandshakeRefused: if it is anything else, with the status that says what;
        `NotAnUpgrade` if nothing else is wrong with it.
    """
    try:
        lines = head.decode("ascii").split("\r\n")
    except UnicodeDecodeError:
        raise HandshakeRefused(
            400, "A header has a byte that is not ASCII.", Reason.HEADER
        ) from None
    method, target = _parse_request_line(lines[0])
    headers = _parse_headers(lines[1:])
    if method != "GET":
        raise HandshakeRefused(405, "A WebSocket begins with GET.", Reason.METHOD, Allow="GET")
    if not _TARGET.fullmatch(target):
        raise HandshakeRefused(400, "The request's target is not a path.", Reason.TARGET)
    if len(_values(headers, "host")) != 1:
        raise HandshakeRefused(400, "There has to be one Host header.", Reason.HOST)
    if _values(headers, "transfer-encoding") or any(
        value != "0" for value in _values(headers, "content-length")
    ):
        raise HandshakeRefused(400, "An upgrade request has no body.", Reason.BODY)
    if "websocket" not in _tokens(headers, "upgrade") or "upgrade" not in _tokens(
        headers, "connection"
    ):
        raise NotAnUpgrade(
            target.partition("?")[0],
            "This is a WebSocket server: connect to it with a WebSocket client, by its ws:// or "
            "wss:// URL.",
        )
    versions = _values(headers, "sec-websocket-version")
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


def accept_response(
    request: UpgradeRequest,
    subprotocol: str | None = None,
    compression: deflate.Parameters | None = None,
) -> bytes:
    """The answer that turns the connection into a WebSocket.

    :param compression: what `deflate.accept` made of `request.extensions`.
    """
    accept = _accept_value(request.key)
    extension = f"Sec-WebSocket-Extensions: {compression}\r\n" if compression else ""
    protocol = f"Sec-WebSocket-Protocol: {subprotocol}\r\n" if subprotocol else ""
    return (
        "HTTP/1.1 101 Switching Protocols\r\n"
        "Upgrade: websocket\r\n"
        "Connection: Upgrade\r\n"
        f"Sec-WebSocket-Accept: {accept}\r\n"
        f"{protocol}{extension}\r\n"
    ).encode("ascii")


def refusal_response(refused: HandshakeRefused) -> bytes:
    """The answer that says why not; the connection is closed after it."""
    body = b"" if refused.status in _WITHOUT_BODY else (refused.why + "\n").encode()
    headers = {"Connection": "close", **refused.headers}
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
    return "\r\n".join([*lines, "", ""]).encode("ascii") + body


def _parse_request_line(line: str) -> tuple[str, str]:
    parts = line.split(" ")
    if len(parts) != 3 or not _TOKEN.fullmatch(parts[0]):
        raise HandshakeRefused(400, "This is not an HTTP request.", Reason.NOT_HTTP)
    method, target, version = parts
    if version != "HTTP/1.1":
        if re.fullmatch(r"HTTP/[0-9](\.[0-9])?", version):
            raise HandshakeRefused(505, "A WebSocket begins with HTTP/1.1.", Reason.HTTP_VERSION)
        raise HandshakeRefused(400, "This is not an HTTP request.", Reason.NOT_HTTP)
    return method, target


def _parse_key(headers: list[tuple[str, str]]) -> str:
    keys = _values(headers, "sec-websocket-key")
    try:
        (key,) = keys
        if len(base64.b64decode(key, validate=True)) == 16:
            return key
    except (ValueError, binascii.Error):
        pass
    raise HandshakeRefused(
        400, "There has to be one Sec-WebSocket-Key, 16 bytes in base64.", Reason.KEY
    )


def _parse_subprotocols(headers: list[tuple[str, str]]) -> list[str]:
    offered = _list(headers, "sec-websocket-protocol")
    if not all(_TOKEN.fullmatch(name) for name in offered) or len(set(offered)) != len(offered):
        raise HandshakeRefused(
            400, "Sec-WebSocket-Protocol is not a list of different names.", Reason.SUBPROTOCOL
        )
    return offered


def _parse_offered_extensions(headers: list[tuple[str, str]]) -> list[deflate.Extension]:
    try:
        return _parse_extensions(_values(headers, "sec-websocket-extensions"))
    except ValueError as exc:
        raise HandshakeRefused(400, f"{exc}.", Reason.EXTENSION) from None


# -- The client's end -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class UpgradeResponse:
    """The server's consent.

    :ivar headers: in order, names in lower case.
    :ivar compression: what `Connection.opened` is to be given.
    """

    headers: list[tuple[str, str]] = field(default_factory=list)
    subprotocol: str | None = None
    compression: deflate.Parameters | None = None


def make_key() -> str:
    """A new Sec-WebSocket-Key: 16 random bytes in base64."""
    return base64.b64encode(os.urandom(16)).decode("ascii")


def request_bytes(
    target: str,
    host: str,
    key: str,
    headers: Iterable[tuple[str, str]] = (),
    subprotocols: Iterable[str] = (),
    extensions: Iterable[str] = (),
) -> bytes:
    """The request that asks for an upgrade.

    :param host: as the Host header has it: with the port, unless that is the scheme's own.
    :param extensions: `deflate.OFFER`, or nothing.
    :raises ValueError: if something of it is not what HTTP allows in its place: a line break, say,
        would smuggle in another header.
    """
    headers, subprotocols = list(headers), list(subprotocols)
    if not _TARGET.fullmatch(target):
        raise ValueError(f"{target!r} is not a path")
    for name, value in [("Host", host), *headers]:
        if not _TOKEN.fullmatch(name) or _CONTROL.search(value):
            # Without the value, which may be a secret.
            raise ValueError(f"{name!r} is not a header: no blanks in its name, one line of value")
    for name in subprotocols:
        if not _TOKEN.fullmatch(name):
            raise ValueError("a subprotocol is one word, without blanks, commas and quotes")
    offers = ", ".join(extensions)
    _parse_extensions([offers] if offers else [])
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


async def receive_answer(receive: Receive) -> tuple[bytes, bytes]:
    """Receive the head of the server's answer, and pass over interim ones before it.

    RFC 9110, section 15.2: a client has to be able to parse 1xx responses received before the final
    one, even if it does not expect any. CDNs send 103 with what a browser may fetch ahead. 101 is
    final here: it is the answer that was asked for.

    :returns: the head, and what arrived behind it.
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

    :param subprotocols: what was offered.
    :param extensions: likewise.
    :raises Rejected: if it is an HTTP status other than 101.
    :raises HandshakeFailed: if it is no answer to our request.
    """
    lines = head.decode("latin-1").split("\r\n")
    try:
        headers = _parse_headers(lines[1:])
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
    if "websocket" not in _tokens(headers, "upgrade") or "upgrade" not in _tokens(
        headers, "connection"
    ):
        raise HandshakeFailed("the server said 101, but not to websocket")
    if _values(headers, "sec-websocket-accept") != [_accept_value(key)]:
        raise HandshakeFailed("the server's Sec-WebSocket-Accept does not answer our key")
    compression = _parse_chosen_extensions(headers, extensions)
    chosen = _values(headers, "sec-websocket-protocol")
    if len(chosen) > 1 or any(name not in tuple(subprotocols) for name in chosen):
        raise HandshakeFailed("the server chose a subprotocol that was not offered")
    return UpgradeResponse(headers, chosen[0] if chosen else None, compression)


def _parse_chosen_extensions(
    headers: list[tuple[str, str]], offered: Iterable[str]
) -> deflate.Parameters | None:
    chosen = _values(headers, "sec-websocket-extensions")
    if not chosen:
        return None
    try:
        return deflate.agree(_parse_extensions(list(offered)), _parse_extensions(chosen))
    except ValueError as exc:
        raise HandshakeFailed(str(exc)) from None


# -- Both ends --------------------------------------------------------------------------------


def _accept_value(key: str) -> str:
    digest = hashlib.sha1(key.encode("ascii") + _ACCEPT_GUID, usedforsecurity=False).digest()
    return base64.b64encode(digest).decode("ascii")


def _parse_headers(lines: list[str]) -> list[tuple[str, str]]:
    if len(lines) > MAX_HEADERS:
        raise HandshakeRefused(
            431, f"There are more than {MAX_HEADERS} headers.", Reason.HEAD_TOO_LARGE
        )
    headers = []
    for line in lines:
        name, colon, value = line.partition(":")
        # A name with a space before its colon, or a folded line, could smuggle another header.
        if not colon or not _TOKEN.fullmatch(name) or _CONTROL.search(value):
            raise HandshakeRefused(400, "A header is malformed.", Reason.HEADER)
        headers.append((name.lower(), value.strip(" \t")))
    return headers


def _parse_extensions(values: list[str]) -> list[deflate.Extension]:
    """What Sec-WebSocket-Extensions lists, in one header or several.

    :raises ValueError: if it is not the list that RFC 6455, section 9.1, describes.
    """
    found: list[deflate.Extension] = []
    for value in values:
        at = 0
        while at < len(value):
            if name := _EXTENSION.match(value, at):
                at = name.end()
                parameters: list[tuple[str, str | None]] = []
                while parameter := _EXTENSION_PARAMETER.match(value, at):
                    at = parameter.end()
                    key, plain, quoted = parameter.groups()
                    parameters.append((key, quoted.replace("\\", "") if quoted else plain))
                found.append((name[1], parameters))
            between = _BETWEEN_EXTENSIONS.match(value, at)
            if between is None:
                raise ValueError("Sec-WebSocket-Extensions is malformed")
            at = between.end()
    if values and not found:
        raise ValueError("Sec-WebSocket-Extensions is malformed")
    return found


def _values(headers: list[tuple[str, str]], name: str) -> list[str]:
    return [value for key, value in headers if key == name]


def _list(headers: list[tuple[str, str]], name: str) -> list[str]:
    """The elements of a header that may be given as a list, or several times."""
    parts = (part.strip(" \t") for value in _values(headers, name) for part in value.split(","))
    return [part for part in parts if part]


def _tokens(headers: list[tuple[str, str]], name: str) -> set[str]:
    return {part.lower() for part in _list(headers, name)}
