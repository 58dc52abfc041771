"""Read lines from a descriptor that nobody else reads; imports nothing that takes time."""

from __future__ import annotations

import os
from typing import Final

_READ_BYTES: Final = 1 << 16


class Lines:
    """The lines that come from a descriptor."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._buffer = b""

    def read(self, at_most: float = float("inf")) -> bytes | None:
        """Wait for the next line, without its end; ``None`` if there is none, or it is too long.

        :param at_most: its length, in bytes.
        """
        while b"\n" not in self._buffer and len(self._buffer) <= at_most:
            if not (data := os.read(self._descriptor, _READ_BYTES)):
                rest, self._buffer = self._buffer, b""
                return rest or None
            self._buffer += data
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line if len(line) <= at_most else None
