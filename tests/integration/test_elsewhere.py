"""The systems that this suite does not run on, as far as they can be had here (tests/elsewhere)."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
PATH = os.pathsep.join([str(ROOT / "tests/elsewhere"), str(ROOT)])


def test_server_generator_and_plugin_work_where_all_that_windows_lacks_is_hidden() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "scripts/system_check.py", "--sockets", "200", "--one-process"],
        capture_output=True, text=True, check=False,
        # The last is what pipes take on Windows.
        env=os.environ | {"PYTHONPATH": PATH, "PYTHONIOENCODING": "cp1252"},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def test_what_is_hidden_is_hidden_from_us_alone() -> None:
    done = subprocess.run(
        [sys.executable, "-c", """if True:
            import fcntl, os, select
            from echo_trio.wire import poller, process, sockets
            from loadgen.engine import stamps
            from loadgen.journal import locks
            assert fcntl.flock and select.epoll and os.O_CLOEXEC
            print(poller.AVAILABLE, sockets.SPREADS, stamps.AVAILABLE, locks.AVAILABLE,
                  process.file_limit() == process.UNLIMITED_FILES, process.peak_rss_bytes() > 2**20)
            """],
        capture_output=True, text=True, check=True,
        env=os.environ | {"PYTHONPATH": PATH},
    )  # fmt: skip
    assert done.stdout == "False False False False True True\n"
