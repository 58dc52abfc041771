"""Keep one message in flight on each of many sockets, with `websockets` on asyncio.

    TARGET=ws://… SOCKETS=1000 TEMPLATE=FILE [COMPRESSION=1] websockets_client.py

Each message is the template with the socket's number and its own in place of `{conn}` and `{seq}`;
every reply is checked. Ends at SIGINT.
"""

import asyncio
import os
from itertools import count
from pathlib import Path

from websockets.asyncio.client import connect

CONNECTING = 128


async def converse(index: int, template: str, limiter: asyncio.Semaphore) -> None:
    compression = "deflate" if os.environ.get("COMPRESSION") else None
    async with limiter:
        connection = await connect(os.environ["TARGET"], compression=compression, max_size=None)
    mine = template.replace("{conn}", str(index))
    async with connection:
        for number in count():
            message = mine.replace("{seq}", str(number))
            await connection.send(message)
            reply = await connection.recv()
            if not reply.startswith(f"{message} "):
                raise ValueError(f"wrong reply: {reply!r}")


async def main() -> None:
    template = Path(os.environ["TEMPLATE"]).read_text()
    limiter = asyncio.Semaphore(CONNECTING)
    async with asyncio.TaskGroup() as tasks:
        for index in range(int(os.environ["SOCKETS"])):
            tasks.create_task(converse(index, template, limiter))


asyncio.run(main())
