"""A server that nobody here wrote (`websockets`), which counts what comes, and from where.

    python witness.py HOST PORT

A message is answered after FAST_S; every fourth socket's after SLOW_S. For each line on stdin it
waits until no socket is open any more, says in a line of JSON what it has counted, and counts anew.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import sys
import time
from collections import Counter

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

FAST_S, SLOW_S = 0.1, 0.4


class Counts:
    """Since it was last asked.

    :ivar opened: sockets by the address they came from, and messages `received` and `sent`.
    :ivar open_before: with how many sockets open the first message came, by address.
    :ivar closed: by close code.
    :ivar late_ms: of each reply, what it came later than it should: what this process was held up.
    """

    def __init__(self) -> None:
        self.opened: Counter[str] = Counter()
        self.received: Counter[str] = Counter()
        self.sent: Counter[str] = Counter()
        self.open_before: dict[str, int] = {}
        self.closed: Counter[str] = Counter()
        self.messages: list[str] = []
        self.late_ms: list[float] = []

    @property
    def open(self) -> int:
        return self.opened.total() - self.closed.total()

    def told(self) -> str:
        digest = hashlib.sha256("\n".join(sorted(self.messages)).encode()).hexdigest()
        late = sorted(self.late_ms)[len(self.late_ms) * 99 // 100 :]
        return json.dumps({**vars(self), "messages": digest, "late_ms": late[0] if late else 0})


class Witness:
    def __init__(self) -> None:
        self.counts = Counts()
        self.all_closed = asyncio.Condition()

    async def handle(self, connection: ServerConnection) -> None:
        counts, peer = self.counts, connection.remote_address[0]
        counts.opened[peer] += 1
        try:
            async with asyncio.TaskGroup() as replies:
                async for message in connection:
                    assert isinstance(message, str)
                    counts.received[peer] += 1
                    counts.messages.append(message)
                    counts.open_before.setdefault(peer, counts.open)
                    replies.create_task(self.reply(connection, message))
        except* ConnectionClosed:
            pass
        await connection.wait_closed()
        counts.closed[str(connection.close_code)] += 1
        async with self.all_closed:
            self.all_closed.notify_all()

    async def reply(self, connection: ServerConnection, message: str) -> None:
        peer, conn = connection.remote_address[0], int(message.split("-", 1)[0])
        due_s = time.monotonic() + (SLOW_S if conn % 4 == 3 else FAST_S)
        await asyncio.sleep(due_s - time.monotonic())
        self.counts.late_ms.append((time.monotonic() - due_s) * 1000)
        try:
            await connection.send(f"{message} 1")
        except ConnectionClosed:
            return
        self.counts.sent[peer] += 1

    async def tell(self) -> str:
        async with self.all_closed:
            await self.all_closed.wait_for(lambda: not self.counts.open)
        counts, self.counts = self.counts, Counts()
        return counts.told()


async def main(host: str, port: int) -> None:
    witness, questions = Witness(), asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(questions), sys.stdin)
    async with serve(witness.handle, host, port, compression=None, ping_interval=None):
        print("ready", flush=True)
        while await questions.readline():
            print(await witness.tell(), flush=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
