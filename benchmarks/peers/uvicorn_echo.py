"""A bare ASGI application on uvicorn with uvloop and `websockets`.

`--sansio` takes uvicorn's newer binding to `websockets` instead of the older default.
"""

import socket
import sys

import uvicorn
from echo_contract import BACKLOG, HOST, MAX_MESSAGE_BYTES, announce, binary_reply, text_reply


async def echo(scope, receive, send) -> None:
    if scope["type"] != "websocket":
        return
    while True:
        event = await receive()
        match event["type"]:
            case "websocket.connect":
                await send({"type": "websocket.accept"})
            case "websocket.receive" if event.get("text") is not None:
                await send({"type": "websocket.send", "text": text_reply(event["text"])})
            case "websocket.receive":
                await send({"type": "websocket.send", "bytes": binary_reply(event["bytes"])})
            case "websocket.disconnect":
                return


class AnnouncingServer(uvicorn.Server):
    """Prints the ready line once uvicorn listens, which it offers no callback for."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        assert sockets is not None
        announce(sockets[0].getsockname()[1])


config = uvicorn.Config(
    echo,
    loop="uvloop",
    ws="websockets-sansio" if "--sansio" in sys.argv else "websockets",
    ws_per_message_deflate=False,
    ws_max_size=MAX_MESSAGE_BYTES,
    backlog=BACKLOG,
    lifespan="off",
    log_level="error",
    access_log=False,
)
AnnouncingServer(config).run(sockets=[socket.create_server((HOST, 0), backlog=BACKLOG)])
