"""Run the load runs that the console starts: each a child process, with a task that awaits its end.

One at a time: two would measure each other. The output of the last few runs is kept.
"""

from __future__ import annotations

import itertools
import re
import shutil
import tempfile
from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, Final

import msgspec
import trio

from echo_trio.console import kept_runs
from echo_trio.console.run import Answer, Run, conduct, new_id, run_of_history
from echo_trio.console.run_process import NoAnswer, RunProcess, RunRefused
from echo_trio.console.run_settings import BadSettings, RunSettings
from echo_trio.console.run_target import Targets
from echo_trio.console.trends import NoTrends, TrendReader
from echo_trio.console.turns import Turns
from echo_trio.run_history import NotAHistory

#: Runs that are remembered.
HISTORY: Final = 20
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


class CannotRun(Exception):
    """The reason why no run can be started now.

    :ivar status: the HTTP status.
    """

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class _Started(msgspec.Struct):
    """The moment at which a report's run began."""

    started_at: str


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
        self._runs.extend(run_of_history(path, one) for one in found)

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
        return None if found is None else run_of_history(path, found)

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
        run_id, began = new_id(), trio.current_time()
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
            await conduct(run, process)
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
