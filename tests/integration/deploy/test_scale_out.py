"""Instances behind HAProxy: one is drained under load, and nobody's message is lost."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ..conftest import READY, ServerProcess
from ..networks import machines
from .conftest import DEPLOY, PATIENCE_S, Front, Pem, program, replaced, until

StartServer = Callable[..., ServerProcess]
#: A goodbye right behind a reply comes long before the client's next message, a second later.
GRACE = ("--drain-timeout", "20s", "--drain-grace", "10s")
LOAD = ("--closed-loop", "--think", "1s", "--quiet", "--stream", "--journal", "off")


def load_while_one_drains(
    command: list[str], drain: Callable[[], None], *, connections: int
) -> dict[str, Any]:
    """The report of a load during which, once all is under way, one instance is drained."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    drained = False
    with process, process.stdout as lines:
        for line in lines:
            told = json.loads(line)
            if told.get("schema") == 1:
                report = told
            elif (
                not drained
                and told["phase"] == "load"
                and told["connections"]["open"] == connections
                and told["messages"]["echoed"] > 0
            ):
                drained = True
                drain()
    assert drained
    return report


def assert_nobodys_message_is_lost(
    report: dict[str, Any], going: dict[str, Any], staying: dict[str, Any]
) -> None:
    """The generator's ledger and the instances' own summaries add up."""
    messages, connections = report["messages"], report["connections"]
    assert messages["lost"] == messages["in_flight"] == messages["corrupt"] == 0, messages
    assert messages["sent"] == messages["echoed"]
    # Whoever was not told to go has left by itself, at the end of the load.
    assert going["close_codes"]["1001"] > 0
    assert staying["close_codes"].keys() == {"1000"}
    codes = Counter(going["close_codes"]) + Counter(staying["close_codes"])
    assert Counter(connections["close_codes"]) == codes
    assert connections["closed"]["by_peer"] == codes["1001"]
    assert going["outcomes"].keys() == staying["outcomes"].keys() == {"clean"}
    assert going["accepted"] + staying["accepted"] == connections["opened"]
    for summary in (going, staying):
        assert summary["messages_received"] == summary["messages_sent"] > 0
    assert messages["sent"] == going["messages_received"] + staying["messages_received"]


def test_an_instance_drained_under_load_loses_nobodys_message(
    start_server: StartServer, start_haproxy: Callable[..., None], front: Front
) -> None:
    going, staying = (start_server(*GRACE, console=True) for _ in range(2))
    start_haproxy(a=(going.url, going.console), b=(staying.url, staying.console))
    report = load_while_one_drains(
        [
            *(sys.executable, "-m", "loadgen", "40", front.plain),
            *(*LOAD, "--duration", "6s", "--stop-timeout", "60s"),
        ],
        lambda: going.process.send_signal(signal.SIGTERM),
        connections=40,
    )
    assert going.process.wait(PATIENCE_S) == 0
    assert staying.stop() == 0
    assert_nobodys_message_is_lost(report, going.summary, staying.summary)


# -- The same across a network: `make deploy-check` -------------------------------------------


@pytest.fixture
def namespaces() -> Iterator[Callable[[str], list[str]]]:
    """A balancer, and instances a and b, each with a network of its own."""
    with machines(lb=["10.77.1.1", "10.77.2.1"], a=["10.77.1.2"], b=["10.77.2.2"]) as on:
        yield on


@pytest.mark.netns
def test_an_instance_on_another_machine_drained_under_load_loses_nobodys_message(
    namespaces: Callable[[str], list[str]], pem: Pem, tmp_path: Path
) -> None:
    haproxy = program("haproxy", "haproxy")
    processes: list[subprocess.Popen[str]] = []

    def start(name: str, *command: str) -> subprocess.Popen[str]:
        with (tmp_path / f"{name}-{len(processes)}.log").open("w") as log:
            process = subprocess.Popen(
                [*namespaces(name), *command], stdout=subprocess.PIPE, stderr=log, text=True
            )
        processes.append(process)
        return process

    def serve(name: str, host: str) -> ServerProcess:
        log = tmp_path / f"{name}-{len(processes)}.log"
        process = start(
            *(name, sys.executable, "-m", "echo_trio", "--host", host, "--console-host", host),
            *("--console-token", "a-secret", "--trust-proxy", host[:-1] + "1"),
            *(*GRACE, "--log-format", "json"),
        )
        assert process.stdout is not None
        ready = READY.fullmatch(process.stdout.readline())
        assert ready, log.read_text()
        return ServerProcess(process, ready[1], ready[2], log)

    try:
        going, staying = serve("a", "10.77.1.2"), serve("b", "10.77.2.2")
        config = tmp_path / "haproxy.cfg"
        config.write_text(
            replaced(
                (DEPLOY / "haproxy.cfg").read_text(),
                {
                    "maxconn 50000": "maxconn 4000",
                    "/etc/haproxy": str(pem.folder),
                    "10.0.0.11": "10.77.1.2",
                    "10.0.0.12": "10.77.2.2",
                    "10.0.0.13": "10.77.2.2",
                },
            )
        )
        balancer = start("lb", haproxy, "-db", "-f", str(config))
        look = [*namespaces("lb"), sys.executable, "-c"]
        look.append("import socket; socket.create_connection(('127.0.0.1', 80), 5)")
        until(
            lambda: (
                balancer.poll() is None
                and subprocess.run(look, stderr=subprocess.DEVNULL, check=False).returncode == 0
            )
        )
        report = load_while_one_drains(
            [
                *(*namespaces("lb"), sys.executable, "-m", "loadgen", "1000", "ws://127.0.0.1/"),
                *(*LOAD, "--duration", "10s", "--connect-concurrency", "50"),
            ],
            lambda: going.process.send_signal(signal.SIGTERM),
            connections=1000,
        )
        assert going.process.wait(PATIENCE_S) == 0
        assert staying.stop() == 0
        assert_nobodys_message_is_lost(report, going.summary, staying.summary)
        print(json.dumps({"report": report["connections"], "messages": report["messages"]}))
        print(json.dumps({"going": going.summary, "staying": staying.summary}))
    finally:
        for process in reversed(processes):
            if process.poll() is None:
                process.terminate()
            process.communicate(timeout=PATIENCE_S)
