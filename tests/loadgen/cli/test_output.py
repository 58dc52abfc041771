"""A report goes to every place that was named, and what keeps it from that is known before."""

import errno
import json
import os
import subprocess
import sys
import tempfile

import msgspec
import pytest

from loadgen.cli import output
from loadgen.cli.output import Output, warn
from loadgen.history import file
from loadgen.report import html, text
from loadgen.results.ledger import Ledger


def test_every_file_is_written_and_the_summary_too(report_of, tmp_path, capsys):
    output = Output(json=str(tmp_path / "a.json"), csv=str(tmp_path / "a.csv"))
    assert output.find_problem() is None
    assert output.write(report_of())
    assert json.loads((tmp_path / "a.json").read_text())["schema"] == 1
    assert (tmp_path / "a.csv").read_text().startswith("t_s,open,")
    assert "VALID" in capsys.readouterr().out


def test_what_takes_stdout_has_it_for_itself(report_of, tmp_path, capsysbinary):
    output = Output(json="-", csv=str(tmp_path / "a.csv"))
    assert output.write(report_of())
    assert json.loads(capsysbinary.readouterr().out)["schema"] == 1


def test_the_last_line_of_the_stream_is_the_report_on_one_line(report_of, capsysbinary):
    assert Output(stream=True).write(report_of())
    out = capsysbinary.readouterr().out
    assert out.count(b"\n") == 1
    assert json.loads(out)["schema"] == 1


def test_a_full_disk_withholds_no_other_report(report_of, tmp_path, capsys):
    output = Output(json="/dev/full", csv=str(tmp_path / "a.csv"))
    assert not output.write(report_of())
    out, err = capsys.readouterr()
    assert "VALID" in out
    assert err == "loadgen: can't write the report to /dev/full: No space left on device\n"
    assert (tmp_path / "a.csv").exists()


@pytest.mark.parametrize(
    ("output", "problem"),
    [
        pytest.param(Output(json="-", stream=True), "can't both have stdout", id="stdout"),
        pytest.param(Output(csv="--quiet"), "--csv needs a file", id="a-flag"),
        pytest.param(Output(json="/tmp/x", csv="/tmp/x"), "can't go to one file", id="same"),
        pytest.param(Output(junit="-", markdown="-"), "can't both have stdout", id="both"),
        pytest.param(Output(csv="/nowhere/x"), "can't write the report to", id="nowhere"),
    ],
)
def test_what_cannot_be_written_is_known_before_the_run(output, problem):
    assert problem in output.find_problem()


FORMS = ("json", "csv", "html", "junit", "markdown")


@pytest.fixture
def page(monkeypatch, tmp_path):
    """A built page, of nothing but the place of its report."""
    template = tmp_path / "template.html"
    template.write_text('<script type="application/json" id="loadgen-report">null</script>')
    monkeypatch.setattr(html.find_problem, "__defaults__", (template,))
    monkeypatch.setattr(html.render, "__defaults__", (template,))


def test_each_form_goes_to_its_own_file(report_of, tmp_path, page, capsys):
    files = {form: str(tmp_path / form) for form in FORMS}
    output = Output(**files, history=str(tmp_path / "runs.db"), name="nightly")
    assert output.files == {f"--{form}": path for form, path in files.items()}
    assert output.find_problem() is None
    assert sorted(each.name for each in tmp_path.iterdir()) == ["template.html"]
    assert output.write(report_of())
    begins = {"json": "{", "csv": "t_s,", "html": "<script", "junit": "<?xml", "markdown": "#"}
    for form, path in files.items():
        text = (tmp_path / form).read_text()
        assert text.lstrip().startswith(begins[form]), (form, text[:40], path)
    for form in ("junit", "markdown"):
        assert "nightly" in (tmp_path / form).read_text()
    (kept,) = file.read(tmp_path / "runs.db", last=2)
    assert (kept.name, kept.verdict) == ("nightly", "valid")
    assert "VALID" in capsys.readouterr().out


def test_what_was_opened_before_the_run_is_what_is_written_to(report_of, tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    output = Output(csv=str(pipe))
    assert output.find_problem() is None
    pipe.rename(tmp_path / "elsewhere")  # Who opens its name now finds another file.
    assert output.write(report_of())
    assert os.read(reader, 6) == b"t_s,op"
    os.close(reader)
    assert not pipe.exists()


@pytest.mark.parametrize(
    ("given", "flag"),
    [
        ({}, None),
        ({"json": "x"}, None),
        ({"json": "x", "csv": "y", "html": "z"}, "--csv"),
        ({"html": "z", "stream": True}, "--html"),
        ({"history": "h", "stream": True}, "--history"),
        ({"stream": True}, "--stream"),
        ({"markdown": "-", "history": "h"}, "--markdown"),
    ],
    ids=str,
)
def test_a_search_can_have_no_form_of_one_run(given, flag):
    assert Output(**given).of_one_run == flag


@pytest.mark.parametrize(
    ("given", "taking"),
    [
        ({}, []),
        ({"json": "x"}, []),
        ({"json": "-"}, ["--json -"]),
        ({"csv": "/dev/stdout"}, ["--csv -"]),
        ({"stream": True}, ["--stream"]),
        ({"json": "-", "markdown": "/dev/fd/1", "stream": True},
         ["--json -", "--markdown -", "--stream"]),
    ],
    ids=str,
)  # fmt: skip
def test_who_wants_stdout_for_itself_is_named(given, taking):
    assert Output(**given).takes_stdout == taking


@pytest.mark.parametrize(
    ("given", "journal", "is_named", "problem"),
    [
        ({"name": "n"}, None, False, "--name is for what has a run's name in it"),
        ({"name": "n"}, None, True, None),
        ({"name": "n", "history": "h"}, None, False, None),
        ({"name": "n", "junit": "j"}, None, False, None),
        ({"name": "n", "markdown": "m"}, None, False, None),
        ({"name": "n", "json": "j"}, None, False, "--name is for"),
        ({"json": "x", "csv": "./x"}, None, False, "two reports can't go to one file, x"),
        ({"json": "x"}, "./x", False, "a report and the journal can't go to one file, x"),
        ({"json": "x", "history": "x"}, None, False,
         "a report and the history can't go to one file, x"),
        ({"history": "x"}, "x", False, "the history and the journal can't go to one file, x"),
        ({"json": "x"}, "y", False, None),
        ({"csv": "-x"}, None, False, "--csv needs a file, or - for stdout, before -x"),
        ({"history": "--json"}, None, False, "--history needs a file before --json"),
        ({"history": "other"}, None, False, "other is no history of runs; it is left as it is"),
        ({"history": "nowhere/x"}, None, False, "can't add the report to nowhere/x"),
        ({"json": "nowhere/x"}, None, False,
         "can't write the report to nowhere/x: there is no folder nowhere"),
        ({"json": "folder"}, None, False, "can't write the report to folder: it is a directory"),
    ],
    ids=str,
)  # fmt: skip
def test_what_would_keep_a_report_from_being_written_is_said_before(
    tmp_path, monkeypatch, given, journal, is_named, problem
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
    (tmp_path / "folder").mkdir()
    (tmp_path / "other").write_text("x" * 200)
    found = Output(**given).find_problem(journal, is_named=is_named)
    assert (found is None) if problem is None else problem in found
    assert sorted(each.name for each in tmp_path.iterdir()) == ["folder", "other"]


def test_github_shows_a_runs_name(monkeypatch):
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    assert Output(name="n").find_problem() is None


@pytest.mark.parametrize("actions", [None, "false", "true"])
def test_on_github_what_went_wrong_is_annotated(monkeypatch, report_of, capsys, actions):
    if actions is not None:
        monkeypatch.setenv("GITHUB_ACTIONS", actions)
    bad = msgspec.structs.replace(report_of(), verdict="failed", verdict_reasons=["it was"])
    assert Output(quiet=True).write(bad)
    assert ("::error" in capsys.readouterr().err) is (actions == "true")


@pytest.mark.parametrize(
    ("ledger", "interrupted", "shown"),
    [(None, False, True), (Ledger(5), False, False), (Ledger(5), True, True)],
    ids=["opened", "nothing opened", "interrupted"],
)
def test_of_a_run_that_opened_nothing_one_line_has_said_it_all(
    report_of, capsys, ledger, interrupted, shown
):
    assert Output().write(report_of(ledger, interrupted=interrupted))
    assert bool(capsys.readouterr().out) is shown


@pytest.mark.parametrize("json_to", [None, "-", "file"])
def test_what_is_no_report_goes_where_it_would_and_its_summary_beside_it(tmp_path, capsys, json_to):
    path = str(tmp_path / "x") if json_to == "file" else json_to
    output = Output(json=path)
    assert output.find_problem() is None
    assert output.write_bytes(b"{}\n", "the summary \ud800")
    summary = "the summary ?\n"
    assert capsys.readouterr().out == {None: summary, "-": "{}\n", "file": summary}[json_to]
    assert json_to != "file" or (tmp_path / "x").read_bytes() == b"{}\n"
    assert not Output(json="/dev/full").write_bytes(b"{}", "the summary")


@pytest.mark.parametrize(
    ("number", "code", "told"),
    [(errno.EPIPE, True, ""), (errno.EIO, True, ""),
     (errno.ENOSPC, False, "loadgen: can't write the report: No space left on device\n")],
)  # fmt: skip
def test_a_reader_that_has_seen_enough_is_no_failure(
    monkeypatch, report_of, capsys, number, code, told
):
    def fail(*_, **__):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(text, "write", fail)
    assert Output().write(report_of()) is code
    assert capsys.readouterr().err == told


def test_a_warning_is_one_line_and_no_secret(capsys):
    warn("can't dial ws://u:s3cret@h/?token=s3cret \x1b[2J")
    assert capsys.readouterr().err == "loadgen: can't dial ws://***@h/?token=*** \\x1b[2J\n"


def test_streams_that_were_closed_are_opened_before_a_socket_gets_their_numbers():
    code = (
        "import os, sys; from loadgen.cli.output import replace_closed_streams as replace; "
        "replace(); lowest = os.open(os.devnull, os.O_RDONLY); "
        "open(sys.argv[1], 'w').write(repr((lowest > 2, sys.stdout.fileno(), sys.stderr.fileno())))"
    )
    for closed in ("<&- >&- 2>&-", ">&-", "2>&-", ""):
        with tempfile.NamedTemporaryFile("r") as file:
            subprocess.run(["sh", "-c", f'exec "$@" {closed}', "sh", sys.executable, "-c", code,
                            file.name], check=True, stdout=subprocess.DEVNULL)  # fmt: skip
            assert file.read() == "(True, 1, 2)", closed


def test_a_page_that_is_not_built_keeps_those_from_running_that_want_one(monkeypatch, tmp_path):
    monkeypatch.setattr(html, "find_problem", lambda: "it is not built")
    assert Output(html=str(tmp_path / "x")).find_problem() == "it is not built"
    assert Output(json=str(tmp_path / "x")).find_problem() is None


def test_only_a_reader_of_stdout_may_leave_before_all_is_written(monkeypatch, capsys):
    def fail():
        raise BrokenPipeError(errno.EPIPE, "gone")

    discarded = []
    monkeypatch.setattr(output, "discard_stdout", lambda: discarded.append(True))
    assert (output._attempt(fail, "-"), discarded) == (True, [True])
    assert capsys.readouterr().err == ""
    assert (output._attempt(fail, "/a/pipe"), discarded) == (False, [True])
    assert "can't write the report to /a/pipe: gone" in capsys.readouterr().err


def test_stdout_that_is_closed_is_not_written_to(monkeypatch, report_of, capsys):
    for is_open in (False, True):
        monkeypatch.setattr(output, "_is_stdout_open", lambda is_open=is_open: is_open)
        assert Output().write(report_of())
        assert bool(capsys.readouterr().out) is is_open
