"""Count users, steps, checks and streams of runs whose users are a script's code.

The ledger counts sockets, messages and frames as in every run. These books count the same messages
by the names that the script gives them, and what only such runs have.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Final

import msgspec

from loadgen.results.latency import Histogram, HistogramState, Recorder
from loadgen.results.ledger import Unbalanced

#: Names made for each message would fill the memory and make the report unreadable.
MAX_NAMES: Final = 1000
#: The number of causes of failed users that are distinguished.
MAX_CAUSES: Final = 100
OTHER_CAUSES: Final = "other causes"


class TooManyNames(ValueError):
    """A scenario makes up names for its steps, checks, streams or counters as it goes."""

    def __init__(self, what: str) -> None:
        super().__init__(f"a scenario may have {MAX_NAMES:,} {what}: names are not for data")


@dataclass(slots=True)
class UserBooks:
    """The counts of users: each is in exactly one column.

    :ivar requested: the users planned; with arrivals, those that fell due.
    :ivar not_started: users whose turn did not come: the run had ended, or, with arrivals, the
        limit of users was at work.
    :ivar failed_by: failed users by cause, such as ``LostReply at chat.py:12``.
    :ivar tracebacks: of the first user of each cause.
    """

    requested: int = 0
    finished: int = 0
    failed: int = 0
    interrupted: int = 0
    not_started: int = 0
    failed_by: Counter[str] = field(default_factory=Counter)
    tracebacks: dict[str, str] = field(default_factory=dict)

    def fail(self, cause: str, traceback: str) -> None:
        """Book a user that raised an exception."""
        self.failed += 1
        if cause not in self.failed_by and len(self.failed_by) >= MAX_CAUSES:
            cause = OTHER_CAUSES
        self.failed_by[cause] += 1
        self.tracebacks.setdefault(cause, traceback)

    @property
    def settled(self) -> int:
        """The number of users whose column is known."""
        return self.finished + self.failed + self.interrupted + self.not_started

    def merge(self, other: UserBooks) -> None:
        """Add the users of another part of the same run."""
        self.requested += other.requested
        self.finished += other.finished
        self.failed += other.failed
        self.interrupted += other.interrupted
        self.not_started += other.not_started
        self.failed_by.update(other.failed_by)
        self.tracebacks = {**other.tracebacks, **self.tracebacks}


@dataclass(slots=True)
class StepBooks:
    """The counts of the calls that have one name.

    :ivar kind: the call: ``request``, ``send``, ``publish`` or ``expect``.
    :ivar count: calls; each is `ok`, `failed` (it raised an exception), `lost` (what it awaits
        never came) or `in_flight` (the run was interrupted).
    :ivar intended: from when it was due, in microseconds; of calls that were due at a time.
    :ivar service: from when it was handed to the socket, or from when an `expect` began.
    :ivar undue: the part of `service` of requests that were not due at a time, as it was recorded
        since the last second.
    :ivar longest_lag_us: the longest time from when a reply was read to when the user's code went
        on.
    :ivar blocked: turns in which the user's code blocked everybody before this call, or, where none
        came, after it; from the load on.
    :ivar blocked_us: how long that was in all.
    :ivar blocked_early: the same before the load began.
    :ivar blocked_early_us: how long that was in all.
    """

    kind: str
    count: int = 0
    ok: int = 0
    failed: int = 0
    lost: int = 0
    in_flight: int = 0
    intended: Recorder = field(default_factory=Recorder)
    service: Recorder = field(default_factory=Recorder)
    undue: list[int] = field(default_factory=list)
    longest_lag_us: int = 0
    blocked: int = 0
    blocked_us: int = 0
    blocked_early: int = 0
    blocked_early_us: int = 0

    @property
    def open(self) -> int:
        """The number of calls that have not ended."""
        return self.count - self.ok - self.failed - self.lost - self.in_flight

    def merge(self, other: StepBooks) -> None:
        """Add the calls of another part of the same run."""
        for name in _ADDED_COUNTS:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.longest_lag_us = max(self.longest_lag_us, other.longest_lag_us)
        for name in ("intended", "service"):
            getattr(self, name).total.merge(getattr(other, name).total)


@dataclass(slots=True)
class CheckBooks:
    """The counts of a check: how often it has passed and failed."""

    passed: int = 0
    failed: int = 0


@dataclass(slots=True)
class StreamBooks:
    """Count what came to the streams of one name.

    :ivar gaps: frames that are missing, by the numbers of those that came.
    :ivar reordered: frames that came after one with a higher number; they are no gap.
    :ivar duplicate: frames with a number that had come before.
    :ivar age: from when the server says that it sent a frame, by its clock, to when it was read.
    """

    received: int = 0
    gaps: int = 0
    reordered: int = 0
    duplicate: int = 0
    age: Recorder = field(default_factory=Recorder)

    def merge(self, other: StreamBooks) -> None:
        """Add the frames of another part of the same run."""
        for name in ("received", "gaps", "reordered", "duplicate"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.age.total.merge(other.age.total)


#: A step is found by its name and kind.
StepKey = tuple[str, str]


@dataclass(slots=True)
class ScenarioBooks:
    """Keep all that is counted of a scenario; parts of one run merge into the whole.

    :ivar script_lag: how long a user's code waited for its turn when what it awaited had come.
    :ivar opening_s: the length of the open phase; of several processes', the longest.
    """

    users: UserBooks = field(default_factory=UserBooks)
    steps: dict[StepKey, StepBooks] = field(default_factory=dict)
    checks: dict[str, CheckBooks] = field(default_factory=dict)
    streams: dict[str, StreamBooks] = field(default_factory=dict)
    counters: Counter[str] = field(default_factory=Counter)
    script_lag: Recorder = field(default_factory=Recorder)
    opening_s: float = 0.0

    @classmethod
    def of_users(cls, requested: int) -> ScenarioBooks:
        """Make the books of users of whom nothing is known but that they were to be."""
        return cls(users=UserBooks(requested=requested))

    def step(self, name: str, kind: str) -> StepBooks:
        """Return the books of a step.

        :raises TooManyNames: if there are too many of them.
        """
        if (step := self.steps.get((name, kind))) is None:
            if len(self.steps) >= MAX_NAMES:
                raise TooManyNames("steps")
            step = self.steps[name, kind] = StepBooks(kind)
        return step

    def check(self, name: str, passed: bool) -> None:
        """Count a check.

        :raises TooManyNames: if there are too many of them.
        """
        if (check := self.checks.get(name)) is None:
            if len(self.checks) >= MAX_NAMES:
                raise TooManyNames("checks")
            check = self.checks[name] = CheckBooks()
        if passed:
            check.passed += 1
        else:
            check.failed += 1

    def stream(self, name: str) -> StreamBooks:
        """Return the books of the streams of a name.

        :raises TooManyNames: if there are too many of them.
        """
        if (stream := self.streams.get(name)) is None:
            if len(self.streams) >= MAX_NAMES:
                raise TooManyNames("streams")
            stream = self.streams[name] = StreamBooks()
        return stream

    def count(self, name: str, n: int) -> None:
        """Add to a counter.

        :raises TooManyNames: if there are too many of them.
        """
        if name not in self.counters and len(self.counters) >= MAX_NAMES:
            raise TooManyNames("counters")
        self.counters[name] += n

    def end_second(self, service: Recorder, intended: Recorder) -> None:
        """Sort what was recorded since the last time into the histograms.

        A reply to a request with a name is recorded once, in the books of its step; so are two of
        the four records that each would need.

        :param service: of the whole run; gets the replies to requests with names.
        :param intended: the same, since they were due.
        """
        for step in self.steps.values():
            due, since_due = step.service.end_second(), step.intended.end_second()
            undue = Histogram.of_values(step.undue)
            step.undue.clear()
            step.service.total.merge(undue)
            if step.kind == "request":
                for part in (due, undue):
                    service.total.merge(part)  # Nobody asks for its seconds.
                for part in (since_due, undue):
                    intended.add(part)
        for recorder in (self.script_lag, *(stream.age for stream in self.streams.values())):
            recorder.end_second()

    def begin_load(self, opening_s: float) -> None:
        """Begin anew to measure how late the script is, and whom it holds up.

        While sockets open, the loop is late: that makes no message of the load late.

        :param opening_s: how long the open phase took.
        """
        self.opening_s = opening_s
        self.script_lag = Recorder()
        for step in self.steps.values():
            step.longest_lag_us = 0
            step.blocked_early, step.blocked_early_us = step.blocked, step.blocked_us
            step.blocked = step.blocked_us = 0

    def settle(self, *, interrupted: bool) -> None:
        """Put calls that will never end where they belong, at the end."""
        for step in self.steps.values():
            if interrupted:
                step.in_flight += step.open
            else:
                step.lost += step.open
        self.users.not_started += self.users.requested - self.users.settled

    def write_off(self, why: str, *, interrupted: bool) -> None:
        """Settle what a process has left that died.

        :param why: users failed that were at work; unless the run was to end anyway.
        """
        users = self.users
        left = users.requested - users.settled
        if interrupted:
            users.interrupted += left
        elif left:
            users.failed += left
            users.failed_by[why] += left
            users.tracebacks.setdefault(why, "")
        self.settle(interrupted=interrupted)

    def check_identities(self) -> None:
        """Assert the contract's identity of users, at the end.

        :raises Unbalanced: if it doesn't hold.
        """
        users = self.users
        if users.requested != users.settled or users.failed != users.failed_by.total():
            raise Unbalanced(
                "users requested = finished + failed + interrupted + not started doesn't hold: "
                f"{users}"
            )
        for (name, kind), step in self.steps.items():
            if step.open:
                raise Unbalanced(f"{kind} {name}: {step.open} of {step.count} calls are nowhere")

    def merge(self, other: ScenarioBooks) -> None:
        """Add the books of another part of the same run: of another shard."""
        self.users.merge(other.users)
        for (name, kind), step in other.steps.items():
            self.steps.setdefault((name, kind), StepBooks(kind)).merge(step)
        for name, check in other.checks.items():
            own = self.checks.setdefault(name, CheckBooks())
            own.passed += check.passed
            own.failed += check.failed
        for name, stream in other.streams.items():
            self.streams.setdefault(name, StreamBooks()).merge(stream)
        self.counters.update(other.counters)
        self.script_lag.total.merge(other.script_lag.total)
        self.opening_s = max(self.opening_s, other.opening_s)


# -- Written down ---------------------------------------------------------------------------


class UserState(msgspec.Struct, frozen=True, kw_only=True):
    """Users as they can be written down."""

    requested: int
    finished: int
    failed: int
    interrupted: int
    not_started: int
    failed_by: dict[str, int]
    tracebacks: dict[str, str]


class StepState(msgspec.Struct, frozen=True, kw_only=True):
    """A step as it can be written down."""

    name: str
    kind: str
    counts: dict[str, int]
    histograms: dict[str, HistogramState]


class StreamState(msgspec.Struct, frozen=True, kw_only=True):
    """A stream as it can be written down."""

    counts: dict[str, int]
    age: HistogramState


class ScenarioState(msgspec.Struct, frozen=True, kw_only=True):
    """The books as they can be written down: in a journal, or sent from one process to another."""

    users: UserState
    steps: list[StepState]
    checks: dict[str, tuple[int, int]]
    streams: dict[str, StreamState]
    counters: dict[str, int]
    script_lag: HistogramState
    opening_s: float = 0.0


_ADDED_COUNTS: Final = (
    "count", "ok", "failed", "lost", "in_flight", "blocked", "blocked_us", "blocked_early",
    "blocked_early_us",
)  # fmt: skip
_STEP_COUNTS: Final = (*_ADDED_COUNTS, "longest_lag_us")
STEP_HISTOGRAMS: Final = ("intended", "service")
_STREAM_COUNTS: Final = ("received", "gaps", "reordered", "duplicate")


def dump_scenario(books: ScenarioBooks) -> ScenarioState:
    """Write books down, up to the last second."""
    users = books.users
    return ScenarioState(
        users=UserState(
            requested=users.requested,
            finished=users.finished,
            failed=users.failed,
            interrupted=users.interrupted,
            not_started=users.not_started,
            failed_by=dict(users.failed_by),
            tracebacks=dict(users.tracebacks),
        ),
        steps=[
            StepState(
                name=name,
                kind=kind,
                counts={each: getattr(step, each) for each in _STEP_COUNTS},
                histograms={each: getattr(step, each).total.state for each in STEP_HISTOGRAMS},
            )
            for (name, kind), step in books.steps.items()
        ],
        checks={name: (check.passed, check.failed) for name, check in books.checks.items()},
        streams={
            name: StreamState(
                counts={each: getattr(stream, each) for each in _STREAM_COUNTS},
                age=stream.age.total.state,
            )
            for name, stream in books.streams.items()
        },
        counters=dict(books.counters),
        script_lag=books.script_lag.total.state,
        opening_s=books.opening_s,
    )


def load_scenario(state: ScenarioState) -> ScenarioBooks:
    """Return the books that were written down."""
    users = state.users
    books = ScenarioBooks(
        users=UserBooks(
            requested=users.requested,
            finished=users.finished,
            failed=users.failed,
            interrupted=users.interrupted,
            not_started=users.not_started,
            failed_by=Counter(users.failed_by),
            tracebacks=dict(users.tracebacks),
        ),
        checks={name: CheckBooks(*counts) for name, counts in state.checks.items()},
        counters=Counter(state.counters),
        opening_s=state.opening_s,
    )
    books.script_lag.total = Histogram.of(state.script_lag)
    for kept in state.steps:
        step = books.steps[kept.name, kept.kind] = StepBooks(kept.kind)
        for each in _STEP_COUNTS:
            setattr(step, each, kept.counts.get(each, 0))
        for each in STEP_HISTOGRAMS:
            getattr(step, each).total = Histogram.of(kept.histograms[each])
    for name, came in state.streams.items():
        stream = books.streams[name] = StreamBooks()
        for each in _STREAM_COUNTS:
            setattr(stream, each, came.counts.get(each, 0))
        stream.age.total = Histogram.of(came.age)
    return books
