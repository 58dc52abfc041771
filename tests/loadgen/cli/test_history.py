"""Runs that were kept are shown as text, JSON and a page, of one name or of all."""

import json
from datetime import timedelta

import msgspec
import pytest

from loadgen.cli import load
from loadgen.history import file


@pytest.fixture
def history(report_of, tmp_path, monkeypatch):
    """Five runs, one a day: three by night, two by day."""
    monkeypatch.chdir(tmp_path)
    for day in range(5):
        report = report_of()
        started_at = report.started_at + timedelta(days=day)
        name = "nightly" if day < 3 else "daily"
        file.add("runs.db", msgspec.structs.replace(report, started_at=started_at), name)
    return tmp_path


def lines_of(tmp_path):
    return json.loads((tmp_path / "h.json").read_text())["lines"]


@pytest.mark.parametrize(
    ("arguments", "runs"),
    [
        ("", {"nightly": 3, "daily": 2}),
        ("--last 4", {"nightly": 2, "daily": 2}),
        ("--last 1", {"daily": 1}),
        ("--name nightly", {"nightly": 3}),
        ("--name nightly --last 2", {"nightly": 2}),
    ],
)
def test_the_last_runs_are_lined_up_by_their_names(history, capsys, arguments, runs):
    assert load.main(["history", "runs.db", "--json", "h.json", *arguments.split()]) == 0
    assert {line["name"]: len(line["runs"]) for line in lines_of(history)} == runs
    shown = capsys.readouterr().out
    assert [name for name in ("nightly", "daily") if name in shown] == [
        name for name in ("nightly", "daily") if name in runs
    ]


def test_the_figures_are_those_that_are_named(history, capsys):
    wanted = ["--metric", "latency.p50", "--metric", "messages.lost"]
    assert load.main(["history", "runs.db", *wanted, "--json", "-"]) == 0
    shown = json.loads(capsys.readouterr().out)
    for line in shown["lines"]:
        assert len(line["trends"]) == 2
        assert line["trends"][1]["name"] == "messages.lost"


def test_a_page_may_have_stdout(history, capsys):
    assert load.main(["history", "runs.db", "--html", "-", "--json", "h.json"]) == 0
    assert capsys.readouterr().out.lstrip().lower().startswith("<!doctype html")
    assert lines_of(history)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ("runs.db --json - --html -", "--json - and --html - can't both have stdout"),
        ("runs.db --json runs.db", "runs.db is the history itself"),
        ("runs.db --html ./runs.db", "./runs.db is the history itself"),
        ("runs.db --metric latency.p9", "there is no figure 'latency.p9'"),
        ("runs.db --name weekly", "runs.db has no run named weekly"),
        ("gone.db", "gone.db does not exist"),
        ("other", "other is no history of runs"),
        ("runs.db --last 0", "It has to be from 1 to"),
        ("runs.db --json /nowhere/x", "can't write the history: No such file"),
    ],
)
def test_what_cannot_be_shown_is_one_line(history, capsys, arguments, says):
    (history / "other").write_bytes(b"x" * 200)
    assert load.main(["history", *arguments.split()]) == 2
    told = capsys.readouterr()
    assert (told.out, told.err.count("\n")) == ("", 1)
    assert says in told.err
    assert "(see loadgen history --help)" in told.err
