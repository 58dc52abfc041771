"""What a connection allows its peer; one object for all connections of a process."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

#: What one read takes. All of it is answered before the next, so this bounds the replies that a
#: wake-up makes, not the memory of a connection.
RECEIVE_BYTES: Final = 64 * 1024
#: The same while a large message arrives.
BULK_RECEIVE_BYTES: Final = 256 * 1024


@dataclass(frozen=True, slots=True)
class Limits:
    """What a connection allows its peer; one object for all connections of a process.

    :ivar max_message_bytes: payload of one message; above it the connection fails with 1009.
    :ivar write_timeout_s: how long the kernel may take nothing of what waits to be sent, before
        the connection is aborted.
    :ivar close_timeout_s: how long the peer may take to answer our close frame, or to end TCP.
    :ivar ping_interval_s: how often a `Watch` pings the peer; 0: never.
    :ivar ping_timeout_s: how long the peer may take to answer such a ping, before it is told so
        (1011) and the connection is cut; 0: for ever.
    :ivar idle_timeout_s: how long there may be no message, before a `Watch` closes the connection
        with 1001; 0: for ever.
    """

    max_message_bytes: int = 2**20
    write_timeout_s: float = 10.0
    close_timeout_s: float = 10.0
    ping_interval_s: float = 0.0
    ping_timeout_s: float = 0.0
    idle_timeout_s: float = 0.0

    @property
    def max_held_bytes(self) -> int:
        """What may be held for a connection before it is not read from until that shrinks.

        A message being received, one being sent, and what one read brings.
        """
        return 2 * self.max_message_bytes + RECEIVE_BYTES
