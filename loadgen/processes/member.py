"""Keep what is known of one shard of a run: its last record, its clock, how it ended."""

from __future__ import annotations

import dataclasses
import platform
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

import trio

from loadgen.engine.running import Phase
from loadgen.processes.messages import Link
from loadgen.results import record
from loadgen.results.latency import Histogram
from loadgen.results.ledger import Ledger
from loadgen.results.record import Record
from loadgen.results.result import GeneratorFacts, Result, Strain
from loadgen.results.scenario import ScenarioBooks
from loadgen.results.series import Second
from loadgen.workload.misbehaviour import Kind
from loadgen.workload.plan import Plan

DIED: Final = "its process of the load generator died"


@dataclass(eq=False)
class Member:
    """A shard, as far as the coordinator knows it.

    :ivar ledger: the last one it reported.
    :ivar ahead_s: its clock minus ours.
    :ivar fastest_s: the shortest round trip of a question about its clock.
    :ivar clock_answers: the number of answers about its clock.
    :ivar waiting: the phase that it waits to begin.
    :ivar has_begun: true once it has been sent its plan.
    :ivar record: the last record it sent; ``None`` before the first.
    :ivar is_over: true once it has finished, refused or died.
    :ivar silent_s: the seconds since its last message.
    :ivar death: how it died and what that cost, in one line; ``None`` if it has not.
    :ivar died_interrupted: whether the run was to end by then.
    """

    plan: Plan
    link: Link
    ledger: Ledger = field(init=False)
    apart: dict[Kind, Ledger] = field(init=False)
    ahead_s: float = 0.0
    fastest_s: float = float("inf")
    clock_answers: int = 0
    waiting: Phase | None = None
    has_begun: bool = False
    record: Record | None = None
    series: list[Second] = field(default_factory=list)
    is_over: bool = False
    silent_s: int = 0
    death: str | None = None
    died_interrupted: bool = False

    def __post_init__(self) -> None:
        conns, apart = self.plan.conns()
        # Users of a scenario open as many sockets as they like.
        self.ledger = Ledger(len(conns) if self.plan.scenario is None else 0)
        self.apart = {kind: Ledger(len(conns)) for kind, conns in apart.items()}

    def note(self, noted: Record) -> None:
        """Take in a record of what it has measured."""
        self.record = noted
        self.series += noted.seconds
        self.ledger = record.load_ledger(noted.ledger)
        self.apart = {kind: record.load_ledger(books) for kind, books in noted.apart.items()}

    @property
    def users_left(self) -> int:
        """The number of users of whom it is not known how they ended."""
        if self.plan.scenario is None:
            return 0
        if self.record is None or self.record.scenario is None:
            return self.plan.count_own_users()
        users = self.record.scenario.users
        return users.requested - (
            users.finished + users.failed + users.interrupted + users.not_started
        )

    def result(self, started_at: datetime) -> Result:
        """Make the result of its part, as far as it is known."""
        if self.record is not None:
            result = record.restore(self.record, self.plan, started_at, self.series)
            result = dataclasses.replace(result, ledger=self.ledger, apart=self.apart)
        else:
            result = nothing_measured(self.plan, started_at, self.ledger, self.series, self.apart)
        if result.scenario is not None and self.death is not None:
            result.scenario.write_off(DIED, interrupted=self.died_interrupted)
        return result


def nothing_measured(
    plan: Plan,
    started_at: datetime,
    ledger: Ledger,
    series: list[Second],
    apart: dict[Kind, Ledger],
) -> Result:
    """Make the result of a shard that has reported nothing."""
    return Result(
        plan=plan,
        started_at=started_at,
        ended_at=datetime.now(UTC),
        interrupted=False,
        ledger=ledger,
        all_open_after_s=None,
        load_s=0.0,
        connect=Histogram(),
        intended=Histogram(),
        service=Histogram(),
        scheduling_lag=Histogram(),
        loop_lag=Histogram(),
        generator=GeneratorFacts(
            processes=1,
            cpu_s=0.0,
            cpu_share=0.0,
            cpu_shares=[0.0],
            peak_rss_bytes=0,
            python=platform.python_version(),
            trio=trio.__version__,
        ),
        load_strain=Strain(),
        series=series,
        apart=apart,
        scenario=None if plan.scenario is None else ScenarioBooks.of_users(plan.count_own_users()),
    )


def write_obituary(how: str, when_s: float, orphans: int, opening: int, unanswered: int) -> str:
    """Say in one line what a shard's death has cost."""
    left = [
        f"{count:,} {what}"
        for count, what in (
            (orphans, "open sockets"),
            (opening, "sockets not yet open"),
            (unanswered, "unanswered messages"),
        )
        if count
    ]
    cost = f": {_join(left)} went with it" if left else ""
    return (
        f"a process of the load generator died after {when_s:,.0f} s ({how}){cost}, which is "
        "not the target's fault; what it did in its last second is unknown"
    )


def _join(parts: list[str]) -> str:
    *most, last = parts
    return f"{', '.join(most)} and {last}" if most else last
