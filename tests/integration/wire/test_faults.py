"""Faults of the machine: out of descriptors, and whatever else accepting can fail with."""

from __future__ import annotations

import json
import re
import resource
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from websockets.sync.client import connect

from .conftest import BINARY, PATIENCE_S, TEXT, frame, request


class Process:
    """`python -m echo_trio` with its console."""

    def __init__(self, log: Path, limit: int | None, *flags: str) -> None:
        with log.open("w") as stderr:
            self.process = subprocess.Popen(
                [
                    *("/bin/sh", "-c", f'ulimit -n {limit or "$(ulimit -n)"}; exec "$@"', "sh"),
                    *(sys.executable, "-m", "echo_trio", "--log-format", "json"),
                    *("--port", "0", "--console-port", "0", *flags),
                ],
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
            )
        assert self.process.stdout is not None
        words = self.process.stdout.readline().split()
        assert words, log.read_text()
        self.url, self.console = words[1].removeprefix("ws="), words[2].removeprefix("console=")
        self._log = log

    def dial(self) -> socket.socket:
        """A TCP connection."""
        parts = urlsplit(self.url)
        return socket.create_connection((parts.hostname or "", parts.port or 0), PATIENCE_S)

    def ask(self) -> tuple[socket.socket, int]:
        """A connection that has asked for an upgrade, and the status; 0 if it was cut."""
        sock = self.dial()
        try:
            sock.sendall(request())
            head = sock.recv(4096)
        except ConnectionResetError:
            head = b""
        return sock, int(head[9:12] or 0)

    def get(self, path: str) -> bytes:
        with urllib.request.urlopen(self.console + path, timeout=PATIENCE_S) as answer:
            return answer.read()

    @property
    def counts(self) -> dict[str, Any]:
        return json.loads(self.get("api/server"))

    def echoes(self) -> None:
        with connect(self.url + "plain", open_timeout=PATIENCE_S) as client:
            client.send("still there?")
            assert client.recv(timeout=PATIENCE_S) == "still there?"

    @property
    def log(self) -> list[dict[str, Any]]:
        whole, _, _ = self._log.read_text().rpartition("\n")
        return [json.loads(line) for line in whole.splitlines()]

    @property
    def complaints(self) -> list[dict[str, Any]]:
        """What it has said of its console's listener."""
        event = "the console can't accept for now"
        return [entry for entry in self.log if entry["event"] == event]

    @contextmanager
    def file_limit(self, limit: int) -> Iterator[None]:
        """Another limit on open files, for a while."""
        pid = self.process.pid
        before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (limit, before[1]))
        try:
            yield
        finally:
            resource.prlimit(pid, resource.RLIMIT_NOFILE, before)

    @property
    def descriptors(self) -> set[int]:
        return {int(path.name) for path in Path(f"/proc/{self.process.pid}/fd").iterdir()}

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=PATIENCE_S)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Process]]:
    started: list[Process] = []

    def start(*flags: str, limit: int | None = None) -> Process:
        started.append(Process(tmp_path / "server.log", limit, *flags))
        return started[-1]

    yield start
    for one in started:
        one.process.kill()
        one.process.communicate()


def test_a_crowd_above_the_file_limit_is_told_503_and_health_answers(start) -> None:
    server = start(limit=200)
    with ExitStack() as crowd:
        statuses = []
        for _ in range(220):
            sock, status = server.ask()
            crowd.enter_context(closing(sock))
            statuses.append(status)
            if status != 101:
                sock.close()
        assert statuses == [101] * (200 - 64) + [503] * (220 - (200 - 64))
        assert server.get("healthz") == b"alive\n"
        counts = server.counts
        assert (counts["open"], counts["refused"]) == (136, {"503": 84})
        assert counts["refused_reasons"] == {"capacity": 84}
        assert counts["accept_faults"] == 0
    while server.counts["open"]:
        pass  # Each look is a request.
    server.echoes()
    assert server.stop() == 0


def test_a_server_whose_file_limit_falls_turns_clients_away_and_health_answers(start) -> None:
    server = start()
    server.echoes()
    with server.file_limit(max(server.descriptors) + 10):
        for _ in range(20):
            sock, status = server.ask()
            sock.close()
            assert status in {503, 0}
        assert server.get("healthz") == b"alive\n"
        assert server.counts["refused_reasons"] == {"descriptors": 20}
    server.echoes()
    assert server.stop() == 0


def test_a_server_without_a_descriptor_left_lives_says_little_and_recovers(start) -> None:
    server = start()
    with connect(server.url + "plain", open_timeout=PATIENCE_S) as inside:
        taken = server.descriptors
        first_free = min(set(range(max(taken) + 2)) - taken)
        with server.file_limit(first_free):
            for _ in range(50):
                sock, status = server.ask()
                sock.close()
                assert status in {503, 0}
            inside.send("and I")
            assert inside.recv(timeout=PATIENCE_S) == "and I"
        assert server.get("healthz") == b"alive\n"
        server.echoes()
        counts = server.counts
        assert counts["accept_fault_reasons"]["EMFILE"] >= 50
        assert counts["refused_reasons"] == {"descriptors": 50}
        assert counts["accepted"] == (
            counts["open"] + counts["handshaking"] + sum(counts["outcomes"].values())
        )
    assert server.stop() == 0
    complaints = [entry for entry in server.log if entry["level"] == "warning"]
    first, *_, last = (datetime.fromisoformat(entry["timestamp"]) for entry in complaints * 2)
    assert len(complaints) < 2 + (last - first).total_seconds(), "more than one a second"
    assert complaints[0]["error"] == "EMFILE"


def test_a_console_without_a_descriptor_left_says_so_and_answers_when_there_is_one(start) -> None:
    server = start()
    parts, taken = urlsplit(server.console), server.descriptors
    address = parts.hostname or "", parts.port or 0
    with ExitStack() as crowd:
        with server.file_limit(max(taken) + 3):
            # More than there are descriptors for; the last of them waits in the backlog.
            for _ in range(max(taken) + 3 - len(taken) + 5):
                waiting = crowd.enter_context(socket.create_connection(address, PATIENCE_S))
            patience_s = time.monotonic() + PATIENCE_S
            while len(server.complaints) < 2:
                assert time.monotonic() < patience_s, server.log
                time.sleep(0.01)
        waiting.sendall(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
        answer = b""
        while b'console_accept_faults_total{error="ENOMEM"} ' not in answer:
            answer += waiting.recv(65536)
    assert server.stop() == 0
    (count,) = re.findall(rb'console_accept_faults_total\{error="EMFILE"\} (\S+)', answer)
    complaints = server.complaints
    # Those kept back since the last complaint are in no line of the log.
    assert float(count) >= len(complaints) + sum(each.get("kept_back", 0) for each in complaints)
    assert {complaint["error"] for complaint in complaints} == {"EMFILE"}
    began, *_, ended = (datetime.fromisoformat(each["timestamp"]) for each in complaints)
    assert len(complaints) < 2 + (ended - began).total_seconds(), "more than one a second"


def crowd_that_makes_stopping_hard(server: Process, exits: ExitStack) -> None:
    """Blocked writers, silent peers, half handshakes, violators who stay, one frozen."""

    def keep(sock: socket.socket) -> socket.socket:
        return exits.enter_context(closing(sock))

    def opened(path: str = "/") -> socket.socket:
        sock = keep(server.dial())
        sock.sendall(request(f"GET {path} HTTP/1.1"))
        assert sock.recv(4096).startswith(b"HTTP/1.1 101 ")
        return sock

    for _ in range(5):
        deaf = opened("/burst/100")
        deaf.setblocking(False)
        with suppress(BlockingIOError):
            while True:
                deaf.send(frame(BINARY, b"x" * 100_000))
        opened()
        keep(server.dial())
        keep(server.dial()).sendall(request()[:30])
        opened().sendall(frame(3))
        opened("/stall/1/1h").sendall(frame(TEXT, b"freeze"))
        opened("/delay/1h").sendall(frame(TEXT, b"later"))


def test_sigterm_amid_blocked_writers_silent_peers_and_half_handshakes_ends_in_good_order(
    start,
) -> None:
    server = start("--drain-timeout", "1s", "--write-timeout", "1h", "--close-timeout", "1h",
                   "--open-timeout", "1h")  # fmt: skip
    with ExitStack() as exits:
        crowd_that_makes_stopping_hard(server, exits)
        assert server.stop() == 0
    assert not [entry for entry in server.log if entry["level"] in {"error", "critical"}]


def test_a_second_sigterm_amid_them_ends_it_at_once(start) -> None:
    server = start("--drain-timeout", "1h", "--write-timeout", "1h", "--close-timeout", "1h",
                   "--open-timeout", "1h")  # fmt: skip
    with ExitStack() as exits:
        crowd_that_makes_stopping_hard(server, exits)
        silent = exits.enter_context(closing(server.dial()))
        silent.sendall(request())
        assert silent.recv(4096).startswith(b"HTTP/1.1 101 ")
        server.process.send_signal(signal.SIGTERM)
        assert silent.recv(4096)[:1] == b"\x88"  # It has begun to stop.
        assert server.stop() == 1
