"""Grant turns on the loop: bound the time that the console takes from the echo.

A request to the console costs a few hundred microseconds to some milliseconds, for which every
connection of the echo waits. One client can ask a hundred at once, again and again. So requests
queue for a turn, and each turn is charged for the time that it kept the loop: the next one
waits until the granted share has made up for it.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Coroutine, Generator
from dataclasses import dataclass, field
from functools import partial
from types import coroutine
from typing import Any, Final, TypeVar

import trio

#: The shortest sleep: the clock's own steps are of this size.
MIN_PAUSE_S: Final = 0.0001

_T = TypeVar("_T")


class Turns:
    """Turns that together take at most a share of the loop's time; first come, first served.

    :param share: the part of each second that all turns together may take.
    :param burst_s: the unused share that is kept at most: the longest work at one go.
    :param advance_s: taken from the credit when a turn begins, before anybody knows what it will
        cost. Without this, a crowd that arrives together would begin together.
    """

    def __init__(self, share: float, *, burst_s: float, advance_s: float) -> None:
        self._share = share
        self._burst_s = burst_s
        self._advance_s = advance_s
        self._credit_s = burst_s
        self._counted_at = -1.0
        self._line: deque[_Waiter] = deque()

    async def take(self) -> Turn:
        """Wait for a turn: until earlier ones are over, and their time is paid for.

        Cancelled: the place in line, or the advance, is given back.
        """
        if self._line or self._replenish() < 0:
            await self._stand_in_line()
        else:
            self._credit_s -= self._advance_s
        return Turn(self.charge, self._advance_s)

    async def _stand_in_line(self) -> None:
        """Wait behind the others; the first in line watches the clock, and lets others in, too."""
        waiter = _Waiter()
        self._line.append(waiter)
        try:
            if self._line[0] is not waiter:
                await waiter.news.wait()
            if not waiter.admitted:
                while (credit_s := self._replenish()) < 0:
                    await trio.sleep(max(-credit_s / self._share, MIN_PAUSE_S))
                while self._line and self._credit_s >= 0:
                    self._admit(self._line.popleft())
        except BaseException:
            if waiter.admitted:
                self._credit_s += self._advance_s
            else:
                self._line.remove(waiter)
            raise
        finally:
            if self._line:
                self._line[0].news.set()

    def _admit(self, waiter: _Waiter) -> None:
        waiter.admitted = True
        waiter.news.set()
        self._credit_s -= self._advance_s

    def charge(self, seconds: float) -> None:
        """Take seconds from the credit; a negative number gives back."""
        self._credit_s -= seconds

    def _replenish(self) -> float:
        now = trio.current_time()
        if self._counted_at >= 0:
            self._credit_s += (now - self._counted_at) * self._share
        self._counted_at = now
        self._credit_s = min(self._credit_s, self._burst_s)
        return self._credit_s


@dataclass(slots=True, eq=False)
class _Waiter:
    """A place in line; has news when it is admitted, or becomes the first."""

    news: trio.Event = field(default_factory=trio.Event)
    admitted: bool = False


class Turn:
    """One turn, charged for the code that is run in it, beyond the advance at its beginning."""

    def __init__(self, charge: Callable[[float], None], advance_s: float) -> None:
        self._charge = charge
        self._advance_s = advance_s

    async def run(self, work: Coroutine[Any, Any, _T]) -> _T:
        """Await a coroutine; charge the time for which its steps keep the loop, not its waits."""
        try:
            return await _metered(work, self._pay)
        finally:
            self._charge(-self._advance_s)
            self._advance_s = 0.0

    def _pay(self, seconds: float) -> None:
        covered = min(seconds, self._advance_s)
        self._advance_s -= covered
        self._charge(seconds - covered)


@coroutine
def _metered(
    work: Coroutine[Any, Any, _T], pay: Callable[[float], None]
) -> Generator[Any, Any, _T]:
    """Pass on what a coroutine and Trio say to each other, and measure the steps in between."""
    step: Callable[[], Any] = partial(work.send, None)
    while True:
        # Not the thread's CPU time: asking for that is a system call, of a millisecond in some
        # sandboxes; and a step that was preempted has kept the others waiting all the same.
        began = time.perf_counter()
        try:
            wanted = step()
        except StopIteration as end:
            result: _T = end.value
            return result
        finally:
            pay(time.perf_counter() - began)
        try:
            step = partial(work.send, (yield wanted))
        except BaseException as exc:  # noqa: BLE001 - raised in the coroutine, which handles it
            step = partial(work.throw, exc)
