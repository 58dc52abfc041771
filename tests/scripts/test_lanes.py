"""Run lanes of make's targets: in order within one, beside each other, until the first failure."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

LANES = Path(__file__).parents[2] / "scripts" / "lanes.py"
#: The last of these goes on until it is ended; the one before fails once the other has begun.
MAKEFILE = """
.RECIPEPREFIX = >
first:
> @echo one; echo first >> order
second:
> @echo two; echo second >> order
broken:
> @while [ ! -s pid ]; do sleep 0.05; done; echo what broke; exit 3
long:
> @echo $$$$ > pid; exec sleep 600
never:
> @echo never >> order
share share-of-others:
> @echo niceness $$(nice) $$(cat /proc/self/autogroup 2>/dev/null | sed 's/.* nice /group /')
"""


def run_lanes(folder: Path, *lanes: str) -> subprocess.CompletedProcess[str]:
    (folder / "Makefile").write_text(MAKEFILE)
    command = [sys.executable, str(LANES), *lanes]
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=120, check=False
    )


def test_targets_of_a_lane_are_made_in_order_and_each_is_shown_in_one_piece(tmp_path):
    done = run_lanes(tmp_path, "first second")
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "order").read_text() == "first\nsecond\n"
    assert "one\n── first: " in done.stdout
    assert "two\n── second: " in done.stdout


def test_the_first_failure_ends_every_lane_and_is_shown_last(tmp_path):
    done = run_lanes(tmp_path, "first broken never", "long never")
    assert done.returncode == 1
    assert "what broke\n" in done.stdout.partition("── failed: broken: ")[0]
    assert done.stdout.splitlines()[-1].startswith("── failed: broken: ")
    assert (tmp_path / "order").read_text() == "first\n"
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


def test_a_spare_lane_is_nicer_to_the_others_than_they_to_each_other(tmp_path):
    done = run_lanes(tmp_path, "share-of-others first", "--spare", "share second")
    assert (done.returncode, done.stderr) == (0, "")
    told = {target: said for said, target in re.findall(r"niceness (.+)\n── (.+):", done.stdout)}
    assert told.keys() == {"share-of-others", "share"}
    assert told["share"].split()[0] == str(min(os.nice(0) + 10, 19)) != "0"
    assert told["share-of-others"].split()[0] == str(os.nice(0))
    # Where the kernel shares among sessions first, those of the lane are as nice.
    if Path("/proc/self/autogroup").exists():
        assert told["share"].endswith(" group 10")
        assert told["share-of-others"].endswith(" group 0")
