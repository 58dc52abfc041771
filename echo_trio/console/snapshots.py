"""The server's snapshots, of which each serves whoever comes soon after it.

With ten thousand connections open, a snapshot takes some 4 ms, for which the echo waits: their
traffic is added up. So whoever can do with a recent one gets that.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from typing import Any, Final

import trio

#: Less than a second: who asks once a second gets a new one each time.
RECENT_S: Final = 0.9


async def ask(what: Callable[[], Any]) -> Any:
    """What a function returns, now or later."""
    answer = what()
    return await answer if inspect.isawaitable(answer) else answer


class SnapshotCache:
    """The server as it stands, and as it stood a moment ago.

    :param take: returns a snapshot; may be async.
    """

    def __init__(self, take: Callable[[], Any]) -> None:
        self._take = take
        self._latest: Any = None
        self._taken_at = -math.inf

    async def now(self) -> Any:
        """A new snapshot."""
        began = trio.current_time()
        self._latest = await ask(self._take)
        self._taken_at = began
        return self._latest

    async def since(self, asked_at: float) -> Any:
        """A snapshot taken at this moment or later: those who wait together share one."""
        return self._latest if self._taken_at >= asked_at else await self.now()

    async def recent(self) -> Any:
        """The latest snapshot, or a new one if that is not recent."""
        if trio.current_time() - self._taken_at > RECENT_S:
            return await self.now()
        return self._latest
