"""Run the load runs that the console starts: each a child process, with a task that awaits its end.

One at a time: two would measure each other. The output of the last few runs is kept.
"""

from __future__ import annotations

import itertools
import re
import secrets
import shutil
import tempfile
from collections import deque
from collections.abc import Callable, Iterator
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
from echo_trio.console.run_process import NoAnswer, RunAccepted, RunProcess, RunRefused, last_line
from echo_trio.console.run_settings import BadSettings, RunSettings
from echo_trio.console.run_target import Targets
from echo_trio.console.trends import NoTrends, TrendReader
from echo_trio.console.turns import Turns
from echo_trio.run_history import NotAHistory

#: Runs that are remembered.
HISTORY: Final = 20
#: Snapshots of one run that are remembered: an hour.
SNAPSHOTS: Final = 3600
#: Snapshots that are put together for one write, so that a reader holds no second copy of all.
BATCH: Final = 32
#: The time beyond the run's own limit for closing its sockets; then it is killed.
STOP_GRACE_S: Final = 5.0
#: The time for a process's last output to arrive once it has ended: its children may have kept its
#: pipes, so that the end of the stream never comes.
LAST_WORDS_S: Final = 2.0
#: The time for a generator to answer that its load has changed. It takes milliseconds, unless the
#: machine stands still.
ANSWER_TIMEOUT_S: Final = 10.0
#: Requests that may wait while a generator checks another's settings: each holds a connection.
MAX_WAITING: Final = 4
#: The share of time for generators that refuse their settings: each is half a second of CPU, which
#: anybody can ask for again and again.
CHECKS_SHARE: Final = 0.5
CHECKS_BURST_S: Final = 2.0

#: A number in the history, which SQLite can hold.
_KEPT_NUMBER: Final = re.compile("[1-9][0-9]{0,17}")

State = Literal["running", "cancelling", "done", "failed"]


#: The changes by hand of a run that went as planned, as JSON.
NO_CHANGES: Final = msgspec.Raw(b"[]")


def _new_id() -> str:
    return secrets.token_hex(6)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


class CannotRun(Exception):
    """The reason why no run can be started now.

    :ivar status: the HTTP status.
    """

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


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
    id: str = field(default_factory=_new_id)
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


class _Started(msgspec.Struct):
    """The moment at which a report's run began."""

    started_at: str


def _run_of(path: Path, found: KeptRun) -> Run:
    """Make a run of an earlier server."""
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


class Runs:
    """The runs of one console: at most one of them goes on.

    :param max_run: the largest number of sockets of a run.
    :param scenario_dir: the folder whose scenarios may be run; None for none.
    :param history: the file in which runs are kept; None for none.
    :param on_failure: called with each error in the task of a run, which ends that run alone.
    """

    def __init__(
        self,
        targets: Targets,
        max_run: int,
        log: Any,
        on_failure: Callable[[str, Exception], None],
        *,
        scenario_dir: str | None = None,
        history: Path | None = None,
    ) -> None:
        self.scenario_dir = scenario_dir
        self._history = history
        self._trends = None if history is None else TrendReader(history)
        self._targets = targets
        self._max_run = max_run
        self._log = log
        self._on_failure = on_failure
        self._runs: deque[Run] = deque()
        self._process: RunProcess | None = None
        self._folder: Path | None = None
        self._nursery: trio.Nursery | None = None
        self._draining = False
        self._one_at_a_time = trio.Lock()
        self._numbers = itertools.count(1)
        self._checks = Turns(CHECKS_SHARE, burst_s=CHECKS_BURST_S, advance_s=0.0)

    async def serve(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Hold the tasks of runs until cancelled; then end the run, and delete all files."""
        try:
            async with trio.open_nursery() as nursery:
                await self._remember()
                self._nursery = nursery
                task_status.started()
                await trio.sleep_forever()
        finally:
            self._nursery = None
            self.abandon()

    async def _remember(self) -> None:
        """Take up the runs of earlier servers."""
        if (path := self._history) is None:
            return
        try:
            found = await trio.to_thread.run_sync(kept_runs.last, path, HISTORY)
        except (OSError, NotAHistory) as exc:
            self._log.warning("the runs before can't be read", reason=str(exc))
            return
        self._runs.extend(_run_of(path, one) for one in found)

    async def annotate(self, run: Run, *, name: str, note: str) -> None:
        """Replace the name and the note of a run, in the history too if it is there.

        :raises OSError: if the file can't be written; nothing changes then.
        """
        if self._history is not None and run.kept is not None:
            kept_name = name or kept_runs.default_name(run.accepted.plan)
            await trio.to_thread.run_sync(
                partial(kept_runs.annotate, self._history, run.kept, name=kept_name, note=note)
            )
        run.name, run.note = name, note

    async def steer(self, run: Run, change: dict[str, Any]) -> dict[str, Any]:
        """Change the load of a run; return the run with it, once its generator has done that.

        :param change: some of `run_settings.LOAD`.
        :raises BadSettings: if this load can't be changed so.
        :raises CannotRun: if the run is not in its load phase, or does not answer.
        """
        if run.over or run.state == "cancelling" or self._process is None:
            raise CannotRun("the load is over", 409)
        number = next(self._numbers)
        answer = run.answers[number] = Answer()
        try:
            with trio.move_on_after(ANSWER_TIMEOUT_S):
                await self._process.tell({"id": number, **change})
                await answer.has_come.wait()
        finally:
            run.answers.pop(number, None)
        if not answer.has_come.is_set():
            raise CannotRun("the generator does not answer: see whether the change comes", 503)
        if answer.error is not None:
            if answer.at_fault is None:
                raise CannotRun(answer.error, 409)
            raise BadSettings(f"{answer.at_fault}: {answer.error}", field=answer.at_fault)
        return {**run.summary(), "load": run.load}

    def __iter__(self) -> Iterator[Run]:
        """Iterate over the remembered runs, the newest first."""
        return iter(self._runs)

    def get(self, run_id: str) -> Run | None:
        """Return the run with this id, or this number in the history, if it is remembered."""
        return next((run for run in self._runs if run_id in (run.id, run.number)), None)

    async def find(self, run_id: str) -> Run | None:
        """Return the run with this id, or this number in the history, however long ago it was."""
        if (run := self.get(run_id)) is not None:
            return run
        if (path := self._history) is None or not _KEPT_NUMBER.fullmatch(run_id):
            return None
        try:
            found = await trio.to_thread.run_sync(kept_runs.read_run, path, int(run_id))
        except (OSError, NotAHistory) as exc:
            self._log.warning("a run before can't be read", run=run_id, reason=str(exc))
            return None
        return None if found is None else _run_of(path, found)

    async def read_trends(self, run: Run) -> bytes:
        """Return how the runs of this one's name went over time, as JSON (`loadgen history`).

        :raises CannotRun: if runs are not kept, one goes on, or the file can't be read.
        """
        if self._trends is None:
            raise CannotRun("runs are not kept: start the server with --history FILE", 404)
        if any(not each.over for each in self._runs):
            # It would be measured together with the process that looks for changes.
            raise CannotRun("a run goes on: ask again at its end", 409)
        if run.kept is None:
            raise CannotRun("this run is not in the history", 404)
        try:
            name = run.name or kept_runs.default_name(run.accepted.plan)
            return await self._trends.read(name)
        except NoTrends as exc:
            raise CannotRun(str(exc), 503) from None

    async def start(self, settings: RunSettings) -> Run:
        """Start a run; return once its generator has accepted the settings.

        Cancelled: the generator is ended.

        :raises BadSettings: if it refuses them.
        :raises CannotRun: if a run goes on, too many ask, or this machine can't start a process.
        """
        self._check_vacancy()
        if self._one_at_a_time.statistics().tasks_waiting >= MAX_WAITING:
            raise CannotRun("too many ask for runs: try again in a few seconds", 503)
        async with self._one_at_a_time:
            self._check_vacancy()
            await self._checks.take()
            assert self._nursery is not None
            if self._folder is None:
                self._folder = Path(tempfile.mkdtemp(prefix="echo-trio-runs-"))
            run = await self._begin(settings, self._folder, self._nursery)
        self._log.info(
            "a run has started",
            run=run.id,
            sockets=run.accepted.plan.get("count"),
            target=run.accepted.target,
        )
        while len(self._runs) > HISTORY:
            if (html := self._runs.pop().html) is not None:
                html.unlink(missing_ok=True)
        return run

    def _check_vacancy(self) -> None:
        if self._draining or self._nursery is None:
            raise CannotRun("the server is stopping", 503)
        if any(not run.over for run in self._runs):
            raise CannotRun("a run goes on: cancel it, or wait for its end", 409)

    async def _begin(self, settings: RunSettings, folder: Path, nursery: trio.Nursery) -> Run:
        run_id, began = _new_id(), trio.current_time()
        order = {
            "settings": settings.values,
            "url": self._targets.own_url,
            "targets": sorted(self._targets.allowed),
            "max_count": self._max_run,
            "scenario_dir": self.scenario_dir,
            "html": str(folder / f"{run_id}.html"),
            "history": None if self._history is None else str(self._history),
            "name": settings.name or None,
        }
        try:
            process = self._process = await RunProcess.open(order)
        except OSError as exc:
            raise CannotRun(f"can't start a process: {exc.strerror}", 503) from None
        try:
            answer = await process.answer()
            # Meanwhile the server may have begun to stop.
            self._check_vacancy()
            if isinstance(answer, RunRefused):
                self._checks.charge(trio.current_time() - began)
                raise _bad_settings(answer, settings)
        except BaseException as exc:
            self._process = None
            await process.see_off()
            if isinstance(exc, NoAnswer):
                raise CannotRun(f"the generator did not start: {exc}", 503) from None
            raise
        run = Run(answer, folder, run_id, name=settings.name, note=settings.note)
        self._runs.appendleft(run)
        nursery.start_soon(self._conduct, run, process)
        return run

    async def _conduct(self, run: Run, process: RunProcess) -> None:
        try:
            await _conduct(run, process)
        except* Exception as exc:  # noqa: BLE001 - a bug in this is no reason to end the echo
            self._on_failure("run", exc)
        finally:
            self._process = None
            with trio.CancelScope(shield=True):
                await self._keep(run)
            run.close()
            ended = run.summary()
            for unsaid in ("plan", "name", "note", "page"):
                del ended[unsaid]
            self._log.info("a run has ended", **ended)

    async def _keep(self, run: Run) -> None:
        """Find a run in the file to which its generator has added it, and put its note there."""
        if (path := self._history) is None or run.report is None:
            return
        try:
            started_at = msgspec.json.decode(run.report, type=_Started).started_at
            run.kept = await trio.to_thread.run_sync(kept_runs.find, path, started_at)
            if run.kept is not None and run.note:
                await self.annotate(run, name=run.name, note=run.note)
        except (OSError, msgspec.DecodeError) as exc:
            self._log.warning("a run is not in the history", run=run.id, reason=str(exc))

    def drain(self) -> None:
        """Let the present run end in good order, and start no other."""
        self._draining = True
        for run in self._runs:
            run.cancel()

    def abandon(self) -> None:
        """Leave nothing behind, at once: neither a process nor a file."""
        if self._process is not None:
            self._process.kill()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)


def _bad_settings(refused: RunRefused, settings: RunSettings) -> BadSettings:
    """Convert the generator's refusal, with the field as it was written."""
    written = settings.written.get(refused.field or "", refused.field)
    return BadSettings(refused.error, status=400 if refused.elsewhere else 422, field=written)


async def _conduct(run: Run, process: RunProcess) -> None:
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
