"""aiohttp's WebSocket server on asyncio, as its documentation runs it."""

import asyncio

from aiohttp import WSMsgType, web
from echo_contract import BACKLOG, HOST, MAX_MESSAGE_BYTES, announce, binary_reply, text_reply


async def echo(request: web.Request) -> web.WebSocketResponse:
    connection = web.WebSocketResponse(compress=False, max_msg_size=MAX_MESSAGE_BYTES)
    await connection.prepare(request)
    async for message in connection:
        if message.type is WSMsgType.TEXT:
            await connection.send_str(text_reply(message.data))
        elif message.type is WSMsgType.BINARY:
            await connection.send_bytes(binary_reply(message.data))
    return connection


async def main() -> None:
    application = web.Application()
    application.router.add_get("/", echo)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, HOST, 0, backlog=BACKLOG).start()
    announce(runner.addresses[0][1])
    await asyncio.Event().wait()


asyncio.run(main())
