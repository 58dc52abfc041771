"""Servers that nobody here wrote, or that do one thing wrong; and the generator as a process."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import trio
from websockets.asyncio.server import ServerConnection, serve

from loadgen import api
from loadgen.cli import load
from loadgen.cli.exit_codes import exit_code
from loadgen.engine.engine import Engine
from loadgen.report import json as report_json
from loadgen.report.build import make_report
from loadgen.report.model import Report

from ..books import check_report
from ..starter import Started, starter

Reader, Writer = asyncio.StreamReader, asyncio.StreamWriter
#: A hang guard, nothing else.
PATIENCE_S = 120.0
#: What a generator that this machine held up says of itself, beside whatever the target has done.
HELD_UP = re.compile("ms late|stood still|of a core|kept the generator|before their code went")
#: Who answers at all does so in this time; a test that waits for what never comes has less.
LONG = ("--stop-timeout", "60s")


@dataclass
class Server:
    """A server in a thread of its own.

    :ivar counts: what it has counted itself.
    """

    url: str
    counts: Counter[str]

    def wait_closed(self) -> None:
        """Wait until it has seen the end of every socket that it had open.

        A client sees the end of its sockets a moment before the server has counted them.
        """
        self.wait_until(lambda: self.closed == self.counts["opened"])

    @property
    def closed(self) -> int:
        return sum(n for key, n in self.counts.copy().items() if key.startswith("closed "))

    def wait_until(self, holds: Callable[[], bool]) -> None:
        """Wait until something holds of what it has counted."""
        deadline = time.monotonic() + PATIENCE_S
        while not holds():
            assert time.monotonic() < deadline, self.counts
            time.sleep(0.01)


@pytest.fixture(autouse=True)
def state_folder(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where runs keep their journals: not in the home of whoever tests."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))


@pytest.fixture
def in_thread() -> Iterator[Callable[..., Server]]:
    """Starts servers: `in_thread(start)`, where `await start(counts)` is an asyncio server."""
    started: list[tuple[threading.Thread, asyncio.AbstractEventLoop, asyncio.Event]] = []

    def begin(start: Callable[[Counter[str]], Awaitable[Any]]) -> Server:
        counts: Counter[str] = Counter()
        ready, found = threading.Event(), {}

        async def main() -> None:
            stop = asyncio.Event()
            server = await start(counts)
            found.update(
                port=server.sockets[0].getsockname()[1], loop=asyncio.get_running_loop(), stop=stop
            )
            ready.set()
            await stop.wait()
            server.close()

        thread = threading.Thread(target=asyncio.run, args=(main(),))
        thread.start()
        assert ready.wait(PATIENCE_S)
        started.append((thread, found["loop"], found["stop"]))
        return Server(f"ws://127.0.0.1:{found['port']}/", counts)

    yield begin
    for thread, loop, stop in started:
        loop.call_soon_threadsafe(stop.set)
        thread.join(PATIENCE_S)
        assert not thread.is_alive()


@pytest.fixture
def serve_websockets(in_thread: Callable[..., Server]) -> Callable[..., Server]:
    """A server of the `websockets` library: `await handle(connection, counts)` for each socket."""

    def begin(
        handle: Callable[[ServerConnection, Counter[str]], Awaitable[None]], **options: Any
    ) -> Server:
        def start(counts: Counter[str]) -> Any:
            async def handle_counted(connection: ServerConnection) -> None:
                counts["opened"] += 1
                try:
                    await handle(connection, counts)
                finally:
                    try:
                        await connection.wait_closed()
                    except asyncio.CancelledError:  # the test is over before the peer has gone
                        connection.transport.abort()
                        raise
                    counts[f"closed {connection.close_code}"] += 1

            settings = {"compression": None, "ping_interval": None} | options
            return serve(handle_counted, "127.0.0.1", 0, **settings)

        return in_thread(start)

    return begin


@pytest.fixture
def serve_bytes(in_thread: Callable[..., Server]) -> Callable[..., Server]:
    """A TCP server that gets the handshake's request: `await handle(reader, writer, key, counts)`.

    When that returns, the connection is closed.
    """

    def begin(handle: Callable[[Reader, Writer, str, Counter[str]], Awaitable[None]]) -> Server:
        def start(counts: Counter[str]) -> Any:
            tasks = set()  # asyncio itself would let go of a task that waits for nothing

            async def handle_head(reader: Reader, writer: Writer) -> None:
                tasks.add(asyncio.current_task())
                counts["connected"] += 1
                try:
                    head = await reader.readuntil(b"\r\n\r\n")
                    (key,) = (
                        line.split(b": ")[1].decode()
                        for line in head.split(b"\r\n")
                        if line.lower().startswith(b"sec-websocket-key")
                    )
                    await handle(reader, writer, key, counts)
                except (ConnectionError, asyncio.IncompleteReadError):
                    counts["gone"] += 1
                except asyncio.CancelledError:  # the test is over, whatever is still to be sent
                    writer.transport.abort()
                finally:
                    writer.close()

            return asyncio.start_server(handle_head, "127.0.0.1", 0)

        return in_thread(start)

    return begin


@pytest.fixture
def accept() -> Callable[[str], bytes]:
    """The answer to a key that opens a WebSocket (RFC 6455, section 4.2.2)."""

    def answer(key: str) -> bytes:
        digest = hashlib.sha1(key.encode() + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()
        return (
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + base64.b64encode(digest) + b"\r\n\r\n"
        )

    return answer


@pytest.fixture
def nobody() -> Iterator[int]:
    """A port on which nothing listens."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        yield sock.getsockname()[1]


@dataclass
class Run:
    """A run of the generator that is over."""

    code: int
    stdout: str
    stderr: str
    report: dict[str, Any]

    @property
    def target_did_right(self) -> bool:
        """Not whether the generator kept up, which depends on what else this machine does."""
        return (self.code, self.report["verdict"]) in {(0, "valid"), (3, "generator-limited")}

    @property
    def faults(self) -> list[str]:
        """The reasons for the verdict, but for those that a busy machine adds to any."""
        return [why for why in self.report["verdict_reasons"] if not HELD_UP.search(why)]

    @property
    def connections(self) -> dict[str, Any]:
        return self.report["connections"]

    @property
    def failed(self) -> dict[str, int]:
        """The columns of `failed` that are not empty."""
        return {reason: n for reason, n in self.connections["failed"].items() if n}

    @property
    def closed(self) -> dict[str, int]:
        return {ending: n for ending, n in self.connections["closed"].items() if n}

    @property
    def messages(self) -> dict[str, int]:
        """The columns of messages that are not empty; no bytes, no rates."""
        return {
            key: n
            for key, n in self.report["messages"].items()
            if n and not key.endswith(("_bytes", "_per_s"))
        }


def patient(arguments: tuple[str, ...]) -> tuple[str, ...]:
    """With a long stop timeout, unless the test has one of its own."""
    return arguments if LONG[0] in arguments else (*arguments, *LONG)


class LoadgenProcess:
    """`python -m loadgen`, running.

    :param before: what the command begins with: `ip netns exec NAME`, say.
    """

    def __init__(
        self,
        folder: Path,
        *arguments: str,
        on_terminal: int | None = None,
        before: Sequence[str] = (),
        **options: Any,
    ) -> None:
        self.report_path = folder / f"report-{len(list(folder.iterdir()))}.json"
        self.report_path.write_text("")
        self._errors = self.report_path.with_suffix(".err").open("w+")
        if "--json" not in arguments:
            arguments = (*arguments, "--json", str(self.report_path))
        self.process: subprocess.Popen[str] | Started
        is_plain = not before and on_terminal is None and set(options) <= {"env", "stdout"}
        # What Python itself reads, it reads when it starts.
        if is_plain and "PYTHONIOENCODING" not in options.get("env", {}):
            also = ("distributed",) if "--dask" in arguments else ()
            self.process = starter(*also).start(
                "loadgen", *patient(arguments), stderr=self._errors, **options
            )
            return
        self.process = subprocess.Popen(
            [*before, sys.executable, "-m", "loadgen", *patient(arguments)],
            stdout=subprocess.PIPE if on_terminal is None else on_terminal,
            stderr=self._errors if on_terminal is None else on_terminal,
            text=True,
            **options,
        )

    def signal(self, number: int = signal.SIGINT) -> None:
        self.process.send_signal(number)

    def wait_until_listening(self) -> None:
        """Until it takes SIGTERM, which Python does not of itself."""
        mask = 1 << (signal.SIGTERM - 1)
        while self.process.poll() is None:
            status = Path(f"/proc/{self.process.pid}/status").read_text()
            (caught,) = (line for line in status.splitlines() if line.startswith("SigCgt"))
            if int(caught.split()[1], 16) & mask:
                return

    def wait_for(self, phase: str) -> None:
        """Until it has said that it is in this phase."""
        self.wait_for_errors(f" {phase} ")

    def wait_for_errors(self, said: str) -> None:
        """Until it has said this on stderr."""
        deadline = time.monotonic() + PATIENCE_S
        while said not in self.errors and self.process.poll() is None:
            assert time.monotonic() < deadline, self.errors
            time.sleep(0.01)
        assert self.process.poll() != 2, self.errors  # A run that was refused is never there.

    @property
    def errors(self) -> str:
        return Path(self._errors.name).read_text()

    def finish(self, timeout_s: float = PATIENCE_S) -> Run:
        """Wait for its end; check what has to hold of every run."""
        try:
            stdout, _ = self.process.communicate(timeout=timeout_s)
        finally:
            self.process.kill()
            self._errors.close()
        stderr = self.errors
        assert "Traceback" not in stderr
        stdout = stdout or ""
        text = self.report_path.read_text() or (stdout if stdout.startswith("{") else "{}")
        report = json.loads(text)
        if report:
            check_report(report)
        return Run(self.process.returncode, stdout, stderr, report)


@pytest.fixture(autouse=True)
def identities_of_runs_here(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Check after each test that the books of each run in this process add up."""
    made: list[Report] = []

    def make_and_keep(*args: Any, **kwargs: Any) -> Report:
        made.append(make_report(*args, **kwargs))
        return made[-1]

    monkeypatch.setattr(api, "make_report", make_and_keep)
    yield
    for report in made:
        check_report(json.loads(report_json.encode(report)))


@pytest.fixture
def start_loadgen(tmp_path: Path) -> Iterator[Callable[..., LoadgenProcess]]:
    started: list[LoadgenProcess] = []

    def start(*arguments: str, **options: Any) -> LoadgenProcess:
        started.append(LoadgenProcess(tmp_path, *arguments, **options))
        return started[-1]

    yield start
    for running in started:
        running.process.kill()
        running.process.wait()
        if running.process.stdout is not None:
            running.process.stdout.close()


@pytest.fixture
def loadgen(start_loadgen: Callable[..., LoadgenProcess]) -> Callable[..., Run]:
    """Runs the generator to its end."""

    def run(*arguments: str, **options: Any) -> Run:
        return start_loadgen(*arguments, **options).finish()

    return run


@pytest.fixture
def loadgen_here() -> Callable[..., Run]:
    """Runs the generator in this process, which takes a second less; nothing is printed."""

    def run(*arguments: str) -> Run:
        _, bound, _ = load.app.parse_args(
            patient(arguments), exit_on_error=False, print_error=False
        )
        report = make_report(trio.run(Engine(bound.arguments["plan"]).run))
        as_json = json.loads(report_json.encode(report))
        check_report(as_json)
        return Run(exit_code(report), "", "", as_json)

    return run
