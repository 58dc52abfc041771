"""Everything at once and for long: churn, slow readers, half-open peers, floods; and the generator.

`make soak` takes an hour, `make soak MINUTES=5` less. What was sampled each second is drawn to
build/soak/.
"""

from __future__ import annotations

import itertools
import json
import os
import signal
import socket
import statistics
import struct
import subprocess
import sys
import urllib.request
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest
import trio

from .picture import draw

pytestmark = pytest.mark.soak

MINUTES = float(os.environ.get("SOAK_MINUTES") or 60)
#: Of the long run; the rest of it are the other tests.
MIXED_S = MINUTES * 60 / 2
GENERATOR_S = MINUTES * 60 / 6
GENERATOR_SOCKETS = 300
PICTURES = Path(__file__).parents[2] / "build" / "soak"
#: The first of the time is for arenas and caches to find their size.
WARM_UP = 0.25
SLACK_BYTES = 4 * 2**20
#: Crowds come and go in waves: so much may the medians of two thirds of the time differ.
CROWD_SLACK = 0.25

REQUEST = (
    b"GET /plain HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
SMALL = b"\x81\x85\0\0\0\0churn"
LARGE = b"\x82\xfe\xea\x60\0\0\0\0" + bytes(60_000)
CLOSE = b"\x88\x82\0\0\0\0\x03\xe8"
RESET = struct.pack("ii", 1, 0)


@dataclass
class Samples:
    """What a process held, once a second."""

    t_s: list[float] = field(default_factory=list)
    resident: list[int] = field(default_factory=list)
    descriptors: list[int] = field(default_factory=list)
    tasks: list[int] = field(default_factory=list)

    def add(self, t_s: float, process: psutil.Process, tasks: int = 0) -> None:
        self.t_s.append(t_s)
        self.resident.append(process.memory_info().rss)
        self.descriptors.append(process.num_fds())
        self.tasks.append(tasks)

    def draw(self, name: str, title: str) -> None:
        charts = {
            "resident MiB": [size / 2**20 for size in self.resident],
            "descriptors": self.descriptors,
        }
        if any(self.tasks):
            charts["tasks"] = self.tasks
        draw(PICTURES / f"{name}.svg", title, self.t_s, charts)


def thirds(values: list[int]) -> tuple[float, float]:
    """The medians of the first and the last third of the time after the warm-up."""
    steady = values[int(len(values) * WARM_UP) :]
    third = max(len(steady) // 3, 1)
    return statistics.median(steady[:third]), statistics.median(steady[-third:])


def assert_flat(samples: Samples) -> None:
    early, late = thirds(samples.resident)
    print(f"resident {early / 2**20:.1f} → {late / 2**20:.1f} MiB", end="; ")
    for name in ("descriptors", "tasks"):
        print(name, *thirds(getattr(samples, name)), end="; ")
    print()
    assert late - early < SLACK_BYTES
    for values in (samples.descriptors, samples.tasks):
        early, late = thirds(values)
        assert late <= early * (1 + CROWD_SLACK) + 5


@pytest.fixture
def server() -> Iterator[tuple[subprocess.Popen[str], int, str]]:
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "echo_trio", "--port", "0", "--console-port", "0"),
            *("--ping-interval", "5s", "--ping-timeout", "5s", "--write-timeout", "5s"),
            *("--open-timeout", "5s", "--close-timeout", "5s", "--log-level", "warning"),
        ],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    _, ws, console = process.stdout.readline().split()
    port = urlsplit(ws.removeprefix("ws=")).port
    assert port is not None
    yield process, port, console.removeprefix("console=")
    process.kill()
    process.communicate()


def snapshot(console: str) -> dict:
    with urllib.request.urlopen(console + "api/server", timeout=60) as answer:
        return json.loads(answer.read())


# -- The crowds -------------------------------------------------------------------------------


async def opened(port: int) -> trio.SocketStream:
    stream = await trio.open_tcp_stream("127.0.0.1", port)
    try:
        await stream.send_all(REQUEST)
        head = b""
        while b"\r\n\r\n" not in head:
            some = await stream.receive_some(4096)
            assert some, head
            head += some
        assert head.startswith(b"HTTP/1.1 101 "), head
    except BaseException:
        await trio.aclose_forcefully(stream)
        raise
    return stream


leaving = itertools.cycle(["close", "reset", "vanish", "nonsense"])


async def churn(port: int) -> None:
    """Comes, talks, and leaves, every time in another way."""
    async with await opened(port) as stream:
        await stream.send_all(SMALL)
        await stream.receive_some(4096)
        match next(leaving):
            case "close":
                await stream.send_all(CLOSE)
                async for _ in stream:
                    pass
            case "reset":
                stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            case "vanish":
                await stream.send_all(SMALL[:7])
            case "nonsense":
                await stream.send_all(os.urandom(100))
                async for _ in stream:
                    pass


async def read_slowly(port: int) -> None:
    """Takes twenty seconds for what could be had at once."""
    async with await opened(port) as stream, trio.open_nursery() as nursery:
        nursery.start_soon(stream.send_all, LARGE * 50)
        left = 50 * (4 + 60_000)
        with trio.move_on_after(20):
            while left and (some := await stream.receive_some(20_000)):
                left -= len(some)
                await trio.sleep(0.1)
        nursery.cancel_scope.cancel()


async def be_half_open(port: int) -> None:
    """Says nothing any more, and answers no ping; every other has not even asked."""
    if next(leaving) in {"close", "vanish"}:
        stream = await trio.open_tcp_stream("127.0.0.1", port)
    else:
        stream = await opened(port)
    async with stream:
        async for _ in stream:
            pass


async def flood(port: int) -> None:
    """Sends as fast as it can, and reads nothing, until it is cut."""
    async with await opened(port) as stream:
        while True:
            await stream.send_all(LARGE * 10)


CROWDS = {churn: 30, read_slowly: 20, be_half_open: 50, flood: 5}


async def again_and_again(
    one: Callable[[int], Awaitable[None]], port: int, done: Counter[str]
) -> None:
    while True:
        with suppress(trio.BrokenResourceError):  # It was cut, as it had to be.
            await one(port)
        done[one.__name__] += 1


async def test_everything_at_once_leaves_memory_tasks_and_descriptors_flat(server) -> None:
    process, port, console = server
    watched = psutil.Process(process.pid)
    samples, done = Samples(), Counter()
    with trio.fail_after(60):
        (await opened(port)).socket.close()
        while (before := snapshot(console))["open"]:
            await trio.sleep(0.1)
    began_s = trio.current_time()
    async with trio.open_nursery() as nursery:
        for one, count in CROWDS.items():
            for _ in range(count):
                nursery.start_soon(again_and_again, one, port, done)
        while trio.current_time() < began_s + MIXED_S:
            await trio.sleep(1)
            now = await trio.to_thread.run_sync(snapshot, console)
            samples.add(trio.current_time() - began_s, watched, now["tasks"])
        nursery.cancel_scope.cancel()
    with trio.fail_after(60):
        while (after := snapshot(console))["open"] or after["handshaking"]:
            await trio.sleep(0.5)
    samples.draw("server", "The server: churn, slow readers, half-open peers, floods")
    print(dict(done), after["outcomes"])
    assert done.keys() == {one.__name__ for one in CROWDS}
    assert after["accepted"] == sum(after["outcomes"].values())
    assert "failed" not in after["outcomes"]
    assert {"clean", "abnormal", "violation", "write_timeout", "ping_timeout", "refused"} <= set(
        after["outcomes"]
    )
    assert after["descriptors"] <= before["descriptors"] + 2  # The console's own keep-alive.
    assert after["tasks"] <= before["tasks"] + 2
    assert_flat(samples)
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0


async def test_a_long_run_of_the_generator_is_valid_and_its_memory_is_flat(
    server, tmp_path
) -> None:
    _, port, _ = server
    report = tmp_path / "report.json"
    generator = subprocess.Popen(  # noqa: ASYNC220 - nothing else goes on here
        [
            *(sys.executable, "-m", "loadgen", str(GENERATOR_SOCKETS), f"ws://127.0.0.1:{port}/"),
            *("--duration", f"{GENERATOR_S}s", "--json", str(report), "--quiet"),
        ],
    )
    samples, watched = Samples(), psutil.Process(generator.pid)
    began_s = trio.current_time()
    while generator.poll() is None:
        await trio.sleep(1)
        with suppress(psutil.Error):  # It has just ended.
            if watched.num_fds() >= GENERATOR_SOCKETS:  # All are open.
                samples.add(trio.current_time() - began_s, watched)
    samples.draw("generator", f"The load generator: {GENERATOR_SOCKETS} sockets")
    found = json.loads(report.read_text())
    print(found["verdict"], found["verdict_reasons"], found["messages"])
    assert_flat(samples)
    assert found["verdict"] == "valid"
