"""Run the server under attack as its users do, on a core of its own, with its memory sampled."""

from __future__ import annotations

import json
import os
import pickle
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from urllib.parse import urlsplit

import psutil

from .attack import Attack

READY = re.compile(r"ready ws=(\S+) console=(\S+)\n")
SENDER = Path(__file__).with_name("sender.py")
#: A hang guard, not a measure.
PATIENCE_S = 120.0
SAMPLE_S = 0.02

_CORES = sorted(os.sched_getaffinity(0))
#: The server has the last core to itself, as far as that is ours to say; all else has the others.
SERVER_CORES = set(_CORES[-1:])
OTHER_CORES = set(_CORES[:-1]) or SERVER_CORES


class Server:
    """`python -m echo_trio` with its console."""

    def __init__(self, folder: Path, flags: tuple[str, ...]) -> None:
        self._log = folder / "server.log"
        with self._log.open("w") as stderr:
            self.process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "echo_trio", "--log-format", "json"),
                    *("--port", "0", "--console-port", "0", *flags),
                ],
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
            )
        os.sched_setaffinity(self.process.pid, SERVER_CORES)
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        ready = READY.fullmatch(line)
        if ready is None:
            self.process.kill()
            self.process.communicate()
            raise AssertionError(f"no ready line but {line!r}; log: {self.log}")
        self.echo, self.console = (_address(url) for url in ready.groups())
        self._memory = psutil.Process(self.process.pid)
        self._samples: list[tuple[float, int]] = []
        threading.Thread(target=self._sample, daemon=True).start()

    @property
    def resident_bytes(self) -> int:
        """What the process holds in memory now."""
        return int(self._memory.memory_info().rss)

    def peak_bytes(self, begin_s: float, end_s: float) -> int:
        """The most that it held between two moments of the monotonic clock."""
        return max(size for at_s, size in self._samples if begin_s <= at_s <= end_s)

    @property
    def log(self) -> str:
        """What it has logged."""
        return self._log.read_text(errors="replace")

    def stop(self) -> tuple[int, float]:
        """Send SIGTERM; returns the exit code, and how many seconds it took."""
        began_s = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(timeout=PATIENCE_S)
        return code, time.monotonic() - began_s

    def _sample(self) -> None:
        try:
            while True:
                self._samples.append((time.monotonic(), self.resident_bytes))
                time.sleep(SAMPLE_S)
        except psutil.Error:
            pass  # It has ended.


@contextmanager
def running(folder: Path, *flags: str) -> Iterator[Server]:
    """Run a server; whatever still runs at the end is killed."""
    server = Server(folder, flags)
    try:
        yield server
    finally:
        if server.process.poll() is None:
            server.process.kill()
        server.process.communicate()


class Sender:
    """An attack under way.

    :ivar done: what the sender did: bytes, connections dialled and cut, its share of a core.
    """

    def __init__(self, server: Server, attack: Attack, count: int) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(SENDER)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        os.sched_setaffinity(self._process.pid, OTHER_CORES)
        address = server.console if attack.console else server.echo
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        pickle.dump(asdict(attack) | {"address": address, "count": count}, self._process.stdin)
        self._process.stdin.flush()
        assert self._process.stdout.readline() == b"started\n"
        self.done: dict[str, float] = {}

    def stop(self) -> None:
        """End it: its connections are closed when this returns."""
        out, _ = self._process.communicate(timeout=PATIENCE_S)
        self.done = json.loads(out)


@contextmanager
def attacked(server: Server, attack: Attack, count: int) -> Iterator[Sender]:
    """Have a server attacked by so many connections."""
    sender = Sender(server, attack, count)
    try:
        yield sender
    finally:
        sender.stop()


def _address(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    assert parts.hostname is not None
    assert parts.port is not None
    return parts.hostname, parts.port
