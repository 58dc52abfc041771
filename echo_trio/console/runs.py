"""Load runs that the console starts: each a child process, each in a task that waits for its end.

One at a time: two would measure each other. What a run said is kept, for the last few of them.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal

import msgspec
import trio

import loadgen
from echo_trio.console.event_stream import Emit, event
from echo_trio.console.run_order import RunOrder
from loadgen.report.html import TEMPLATE_PATH

#: Runs that are remembered.
HISTORY: Final = 20
#: Snapshots of one run that are remembered: an hour.
SNAPSHOTS: Final = 3600
#: Snapshots that are put together for one write, so that a reader holds no second copy of all.
BATCH: Final = 32
#: A line is a snapshot, of some KiB, or the report, with an entry for each second of the run.
MAX_LINE_BYTES: Final = 16 * 2**20
ERROR_BYTES: Final = 4096
#: Beyond what the run itself allows for closing its sockets; then it is killed.
STOP_GRACE_S: Final = 5.0
#: The same when the console ends: nobody waits for a report any more.
EXIT_GRACE_S: Final = 1.0
#: For what a process has said to arrive once it has ended: its children may have kept its pipes.
LAST_WORDS_S: Final = 2.0

State = Literal["running", "cancelling", "done", "failed"]


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


class CannotRun(Exception):
    """Why no run can be started now.

    :ivar status: what HTTP calls it.
    """

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


@dataclass(slots=True)
class Run:
    """One run, from its start for as long as it is remembered.

    :ivar error: why there is no report.
    :ivar snapshots: its lines, the last hour of them; `series` is what each said of its second.
    :ivar snapshots_seen: how many there were in all.
    """

    order: RunOrder
    folder: Path
    id: str = field(default_factory=lambda: secrets.token_hex(6))
    state: State = "running"
    started_at: str = field(default_factory=_now)
    ended_at: str | None = None
    exit_code: int | None = None
    verdict: str | None = None
    error: str | None = None
    report: bytes | None = None
    snapshots: deque[bytes] = field(default_factory=lambda: deque(maxlen=SNAPSHOTS))
    series: deque[msgspec.Raw] = field(default_factory=lambda: deque(maxlen=SNAPSHOTS))
    snapshots_seen: int = 0
    interrupted: bool = False
    stop: trio.Event = field(default_factory=trio.Event)
    news: trio.Event = field(default_factory=trio.Event)

    @property
    def over(self) -> bool:
        """Has it ended, one way or the other?"""
        return self.state in ("done", "failed")

    @property
    def html(self) -> Path:
        """Where its report as a page is, if there is one."""
        return self.folder / f"{self.id}.html"

    def summary(self) -> dict[str, Any]:
        """What a list of runs says of it."""
        return {
            "id": self.id,
            "state": self.state,
            "plan": self.order.shown_plan,
            "started_at": self.started_at,
            "ended_at": self.ended_at,
            "exit_code": self.exit_code,
            "verdict": self.verdict,
            "error": self.error,
        }

    def progress(self) -> dict[str, Any]:
        """The same, with what it has said so far."""
        snapshot = msgspec.Raw(self.snapshots[-1]) if self.snapshots else None
        return {**self.summary(), "snapshot": snapshot, "series": list(self.series)}

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
            elif head.schema is not None:
                self.report, self.verdict = line, head.verdict

    def close(self) -> None:
        """It has ended: with a report, or without."""
        self.ended_at = _now()
        self.state = "failed" if self.report is None else "done"
        if self.report is not None:
            self.error = None
        elif self.stop.is_set():
            self.error = "cancelled before it could report anything"
        elif not self.error:
            self.error = f"loadgen left no report, and ended with {self.exit_code}"
        self.wake()

    def wake(self) -> None:
        """Tell those who watch that there is something new."""
        self.news.set()
        self.news = trio.Event()

    async def follow(self, emit: Emit) -> None:
        """Emit what it has said and what it says, then its report, or why there is none."""
        seen = 0
        while True:
            news, over = self.news, self.over
            if fresh := self.snapshots_seen - seen:
                seen = self.snapshots_seen
                lines = list(self.snapshots)[-fresh:]
                for at in range(0, len(lines), BATCH):
                    batch = lines[at : at + BATCH]
                    await emit(b"".join(event("snapshot", line) for line in batch))
            elif over:
                break
            else:
                await news.wait()
        if self.report is not None:
            await emit(event("report", self.report))
        else:
            await emit(event("failed", msgspec.json.encode({"error": self.error})))


class _Head(msgspec.Struct):
    """What tells a snapshot from the report."""

    type: str | None = None
    second: msgspec.Raw = msgspec.Raw(b"null")
    schema: int | None = None
    verdict: str | None = None


class Runs:
    """The runs of one console: at most one of them goes on.

    :param on_failure: is told what fails in the task of a run, which ends that run alone.
    """

    def __init__(self, log: Any, on_failure: Callable[[str, Exception], None]) -> None:
        self._log = log
        self._on_failure = on_failure
        self._runs: deque[Run] = deque()
        self._process: trio.Process | None = None
        self._folder: Path | None = None
        self._nursery: trio.Nursery | None = None
        self._draining = False

    async def serve(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Be the place where runs go on, until cancelled; then none goes on, and none is kept."""
        try:
            async with trio.open_nursery() as nursery:
                self._nursery = nursery
                task_status.started()
                await trio.sleep_forever()
        finally:
            self._nursery = None
            self.abandon()

    def __iter__(self) -> Iterator[Run]:
        """Those that are remembered, the newest first."""
        return iter(self._runs)

    def get(self, run_id: str) -> Run | None:
        """The run with this id, if it is remembered."""
        return next((run for run in self._runs if run.id == run_id), None)

    async def start(self, order: RunOrder) -> Run:
        """Start a run; returns once its process is there.

        :raises CannotRun: if one goes on, or this machine can't start a process.
        """
        if self._draining or self._nursery is None:
            raise CannotRun("the server is stopping", 503)
        if any(not run.over for run in self._runs):
            raise CannotRun("a run goes on: cancel it, or wait for its end", 409)
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="echo-trio-runs-"))
        run = Run(order, self._folder)
        # Remembered before anything is awaited: a second request finds it.
        self._runs.appendleft(run)
        try:
            self._process = await _open(run)
        except OSError as exc:
            self._runs.remove(run)
            raise CannotRun(f"can't start a process: {exc.strerror}", 503) from None
        plan = order.plan
        self._log.info(
            "a run has started", run=run.id, sockets=plan.count, target=plan.target.authority
        )
        self._nursery.start_soon(self._conduct, run, self._process)
        while len(self._runs) > HISTORY:
            self._runs.pop().html.unlink(missing_ok=True)
        return run

    async def _conduct(self, run: Run, process: trio.Process) -> None:
        try:
            await _conduct(run, process)
        except* Exception as exc:  # noqa: BLE001 - a bug in this is no reason to end the echo
            self._on_failure("run", exc)
        finally:
            self._process = None
            run.close()
            ended = run.summary()
            del ended["plan"]
            self._log.info("a run has ended", **ended)

    def drain(self) -> None:
        """Let what goes on end in good order, and start nothing more."""
        self._draining = True
        for run in self._runs:
            run.cancel()

    def abandon(self) -> None:
        """Leave nothing behind, at once: neither a process nor a file."""
        if self._process is not None:
            _kill(self._process)
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)


def can_make_pages() -> bool:
    """Is there what `--html` needs: the report's page, built?"""
    return TEMPLATE_PATH.is_file()


async def _open(run: Run) -> trio.Process:
    arguments = [*run.order.arguments, "--stream", "--quiet"]
    if can_make_pages():
        arguments.append(f"--html={run.html}")
    # A pipe might be full before it is read; this is as private, and there at once.
    with tempfile.TemporaryFile() as told:
        told.write(json.dumps(arguments).encode())
        told.seek(0)
        return await trio.lowlevel.open_process(
            # -P: a module named loadgen in the current folder is not meant.
            [sys.executable, "-P", "-m", "loadgen.cli.from_stdin"],
            stdin=told,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            # A group of its own: Ctrl-C on our terminal is for us, and we pass it on once.
            process_group=0,
            env=_environment(),
        )


async def _conduct(run: Run, process: trio.Process) -> None:
    """See the process to its end, whichever that is. Cancelled: that is soon."""
    complaint = bytearray()
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_stop_when_asked, run, process)
            async with trio.open_nursery() as listening:
                listening.start_soon(_read_lines, process.stdout, run.take_line)
                listening.start_soon(_read_tail, process.stderr, complaint)
                await process.wait()
                listening.cancel_scope.deadline = trio.current_time() + LAST_WORDS_S
            nursery.cancel_scope.cancel()
    finally:
        await _see_off(run, process)
        run.exit_code = process.returncode
        run.error = _last_line(complaint)


def _environment() -> dict[str, str]:
    """Ours, without our settings, and with the same loadgen that we are installed with."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("ECHO_TRIO_")}
    path = [str(Path(loadgen.__file__).parents[1]), *filter(None, [inherited.get("PYTHONPATH")])]
    return {**inherited, "PYTHONPATH": os.pathsep.join(path), "PYTHONUTF8": "1"}


async def _stop_when_asked(run: Run, process: trio.Process) -> None:
    await run.stop.wait()
    _interrupt(run, process)
    await trio.sleep(run.order.plan.stop_timeout_s + STOP_GRACE_S)
    _kill(process)


async def _see_off(run: Run, process: trio.Process) -> None:
    """Whatever happened, the process is no more when this returns, which is soon."""
    with trio.CancelScope(shield=True):
        if process.returncode is None:
            _interrupt(run, process)
            with trio.move_on_after(EXIT_GRACE_S):
                await process.wait()
        _kill(process)
        await process.wait()
        for pipe in (process.stdout, process.stderr):
            assert pipe is not None
            await pipe.aclose()


def _interrupt(run: Run, process: trio.Process) -> None:
    """Ask it to end in good order; once, for a second SIGINT would end it at once."""
    if not run.interrupted:
        run.interrupted = True
        process.send_signal(signal.SIGINT)


def _kill(process: trio.Process) -> None:
    """End the process and those that it started."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


async def _read_lines(stream: trio.abc.ReceiveStream | None, take: Callable[[bytes], None]) -> None:
    """Hand on each line. What follows one that is too long is thrown away up to its end."""
    assert stream is not None
    buffer, too_long = bytearray(), False
    async for chunk in stream:
        *lines, rest = bytes(chunk).split(b"\n")
        for line in lines:
            buffer += line
            if not too_long and len(buffer) <= MAX_LINE_BYTES:
                take(bytes(buffer))
            buffer.clear()
            too_long = False
        buffer += rest
        if len(buffer) > MAX_LINE_BYTES:
            too_long = True
            buffer.clear()


async def _read_tail(stream: trio.abc.ReceiveStream | None, tail: bytearray) -> None:
    """Keep the last of what it complains about."""
    assert stream is not None
    async for chunk in stream:
        tail += chunk
        del tail[:-ERROR_BYTES]


def _last_line(text: bytes | bytearray) -> str | None:
    lines = bytes(text).decode(errors="replace").split("\n")
    return next((line.strip() for line in reversed(lines) if line.strip()), None)
