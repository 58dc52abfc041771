"""What starts our programs in the tests is to them, and to who starts them, as Python is."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from .conftest import READY
from .starter import starter
from .warm_start import REAL_STARTS

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the launcher is for Linux")
#: A hang guard, nothing else.
PATIENCE_S = 120.0
SERVER = ("-m", "echo_trio", "--port", "0", "--no-console")


def launch(*arguments: str, **options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [starter().launcher, *arguments],
        capture_output=True, text=True, timeout=PATIENCE_S, check=False, **options,  # type: ignore[call-overload]
    )  # fmt: skip


def serve() -> tuple[subprocess.Popen[str], tuple[str, int]]:
    server = subprocess.Popen(
        [starter().launcher, *SERVER],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    assert server.stdout is not None
    ready = READY.fullmatch(server.stdout.readline())
    assert ready
    parts = urlsplit(ready[1])
    return server, (str(parts.hostname), int(parts.port or 0))


def test_a_program_has_what_its_launcher_has_and_ends_it_as_it_ends(tmp_path: Path) -> None:
    order = {
        "settings": {"count": "0"}, "url": "ws://127.0.0.1:1/", "targets": [], "max_count": 1,
        "html": "x",
    }  # fmt: skip
    refused = launch(
        "-P", "-m", "loadgen.cli.from_stdin", input=json.dumps(order) + "\n", cwd=tmp_path
    )
    assert (refused.returncode, json.loads(refused.stdout)["field"]) == (2, "count")
    (tmp_path / "here.journal").write_text("no journal\n")
    recovered = launch("-m", "loadgen", "recover", "here.journal", cwd=tmp_path)
    assert (recovered.returncode, recovered.stdout) == (2, "")
    assert "here.journal" in recovered.stderr
    environment = {"ECHO_TRIO_PORT": "soon"}
    refused = launch("-m", "echo_trio", env=environment)
    assert (refused.returncode, "ECHO_TRIO_PORT" in refused.stderr) == (2, True)


def test_signals_reach_the_program_and_it_goes_with_its_launcher() -> None:
    server, address = serve()
    with server:
        server.send_signal(signal.SIGTERM)
        assert server.wait(PATIENCE_S) == 0
    server, address = serve()
    with server:
        server.kill()
        assert server.wait(PATIENCE_S) == -signal.SIGKILL
        assert server.stdout is not None
        assert server.stdout.read() == ""  # to the end, that is when the program has gone
    with socket.socket() as sock:
        assert sock.connect_ex(address)


@pytest.mark.parametrize(
    ("command", "environment"),
    [(("-c", "import sys; sys.exit(7)"), {}), (("-m", "loadgen", "--version"), {REAL_STARTS: "1"})],
    ids=["unknown", "asked for"],
)
def test_other_programs_and_those_that_are_to_be_new_are_pythons(
    command: tuple[str, ...], environment: dict[str, str]
) -> None:
    done = launch(*command, env={"PYTHONPROFILEIMPORTTIME": "1", **environment})
    assert done.returncode == (7 if command[0] == "-c" else 0)
    assert "import time:" in done.stderr
