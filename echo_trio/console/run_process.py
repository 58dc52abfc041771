"""Run the generator as a child process: give it an order, read it line by line, always end it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, Self

import msgspec
import trio

#: The time from its start to its first line; on an idle machine it takes half a second.
FIRST_LINE_TIMEOUT_S: Final = 30.0
#: A line is a snapshot, of some KiB, or the report, with an entry for each second of the run.
MAX_LINE_BYTES: Final = 16 * 2**20
ERROR_BYTES: Final = 4096
#: A group of its own: Ctrl-C on our terminal is for us, and we pass it on once. Windows can send
#: nothing but CTRL_BREAK_EVENT to another group.
OWN_GROUP: dict[str, Any]
if sys.platform == "win32":
    OWN_GROUP, _INTERRUPT = (
        {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP},
        signal.CTRL_BREAK_EVENT,
    )
else:
    OWN_GROUP, _INTERRUPT = {"process_group": 0}, signal.SIGINT
#: The time to end in good order when the console ends: no client waits for a report any more.
EXIT_GRACE_S: Final = 1.0


class RunAccepted(msgspec.Struct, frozen=True, tag="accepted"):
    """The first line of a run that begins.

    :ivar plan: the plan as the report will have it.
    :ivar target: host and port.
    :ivar stop_timeout_s: the seconds that the run takes at most to close its sockets.
    :ivar page: true if the report will be written as a page, too.
    """

    plan: dict[str, Any]
    target: str
    stop_timeout_s: float
    page: bool


class RunRefused(msgspec.Struct, frozen=True, tag="refused"):
    """The first and only line of a run that does not begin.

    :ivar field: the setting at fault, by the name of its flag; None if it is none in particular.
    :ivar elsewhere: true if the reason is that a run may not go to this target.
    """

    error: str
    field: str | None = None
    elsewhere: bool = False


class NoAnswer(Exception):
    """The generator has neither accepted nor refused; the message is the reason, if it is known."""


class RunProcess:
    """A generator's process. Its owner has to call `see_off` in every case.

    :param order: its first line (`loadgen.cli.json_settings.Order`).
    :ivar complaint: the last bytes it wrote to stderr, once `read_complaint` has read them.
    """

    def __init__(self, process: trio.Process, order: dict[str, Any]) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        self.complaint: bytearray = bytearray()
        self.lines: LineReader = LineReader(process.stdout)
        self._process = process
        self._order = order
        self._stdin = process.stdin
        self._telling = trio.Lock()
        self._stderr = process.stderr
        self._interrupted = False

    @classmethod
    async def open(cls, order: dict[str, Any]) -> Self:
        """Start a generator with this order (`loadgen.cli.json_settings.Order`).

        :raises OSError: if this machine can't start a process.
        """
        process = await trio.lowlevel.open_process(
            # -P: a module named loadgen in the current folder is not meant.
            [sys.executable, "-P", "-m", "loadgen.cli.from_stdin"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=make_environment(),
            **OWN_GROUP,
        )
        return cls(process, order)

    @property
    def exit_code(self) -> int | None:
        """The exit code; None while the process runs."""
        return self._process.returncode

    async def answer(self) -> RunAccepted | RunRefused:
        """Give it its order, and wait for its first line.

        :raises NoAnswer: if it ends without one, or takes longer than `FIRST_LINE_TIMEOUT_S`.
        """
        with trio.move_on_after(FIRST_LINE_TIMEOUT_S):
            await self.tell(self._order)
            line = await anext(self.lines, b"")
            try:
                return msgspec.json.decode(line, type=RunAccepted | RunRefused)
            except msgspec.DecodeError:
                with trio.move_on_after(EXIT_GRACE_S):
                    await self.read_complaint()
                raise NoAnswer(last_line(self.complaint) or "it ended without a word") from None
        raise NoAnswer(f"it said nothing in {FIRST_LINE_TIMEOUT_S:g} s")

    async def tell(self, what: Mapping[str, Any]) -> None:
        """Give it a line; nothing happens if it has ended.

        Cancelled half-way, it is told nothing more: half a line would begin the next.
        """
        async with self._telling:
            try:
                await self._stdin.send_all(msgspec.json.encode(what) + b"\n")
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                pass
            except trio.Cancelled:
                await trio.aclose_forcefully(self._stdin)
                raise

    async def read_complaint(self) -> None:
        """Read its stderr to the end, and keep the last `ERROR_BYTES`."""
        async for chunk in self._stderr:
            self.complaint += chunk
            del self.complaint[:-ERROR_BYTES]

    async def wait(self) -> None:
        """Wait for its end."""
        await self._process.wait()

    def interrupt(self) -> None:
        """Ask it to end in good order; once, for a second SIGINT would end it at once."""
        if not self._interrupted:
            self._interrupted = True
            try:
                self._process.send_signal(_INTERRUPT)
            except OSError:
                # A service of Windows has no console, and so nothing that could be sent.
                self.kill()

    def kill(self) -> None:
        """Kill the process and those that it started. Idempotent."""
        if sys.platform == "win32":  # where it starts none
            self._process.kill()
        else:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)

    async def see_off(self) -> None:
        """End the process within seconds, in any state; a cancellation has to wait."""
        with trio.CancelScope(shield=True):
            if self._process.returncode is None:
                self.interrupt()
                with trio.move_on_after(EXIT_GRACE_S):
                    await self._process.wait()
            self.kill()
            await self._process.wait()
            await self._stdin.aclose()
            await self.lines.aclose()
            await self._stderr.aclose()


class LineReader:
    """The lines of a stream, one by one. A line longer than `MAX_LINE_BYTES` is dropped."""

    def __init__(self, stream: trio.abc.ReceiveStream) -> None:
        self.aclose: Callable[[], Coroutine[Any, Any, None]] = stream.aclose
        self._stream = stream
        self._ready: deque[bytes] = deque()
        self._rest = bytearray()
        self._too_long = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        while not self._ready:
            chunk = await self._stream.receive_some()
            if not chunk:
                raise StopAsyncIteration
            self._take(bytes(chunk))
        return self._ready.popleft()

    def _take(self, chunk: bytes) -> None:
        *lines, rest = chunk.split(b"\n")
        for line in lines:
            self._rest += line
            if not self._too_long and len(self._rest) <= MAX_LINE_BYTES:
                self._ready.append(bytes(self._rest))
            self._rest.clear()
            self._too_long = False
        self._rest += rest
        if len(self._rest) > MAX_LINE_BYTES:
            self._too_long = True
            self._rest.clear()


def last_line(text: bytes | bytearray) -> str | None:
    """Find the last line that is not empty."""
    lines = bytes(text).decode(errors="replace").split("\n")
    return next((line.strip() for line in reversed(lines) if line.strip()), None)


def make_environment() -> dict[str, str]:
    """Make a child's environment: ours without our settings, and with the loadgen beside us."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("ECHO_TRIO_")}
    path = [str(Path(__file__).parents[2])]
    path += filter(None, [inherited.get("PYTHONPATH")])
    return {**inherited, "PYTHONPATH": os.pathsep.join(path), "PYTHONUTF8": "1"}
