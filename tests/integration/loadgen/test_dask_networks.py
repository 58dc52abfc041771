"""One plan on one process, on four, and on a cluster of machines with networks of their own.

`make cluster-check`. The server, the scheduler, each worker and whoever starts the run have network
namespaces of their own; each worker has a clock of its own, too: one is an hour ahead, the other
behind. The server is the `websockets` library's, and counts for itself what comes from where.
"""

from __future__ import annotations

import json
import select
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import psutil
import pytest
from hdrh.histogram import HdrHistogram

from ..deploy.conftest import PATIENCE_S, until
from ..networks import machines
from .conftest import LoadgenProcess, Run
from .witness import FAST_S, SLOW_S

pytestmark = pytest.mark.netns

TARGET, DESK, SCHEDULER = "10.78.0.1", "10.78.0.2", "10.78.0.3"
ONE = ["10.78.0.11", "10.78.0.12", "10.78.0.13"]
TWO = ["10.78.0.21", "10.78.0.22", "10.78.0.23"]
SOCKETS, RATE, SECONDS = 240, 240, 5
SENT = RATE * SECONDS
#: Held up at both ends by no more, every second reply comes before the slow ones would.
ON_TIME_MS = 100
PLAN = (
    *(str(SOCKETS), f"ws://{TARGET}:8765/", "--rate", f"{RATE}/s", "--seed", "8"),
    *("--message", "{conn}-{seq}-{random}", "--connect-timeout", "60s", "--stop-timeout", "60s"),
    *("--quiet", "--journal", "off"),
)


def another_clock(offset_s: int) -> list[str]:
    """What a command begins with to have a clock that is so much ahead, as machines do; Linux 5.6.

    The command is then a child of what is started.
    """
    command = ["unshare", "--time", "--fork", "--kill-child", "--monotonic", str(offset_s)]
    tried = subprocess.run([*command, "true"], capture_output=True, text=True, check=False)
    if tried.returncode:
        print(f"\nthe clocks are all the same: {tried.stderr.strip()}")
        return []
    return command


class Network:
    """The machines, and what runs on them."""

    def __init__(self, on: Callable[[str], list[str]], folder: Path) -> None:
        self._on = on
        self._folder = folder
        self.processes: list[subprocess.Popen[str]] = []
        self.workers: dict[str, subprocess.Popen[str]] = {}
        self.scheduler = f"tcp://{SCHEDULER}:8786"

    def begin(self) -> None:
        self._witness = self._start(
            "target", sys.executable, str(Path(__file__).with_name("witness.py")), TARGET, "8765",
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip
        assert self._witness.stdout is not None
        assert self._witness.stdout.readline() == "ready\n", self.logs
        self._start_dask("scheduler", "scheduler", SCHEDULER, "--port", "8786",
                         "--dashboard-address", ":0", "--no-show")  # fmt: skip

    def start_workers(self) -> None:
        """Start those that are not there; a worker that has died is one that comes back."""
        behind_s = -int(min(time.clock_gettime(time.CLOCK_MONOTONIC) / 2, 3600))
        for name, host, ahead_s in (("one", ONE[0], 3600), ("two", TWO[0], behind_s)):
            if name in self.workers and self.workers[name].poll() is None:
                continue
            self.workers[name] = self._start_dask(
                "worker", name, host, self.scheduler, "--nthreads", "2", "--no-nanny",
                "--no-dashboard", "--local-directory", str(self._folder / name),
                before=another_clock(ahead_s),
            )  # fmt: skip
        until(self._has_workers)

    def _start(self, machine: str, *command: str, **options: Any) -> subprocess.Popen[str]:
        with (self._folder / f"{machine}.log").open("w") as log:
            process = subprocess.Popen(
                [*self._on(machine), *command],
                **{"stdout": log, "stderr": log, "text": True, **options},
            )
        self.processes.append(process)
        return process

    def _start_dask(
        self, role: str, machine: str, host: str, *flags: str, before: Sequence[str] = ()
    ) -> subprocess.Popen[str]:
        command = [*before, sys.executable, "-m", f"distributed.cli.dask_{role}"]
        return self._start(machine, *command, "--host", host, *flags)

    def _has_workers(self) -> bool:
        assert all(process.poll() is None for process in self.workers.values()), self.logs
        return all("Registered to" in self.logs[f"{name}.log"] for name in self.workers)

    @property
    def logs(self) -> dict[str, str]:
        return {log.name: log.read_text() for log in self._folder.glob("*.log")}

    def start_loadgen(self, folder: Path, *arguments: str) -> LoadgenProcess:
        return LoadgenProcess(folder, *PLAN, *arguments, before=self._on("desk"))

    def seen(self) -> dict[str, Any]:
        """What the server has counted since it was last asked, once all sockets are closed."""
        assert self._witness.stdin is not None
        assert self._witness.stdout is not None
        self._witness.stdin.write("\n")
        self._witness.stdin.flush()
        assert select.select([self._witness.stdout], [], [], 2 * PATIENCE_S)[0], "not all closed"
        told: dict[str, Any] = json.loads(self._witness.stdout.readline())
        return told

    def kill(self, worker: str) -> None:
        """kill -9 of the worker itself, which may be the child of what gives it its clock."""
        started = psutil.Process(self.workers[worker].pid)
        (process,) = [
            each for each in (started, *started.children()) if each.name().startswith("python")
        ]
        process.kill()
        self.workers[worker].wait(PATIENCE_S)

    def plug(self, machine: str, how: str) -> None:
        """Take a machine's cable out of the bridge (`down`), or put it in (`up`)."""
        port = ["ip", "link", "set", f"to-{machine}", how]
        subprocess.run([*self._on("switch"), *port], check=True)

    def end(self) -> None:
        for process in reversed(self.processes):
            process.kill()
            process.communicate(timeout=PATIENCE_S)


@pytest.fixture(scope="module")
def whole_network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    own = {"target": [TARGET], "desk": [DESK], "scheduler": [SCHEDULER], "one": ONE, "two": TWO}
    with machines(**own) as on:
        network = Network(on, tmp_path_factory.mktemp("network"))
        try:
            network.begin()
            yield network
        finally:
            network.end()


@pytest.fixture
def network(whole_network: Network) -> Network:
    whole_network.start_workers()
    return whole_network


def counts_of(run: Run) -> dict[str, Any]:
    """Every count in the report, by column; no times, and nothing that was measured."""
    connections, messages = run.report["connections"], run.report["messages"]
    return {
        "connections": {
            column: count
            for column, count in connections.items()
            if column not in {"connect_ms", "all_open_after_s"}
        },
        "messages": {
            column: count for column, count in messages.items() if not column.endswith("_per_s")
        },
        "histograms": {
            name: HdrHistogram.decode(text).get_total_count()
            for name, text in run.report["histograms"].items()
        },
    }


def row(way: str, run: Run, seen: dict[str, Any]) -> str:
    """A line of the table that is printed."""
    connections, messages = run.report["connections"], run.report["messages"]
    latency = run.report["latency"]
    counts = [
        *(connections["requested"], connections["opened"], messages["sent"], messages["echoed"]),
        *(connections["closed"]["clean"], sum(seen["received"].values())),
    ]
    cells = [
        way,
        *(f"{count:,}" for count in counts),
        *(
            " / ".join(f"{latency[kind][each]:.0f}" for each in ("p50", "p90", "p99"))
            for kind in ("service", "intended")
        ),
        ", ".join(f"{count:,} {peer}" for peer, count in sorted(seen["received"].items())),
    ]
    return f"| {' | '.join(cells)} |"


HEAD = (
    "\n| run by | requested | opened | sent | echoed | closed clean | counted by the server "
    "| service p50 / p90 / p99 ms | intended p50 / p90 / p99 ms | from |\n"
    "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | --- |"
)


def test_one_process_four_and_a_cluster_count_the_same_and_measure_the_same(
    network: Network, tmp_path: Path
) -> None:
    ways = {
        "one process": (),
        "`--workers 4`": ("--workers", "4"),
        "`--dask`": ("--dask", network.scheduler),
    }
    runs, seen = {}, {}
    print(HEAD)
    for way, flags in ways.items():
        process = network.start_loadgen(tmp_path, "--duration", f"{SECONDS}s", *flags)
        runs[way], seen[way] = process.finish(), network.seen()
        assert runs[way].target_did_right, runs[way].stderr
        print(row(way, runs[way], seen[way]))

    one, four, cluster = (counts_of(run) for run in runs.values())
    assert one["messages"]["sent"] == one["messages"]["echoed"] == SENT
    assert one["connections"]["closed"]["clean"] == SOCKETS
    assert one["histograms"] == {"intended": SENT, "service": SENT}
    assert four == one
    assert cluster == one
    assert [run.report["generator"]["processes"] for run in runs.values()] == [1, 4, 4]

    for way, counted in seen.items():
        shares = {ONE[0]: 2, TWO[0]: 2} if way == "`--dask`" else {DESK: 1}
        parts = sum(shares.values())
        assert counted["opened"] == {at: SOCKETS * n // parts for at, n in shares.items()}
        assert counted["received"] == {at: SENT * n // parts for at, n in shares.items()}
        assert counted["sent"] == counted["received"]
        assert counted["closed"] == {"1000": SOCKETS}
        # Together, by whatever clock: nobody sent before the last of all sockets was open.
        assert counted["open_before"] == dict.fromkeys(shares, SOCKETS)
    # The same plan is the same messages, to the byte.
    assert len({counted["messages"] for counted in seen.values()}) == 1

    # Every fourth socket is answered late; of four shards one has all of these, so what is averaged
    # rather than merged is neither FAST_S nor SLOW_S. No reply can come early, however busy this
    # machine is; late it can, so that is only looked at where both ends were on time themselves.
    for way, run in runs.items():
        lag_ms = max(run.report["generator"]["loop_lag"]["p99"], seen[way]["late_ms"])
        for latency in (run.report["latency"]["service"], run.report["latency"]["intended"]):
            assert latency["p50"] >= FAST_S * 1000
            assert SLOW_S * 1000 <= latency["p90"] <= latency["p99"]
            assert latency["max"] < 60_000  # No other machine's clock is in it: those are hours.
            if lag_ms < ON_TIME_MS:
                assert latency["p50"] < SLOW_S * 1000
        if lag_ms >= ON_TIME_MS:
            print(f"{way}: held up by {lag_ms:.0f} ms, so its p50 is not held to be below the slow")


def test_each_machine_of_a_cluster_connects_from_its_own_source_addresses(
    network: Network, tmp_path: Path
) -> None:
    run = network.start_loadgen(
        tmp_path, "--duration", "1s", "--dask", network.scheduler, "--source-ip", "10.78.0.0/24"
    ).finish()
    assert run.closed == {"clean": SOCKETS}
    # Two processes share three addresses: one has the first and the last, the other the second.
    each = SOCKETS // 4
    assert network.seen()["opened"] == {
        address: count
        for own in (ONE, TWO)
        for address, count in zip(own, (each // 2, each, each // 2), strict=True)
    }


def test_a_worker_killed_in_mid_run_is_in_a_report_that_adds_up_and_says_so(
    network: Network, tmp_path: Path
) -> None:
    process = start_on_cluster(network, tmp_path)
    network.kill("one")
    run, seen = process.finish(), network.seen()
    print(HEAD, row("a worker killed", run, seen), *run.report["verdict_reasons"], sep="\n")
    assert_one_machine_is_written_off(run, seen)
    # The process beside the worker has closed its sockets in good order.
    assert seen["closed"] == {"1000": SOCKETS}


def test_a_machine_cut_from_the_network_is_in_a_report_that_adds_up_and_says_so(
    network: Network, tmp_path: Path
) -> None:
    process = start_on_cluster(network, tmp_path)
    network.plug("one", "down")
    run = process.finish()
    network.plug("one", "up")
    seen = network.seen()
    print(HEAD, row("a machine cut off", run, seen), *run.report["verdict_reasons"], sep="\n")
    assert_one_machine_is_written_off(run, seen)


def start_on_cluster(network: Network, folder: Path) -> LoadgenProcess:
    """A run of ten seconds, with messages flowing."""
    process = network.start_loadgen(
        folder, "--duration", "10s", "--dask", network.scheduler, "--stream"
    )
    assert process.process.stdout is not None
    for line in process.process.stdout:
        if json.loads(line)["messages"]["received"] > RATE:
            return process
    raise AssertionError(process.errors)


def assert_one_machine_is_written_off(run: Run, seen: dict[str, Any]) -> None:
    """Machine one is lost to the report, which says so, and what machine two did is whole."""
    assert (run.code, run.report["verdict"]) == (1, "failed")
    assert run.closed == {"clean": SOCKETS // 2, "abnormal": SOCKETS // 2}
    deaths = [reason for reason in run.report["verdict_reasons"] if "left the cluster" in reason]
    assert len(deaths) == 2
    for death in deaths:
        assert f"its worker tcp://{ONE[0]}:" in death
        assert f"{SOCKETS // 4} open sockets" in death
    assert seen["opened"] == {ONE[0]: SOCKETS // 2, TWO[0]: SOCKETS // 2}
    assert seen["received"][TWO[0]] == RATE * 10 // 2
    # What the lost machine did last is known to the server alone.
    assert RATE * 10 // 2 < run.messages["sent"] <= sum(seen["received"].values())
