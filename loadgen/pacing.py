"""When is the next message due? Pure functions of the time since the load phase began."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class OpenLoop:
    """Messages due at an even rate, on each socket in turn.

    Message k of all is due at (k + ½) / rate: so over any window the number due differs from
    rate × window by less than one, and each socket's turn comes evenly within the period.

    :ivar sockets: how many take turns.
    :ivar rate_per_s: messages a second, over all sockets.
    :ivar total: how many messages there are.
    """

    sockets: int
    rate_per_s: float
    total: int

    @classmethod
    def of(
        cls, sockets: int, rate_per_conn: float, duration_s: float, messages: int | None
    ) -> OpenLoop:
        """The schedule of a plan; so many `messages` a socket, or as many as the duration holds."""
        rate_per_s = sockets * rate_per_conn
        if messages is not None:
            return cls(sockets, rate_per_s, sockets * messages if rate_per_s else 0)
        return cls(sockets, rate_per_s, _round_half_up(rate_per_s * duration_s))

    def due_by(self, elapsed_s: float) -> int:
        """How many messages are due by then."""
        return min(self.total, _round_half_up(elapsed_s * self.rate_per_s))

    def due_at(self, k: int) -> float:
        """When message k is due, in seconds."""
        return (k + 0.5) / self.rate_per_s

    def socket_of(self, k: int) -> int:
        """Whose turn message k is."""
        return k % self.sockets


def _round_half_up(value: float) -> int:
    # Rounded first to what a clock can tell: 0.29 s × 100/s is 28.999999999999996.
    return math.floor(round(value, 6) + 0.5)
