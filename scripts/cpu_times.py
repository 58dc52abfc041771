"""Measure the CPU that each test takes: its process's, and that of all that it has started.

    make test-times
    python scripts/side_by_side.py 2 -p scripts.cpu_times tests/loadgen

A pytest plugin. What a test takes is user and system time of the process that runs it and of all
that descend from that, before and after; so what a module shares is in the account of the test that
made it. A server that goes on counts for each test for what it did meanwhile. Missing: what was
started and disowned. The table goes to the terminal, the times of each test to CPU_TIMES
(test-times.jsonl): a line each, with `nodeid`, `cpu_s` and `wall_s`.
"""

from __future__ import annotations

import json
import os
import resource
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

#: How many rows of each table are shown.
ROWS = 60
TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_OUTPUT = Path(os.environ.get("CPU_TIMES", "test-times.jsonl"))


def take_cpu_s() -> float:
    """Take the CPU time of this process and all its descendants so far, in seconds."""
    own = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    total_s = sum(usage.ru_utime + usage.ru_stime for usage in own)
    unread = list(_find_children(os.getpid()))
    while unread:
        pid = unread.pop()
        with suppress(OSError):  # it has gone meanwhile
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            # utime, stime, and of those that it has waited for cutime and cstime: proc(5).
            total_s += sum(map(int, fields[11:15])) / TICKS_PER_S
            unread += _find_children(pid)
    return total_s


def _find_children(pid: int) -> Iterator[int]:
    with suppress(OSError):
        for task in os.listdir(f"/proc/{pid}/task"):  # noqa: PTH208 - a tenth of the time
            with suppress(OSError), open(f"/proc/{pid}/task/{task}/children") as children:  # noqa: PTH123
                yield from map(int, children.read().split())


def pytest_configure() -> None:
    """Begin a new account."""
    _OUTPUT.write_text("")
    # Of one starter for all forks nobody knows for which test it works.
    os.environ["OWN_STARTERS"] = "1"


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Note what a test takes, with its fixtures."""
    began_s, before_s = time.monotonic(), take_cpu_s()
    result = yield
    entry = {
        "nodeid": item.nodeid,
        "cpu_s": round(take_cpu_s() - before_s, 4),
        "wall_s": round(time.monotonic() - began_s, 4),
    }
    with _OUTPUT.open("a") as output:  # A write that is appended is not mixed with another's.
        output.write(json.dumps(entry) + "\n")
    return result


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Show the files and the tests that take most."""
    entries = [json.loads(line) for line in _OUTPUT.read_text().splitlines()]
    for title, key in (
        ("file", lambda nodeid: nodeid.partition("::")[0]),
        ("test function", lambda nodeid: nodeid.partition("[")[0]),
    ):
        _show(terminalreporter, title, entries, key)


def _show(terminal: Any, title: str, entries: list[dict[str, Any]], key: Any) -> None:
    cpu_s: dict[str, float] = defaultdict(float)
    wall_s: dict[str, float] = defaultdict(float)
    count: dict[str, int] = defaultdict(int)
    for entry in entries:
        name = key(entry["nodeid"])
        cpu_s[name] += entry["cpu_s"]
        wall_s[name] += entry["wall_s"]
        count[name] += 1
    terminal.section(f"CPU time by {title}")
    terminal.line("  CPU s  wall s  tests")
    for name in sorted(cpu_s, key=cpu_s.__getitem__, reverse=True)[:ROWS]:
        terminal.line(f"{cpu_s[name]:7.2f} {wall_s[name]:7.2f} {count[name]:6}  {name}")
    total = f"{sum(cpu_s.values()):7.2f} {sum(wall_s.values()):7.2f} {len(entries):6}  in all"
    terminal.line(total)
