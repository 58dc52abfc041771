"""Read the runs that the generator has kept in a file, and write a name or a note beside one.

The generator adds the reports; the table of notes is the console's. Every function here may wait
for the disk: call them in a thread.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from echo_trio.run_history import check_header

#: How long a run that adds its report is waited for, in seconds.
_PATIENCE_S: Final = 2.0
#: A report of a day has 20 MB.
MAX_REPORT_BYTES: Final = 128 * 2**20
_NOTES: Final = "CREATE TABLE IF NOT EXISTS notes (run INTEGER PRIMARY KEY, note TEXT NOT NULL)"
#: What the exit code comes from is read by SQLite: of a report of many MB only that leaves it.
_SUMMARIES: Final = """
SELECT id, started_at, json_extract(report, '$.ended_at'), verdict, name, plan,
  json_extract(report, '$.interrupted'),
  json_extract(report, '$.connections.opened'),
  CASE json_type(report, '$.changes')
    WHEN 'array' THEN json_extract(report, '$.changes') ELSE '[]' END,
  EXISTS (
    SELECT 1 FROM json_each(report, '$.thresholds') AS threshold
    WHERE json_extract(threshold.value, '$.breached')
  )
FROM runs"""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptRun:
    """A run of the file, without its report.

    :ivar id: its number in the file.
    :ivar exit_code: the generator's, as its report says it.
    :ivar changes: of its load by hand, as its report has them: a list in JSON.
    """

    id: int
    started_at: str
    ended_at: str | None
    verdict: str
    exit_code: int
    name: str
    note: str
    plan: dict[str, Any]
    changes: str


def last(path: Path, count: int) -> list[KeptRun]:
    """Read the last runs of the file, the newest first; none if there is no such file yet.

    :raises NotAHistory: if it is another file.
    :raises OSError: if it can't be read, or is damaged.
    """
    if not check_header(path):
        return []
    with _open(path) as database:
        query = f"{_SUMMARIES} ORDER BY started_at DESC, id DESC LIMIT ?"
        rows = database.execute(query, (count,)).fetchall()
        notes = _notes(database)
    return [_kept(row, notes) for row in rows]


def read_run(path: Path, run: int) -> KeptRun | None:
    """Read one run; ``None`` if the file has none of this number.

    :raises NotAHistory: if it is another file.
    :raises OSError: if it can't be read, or is damaged.
    """
    if not check_header(path):
        return None
    with _open(path) as database:
        row = database.execute(f"{_SUMMARIES} WHERE id = ?", (run,)).fetchone()
        notes = _notes(database)
    return None if row is None else _kept(row, notes)


def read_report(path: Path, run: int) -> bytes | None:
    """Read the report of a run, as JSON; ``None`` if the file has none.

    :raises OSError: if it can't be read.
    """
    with _open(path) as database:
        row = database.execute("SELECT report FROM runs WHERE id = ?", (run,)).fetchone()
    return None if row is None else str(row[0]).encode()


def find(path: Path, started_at: str) -> int | None:
    """Find the number of the run that started at this moment, as its report has it.

    :raises OSError: if the file can't be read.
    """
    with _open(path) as database:
        row = database.execute(
            "SELECT max(id) FROM runs WHERE json_extract(report, '$.started_at') = ?", (started_at,)
        ).fetchone()
    return None if row[0] is None else int(row[0])


def annotate(path: Path, run: int, *, name: str, note: str) -> None:
    """Replace the name and the note of a run.

    :raises OSError: if they can't be written.
    """
    with _open(path, mode="rw") as database, database:
        database.execute("UPDATE runs SET name = ? WHERE id = ?", (name, run))
        database.execute(_NOTES)
        database.execute(
            "INSERT INTO notes VALUES (?1, ?2) ON CONFLICT (run) DO UPDATE SET note = ?2",
            (run, note),
        )


@contextmanager
def _open(path: Path, mode: str = "ro") -> Iterator[sqlite3.Connection]:
    uri = f"file:{quote(str(path))}?mode={mode}"
    try:
        with closing(sqlite3.connect(uri, uri=True, timeout=_PATIENCE_S)) as database:
            database.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MAX_REPORT_BYTES)
            yield database
    except sqlite3.Error as exc:
        raise OSError(f"{path}: {exc}") from None


def _notes(database: sqlite3.Connection) -> dict[int, str]:
    tables = "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = 'notes'"
    if database.execute(tables).fetchone() == (0,):
        return {}
    return dict(database.execute("SELECT run, note FROM notes").fetchall())


def _kept(row: Sequence[Any], notes: Mapping[int, str]) -> KeptRun:
    (
        number, started_at, ended_at, verdict, name, text, interrupted, opened, changes, breached
    ) = row  # fmt: skip
    plan = _plan(text)
    return KeptRun(
        id=int(number),
        started_at=str(started_at),
        ended_at=None if ended_at is None else str(ended_at),
        verdict=str(verdict),
        exit_code=_exit_code(verdict, bool(interrupted), int(opened or 0), bool(breached)),
        name="" if name == default_name(plan) else str(name),
        note=notes.get(int(number), ""),
        plan=plan,
        changes=str(changes),
    )


def default_name(plan: Mapping[str, Any]) -> str:
    """Return what the generator calls a run that nobody has named."""
    return str(plan.get("scenario") or plan.get("url") or "")


def _plan(text: str) -> dict[str, Any]:
    try:
        plan = json.loads(text)
    except ValueError:
        return {}
    return plan if isinstance(plan, dict) else {}


def _exit_code(verdict: str, interrupted: bool, opened: int, breached: bool) -> int:
    """Tell a run's exit code from its report, in the order of docs/reference/loadgen.md."""
    if interrupted:
        return 130
    if opened == 0:
        return 69
    return {"failed": 1, "generator-limited": 3}.get(verdict, 99 if breached else 0)
