"""A process ends when it is asked to, also one that is stuck."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

STUCK = """
import sys, time, trio
from echo_trio import signals

async def main():
    with signals.stopping(
        drain=lambda name, late_s: None,
        reload=lambda: None,
        give_up=lambda why: print(why, flush=True),
        budget_s=float(sys.argv[1]),
    ):
        print("stuck", flush=True)
        time.sleep(600)

trio.run(main)
"""


@pytest.mark.parametrize(
    ("budget_s", "numbers", "why"),
    [
        ("0.05", [signal.SIGTERM], "the drain hangs"),
        ("1e300", [signal.SIGTERM, signal.SIGINT], "a second signal"),
    ],
    ids=["time", "a second signal"],
)
def test_a_stuck_loop_is_ended_with_status_1(
    budget_s: str, numbers: list[signal.Signals], why: str
) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", STUCK, budget_s], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "stuck\n"
        # A first signal between the line and the sleep would be heard only after the sleep.
        while Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[0] != "S":
            os.sched_yield()
        for number in numbers:
            process.send_signal(number)
        assert process.communicate(timeout=60) == (f"{why}\n", None)
        assert process.returncode == 1
    finally:
        process.kill()
        process.communicate()
