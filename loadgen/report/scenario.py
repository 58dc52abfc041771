"""Report users, steps, checks, streams and counters, which only scenarios have."""

from __future__ import annotations

import msgspec

from loadgen.results.latency import Recorder, Summary
from loadgen.results.scenario import ScenarioBooks


class UsersReport(msgspec.Struct, frozen=True, kw_only=True):
    """The counts of users; null in runs without a scenario.

    :ivar requested: with ``--arrive``, those that fell due.
    :ivar not_started: users whose turn did not come: the run had ended, or the limit of users was
        at work.
    :ivar failed_by: by cause, such as ``LostReply at chat.py:12``; the most frequent first.
    :ivar tracebacks: one for each cause.
    """

    requested: int
    finished: int
    failed: int
    interrupted: int
    not_started: int
    failed_by: dict[str, int]
    tracebacks: dict[str, str]


class StepReport(msgspec.Struct, frozen=True, kw_only=True):
    """The calls that a script has given one name: `count = ok + failed + lost + in_flight`.

    :ivar kind: ``request``, ``send``, ``publish`` or ``expect``.
    :ivar intended: from when it was due; null where nothing was due at a time. For messages that
        need no reply it ends when they were handed to the socket.
    :ivar service: from when it was handed to the socket to its reply.
    """

    name: str
    kind: str
    count: int
    ok: int
    failed: int
    lost: int
    in_flight: int
    intended: Summary | None
    service: Summary


class CheckReport(msgspec.Struct, frozen=True, kw_only=True):
    """The counts of a script's check: how often it has passed, and failed."""

    name: str
    passed: int
    failed: int


class StreamReport(msgspec.Struct, frozen=True, kw_only=True):
    """The counts of frames that came to the streams of one name.

    :ivar gaps: frames that are missing, by the numbers of those that came.
    :ivar age: from when the server says that it sent a frame, by its clock.
    """

    name: str
    received: int
    gaps: int
    reordered: int
    duplicate: int
    age: Summary


def report_users(books: ScenarioBooks | None) -> UsersReport | None:
    """Report the users; None for a run without a scenario."""
    if books is None:
        return None
    users = books.users
    return UsersReport(
        requested=users.requested,
        finished=users.finished,
        failed=users.failed,
        interrupted=users.interrupted,
        not_started=users.not_started,
        failed_by=dict(users.failed_by.most_common()),
        tracebacks={cause: users.tracebacks[cause] for cause, _ in users.failed_by.most_common()},
    )


def report_steps(books: ScenarioBooks | None) -> list[StepReport]:
    """Report each step, in the order in which they were first taken."""
    if books is None:
        return []
    return [
        StepReport(
            name=name,
            kind=kind,
            count=step.count,
            ok=step.ok,
            failed=step.failed,
            lost=step.lost,
            in_flight=step.in_flight,
            intended=_summary_if_any(step.intended),
            service=step.service.total.summary(),
        )
        for (name, kind), step in books.steps.items()
        if step.count
    ]


def _summary_if_any(recorder: Recorder) -> Summary | None:
    return recorder.total.summary() if recorder.total.count else None


def report_checks(books: ScenarioBooks | None) -> list[CheckReport]:
    """Report each check, in the order in which they were first made."""
    checks = {} if books is None else books.checks
    return [
        CheckReport(name=name, passed=check.passed, failed=check.failed)
        for name, check in checks.items()
    ]


def report_streams(books: ScenarioBooks | None) -> list[StreamReport]:
    """Report the streams, by name."""
    streams = {} if books is None else books.streams
    return [
        StreamReport(
            name=name,
            received=stream.received,
            gaps=stream.gaps,
            reordered=stream.reordered,
            duplicate=stream.duplicate,
            age=stream.age.total.summary(),
        )
        for name, stream in streams.items()
    ]
