"""Upstream's own tests pass on our connection: all of them, without an exception.

tests/test_connection.py comes from the source distribution of the trio-websocket that is
installed, fetched from the package index at test time and checked against the hash in our lock
file. It runs in a process of its own, with `Connection` in the place of `WebSocketConnection`. A
source distribution that can't be had is a failure, not a skip: else nobody would notice.
"""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
import tarfile
from importlib.metadata import version
from pathlib import Path

import pytest

TESTS = 64
#: A hang guard, nothing else.
TIMEOUT_S = 400

CONFTEST = """
import trio_websocket, trio_websocket._impl as upstream
from echo_trio.wire.upstream import UpstreamConnection as Connection
from pytest_trio.enable_trio_mode import *

trio_websocket.WebSocketConnection = upstream.WebSocketConnection = Connection
used = set()
run = Connection._reader_task

async def _reader_task(self):
    used.add(type(self))
    await run(self)

Connection._reader_task = _reader_task

def pytest_sessionfinish(session):
    print("\\nconnections used:", *sorted(cls.__module__ for cls in used))
"""


def locked_hashes(lock: Path, name: str, release: str) -> list[str]:
    entry = re.search(
        rf"^{name}=={re.escape(release)} \\\n((?: +--hash=.*\n)+)", lock.read_text(), re.MULTILINE
    )
    assert entry, f"{lock} does not name {name} {release}"
    return re.findall(r"sha256:([0-9a-f]{64})", entry[1])


def source_distribution(release: str, lock: Path, cache: Path) -> Path:
    """The source distribution, from the cache or the package index."""
    archive = cache / f"trio_websocket-{release}.tar.gz"
    if not archive.exists():
        cache.mkdir(parents=True, exist_ok=True)
        download = subprocess.run(
            [
                *(sys.executable, "-m", "pip", "download", "--disable-pip-version-check"),
                *("--no-deps", "--no-binary", "trio-websocket", "--retries", "10"),
                *("--dest", str(cache), f"trio-websocket=={release}"),
            ],
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
        assert download.returncode == 0, (
            f"trio-websocket {release}'s source distribution could not be downloaded, and "
            f"upstream's tests are in no other place. Is there a package index within reach?\n"
            f"{download.stdout}\n{download.stderr}"
        )
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    if digest not in locked_hashes(lock, "trio-websocket", release):
        archive.unlink()
        pytest.fail(f"{archive.name} has the hash {digest}, which {lock} does not know.")
    return archive


def with_patience(tests: bytes) -> bytes:
    """The same, but that its hang guards of a second or so don't bark on a busy machine."""
    guard = b"        self._seconds = seconds\n"
    assert tests.count(guard) == 1
    return tests.replace(guard, b"        self._seconds = 60 * seconds\n")


@pytest.fixture(scope="module")
def suite(pytestconfig, tmp_path_factory) -> Path:
    """A directory with upstream's tests and the conftest that puts our connection under them."""
    release = version("trio-websocket")
    cache = Path(sys.prefix) / "cache" / "upstream"
    archive = source_distribution(release, pytestconfig.rootpath / "requirements/dev.txt", cache)
    directory = tmp_path_factory.mktemp("upstream")
    with tarfile.open(archive) as contents:
        member = contents.extractfile(f"trio_websocket-{release}/tests/test_connection.py")
        assert member is not None
        (directory / "test_connection.py").write_bytes(with_patience(member.read()))
    (directory / "conftest.py").write_text(CONFTEST)
    (directory / "pytest.ini").write_text("[pytest]\n")
    return directory


def run(suite: Path, root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments, str(suite)],
        env=os.environ | {"PYTHONPATH": str(root)},
        cwd=suite,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )


def test_upstreams_own_tests_pass_on_our_connection(suite, pytestconfig):
    result = run(suite, pytestconfig.rootpath)
    assert result.returncode == 0, result.stdout[-10_000:] + result.stderr
    assert f"{TESTS} passed" in result.stdout, result.stdout[-2_000:]
    assert "connections used: echo_trio.wire.upstream\n" in result.stdout, result.stdout[-2_000:]


def test_a_broken_connection_would_fail_them(suite, pytestconfig, tmp_path):
    """The guard of the guard: with messages altered on their way, upstream's tests notice."""
    for name in ("test_connection.py", "conftest.py", "pytest.ini"):
        (tmp_path / name).write_bytes((suite / name).read_bytes())
    with (tmp_path / "conftest.py").open("a") as conftest:
        conftest.write(
            "\nfrom echo_trio.wire.upstream import UpstreamConnection as Connection, frames\n"
            "double = lambda message, masked: frames.encode(message * 2, masked)\n"
            "Connection._encode = staticmethod(double)\n"
        )
    result = run(tmp_path, pytestconfig.rootpath, "-k", "test_client_send_and_receive")
    assert result.returncode == 1, result.stdout
