"""Every test that docs/explanation/robustness.md names as a witness is there."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs" / "explanation" / "robustness.md"
NAMED = re.compile(r"`(tests/[\w/]+\.py)(?:::(\w+))?`")


def test_every_witness_that_the_page_names_exists() -> None:
    named = NAMED.findall(PAGE.read_text())
    assert len(named) > 60
    for path, name in named:
        source = ROOT / path
        assert source.is_file(), path
        defined = re.findall(r"^(?:async )?def (\w+)\(", source.read_text(), re.MULTILINE)
        assert not name or name in defined, f"{path} has no {name}"


def test_every_line_of_its_tables_names_a_witness() -> None:
    rows = [line for line in PAGE.read_text().splitlines() if line.startswith("| ")]
    headers = {index for index, line in enumerate(rows) if line.startswith("| --- ")}
    for index, line in enumerate(rows):
        if index not in headers and index + 1 not in headers:
            assert NAMED.search(line), line
