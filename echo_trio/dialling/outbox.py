"""Hold events for a reader of a stream: in order, bounded, and with a sign of life in between."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final

import msgspec
import trio

from echo_trio.wire.budget import Holder

#: Above this nothing more is read from the server until the page has taken some.
FULL_BYTES: Final = 256 * 1024
#: The bytes that are written at a time.
BATCH_BYTES: Final = 64 * 1024
#: A stream in which nothing happens says so: a reader that has vanished is found out by writing.
ALIVE_S: Final = 15.0
_ALIVE: Final = b": alive\n\n"

Emit = Callable[[bytes], Awaitable[None]]


class Outbox:
    """Events on their way to one reader.

    :param encode: makes one event of a name and its data.
    :param holder: counts the bytes that wait here.
    """

    def __init__(self, encode: Callable[[str, bytes], bytes], holder: Holder) -> None:
        self._encode = encode
        self._holder = holder
        self._waiting = bytearray()
        self._is_over = False
        self._news = trio.Event()
        self._room = trio.Event()

    def put(self, name: str, data: Any) -> None:
        """Add an event; who may add many awaits `room` before each."""
        encoded = self._encode(name, msgspec.json.encode(data))
        self._waiting += encoded
        self._holder.hold(len(encoded))
        self._news.set()

    async def room(self) -> None:
        """Wait until the reader has taken enough for more to be added."""
        while len(self._waiting) >= FULL_BYTES:
            self._room = trio.Event()
            await self._room.wait()

    def end(self) -> None:
        """Have `drain` return when all is taken."""
        self._is_over = True
        self._news.set()

    async def drain(self, emit: Emit) -> None:
        """Emit events as they come, until `end`.

        :param emit: returns when the reader has taken them.
        """
        while True:
            if self._waiting:
                batch = bytes(self._waiting[:BATCH_BYTES])
                await emit(batch)
                del self._waiting[: len(batch)]
                self._holder.release(len(batch))
                self._room.set()
            elif self._is_over:
                return
            else:
                self._news = trio.Event()
                with trio.move_on_after(ALIVE_S) as waiting:
                    await self._news.wait()
                if waiting.cancelled_caught:
                    await emit(_ALIVE)
