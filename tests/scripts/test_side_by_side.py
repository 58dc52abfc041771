"""Run tests in forks of one pytest: each test once, whatever happens to a fork."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "side_by_side.py"
#: Each fork has one module's tests at a time, and two run at once: each of the first waits for the
#: other to be in another process.
TOGETHER = """
import os, time

def meet(mine, other):
    open(mine, "w").write(str(os.getpid()))
    while not (os.path.exists(other) and open(other).read()):
        time.sleep(0.01)
    assert open(other).read() != str(os.getpid())

def test_meets():
    meet({mine!r}, {other!r})

def test_prints_and_is_captured(capfd):
    print({mine!r})
    assert capfd.readouterr().out == {mine!r} + "\\n"
"""
FAILING = """
import os, pytest

@pytest.fixture(scope="module")
def begun(tmp_path_factory):
    return tmp_path_factory.mktemp("begun")

def test_passes(begun):
    assert begun.exists()

def test_fails(begun):
    print("said by", os.getpid())
    assert [1] == [2], str(begun)

@pytest.mark.skip
def test_is_skipped():
    raise AssertionError
"""
DYING = """
import os, signal

def test_dies():
    os.kill(os.getpid(), signal.SIGKILL)

def test_never_begins():
    pass
"""

#: The script, where the processors have as much to do as the test says.
WITH_IDLE = """
import sys

sys.path.insert(0, {folder!r})
import side_by_side

side_by_side.find_idle_percent = lambda: {idle_percent}
side_by_side.LOOK_S = 0.05
sys.exit(side_by_side.main(sys.argv[1:]))
"""
#: Waits for as many processes as there are to be, and for some looks at the processors.
SLOW = """
import os, time

def test_notes():
    with open({pids!r}, "a") as pids:
        pids.write(f"{{os.getpid()}}\\n")
    time.sleep(0.3)
    while len(set(open({pids!r}).read().split())) < {forks}:
        time.sleep(0.01)
"""


def run(
    folder: Path, *arguments: str, forks: str = "2", idle_percent: float = 0.0, **files: str
) -> subprocess.CompletedProcess[str]:
    for name, text in files.items():
        (folder / f"test_{name}.py").write_text(text)
    # None of the installed plugins is needed, and to import them takes longer than all else.
    environment = os.environ | {
        "PYTEST_ADDOPTS": "", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "COLUMNS": "100",
    }  # fmt: skip
    script = WITH_IDLE.format(folder=str(SCRIPT.parent), idle_percent=idle_percent)
    return subprocess.run(
        [sys.executable, "-c", script, forks, "-ra", *arguments, str(folder)],
        cwd=folder, env=environment, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


def test_every_test_runs_once_in_one_of_the_forks_and_its_failure_is_shown(tmp_path):
    one, two = str(tmp_path / "one"), str(tmp_path / "two")
    done = run(
        tmp_path,
        one=TOGETHER.format(mine=one, other=two),
        two=TOGETHER.format(mine=two, other=one),
        failing=FAILING,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert "1 failed, 5 passed, 1 skipped" in done.stdout
    assert "assert [1] == [2]" in done.stdout  # what pytest makes of an assertion
    assert "SKIPPED [1] test_failing.py" in done.stdout
    assert "said by" in done.stdout  # what was captured
    assert done.stderr == ""


@pytest.mark.parametrize(("idle_percent", "forks"), [(16.0, 4), (15.0, 2)])
def test_more_are_begun_up_to_the_most_while_the_processors_have_time(
    tmp_path, idle_percent, forks
):
    pids = tmp_path / "pids"
    tests = {f"slow_{number}": SLOW.format(pids=str(pids), forks=forks) for number in range(12)}
    done = run(tmp_path, forks="2-4", idle_percent=idle_percent, **tests)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "12 passed" in done.stdout
    ran = pids.read_text().split()
    assert (len(ran), len(set(ran))) == (12, forks)


def test_all_that_a_fork_had_taken_fails_when_it_dies(tmp_path):
    done = run(tmp_path, dying=DYING, failing=FAILING.replace("[1] == [2]", "begun"))
    assert done.returncode == 1, done.stdout + done.stderr
    assert "2 failed, 2 passed, 1 skipped" in done.stdout
    assert "signal 9 killed a fork" in done.stdout
    assert "had taken this test has died" in done.stdout


def test_nothing_is_run_where_pytest_runs_nothing(tmp_path):
    assert run(tmp_path, broken="import nothing_of_this_name").returncode == 2
    (tmp_path / "test_broken.py").unlink()
    done = run(tmp_path, "--collect-only", dying=DYING)
    assert (done.returncode, done.stderr) == (0, "")
    assert run(tmp_path, "-k", "nothing-of-this-name").returncode == 5


def test_it_stops_at_the_first_failure_if_told_to(tmp_path):
    many = "".join(f"def test_{n}(): assert False\n" for n in range(500))
    done = run(tmp_path, "-x", many=many)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "stopping after" in done.stdout
    assert "500 failed" not in done.stdout
