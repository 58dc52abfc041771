"""SIGINT and SIGTERM: the first drains, a second one ends the process at once, and so does time.

SIGHUP has two meanings. A process without a terminal is told to read its files again. One whose
terminal has gone away is told that nobody watches it any more, and drains; it may be told so twice,
by its shell and by the kernel, so this is never the second signal that ends at once.

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


def outlive_hang_ups() -> None:
    """Let no SIGHUP end the process, neither before `stopping` takes it nor after.

    By a handler that does nothing: to be ignored is inherited by what is started from here.
    """
    if signal.getsignal(signal.SIGHUP) == signal.SIG_DFL:
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

    SIGHUP as well if the process had a terminal and has it no more, unless it was ignored before:
    so `nohup` asks for it.

    :param drain: is called in Trio, once, with the name of the first signal and how many seconds
        ago that came: the loop may have been busy.
    :param reload: is called in Trio at a SIGHUP that is no request to stop.
    :param give_up: is called with why, as the last thing before the process exits with 1: at a
        second signal, or when it is still there so long after the first. Whatever is going on is
        interrupted for it, so it must not wait for anything.
    :param budget_s: how long that is.
    """
    token = trio.lowlevel.current_trio_token()
    draining = False
    leaves_with_terminal = signal.getsignal(signal.SIGHUP) != signal.SIG_IGN and _has_terminal()

    def on_hang_up(number: int, frame: Any) -> None:
        if draining:
            return
        if leaves_with_terminal and not _has_terminal():
            on_signal(number, frame)
        else:
            token.run_sync_soon(reload)

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
    before[signal.SIGHUP] = signal.signal(signal.SIGHUP, on_hang_up)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in before.items():
            signal.signal(number, handler)


def _has_terminal() -> bool:
    """Does this process have a controlling terminal?"""
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY))
    except OSError:
        return False
    return True
