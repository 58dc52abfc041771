"""Another program's order is answered in its first line, and carried out as it says."""

import json
import os
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from loadgen import signals
from loadgen.cli import from_stdin, load
from loadgen.report import html

ORDER = {
    "settings": {"count": "7", "fail-if": ["latency.p99>1s"]}, "url": "ws://h:1/",
    "targets": [["h", 1]], "max_count": 10, "html": "page.html",
}  # fmt: skip


@pytest.fixture
def order(monkeypatch, tmp_path, capsysbinary):
    """Gives an order, and the lines behind it; returns the exit code, the answer, and the run."""
    runs = []
    monkeypatch.setattr(signals, "listen", lambda: runs.append("listens"))
    monkeypatch.setattr(load, "load", lambda *run, **how: runs.append((run, how)) or 7)
    monkeypatch.chdir(tmp_path)

    def give(content, *, page=True):
        ours, theirs = os.pipe()
        os.write(theirs, content)
        os.close(theirs)
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(fileno=lambda: ours))
        monkeypatch.setattr(html, "find_problem", lambda: None if page else "not built")
        code = from_stdin.main()
        os.close(ours)
        (line,) = capsysbinary.readouterr().out.splitlines()
        assert runs.pop(0) == "listens"
        return code, json.loads(line), runs

    return give


@pytest.mark.parametrize("page", [False, True])
@pytest.mark.parametrize("kept", [False, True])
def test_an_order_is_accepted_and_begins_with_what_stands_behind_it(order, page, kept):
    more = {"name": "nightly"} | ({"history": "runs.db"} if kept else {})
    content = json.dumps(ORDER | more).encode() + b'\n{"id": 1}\n'
    code, answer, ((run, how),) = order(content, page=page)
    assert code == 7
    assert (answer["type"], answer["target"], answer["page"]) == ("accepted", "h:1", page)
    assert (answer["plan"]["count"], answer["stop_timeout_s"]) == (7, 5.0)
    (plan,) = run
    assert (plan.count, plan.url) == (7, "ws://h:1/")
    options, output = how["options"], how["output"]
    assert (options.workers, options.fail_if) == (1, ("latency.p99>1s",))
    assert options.orders.read() == b'{"id": 1}'
    assert (output.stream, output.quiet) == (True, True)
    assert output.html == ("page.html" if page else None)
    assert (output.history, output.name) == (("runs.db", "nightly") if kept else (None, None))


def test_what_is_no_run_is_refused_in_one_line(order):
    code, answer, runs = order(json.dumps(ORDER | {"max_count": 6}).encode())
    assert (code, answer["type"], answer["field"], runs) == (2, "refused", "count", [])


def test_scenarios_are_named_without_their_folder(order, tmp_path):
    folder = tmp_path / "scenarios"
    folder.mkdir()
    (folder / "s.py").write_text(
        "from loadgen.scenario import scenario\n\n\n@scenario\nasync def look(user):\n    pass\n"
    )
    settings = {"count": "1", "scenario": "s.py"}
    _, answer, ((run, _),) = order(
        json.dumps(ORDER | {"settings": settings, "scenario_dir": str(folder)}).encode()
    )
    assert answer["plan"]["scenario"] == "s.py"
    assert run[0].scenario == "s.py"
    assert Path.cwd().samefile(folder)
