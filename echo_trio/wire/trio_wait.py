"""Tell what Trio is about to wait for: all that this package knows of Trio's inner parts.

Trio tells an instrument that it is about to wait, and for how long at most. It does not tell which
descriptor stands for everything that it waits for, nor whether a task has become runnable since or
a deadline was moved, and an instrument can't end the wait. Those are read here, from Trio 0.35
(`pyproject.toml` allows no other). If a Trio looks different inside, `TrioWait.of_this_run` finds
none, and the poller waits through Trio's public functions.
"""

from __future__ import annotations

import select
import sys
from collections.abc import Callable, Sized
from typing import Any, Self

import trio


class TrioWait:
    """The wait of the Trio run around us.

    :ivar descriptor: of an epoll that is readable when Trio has something to do.
    :ivar runnable: the tasks that run when the wait is over; empty if there are none yet.
    :ivar idle_watchers: those who wait until no task is runnable for a while: in tests alone.
    :ivar next_deadline: reads when the next of Trio's deadlines passes.
    :ivar now: reads Trio's clock, in seconds.
    """

    def __init__(self, runner: Any) -> None:
        self._io = runner.io_manager
        self.descriptor: int = self._io._epoll.fileno()  # noqa: SLF001 - see the module's head
        self.runnable: Sized = runner.runq
        self.idle_watchers: Sized = runner.waiting_for_idle
        self.next_deadline: Callable[[], float] = runner.deadlines.next_deadline
        self.now: Callable[[], float] = runner.clock.current_time
        self._readable: Any = None
        if sys.platform != "win32":
            self._readable = select.poll()
            self._readable.register(self.descriptor, select.POLLIN)

    @classmethod
    def of_this_run(cls) -> Self | None:
        """Find the wait of this thread's run; ``None`` if it can't be taken over.

        It can't where Trio is a guest of another loop, which would stand still meanwhile, and where
        its clock is not the system's: an alarm would not know when to ring.
        """
        try:
            from trio._core import _run  # noqa: PLC0415 - see the module's head

            runner: Any = _run.GLOBAL_RUN_CONTEXT.runner
            if runner.is_guest or type(runner.clock) is not _run.SystemClock:
                return None
            wait = cls(runner)
            wait.end()
        except (AttributeError, ImportError):
            return None
        return wait

    def is_over(self) -> bool:
        """Tell whether Trio's descriptor is readable."""
        return bool(self._readable.poll(0))

    def end(self) -> None:
        """Let Trio find its wait over, when it begins it."""
        self._io.force_wakeup()


#: The poller that waits in Trio's place, in each run at most one.
holder: trio.lowlevel.RunVar[object | None] = trio.lowlevel.RunVar("echo_trio.poller", default=None)
