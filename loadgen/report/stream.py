"""Stream the run as it happens, for programs: a snapshot a second as newline-delimited JSON."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NoReturn

import msgspec
import trio

from loadgen.engine.running import Running
from loadgen.report.build import (
    count_claims,
    count_closed,
    count_failed,
    summarize_latency,
)
from loadgen.report.model import ClosedSockets, FailedSockets, LatencyReport, Report
from loadgen.results.ledger import Ledger
from loadgen.results.result import Result
from loadgen.results.scenario import UserBooks
from loadgen.results.series import Second
from loadgen.workload.lever import Change, Lever, Unit


class SocketsNow(msgspec.Struct, frozen=True, kw_only=True):
    """The counts of sockets so far."""

    requested: int
    opened: int
    open: int
    opening: int
    not_attempted: int
    failed: FailedSockets
    closed: ClosedSockets


class MessagesNow(msgspec.Struct, frozen=True, kw_only=True):
    """The counts of messages so far; `awaited` are those whose reply may still come."""

    sent: int
    one_way: int
    published: int
    received: int
    echoed: int
    reordered: int
    corrupt: int
    duplicate: int
    expected: int
    ignored: int
    streamed: int
    copies: int
    unexpected: int
    lost: int
    in_flight: int
    awaited: int


class UsersNow(msgspec.Struct, frozen=True, kw_only=True):
    """The users of a scenario, by what has become of them so far."""

    requested: int
    at_work: int
    finished: int
    failed: int
    interrupted: int
    not_started: int


class LoadNow(msgspec.Struct, frozen=True, kw_only=True):
    """The rate that the load has at present, and its changes by hand; see `lever.Lever`.

    :ivar unit: the plan's setting that can be changed; null if the load can only be paused.
    :ivar planned: its planned rate in this unit, a second; `rate` is the present one, or the one
        after the pause. Both are null without a unit.
    """

    unit: Unit | None
    planned: float | None
    rate: float | None
    factor: float
    paused: bool
    changes: list[Change]


def show_load(lever: Lever) -> LoadNow:
    """Show the present state of a load."""
    return LoadNow(
        unit=lever.unit,
        planned=None if lever.unit is None else lever.planned,
        rate=lever.rate,
        factor=lever.factor,
        paused=lever.is_paused,
        changes=list(lever.changes),
    )


class RunSnapshot(msgspec.Struct, frozen=True, kw_only=True):
    """The run up to the second that has just ended."""

    type: Literal["snapshot"] = "snapshot"
    phase: str
    t_s: float
    connections: SocketsNow
    messages: MessagesNow
    latency: LatencyReport
    second: Second
    users: UsersNow | None = None
    load: LoadNow | None = None


def take_snapshot(phase: str, result: Result, lever: Lever | None = None) -> RunSnapshot:
    """Take a snapshot of a run that has booked at least one second."""
    ledger, second = result.ledger, result.series[-1]
    return RunSnapshot(
        phase=phase,
        t_s=second.t_s,
        connections=SocketsNow(
            requested=ledger.requested,
            opened=ledger.opened,
            open=ledger.open,
            opening=second.opening,
            not_attempted=ledger.not_attempted,
            failed=count_failed(ledger),
            closed=count_closed(ledger),
        ),
        messages=_count_messages(ledger),
        latency=summarize_latency(result),
        second=second,
        users=None if result.scenario is None else _count_users(result.scenario.users),
        load=None if lever is None else show_load(lever),
    )


def _count_users(users: UserBooks) -> UsersNow:
    return UsersNow(
        requested=users.requested,
        at_work=users.requested - users.settled,
        finished=users.finished,
        failed=users.failed,
        interrupted=users.interrupted,
        not_started=users.not_started,
    )


def _count_messages(ledger: Ledger) -> MessagesNow:
    return MessagesNow(
        sent=ledger.sent,
        one_way=ledger.one_way,
        published=ledger.published,
        received=ledger.received,
        lost=ledger.lost,
        in_flight=ledger.in_flight,
        awaited=ledger.awaited,
        **count_claims(ledger),
    )


def encode(line: RunSnapshot | Report) -> bytes:
    """Encode one line of the stream."""
    return msgspec.json.encode(line) + b"\n"


async def stream(engine: Running, write: Callable[[bytes], object]) -> NoReturn:
    """Write a line for each second of the run, until cancelled.

    If the reader has gone, the run is ended in good order: an unattended load must
    not go on against a server.

    :param write: may block; is called in a thread, one call at a time. A reader that is slow misses
        snapshots, and holds up neither the run nor its own latest ones.
    """
    while True:
        await engine.wait_for_second()
        line = encode(take_snapshot(str(engine.phase), engine.result_so_far(), engine.lever))
        try:
            await trio.to_thread.run_sync(write, line)
        except OSError:
            engine.interrupt()
            await trio.sleep_forever()
