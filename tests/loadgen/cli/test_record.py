"""Recorded traffic becomes a scenario on stdout, and its secrets a row beside it."""

import csv

import pytest

from loadgen.cli import record as record_module
from loadgen.cli.record import record
from loadgen.scenario.traffic import NoTraffic


class Secrets:
    """The secrets of traffic that has these."""

    def __init__(self, **columns):
        self.columns = columns


@pytest.fixture
def traffic(tmp_path, monkeypatch):
    """A file, and a way to say what is made of it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "t.har").write_bytes(b"traffic")

    def make(script="the script\n", **columns):
        def convert(content, name):
            assert (content, name) == (b"traffic", "t.har")
            if script is None:
                raise NoTraffic("it holds no messages")
            return script, Secrets(**columns)

        monkeypatch.setattr(record_module, "convert", convert)
        return str(tmp_path / "t.har")

    return make


def test_a_scenario_without_secrets_is_the_script_alone(traffic, tmp_path, capsys):
    assert record(traffic()) == 0
    assert capsys.readouterr() == ("the script\n", "")
    assert record(traffic(), rows="rows.csv") == 0
    assert capsys.readouterr().err.endswith("t.har has no secrets: rows.csv is not written\n")
    assert not (tmp_path / "rows.csv").exists()


def test_the_secrets_are_one_row_of_their_own_or_their_columns_are_named(traffic, tmp_path, capsys):
    path = traffic(token='a,"b"\n', user="ü")
    assert record(path) == 0
    assert capsys.readouterr() == (
        "the script\n", "loadgen: secrets.csv needs token, user: --rows FILE writes them\n"
    )  # fmt: skip
    assert record(path, rows="rows.csv") == 0
    assert capsys.readouterr() == ("the script\n", "")
    with (tmp_path / "rows.csv").open(newline="", encoding="utf-8") as file:
        assert list(csv.reader(file)) == [["token", "user"], ['a,"b"\n', "ü"]]
    (tmp_path / "rows.csv").write_text("mine")
    assert record(path, rows="rows.csv") == 2
    told = capsys.readouterr()
    assert (told.out, (tmp_path / "rows.csv").read_text()) == ("", "mine")
    assert "rows.csv is there already, and is left as it is" in told.err


@pytest.mark.parametrize(
    ("file", "script", "rows", "says"),
    [
        ("gone.har", "x", None, "can't read gone.har: No such file or directory"),
        ("t.har", None, None, "t.har: it holds no messages"),
        ("t.har", "x", "nowhere/r.csv", "can't write nowhere/r.csv: No such file or directory"),
    ],
)
def test_what_cannot_be_read_or_written_is_one_line(traffic, capsys, file, script, rows, says):
    traffic(script, token="a")
    assert record(file, rows=rows) == 2
    assert capsys.readouterr() == ("", f"loadgen: {says} (see loadgen record --help)\n")
