"""Share the server's snapshots among all who ask for one soon after it was taken.

With ten thousand connections open, a snapshot takes some 4 ms, for which the echo waits: their
traffic is added up. So a caller for which a recent one is good enough gets that.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from typing import Any, Final

import trio

#: Less than a second: a reader that asks once a second gets a new one each time.
RECENT_S: Final = 0.9


async def ask(what: Callable[[], Any]) -> Any:
    """Call a function, and await its result if it is awaitable."""
    answer = what()
    return await answer if inspect.isawaitable(answer) else answer


class SnapshotCache:
    """The latest snapshot of the server, and the ways to take a new one.

    :param take: returns a snapshot; may be async.
    :param known: returns the one that can be had without asking anybody; by default as `take`.
    """

    def __init__(self, take: Callable[[], Any], known: Callable[[], Any] | None = None) -> None:
        self._take = take
        self._known = known
        self._latest: Any = None
        self._taken_at = -math.inf
        self._latest_known: Any = None
        self._known_at = -math.inf

    async def now(self) -> Any:
        """Take a new snapshot."""
        began = trio.current_time()
        self._latest = await ask(self._take)
        self._taken_at = began
        return self._latest

    async def since(self, asked_at: float) -> Any:
        """Return a snapshot taken at this moment or later: callers that wait together share one.

        :param asked_at: Trio's time, in seconds.
        """
        return self._latest if self._taken_at >= asked_at else await self.now()

    async def recent(self) -> Any:
        """Return the latest snapshot, or take a new one if that is older than `RECENT_S`."""
        if trio.current_time() - self._taken_at > RECENT_S:
            return await self.now()
        return self._latest

    async def known(self) -> Any:
        """Return a recent snapshot, or what is known without asking anybody."""
        if self._known is None or trio.current_time() - self._taken_at <= RECENT_S:
            return await self.recent()
        if trio.current_time() - self._known_at > RECENT_S:
            self._known_at = trio.current_time()
            self._latest_known = await ask(self._known)
        return self._latest_known
