"""The console's listener, and Hypercorn's Trio worker behind it."""

from __future__ import annotations

import socket
from functools import partial
from typing import Any, Final

import trio
from hypercorn.config import Config
from hypercorn.trio import serve

#: What is left of a request when the server stops is not worth waiting for.
GRACEFUL_TIMEOUT_S: Final = 1.0


async def serve_console(
    app: Any,
    listeners: list[socket.socket],
    *,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve an ASGI app on these listeners until cancelled."""
    config = Config()
    config.bind = [f"fd://{listener.detach()}" for listener in listeners]
    config.accesslog = None
    config.errorlog = None
    config.graceful_timeout = GRACEFUL_TIMEOUT_S
    config.include_server_header = False
    async with trio.open_nursery() as nursery:
        await nursery.start(partial(serve, app, config))
        task_status.started()
