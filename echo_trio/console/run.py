"""Follow one load run of the console: its output, the changes of its load, its end."""

from __future__ import annotations

import secrets
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Final, Literal

import msgspec
import trio

from echo_trio.console import kept_runs
from echo_trio.console.event_stream import Emit, event
from echo_trio.console.kept_runs import KeptRun
from echo_trio.console.run_process import RunAccepted, RunProcess, last_line

#: Snapshots of one run that are remembered: an hour.
SNAPSHOTS: Final = 3600
#: Snapshots that are put together for one write, so that a reader holds no second copy of all.
BATCH: Final = 32
#: The time beyond the run's own limit for closing its sockets; then it is killed.
STOP_GRACE_S: Final = 5.0
#: The time for a process's last output to arrive once it has ended: its children may have kept its
#: pipes, so that the end of the stream never comes.
LAST_WORDS_S: Final = 2.0

#: The changes by hand of a run that went as planned, as JSON.
NO_CHANGES: Final = msgspec.Raw(b"[]")

State = Literal["running", "cancelling", "done", "failed"]


def new_id() -> str:
    """Make an id for a run: twelve hexadecimal digits."""
    return secrets.token_hex(6)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


@dataclass(slots=True)
class Answer:
    """The answer of a generator to a change of its load.

    :ivar error: why it can't be changed so; ``None`` if it is.
    :ivar at_fault: the field at fault; ``None`` if the run is not in its load phase.
    """

    error: str | None = None
    at_fault: str | None = None
    has_come: trio.Event = field(default_factory=trio.Event)

    def give(self, error: str | None, at_fault: str | None) -> None:
        """Let it come."""
        self.error, self.at_fault = error, at_fault
        self.has_come.set()


@dataclass(slots=True)
class Run:
    """One run, from its start for as long as it is remembered.

    :ivar folder: where its page is put; ``None`` for a run of an earlier server.
    :ivar error: the reason why there is no report.
    :ivar name: what its owner calls it; empty for no name.
    :ivar kept: its number in the file of the history; ``None`` while it isn't there.
    :ivar read_kept: reads its report from there, in a thread.
    :ivar snapshots: its lines, those of the last hour.
    :ivar series: the part of each snapshot that is about its second.
    :ivar snapshots_seen: the number of snapshots in all.
    :ivar load: the rate of its load after the last change by hand; ``None`` before the first.
    :ivar changes: all of them, as its report has them.
    :ivar changes_seen: the number of changes that were asked for here.
    :ivar answers: those that are awaited of its generator, by number.
    """

    accepted: RunAccepted
    folder: Path | None
    id: str = field(default_factory=new_id)
    state: State = "running"
    started_at: str = field(default_factory=_now)
    ended_at: str | None = None
    exit_code: int | None = None
    verdict: str | None = None
    error: str | None = None
    name: str = ""
    note: str = ""
    kept: int | None = None
    read_kept: Callable[[], bytes | None] | None = None
    report: bytes | None = None
    snapshots: deque[bytes] = field(default_factory=lambda: deque(maxlen=SNAPSHOTS))
    series: deque[msgspec.Raw] = field(default_factory=lambda: deque(maxlen=SNAPSHOTS))
    snapshots_seen: int = 0
    load: msgspec.Raw | None = None
    changes: msgspec.Raw = field(default_factory=lambda: NO_CHANGES)
    changes_seen: int = 0
    answers: dict[int, Answer] = field(default_factory=dict)
    stop: trio.Event = field(default_factory=trio.Event)
    news: trio.Event = field(default_factory=trio.Event)

    @property
    def over(self) -> bool:
        """True once it has ended, with a report or without."""
        return self.state in ("done", "failed")

    @property
    def number(self) -> str | None:
        """The number in the history, by which it is known after a restart."""
        return None if self.kept is None else str(self.kept)

    @property
    def html(self) -> Path | None:
        """The path of its report as a page, if there may be one."""
        return None if self.folder is None else self.folder / f"{self.id}.html"

    def summary(self) -> dict[str, Any]:
        """Summarise the run, as the list of runs shows it."""
        return {
            "id": self.id,
            "state": self.state,
            "plan": self.accepted.plan,
            "started_at": self.started_at,
            "ended_at": self.ended_at,
            "exit_code": self.exit_code,
            "verdict": self.verdict,
            "error": self.error,
            "name": self.name,
            "note": self.note,
            "kept": self.kept,
            "changes": self.changes,
            "page": self.accepted.page,
        }

    def progress(self) -> dict[str, Any]:
        """Summarise the run, with its last snapshot and its series so far."""
        snapshot = msgspec.Raw(self.snapshots[-1]) if self.snapshots else None
        series = list(self.series)
        return {**self.summary(), "snapshot": snapshot, "series": series, "load": self.load}

    async def find_report(self) -> bytes | None:
        """Return its report as JSON, from the file if it is of an earlier server."""
        if self.report is None and self.read_kept is not None:
            return await trio.to_thread.run_sync(self.read_kept)
        return self.report

    def cancel(self) -> None:
        """Ask it to end in good order. Idempotent."""
        if not self.over:
            self.state = "cancelling"
            self.stop.set()

    def take_line(self, line: bytes) -> None:
        """Take one line of its output: a snapshot, or the report."""
        with suppress(msgspec.DecodeError):
            head = msgspec.json.decode(line, type=_Head)
            if head.type == "snapshot":
                self.snapshots.append(line)
                self.series.append(head.second.copy())
                self.snapshots_seen += 1
                self.wake()
            elif head.type == "steered":
                self.load = head.load.copy()
                self.changes = msgspec.json.decode(head.load, type=_Changed).changes.copy()
                if head.id in self.answers:
                    self.answers.pop(head.id).give(head.error, head.field)
                if head.error is None:
                    self.changes_seen += 1
                    self.wake()
            elif head.schema is not None:
                self.report, self.verdict = line, head.verdict
                self.changes = head.changes.copy()

    def close(self) -> None:
        """Note that its process has ended, with a report or without."""
        self.ended_at = _now()
        self.state = "failed" if self.report is None else "done"
        if self.report is not None:
            self.error = None
        elif self.stop.is_set():
            self.error = "cancelled before it could report anything"
        elif not self.error:
            self.error = f"loadgen left no report, and ended with {self.exit_code}"
        for answer in self.answers.values():
            answer.give("the load is over", None)
        self.wake()

    def wake(self) -> None:
        """Tell its readers that there is something new."""
        self.news.set()
        self.news = trio.Event()

    async def follow(self, emit: Emit) -> None:
        """Emit its snapshots, those to come too, then its report, or why there is none.

        Between them, each change of its load.
        """
        seen = changes_seen = 0
        while True:
            news, over = self.news, self.over
            if self.changes_seen != changes_seen and self.load is not None:
                changes_seen = self.changes_seen
                await emit(event("load", bytes(self.load)))
            elif fresh := self.snapshots_seen - seen:
                seen = self.snapshots_seen
                lines = list(self.snapshots)[-fresh:]
                for at in range(0, len(lines), BATCH):
                    batch = lines[at : at + BATCH]
                    await emit(b"".join(event("snapshot", line) for line in batch))
            elif over:
                break
            else:
                await news.wait()
        if (report := await self.find_report()) is not None:
            await emit(event("report", report))
        else:
            await emit(event("failed", msgspec.json.encode({"error": self.error})))


class _Head(msgspec.Struct):
    """The fields by which a snapshot and a report are told apart."""

    type: str | None = None
    second: msgspec.Raw = msgspec.Raw(b"null")
    schema: int | None = None
    verdict: str | None = None
    id: int | None = None
    error: str | None = None
    field: str | None = None
    load: msgspec.Raw = msgspec.Raw(b"{}")
    changes: msgspec.Raw = NO_CHANGES


class _Changed(msgspec.Struct):
    """The changes of a load by hand, so far."""

    changes: msgspec.Raw = NO_CHANGES


def run_of_history(path: Path, found: KeptRun) -> Run:
    """Make a run of an earlier server, whose history is at `path`."""
    return Run(
        RunAccepted(found.plan, "", stop_timeout_s=0.0, page=False),
        None,
        str(found.id),
        state="done",
        started_at=found.started_at,
        ended_at=found.ended_at,
        exit_code=found.exit_code,
        verdict=found.verdict,
        name=found.name,
        note=found.note,
        kept=found.id,
        changes=msgspec.Raw(found.changes.encode()),
        read_kept=partial(kept_runs.read_report, path, found.id),
    )


async def conduct(run: Run, process: RunProcess) -> None:
    """Await the process's end, however it comes. Cancelled: end the process."""
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_stop_when_asked, run, process)
            async with trio.open_nursery() as listening:
                listening.start_soon(_take_lines, run, process)
                listening.start_soon(process.read_complaint)
                await process.wait()
                listening.cancel_scope.deadline = trio.current_time() + LAST_WORDS_S
            nursery.cancel_scope.cancel()
    finally:
        await process.see_off()
        run.exit_code = process.exit_code
        run.error = last_line(process.complaint)


async def _take_lines(run: Run, process: RunProcess) -> None:
    async for line in process.lines:
        run.take_line(line)


async def _stop_when_asked(run: Run, process: RunProcess) -> None:
    await run.stop.wait()
    process.interrupt()
    await trio.sleep(run.accepted.stop_timeout_s + STOP_GRACE_S)
    process.kill()
