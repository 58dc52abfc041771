"""Runs without a process, and an app with nothing real behind it, for the tests of the console."""

from __future__ import annotations

from pathlib import Path

import pytest

from echo_trio.console.run import Run
from echo_trio.console.run_process import RunAccepted

from .app import Console


def make_run(folder: Path = Path("/nowhere")) -> Run:
    accepted = RunAccepted(
        {"count": 1, "url": "ws://there/"}, "127.0.0.1:9000", stop_timeout_s=5.0, page=False
    )
    return Run(accepted, folder)


@pytest.fixture
async def console(tmp_path: Path) -> Console:
    (tmp_path / "assets").mkdir()
    (tmp_path / "index.html").write_text("the page")
    (tmp_path / "favicon.svg").write_text("<svg/>")
    (tmp_path / ".hidden").write_text("x")
    (tmp_path / "assets" / "a-1b2c.js").write_text("script")
    (tmp_path / "assets" / "a-1b2c.js.gz").write_text("packed")
    return Console(tmp_path)
