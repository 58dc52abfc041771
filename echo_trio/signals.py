"""SIGINT and SIGTERM: the first drains, a second one ends the process at once, and so does time.

With handlers of its own, not Trio's receiver: Python calls them between any two lines, also while
the loop is stuck – in a bug, or in a log line that nobody takes. Then, too, a process has to end
when it is asked to.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import trio

#: More than a year: as good as none, and less than what a timer can't take.
_LONGEST_S: Final = 4e7


@contextmanager
def stopping(
    *, drain: Callable[[str, float], None], give_up: Callable[[str], None], budget_s: float
) -> Iterator[None]:
    """Take SIGINT and SIGTERM as requests to stop, in Trio's thread, until this is left.

    :param drain: is called in Trio, once, with the name of the first signal and how many seconds
        ago that came: the loop may have been busy.
    :param give_up: is called with why, as the last thing before the process exits with 1: at a
        second signal, or when it is still there so long after the first. Whatever is going on is
        interrupted for it, so it must not wait for anything.
    :param budget_s: how long that is.
    """
    token = trio.lowlevel.current_trio_token()
    draining = False

    def on_signal(number: int, _: Any) -> None:
        nonlocal draining
        if not draining:
            draining = True
            signal.setitimer(signal.ITIMER_REAL, min(budget_s, _LONGEST_S))
            name, came_s = signal.Signals(number).name, time.monotonic()
            token.run_sync_soon(lambda: drain(name, time.monotonic() - came_s))
            return
        try:
            give_up("a second signal" if number != signal.SIGALRM else "the drain hangs")
        finally:
            # Ten thousand tasks take a while to unwind; nobody is to wait for that.
            os._exit(1)

    before = {
        number: signal.signal(number, on_signal)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGALRM)
    }
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in before.items():
            signal.signal(number, handler)
