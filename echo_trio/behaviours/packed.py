"""Keep many short messages in little memory: in one buffer.

Whoever sends messages of 16 bytes to `/delay/1h` has a hundred thousand of them wait. As objects of
their own they take 190 bytes each; and what is worse, CPython returns such memory to the system in
arenas of 1 MiB, each only when it is wholly empty, which one counter that was born amid the flood
prevents: of 110 MiB held that way, 90 MiB stayed with the process after their owners had left. One
buffer for all of them goes back in one piece.
"""

from __future__ import annotations

import struct
from collections import deque
from sys import getsizeof
from typing import Final, Generic, NamedTuple, TypeVar

#: What is longer than this is kept as it is: such memory goes back by itself.
LONGEST_BYTES: Final = 1024
#: Memory of an item that isn't packed, beside itself: a slot of a deque, a number.
SLOT_BYTES: Final = 48
#: The front of the buffer is given up when it is as long as this, and half of all.
SPENT_BYTES: Final = 4096
#: The time at which it came, its length, and which it is.
_HEAD: Final = struct.Struct("<dHB")
HEAD_BYTES: Final = _HEAD.size
_TEXT, _BINARY, _OTHER = range(3)

Item = TypeVar("Item")


class Message(NamedTuple):
    """A message, with the time at which it came."""

    since_s: float
    payload: str | bytes


class PackedQueue(Generic[Item]):
    """A queue of messages, each with a time, and of items of another kind."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._at = 0
        self._count = 0
        self._others: deque[Item | Message] = deque()
        self._other_bytes = 0
        self._sizes: deque[int] = deque()

    def __len__(self) -> int:
        return self._count

    @property
    def held_bytes(self) -> int:
        """The memory that all of them take, in bytes; 0 if there are none."""
        if not self._count:
            return 0
        return getsizeof(self._buffer) + self._other_bytes

    def put_message(self, since_s: float, message: str | bytes) -> None:
        """Add a message that came at this time."""
        if len(message) <= LONGEST_BYTES:
            data, kind = (
                (message.encode(), _TEXT) if isinstance(message, str) else (message, _BINARY)
            )
            self._buffer += _HEAD.pack(since_s, len(data), kind)
            self._buffer += data
            self._count += 1
        else:
            self._put(Message(since_s, message), getsizeof(message))

    def put(self, item: Item, held_bytes: int) -> None:
        """Add an item that takes so much memory."""
        self._put(item, held_bytes)

    def _put(self, item: Item | Message, held_bytes: int) -> None:
        self._buffer += _HEAD.pack(0.0, 0, _OTHER)
        self._count += 1
        self._others.append(item)
        self._sizes.append(held_bytes + SLOT_BYTES)
        self._other_bytes += held_bytes + SLOT_BYTES

    def first(self) -> Item | Message:
        """Return the first: an item as it was put, or a message.

        :raises IndexError: if there is none.
        """
        if not self._count:
            raise IndexError("the queue is empty")
        since_s, size, kind = _HEAD.unpack_from(self._buffer, self._at)
        if kind == _OTHER:
            return self._others[0]
        begin = self._at + HEAD_BYTES
        data = bytes(memoryview(self._buffer)[begin : begin + size])
        return Message(since_s, data.decode() if kind == _TEXT else data)

    def drop_first(self) -> None:
        """Take the first out, and give back what is not needed any more.

        :raises IndexError: if there is none.
        """
        if not self._count:
            raise IndexError("the queue is empty")
        _, size, kind = _HEAD.unpack_from(self._buffer, self._at)
        if kind == _OTHER:
            self._others.popleft()
            self._other_bytes -= self._sizes.popleft()
        self._at += HEAD_BYTES + size
        self._count -= 1
        if not self._count:
            self._buffer = bytearray()
            self._at = 0
        elif self._at >= SPENT_BYTES and 2 * self._at >= len(self._buffer):
            del self._buffer[: self._at]
            self._at = 0

    def clear(self) -> tuple[int, list[Item]]:
        """Take everything out; return how many messages there were, and the items of another kind.

        Messages are counted, not looked at: a crowd that leaves may have a million waiting.
        """
        items = [each for each in self._others if not isinstance(each, Message)]
        messages = self._count - len(items)
        self._buffer = bytearray()
        self._at = self._count = self._other_bytes = 0
        self._others.clear()
        self._sizes.clear()
        return messages, items
