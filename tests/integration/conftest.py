"""Real processes for the tests: the server on a free port, ended by its own pid."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest

READY = re.compile(r"ready ws=(\S+) console=(\S+)\n")


@dataclass
class ServerProcess:
    """`python -m echo_trio`, running."""

    process: subprocess.Popen[str]
    url: str
    console: str
    _log: Path = field(repr=False)

    @property
    def descriptors(self) -> int:
        return psutil.Process(self.process.pid).num_fds()

    @property
    def resident_bytes(self) -> int:
        return psutil.Process(self.process.pid).memory_info().rss

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Signal it, and wait for its exit code."""
        self.process.send_signal(number)
        return self.process.wait(timeout=120)

    @property
    def log(self) -> str:
        return self._log.read_text()

    @property
    def events(self) -> list[dict[str, Any]]:
        """What it logged, with --log-format json."""
        return [json.loads(line) for line in self.log.splitlines()]

    @property
    def summary(self) -> dict[str, Any]:
        """What it counted, once it has stopped."""
        (event,) = [event for event in self.events if event["event"] == "stopped"]
        return event


@pytest.fixture
def start_server(tmp_path: Path) -> Iterator[Callable[..., ServerProcess]]:
    """Start servers on free ports; whatever still runs at the end is killed."""
    with _servers(tmp_path) as start:
        yield start


@pytest.fixture(scope="module")
def console(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """One server with a console for all tests of a module that leave it as it was."""
    with _servers(tmp_path_factory.mktemp("console")) as start:
        yield start(console=True)


@contextmanager
def _servers(tmp_path: Path) -> Iterator[Callable[..., ServerProcess]]:
    processes: list[subprocess.Popen[str]] = []

    def start(*flags: str, console: bool = False) -> ServerProcess:
        log = tmp_path / f"server-{len(processes)}.log"
        flags += ("--console-port", "0") if console else ("--no-console",)
        with log.open("w") as stderr:
            process = subprocess.Popen(
                [sys.executable, "-m", "echo_trio", "--port", "0", "--log-format", "json", *flags],
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
            )
        processes.append(process)
        assert process.stdout is not None
        line = process.stdout.readline()
        ready = READY.fullmatch(line)
        assert ready, f"no ready line but {line!r}; log: {log.read_text()}"
        return ServerProcess(process, ready[1], ready[2], log)

    try:
        yield start
    finally:
        for process in processes:
            if process.poll() is None:
                process.kill()
            process.communicate()
