"""Keep what a run has measured so far on disk, so that it outlives a generator that is killed.

Newline-delimited JSON: a head, and once a second a record of everything but the series, which is
spread over the records. A record that was being written when the process died is half a line, and
left out when the file is read. When the file has become long it is replaced, in one step, by one
with a single record in it. Nothing is synced: a journal is for a dead process, not for a dead
machine.
"""

from __future__ import annotations

import dataclasses
import os
import typing
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import Annotated, Any, Final, NoReturn

import msgspec
import trio
from msgspec import Meta

from loadgen.engine.running import Running
from loadgen.journal.file import JournalFile, Unreadable, is_being_written, read_lines
from loadgen.report import bounds
from loadgen.report.bounds import Malformed
from loadgen.report.build import make_report, plan_as_run
from loadgen.report.model import Incomplete, Report
from loadgen.results import record
from loadgen.results.latency import HistogramState
from loadgen.results.ledger import Ledger
from loadgen.results.record import Record
from loadgen.results.result import Result
from loadgen.results.scenario import STEP_HISTOGRAMS
from loadgen.results.series import Second
from loadgen.workload.plan import Plan

#: A record has up to 100 KB for each histogram, so this is a minute's worth or more.
MAX_BYTES: Final = 8 * 2**20
#: Seconds that are kept of a longer run: the last ones; its sums are complete.
MAX_SECONDS: Final = 10_000

#: The highest bucket that a histogram of times of 64 bits can have.
_MAX_BUCKET: Final = 65_535
#: The largest file that is read: `MAX_BYTES`, the record that goes beyond, and some spare room.
_MAX_READ_BYTES: Final = 4 * MAX_BYTES


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """The facts about a run when it starts."""

    journal: int = 1
    pid: int
    started_at: Annotated[datetime, Meta(tz=True)]
    url: str
    count: Annotated[int, Meta(ge=1, le=10**12)]
    plan: dict[str, Any]


@dataclass
class Journal(JournalFile):
    """The journal of one run, being written."""

    plan: Plan
    _booked: int = 0

    async def keep(self, engine: Running) -> NoReturn:
        """Write a record for each second of the run, until cancelled.

        If a record can't be written, because the disk is full for example, the journal ends, and
        not the run.
        """
        while True:
            await engine.wait_for_second()
            result = engine.result_so_far()
            first = self._booked
            self._booked = len(result.series)
            is_long = self._size_bytes > MAX_BYTES
            seconds = result.series[-MAX_SECONDS:] if is_long else result.series[first:]
            line = _encode(record.make(str(engine.phase), result, seconds))
            # The first head could not know yet how many processes would share the run.
            restarts = is_long or not self.has_records
            write = self._restart if restarts else self._append
            content = _encode(_make_head(result)) + line if restarts else line
            try:
                await trio.to_thread.run_sync(write, content)
            except OSError as exc:
                self.problem = exc.strerror
                await trio.sleep_forever()

    def _make_head(self) -> bytes:
        plan = self.plan
        return _encode(
            Head(
                pid=os.getpid(),
                started_at=datetime.now(UTC),
                url=plan.shown_url,
                count=plan.count,
                plan=plan.settings(),
            )
        )


def _encode(line: Head | Record) -> bytes:
    return msgspec.json.encode(line) + b"\n"


def _make_head(result: Result) -> Head:
    return Head(
        pid=os.getpid(),
        started_at=result.started_at,
        url=result.plan.shown_url,
        count=result.plan.count,
        plan=plan_as_run(result),
    )


# -- Reading --------------------------------------------------------------------------------


def recover(path: Path) -> Report:
    """Make the report of a run whose generator was killed, as far as its journal goes.

    A run that still writes its journal is reported as far as it has come, and said to go on.

    It is marked `interrupted` and `incomplete`: sockets that were open or opening are unaccounted
    for, and said to be.

    :raises Unreadable: if it is no journal, or was begun and has no record.
    """
    goes_on = is_being_written(path)  # asked first: it may end while its journal is read
    head, last, series = _read(path)
    try:
        _check(last)
        restored = record.restore(last, Plan(head.count, head.url), head.started_at, series)
    except (Malformed, msgspec.ValidationError, ValueError) as exc:
        raise Unreadable(f"{path} is damaged: {exc}") from None
    result = dataclasses.replace(restored, interrupted=True)
    ledger = result.ledger
    ledger.settle_unanswered(interrupted=True)
    if result.scenario is not None:
        result.scenario.write_off("", interrupted=True)
    if ledger.due is not None:
        ledger.missed = max(ledger.due - ledger.sent, ledger.missed)
    incomplete = Incomplete(
        phase=last.phase,
        t_s=series[-1].t_s,
        opening=ledger.requested - ledger.settled,
        open=ledger.open,
    )
    return make_report(
        result, incomplete=incomplete, goes_on=goes_on, plan=head.plan | {"url": head.url}
    )


def _read(path: Path) -> tuple[Head, Record, list[Second]]:
    lines = read_lines(path, at_most=_MAX_READ_BYTES)
    try:
        head = bounds.decode(next(lines, b""), Head)
    except Malformed:
        raise Unreadable(f"{path} is no journal of a run") from None
    last, series = None, list[Second]()
    for last in _decode_records(lines):
        series += last.seconds
    if last is None or not series:
        raise Unreadable(f"{path} was begun, but its run died before its first second was over")
    return head, last, series


def _decode_records(lines: Iterator[bytes]) -> Iterator[Record]:
    for line in lines:
        try:
            yield bounds.decode(line, Record)
        except Malformed:
            return  # Half a line: it was being written.


def _check(last: Record) -> None:
    """Check what the types of a record leave open.

    :raises Malformed: if it can't be what a run has measured.
    """
    if last.ended_at.tzinfo is None:
        raise Malformed("its times have no time zone")
    for name in record.HISTOGRAMS:
        histogram = last.histograms.get(name)
        if histogram is None:
            raise Malformed(f"it has no {name} histogram")
        _check_histogram(name, histogram)
    if last.scenario is not None:
        _check_histogram("script lag", last.scenario.script_lag)
        for step in last.scenario.steps:
            for name in STEP_HISTOGRAMS:
                if (histogram := step.histograms.get(name)) is None:
                    raise Malformed(f"a step of it has no {name} histogram")
                _check_histogram(name, histogram)
        for stream in last.scenario.streams.values():
            _check_histogram("age", stream.age)
    for ledger in chain([last.ledger], last.apart.values()):
        _check_ledger(ledger)


def _check_histogram(name: str, histogram: HistogramState) -> None:
    counts = histogram.counts
    if not all(0 <= bucket <= _MAX_BUCKET for bucket in counts) or any(
        count < 0 for count in counts.values()
    ):
        raise Malformed(f"its {name} histogram has buckets that are out of range")
    if sum(counts.values()) > bounds.MAX_NUMBER:
        raise Malformed(f"its {name} histogram has counts that are out of range")


def _check_ledger(dumped: dict[str, Any]) -> None:
    if "requested" not in dumped:
        raise Malformed("its books don't say how many sockets were requested")
    for name, kind in typing.get_type_hints(Ledger).items():
        # Counters are written as pairs, and checked where they are made counters again.
        if name in dumped and typing.get_origin(kind) is not Counter:
            bounds.convert(dumped[name], kind)
