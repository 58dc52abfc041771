"""Real processes for the tests: the server on a free port, ended by its own pid."""

from __future__ import annotations

import functools
import json
import os
import re
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import httpx._transports.default as httpx_transports
import psutil
import pytest

from . import books
from .starter import Started, starter

# Each client of httpx reads the system's authorities, for 27 ms: all may have the same context.
httpx_transports.create_ssl_context = functools.cache(httpx_transports.create_ssl_context)

# Under nohup a SIGHUP is ignored, and every program that is started here would inherit that.
if signal.getsignal(signal.SIGHUP) == signal.SIG_IGN:
    signal.signal(signal.SIGHUP, lambda *_: None)

#: How long a server may take to be gone whose clients are; a hang guard, and for who has clients.
GOODBYE_S = 2.0
READY = re.compile(r"ready ws=(\S+) console=(\S+)\n")


def pytest_collection_finish(session: pytest.Session) -> None:
    """Have one starter for all forks (scripts/side_by_side.py): before there are any."""
    if getattr(session.config, "forks", 0) and "OWN_STARTERS" not in os.environ:
        starter()
        if any(item.path.name == "test_dask.py" for item in session.items):
            starter("distributed")


@dataclass
class ServerProcess:
    """`python -m echo_trio`, running."""

    process: Started
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

    def settle(self) -> None:
        """Assert what holds of every server at its end; one that still runs is stopped for that.

        One that does not stop at once – a test has left it clients that don't answer – is killed.
        """
        if self.process.poll() is None:
            self.process.terminate()
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(timeout=GOODBYE_S)
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()
        for line in self.log.splitlines():
            with suppress(ValueError):  # a worker's last words, say
                event = json.loads(line)
                if isinstance(event, dict) and event.get("event") == "stopped":
                    books.check_summary(event)

    def check_books(self) -> None:
        """Assert what holds of every server at any time, if it has a console that answers."""
        if self.console == "-" or self.process.poll() is not None:
            return
        with suppress(OSError), urlopen(f"{self.console}api/server", timeout=GOODBYE_S) as answer:
            books.check_snapshot(json.loads(answer.read()))

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


@pytest.fixture(autouse=True)
def identities(request: pytest.FixtureRequest) -> Iterator[None]:
    """Check after each test the books of a server that goes on, and of reports in its folder.

    Those of the servers that end with the test are checked by `start_server`; those of runs without
    a report in the test's folder, by the generator's own fixtures.
    """
    folder = request.getfixturevalue("tmp_path") if "tmp_path" in request.fixturenames else None
    yield
    if folder is not None:
        books.check_reports_in(folder)
    if "console" in request.fixturenames and isinstance(
        server := request.getfixturevalue("console"), ServerProcess
    ):
        server.check_books()


@contextmanager
def _servers(tmp_path: Path) -> Iterator[Callable[..., ServerProcess]]:
    servers: list[ServerProcess] = []
    processes: list[Started] = []

    def start(*flags: str, console: bool = False) -> ServerProcess:
        log = tmp_path / f"server-{len(processes)}.log"
        flags += ("--console-port", "0") if console else ("--no-console",)
        with log.open("w") as stderr:
            process = starter().start(
                "echo_trio", "--port", "0", "--log-format", "json", *flags, stderr=stderr
            )
        processes.append(process)
        assert process.stdout is not None
        line = process.stdout.readline()
        ready = READY.fullmatch(line)
        assert ready, f"no ready line but {line!r}; log: {log.read_text()}"
        servers.append(ServerProcess(process, ready[1], ready[2], log))
        return servers[-1]

    try:
        yield start
        for server in servers:
            server.check_books()
        for server in servers:
            server.settle()
    finally:
        for process in processes:
            if process.poll() is None:
                process.kill()
            process.wait()
