"""Stop on SIGINT and SIGTERM: the first drains; a second, or a timeout, ends the process at once.

SIGHUP has two meanings. A process without a terminal is told to read its files again. One whose
terminal has gone away is told that nobody watches it any more, and drains; it may be told so twice,
by its shell and by the kernel, so this is never the second signal that ends at once. Windows has no
SIGHUP; there SIGBREAK asks to stop, as SIGTERM does.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import trio

from echo_trio.interrupts import REQUESTS_TO_STOP, Interrupts

#: More than a year: as good as none, and less than what a timer can't take.
_LONGEST_S: Final = 4e7
#: What `take` gets instead of a signal's number when the time is up.
_TIME_IS_UP: Final = 0
#: The interval of SIGALRM during a drain. A signal that comes between Python's last look for one
#: and a system call that blocks is handled only when that call ends, which may be never: the next
#: SIGALRM interrupts the call.
_BEAT_S: Final = 0.25


def outlive_hang_ups() -> None:
    """Keep SIGHUP from ending the process, before `stopping` handles it and afterwards.

    This installs a handler that does nothing, since ignoring a signal would be inherited by child
    processes.
    """
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) == signal.SIG_DFL:
        signal.signal(signal.SIGHUP, lambda *_: None)


@contextmanager
def stopping(
    *,
    drain: Callable[[str, float], None],
    reload: Callable[[], None],
    give_up: Callable[[str], None],
    budget_s: float,
) -> Iterator[None]:
    """Take SIGINT and SIGTERM as requests to stop, in Trio's thread, until this is left.

    SIGHUP is one as well if the process had a terminal and has lost it, unless SIGHUP was ignored
    before, as `nohup` does.

    :param drain: is called in Trio, once, with the name of the first signal and how many seconds
        ago it came: the loop may have been busy.
    :param reload: is called in Trio at a SIGHUP that is no request to stop.
    :param give_up: is called with the reason, as the last thing before the process exits with 1: at
        a second signal, or when `budget_s` have passed since the first. Any running code is
        interrupted for this call, so it must not wait for anything.
    :param budget_s: the time from the first signal to the end, in seconds.
    """
    token = trio.lowlevel.current_trio_token()
    leaves_with_terminal = (
        hasattr(signal, "SIGHUP")
        and signal.getsignal(signal.SIGHUP) != signal.SIG_IGN
        and _has_terminal()
    )
    alarm = _Alarm(lambda: interrupts.take(_TIME_IS_UP))

    def stop() -> None:
        alarm.set(min(budget_s, _LONGEST_S))
        name, came_s = signal.Signals(interrupts.received).name, time.monotonic()
        token.run_sync_soon(lambda: drain(name, time.monotonic() - came_s))

    def say_why(number: int) -> None:
        give_up("a second signal" if number != _TIME_IS_UP else "the drain hangs")

    def on_hang_up(number: int, _: Any) -> None:
        if interrupts.received:
            return
        if leaves_with_terminal and not _has_terminal():
            interrupts.take(number)
        else:
            token.run_sync_soon(reload)

    interrupts = Interrupts(1, say_why)
    before = interrupts.listen(*REQUESTS_TO_STOP)
    before.update(alarm.listen())
    if hasattr(signal, "SIGHUP"):
        before[signal.SIGHUP] = signal.signal(signal.SIGHUP, on_hang_up)
    try:
        with interrupts.stopping(stop):
            yield
    finally:
        alarm.cancel()
        for number, handler in before.items():
            signal.signal(number, handler)


class _Alarm:
    """A call after some time even if the loop is stuck: by SIGALRM, or else by a thread.

    :param ring: is called once, by SIGALRM's handler or by the thread.
    """

    def __init__(self, ring: Callable[[], None]) -> None:
        self._ring = ring
        self._due_s = 0.0
        self._timer: threading.Timer | None = None

    def listen(self) -> dict[int, Any]:
        """Take SIGALRM from now on, if this system has it; return its previous handler."""
        if sys.platform != "win32" and hasattr(signal, "setitimer"):
            return {signal.SIGALRM: signal.signal(signal.SIGALRM, self._look)}
        return {}

    def set(self, after_s: float) -> None:
        """Ring after this time. Call it once."""
        self._due_s = time.monotonic() + after_s
        if sys.platform != "win32" and hasattr(signal, "setitimer"):
            # A first time of 0 would mean never.
            signal.setitimer(signal.ITIMER_REAL, min(max(after_s, 0.001), _BEAT_S), _BEAT_S)
        else:
            # A lock waits for no longer than that: a month on Windows.
            self._timer = threading.Timer(min(after_s, threading.TIMEOUT_MAX), self._ring)
            self._timer.daemon = True
            self._timer.start()

    def cancel(self) -> None:
        """Cancel it, if it has not rung. Idempotent."""
        if sys.platform != "win32" and hasattr(signal, "setitimer"):
            signal.setitimer(signal.ITIMER_REAL, 0)
        if self._timer is not None:
            self._timer.cancel()

    def _look(self, *_: Any) -> None:
        if time.monotonic() >= self._due_s:
            self._ring()


def _has_terminal() -> bool:
    """Tell whether this process has a controlling terminal."""
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | getattr(os, "O_NOCTTY", 0)))
    except OSError:
        return False
    return True
