"""Measure the pytest plugin: the first use of `ws_server`, and each of the next thousand.

    python benchmarks/plugin.py [--tests 1000] [--repeats 5]
    python benchmarks/plugin.py --report       the newest results into docs/benchmarks.md

Each repeat is a pytest of its own, for the Python that has our packages (`--python` for another).
Its tests do nothing but ask for the fixture, so what is measured is the fixture: its beginning and
its end together, by the clock and in CPU of the whole process. A first repeat is thrown away: it
compiles what was never imported. With PYTHONDONTWRITEBYTECODE, as in containers, nothing is kept.

Exit codes: 0; 1 if a target is missed; 2 if it can't be measured here.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from command import command
from processes import ProcessFailed
from results import PAGE, RESULTS, Recording, newest
from server_catalogue import our_python

#: By the clock: the first use, and each further one.
MOST_FIRST_MS, MOST_NEXT_MS = 300.0, 5.0
BEGIN, END = "<!-- plugin: begin (generated) -->", "<!-- plugin: end -->"

CONFTEST = """
import json
import time

import pytest

costs = []


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_setup(item):
    costs.append([time.perf_counter(), time.process_time()])
    yield
    costs[-1] = [costs[-1][0] - time.perf_counter(), costs[-1][1] - time.process_time()]


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown(item):
    began = [time.perf_counter(), time.process_time()]
    yield
    ended = [time.perf_counter(), time.process_time()]
    costs[-1] = [e - b - c for e, b, c in zip(ended, began, costs[-1])]


def pytest_sessionfinish():
    with open("costs.json", "w") as file:
        json.dump(costs, file)
"""
TESTS = """
import pytest


@pytest.mark.parametrize("n", range({tests}))
def test_that_asks_for_a_server(ws_server, n):
    pass
"""
FLAGS = ("-q", "-p", "no:cacheprovider", "-p", "no:asyncio", "-W", "error")


def measure(python: str, tests: int, *, keeps_bytecode: bool) -> dict[str, float]:
    """Run one session; return what its first test cost, and its others, in ms."""
    environment = {name: value for name, value in os.environ.items() if name[:6] != "PYTHON"}
    if not keeps_bytecode:
        environment["PYTHONDONTWRITEBYTECODE"] = "1"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "conftest.py").write_text(CONFTEST)
        (folder / "test_cost.py").write_text(TESTS.format(tests=tests))
        done = subprocess.run(
            [python, "-m", "pytest", *FLAGS, "."],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
        )
        if done.returncode:
            raise ProcessFailed((done.stdout + done.stderr).strip().splitlines()[-1])
        wall_s, cpu_s = zip(*json.loads((folder / "costs.json").read_text()), strict=True)
    tenth = max(tests // 10, 1)
    return {
        "first_ms": wall_s[0] * 1e3,
        "first_cpu_ms": cpu_s[0] * 1e3,
        "next_ms": statistics.median(wall_s[1:]) * 1e3,
        "next_cpu_ms": statistics.median(cpu_s[1:]) * 1e3,
        "next_p99_ms": sorted(wall_s[1:])[int(len(wall_s) * 0.99) - 1] * 1e3,
        "first_tenth_cpu_ms": statistics.median(cpu_s[1 : tenth + 1]) * 1e3,
        "last_tenth_cpu_ms": statistics.median(cpu_s[-tenth:]) * 1e3,
    }


def run(given: argparse.Namespace) -> Recording:
    settings = {"tests": given.tests, "repeats": given.repeats}
    recording = Recording("plugin", "full", settings, given.results)
    for keeps in (True, False):
        load = "bytecode kept" if keeps else "PYTHONDONTWRITEBYTECODE"
        measure(given.python, 3, keeps_bytecode=keeps)
        for repeat in range(1, given.repeats + 1):
            costs = measure(given.python, given.tests, keeps_bytecode=keeps)
            recording.repeats.append(
                {"figure": "ws_server", "load": load, **costs, "repeat": repeat}
            )
            print(
                f"[{repeat}/{given.repeats}] {load}: first {costs['first_ms']:.0f} ms "
                f"({costs['first_cpu_ms']:.0f} ms CPU), next {costs['next_ms']:.2f} ms "
                f"({costs['next_cpu_ms']:.2f} ms CPU)",
                flush=True,
            )
            recording.save()
    return recording.finish()


def missed(document: Mapping) -> list[str]:
    """Say which targets are missed."""
    told = []
    for row in document["medians"]:
        for key, most in (("first_ms", MOST_FIRST_MS), ("next_ms", MOST_NEXT_MS)):
            if row[key] > most:
                told.append(f"{row['load']}: {key} is {row[key]:.1f}, and may be {most:g}")
    return told


def section(document: Mapping) -> str:
    """The part of the page that is made of the results."""
    commit = (document["git"]["commit"] or "no commit")[:12]
    settings, made_on = document["settings"], document["machine"]
    lines = [
        (
            f"{document['started_at']}, commit {commit}, medians of {settings['repeats']} sessions "
            f"of {settings['tests']:,} tests; load average at the start "
            f"{made_on['load_average_at_start']:.1f}; {made_on['cpu']}, {made_on['cores']} cores; "
            f"Python {document['versions'].get('ours', {}).get('python', '?')}."
        ),
        "",
        "| | first use | CPU | each further one | CPU | CPU in the first tenth, in the last |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    lines += [
        f"| {row['load']} | {row['first_ms']:.0f} ms | {row['first_cpu_ms']:.0f} ms "
        f"| {row['next_ms']:.2f} ms | {row['next_cpu_ms']:.2f} ms "
        f"| {row['first_tenth_cpu_ms']:.2f} ms, {row['last_tenth_cpu_ms']:.2f} ms |"
        for row in document["medians"]
    ]
    return "\n".join(lines)


def write_page(document: Mapping) -> None:
    before, _, rest = PAGE.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    assert rest, f"{PAGE} has no {BEGIN}"
    PAGE.write_text(f"{before}{BEGIN}\n\n{section(document)}\n\n{END}{after}")


@command
def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--tests", type=int, default=1_000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--python", default=our_python(), help="one that has our packages")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder for the JSON")
    parser.add_argument("--report", action="store_true", help="only write the page")
    given = parser.parse_args(arguments)
    if given.report:
        write_page(newest("plugin", "full", given.results))
        return 0
    document = run(given).document()
    for told in missed(document):
        print(f"missed: {told}", flush=True)
    return 1 if missed(document) else 0


if __name__ == "__main__":
    sys.exit(main())
