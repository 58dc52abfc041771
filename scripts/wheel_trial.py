"""Use each part of an installed wheel once, as those who install it do.

`scripts/release_check.py` runs this with the Python of a fresh virtual environment that has the
wheel, what it depends on, and pytest. It prints a line for each part that works, and ends with a
traceback at the first that does not.
"""

from __future__ import annotations

import json
import platform
import re
import signal
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import distribution, entry_points
from pathlib import Path
from typing import NamedTuple

#: For a program to end.
PATIENCE_S = 300
SCENARIO = """
from loadgen.scenario import User, check, scenario


@scenario
async def talker(user: User) -> None:
    async with user.connect() as ws:
        async for due in user.pace("10/s"):
            reply = await ws.request(f"{user.number}-{due.number}", name="say", due=due)
            check("the reply is an echo", reply.startswith(f"{user.number}-{due.number} "))
"""
TEST = """
import pytest
from websockets.sync.client import connect


def test_the_server_of_the_fixture_echoes(ws_server):
    with connect(ws_server.url) as client:
        client.send("hi")
        assert client.recv().startswith("hi ")
    ws_server.wait_closed(1, timeout=60)
    ws_server.assert_all_clean()


def test_a_fault_is_on_a_path(ws_server):
    with connect(ws_server.path("/close/4001")) as client, pytest.raises(Exception, match="4001"):
        client.send("hi")
        client.recv()
"""


class Place(NamedTuple):
    """The addresses of the server of a trial, and the folder that programs write into."""

    url: str
    console: str
    folder: Path


def run(place: Place, *arguments: str, expect: int = 0) -> str:
    """Run a module of the environment; return what it says on both streams."""
    done = subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=place.folder, capture_output=True, text=True, timeout=PATIENCE_S, check=False,
    )  # fmt: skip
    assert done.returncode == expect, f"{arguments} exits with {done.returncode}: {done.stderr}"
    return done.stdout + done.stderr


def load(place: Place, sockets: int, *flags: str) -> None:
    """Run a load; exit code 3 is a busy machine's."""
    command = [sys.executable, "-m", "loadgen", str(sockets), place.url, "--quiet", *flags]
    done = subprocess.run(
        command, cwd=place.folder, capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )
    assert done.returncode in {0, 3}, f"{command} exits with {done.returncode}: {done.stderr}"


def get(url: str) -> str:
    """Fetch a page."""
    with urllib.request.urlopen(url, timeout=PATIENCE_S) as answer:
        return str(answer.read().decode())


@contextmanager
def serving(folder: Path) -> Iterator[Place]:
    """Start the server with its console; stop it as a service manager does."""
    command = [sys.executable, "-m", "echo_trio", "--port", "0", "--console-port", "0"]
    with (folder / "server.log").open("w") as log:
        server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
    try:
        assert server.stdout is not None
        ready = re.match(r"ready ws=(\S+) console=(\S+)", server.stdout.readline())
        assert ready, (folder / "server.log").read_text()
        yield Place(ready[1], ready[2], folder)
        server.send_signal(signal.SIGTERM)
        assert server.wait(PATIENCE_S) == 0
        assert "Traceback" not in (folder / "server.log").read_text()
    finally:
        server.kill()
        server.communicate()


def try_server(place: Place) -> None:
    """Ask the server how it is."""
    assert get(f"{place.console}healthz")
    assert get(f"{place.console}readyz")
    assert "echo_trio_" in get(f"{place.console}metrics")


def try_page(place: Place) -> None:
    """Fetch the page, and each file that it or one of its programs names."""
    page = get(place.console)
    assert "<script" in page
    open_, fetched = set(re.findall(r'(?:src|href)="\./([^"]+)"', page)), set[str]()
    while open_:
        file = open_.pop()
        fetched.add(file)
        text = get(place.console + file)
        if file.endswith(".js"):
            named = re.findall(r"[\"'`](?:\./|assets/)([\w.-]+\.(?:js|css))[\"'`]", text)
            open_ |= {f"assets/{name}" for name in named} - fetched
    assert len(fetched) > 10, fetched


def try_generator(place: Place) -> None:
    """Run a load with each format of report."""
    formats = ("json", "csv", "html", "junit", "markdown")
    files = [word for name in formats for word in (f"--{name}", f"report.{name}")]
    load(place, 10, "--duration", "1s", *files)
    report = json.loads((place.folder / "report.json").read_text())
    assert report["messages"]["echoed"] == report["messages"]["sent"] == 10
    assert "<script" in (place.folder / "report.html").read_text()
    assert all((place.folder / f"report.{name}").stat().st_size for name in formats)


def try_scenario(place: Place) -> None:
    """Run a scenario, and write the one that users begin with."""
    run(place, "loadgen", "new", "begun.py")
    (place.folder / "talk.py").write_text(SCENARIO)
    load(place, 3, "--scenario", "talk.py", "--duration", "1s", "--json", "talk.json")
    report = json.loads((place.folder / "talk.json").read_text())
    assert report["users"]["finished"] == 3
    (check,) = report["checks"]
    assert (check["passed"], check["failed"]) == (report["messages"]["sent"], 0)
    assert check["passed"] > 0


def try_plugin(place: Place) -> None:
    """Run tests with the plugin's fixtures."""
    (plugin,) = (each for each in entry_points(group="pytest11") if each.name == "echo_trio")
    assert plugin.value == "echo_trio.testing.plugin"
    (place.folder / "test_client.py").write_text(TEST)
    quiet = ("-q", "-W", "error", "-p", "no:cacheprovider", "-p", "no:asyncio")
    said = run(place, "pytest", *quiet, "test_client.py")
    assert "2 passed" in said


def try_history(place: Place) -> None:
    """Keep two runs, and list them."""
    for _ in range(2):
        load(place, 2, "--duration", "500ms", "--history", "runs.db", "--name", "trial")
    said = run(place, "loadgen", "history", "runs.db")
    assert "trial" in said
    assert "2 runs" in said, said


def try_help(place: Place) -> None:
    """Read the help of both programs, by the names that are installed beside Python."""
    for name in ("echo-trio", "loadgen"):
        program = Path(sys.executable).with_name(name)
        done = subprocess.run([program, "--help"], capture_output=True, text=True, check=True)
        assert done.stdout.startswith("Usage: "), done.stdout[:100]
    for command in ("compare", "history", "new", "plan", "record", "recover"):
        run(place, "loadgen", command, "--help")
    assert distribution("echo-trio").metadata["Name"] == "echo-trio"


PARTS: dict[str, Callable[[Place], None]] = {
    "server": try_server,
    "page": try_page,
    "generator": try_generator,
    "scenario": try_scenario,
    "plugin": try_plugin,
    "history": try_history,
    "help": try_help,
}


def main() -> int:
    """Try each part."""
    folder = tempfile.TemporaryDirectory(prefix="wheel-trial-")
    with folder as name, serving(Path(name)) as place:
        for part, use in PARTS.items():
            use(place)
            print(f"{platform.python_version()} {part}", flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
