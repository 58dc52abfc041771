"""Keep reports in an SQLite file, and read them again.

Table `runs(id, started_at, verdict, name, plan, report)`, the last two as JSON: other programs may
read it with any SQLite. The file says in its header whose it is; one that doesn't say so is refused
before SQLite opens it, and stays as it is. Several runs may add to one file at a time.
"""

from __future__ import annotations

import errno
import os
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Final
from urllib.parse import quote

import msgspec
from msgspec import Meta

from echo_trio import files
from echo_trio.run_history import APPLICATION_ID, VERSION, NotAHistory, check_header
from loadgen.report import bounds
from loadgen.report import json as report_json
from loadgen.report.bounds import Malformed
from loadgen.report.describe import name_of
from loadgen.report.model import SCHEMA_VERSION, Report
from loadgen.signals import INTERRUPTS
from loadgen.workload.lever import MAX_CHANGES, Change

#: How long another run that writes is waited for, and how long once a signal has come.
_PATIENCE_S: Final = 30.0
_PATIENCE_AFTER_SIGNAL_S: Final = 1.0
_TICK_S: Final = 0.05
#: A report of a day has 20 MB.
MAX_REPORT_BYTES: Final = 128 * 2**20
_CREATE: Final = """
CREATE TABLE IF NOT EXISTS runs (
  id INTEGER PRIMARY KEY,
  started_at TEXT NOT NULL,
  verdict TEXT NOT NULL,
  name TEXT NOT NULL,
  plan TEXT NOT NULL,
  report TEXT NOT NULL
)"""


class StoredReport(msgspec.Struct):
    """The parts of a report from which its figures come; older versions may lack some."""

    schema: int
    connections: dict[str, Any]
    messages: dict[str, Any]
    interrupted: bool = False
    changes: Annotated[list[Change], Meta(max_length=MAX_CHANGES)] = []
    paused_s: float = 0.0
    plan: dict[str, Any] = {}
    fan_out: dict[str, Any] | None = None
    users: dict[str, Any] | None = None
    steps: list[dict[str, Any]] = []
    checks: list[dict[str, Any]] = []
    streams: list[dict[str, Any]] = []
    thresholds: list[dict[str, Any]] = []
    counters: dict[str, int] = {}
    latency: dict[str, Any] = {}
    generator: dict[str, Any] = {}
    target: dict[str, Any] | None = None


class StoredRun(msgspec.Struct, frozen=True):
    """A run as the file has it."""

    id: int
    started_at: datetime
    verdict: str
    name: str
    report: StoredReport


def check(path: str) -> None:
    """Check that reports could be added to a file, which need not exist; change nothing.

    :raises NotAHistory: if it is another file.
    :raises OSError: if it can't be read or written.
    """
    check_header(path)
    files.check_writable(path)


def add(path: str, report: Report, name: str | None = None) -> None:
    """Add the report of a run.

    :param name: of the run; by default its scenario's, or its target's.
    :raises OSError: if it can't be written, or is another file.
    """
    plan = msgspec.json.encode(report.plan).decode()
    row = (
        report.started_at.isoformat(),
        report.verdict,
        name_of(report, name),
        plan,
        report_json.encode(report).decode(),
    )
    try:
        check_header(path)
        # Without transactions of its own: everything is in the one that is begun here.
        with closing(sqlite3.connect(path, timeout=0, isolation_level=None)) as database:
            _wait_for(lambda: database.execute("BEGIN IMMEDIATE"))
            _claim(database, path)
            database.execute(
                "INSERT INTO runs (started_at, verdict, name, plan, report) VALUES (?, ?, ?, ?, ?)",
                row,
            )
            _wait_for(lambda: database.execute("COMMIT"))
    except (sqlite3.Error, NotAHistory) as exc:
        raise OSError(errno.EIO, str(exc)) from None


def read(path: str | Path, *, name: str | None = None, last: int) -> list[StoredRun]:
    """Read the last runs, in the order in which they started.

    :param name: of the runs; by default all.
    :raises NotAHistory: if it is no such file, or damaged.
    :raises OSError: if it can't be read.
    """
    if not check_header(path):
        kind = "is empty" if Path(path).exists() else "does not exist"
        raise NotAHistory(f"{path} {kind}: no run has been added to it with --history")
    uri = f"file:{quote(os.fspath(path))}?mode=ro"
    try:
        with closing(sqlite3.connect(uri, uri=True, timeout=_PATIENCE_S)) as database:
            database.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MAX_REPORT_BYTES)
            rows = database.execute(
                "SELECT id, started_at, verdict, name, report FROM runs WHERE ?1 IS NULL OR "
                "name = ?1 ORDER BY started_at DESC, id DESC LIMIT ?2",
                (name, last),
            ).fetchall()
    except sqlite3.Error as exc:
        raise NotAHistory(f"{path} can't be read: {exc}") from None
    return [_decode(path, *row) for row in reversed(rows)]


def _decode(path: str | Path, *row: Any) -> StoredRun:
    number, started_at, verdict, name, report = row
    try:
        read = StoredRun(
            id=int(number),
            started_at=datetime.fromisoformat(started_at),
            verdict=str(verdict),
            name=str(name),
            report=bounds.decode(str(report).encode(), StoredReport),
        )
        if read.started_at.tzinfo is None or read.report.schema != SCHEMA_VERSION:
            raise ValueError("it is of another version")
    except (Malformed, TypeError, ValueError) as exc:
        raise NotAHistory(f"{path} is damaged: run {number!r}: {exc}") from None
    return read


def _claim(database: sqlite3.Connection, path: str) -> None:
    """Make a new file ours, within a transaction; another may have come before us."""
    (application,) = database.execute("PRAGMA application_id").fetchone()
    (objects,) = database.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    if objects and application != APPLICATION_ID:
        raise NotAHistory(f"{path} is no history of runs")
    if not objects:
        database.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        database.execute(f"PRAGMA user_version = {VERSION}")
        database.execute(_CREATE)


def _wait_for(execute: Callable[[], object]) -> None:
    """Execute a statement for which another process may have to finish first.

    :raises sqlite3.Error: if it can't be executed.
    """
    began = time.monotonic()
    while True:
        try:
            execute()
        except sqlite3.OperationalError as exc:
            waited_s = time.monotonic() - began
            patience_s = _PATIENCE_AFTER_SIGNAL_S if INTERRUPTS.received else _PATIENCE_S
            if exc.sqlite_errorcode != sqlite3.SQLITE_BUSY or waited_s > patience_s:
                raise
            time.sleep(_TICK_S)
        else:
            return
