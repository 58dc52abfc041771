"""The pytest plugin in other people's projects: every kind of test, in a pytest of its own."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from importlib.util import find_spec
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples/test-a-client"
NODE_MODULES = Path(__file__).parents[2] / "react-client/node_modules"
#: A hang guard, nothing else.
PATIENCE_S = 240
FLAGS = ["-p", "no:cacheprovider", "-W", "error"]
if find_spec("pytest_asyncio"):  # It warns of a default of its own, unless its owner has chosen.
    FLAGS += ["-o", "asyncio_default_fixture_loop_scope=function"]


def run_pytest(folder: Path, *flags: str, code: int = 0) -> str:
    """Run pytest in a folder as its owner would, warnings being errors."""
    run = subprocess.run(
        [sys.executable, "-m", "pytest", *FLAGS, *flags, "."],
        cwd=folder,
        env=os.environ | {"NODE_PATH": str(NODE_MODULES)},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert run.returncode == code, run.stdout + run.stderr
    assert "unclosed" not in run.stderr
    return run.stdout


def test_the_examples_pass_with_every_client_that_is_installed():
    said = run_pytest(EXAMPLES, "-ra")
    passed = re.search(r"(\d+) passed", said)
    assert passed, said
    # Those that are among what we need ourselves; the others are skipped where they are missing.
    assert int(passed[1]) >= 15, said


# As pytest does by itself for a plugin that was installed from a wheel.
CONFTEST = """
import pytest

pytest.register_assert_rewrite("echo_trio.testing.serving")
"""

KINDS = """
import asyncio
import gc
import sys
import threading
import unittest

import psutil
import pytest
import trio
from websockets.asyncio.client import connect as connect_asyncio
from websockets.sync.client import connect
from websockets.trio.client import connect as connect_trio


@pytest.fixture(scope="session", autouse=True)
def nothing_is_left():
    before = set(threading.enumerate())
    yield
    # Trio keeps a thread for a while that has looked up a name for the Trio client.
    left = [t for t in set(threading.enumerate()) - before if not t.name.startswith("Trio thread")]
    assert not left


def test_the_server_is_imported_as_it_is(ws_server):
    import echo_trio.testing.serving

    assert type(echo_trio.testing.serving.__loader__).__name__ == "SourceFileLoader"
    assert any(type(finder).__name__ == "AssertionRewritingHook" for finder in sys.meta_path)


def test_sync(ws_server):
    with connect(ws_server.url) as client:
        client.send("hello")
        client.recv()
    ws_server.assert_all_clean()
    assert len(ws_server.connections) == 1


@pytest.mark.anyio
async def test_anyio(ws_server, anyio_backend):
    connecting = connect_trio if anyio_backend == "trio" else connect_asyncio
    async with connecting(ws_server.url) as client:
        await client.send("hello")
        await client.recv()
    ws_server.assert_all_clean()


@pytest.mark.trio
async def test_trio(ws_server):
    async with connect_trio(ws_server.path("/fragment/1")) as client:
        await client.send("hello")
        await client.recv()
    ws_server.assert_all_clean()
    assert [c.messages_out for c in ws_server.connections] == [1]


@pytest.mark.ws_server(seed=1)
def test_a_proxy_whose_faults_change_while_a_client_is_there(ws_proxy, ws_server):
    proxy = ws_proxy(ws_server.url, compression=True)
    with connect(proxy.path("/~duplicate/2/plain")) as client:
        client.send("hello")
        assert client.recv() == "hello"
        proxy.faults("~corrupt/1")
        client.send("hello")
        assert [client.recv(), client.recv()] == ["(ello"] * 2
        proxy.faults("")
        client.send("hello")
        assert client.recv() == "hello"
        with pytest.raises(ValueError, match="no fault"):
            proxy.faults("~wrong")
        with pytest.raises(ValueError, match="no proxy"):
            ws_server.faults("~silent")
    for server in (proxy, ws_server):
        server.assert_all_clean()
        (connection,) = server.connections
    assert (connection.path, connection.messages_in, connection.messages_out) == ("/plain", 3, 3)
    (connection,) = proxy.connections
    assert (connection.path, connection.messages_in) == ("/~duplicate/2/plain", 3)
    assert [m.data for m in connection.last_messages if m.direction == "out"] == [
        "hello", "(ello", "(ello", "hello"
    ]


def test_two_proxies_and_one_that_makes_no_sense(ws_proxy, ws_server):
    first = ws_proxy(ws_server.url, fault="~up-swallow/2")
    second = ws_proxy(first.url, fault="~duplicate/1")
    with connect(second.path("/plain")) as client:
        for text in "abc":
            client.send(text)
        assert [client.recv() for _ in range(4)] == ["a", "a", "c", "c"]
    with pytest.raises(pytest.fail.Exception, match="^ws_proxy: --upstream: 'http://x' does not"):
        ws_proxy("http://x")


@pytest.mark.trio
async def test_a_proxy_in_a_trio_test(ws_proxy, ws_server):
    proxy = ws_proxy(ws_server.url)
    async with connect_trio(proxy.path("/plain")) as client:
        proxy.faults("~up-corrupt/1")
        await client.send("hello")
        assert await client.recv() == "(ello"


class TestOfUnittest(unittest.TestCase):
    @pytest.fixture(autouse=True)
    def take(self, ws_server):
        self.server = ws_server

    def test_unittest(self):
        with connect(self.server.path("/plain")) as client:
            client.send("hello")
            self.assertEqual(client.recv(), "hello")
        self.server.assert_all_clean()


@pytest.mark.ws_server(seed=1, max_message_bytes=4)
class TestOfMarkers:
    def test_class(self, ws_server):
        with connect(ws_server.url) as client:
            client.send("four")
            assert client.recv() == "four 566561"

    @pytest.mark.ws_server(seed=2)
    def test_nearest_wins(self, ws_server):
        with connect(ws_server.url) as client:
            client.send("four")
            assert client.recv() == "four 591189"


def test_that_leaves_a_client_open(ws_server, left=[]):
    left.append(connect(ws_server.path("/silent")))
    left[0].__enter__().send("hello")
    threading.Thread(target=left[0].__exit__, args=(None, None, None), daemon=True).start()


@pytest.mark.parametrize("n", range(40))
def test_many(ws_server, n):
    with connect(ws_server.url) as client:
        client.send("hello")
        client.recv()
    ws_server.wait_closed(1)
    # Every test sees its own alone.
    assert len(ws_server.connections) == 1


@pytest.fixture(scope="module")
def descriptors():
    return []


@pytest.mark.parametrize("n", range(20))
def test_descriptors_are_flat(ws_server, descriptors, n):
    gc.collect()
    descriptors.append(psutil.Process().num_fds())
    assert descriptors[-1] <= descriptors[0]
"""


def test_every_kind_of_test_is_served_and_nothing_is_left_behind(tmp_path):
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "test_kinds.py").write_text(KINDS)
    said = run_pytest(tmp_path, "--strict-markers")
    assert re.search(r"\b72 passed", said), said


FAILING = """
import pytest
from websockets.sync.client import connect


def test_that_fails(ws_server):
    with connect(ws_server.path("/close/4001/no%20more?secret=1")) as client:
        client.send("\\x1b[31mred" + "x" * 1000)
    with connect(ws_server.url) as client:
        assert client.recv(timeout=0) == "a greeting"


def test_that_asks_for_a_misspelt_path(ws_server):
    with connect(ws_server.url) as client:
        client.send("y" * 100)
        client.send("z" * 101)
    with pytest.raises(Exception, match="404"), connect(ws_server.path("/dorp/3")):
        pass
    ws_server.assert_all_clean()


@pytest.mark.ws_server(sed=1)
def test_with_a_misspelt_setting(ws_server):
    pass


@pytest.mark.ws_server(workers=2)
def test_with_a_setting_that_is_no_tests(ws_server):
    pass


@pytest.mark.ws_server(log_level="debug")
def test_with_a_setting_of_programs(ws_server):
    pass


@pytest.mark.ws_server(history="runs.db")
def test_with_a_setting_without_an_effect(ws_server):
    pass


@pytest.mark.ws_server(seed="one")
def test_with_a_setting_of_another_kind(ws_server):
    pass


@pytest.mark.ws_server(console=True, console_host="0.0.0.0")
def test_with_a_console_that_others_can_reach(ws_server):
    pass


def test_with_a_port_in_use(ws_server, ws_proxy):
    ws_proxy("ws://127.0.0.1:1", port=int(ws_server.url.rstrip("/").rpartition(":")[2]))


@pytest.mark.ws_server(1)
def test_with_a_setting_without_a_name(ws_server):
    pass


def test_that_passes(ws_server):
    pass
"""


LOG_LEVEL = (
    "log_level is for a program; here the log goes to Python's logger echo_trio, as in "
    'caplog.set_level("DEBUG", logger="echo_trio")'
)


@pytest.mark.parametrize("processes", [(), ("-n", "1")], ids=["here", "xdist"])
def test_a_failure_says_what_the_server_saw_and_a_bad_marker_what_to_do(tmp_path, processes):
    (tmp_path / "test_failing.py").write_text(FAILING)
    report = tmp_path / "junit.xml"
    said = run_pytest(tmp_path, "-rP", f"--junitxml={report}", *processes, code=1)
    assert said.count("- ws_server -") == 3  # of tests that have failed, alone
    _, _, section = said.partition("- ws_server -")
    lines = section.splitlines()
    assert re.fullmatch(r"ws://127\.0\.0\.1:\d+/ saw 2 connections", lines[1])
    assert lines[2:4] == [
        "  /close/4001/no more: clean, close code 4001, 1 in, 0 out".replace(" more", "%20more"),
        r"    → \x1b[31mred" + "x" * 92 + "… (1008 characters)",
    ]
    assert lines[4].startswith("  /: ")
    assert "secret" not in section.partition("====")[0]
    assert "\x1b[31mred" not in said
    errors = [line for line in said.splitlines() if line.startswith("@pytest.mark.ws_server: ")]
    assert errors == [
        f"@pytest.mark.ws_server: {why}"
        for why in (
            "there is no setting sed; did you mean seed?",
            "workers=2 are processes, and a test's server has one in this process",
            LOG_LEVEL,
            "--history is the console's, and this server has none",
            "seed is 'one'. Expected int | None, got str",
            "settings are given by name, like seed=1, not as 1",
        )
    ]
    counted = ET.parse(report).getroot()[0].attrib
    assert (counted["failures"], counted["errors"], counted["tests"]) == ("3", "7", "11")
    assert "\nws_server: a console that others can reach needs a token: --console-token\n" in said
    assert re.search(
        r"\nws_proxy: can't listen on 127\.0\.0\.1:\d+: Address already in use\n", said
    )
    assert "  /dorp/3: refused, HTTP 404 (there is no such path), 0 in, 0 out\n" in said
    assert "    did you mean /drop/{n}?\n" in said
    assert "    → " + "y" * 100 + "\n" in said
    assert "    → " + "z" * 100 + "… (101 characters)\n" in said
    # A traceback ends in the test, not in what it has called of ours.
    assert not re.findall(r"^\S*echo_trio/testing/.*", said, re.MULTILINE)


UNUSED = """
import json
import sys


def test_that_asks_for_nothing():
    names = ("echo_trio", "loadgen")
    ours = sorted(name for name in sys.modules if name.partition(".")[0] in names)
    with open("modules.json", "w") as file:
        json.dump([ours, "trio" in sys.modules], file)
"""


def test_a_pytest_that_does_not_use_it_imports_three_small_modules(tmp_path):
    (tmp_path / "test_unused.py").write_text(UNUSED)
    plugins = ("trio", "anyio", "hypothesispytest")
    others = [flag for name in plugins for flag in ("-p", f"no:{name}")]
    assert "@pytest.mark.ws_server(**settings): " in run_pytest(tmp_path, *others, "--markers")
    run_pytest(tmp_path, *others)
    ours, trio = json.loads((tmp_path / "modules.json").read_text())
    assert ours == ["echo_trio", "echo_trio.testing", "echo_trio.testing.plugin"]
    assert not trio
