"""Reports are compared by twos or by groups; what is worse is the exit code."""

import json
from collections import Counter

import pytest

from loadgen.cli import load
from loadgen.report import json as report_json
from loadgen.results.ledger import Ending
from loadgen.workload.plan import Plan

from ..conftest import clean_ledger


@pytest.fixture
def reports(report_of, tmp_path, monkeypatch):
    """Files: two runs alike, a failed one, and one of another plan."""
    monkeypatch.chdir(tmp_path)
    bad = clean_ledger(10)
    bad.closed = Counter({Ending.CLEAN: 2, Ending.ABNORMAL: 8})
    made = {
        "a": report_of(), "b": report_of(), "bad": report_of(bad),
        "other": report_of(plan=Plan(10, duration_s=3.0)),
    }  # fmt: skip
    for name, report in made.items():
        (tmp_path / f"{name}.json").write_bytes(report_json.encode(report))
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ("a.json b.json", 0),
        ("a.json a.json --to b.json b.json", 0),
        ("a.json bad.json", 0),
        ("bad.json a.json", 0),
        ("a.json b.json --to bad.json bad.json", 1),
        ("a.json other.json --different-plans", 0),
    ],
)
def test_it_fails_where_something_is_worse_by_more_than_noise(reports, capsys, arguments, code):
    assert load.main(["compare", *arguments.split()]) == code
    told = capsys.readouterr()
    assert told.err == ""
    assert "latency" in told.out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ("", "compare needs two reports: compare BEFORE.json AFTER.json"),
        ("a.json", "compare needs two reports"),
        ("--to a.json", "compare needs two reports"),
        ("a.json b.json bad.json", "which of these are the runs after?"),
        ("a.json gone.json", "gone.json"),
        ("a.json other.json", "the runs had different things to do ("),
        ("a.json b.json --json - --markdown -", "--json - and --markdown - can't both have stdout"),
        ("a.json b.json --json x --markdown x", "two comparisons can't go to one file, x"),
        ("a.json b.json --json /nowhere/x", "can't write the comparison: No such file"),
    ],
)
def test_what_cannot_be_compared_or_written_is_one_line(reports, capsys, arguments, says):
    assert load.main(["compare", *arguments.split()]) == 2
    told = capsys.readouterr()
    assert (told.out, told.err.count("\n")) == ("", 1)
    assert says in told.err
    assert "(see loadgen compare --help)" in told.err


@pytest.mark.parametrize("taken", [None, "json", "markdown"])
def test_each_form_goes_where_it_is_wanted_and_one_of_them_may_have_stdout(reports, capsys, taken):
    where = {form: "-" if form == taken else form for form in ("json", "markdown")}
    arguments = [f"--{form}={path}" for form, path in where.items()]
    assert (
        load.main(["compare", *["a.json", "b.json", "--to", "bad.json", "bad.json"], *arguments])
        == 1
    )
    shown = capsys.readouterr().out
    written = {form: shown if form == taken else (reports / form).read_text() for form in where}
    assert len(json.loads(written["json"])["changes"]) > 3
    assert "|" in written["markdown"]
    if taken is None:
        assert shown not in written.values()
        assert "latency" in shown


def test_colours_are_for_terminals(reports, capsys):
    assert load.main(["compare", "a.json", "b.json", "--no-color"]) == 0
    assert "\x1b" not in capsys.readouterr().out
