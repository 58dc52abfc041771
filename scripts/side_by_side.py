"""Run tests in several forks of one pytest that has collected them.

    python scripts/side_by_side.py 4 -m 'not alone' tests/loadgen
    python scripts/side_by_side.py 4-6 -m 'not alone' tests/loadgen

All arguments but the first, the number of forks, are pytest's. Of a range of numbers, the first are
begun at once, the others while the processors have nothing to do. Workers that import and collect
all tests for themselves, as pytest-xdist's do, take 10 s of CPU apiece on a fresh clone, 5 s later.
A fork has all that from its parent. Each takes the next few tests from a pipe when it has run the
last, so all are busy until there is none left, and sends reports to the parent, which shows them.

Exit codes are pytest's. A fork that dies fails the test that it ran, and those that it had taken.
"""

from __future__ import annotations

import array
import atexit
import fcntl
import gc
import json
import os
import random
import selectors
import struct
import sys
import termios
import threading
import time
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import psutil
import pytest

#: Most tests that a fork takes at once. They share what is made once a module. Of those that start
#: processes or wait, which are in one folder, a fork takes few.
MOST: Final = 40
MOST_SLOW: Final = 6
SLOW: Final = Path("tests", "integration").parts
#: How a share is told to a fork, in one write and one read that nobody else can come between.
SHARE: Final = struct.Struct("II")
READ_BYTES: Final = 65536
#: How often the processors are looked at, and what share of their time without work is another
#: fork's.
LOOK_S: Final = 3.0
IDLE_PERCENT: Final = 15.0


@dataclass
class Fork:
    """A child, as the parent knows it."""

    number: int
    pid: int
    reports: int
    unread: bytes = b""
    running: str | None = None


@dataclass
class SideBySide:
    """The plugin that runs the tests that pytest has collected.

    :ivar forks: how many begin at once.
    :ivar most: how many there may come to be.
    :ivar reported: the tests that have been run to their end.
    """

    forks: int
    most: int
    reported: set[str] = field(default_factory=set)

    def pytest_configure(self, config: pytest.Config) -> None:
        """Let a conftest know how many forks there will be: they can share what it makes before."""
        config.forks = self.forks

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool | None:
        """Run all tests; nothing is different where pytest itself would run none."""
        if session.config.option.collectonly or session.testsfailed or not session.items:
            return None
        assert threading.active_count() == 1, "a fork has only one of these threads"
        shares = list(divide(session.items))
        # A pipe holds 64 KiB: 8,000 shares.
        taking, giving = os.pipe()
        # What the forks have in common is looked at by no garbage collection, and so not copied.
        gc.collect()
        gc.freeze()
        for share in shares:
            os.write(giving, SHARE.pack(*share))
        os.close(giving)
        sys.stdout.flush()
        sys.stderr.flush()
        children = [self._fork(session, number, taking) for number in range(self.forks)]
        reporter = session.config.pluginmanager.get_plugin("terminalreporter")
        if reporter is not None:
            reporter.showfspath = False  # their files come in no order
        self._listen(session, children, taking)
        os.close(taking)
        self._fail_what_was_not_run(session)
        return True

    def _fork(self, session: pytest.Session, number: int, taking: int) -> Fork:
        reading, writing = os.pipe()
        pid = os.fork()
        if pid:
            os.close(writing)
            return Fork(number, pid, reading)
        code = 1
        try:
            os.close(reading)
            work(session, number, taking, writing)
            code = 0
        except BaseException:  # noqa: BLE001 - as an interpreter does at its end
            session.config.pluginmanager.get_plugin("capturemanager").stop_global_capturing()
            os.write(2, traceback.format_exc().encode())
        finally:
            atexit._run_exitfuncs()
            os._exit(code)

    def _listen(self, session: pytest.Session, children: Sequence[Fork], taking: int) -> None:
        find_idle_percent()  # Each looks at the time since the one before.
        looked_s, count = time.monotonic(), len(children)
        with selectors.DefaultSelector() as selector:
            for child in children:
                selector.register(child.reports, selectors.EVENT_READ, child)
            while selector.get_map():
                if count < self.most and time.monotonic() - looked_s >= LOOK_S:
                    looked_s = time.monotonic()
                    if find_idle_percent() > IDLE_PERCENT and is_anything_in(taking):
                        child = self._fork(session, count, taking)
                        selector.register(child.reports, selectors.EVENT_READ, child)
                        count += 1
                for key, _ in selector.select(LOOK_S):
                    child = key.data
                    if received := os.read(child.reports, READ_BYTES):
                        *lines, child.unread = (child.unread + received).split(b"\n")
                        for line in lines:
                            self._note(session, child, json.loads(line))
                    else:
                        selector.unregister(child.reports)
                        os.close(child.reports)
                        self._bury(session, child)
                    if session.shouldfail or session.shouldstop:
                        while os.read(taking, READ_BYTES):
                            pass  # What nobody has taken is not run.
        if session.shouldfail:
            raise session.Failed(session.shouldfail)
        if session.shouldstop:
            raise session.Interrupted(session.shouldstop)

    def _note(self, session: pytest.Session, child: Fork, event: dict[str, Any]) -> None:
        hook = session.config.hook
        nodeid, location = event["nodeid"], tuple(event["location"])
        match event["kind"]:
            case "start":
                child.running = nodeid
                hook.pytest_runtest_logstart(nodeid=nodeid, location=location)
            case "report":
                report = hook.pytest_report_from_serializable(
                    config=session.config, data=event["report"]
                )
                report.location = location
                if isinstance(report.longrepr, list):  # of a skip; JSON has no tuples
                    report.longrepr = tuple(report.longrepr)
                hook.pytest_runtest_logreport(report=report)
            case "finish":
                child.running = None
                self.reported.add(nodeid)
                hook.pytest_runtest_logfinish(nodeid=nodeid, location=location)

    def _bury(self, session: pytest.Session, child: Fork) -> None:
        """Fail the test in which a child died, if it did."""
        _, status = os.waitpid(child.pid, 0)
        if code := os.waitstatus_to_exitcode(status):
            how = f"a fork ended with {code}" if code > 0 else f"signal {-code} killed a fork"
            self._fail(session, child.running or session.items[-1].nodeid, how)

    def _fail_what_was_not_run(self, session: pytest.Session) -> None:
        for item in session.items:
            if item.nodeid not in self.reported:
                self._fail(session, item.nodeid, "the fork that had taken this test has died")

    def _fail(self, session: pytest.Session, nodeid: str, why: str) -> None:
        self.reported.add(nodeid)
        report = pytest.TestReport(
            nodeid, (nodeid.partition("::")[0], None, nodeid), {}, "failed", why, "call"
        )
        session.config.hook.pytest_runtest_logreport(report=report)


def find_idle_percent() -> float:
    """Find what share of the processors' time nobody has used since this was asked last."""
    return float(psutil.cpu_times_percent().idle)


def is_anything_in(pipe: int) -> bool:
    """Tell whether there is anything to be read from a pipe."""
    count = array.array("i", [0])
    fcntl.ioctl(pipe, termios.FIONREAD, count)
    return count[0] > 0


def divide(items: Sequence[pytest.Item]) -> Iterator[tuple[int, int]]:
    """Divide the tests into shares of one file each: their first, and the one after their last.

    What is made once for a module is not made for two shares, unless others are between.
    """
    first = 0
    for number, item in enumerate(items):
        following = items[number + 1] if number + 1 < len(items) else None
        is_slow = item.path.relative_to(item.config.rootpath).parts[: len(SLOW)] == SLOW
        if (
            following is None
            or following.path != item.path
            or (
                number + 1 - first >= (MOST_SLOW if is_slow else MOST)
                and not find_shared(item) & find_shared(following)
            )
        ):
            yield first, number + 1
            first = number + 1


def find_shared(item: pytest.Item) -> set[str]:
    """Find the fixtures of a test that others of its module have, too."""
    info = getattr(item, "_fixtureinfo", None)
    if info is None:
        return set()
    known = info.name2fixturedefs
    return {name for name in known if known[name][-1].scope in ("module", "package", "class")}


def work(session: pytest.Session, number: int, taking: int, writing: int) -> None:
    """Run tests, in a fork, until nobody has any left."""
    config = session.config
    random.seed()
    tell = Teller(config, writing)
    # All forks would write the output of their tests to one file.
    capture = config.pluginmanager.get_plugin("capturemanager")
    capture.stop_global_capturing()
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    reporter._tw._file = open(os.devnull, "w")  # noqa: SIM115, PTH123 - until its end
    capture.start_global_capturing()
    folders = config._tmp_path_factory
    folders._basetemp = folders.getbasetemp() / f"fork-{number}"
    folders._basetemp.mkdir()
    config.pluginmanager.register(tell)
    tests = _take(session.items, taking)
    item = next(tests, None)
    while item is not None:
        following = next(tests, None)
        config.hook.pytest_runtest_protocol(item=item, nextitem=following)
        item = None if session.shouldfail or session.shouldstop else following
    session._setupstate.teardown_exact(None)
    capture.stop_global_capturing()
    config._ensure_unconfigure()  # some plugins raise what they have found


def _take(items: Sequence[pytest.Item], taking: int) -> Iterator[pytest.Item]:
    while share := os.read(taking, SHARE.size):
        first, end = SHARE.unpack(share)
        yield from items[first:end]


class Teller:
    """The plugin that tells the parent what happens in a fork."""

    def __init__(self, config: pytest.Config, writing: int) -> None:
        self._config = config
        self._stream = os.fdopen(writing, "w")

    def _tell(self, kind: str, nodeid: str, location: tuple[Any, ...], **more: Any) -> None:
        event = {"kind": kind, "nodeid": nodeid, "location": location, **more}
        self._stream.write(json.dumps(event) + "\n")
        self._stream.flush()

    def pytest_runtest_logstart(self, nodeid: str, location: tuple[Any, ...]) -> None:
        """Tell which test begins."""
        self._tell("start", nodeid, location)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Tell how a part of the test went, but nothing of a fixture that went well."""
        if report.passed and report.when != "call" and not self._config.option.durations:
            return
        data = self._config.hook.pytest_report_to_serializable(config=self._config, report=report)
        self._tell("report", report.nodeid, report.location, report=data)

    def pytest_runtest_logfinish(self, nodeid: str, location: tuple[Any, ...]) -> None:
        """Tell which test is over."""
        self._tell("finish", nodeid, location)


def main(arguments: Sequence[str]) -> int:
    """Run pytest with the plugin; return its exit code."""
    sys.path[0] = str(Path.cwd())  # as `python -m pytest` has it
    least, _, most = arguments[0].partition("-")
    plugin = SideBySide(int(least), int(most or least))
    return int(pytest.main(list(arguments[1:]), plugins=[plugin]))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
