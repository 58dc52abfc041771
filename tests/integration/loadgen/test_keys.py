"""A load that is changed by keys, in a terminal of its own, and the terminal afterwards.

Real starts, each with a session whose terminal it is: a fork of the tests' starter has none.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import resource
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Sequence

import pytest
from websockets.asyncio.server import ServerConnection

from .conftest import PATIENCE_S

ECHO = termios.ECHO | termios.ICANON


#: What a shell does with a job in the foreground: who has no such parent can't be stopped.
SHELL = """
import os, signal, subprocess, sys
signal.signal(signal.SIGTTOU, signal.SIG_IGN)
job = subprocess.Popen([sys.executable, "-m", "loadgen", *sys.argv[1:]], process_group=0)
os.tcsetpgrp(0, job.pid)
while os.WIFSTOPPED(status := os.waitpid(job.pid, os.WUNTRACED)[1]):
    os.tcsetpgrp(0, os.getpgrp())
    input("the job is stopped")
    os.tcsetpgrp(0, job.pid)
    os.killpg(job.pid, signal.SIGCONT)
os.tcsetpgrp(0, os.getpgrp())
sys.exit(os.waitstatus_to_exitcode(status))
"""


class Terminal:
    """A terminal with a run in it; `screen` is everything that it was sent."""

    def __init__(self, *arguments: str, command: Sequence[str] = ("-m", "loadgen")) -> None:
        self.screen = b""
        # The end in which the run is stays open here, too: its mode is looked at afterwards.
        self.descriptor, self._inside = os.openpty()
        fcntl.ioctl(self.descriptor, termios.TIOCSWINSZ, struct.pack("4H", 40, 120, 0, 0))
        self.process = subprocess.Popen(
            [sys.executable, *command, *arguments],
            stdin=self._inside,
            stdout=self._inside,
            stderr=self._inside,
            start_new_session=True,
            preexec_fn=self._prepare,  # noqa: PLW1509 - two calls of the system, then exec
        )
        self.pid = self.process.pid

    def _prepare(self) -> None:
        fcntl.ioctl(self._inside, termios.TIOCSCTTY, 0)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        # Whoever runs the tests in the background may have them ignored.
        for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGTSTP):
            signal.signal(number, signal.SIG_DFL)

    def read(self) -> None:
        """Take in what it has written."""
        if select.select([self.descriptor], [], [], 0.05)[0]:
            self.screen += os.read(self.descriptor, 1 << 16)

    def wait_for(self, *texts: str, keys: bytes = b"") -> None:
        """Wait until each text has been shown from now on.

        :param keys: those that bring it about.
        """
        deadline, self.screen = time.monotonic() + PATIENCE_S, b""
        if keys:
            os.write(self.descriptor, keys)
        while not all(text in self.text for text in texts):
            assert time.monotonic() < deadline, (texts, self.text)
            assert self.process.poll() is None, (texts, self.text)
            self.read()

    @property
    def text(self) -> str:
        return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", self.screen.decode(errors="replace"))

    @property
    def is_plain(self) -> bool:
        """True if it shows what is typed, and waits for the end of a line."""
        return termios.tcgetattr(self.descriptor)[3] & ECHO == ECHO

    def wait_until(self, *, is_plain: bool) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while self.is_plain is not is_plain:
            assert time.monotonic() < deadline, self.text
            self.read()

    def wait(self) -> int:
        """Wait for the end of the run, whose code is returned."""
        deadline = time.monotonic() + PATIENCE_S
        while (code := self.process.poll()) is None:
            assert time.monotonic() < deadline, self.text
            self.read()
        while select.select([self.descriptor], [], [], 0)[0]:
            self.read()
        return code

    def close(self) -> None:
        if self.process.returncode is None:
            self.process.kill()
            self.process.wait()
        os.close(self.descriptor)
        os.close(self._inside)


@pytest.fixture
def server(serve_websockets):
    async def echo(connection: ServerConnection, counts):
        async for message in connection:
            await connection.send(f"{message} 1")

    return serve_websockets(echo)


@pytest.fixture
def terminal(server):
    opened = []

    def run(*arguments, **options):
        opened.append(Terminal("6", server.url, "--rate", "20/s", *arguments, **options))
        return opened[-1]

    yield run
    for each in opened:
        each.close()


def test_keys_raise_lower_pause_and_stop_a_load_of_two_processes(terminal, tmp_path):
    report_file = tmp_path / "report.json"
    run = terminal("--duration", "10m", "--workers", "2", "--json", str(report_file))
    run.wait_for(" left", "20/s", "+ - rate, space pauses, q stops")
    assert not run.is_plain
    run.wait_for("24/s, 120% of the plan", keys=b"+=")
    run.wait_for("22/s, 110% of the plan", keys=b"-")
    run.wait_for("paused, 22/s", "space goes on", keys=b"\x1b[A ")  # An arrow means nothing.
    run.wait_for("space pauses", keys=b" ")
    os.write(run.descriptor, b"q")
    assert run.wait() == 130
    assert run.is_plain
    report = json.loads(report_file.read_bytes())
    assert report["verdict"] != "failed", report["verdict_reasons"]
    changes = [(one["what"], one["unit"], one["old"], one["new"]) for one in report["changes"]]
    assert changes == [
        ("rate", "rate", 20.0, 22.0),
        ("rate", "rate", 22.0, 24.0),
        ("rate", "rate", 24.0, 22.0),
        ("pause", "rate", 22.0, 0.0),
        ("resume", "rate", 0.0, 22.0),
    ]
    assert report["paused_s"] == report["changes"][-1]["paused_s"] > 0
    messages = report["messages"]
    assert messages["sent"] == messages["echoed"] + messages["in_flight"]
    assert "the load was changed by hand: its rate 3 times, paused once" in run.text


@pytest.mark.parametrize(
    ("ends", "code"),
    [([signal.SIGTERM], 130), ([signal.SIGINT] * 2, 130), ([signal.SIGQUIT], -signal.SIGQUIT)],
    ids=["SIGTERM", "SIGINT-twice", "SIGQUIT"],
)
def test_the_terminal_is_as_it_was_whatever_ends_the_run(terminal, ends, code):
    run = terminal("--duration", "10m", "--journal", "off")
    run.wait_for(" left", "space pauses")
    for number in ends:
        os.kill(run.pid, number)
    assert run.wait() == code
    assert run.is_plain


def test_the_shell_has_the_terminal_as_it_was_while_the_run_is_stopped(terminal):
    run = terminal("--duration", "10m", command=("-c", SHELL))
    run.wait_for(" left", "space pauses")
    assert not run.is_plain
    run.wait_for("the job is stopped", keys=b"\x1a")  # Ctrl-Z
    assert run.is_plain
    os.write(run.descriptor, b"\n")
    run.wait_until(is_plain=False)
    run.wait_for("paused, 20/s", keys=b" ")
    os.write(run.descriptor, b"q")
    assert run.wait() == 130
    assert run.is_plain
