"""The pages about behaviours: every example is tried, as it stands there."""

from __future__ import annotations

import os
import re
import runpy
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

import pytest
import structlog
import trio
from websockets.exceptions import ConnectionClosed, ConnectionClosedOK, InvalidStatus
from websockets.sync.client import connect as connect_sync
from websockets.trio.client import ClientConnection, connect

from echo_trio.behaviours import fault_prefix, line, paths, rpc
from echo_trio.server import EchoServer
from echo_trio.settings import Settings
from echo_trio.units import parse_duration

DOCS = Path(__file__).parents[2] / "docs"
REFERENCE = (DOCS / "reference" / "behaviours.md").read_text()
HOW_TO = (DOCS / "how-to" / "test-a-client.md").read_text()
#: A hang guard, nothing else.
PATIENCE_S = 240
#: Connects, then sends and receives, in the indented lines below a path's heading.
SECTIONS = dict(re.findall(r"^### `(/\S*)`\n(.*?)(?=^##|\Z)", REFERENCE, re.MULTILINE | re.DOTALL))
FAULTS = "## Faults before a path"
WITH_FAULTS = REFERENCE.partition(FAULTS)[2].partition("\n## ")[0]
LATER = re.compile(r"\s+# at least (\S+) after the last →")


def conversations(path: str) -> list[tuple[str, list[str]]]:
    """What a section's examples connect to, and their lines."""
    found: list[tuple[str, list[str]]] = []
    for text in (WITH_FAULTS if path == FAULTS else SECTIONS[path]).splitlines():
        if text.startswith("    /"):
            found.append((text.strip(), []))
        elif text.startswith(("    →", "    ←")):
            if not found:
                found.append((path, []))
            found[-1][1].append(text.strip())
    return found


def python_of(page: str) -> str:
    (program,) = re.findall(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    return program


def test_the_pages_table_is_the_servers():
    rows = re.findall(r"^\| `(/\S*)` \| (.*) \|$", REFERENCE, re.MULTILINE)
    expected = [(template, path.text) for template, path in paths.BEHAVIOURS.items()]
    assert [(path, text.replace("`", "")) for path, text in rows] == expected


def test_the_pages_table_of_faults_is_the_servers():
    rows = re.findall(r"^\| `~(\w+)\S*` \| (.*) \|$", WITH_FAULTS, re.MULTILINE)
    faults = [(name, fault.text) for name, fault in fault_prefix.FAULTS.items()]
    assert rows == [*faults, (fault_prefix.STATUS, fault_prefix.STATUS_TEXT)]
    assert "up to ten" in WITH_FAULTS
    assert fault_prefix.MAX_FAULTS == 10


def test_the_page_says_how_many_calls_a_batch_has_and_how_long_a_wait():
    assert f"of more than {rpc.MAX_BATCH} calls" in SECTIONS["/rpc"]
    assert f"from 0 to {rpc.MAX_WAIT_MS}" in SECTIONS["/rpc"]


def test_the_web_page_offers_every_behaviour_and_none_that_is_not_there():
    page = (DOCS.parent / "react-client/src/features/server/behaviours.tsx").read_text()
    offered = {f"/{path.split('/')[1]}" for path in re.findall(r"path: '(/[^']*)'", page)}
    with_faults = {path for path in offered if path.startswith("/~")}
    assert with_faults
    assert offered - with_faults == {f"/{template.split('/')[1]}" for template in paths.BEHAVIOURS}


def test_the_page_has_the_limits_that_hold():
    assert f"{line.PLACE_BYTES} bytes for its place" in REFERENCE
    assert Settings().limits.max_held_bytes == 2 * 2**20 + 64 * 1024


def test_every_path_has_a_section_and_all_but_the_silent_one_an_example():
    assert list(SECTIONS) == list(paths.BEHAVIOURS)
    assert [path for path in SECTIONS if not conversations(path)] == ["/silent"]


@pytest.mark.parametrize("path", [*(path for path in SECTIONS if path != "/silent"), FAULTS])
async def test_the_example_of_a_path_is_what_happens(path):
    server = EchoServer.listen(Settings(port=0, console=False, seed=1), structlog.get_logger())
    with trio.fail_after(PATIENCE_S):
        async with trio.open_nursery() as nursery:
            await nursery.start(server.run)
            for target, lines in conversations(path):
                await hold(server.url[:-1] + target, lines)
            server.drain()


async def hold(url: str, lines: list[str]) -> None:
    """Hold a conversation."""
    if lines[0].startswith("← HTTP "):
        with pytest.raises(InvalidStatus) as refused:
            async with connect(url):
                pass
        assert f"← HTTP {refused.value.response.status_code}" == lines[0]
        return
    async with connect(url, compression=None) as client:
        sent_s = 0.0
        for said in lines:
            if said.startswith("→ "):
                sent_s = trio.current_time()
                with suppress(ConnectionClosed):  # The server's close may be there already.
                    await client.send(said[2:])
            else:
                await expect(client, LATER.sub("", said[2:]))
                if later := LATER.search(said):
                    assert trio.current_time() - sent_s >= parse_duration(later[1])


async def expect(client: ClientConnection, what: str) -> None:
    if what == "reset" or what.startswith("close "):
        with pytest.raises(ConnectionClosed) as closed:
            await client.recv()
        if what == "reset":
            assert closed.value.rcvd is None
            assert isinstance(closed.value.__cause__, trio.BrokenResourceError)
        else:
            said = f"close {client.close_code} {client.close_reason}"
            assert said.strip() == what
    elif re.match(r"\[\w", what):
        parts = [part async for part in client.recv_streaming()]
        assert "".join(f"[{part}]" for part in parts) == what
    elif what.endswith("…"):
        assert str(await client.recv()).startswith(what.removesuffix("…"))
    else:
        assert await client.recv() == what


async def test_the_program_that_composes_a_behaviour_adds_its_path(monkeypatch, tmp_path):
    monkeypatch.setattr(paths, "BEHAVIOURS", paths.BEHAVIOURS)
    before = dict(paths.BEHAVIOURS)
    program = tmp_path / "program.py"
    program.write_text(python_of(REFERENCE))
    try:
        runpy.run_path(str(program))
        assert "/late-and-twice" in paths.listing()
        server = EchoServer.listen(Settings(port=0, console=False), structlog.get_logger())
        lines = ["→ a", "← a # at least 200ms after the last →", "→ b", "← b", "→ c", "← c", "← c"]
        with trio.fail_after(PATIENCE_S):
            async with trio.open_nursery() as nursery:
                await nursery.start(server.run)
                await hold(server.url + "late-and-twice", lines)
                server.drain()
    finally:
        paths.BEHAVIOURS.clear()
        paths.BEHAVIOURS.update(before)


def test_the_program_that_composes_a_behaviour_ends_in_good_order_at_ctrl_c(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(python_of(REFERENCE))
    with subprocess.Popen(
        [sys.executable, program],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as running:
        try:
            url = running.stdout.readline().strip()
            with connect_sync(url) as client:
                client.send("hello")
                assert client.recv() == "hello"
                running.send_signal(signal.SIGINT)
                with pytest.raises(ConnectionClosedOK) as closed:
                    client.recv(timeout=PATIENCE_S)
            assert closed.value.rcvd.code == 1001
            assert (running.wait(PATIENCE_S), running.stderr.read()) == (0, "")
        finally:
            running.kill()


def test_the_programs_of_the_how_to_pass(tmp_path):
    programs = re.findall(r"^```python\n(.*?)^```$", HOW_TO, re.MULTILINE | re.DOTALL)
    for number, program in enumerate(programs):
        (tmp_path / f"test_{number}.py").write_text(program)
    # pytest-asyncio is there for whoever has the locked requirements, and pytest-trio for us all.
    flags = ["-q", "-p", "no:cacheprovider", "--import-mode=importlib"]
    if find_spec("pytest_asyncio"):
        flags += ["-o", "asyncio_default_fixture_loop_scope=function"]
    run = subprocess.run(
        [sys.executable, "-m", "pytest", *flags, "."],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert f"{9 if find_spec('pytest_asyncio') else 8} passed" in run.stdout


def test_the_tests_in_javascript_pass(tmp_path):
    node = shutil.which("node")
    assert node, "Node is missing: install it (README.md says which)"
    (program,) = re.findall(r"^```js\n(.*?)^```$", HOW_TO, re.MULTILINE | re.DOTALL)
    (tmp_path / "client.test.mjs").write_text(program)
    run = subprocess.run(
        [node, "--test", "client.test.mjs"],
        cwd=tmp_path,
        env=os.environ | {"PYTHON": sys.executable, "NODE_OPTIONS": "--experimental-websocket"},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert re.search(r"^(# |ℹ )pass 2$", run.stdout, re.MULTILINE), run.stdout
