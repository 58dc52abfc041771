"""What the console reads of a kept run is what the generator says of it, whatever came of it."""

from __future__ import annotations

import dataclasses
import itertools
import json
import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from echo_trio.console import kept_runs
from loadgen.cli.exit_codes import exit_code
from loadgen.history import file
from loadgen.report.model import ThresholdReport
from loadgen.report.verdict import FAILED, GENERATOR_LIMITED, VALID

from ...loadgen.conftest import STARTED, report_of, result_of

__all__ = ["report_of", "result_of"]


def test_the_exit_code_is_the_generators_for_every_report(report_of, tmp_path: Path) -> None:
    whole = report_of()
    path = tmp_path / "runs.db"
    expected = []
    for number, (verdict, interrupted, opened, breached) in enumerate(
        itertools.product([VALID, FAILED, GENERATOR_LIMITED], [False, True], [0, 10],
                          [(), (False,), (False, True)])
    ):  # fmt: skip
        report = msgspec.structs.replace(
            whole,
            verdict=verdict,
            interrupted=interrupted,
            started_at=STARTED + timedelta(seconds=number),
            connections=msgspec.structs.replace(whole.connections, opened=opened),
            thresholds=[ThresholdReport(expr="x", value=1.0, breached=each) for each in breached],
        )
        file.add(str(path), report)
        expected.append((exit_code(report), verdict))
    assert len({code for code, _ in expected}) == 6
    kept = kept_runs.last(path, 100)
    assert [(run.exit_code, run.verdict) for run in reversed(kept)] == expected
    for run in kept:
        assert kept_runs.read_run(path, run.id) == run


@pytest.fixture
def runs(report_of, tmp_path: Path) -> Path:
    """Make a file of three runs: without a name, with one, and the same again."""
    path = tmp_path / "runs.db"
    for number, name in enumerate((None, "mine", "mine")):
        started = STARTED + timedelta(seconds=number)
        file.add(str(path), report_of(started_at=started, ended_at=started), name)
    return path


def test_the_last_runs_come_first_and_those_that_nobody_named_have_no_name(runs: Path) -> None:
    assert [(run.id, run.name, run.note) for run in kept_runs.last(runs, 2)] == [
        (3, "mine", ""), (2, "mine", "")
    ]  # fmt: skip
    (first,) = [run for run in kept_runs.last(runs, 9) if run.id == 1]
    assert (first.name, first.plan["url"]) == ("", kept_runs.default_name(first.plan))
    assert kept_runs.read_run(runs, 4) is None
    assert kept_runs.last(runs.with_name("none.db"), 9) == []


def test_the_last_runs_are_those_that_began_last_whenever_they_were_added(
    report_of, tmp_path: Path
) -> None:
    path, order = tmp_path / "runs.db", (2, 0, 3, 1, 3)
    for second in order:
        started = STARTED + timedelta(seconds=second)
        file.add(str(path), report_of(started_at=started, ended_at=started))
    assert [run.id for run in kept_runs.last(path, 9)] == [5, 3, 1, 4, 2]
    assert [run.id for run in kept_runs.last(path, 2)] == [5, 3]


def test_a_name_and_a_note_are_of_one_run_and_the_last_ones_count(runs: Path) -> None:
    before = kept_runs.last(runs, 9)
    for name, note in (("first", "a"), ("second", "b")):
        kept_runs.annotate(runs, 2, name=name, note=note)
    expected = [
        dataclasses.replace(run, name="second", note="b") if run.id == 2 else run for run in before
    ]
    assert kept_runs.last(runs, 9) == expected
    with closing(sqlite3.connect(runs)) as database:
        assert database.execute("SELECT count(*) FROM notes").fetchone() == (1,)


def test_a_run_is_found_by_when_it_began_and_its_report_is_read_as_it_was(runs: Path) -> None:
    for run in kept_runs.last(runs, 9):
        report = kept_runs.read_report(runs, run.id)
        assert report is not None
        assert kept_runs.find(runs, json.loads(report)["started_at"]) == run.id
    assert kept_runs.find(runs, "2026-01-02T03:04:04Z") is None
    assert kept_runs.read_report(runs, 4) is None


def test_of_runs_that_began_in_one_moment_the_last_is_found(runs: Path) -> None:
    first = kept_runs.read_report(runs, 1)
    assert first is not None
    with closing(sqlite3.connect(runs)) as database, database:
        columns = "started_at, verdict, name, plan, report"
        database.execute(f"INSERT INTO runs ({columns}) SELECT {columns} FROM runs WHERE id = 1")
        (last,) = database.execute("SELECT max(id) FROM runs").fetchone()
    assert kept_runs.find(runs, json.loads(first)["started_at"]) == last


@pytest.mark.parametrize("plan", ["nonsense", "[1]", ""])
def test_a_plan_that_is_none_is_as_good_as_empty(runs: Path, plan: str) -> None:
    with closing(sqlite3.connect(runs)) as database, database:
        database.execute("UPDATE runs SET plan = ? WHERE id = 1", (plan,))
    run = kept_runs.read_run(runs, 1)
    assert run is not None
    assert (run.plan, kept_runs.default_name(run.plan)) == ({}, "")


def test_a_report_that_is_larger_than_any_is_not_read(
    runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = len(kept_runs.read_report(runs, 1) or b"")
    monkeypatch.setattr(kept_runs, "MAX_REPORT_BYTES", size - 1)
    with pytest.raises(OSError, match="too big"):
        kept_runs.read_report(runs, 1)
