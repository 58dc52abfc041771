"""What a run has measured so far, on disk: so that it outlives a generator that is killed.

Newline-delimited JSON: a head, and once a second a record of everything but the series, which is
spread over the records. A record that was being written when the process died is half a line, and
left out by who reads it. When the file has become long it is replaced, in one step, by one with a
single record in it. Nothing is synced: a journal is for a dead process, not for a dead machine.
"""

from __future__ import annotations

import dataclasses
import errno
import fcntl
import os
import typing
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO, Final, NoReturn, TypeVar

import msgspec
import trio

from loadgen.engine.running import Running
from loadgen.report.build import make_report, plan_as_run
from loadgen.report.model import Incomplete, Report
from loadgen.results import record
from loadgen.results.record import Record
from loadgen.results.result import Result
from loadgen.results.series import Second
from loadgen.workload.plan import Plan

#: A record has up to 100 KB for each histogram, so this is a minute's worth or more.
MAX_BYTES: Final = 8 * 2**20
#: Of a run that goes on for longer, a journal has the last seconds only; their sums are whole.
MAX_SECONDS: Final = 10_000
#: Journals of killed runs that are kept where no file was named.
KEPT: Final = 10
_Line = TypeVar("_Line", "Head", "Record")
_SUFFIX: Final = ".journal"


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a run when it starts."""

    journal: int = 1
    pid: int
    started_at: datetime
    url: str
    count: int
    plan: dict[str, Any]


class Unreadable(Exception):
    """A file that is no journal, or has nothing to tell; says which and why."""


def default_folder() -> Path:
    """Where journals are, unless a file is named.

    :raises OSError: if this user has no home.
    """
    if state := os.environ.get("XDG_STATE_HOME"):
        return Path(state) / "loadgen"
    try:
        return Path.home() / ".local" / "state" / "loadgen"
    except RuntimeError:
        raise FileNotFoundError(errno.ENOENT, "this user has no home folder") from None


def default_path() -> Path:
    """A new journal's place; makes room for it.

    :raises OSError: if there can be none.
    """
    folder = default_folder()
    folder.mkdir(parents=True, exist_ok=True)
    for old in _find_orphans(folder)[KEPT - 1 :]:
        old.unlink(missing_ok=True)
    return folder / f"{datetime.now():%Y%m%dT%H%M%S}-{os.getpid()}{_SUFFIX}"


def find_latest() -> Path | None:
    """The newest journal of a run that has died.

    :raises OSError: if there is no place for any.
    """
    return next(iter(_find_orphans(default_folder())), None)


def _find_orphans(folder: Path) -> list[Path]:
    """Journals that nobody writes any more, the newest first."""
    journals = sorted(folder.glob(f"*{_SUFFIX}"), reverse=True) if folder.is_dir() else []
    return [journal for journal in journals if not _is_being_written(journal)]


def _is_being_written(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    return False


@dataclass
class JournalFile:
    """A file for what outlives its writer; nobody else writes to it meanwhile.

    :raises OSError: if it can't be written to.
    """

    path: Path
    _file: BinaryIO = field(init=False)
    #: Why it ended before what it tells of; ``None`` if it didn't.
    problem: str | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self._file = _open_locked(self.path)

    @property
    def has_records(self) -> bool:
        """Is there anything in it to recover?"""
        return self._file.tell() > 0

    def remove(self) -> None:
        """All is over, and its report written."""
        self.close()
        self.path.unlink(missing_ok=True)

    def close(self) -> None:
        """Write no more, and keep what there is."""
        self._file.close()


@dataclass
class Journal(JournalFile):
    """The journal of one run, being written."""

    plan: Plan
    _head: bytes = b""
    _booked: int = 0

    async def keep(self, engine: Running) -> NoReturn:
        """Write a record for each second of the run, until cancelled.

        A disk that is full, say, ends the journal and not the run.
        """
        while True:
            await engine.wait_for_second()
            result = engine.result_so_far()
            self._head = self._head or _encode(_make_head(result))
            first = self._booked
            self._booked = len(result.series)
            is_long = self._file.tell() > MAX_BYTES
            seconds = result.series[-MAX_SECONDS:] if is_long else result.series[first:]
            line = _encode(record.make(str(engine.phase), result, seconds))
            try:
                await trio.to_thread.run_sync(self._replace if is_long else self._append, line)
            except OSError as exc:
                self.problem = exc.strerror
                await trio.sleep_forever()

    def _append(self, line: bytes) -> None:
        if not self._file.tell():
            line = self._head + line
        self._file.write(line)

    def _replace(self, line: bytes) -> None:
        shorter = self.path.with_name(f"{self.path.name}.new")
        file = _open_locked(shorter)
        file.write(self._head + line)
        shorter.replace(self.path)
        self._file.close()
        self._file = file


def _open_locked(path: Path) -> BinaryIO:
    """A file that is known to be in use until this process ends, however it does."""
    # The plan's headers are masked, but what its messages say is nobody else's business either.
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    # Unbuffered: what is written is the kernel's, and survives us.
    file = os.fdopen(descriptor, "ab", buffering=0)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(descriptor).st_size:
            file.truncate(0)
    except BaseException:
        file.close()
        raise
    return typing.cast("BinaryIO", file)


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
    """The report of a run whose generator was killed, as far as its journal goes.

    It is marked `interrupted` and `incomplete`: sockets that were open or opening are unaccounted
    for, and said to be.

    :raises Unreadable: if it is no journal, or was begun and has no record.
    """
    head, last, series = _read(path)
    result = dataclasses.replace(
        record.restore(last, Plan(head.count, head.url), head.started_at, series), interrupted=True
    )
    ledger = result.ledger
    ledger.settle_unanswered(interrupted=True)
    if ledger.due is not None:
        ledger.missed = max(ledger.due - ledger.sent, ledger.missed)
    incomplete = Incomplete(
        phase=last.phase,
        t_s=series[-1].t_s,
        opening=ledger.requested - ledger.settled,
        open=ledger.open,
    )
    return make_report(result, incomplete=incomplete, plan=head.plan)


def _read(path: Path) -> tuple[Head, Record, list[Second]]:
    try:
        with path.open("rb") as file:
            head = _decode(file.readline(), Head)
            if head is None:
                raise Unreadable(f"{path} is no journal of a run")
            last, series = None, []
            for last in _decode_records(file):
                series += last.seconds
    except OSError as exc:
        raise Unreadable(f"can't read {path}: {exc.strerror}") from None
    if last is None or not series:
        raise Unreadable(f"{path} was begun, but its run died before its first second was over")
    return head, last, series


def _decode_records(file: BinaryIO) -> Iterator[Record]:
    for line in file:
        decoded = _decode(line, Record)
        if decoded is None:
            return  # Half a line: it was being written.
        yield decoded


def _decode(line: bytes, kind: type[_Line]) -> _Line | None:
    try:
        return msgspec.json.decode(line, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
