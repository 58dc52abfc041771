"""`websockets` on asyncio; `--uvloop` runs it on uvloop, `--compression` lets it compress."""

import asyncio
import sys

import uvloop
from echo_contract import BACKLOG, HOST, MAX_MESSAGE_BYTES, announce, binary_reply, text_reply
from websockets.asyncio.server import ServerConnection, serve


async def echo(connection: ServerConnection) -> None:
    async for message in connection:
        if isinstance(message, str):
            await connection.send(text_reply(message))
        else:
            await connection.send(binary_reply(message))


async def main() -> None:
    compression = "deflate" if "--compression" in sys.argv else None
    server = await serve(
        echo, HOST, 0, compression=compression, max_size=MAX_MESSAGE_BYTES, backlog=BACKLOG
    )
    announce(server.sockets[0].getsockname()[1])
    await server.serve_forever()


if "--uvloop" in sys.argv:
    uvloop.run(main())
else:
    asyncio.run(main())
