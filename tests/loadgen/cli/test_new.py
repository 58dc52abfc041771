"""A sample scenario is written where nothing is, and nowhere else."""

import ast

import pytest

from loadgen.cli.new import new
from loadgen.scenario.sample import make_sample


def test_a_sample_is_written_and_what_to_do_with_it_said(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert new("chat.py") == 0
    written = (tmp_path / "chat.py").read_text()
    assert written == make_sample("chat.py")
    ast.parse(written)
    assert capsys.readouterr() == (
        "",
        "wrote chat.py; try it: python -m loadgen 1 --scenario chat.py --trace\n",
    )
    (tmp_path / "chat.py").write_text("mine")
    assert new("chat.py") == 2
    assert (tmp_path / "chat.py").read_text() == "mine"
    assert "chat.py is there already, and is left as it is" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("chat.txt", "chat.txt: a scenario is a Python file, so its name ends with .py"),
        ("nowhere/chat.py", "can't write nowhere/chat.py: No such file or directory"),
    ],
)
def test_where_none_can_be_that_is_one_line(tmp_path, monkeypatch, capsys, name, says):
    monkeypatch.chdir(tmp_path)
    assert new(name) == 2
    assert capsys.readouterr().err == f"loadgen: {says} (see loadgen new --help)\n"
    assert list(tmp_path.iterdir()) == []
