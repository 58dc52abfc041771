import json

import pytest

from loadgen.cli.output import Output


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
