"""The Trio server of `websockets`."""

import trio
from echo_contract import BACKLOG, HOST, MAX_MESSAGE_BYTES, announce, binary_reply, text_reply
from websockets.trio.server import ServerConnection, serve


async def echo(connection: ServerConnection) -> None:
    async for message in connection:
        if isinstance(message, str):
            await connection.send(text_reply(message))
        else:
            await connection.send(binary_reply(message))


async def main() -> None:
    listeners = await trio.open_tcp_listeners(0, host=HOST, backlog=BACKLOG)
    async with trio.open_nursery() as nursery:
        await nursery.start(
            lambda task_status: serve(
                echo,
                listeners=listeners,
                compression=None,
                max_size=MAX_MESSAGE_BYTES,
                task_status=task_status,
            )
        )
        announce(listeners[0].socket.getsockname()[1])


trio.run(main)
