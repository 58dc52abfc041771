"""Limit what a connection allows its peer: sizes and timeouts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

#: The size of one read. All its messages are answered before the next read, so this bounds the
#: replies that a wake-up makes, not the memory of a connection. A message of 64 KiB comes in one
#: read, and so does its echo: with 14 bytes of header, or 10 and a suffix of 7.
RECEIVE_BYTES: Final = 64 * 1024 + 64
#: The size of one read while a large message arrives.
BULK_RECEIVE_BYTES: Final = 256 * 1024
#: From this size on, a copy of a message costs more than what it takes to do without one.
LARGE_BYTES: Final = 4 * 1024


@dataclass(frozen=True, slots=True)
class Limits:
    """Sizes and timeouts that a connection allows its peer; one object for a whole process.

    :ivar max_message_bytes: payload of one message, after inflating; above this the connection
        fails with 1009.
    :ivar write_timeout_s: the connection is aborted when the kernel takes nothing of the bytes that
        wait to be sent for this long.
    :ivar close_timeout_s: the time the peer has to answer our close frame, or to end TCP.
    :ivar ping_interval_s: the interval at which a `Watch` pings the peer; 0 means never.
    :ivar ping_timeout_s: the time the peer has to answer such a ping; then it gets close code 1011
        and the connection is cut; 0 means no limit.
    :ivar idle_timeout_s: after this time without a message in either direction a `Watch` closes the
        connection with 1001; 0 means never.
    """

    max_message_bytes: int = 2**20
    write_timeout_s: float = 10.0
    close_timeout_s: float = 10.0
    ping_interval_s: float = 0.0
    ping_timeout_s: float = 0.0
    idle_timeout_s: float = 0.0

    @property
    def max_held_bytes(self) -> int:
        """The bytes held for one connection above which it is not read from until they are fewer.

        Enough for one message being received, one being sent, and about the bytes of one read.
        """
        return 2 * self.max_message_bytes + 64 * 1024
