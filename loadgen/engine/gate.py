"""Bound how many handshakes are in flight, and how many begin each second."""

from __future__ import annotations

from typing import Final

import trio

from loadgen.workload.plan import Plan

#: A generator that was held up may begin the handshakes of this much time at once, and no more.
CONNECT_CATCH_UP_S: Final = 0.1


class ConnectPace:
    """The pace of connecting.

    :param rate_per_s: handshakes begun a second; ``None`` means no limit.
    :ivar is_limited: true if there is a limit.
    """

    def __init__(self, rate_per_s: float | None) -> None:
        self.is_limited: bool = bool(rate_per_s)
        self._interval_s = 1 / rate_per_s if rate_per_s else 0.0
        self._next = 0.0

    async def wait_for_turn(self) -> None:
        """Wait until the next handshake may begin; a checkpoint only if there is a limit."""
        if not self._interval_s:
            return
        now = trio.current_time()
        turn = max(self._next, now - CONNECT_CATCH_UP_S) if self._next else now
        self._next = turn + self._interval_s
        await trio.sleep_until(turn)


class Gate:
    """The limits on connecting that the sockets of all crowds share.

    :ivar limiter: bounds the handshakes in flight.
    """

    def __init__(self, plan: Plan) -> None:
        self.limiter: trio.CapacityLimiter = trio.CapacityLimiter(plan.connect_concurrency)
        self.pace: ConnectPace = ConnectPace(plan.connect_rate)
