"""A history of runs is known by its header, and nobody else's file is taken for one."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from echo_trio.run_history import APPLICATION_ID, VERSION, NotAHistory, check_header


def header(magic: bytes = b"SQLite format 3\0", application: bytes = b"load",
           version: int = 1) -> bytes:  # fmt: skip
    """What SQLite's file format says of its first hundred bytes; what is none of ours is 0xff."""
    made = bytearray(b"\xff" * 100)
    made[:16], made[60:64], made[68:72] = magic, version.to_bytes(4, "big"), application
    return bytes(made)


@pytest.mark.parametrize(
    ("content", "is_one"),
    [(None, False), (b"", False), (header(), True), (header() + b"pages" * 100, True)],
    ids=["no file", "empty", "header", "more"],
)
def test_a_file_that_has_nothing_in_it_can_become_one(
    tmp_path: Path, content: bytes | None, is_one: bool
) -> None:
    path = tmp_path / "runs.db"
    if content is not None:
        path.write_bytes(content)
    assert check_header(path) is is_one


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"x", "runs.db is no history of runs"),
        (header()[:60], "runs.db is no history of runs"),
        (header(magic=b"SQLite format 4\0"), "runs.db is no history of runs"),
        (header(application=b"toad"), "runs.db is no history of runs"),
        (header(version=2), "runs.db is a history of version 2, and this knows 1"),
        (header(version=0), "runs.db is a history of version 0, and this knows 1"),
    ],
    ids=["text", "cut", "magic", "application", "newer", "older"],
)
def test_what_is_none_is_told_by_its_path(tmp_path: Path, content: bytes, why: str) -> None:
    path = tmp_path / "runs.db"
    path.write_bytes(content)
    with pytest.raises(NotAHistory, match=f"{why}$"):
        check_header(path)


def test_it_is_the_header_that_sqlite_writes(tmp_path: Path) -> None:
    path = tmp_path / "runs.db"
    with sqlite3.connect(path) as database:
        database.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        database.execute(f"PRAGMA user_version = {VERSION}")
        database.execute("CREATE TABLE runs(id INTEGER PRIMARY KEY)")
    database.close()
    assert check_header(path)
