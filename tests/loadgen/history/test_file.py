import json
import math
import multiprocessing
import sqlite3
from contextlib import closing
from datetime import timedelta
from types import SimpleNamespace

import msgspec
import pytest

from echo_trio.run_history import APPLICATION_ID, VERSION, NotAHistory
from loadgen.history import file
from loadgen.report import json as report_json
from loadgen.report.model import SCHEMA_VERSION, Report


def test_a_report_is_kept_as_the_contract_says_and_read_again(report_of, tmp_path):
    path = str(tmp_path / "runs.db")
    file.check(path)
    assert not [*tmp_path.iterdir()]
    file.add(path, report_of(), "nightly")
    file.add(path, report_of())
    with sqlite3.connect(path) as database:
        rows = database.execute(
            "SELECT id, started_at, verdict, name, plan, report FROM runs ORDER BY id"
        ).fetchall()
    database.close()
    assert [row[:4] for row in rows] == [
        (1, "2026-01-02T03:04:05+00:00", "valid", "nightly"),
        (2, "2026-01-02T03:04:05+00:00", "valid", "ws://127.0.0.1:8765/"),
    ]
    assert json.loads(rows[0][4])["count"] == 10
    assert json.loads(rows[0][5]) == json.loads(report_json.encode(report_of()))
    assert [run.id for run in file.read(path, last=10)] == [1, 2]
    (run,) = file.read(path, name="nightly", last=10)
    assert run.report.latency["intended"]["p99"] == 3.5


def test_the_last_runs_are_those_that_started_last_whenever_they_were_added(report_of, tmp_path):
    path = str(tmp_path / "runs.db")
    for day, name in ((3, "c"), (1, "a"), (2, "b")):
        started_at = report_of().started_at + timedelta(days=day)
        file.add(path, msgspec.structs.replace(report_of(), started_at=started_at), name)
    assert [run.name for run in file.read(path, last=10)] == ["a", "b", "c"]
    assert [run.name for run in file.read(path, last=2)] == ["b", "c"]


def test_a_file_that_another_program_has_taken_meanwhile_is_left_to_it(tmp_path):
    other_database(tmp_path / "theirs", application=0)
    with (
        closing(sqlite3.connect(tmp_path / "theirs")) as database,
        pytest.raises(NotAHistory),
    ):
        file._claim(database, "theirs")


def other_database(path, *, application, version=1, table="runs"):
    database = sqlite3.connect(path)
    database.execute(f"CREATE TABLE {table} (id INTEGER PRIMARY KEY)")
    database.execute(f"PRAGMA application_id = {application}")
    database.execute(f"PRAGMA user_version = {version}")
    database.commit()
    database.close()


@pytest.mark.parametrize("kind", ["text", "database", "newer"])
def test_a_file_of_somebody_elses_is_refused_and_stays_as_it_is(report_of, tmp_path, kind):
    path = tmp_path / "theirs"
    if kind == "text":
        path.write_text("SQLite, but only a note about it")
    else:
        newer = kind == "newer"
        application = APPLICATION_ID if newer else 0
        other_database(path, application=application, version=9 if newer else VERSION)
    before = path.read_bytes(), path.stat().st_mtime_ns
    for use in (
        lambda: file.check(str(path)),
        lambda: file.add(str(path), report_of()),
        lambda: file.read(path, last=1),
    ):
        with pytest.raises((NotAHistory, OSError), match="history"):
            use()
    assert (path.read_bytes(), path.stat().st_mtime_ns) == before
    assert [each.name for each in tmp_path.iterdir()] == ["theirs"]


def test_a_damaged_history_is_told_and_never_a_traceback(report_of, tmp_path):
    path = tmp_path / "runs.db"
    file.add(str(path), report_of())
    whole = path.read_bytes()
    for change in (
        whole[: len(whole) // 2],
        whole.replace(b'"schema"', b'"schemb"'),
        whole.replace(b'"schema": %d' % SCHEMA_VERSION, b'"schema": %d' % (SCHEMA_VERSION + 1)),
        whole.replace(b"2026-01-02T", b"2026-01-99T"),
        whole.replace(b"CREATE TABLE runs", b"CREATE TABLE ruin"),
    ):
        assert change != whole
        path.write_bytes(change)
        with pytest.raises(NotAHistory):
            file.read(path, last=10)


def add_ten(path, encoded, name):
    report = msgspec.json.decode(encoded, type=Report)
    for _ in range(10):
        file.add(path, report, name)


def test_runs_that_end_at_the_same_time_are_all_there(report_of, tmp_path):
    path, encoded = str(tmp_path / "runs.db"), report_json.encode(report_of())
    context = multiprocessing.get_context("forkserver")
    adders = [context.Process(target=add_ten, args=(path, encoded, name)) for name in "abc"]
    for adder in adders:
        adder.start()
    for adder in adders:
        adder.join()
    assert [adder.exitcode for adder in adders] == [0, 0, 0]
    runs = file.read(path, last=100)
    assert sorted(run.id for run in runs) == list(range(1, 31))
    assert sorted(run.name for run in runs) == sorted("abc" * 10)


def test_a_reader_at_the_moment_of_the_commit_is_waited_for(report_of, tmp_path, monkeypatch):
    path = str(tmp_path / "runs.db")
    file.add(path, report_of(), "first")
    with closing(sqlite3.connect(path, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        assert reader.execute("SELECT count(*) FROM runs").fetchone() == (1,)

        def sleep(_):
            reader.execute("ROLLBACK")

        monkeypatch.setattr(file, "time", SimpleNamespace(monotonic=lambda: 0.0, sleep=sleep))
        file.add(path, report_of(), "second")
        assert not reader.in_transaction
    assert [run.name for run in file.read(path, last=10)] == ["first", "second"]


@pytest.mark.parametrize(("is_to_end", "patience_s"), [(False, 30.0), (True, 1.0)])
def test_another_that_writes_is_waited_for_and_not_long_once_a_signal_has_come(
    monkeypatch, is_to_end, patience_s
):
    now = [100.0]

    def sleep(seconds):
        now[0] += seconds

    monkeypatch.setattr(file, "time", SimpleNamespace(monotonic=lambda: now[0], sleep=sleep))
    monkeypatch.setattr(file, "INTERRUPTS", SimpleNamespace(received=int(is_to_end)))
    tried = []

    def execute(until_s=math.inf, code=sqlite3.SQLITE_BUSY):
        tried.append(now[0] - 100.0)
        if tried[-1] < until_s:
            error = sqlite3.OperationalError("of the test")
            error.sqlite_errorcode = code
            raise error

    with pytest.raises(sqlite3.OperationalError):
        file._wait_for(execute)
    assert patience_s < tried[-1] <= patience_s + 0.06
    now[0], tried[:] = 100.0, []
    file._wait_for(lambda: execute(patience_s - 0.03))
    assert tried[-1] == pytest.approx(patience_s, abs=0.04)
    now[0], tried[:] = 100.0, []
    with pytest.raises(sqlite3.OperationalError):
        file._wait_for(lambda: execute(code=sqlite3.SQLITE_FULL))
    assert tried == [0.0]
