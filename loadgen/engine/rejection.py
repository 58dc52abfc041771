"""Explain why a server refused a handshake: its status, its redirect, the text of its answer."""

from __future__ import annotations

import re
from typing import Final

import trio

from echo_trio import masks
from echo_trio.printable import printable
from echo_trio.wire.client_handshake import Rejected
from echo_trio.wire.handshake import Receive

#: The characters of an answer's body that are shown.
SHOWN_CHARS: Final = 200
#: The bytes of a body that are read: JSON with a reason is shorter, and much of HTML is markup.
_MAX_BODY_BYTES: Final = 4096
#: The time to wait for the rest of a body that did not come with its head.
_PATIENCE_S: Final = 0.5
_CHUNK: Final = re.compile(rb"([0-9a-fA-F]{1,8})[^\r\n]*\r\n")
_MARKUP: Final = re.compile(r"<(style|script|head)\b.*?</\1>|<[^>]*>", re.DOTALL | re.IGNORECASE)
_TEXTUAL: Final = re.compile(r"text/|application/[\w.+-]*(json|xml)", re.IGNORECASE)


async def explain_rejection(rejected: Rejected, surplus: bytes, receive: Receive) -> str:
    """Say in one line what the server answered instead of opening a WebSocket.

    :param surplus: bytes that came behind the answer's head.
    """
    status = f"HTTP {rejected.status}"
    location = rejected.header("location")
    if location is not None and 300 <= rejected.status < 400:
        return f"{status} to {printable(masks.mask_url(location), at_most=SHOWN_CHARS)}"
    text = _read_text(rejected, await _receive_body(rejected, surplus, receive))
    return f"{status}: {printable(text, at_most=SHOWN_CHARS)}" if text else status


async def _receive_body(rejected: Rejected, body: bytes, receive: Receive) -> bytes:
    length = rejected.header("content-length") or ""
    wanted = int(length) if length.isdecimal() and len(length) < 10 else _MAX_BODY_BYTES
    with trio.move_on_after(_PATIENCE_S):
        while len(body) < min(wanted, _MAX_BODY_BYTES):
            try:
                more = await receive()
            except OSError:  # it said no, and has gone
                break
            if not more:
                break
            body += more
    return body[:_MAX_BODY_BYTES]


def _read_text(rejected: Rejected, body: bytes) -> str:
    """Read the body as text, in one line; empty if it is none."""
    kind = rejected.header("content-type") or "text/plain"
    if rejected.header("content-encoding") is not None or not _TEXTUAL.match(kind):
        return ""
    if (rejected.header("transfer-encoding") or "").lower() == "chunked":
        body = _join_chunks(body)
    text = body.decode("utf-8", "replace")
    if "html" in kind.lower():
        text = _MARKUP.sub(" ", text)
    return " ".join(text.split())


def _join_chunks(body: bytes) -> bytes:
    """Join the chunks that have arrived (RFC 9112, section 7.1)."""
    joined, at = b"", 0
    while (found := _CHUNK.match(body, at)) and (size := int(found[1], 16)):
        joined += body[found.end() : found.end() + size]
        at = found.end() + size + 2
    return joined
