"""Give a script its user: a number, a row, random numbers, sockets, and the phases of the run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from random import Random
from typing import TYPE_CHECKING

import trio

from echo_trio import units
from loadgen.scenario.connecting import Connecting
from loadgen.scenario.context import UserContext
from loadgen.scenario.pace import Pace

if TYPE_CHECKING:
    from loadgen.scenario.definition import Scenario


class User:
    """One user: the argument of a scenario.

    :ivar number: from 0, over all processes of the run.
    :ivar scenario: the name of its scenario.
    :ivar step: name and kind of the step that has begun last; ``None`` before the first.
    :ivar is_awaited: true while the load waits for this user.
    """

    __slots__ = (
        "_has_paced", "_is_journey", "_random", "context", "is_awaited", "number", "scenario",
        "step",
    )  # fmt: skip

    def __init__(self, number: int, scenario: Scenario, context: UserContext) -> None:
        self.number: int = number
        self.scenario: str = scenario.name
        self.context: UserContext = context
        self.step: tuple[str, str] | None = None
        self._random: Random | None = None
        self._has_paced = False
        self._is_journey = scenario.is_journey
        self.is_awaited: bool = False

    def __repr__(self) -> str:
        return f"<user {self.number}: {self.scenario}>"

    # -- What it has -----------------------------------------------------------------------

    @property
    def random(self) -> Random:
        """Random numbers of this user's own: from the seed and its number, the same in each run."""
        if self._random is None:
            self._random = Random(f"{self.context.plan.seed}-{self.number}")
        return self._random

    def count(self, name: str, n: int = 1) -> None:
        """Add to a counter of the script's own, which the report shows under this name."""
        self.context.books.count(name, n)

    # -- What it does ----------------------------------------------------------------------

    def connect(
        self,
        url: str = "",
        *,
        headers: Mapping[str, str] | Sequence[tuple[str, str]] = (),
        subprotocols: Sequence[str] = (),
        json: bool = True,
    ) -> Connecting:
        """Open a socket: ``async with user.connect("/ws") as ws``.

        In the open phase at most ``--connect-concurrency`` users are at work at once; later, at
        most that number of handshakes. Leaving the block does the closing handshake, within the
        stop timeout, also when the user is cancelled.

        :param url: relative to the URL of the run; its host has to be the run's.
        :param headers: for the handshake, beside those of the run.
        :param subprotocols: to offer, instead of the run's.
        :param json: decode frames that are JSON; otherwise all are handed out as they came.
        :raises ConnectFailed: if it does not open.
        :raises ValueError: if the URL or a header is malformed, or the host is another one.
        """
        return Connecting(self, url, headers, subprotocols, json=json)

    async def ready(self) -> None:
        """Be ready for the load, and wait until it begins.

        It begins when all users are ready, or have ended.
        """
        self.arrive()
        await self.context.phases.wait_for_load()

    @property
    def in_load(self) -> bool:
        """True while the load lasts: for a closed loop, ``while user.in_load``, after `ready`."""
        phases = self.context.phases
        return phases.began_s is not None and not phases.is_load_over

    def pace(self, rate: str | float) -> Pace:
        """Iterate over the times when calls are due: ``async for due in user.pace("1/s")``.

        This waits for the load to begin, as `ready` does, and ends with it. A user has one pace.

        :param rate: like ``1/s`` or ``30/m``, or a number a second.
        :raises ValueError: if it is none.
        :raises RuntimeError: if this user has a pace already.
        """
        rate_per_s = units.parse_rate(rate) if isinstance(rate, str) else float(rate)
        if not rate_per_s > 0:
            raise ValueError(f"user.pace({rate!r}): a pace is more than 0/s")
        if self._has_paced:
            raise RuntimeError(
                "user.pace is used twice: it lasts from the load's beginning to its end"
            )
        self._has_paced = True
        return Pace(self, rate_per_s)

    async def sleep(self, duration: str | float) -> None:
        """Do nothing for a while.

        :param duration: like ``250ms`` or ``2s``, or in seconds.
        """
        seconds = units.parse_duration(duration) if isinstance(duration, str) else duration
        await trio.sleep(seconds)

    # -- For those who run it --------------------------------------------------------------

    def await_arrival(self) -> None:
        """Let the load wait for this user."""
        self.is_awaited = True

    def arrive(self) -> None:
        """Note that this user is ready for the load, or has ended. Idempotent."""
        if self.is_awaited:
            self.is_awaited = False
            self.context.gate.limiter.release_on_behalf_of(self)
            self.context.phases.settle_user()

    def arrive_with_stream(self) -> None:
        """Be ready for the load when a stream begins, unless a pace is to come. Idempotent."""
        if self.is_awaited and self._is_journey:
            self.arrive()

    async def wait_for_end_or_change(self) -> None:
        """Sleep until the load has ended, or is changed by hand."""
        phases = self.context.phases
        if phases.is_load_over:
            await trio.lowlevel.checkpoint()
            return
        task, key = trio.lowlevel.current_task(), object()
        phases.change_with_load(key, lambda: trio.lowlevel.reschedule(task))

        def abort(_: object) -> trio.lowlevel.Abort:
            phases.forget(key)
            return trio.lowlevel.Abort.SUCCEEDED

        await trio.lowlevel.wait_task_rescheduled(abort)
