"""Ten thousand real sockets, server and generator as processes: what the project is for."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from .conftest import ServerProcess

pytestmark = pytest.mark.alone

COUNT = 10_000
StartServer = Callable[..., ServerProcess]


@pytest.fixture
def server(start_server: StartServer) -> ServerProcess:
    # Generous budgets, for all and for each: how long a drain takes is for the benchmark to say.
    # Ten thousand goodbyes are two seconds of CPU, for which a busy machine takes twenty.
    return start_server("--drain-timeout", "100s", "--close-timeout", "100s")


@pytest.fixture
def start_load(server: ServerProcess, tmp_path: Path) -> Iterator[Callable[..., Load]]:
    loads: list[Load] = []

    def start(*flags: str) -> Load:
        loads.append(Load(server.url, tmp_path / "report.json", flags))
        return loads[-1]

    yield start
    for load in loads:
        if load.process.poll() is None:
            load.process.kill()
        load.process.communicate()


class Load:
    """`python -m loadgen`, running."""

    def __init__(self, url: str, report: Path, flags: tuple[str, ...]) -> None:
        self._report = report
        self.process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "loadgen",
                str(COUNT),
                url,
                "--json",
                str(report),
                "--connect-timeout",
                "60s",
                "--stop-timeout",
                "60s",
                *flags,
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def wait_for(self, word: str) -> None:
        """Read the progress on stderr up to a line with this word."""
        assert self.process.stderr is not None
        for line in self.process.stderr:
            if word in line:
                return
        raise AssertionError(f"the run ended without {word!r}")

    def finish(self) -> tuple[int, dict[str, Any]]:
        """Wait for the end: exit code and report."""
        _, stderr = self.process.communicate(timeout=240)
        assert "Traceback" not in stderr
        return self.process.returncode, json.loads(self._report.read_text())


def assert_adds_up(report: dict[str, Any]) -> None:
    """The contract's identities."""
    connections, messages = report["connections"], report["messages"]
    assert connections["requested"] == (
        connections["opened"] + sum(connections["failed"].values()) + connections["not_attempted"]
    )
    assert connections["opened"] == sum(connections["closed"].values())
    columns = ("echoed", "reordered", "corrupt", "lost", "in_flight")
    assert messages["sent"] == sum(messages[column] for column in columns)
    columns = ("echoed", "reordered", "corrupt", "duplicate", "unexpected")
    assert messages["received"] == sum(messages[column] for column in columns)


def test_ten_thousand_sockets_open_exchange_and_close_with_everything_accounted_for(
    server: ServerProcess, start_load: Callable[..., Load]
) -> None:
    # Verdict and exit code also tell whether this machine kept up, which it need not.
    _, report = start_load("--duration", "3s").finish()
    assert_adds_up(report)
    assert report["connections"]["opened"] == COUNT
    assert report["connections"]["peak_open"] == COUNT
    assert report["connections"]["closed"]["clean"] == COUNT
    assert report["connections"]["close_codes"] == {"1000": COUNT}
    assert report["messages"]["sent"] == report["messages"]["echoed"] == 3 * COUNT
    assert report["verdict"] != "failed"
    assert server.stop() == 0
    assert server.summary["outcomes"] == {"clean": COUNT}
    assert server.summary["messages_received"] == 3 * COUNT


def test_ctrl_c_under_load_closes_all_cleanly_and_the_server_is_back_where_it_was(
    server: ServerProcess, start_load: Callable[..., Load]
) -> None:
    descriptors = server.descriptors
    load = start_load("--duration", "1h")
    load.wait_for("load ")
    load.process.send_signal(signal.SIGINT)
    code, report = load.finish()
    assert code == 130
    assert report["interrupted"] is True
    assert_adds_up(report)
    assert report["connections"]["closed"]["clean"] == COUNT
    assert report["messages"]["lost"] == 0
    # The last of them the server closes when it hears that the client has, which comes after.
    deadline = time.monotonic() + 60
    while server.descriptors != descriptors and time.monotonic() < deadline:
        time.sleep(0.05)
    assert server.descriptors == descriptors
    assert server.stop() == 0
    assert server.summary["outcomes"] == {"clean": COUNT}
    assert server.summary["close_codes"] == {"1000": COUNT}


def test_sigterm_under_load_gives_everybody_1001_within_the_drain_budget(
    server: ServerProcess, start_load: Callable[..., Load]
) -> None:
    load = start_load("--duration", "1h")
    load.wait_for("load ")
    assert server.stop() == 0, "somebody was still there when the budget ran out"
    assert server.summary["outcomes"] == {"clean": COUNT}
    assert server.summary["close_codes"] == {"1001": COUNT}
    # With its last socket the run is over, long before its hour is.
    code, report = load.finish()
    assert code == 1
    assert_adds_up(report)
    assert report["connections"]["closed"]["by_peer"] == COUNT
    assert report["connections"]["close_codes"] == {"1001": COUNT}
    assert report["verdict"] == "failed"
