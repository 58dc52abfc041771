"""What a killed run, or a search, had measured is told as its report would have been."""

import json

import pytest

from loadgen.cli import recover as recover_module
from loadgen.cli.output import Output
from loadgen.cli.recover import recover
from loadgen.journal import search
from loadgen.journal.run import _encode, _make_head
from loadgen.journal.search import SearchJournal
from loadgen.report import thresholds
from loadgen.results import record
from loadgen.studies import capacity_text
from loadgen.studies.capacity import _judge
from loadgen.workload.plan import Plan


@pytest.fixture
def run_journal(result_of, tmp_path):
    """The journal of a run that was killed in its first second."""
    result = result_of()
    path = tmp_path / "run.journal"
    path.write_bytes(
        _encode(_make_head(result)) + _encode(record.make("load", result, result.series))
    )
    return path


@pytest.fixture
def search_journal(tmp_path, report_of):
    """The journal of a search that was killed after its first step."""
    path = tmp_path / "search.journal"
    limits = [thresholds.parse("latency.p99>1s")]
    made = SearchJournal(path, Plan(3).settings(), limits)
    made.note(_judge(1.0, report_of(), limits))
    made.close()
    return path


@pytest.mark.parametrize("goes_on", [False, True])
@pytest.mark.parametrize("quiet", [False, True])
def test_a_run_is_told_with_where_it_was_kept(
    run_journal, tmp_path, monkeypatch, capsys, quiet, goes_on
):
    monkeypatch.setattr(recover_module.journals, "is_being_written", lambda _: goes_on)
    output = Output(json=str(tmp_path / "r.json"), quiet=quiet)
    assert recover(run_journal, output=output) == 0
    told = capsys.readouterr()
    ours = ", which is still being written: the run goes on" if goes_on else ""
    assert told.err == ("" if quiet else f"recovered from {run_journal}{ours}\n")
    assert "messages" in told.out
    assert json.loads((tmp_path / "r.json").read_text())["plan"]["count"] == 10


def test_a_search_is_told_as_its_steps(search_journal, tmp_path, capsys):
    assert recover(search_journal, output=Output(json=str(tmp_path / "s.json"))) == 0
    told = capsys.readouterr()
    assert told.err == f"recovered from {search_journal}\n"
    found = search.recover(search_journal)
    assert told.out == capacity_text.show_whole(found) + "\n"
    assert "1/s is the highest rate that held, in 1 run of 1." in told.out
    assert len(json.loads((tmp_path / "s.json").read_text())["steps"]) == 1
    assert recover(search_journal, output=Output(csv=str(tmp_path / "s.csv"))) == 2
    assert "is of a search, which made many runs, and --csv is of one" in capsys.readouterr().err
    assert not (tmp_path / "s.csv").exists()


def test_the_newest_is_taken_where_none_is_named(run_journal, monkeypatch, capsys):
    monkeypatch.setattr(recover_module.journals, "find_latest", lambda: run_journal)
    assert recover() == 0
    assert f"recovered from {run_journal}" in capsys.readouterr().err


def test_that_there_is_none_is_told(monkeypatch, capsys):
    monkeypatch.setattr(recover_module.journals, "find_latest", lambda: None)
    monkeypatch.setattr(recover_module.journals, "default_folder", lambda: "/here")
    assert recover() == 2
    assert "no run has died here: no journal in /here" in capsys.readouterr().err

    def fail():
        raise OSError(13, "Permission denied")

    monkeypatch.setattr(recover_module.journals, "find_latest", fail)
    assert recover() == 2
    assert "can't look for journals: Permission denied" in capsys.readouterr().err


def test_what_cannot_be_written_is_known_before_and_a_report_that_is_not_written_is_bad_usage(
    run_journal, capsys
):
    assert recover(run_journal, output=Output(json="/nowhere/x")) == 2
    told = capsys.readouterr()
    assert "there is no folder /nowhere" in told.err
    assert "recovered from" not in told.err
    assert recover(run_journal, output=Output(json="/dev/full")) == 2
    assert "can't write the report to /dev/full" in capsys.readouterr().err
