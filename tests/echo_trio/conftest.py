"""A client as bytes, and a log that is kept, for the tests of the server's modules."""

from __future__ import annotations

from typing import Any

import structlog
from structlog.testing import LogCapture

#: A close frame of a client, with 1000.
CLOSE = b"\x88\x82" + bytes(4) + (1000).to_bytes(2, "big")


def handshake(path: str = "/", more: str = "") -> bytes:
    """A client's request.

    :param more: further headers, each with its line end.
    """
    return (
        f"GET {path} HTTP/1.1\r\nHost: here\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{more}\r\n"
    ).encode()


def log_to(kept: LogCapture) -> Any:
    """A logger whose lines are kept, and not written."""
    return structlog.wrap_logger(None, processors=[kept])
