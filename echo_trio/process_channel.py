"""Carry messages between processes of one program: msgpack, never pickle, each after its length.

A `Channel` is one end of a socket pair, for orders and reports that are awaited. `Inbox` and
`Outbox` are its halves for any stream; an outbox takes messages without waiting, for one that
reports from where nothing may block.
"""

from __future__ import annotations

import math
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final, Generic, Self, TypeVar

import trio

#: The size of the length that stands before each message.
LENGTH_BYTES: Final = 4
#: The record of a run has a few thousand buckets at most; anything longer is none of our messages.
MAX_BYTES: Final = 256 * 2**20

_READ_BYTES: Final = 1 << 16
#: The exceptions of Trio's streams and sockets when the other end, or this one, is gone.
_GONE: Final = (OSError, trio.BrokenResourceError, trio.ClosedResourceError)

Said = TypeVar("Said")
Heard = TypeVar("Heard")


def frame(message: bytes) -> bytes:
    """Put a message's length before it."""
    return len(message).to_bytes(LENGTH_BYTES, "big") + message


class Inbox:
    """A reader of messages from a stream of bytes.

    :param receive: receives at most this number of bytes, and none at the end of the stream.
    """

    def __init__(self, receive: Callable[[int], Awaitable[bytes | bytearray]]) -> None:
        self._receive = receive
        self._buffer = bytearray()

    async def read(self) -> bytes | None:
        """Read the next message; ``None`` when the other end has closed, or is gone.

        A length above `MAX_BYTES` ends it, too. Cancelled: nothing is lost, and the next call goes
        on.
        """
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
                data = await self._receive(_READ_BYTES)
            except _GONE:
                return None
            if not data:
                return None
            buffer += data


class Outbox:
    """A queue of messages to send: put without waiting, and sent whole."""

    def __init__(self, stream: trio.abc.SendStream) -> None:
        self._stream = stream
        self._put, self._take = trio.open_memory_channel[bytes](math.inf)

    @property
    def waiting(self) -> int:
        """The number of messages that are not being sent yet."""
        return self._take.statistics().current_buffer_used

    def put(self, message: bytes) -> None:
        """Send a message as soon as those before are sent."""
        self._put.send_nowait(message)

    def close(self) -> None:
        """Let `write` end when all are sent: no more will come."""
        self._put.close()

    async def write(self) -> None:
        """Send messages as they are put; return when the other end is gone, or after `close`."""
        try:
            async for message in self._take:
                await self._stream.send_all(frame(message))
        except _GONE:
            async for _ in self._take:
                pass


class Channel(Generic[Said, Heard]):
    """One end of a socket pair, over which messages go both ways.

    :param encode: encodes the messages of this end.
    :param decode: decodes those of the other end.
    """

    def __init__(
        self,
        sock: socket.socket,
        encode: Callable[[Said], bytes],
        decode: Callable[[bytes], Heard],
    ) -> None:
        self._sock = trio.socket.from_stdlib_socket(sock)
        self._lock = trio.Lock()
        self._encode = encode
        self._decode = decode
        self._inbox = Inbox(self._sock.recv)

    async def say(self, what: Said) -> bool:
        """Send one message; false if the other end is gone.

        Cancelled half-way, the channel is closed: nothing may follow half a message.
        """
        message = memoryview(frame(self._encode(what)))
        async with self._lock:
            sent = 0
            try:
                while sent < len(message):
                    sent += await self._sock.send(message[sent:])
            except _GONE:
                return False
            except trio.Cancelled:
                if sent:
                    self._sock.close()
                raise
        return True

    async def hear(self) -> Heard | None:
        """Wait for the next message of the other end; ``None`` when it is gone."""
        message = await self._inbox.read()
        return None if message is None else self._decode(message)

    async def __aiter__(self) -> AsyncIterator[Heard]:
        """Yield the messages of the other end, until it is gone."""
        while (heard := await self.hear()) is not None:
            yield heard

    def close(self) -> None:
        """Close this end."""
        self._sock.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()
