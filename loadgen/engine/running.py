"""Describe a run while it runs, for its observers: its phase, its ledger, its seconds."""

from __future__ import annotations

from enum import StrEnum
from typing import Protocol

from loadgen.results.ledger import Ledger
from loadgen.results.result import Result
from loadgen.results.series import Second
from loadgen.workload.lever import Lever, Wanted
from loadgen.workload.plan import Plan


class Phase(StrEnum):
    """The phase of a run."""

    PREFLIGHT = "preflight"
    OPEN = "open"
    LOAD = "load"
    CLOSE = "close"
    DONE = "done"


class Running(Protocol):
    """A run while it runs, as its observers see it: in one process, or in several as one.

    :ivar ledger: the counts up to now.
    :ivar series: the seconds booked so far.
    :ivar lever: the rate of the load, and its changes by hand.
    """

    plan: Plan
    interrupted: bool
    lever: Lever

    @property
    def phase(self) -> Phase:
        """The present phase."""

    @property
    def ledger(self) -> Ledger:
        """The counts up to now."""

    @property
    def series(self) -> list[Second]:
        """The seconds booked so far."""

    @property
    def elapsed_s(self) -> float:
        """Seconds since it began."""

    @property
    def phase_elapsed_s(self) -> float:
        """Seconds since its present phase began."""

    async def wait_for_second(self) -> None:
        """Wait until the next second is booked."""

    def result_so_far(self) -> Result:
        """Return the run up to the last second booked."""

    def steer(self, wanted: Wanted) -> None:
        """Change the load.

        :raises NotLoading: if it is not in its load phase.
        :raises BadChange: if it can't be changed so.
        """

    def interrupt(self) -> None:
        """Let it end in good order."""

    async def run(self) -> Result:
        """Run to the end."""


def find_why_not(running: Running) -> str | None:
    """Say why the load of a run can't be changed at this moment; ``None`` if it can."""
    if running.interrupted:
        return "the run is being stopped"
    match running.phase:
        case Phase.PREFLIGHT | Phase.OPEN:
            return "the load has not begun: its sockets are being opened"
        case Phase.CLOSE | Phase.DONE:
            return "the load is over"
        case _ if running.phase_elapsed_s >= running.plan.load_s:
            return "the load is over"
        case _:
            return None
