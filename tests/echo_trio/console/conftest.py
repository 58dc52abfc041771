"""Runs without a process, for the tests of the console."""

from __future__ import annotations

from pathlib import Path

from echo_trio.console.run import Run
from echo_trio.console.run_process import RunAccepted


def make_run(folder: Path = Path("/nowhere")) -> Run:
    accepted = RunAccepted(
        {"count": 1, "url": "ws://there/"}, "127.0.0.1:9000", stop_timeout_s=5.0, page=False
    )
    return Run(accepted, folder)
