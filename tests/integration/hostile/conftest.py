"""Collect the verdicts of a run: a table on the terminal, and JSON for the documentation."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from .attack import Attack
from .table import as_text
from .trial import BRIEF, THOROUGH, as_row, try_attack

#: Below the folder that pytest is started in.
RESULTS = Path("build", "hostile.json").absolute()
ROWS: pytest.StashKey[list[dict[str, Any]]] = pytest.StashKey()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[ROWS] = []


@pytest.fixture
def withstands(
    tmp_path: Path, request: pytest.FixtureRequest
) -> Callable[[Attack, int], list[str]]:
    """Try an attack; returns what was promised and not kept. Thoroughly in `make hostile`."""
    thorough = request.node.get_closest_marker("hostile") is not None

    def try_it(attack: Attack, count: int) -> list[str]:
        verdict = try_attack(tmp_path, attack, count, THOROUGH if thorough else BRIEF)
        rows = request.config.stash[ROWS]
        rows.append(as_row(verdict) | {"test": request.node.nodeid.split("[")[0]})
        _write(rows)
        return verdict.problems(by_the_clock=thorough)

    return try_it


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    rows = config.stash[ROWS]
    if not rows:
        return
    terminalreporter.section("what it costs the others")
    terminalreporter.write_line(as_text(rows))
    terminalreporter.write_line(f"figures: {RESULTS}")


def _write(rows: list[dict[str, Any]]) -> None:
    """Write what there is: a run that is ended half-way leaves the first half."""
    machine = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "cores": os.cpu_count(),
    }
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps({"machine": machine, "rows": rows}, indent=1) + "\n")
