"""Log at most one line of each kind in a second, for what the outside can cause at will."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final

#: The time in which one line of a kind is logged.
SPARING_INTERVAL_S: Final = 1.0


class Sparing:
    """A logger of at most one line of each kind in a second, which says how many it has kept back.

    For events that the outside can cause as often as it likes. The counters count them all.
    """

    def __init__(self, log: Any, clock: Callable[[], float] = time.monotonic) -> None:
        self._log = log
        self._clock = clock
        self._next_s: dict[str, float] = {}
        self._kept_back: dict[str, int] = {}

    def info(self, event: str, *, kind: str | None = None, **details: Any) -> None:
        """Log an event as information.

        :param kind: the kind that is limited to one line in a second; by default the event.
        """
        self._say(self._log.info, event, kind or event, details)

    def warning(self, event: str, *, kind: str | None = None, **details: Any) -> None:
        """Log an event as a warning; otherwise as `info`."""
        self._say(self._log.warning, event, kind or event, details)

    def exception(self, event: str, **details: Any) -> None:
        """Log the exception that is being handled, with its traceback."""
        self._say(self._log.exception, event, event, details)

    def _say(
        self, say: Callable[..., None], event: str, kind: str, details: dict[str, Any]
    ) -> None:
        now_s = self._clock()
        if now_s < self._next_s.get(kind, now_s):
            self._kept_back[kind] = self._kept_back.get(kind, 0) + 1
            return
        self._next_s[kind] = now_s + SPARING_INTERVAL_S
        if kept_back := self._kept_back.pop(kind, 0):
            details["kept_back"] = kept_back
        say(event, **details)
