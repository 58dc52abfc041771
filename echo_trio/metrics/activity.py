"""Tell whether a server has anything to do, so that what looks once a second can sleep if not."""

from __future__ import annotations

from math import inf

import trio


class Activity:
    """The news that connections begin, end or send, or that somebody wants to be shown them.

    :ivar last_s: when there was something to do last, by Trio's clock.
    """

    def __init__(self) -> None:
        self.last_s: float = -inf
        self._waiting = trio.lowlevel.ParkingLot()

    def note(self) -> None:
        """Note that there is something to do now."""
        self.last_s = trio.current_time()
        if self._waiting:
            self._waiting.unpark_all()

    async def wait_if_none_since(self, moment_s: float) -> None:
        """Wait for something to do, if there was nothing at this moment or later."""
        if self.last_s < moment_s:
            await self._waiting.park()
