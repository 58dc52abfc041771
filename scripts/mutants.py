"""Put faults into the code, one at a time, and see that the tests catch each.

The faults are in tests/mutants/*.toml: a file, a text that occurs in it exactly once, what to
put in its place, and the tests that must fail then. With `sample`, faults are made up instead, so
that tests can be tried with faults that their authors didn't think of.

    scripts/mutants.py                          every fault of the list
    scripts/mutants.py --only ledger            those whose file and description match this
    scripts/mutants.py --check                  only whether each still fits its file
    scripts/mutants.py sample loadgen/results/ledger.py --count 20 --seed 1

Nothing is changed in place: the faults go into copies of the tree, one for each job. A job loads
what tests import but this project once, and forks for each fault. A fault is caught if a test
fails or hangs. Tests that fail without any fault would catch all, so these are tried first.
"""

from __future__ import annotations

import argparse
import compileall
import importlib
import os
import py_compile
import queue
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import tomllib
import traceback
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import mutant_sample

ROOT = Path(__file__).resolve().parents[1]
LISTS = ROOT / "tests" / "mutants"
PACKAGES = ("echo_trio", "loadgen")
#: Modules that the tests import and that get no fault: loaded once for all faults of a job.
PRELOADED = (
    "pytest", "hypothesis", "hypothesis.stateful", "trio", "trio.testing", "msgspec",
    "jsonschema", "rich.live", "rich.table", "hdrh.histogram",
    "cyclopts", "trio_websocket", "wsproto", "h11", "websockets.asyncio.server", "structlog",
    "starlette.applications", "prometheus_client", "psutil", "trustme", "httpx",
)  # fmt: skip
#: Preloaded modules can't be rewritten by pytest, and need not be.
PYTEST = ("-x", "-q", "-p", "no:cacheprovider", "-W", "ignore::pytest.PytestAssertRewriteWarning")
#: A test that hangs counts as one that fails, after this multiple of its time without a fault.
HANGS_AFTER = 5
LEAST_TIMEOUT_S = 60.0
CAUGHT, HUNG, SURVIVED, STALE, BROKEN = "caught", "hung", "SURVIVED", "STALE", "BROKEN TESTS"


@dataclass(frozen=True)
class Fault:
    """One fault.

    :ivar what: what goes wrong, in a few words.
    :ivar tests: the arguments of pytest.
    """

    file: str
    what: str
    old: str
    new: str
    tests: tuple[str, ...]

    def problem(self, source: str) -> str | None:
        """Say why it does not fit its file any more; ``None`` if it does."""
        if (times := source.count(self.old)) != 1:
            return f"its text occurs {times} times in {self.file}"
        for test in self.tests:
            if not (ROOT / test.partition("::")[0]).exists():
                return f"there is no {test}"
        return None


def mirrors_of(file: str) -> tuple[str, ...]:
    """Name a module's tests: tests/loadgen/results/test_ledger.py for loadgen/results/ledger.py.

    A module with much to test has several, by subject: test_connection_closing.py.
    """
    path = Path(file)
    folder = Path("tests") / path.parent
    subjects = [
        found.name
        for found in sorted((ROOT / folder).glob(f"test_{path.stem}_*.py"))
        if not (ROOT / path).with_name(found.name.removeprefix("test_")).exists()
    ]
    return tuple(str(folder / name) for name in (f"test_{path.name}", *subjects))


def read_list(only: str = "") -> list[Fault]:
    """Read the committed faults."""
    faults = []
    for path in sorted(LISTS.glob("*.toml")):
        for entry in tomllib.loads(path.read_text())["fault"]:
            tests = tuple(entry.pop("tests", ())) or mirrors_of(entry["file"])
            faults.append(Fault(**entry, tests=tests))
    return [fault for fault in faults if re.search(only, f"{fault.file}: {fault.what}")]


@contextmanager
def copies(count: int) -> Iterator[list[Path]]:
    """Make copies of the tree as it stands, with the built pages."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"],
        cwd=ROOT, check=True, capture_output=True, text=True,
    ).stdout.split("\n")  # fmt: skip
    pages = [path for package in PACKAGES for path in (ROOT / package).rglob("page/**/*")]
    files = [ROOT / name for name in listed if name and not name.startswith("react-client/")]
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        made = [Path(folder) / str(number) for number in range(count)]
        for copy in made:
            for path in filter(Path.is_file, files + pages):
                target = copy / path.relative_to(ROOT)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, target)
            # By hash and not by time: a fault may be as long as what it replaces.
            for package in PACKAGES:
                compileall.compile_dir(
                    copy / package, quiet=2,
                    invalidation_mode=py_compile.PycInvalidationMode.CHECKED_HASH,
                )  # fmt: skip
        yield made


class Job:
    """A process that runs tests in its copy of the tree, each time in a fork of its own."""

    def __init__(self, copy: Path) -> None:
        self.copy = copy
        ours, theirs = os.pipe(), os.pipe()
        self.pid = os.fork()
        if not self.pid:
            try:
                self._serve(os.fdopen(ours[0]), theirs[1])
            except BaseException:  # noqa: BLE001 - a fork must not go on as its parent would
                traceback.print_exc()
            finally:
                os._exit(1)
        self._asks, self._answers = os.fdopen(ours[1], "w"), os.fdopen(theirs[0])

    def run(self, tests: Sequence[str], timeout_s: float) -> tuple[str, float]:
        """Run tests; return whether they passed, failed or hung, and how long they took."""
        began = time.monotonic()
        self._asks.write(f"{timeout_s} {' '.join(tests)}\n")
        self._asks.flush()
        return self._answers.readline().strip(), time.monotonic() - began

    def end(self) -> None:
        """End the process."""
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)

    def _serve(self, asks: object, answers: int) -> None:
        os.chdir(self.copy)
        os.environ |= {
            "PYTHONPATH": str(self.copy),
            "PYTHONDONTWRITEBYTECODE": "1",
            "PROPERTIES": "hasty",
        }
        sys.dont_write_bytecode = True
        sys.path.insert(0, str(self.copy))
        for name in PRELOADED:
            with suppress(ImportError):
                importlib.import_module(name)
        for line in asks:  # type: ignore[attr-defined]
            timeout_s, *tests = line.split()
            os.write(answers, f"{self._run(tests, float(timeout_s))}\n".encode())

    def _run(self, tests: list[str], timeout_s: float) -> str:
        pid = os.fork()
        if not pid:
            os.setsid()
            output = os.open(self.copy / "pytest.out", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            for descriptor in (1, 2):
                os.dup2(output, descriptor)
            sys.stdout, sys.stderr = (os.fdopen(each, "w", 1) for each in (1, 2))
            import pytest  # noqa: PLC0415 - preloaded

            code = pytest.main([*PYTEST, *tests])
            sys.stdout.flush()
            os._exit(int(code))
        ended = time.monotonic() + timeout_s
        status = (0, 0)
        try:
            while status == (0, 0) and time.monotonic() <= ended:
                time.sleep(0.02)
                status = os.waitpid(pid, os.WNOHANG)
        finally:  # what hangs, what a failed test has left, and all at a Ctrl-C
            with suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)
        if status == (0, 0):
            os.waitpid(pid, 0)
            return HUNG
        return "passed" if status[1] == 0 else CAUGHT


class Trial:
    """All faults, each tried once, by several jobs."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        self._faults: queue.Queue[Fault] = queue.Queue()
        for fault in faults:
            self._faults.put(fault)
        self._lock = threading.Lock()
        self._usual_s: dict[tuple[str, ...], float | None] = {}
        self._trying: dict[tuple[str, ...], threading.Lock] = {}
        self.outcomes: list[tuple[Fault, str]] = []

    def work(self, job: Job) -> None:
        """Try faults until there are none left."""
        while True:
            try:
                fault = self._faults.get_nowait()
            except queue.Empty:
                return
            outcome, took_s = self._try(job, fault)
            with self._lock:
                self.outcomes.append((fault, outcome))
                print(f"{outcome:<12} {took_s:5.1f} s  {fault.file}: {fault.what}", flush=True)

    def _try(self, job: Job, fault: Fault) -> tuple[str, float]:
        path = job.copy / fault.file
        source = path.read_text()
        if fault.problem(source) is not None:
            return STALE, 0.0
        usual_s = self._find_usual(job, fault.tests)
        if usual_s is None:
            return BROKEN, 0.0
        path.write_text(source.replace(fault.old, fault.new))
        try:
            outcome, took_s = job.run(fault.tests, max(LEAST_TIMEOUT_S, HANGS_AFTER * usual_s))
        finally:
            path.write_text(source)
        return SURVIVED if outcome == "passed" else outcome, took_s

    def _find_usual(self, job: Job, tests: tuple[str, ...]) -> float | None:
        """Find how long these tests take without a fault; ``None`` if they fail."""
        with self._lock:
            trying = self._trying.setdefault(tests, threading.Lock())
        with trying:
            if tests not in self._usual_s:
                outcome, took_s = job.run(tests, 600.0)
                self._usual_s[tests] = took_s if outcome == "passed" else None
                if outcome != "passed":
                    print("baseline:", repr(outcome), file=sys.stderr)
                    print((job.copy / "pytest.out").read_text()[-2000:], file=sys.stderr)
        return self._usual_s[tests]


def try_all(faults: Sequence[Fault], jobs: int) -> list[tuple[Fault, str]]:
    """Try every fault; return the outcome of each."""
    trial = Trial(faults)
    with copies(jobs) as made:
        # Before there are threads: a fork has one.
        workers = [Job(copy) for copy in made]
        threads = [threading.Thread(target=trial.work, args=(worker,)) for worker in workers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for worker in workers:
            worker.end()
    return trial.outcomes


def conclude(outcomes: Sequence[tuple[Fault, str]]) -> int:
    """Sum up; return 0 as the exit code if all were caught."""
    counts = Counter(outcome for _, outcome in outcomes)
    caught = counts[CAUGHT] + counts[HUNG]
    for fault, outcome in outcomes:
        if outcome not in (CAUGHT, HUNG):
            why = fault.problem((ROOT / fault.file).read_text()) if outcome == STALE else None
            print(f"\n{outcome}: {fault.file}: {fault.what}{f': {why}' if why else ''}")
            if outcome == SURVIVED:
                print("\n".join(f"  - {line}" for line in fault.old.splitlines()))
                print("\n".join(f"  + {line}" for line in fault.new.splitlines()))
                print(f"  not caught by {' '.join(fault.tests)}")
    print(
        f"\n{len(outcomes)} faults: {caught} caught, {counts[SURVIVED]} survived, "
        f"{counts[STALE]} stale, {counts[BROKEN]} whose tests fail anyway"
    )
    return 0 if outcomes and caught == len(outcomes) else 1


def check(faults: Sequence[Fault]) -> int:
    """Check that each fault still fits its file."""
    problems = [
        f"{fault.file}: {fault.what}: {problem}"
        for fault in faults
        if (problem := fault.problem((ROOT / fault.file).read_text()))
    ]
    print(*problems, f"{len(faults)} faults, {len(problems)} stale", sep="\n")
    return 1 if problems else 0


def make_up(files: Sequence[str], count: int, seed: int, tests: Sequence[str]) -> list[Fault]:
    """Make up faults: `count` in each file, at random."""
    faults = []
    for file in files:
        source = (ROOT / file).read_text()
        found = mutant_sample.find(source)
        chosen = random.Random(f"{seed} {file}").sample(found, min(count, len(found)))
        where = tuple(tests) or mirrors_of(file)
        faults += [
            Fault(file, f"line {each.line}: {each.what}", *each.apply(source), where)
            for each in sorted(chosen, key=lambda each: each.line)
        ]
    return faults


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--only", default="", help="a regular expression of file and description")
    parser.add_argument("--check", action="store_true", help="only whether each fits its file")
    commands = parser.add_subparsers(dest="command")
    sample = commands.add_parser("sample", help="faults made up by chance")
    sample.add_argument("files", nargs="+")
    sample.add_argument("--count", type=int, default=10, help="of each file")
    sample.add_argument("--seed", type=int, default=0)
    sample.add_argument("--tests", action="append", default=[], help="else the module's own")
    options = parser.parse_args()
    if options.command == "sample":
        faults = make_up(options.files, options.count, options.seed, options.tests)
    else:
        faults = read_list(options.only)
    if options.check:
        return check(faults)
    return conclude(try_all(faults, max(1, min(options.jobs, len(faults)))))


if __name__ == "__main__":
    raise SystemExit(main())
