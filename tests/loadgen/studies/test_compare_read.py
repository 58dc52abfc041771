"""Files are read as reports if they are ones of this schema, and named if they are not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from loadgen.report import json as report_json
from loadgen.studies.compare import compare
from loadgen.studies.compare_read import MAX_BYTES, MAX_NAMED, Unreadable, read


@pytest.fixture
def document(report_of) -> dict[str, Any]:
    decoded: dict[str, Any] = json.loads(report_json.encode(report_of()))
    return decoded


@pytest.fixture
def write(tmp_path):
    def to(name: str, content: Any) -> Path:
        path = tmp_path / name
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return path

    return to


def test_reports_are_read_by_the_names_of_their_files_with_all_that_is_compared(document, write):
    paths = [write("a.json", document), write("b.json", document)]
    reports = read(paths)
    assert list(reports) == [str(path) for path in paths]
    one, other = ({"x": report} for report in (reports[str(paths[0])], document))
    assert compare(one, {"y": document}).changes == compare(other, {"y": document}).changes
    for key in ("plan", "messages", "verdict", "verdict_reasons", "interrupted", "changes"):
        assert reports[str(paths[0])][key] == document[key], key


def test_what_an_older_report_lacks_is_nothing(document, write):
    least = {key: document[key] for key in ("schema", "connections", "messages")}
    (report,) = read([write("a.json", least)]).values()
    assert report["generator"]["processes"] == 1
    assert (report["interrupted"], report["verdict"], report["latency"]) == (False, "", {})
    assert report["steps"] == report["checks"] == report["streams"] == report["changes"] == []
    assert compare({"a": report}, {"b": report}).notes == []


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"schema": 2}, "is no report of a run with schema 1"),
        ({"schema": 0}, "is no report of a run with schema 1"),
        ({"generator": {"processes": 0}}, "is no JSON report of a run"),
        ({"histograms": {"intended": "x"}}, "is no JSON report of a run"),
        ({"histograms": {"service": "x"}}, "is no JSON report of a run"),
        ({"verdict_reasons": ["x"] * 1001}, "is no JSON report of a run"),
        ({"steps": [{}] * (MAX_NAMED + 1)}, "is no JSON report of a run"),
        ({"messages": None}, "is no JSON report of a run"),
    ],
)
def test_a_file_that_is_no_report_is_named_with_why(document, write, changed, problem):
    path = write("damaged.json", document | changed)
    with pytest.raises(Unreadable, match=problem) as caught:
        read([write("whole.json", document), path])
    assert str(path) in str(caught.value)


def test_as_many_reasons_steps_and_processes_as_a_run_may_have_are_read(document, write):
    full = {
        "verdict_reasons": ["x"] * 1000, "steps": [{}] * MAX_NAMED, "checks": [{}] * MAX_NAMED,
        "generator": {"processes": 1}, "histograms": {"intended": None, "service": None},
    }  # fmt: skip
    (report,) = read([write("full.json", document | full)]).values()
    assert len(report["steps"]) == MAX_NAMED == 10_000
    assert MAX_BYTES == 2**27


def test_a_file_that_is_not_there_is_named_with_why(tmp_path):
    with pytest.raises(Unreadable, match=r"can't read .*none\.json: No such file"):
        read([tmp_path / "none.json"])
