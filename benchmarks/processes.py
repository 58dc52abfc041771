"""Child processes on a core of their own, ended by the pid they were started with."""

import os
import re
import select
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

READY_LINE = re.compile(rb"^ready ws=(ws://\S+)(?: console=(\S+))?")


class ProcessFailed(Exception):
    """A child did not do what it was started for; the message is one line for people."""


@dataclass(frozen=True)
class Child:
    process: subprocess.Popen[bytes]
    stderr: IO[bytes]

    @property
    def pid(self) -> int:
        return self.process.pid

    def interrupt(self) -> None:
        """Ctrl-C, as a terminal sends it: to the whole group."""
        os.killpg(self.pid, signal.SIGINT)

    def last_words(self) -> str:
        """The last line it wrote to stderr: most often the reason."""
        self.stderr.seek(0)
        lines = self.stderr.read().decode(errors="replace").strip().splitlines()
        return lines[-1].strip() if lines else f"exit code {self.process.poll()}, no message"


@contextmanager
def pinned(
    command: Sequence[str],
    core: int,
    *,
    stdin: int = subprocess.DEVNULL,
    stdout: int | IO[bytes] = subprocess.PIPE,
    environment: Mapping[str, str] | None = None,
    directory: Path | None = None,
) -> Iterator[Child]:
    """Run a command on one core; whatever happens inside, it is gone afterwards."""
    with tempfile.TemporaryFile() as stderr:
        try:
            process = subprocess.Popen(
                command,
                stdin=stdin,
                stdout=stdout,
                stderr=stderr,
                env={**os.environ, **(environment or {})},
                cwd=directory,
                # A group of its own: Ctrl-C reaches it only from us, and none of it outlives us.
                start_new_session=True,
                preexec_fn=lambda: _prepare(core),
            )
        except OSError as error:
            raise ProcessFailed(f"{command[0]}: {error.strerror}") from error
        with process:
            try:
                yield Child(process, stderr)
            finally:
                # Also when the leader is gone: what it started may not be.
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)


def _prepare(core: int) -> None:
    """In the child before exec, so that no thread of it ever runs on another core."""
    os.sched_setaffinity(0, {core})
    # A shell that runs us in the background has SIGINT ignored, and that is inherited.
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def wait_ready(child: Child, timeout_s: float = 30.0) -> str:
    """Return the address of the ready line."""
    return _ready(child, timeout_s)[1].decode()


def wait_ready_with_console(child: Child, timeout_s: float = 30.0) -> tuple[str, str]:
    """Return both addresses of the ready line."""
    ready = _ready(child, timeout_s)
    return ready[1].decode(), ready[2].decode()


def _ready(child: Child, timeout_s: float) -> re.Match[bytes]:
    assert child.process.stdout is not None
    descriptor = child.process.stdout.fileno()
    deadline = time.monotonic() + timeout_s
    seen = b""
    while (remaining_s := deadline - time.monotonic()) > 0:
        if select.select([descriptor], [], [], remaining_s)[0]:
            chunk = os.read(descriptor, 4096)
            if not chunk:
                child.process.wait()
                raise ProcessFailed(child.last_words())
            seen += chunk
            if b"\n" in seen and (match := READY_LINE.match(seen)):
                return match
    raise ProcessFailed(f"printed no ready line within {timeout_s:.0f} s")


def finished_output(child: Child, timeout_s: float) -> bytes:
    """Wait for its end and return its stdout."""
    try:
        output, _ = child.process.communicate(timeout=timeout_s)
    except subprocess.TimeoutExpired:
        raise ProcessFailed(f"not finished after {timeout_s:.0f} s") from None
    if child.process.returncode != 0:
        raise ProcessFailed(child.last_words())
    return output
