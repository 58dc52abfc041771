"""Look how late the event loop is: how long something that is due has to wait for its turn."""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import NoReturn

import trio


class LagWatch:
    """Looks at the loop at an interval; a look is as late as any task would be that was due then.

    A poller that waits in Trio's place looks when it wakes up anyway, if that is near enough;
    elsewhere `run` sleeps from look to look.

    :param interval_s: seconds from look to look.
    :param observe: is given how late each look was, in seconds.
    :param rests: if true, looks cease after an interval in which nothing was done, until there is
        something again: an idle process is not woken up to find that it is idle.
    :param on_work: is called at each look before which there was something to do, and when looks
        begin again: at once for the first thing that is done, and while there is more.
    :ivar next_s: when the next look is due, by Trio's clock; infinity while it rests.
    """

    def __init__(
        self,
        interval_s: float,
        observe: Callable[[float], None],
        *,
        rests: bool = False,
        on_work: Callable[[], None] = lambda: None,
    ) -> None:
        self.next_s: float = -inf
        self._interval_s = interval_s
        self._observe = observe
        self._rests = rests
        self._on_work = on_work
        self._was_busy = True

    async def run(self) -> NoReturn:
        """Look again and again, until cancelled."""
        while True:
            due_s = trio.current_time() + self._interval_s
            await trio.sleep_until(due_s)
            self._observe(max(trio.current_time() - due_s, 0.0))
            self._on_work()  # Here it is not known.

    def note_work(self, now_s: float) -> None:
        """Note that there is something to do; called by who looks while it is awake anyway."""
        self._was_busy = True
        if self.next_s == inf:
            self.next_s = now_s + self._interval_s
            self._on_work()

    def look(self, now_s: float, due_s: float) -> None:
        """Look, if a look is due, or will be soon: whoever was due at `due_s` has its turn now."""
        if due_s < self.next_s - self._interval_s / 2:
            return
        if self.next_s > -inf:
            self._observe(max(now_s - due_s, 0.0))
        self.next_s = now_s + self._interval_s
        if self._was_busy:
            self._was_busy = False
            self._on_work()
        elif self._rests:
            self.next_s = inf
