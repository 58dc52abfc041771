"""Hold what all users of a run in one process have in common."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import trio

from loadgen.engine.context import RunContext
from loadgen.engine.gate import Gate
from loadgen.results.fan_out import TakesEvents
from loadgen.results.scenario import ScenarioBooks
from loadgen.scenario.phases import Phases
from loadgen.scenario.timetable import Timetable
from loadgen.scenario.trace import Trace
from loadgen.workload.plan import Plan

if TYPE_CHECKING:
    from loadgen.results.ledger import Ledger
    from loadgen.results.verify import Verdict
    from loadgen.scenario.socket import Socket


def _wall_offset_us() -> int:
    return time.time_ns() // 1000 - time.perf_counter_ns() // 1000


@dataclass(slots=True, eq=False)
class UserContext:
    """The objects that all users of a run in one process have in common.

    :ivar run: the context that sockets need to open.
    :ivar users: the number of users in the whole run.
    :ivar nursery: runs the sockets; it outlives the users.
    :ivar events: takes the events of publishing and copies.
    :ivar trace: prints every frame; ``None`` unless asked for.
    :ivar sockets: the open sockets.
    :ivar opened: the number of sockets that were begun here.
    :ivar wall_offset_us: the wall clock, less the clock of stamps.
    :ivar ledger: the one of `run`; this and the rest are found here because every request asks.
    :ivar verdicts: the columns of received frames.
    :ivar book_service: records a reply's time since its message was sent; of calls without a name.
    :ivar book_intended: records a reply's time since its message was due; of these.
    """

    plan: Plan
    run: RunContext
    books: ScenarioBooks
    phases: Phases
    timetable: Timetable
    gate: Gate
    nursery: trio.Nursery
    users: int
    events: TakesEvents
    trace: Trace | None = None
    sockets: set[Socket] = field(default_factory=set)
    opened: int = 0
    wall_offset_us: int = field(default_factory=_wall_offset_us)
    ledger: Ledger = field(init=False)
    verdicts: Counter[Verdict] = field(init=False)
    book_service: Callable[[int], None] = field(init=False)
    book_intended: Callable[[int], None] = field(init=False)

    def __post_init__(self) -> None:
        books = self.run.books
        self.ledger, self.verdicts = books.ledger, books.ledger.verdicts
        self.book_service, self.book_intended = books.service.record, books.intended.record

    def compare_clocks(self) -> None:
        """Compare the clocks again: the wall clock may have been set."""
        self.wall_offset_us = _wall_offset_us()

    def number_socket(self) -> int:
        """Return a number for another socket that no other has in the whole run."""
        self.opened += 1
        return self.plan.conn(self.opened - 1)


#: Where the checks of the users that are running count.
BOOKS: Final[ContextVar[ScenarioBooks | None]] = ContextVar("BOOKS", default=None)
