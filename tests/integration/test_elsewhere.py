"""The systems that this suite does not run on, as far as they can be had here (tests/elsewhere)."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PATH = os.pathsep.join([str(ROOT / "tests/elsewhere"), str(ROOT)])


#: What is installed on demand may be missing.
IMPORT_ALL = """if True:
    import importlib, pkgutil, sys
    import echo_trio, loadgen
    for package in (echo_trio, loadgen):
        for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
            if module.name.endswith(".__main__"):
                continue
            try:
                importlib.import_module(module.name)
            except ModuleNotFoundError as exc:
                if exc.name.partition(".")[0] not in {"distributed", "opentelemetry"}:
                    raise
    from echo_trio.wire import poller
    print(sys.platform, poller.AVAILABLE)
"""


def run_on(platform: str, *command: str) -> subprocess.CompletedProcess[str]:
    """Run Python where our packages find themselves on another system."""
    return subprocess.run(
        [sys.executable, *command],
        capture_output=True, text=True, check=False,
        # cp1252 is what pipes take on Windows.
        env=os.environ | {"PYTHONPATH": PATH, "PYTHONIOENCODING": "cp1252", "ELSEWHERE": platform},
    )  # fmt: skip


@pytest.mark.parametrize("platform", ["darwin", "win32"])
def test_every_module_can_be_imported_where_a_system_lacks_what_linux_has(platform: str) -> None:
    done = run_on(platform, "-c", IMPORT_ALL)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "linux False\n"


def test_server_proxy_generator_and_plugin_work_where_a_system_lacks_most() -> None:
    """As on Windows; `make elsewhere` has the same as on macOS."""
    check = str(ROOT / "scripts/system_check.py")
    done = run_on("win32", check, "--sockets", "100", "--duration", "2s", "--one-process")
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
