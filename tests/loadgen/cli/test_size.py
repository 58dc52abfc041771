"""What a run takes is computed for these machines, or for those that are named."""

import json

import pytest

from loadgen.cli import load, size
from loadgen.preflight import sizing


def machine(cores, memory_bytes, files):
    return sizing.Machine(cores=cores, memory_bytes=memory_bytes, files=files)


@pytest.fixture
def sized(monkeypatch):
    """What was asked for: the arguments of `sizing.size`."""
    asked, compute = [], sizing.size

    def note(*arguments):
        asked.append(arguments)
        return compute(*arguments)

    monkeypatch.setattr(size.sizing, "size", note)
    monkeypatch.setattr(size.units, "parse_processes", lambda text: {"auto": 3}[text])
    monkeypatch.setattr(size.process, "machine_memory_bytes", lambda: 5 * 2**30)
    monkeypatch.setattr(size.process, "file_limit", lambda *, hard: 7000 if hard else 1)
    return asked


def test_the_machines_are_as_this_one_unless_said_otherwise(sized, capsys):
    assert load.main(["plan", "1000"]) == 0
    assert load.main(
        ["plan", "1000", "ws://a.example/", "--rate", "5/s", "--cores", "2", "--memory", "1GiB",
         "--files", "100"]
    ) == 0  # fmt: skip
    assert sized == [
        (
            1000,
            "ws://127.0.0.1:8765/",
            1000.0,
            sizing.Machine(cores=3, memory_bytes=5 * 2**30, files=7000),
        ),
        (1000, "ws://a.example/", 5.0, sizing.Machine(cores=2, memory_bytes=2**30, files=100)),
    ]
    assert capsys.readouterr().out.count("ws://") >= 2


def test_no_process_has_more_files_than_linux_lets_one_have(sized, monkeypatch, capsys):
    monkeypatch.setattr(size.process, "file_limit", lambda *, hard: 2**40)
    assert load.main(["plan", "1000", "--rate", "0/s"]) == 0
    assert (sized[0][2], sized[0][3].files) == (0.0, 2**20)


@pytest.mark.parametrize("to", ["file", "stdout"])
def test_json_goes_to_a_file_beside_the_text_or_alone_to_stdout(sized, tmp_path, capsys, to):
    path = tmp_path / "plan.json"
    assert load.main(["plan", "1000", "--json", "-" if to == "stdout" else str(path)]) == 0
    shown = capsys.readouterr().out
    written = shown if to == "stdout" else path.read_text()
    assert isinstance(json.loads(written), dict)
    assert written.endswith("}\n")
    assert (shown == written) is (to == "stdout")
    assert to == "stdout" or "1,000" in shown


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["http://x/"], "begin it with ws://"),
        (["ws://h/", "--json", "/nowhere/x"], "can't write the plan: No such file or directory"),
        (["ws://h/", "--cores", "0"], "It has to be from 1 to"),
        (["ws://h/", "--files", "0"], "It has to be from 1 to"),
    ],
)
def test_what_cannot_be_computed_or_written_is_one_line(capsys, arguments, says):
    assert load.main(["plan", "1000", *arguments]) == 2
    told = capsys.readouterr()
    assert told.err.count("\n") == 1
    assert says in told.err
    assert "(see loadgen plan --help)" in told.err


def test_no_sockets_are_none():
    assert load.main(["plan", "0"]) == 2
