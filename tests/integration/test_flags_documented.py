"""The reference of each program names each of its flags, and none that is not there."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

REFERENCE = Path(__file__).parents[2] / "docs" / "reference"
#: Of every program, and explained by `--help` itself.
OF_ALL = {"--help", "--version"}
#: Flags of others that the pages speak of.
FOREIGN = {
    "echo_trio": {"--no-console", "--console"},
    "loadgen": {"--no-color", "--color", "--port", "--to", "--different-plans", "--cores"}
    | {"--memory", "--files", "--run-target"},
}


@pytest.mark.parametrize(
    ("program", "page"), [("echo_trio", "server.md"), ("loadgen", "loadgen.md")]
)
def test_each_flag_stands_in_the_reference_and_none_that_is_not_there(
    program: str, page: str
) -> None:
    shown = subprocess.run(
        [sys.executable, "-m", program, "--help"], capture_output=True, text=True, check=True
    ).stdout
    flags = set(re.findall(r"^  (--[a-z-]+)", shown, re.MULTILINE)) - OF_ALL
    named = set(re.findall(r"`(--[a-z-]+)", (REFERENCE / page).read_text()))
    assert flags - FOREIGN[program] <= named
    assert named <= flags | OF_ALL | FOREIGN[program]
