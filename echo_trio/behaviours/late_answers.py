"""Keep answers until they are due, many of them in little memory: in arrays and blocks.

A client may ask for a hundred thousand answers an hour from now. As objects of their own, each
with a place in a heap, they take 400 bytes apiece, and much of that stays with the process when
the client has left (see `packed`).
"""

from __future__ import annotations

import struct
from array import array
from bisect import bisect_right
from sys import getsizeof
from typing import Final

from echo_trio.behaviours.packed import LONGEST_BYTES, SLOT_BYTES

#: Answers are written into blocks of about this size. A block is freed when all its answers are
#: out; so one answer that is due late can keep this much, which is counted.
BLOCK_BYTES: Final = 64 * 1024
#: Times and places of answers that are out are given up when there are this many, and half of all.
SPENT: Final = 512
#: An answer's length, and whether it is text.
_HEAD: Final = struct.Struct("<H?")
#: A place is the number of a block, and an offset into it.
_OFFSET_BITS: Final = 32
_NEVER: Final = float("inf")


class _Block:
    """A piece of memory with answers one after the other.

    :ivar waiting: how many of them are still to come.
    """

    __slots__ = ("data", "waiting")

    def __init__(self) -> None:
        self.data = bytearray()
        self.waiting = 0


class LateAnswers:
    """The answers that a connection gives at certain times, the first due first.

    Adding one moves the times behind its own in memory: of ten thousand, in some microseconds.
    """

    __slots__ = ("_at", "_block_bytes", "_blocks", "_dues_s", "_last", "_long", "_places")

    def __init__(self) -> None:
        self._dues_s = array("d")
        self._places = array("Q")  # in the order of the times
        self._at = 0  # the first that is still to come
        self._blocks: dict[int, _Block] = {}
        self._last = 0  # the number of the block that is being filled
        self._long: dict[int, str | bytes] = {}  # by place
        self._block_bytes = 0  # with the long answers

    def __len__(self) -> int:
        return len(self._dues_s) - self._at

    @property
    def held_bytes(self) -> int:
        """The memory that all of them take, in bytes; 0 if there are none."""
        if not len(self):
            return 0
        return self._block_bytes + getsizeof(self._dues_s) + getsizeof(self._places)

    @property
    def next_s(self) -> float:
        """The time at which the first is due; infinity if there is none."""
        return self._dues_s[self._at] if len(self) else _NEVER

    def put(self, due_s: float, answer: str | bytes) -> None:
        """Add an answer that is due at this time, after the others of the same time."""
        block = self._blocks.get(self._last)
        if block is None or len(block.data) >= BLOCK_BYTES:
            self._last += 1
            block = self._blocks[self._last] = _Block()
        else:
            self._block_bytes -= getsizeof(block.data)
        place = self._last << _OFFSET_BITS | len(block.data)
        if len(answer) > LONGEST_BYTES:
            self._long[place] = answer
            self._block_bytes += getsizeof(answer) + SLOT_BYTES
            data = b""
        else:
            data = answer.encode() if isinstance(answer, str) else answer
        block.data += _HEAD.pack(len(data), isinstance(answer, str))
        block.data += data
        block.waiting += 1
        self._block_bytes += getsizeof(block.data)
        at = bisect_right(self._dues_s, due_s, lo=self._at)
        self._dues_s.insert(at, due_s)
        self._places.insert(at, place)

    def pop(self) -> tuple[float, str | bytes]:
        """Take the first out; return when it was due, and the answer.

        :raises IndexError: if there is none.
        """
        due_s, place = self._dues_s[self._at], self._places[self._at]
        self._at += 1
        if not len(self) or (self._at >= SPENT and 2 * self._at >= len(self._dues_s)):
            del self._dues_s[: self._at], self._places[: self._at]
            self._at = 0
        number, offset = divmod(place, 1 << _OFFSET_BITS)
        block = self._blocks[number]
        answer = self._long.pop(place, None)
        if answer is None:
            size, is_text = _HEAD.unpack_from(block.data, offset)
            begin = offset + _HEAD.size
            data = bytes(memoryview(block.data)[begin : begin + size])
            answer = data.decode() if is_text else data
        else:
            self._block_bytes -= getsizeof(answer) + SLOT_BYTES
        block.waiting -= 1
        if not block.waiting:
            self._block_bytes -= getsizeof(block.data)
            del self._blocks[number]
        return due_s, answer
