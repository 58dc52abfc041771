"""Test that the cause of a user's failure is a line, and its traceback ends where it was raised."""

from __future__ import annotations

from pathlib import Path

import pytest

from loadgen.scenario.failures import MAX_LINES, find_cause

DEEP = """
def ping(depth):
    if not depth:
        raise LookupError("here")
    pong(depth - 1)

def pong(depth):
    ping(depth)
"""


@pytest.fixture
def failure(tmp_path: Path) -> tuple[BaseException, str]:
    """Return what a script raises a hundred calls deep, and the script's file."""
    file, names = tmp_path / "s.py", {}
    exec(compile(DEEP, str(file), "exec"), names)
    with pytest.raises(LookupError) as raised:
        names["ping"](100)
    return raised.value, str(file)


def test_of_a_long_traceback_the_last_lines_are_kept(failure: tuple[BaseException, str]) -> None:
    cause, text = find_cause(*failure)
    assert cause == "LookupError at s.py:4"
    lines = text.splitlines()
    assert len(lines) == MAX_LINES
    assert lines[-1] == "LookupError: here"


def test_a_traceback_has_the_scripts_own_lines_and_ours_only_where_there_are_no_others(
    tmp_path: Path,
) -> None:
    file, names = tmp_path / "s.py", {"find_cause": find_cause}
    exec(compile("def f():\n    find_cause(ValueError(), None)\n", str(file), "exec"), names)
    with pytest.raises(TypeError) as raised:
        names["f"]()
    cause, text = find_cause(raised.value, str(file))
    assert cause == "TypeError at s.py:2"
    assert [line for line in text.splitlines() if line.startswith("  File")] == [
        f'  File "{file}", line 2, in f'
    ]
    _, text = find_cause(raised.value, "another.py")
    assert "failures.py" in text


def test_of_several_exceptions_the_first_is_the_cause(failure: tuple[BaseException, str]) -> None:
    exc, file = failure
    group = BaseExceptionGroup("", [BaseExceptionGroup("", [exc]), ValueError()])
    assert find_cause(group, file)[0] == "LookupError at s.py:4"
    assert find_cause(ValueError("ours"), file)[0] == "ValueError at the load generator"
