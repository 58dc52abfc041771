"""Messages on a stream of bytes, each after its length; one task reads, one writes."""

from __future__ import annotations

import math
from typing import Final

import trio

#: Before each message: its length.
LENGTH_BYTES: Final = 4
#: The record of a run has a few thousand buckets at most; what is longer is no message of ours.
MAX_BYTES: Final = 256 * 2**20

_READ_BYTES: Final = 1 << 16


class Inbox:
    """Messages as they come in."""

    def __init__(self, stream: trio.abc.ReceiveStream) -> None:
        self._stream = stream
        self._buffer = bytearray()

    async def read(self) -> bytes | None:
        """The next message; ``None`` when the other end has closed, or is gone."""
        buffer = self._buffer
        while True:
            length = int.from_bytes(buffer[:LENGTH_BYTES], "big")
            if length > MAX_BYTES:
                return None
            if len(buffer) - length >= LENGTH_BYTES:
                message = bytes(buffer[LENGTH_BYTES : LENGTH_BYTES + length])
                del buffer[: LENGTH_BYTES + length]
                return message
            try:
                data = await self._stream.receive_some(_READ_BYTES)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                return None
            if not data:
                return None
            buffer += data


def frame(message: bytes) -> bytes:
    """A message as it goes on the stream."""
    return len(message).to_bytes(LENGTH_BYTES, "big") + message


class Outbox:
    """Messages on their way out: put without waiting, and written whole whoever is cancelled."""

    def __init__(self, stream: trio.abc.SendStream) -> None:
        self._stream = stream
        self._put, self._take = trio.open_memory_channel[bytes](math.inf)

    @property
    def waiting(self) -> int:
        """How many are not on their way yet."""
        return self._take.statistics().current_buffer_used

    def put(self, message: bytes) -> None:
        """Send it as soon as those before are sent."""
        self._put.send_nowait(message)

    def close(self) -> None:
        """No more will come: `write` ends when all are sent."""
        self._put.close()

    async def write(self) -> None:
        """Send what is put; returns when the other end is gone, or after `close`."""
        try:
            async for message in self._take:
                await self._stream.send_all(frame(message))
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            async for _ in self._take:
                pass
