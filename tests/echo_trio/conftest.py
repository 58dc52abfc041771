"""A client as bytes, and a log that is kept, for the tests of the server's modules."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING, Any

import pytest
import structlog
import trio
from structlog.testing import LogCapture

if TYPE_CHECKING:
    from .served import Served

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


@pytest.fixture
async def serve(nursery: trio.Nursery) -> AsyncIterator[Callable[..., Awaitable[Served]]]:
    """Starts servers; when the test is over, each has given everything back."""
    from echo_trio.server import EchoServer  # noqa: PLC0415 - few of these tests need it
    from echo_trio.settings import Settings  # noqa: PLC0415

    from .served import Served  # noqa: PLC0415

    started: list[Served] = []

    async def start(**settings: Any) -> Served:
        log = log_to(LogCapture())
        server = EchoServer.listen(Settings(port=0, console=False, **settings), log)
        started.append(Served(server))
        await nursery.start(started[-1].run)
        return started[-1]

    yield start
    for served in started:
        for stream in served.streams:
            await stream.aclose()
        await served.ended(served.sessions.counters.accepted)
        served.assert_given_back()
        served.server.drain()
