"""Describe a run while it runs, for its observers: its phase, its ledger, its seconds."""

from __future__ import annotations

from enum import StrEnum
from typing import Protocol

from loadgen.results.ledger import Ledger
from loadgen.results.result import Result
from loadgen.results.series import Second
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
    """

    plan: Plan
    interrupted: bool

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

    def interrupt(self) -> None:
        """Let it end in good order."""

    async def run(self) -> Result:
        """Run to the end."""
