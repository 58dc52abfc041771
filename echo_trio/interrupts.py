"""Take a first signal as a request and a second one as an order to end at once.

The handlers are Python's, not Trio's receiver: Python calls them between any two lines, also while
the loop is stuck – in a bug, or in a line of output that is never read. Then, too, a process has to
end when it is asked to. Trio's own way, an exception out of nowhere, would be a traceback during
imports and while a report is written.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Final

#: The signals that ask any program to stop. SIGBREAK is Windows', where it is the only one that a
#: program can send to another (CTRL_BREAK_EVENT); Ctrl-Break on a console sends it, too.
REQUESTS_TO_STOP: Final[tuple[int, ...]] = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGBREAK") if hasattr(signal, name)
)
#: SIGHUP, where the system has it.
HANG_UPS: Final[tuple[int, ...]] = (signal.SIGHUP,) if hasattr(signal, "SIGHUP") else ()


class Interrupts:
    """The signals that have come to this process.

    A first signal that comes before there is something to stop is kept for it, and one that comes
    when that has ended changes nothing.

    :param exit_code: the exit code of the process when a second signal ends it.
    :param last_words: called with the second signal's number, last before the end.
        Any running code is interrupted for this call, so it must not wait for anything.
    :ivar received: the number of the first signal, 0 before there is one.
    """

    def __init__(self, exit_code: int, last_words: Callable[[int], None]) -> None:
        self.received: int = 0
        self._exit_code = exit_code
        self._last_words = last_words
        self._stop: Callable[[], object] | None = None

    def listen(self, *numbers: int) -> dict[int, Any]:
        """Take these signals from now on; to be called in the main thread.

        :returns: their previous handlers.
        """
        return {number: signal.signal(number, self.take) for number in numbers}

    def forget(self) -> None:
        """Forget what has come and what it stops: in a fork, that was the parent's."""
        self.received, self._stop = 0, None

    @contextmanager
    def stopping(self, stop: Callable[[], object]) -> Iterator[None]:
        """Call `stop` at the first signal within this block; at once, if it has come already.

        :param stop: is called between any two instructions of the main thread, so it may do no more
            than `trio.lowlevel.TrioToken.run_sync_soon`, for example.
        """
        self._stop = stop
        if self.received:
            stop()
        try:
            yield
        finally:
            self._stop = None

    def take(self, number: int, _: FrameType | None = None) -> None:
        """Handle a signal."""
        if self.received:
            try:
                self._last_words(number)
            finally:
                # Ten thousand tasks take a while to unwind: too long to wait for.
                os._exit(self._exit_code)
        self.received = number
        if self._stop is not None:
            self._stop()

    def take_hang_up(self, number: int, _: FrameType | None = None) -> None:
        """Handle SIGHUP, which counts once: the shell and the kernel both send one."""
        if not self.received:
            self.take(number)
