"""A thousand tests with ws_server in one session: each gives back all, the last as fast as any."""

from __future__ import annotations

import itertools
import json
import statistics
import subprocess
import sys

import pytest

TESTS = """
import gc
import json
import threading
import time

import psutil
import pytest
from websockets.sync.client import connect

ME = psutil.Process()
seen = []


@pytest.mark.parametrize("n", range(1000))
def test_one_of_a_thousand(ws_server, n):
    with connect(ws_server.path("/drop/1" if n % 3 == 0 else "/"), proxy=None) as client:
        client.send("hello")
        client.recv()
    ws_server.wait_closed(1)
    if n % 100 == 99:
        gc.collect()
        # The client has threads of its own, which may take a moment to end.
        ours = [thread for thread in threading.enumerate() if thread.name == "echo-trio"]
        seen.append([len(ours), ME.num_fds(), ME.memory_info().rss, time.process_time()])


def teardown_module():
    with open("seen.json", "w") as file:
        json.dump(seen, file)
"""
#: What the interpreter may come to hold meanwhile: caches, and memory that the allocator keeps.
SLACK_BYTES = 8 * 2**20


@pytest.mark.soak
def test_a_thousand_tests_leave_threads_descriptors_and_memory_flat(tmp_path):
    (tmp_path / "test_thousand.py").write_text(TESTS)
    flags = ["-q", "-p", "no:cacheprovider", "-p", "no:asyncio", "-W", "error"]
    run = subprocess.run(
        [sys.executable, "-m", "pytest", *flags, "--durations=3", "."],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout
    print(run.stdout)
    threads, descriptors, resident, cpu_s = zip(
        *json.loads((tmp_path / "seen.json").read_text()), strict=True
    )
    hundreds_s = [after - before for before, after in itertools.pairwise(cpu_s)]
    print(threads, descriptors, [bytes_ // 2**20 for bytes_ in resident], hundreds_s)
    assert set(threads) == {1}
    assert set(descriptors) == {descriptors[0]}
    assert resident[-1] - resident[1] < SLACK_BYTES
    # CPU, and not time by the clock: a busy machine stretches the one by a little, the other by any
    # factor.
    early_s, late_s = hundreds_s[:3], hundreds_s[-3:]
    assert statistics.median(late_s) < 1.5 * statistics.median(early_s)
