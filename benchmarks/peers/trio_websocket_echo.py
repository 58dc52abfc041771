"""Stock trio-websocket. `--no-gc` switches the cyclic garbage collector off."""

import gc
import sys

import trio
from echo_contract import HOST, MAX_MESSAGE_BYTES, announce, binary_reply, text_reply
from trio_websocket import ConnectionClosed, WebSocketRequest, serve_websocket


async def echo(request: WebSocketRequest) -> None:
    connection = await request.accept()
    try:
        while True:
            message = await connection.get_message()
            if isinstance(message, str):
                await connection.send_message(text_reply(message))
            else:
                await connection.send_message(binary_reply(message))
    except ConnectionClosed:
        pass


async def main() -> None:
    async with trio.open_nursery() as nursery:
        server = await nursery.start(
            lambda task_status: serve_websocket(
                echo,
                HOST,
                0,
                ssl_context=None,
                max_message_size=MAX_MESSAGE_BYTES,
                task_status=task_status,
            )
        )
        announce(server.port)


if "--no-gc" in sys.argv:
    gc.disable()
trio.run(main)
