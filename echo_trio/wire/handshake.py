"""Do what both ends of the opening handshake need: heads, headers, refusals, the accept value.

Strict, bounded, sans-I/O. Frames that arrive after a head are handed on as surplus. The two ends
are in `server_handshake` and `client_handshake`.
"""

from __future__ import annotations

import binascii
import hashlib
import re
from collections.abc import Awaitable, Callable
from enum import StrEnum
from typing import Final

from echo_trio.wire import deflate

MAX_HEAD_BYTES: Final = 16 * 1024
MAX_HEADERS: Final = 128
VERSION: Final = "13"

_ACCEPT_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
#: RFC 9110, section 5.6.2: what methods, header names and subprotocols consist of.
_TCHAR: Final = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]"
TOKEN: Final = re.compile(f"{_TCHAR}+")
TARGET: Final = re.compile(r"/[!-~]*")
#: RFC 6455, section 9.1. A quoted value has to be a token once its quotes are gone.
_EXTENSION: Final = re.compile(rf"[ \t]*({_TCHAR}+)")
_EXTENSION_PARAMETER: Final = re.compile(
    rf"[ \t]*;[ \t]*({_TCHAR}+)"
    rf'(?:[ \t]*=[ \t]*(?:({_TCHAR}+)|"((?:\\?{_TCHAR})+)"))?'
)
_BETWEEN_EXTENSIONS: Final = re.compile(r"[ \t]*(?:,|\Z)")
CONTROL: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")

Receive = Callable[[], Awaitable[bytes]]


class Reason(StrEnum):
    """The reason why a handshake was refused; each is counted with exactly one."""

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
    WORKERS = "workers"
    """A path whose connections share a process, where several serve."""
    ORIGIN = "origin"
    TIMEOUT = "timeout"
    CAPACITY = "capacity"
    DISPLACED = "displaced"
    """It had been silent, and its place was needed."""
    DESCRIPTORS = "descriptors"
    """The machine had none left."""
    DRAINING = "draining"
    UPSTREAM_UNREACHABLE = "upstream_unreachable"
    """The server behind the proxy: no such name, no connection, no TLS that is trusted."""
    UPSTREAM_TIMEOUT = "upstream_timeout"
    UPSTREAM_ANSWER = "upstream_answer"
    """It answered with something else than RFC 6455 allows."""
    UPSTREAM_REFUSED = "upstream_refused"
    """It refused, and its answer was passed on."""
    PROXY_HEADER = "proxy_header"
    """A trusted proxy did not begin with one, or with one that is malformed."""


class HandshakeRefused(Exception):
    """The server will not upgrade: the status to answer with, and why.

    :ivar status: the HTTP status.
    :ivar why: one line for the body of the answer.
    :ivar reason: the reason under which it is counted.
    :ivar headers: further headers of the answer.
    :ivar is_of_head: true if the request was a HEAD, whose answer has no body (RFC 9110, 9.3.2).
    """

    def __init__(self, status: int, why: str, reason: Reason, **headers: str) -> None:
        super().__init__(status, why)
        self.status = status
        self.why = why
        self.reason = reason
        self.headers: dict[str, str] = {
            name.replace("_", "-"): value for name, value in headers.items()
        }
        self.is_of_head = False


class ConnectionCut(Exception):
    """The stream ended before the handshake did.

    :ivar received: the bytes of the handshake that had arrived.
    """

    def __init__(self, received: int) -> None:
        super().__init__(f"the connection ended after {received} bytes of the handshake")
        self.received = received


async def receive_head(receive: Receive) -> tuple[bytes, bytes]:
    """Receive up to the empty line that ends an HTTP head.

    :param receive: returns the next bytes, none at the end of the stream.
    :returns: the head, and the bytes that arrived after it.
    :raises ConnectionCut: if the stream ends first.
    :raises HandshakeRefused: 431, as soon as the head is longer than `MAX_HEAD_BYTES`; 400 at the
        first byte, if no head begins with it: a TLS handshake, for example.
    """
    data, spared = b"", False
    while (end := data.find(b"\r\n\r\n")) < 0 and len(data) <= MAX_HEAD_BYTES:
        chunk = await receive()
        if not chunk:
            raise ConnectionCut(len(data))
        data += chunk
        # One line end in front is some client's habit (RFC 9112, section 2.2); two are none's.
        if not spared and data.startswith(b"\r\n"):
            data, spared = data[2:], True
        if not data[:1].isalpha() and data not in (b"", b"\r"):
            raise HandshakeRefused(400, "This is not HTTP.", Reason.NOT_HTTP)
    if end < 0 or end > MAX_HEAD_BYTES:
        raise HandshakeRefused(
            431, f"The request's head is longer than {MAX_HEAD_BYTES} bytes.", Reason.HEAD_TOO_LARGE
        )
    return data[:end], data[end + 4 :]


def whole_head(data: bytes) -> tuple[bytes, bytes] | None:
    """Return what `receive_head` does, if this is all of a head; ``None`` if it needs a look."""
    end = data.find(b"\r\n\r\n")
    if 0 <= end <= MAX_HEAD_BYTES and data[:1].isalpha():
        return data[:end], data[end + 4 :]
    return None


def accept_value(key: str) -> str:
    """Compute the Sec-WebSocket-Accept that answers a key (RFC 6455, section 4.2.2)."""
    digest = hashlib.sha1(key.encode("ascii") + _ACCEPT_GUID, usedforsecurity=False).digest()
    return binascii.b2a_base64(digest, newline=False).decode("ascii")


def parse_headers(lines: list[str]) -> list[tuple[str, str]]:
    """Parse the headers of a head, in order, names in lower case.

    :raises HandshakeRefused: if one is malformed, or there are more than `MAX_HEADERS`.
    """
    if len(lines) > MAX_HEADERS:
        raise HandshakeRefused(
            431, f"There are more than {MAX_HEADERS} headers.", Reason.HEAD_TOO_LARGE
        )
    headers = []
    for line in lines:
        name, colon, value = line.partition(":")
        # A name with a space before its colon, or a folded line, could smuggle another header.
        if not colon or not TOKEN.fullmatch(name) or CONTROL.search(value):
            raise HandshakeRefused(400, "A header is malformed.", Reason.HEADER)
        headers.append((name.lower(), value.strip(" \t")))
    return headers


def parse_extensions(values: list[str]) -> list[deflate.Extension]:
    """Parse Sec-WebSocket-Extensions, in one header or several.

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


def values(headers: list[tuple[str, str]], name: str) -> list[str]:
    """Return the values of all headers of a name, which is in lower case."""
    return [value for key, value in headers if key == name]


def list_elements(headers: list[tuple[str, str]], name: str) -> list[str]:
    """List the elements of a header that may be given as a list, or several times."""
    parts = (part.strip(" \t") for value in values(headers, name) for part in value.split(","))
    return [part for part in parts if part]


def tokens(headers: list[tuple[str, str]], name: str) -> set[str]:
    """Return the elements of a header that is a list, in lower case."""
    return {part.lower() for part in list_elements(headers, name)}
