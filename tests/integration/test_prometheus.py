"""A real Prometheus scrapes the server with the shipped configuration, for the dashboard."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from websockets.sync.client import connect

from .conftest import ServerProcess

METRICS = Path(__file__).parents[2] / "docs/how-to/metrics"
#: A hang guard, nothing else.
PATIENCE_S = 120.0


@pytest.fixture
def programs() -> tuple[str, str]:
    found = shutil.which("prometheus"), shutil.which("promtool")
    if not all(found):
        missing = "needs Debian's package: apt-get install --no-install-recommends prometheus"
        if os.environ.get("CI") == "true":
            pytest.fail(missing)
        pytest.skip(missing)
    return found  # type: ignore[return-value]


@pytest.fixture
def server(start_server: Callable[..., ServerProcess]) -> ServerProcess:
    return start_server(console=True)


@pytest.fixture
def ask(
    programs: tuple[str, str], server: ServerProcess, tmp_path: Path
) -> Iterator[Callable[[str], list]]:
    """Ask a Prometheus that scrapes the server: a query's results."""
    config = (METRICS / "prometheus.yml").read_text()
    target = server.console.removeprefix("http://").rstrip("/")
    assert "127.0.0.1:8766" in config
    file = tmp_path / "prometheus.yml"
    file.write_text(config.replace("127.0.0.1:8766", target).replace("5s", "1s"))
    with (tmp_path / "prometheus.log").open("w") as log:
        process = subprocess.Popen(
            [
                programs[0],
                f"--config.file={file}",
                f"--storage.tsdb.path={tmp_path / 'data'}",
                "--web.listen-address=127.0.0.1:0",
            ],
            stdout=log,
            stderr=log,
        )
    try:
        base = f"http://127.0.0.1:{listening_port(process)}/api/v1/query"

        def query(expression: str) -> list:
            answer = httpx.get(base, params={"query": expression}, timeout=PATIENCE_S).json()
            assert answer["status"] == "success", (expression, answer)
            return answer["data"]["result"]

        yield query
    finally:
        process.terminate()
        process.wait(PATIENCE_S)


def listening_port(process: subprocess.Popen) -> int:
    def port() -> int | None:
        assert process.poll() is None, "prometheus has ended"
        for connection in psutil.Process(process.pid).net_connections("tcp"):
            if connection.status == psutil.CONN_LISTEN:
                return connection.laddr.port
        return None

    return until(port)


def until(look: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        if found := look():
            return found
        time.sleep(0.05)
    raise AssertionError(f"{look.__qualname__}: nothing after {PATIENCE_S} s")


def test_prometheus_scrapes_what_the_server_counted_and_answers_the_dashboard(
    server: ServerProcess, ask: Callable[[str], list]
) -> None:
    with connect(server.url) as client:
        for _ in range(3):
            client.send("m")
            client.recv()

        # It may have scraped amid them, and on a busy machine have waited in vain for an answer.
        for expression, value in (
            ('echo_trio_messages_total{direction="received"}', "3"),
            ("echo_trio_connections_open", "1"),
            ("up", "1"),
        ):
            until(lambda: [sample["value"][1] for sample in ask(expression)] == [value])  # noqa: B023 - at once
    dashboard = json.loads((METRICS / "grafana.json").read_text())
    expressions = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    assert len(expressions) > 20
    for expression in expressions:
        ask(expression.replace("$__rate_interval", "1m").replace("$instance", ".*"))


def test_promtool_finds_no_fault_with_names_and_types(
    programs: tuple[str, str], server: ServerProcess
) -> None:
    text = httpx.get(server.console + "metrics", timeout=PATIENCE_S).text
    checked = subprocess.run(
        [programs[1], "check", "metrics"], input=text, capture_output=True, text=True, check=False
    )
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")


def test_the_shipped_configuration_is_one_that_promtool_accepts(
    programs: tuple[str, str],
) -> None:
    config = str(METRICS / "prometheus.yml")
    subprocess.run([programs[1], "check", "config", config], check=True, capture_output=True)
    rules = str(METRICS / "alerts.yml")
    subprocess.run([programs[1], "check", "rules", rules], check=True, capture_output=True)
