"""Turns on the loop: what the console may take of the time that it shares with the echo.

A request to the console costs a few hundred microseconds to some milliseconds, for which every
connection of the echo waits. One client can ask a hundred at once, again and again. So requests
stand in line for a turn, and all that has had one pays for the time that it kept the loop: who
comes next waits until the share that is granted has made up for it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Coroutine, Generator
from functools import partial
from types import coroutine
from typing import Any, Final, TypeVar

import trio

#: Taken from the credit when a turn begins, before anybody knows what it will cost: without it, a
#: crowd that arrives together would begin together. About what /api/server takes (0.8 ms).
ADVANCE_S: Final = 0.001
#: A debt of less is not slept for exactly: the clock's own steps are of that size.
MIN_PAUSE_S: Final = 0.0001

_T = TypeVar("_T")


class Turns:
    """Turns at most for a share of the loop's time, first come, first served.

    :param share: of each second, for all turns together.
    :param burst_s: how much of an unused share is kept: a page loads a dozen files at once.
    """

    def __init__(self, share: float, burst_s: float) -> None:
        self._share = share
        self._burst_s = burst_s
        self._credit_s = burst_s
        self._counted_at = -1.0
        self._line = trio.Lock()

    async def take(self) -> Turn:
        """Wait for a turn: until those before have had theirs, and what they owe is made up for."""
        async with self._line:
            while (credit_s := self._replenish()) < 0:
                await trio.sleep(max(-credit_s / self._share, MIN_PAUSE_S))
            self._credit_s -= ADVANCE_S
        return Turn(self.charge, ADVANCE_S)

    def charge(self, seconds: float) -> None:
        """Take this from the credit; negative gives back."""
        self._credit_s -= seconds

    def _replenish(self) -> float:
        now = trio.current_time()
        if self._counted_at >= 0:
            self._credit_s += (now - self._counted_at) * self._share
        self._counted_at = now
        self._credit_s = min(self._credit_s, self._burst_s)
        return self._credit_s


class Turn:
    """One turn; pays for what is run in it, beyond the advance that was taken at its beginning."""

    def __init__(self, charge: Callable[[float], None], advance_s: float) -> None:
        self._charge = charge
        self._advance_s = advance_s

    async def run(self, work: Coroutine[Any, Any, _T]) -> _T:
        """Await this, and pay for the CPU time of each of its steps; not for what it waits."""
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
    """Pass on what a coroutine and Trio say to each other, and measure it in between."""
    step: Callable[[], Any] = partial(work.send, None)
    while True:
        began = time.thread_time()
        try:
            wanted = step()
        except StopIteration as end:
            result: _T = end.value
            return result
        finally:
            pay(time.thread_time() - began)
        try:
            step = partial(work.send, (yield wanted))
        except BaseException as exc:  # noqa: BLE001 - the coroutine is who has to hear of it
            step = partial(work.throw, exc)
