"""How cost grows with the number of sockets, server and generator on this machine.

    python benchmarks/scale.py               both climbs, and docs/scale.md made of them
    python benchmarks/scale.py --sockets 10000 200000 [--rate 10000/s] [--window 10]     one's own
    python benchmarks/scale.py --report      the newest results of both climbs into docs/scale.md

Each step has a server and a generator of its own, each of as many processes as their files take;
the generator's sockets come from several loopback addresses. When all are open and messages flow, a
window is measured; then the generator gets one SIGINT, and its report has to add up, and to agree
with what the server has counted. What the same processes take with one socket each is measured
before, and subtracted. The climb ends where memory would be used above `MEMORY_SHARE`: the last
step is then the largest that fits. Linux only.
"""

import argparse
import json
import math
import os
import re
import resource
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import machine
import scale_page
from process_cost import cpu_seconds, family

RESULTS = Path(__file__).parent / "results"
READY = re.compile(r"ready ws=(\S+) console=(\S+)\n")
#: Ports of one loopback address to one destination, less a few that others may have.
PORTS_EACH = 28_000
#: The sockets of a process, as a share of its files: the kernel deals them out by chance.
FILES_SHARE = 0.9
#: Handshakes in flight, for each process of the generator: with a dozen each, a process is woken
#: for nearly each of them, and 200,000 sockets took 24.8 s to open in place of 12.0.
CONCURRENCY_EACH = 256
#: Memory that may be in use, by all programs together.
MEMORY_SHARE = 0.9
#: The last step is a multiple of this.
ROUND = 25_000
#: Seconds that a step may take to open, at the least, and for each socket.
OPEN_LIMIT_S, OPEN_LIMIT_EACH_S = 120, 0.001
#: The same for a clean end: closing takes some 0.14 ms of both cores.
STOP_S, STOP_EACH_S = 20, 0.000_4
#: The window begins this long after the load: the first second of it is not like the others.
SETTLE_S = 2
#: What a step takes here in seconds, and each of its sockets: for the estimate.
STEP_TAKES_S, SOCKET_TAKES_S = 30, 0.000_27
#: Memory of a socket at both ends with the kernel's, before any was measured: for the estimate.
SOCKET_BYTES = 15_500


@dataclass(frozen=True)
class Climb:
    """Steps with the same load.

    :ivar sockets: of each step.
    :ivar rate: of messages, on all sockets together.
    :ivar ping_interval: of the server, and its timeout.
    :ivar window: seconds in which messages are measured.
    :ivar workers: processes of each side; ``None``: as the files ask.
    """

    sockets: Sequence[int]
    rate: str = "10000/s"
    ping_interval: str = "20s"
    window: float = 10
    workers: int | None = None


#: A flow of messages and the server's own pings, up to where they take both cores; then a trickle
#: and rarer pings, which leave the cores to what a socket costs, as far as memory goes.
CLIMBS = (
    Climb((1_000, 10_000, 50_000, 100_000, 200_000, 400_000)),
    Climb((10_000, 100_000, 200_000, 400_000, 600_000, 800_000, 1_000_000), "1000/s", "60s"),
)


class OutOfMemory(Exception):
    """Memory is used up to `MEMORY_SHARE`; the message says where."""


def proportional_bytes(pid: int) -> int:
    """Memory of one process, pages shared with others by its part of them."""
    with suppress(FileNotFoundError, ProcessLookupError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return 0


def kernel() -> dict[str, int]:
    """What the kernel holds: slabs, and what it counts for TCP."""
    memory = dict(
        re.findall(r"^(\w+):\s+(\d+) kB$", Path("/proc/meminfo").read_text(), re.MULTILINE)
    )
    sockstat = Path("/proc/net/sockstat").read_text()
    tcp = re.search(
        r"^TCP: inuse (\d+) orphan (\d+) tw (\d+) alloc (\d+) mem (\d+)", sockstat, re.MULTILINE
    )
    assert tcp is not None
    return {
        "slab_bytes": int(memory["Slab"]) * 1024,
        "total_bytes": int(memory["MemTotal"]) * 1024,
        "available_bytes": int(memory["MemAvailable"]) * 1024,
        "tcp_in_use": int(tcp[1]),
        "tcp_time_wait": int(tcp[3]),
        "tcp_bytes": int(tcp[5]) * resource.getpagesize(),
    }


def spare_bytes(now: dict[str, int]) -> int:
    """Memory that may still be used."""
    return now["available_bytes"] - int(now["total_bytes"] * (1 - MEMORY_SHARE))


def cost(pid: int) -> dict[str, float]:
    """What a program and its children have taken so far."""
    pids = family(pid)
    return {
        "processes": len(pids),
        "cpu_s": sum(map(cpu_seconds, pids)),
        "bytes": sum(map(proportional_bytes, pids)),
    }


class Server:
    """A server, with what it counted once it has stopped."""

    def __init__(self, workers: int, ping_interval: str, log: Path) -> None:
        self._log = log
        with log.open("w") as stderr:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "echo_trio", "--port", "0", "--no-console",
                 "--workers", str(workers), "--log-format", "json",
                 "--ping-interval", ping_interval, "--ping-timeout", ping_interval],
                stdout=subprocess.PIPE, stderr=stderr, text=True,
            )  # fmt: skip
        assert self.process.stdout is not None
        ready = READY.fullmatch(self.process.stdout.readline())
        assert ready, log.read_text()
        self.url = ready[1]

    def stop(self) -> dict:
        """Stop it, and return its counts."""
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(120)
        events = [json.loads(line) for line in self._log.read_text().splitlines()]
        return next(event for event in events if event["event"] == "stopped")


class Generator:
    """A run, read as it goes."""

    def __init__(self, arguments: list[str], log: Path) -> None:
        self._log = log
        with log.open("w") as stderr:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "loadgen", *arguments, "--stream", "--journal", "off"],
                stdout=subprocess.PIPE, stderr=stderr, text=True,
            )  # fmt: skip
        self.last: dict = {}

    def read(self) -> dict:
        """The next line: a snapshot, or at the end the report."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"the generator ended: {self._log.read_text()[-2000:]}")
        self.last = json.loads(line)
        return self.last

    def read_until(self, monotonic_s: float) -> dict:
        """The last snapshot before this moment; memory is looked at with each."""
        while time.monotonic() < monotonic_s:
            self.read_in_bounds()
        return self.last

    def read_in_bounds(self) -> dict:
        """The next line, if memory isn't used up.

        :raises OutOfMemory: if it is.
        """
        if spare_bytes(kernel()) < 0:
            raise OutOfMemory(f"memory is {MEMORY_SHARE:.0%} full: {self._open()} sockets open")
        return self.read()

    def stop(self) -> dict:
        """One SIGINT; its report."""
        self.process.send_signal(signal.SIGINT)
        while "schema" not in self.read():
            pass
        return self.last

    def _open(self) -> str:
        return f"{self.last.get('connections', {}).get('open', 0):,}"


def workers_for(sockets: int) -> int:
    """Processes of either side, by the files that each may have."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    return math.ceil(sockets / (hard * FILES_SHARE))


def arguments(sockets: int, url: str, workers: int, climb: Climb) -> list[str]:
    """The generator's."""
    addresses = max(math.ceil(sockets / PORTS_EACH), workers)
    # With a socket a process it is their memory that is asked for, not what they can do.
    rate = climb.rate if sockets > workers else "10/s"
    stop_s = STOP_S + sockets * STOP_EACH_S
    return [
        str(sockets), url, "--workers", str(workers), "--rate", rate, "--size", "32",
        "--source-ip", f"127.0.0.2-127.0.{(addresses + 1) // 256}.{(addresses + 1) % 256}",
        "--duration", "1h", "--connect-timeout", "60s", "--stop-timeout", f"{stop_s:.0f}s",
        "--connect-concurrency", str(CONCURRENCY_EACH * workers),
    ]  # fmt: skip


def measure(sockets: int, workers: int, climb: Climb, folder: Path) -> dict:
    """One step: open, load, one SIGINT.

    :raises OutOfMemory: if memory is used up before that; all has been stopped then.
    """
    before, began = kernel(), time.monotonic()
    server = Server(workers, climb.ping_interval, folder / "server.log")
    generator = None
    try:
        started = {"server": cost(server.process.pid)["cpu_s"], "generator": 0.0}
        pids = {"server": server.process.pid}
        generator = Generator(
            arguments(sockets, server.url, workers, climb), folder / "generator.log"
        )
        pids["generator"] = generator.process.pid
        limit_s = OPEN_LIMIT_S + sockets * OPEN_LIMIT_EACH_S
        while generator.read_in_bounds().get("phase") != "load":
            if time.monotonic() - began > limit_s:
                raise RuntimeError(f"not open after {limit_s:g} s: {generator.last}")
        opened = {side: cost(pid)["cpu_s"] - started[side] for side, pid in pids.items()}
        early = generator.last["messages"]["received"]
        first = generator.read_until(time.monotonic() + SETTLE_S)
        costs, loaded_at = {side: cost(pid) for side, pid in pids.items()}, time.monotonic()
        last = generator.read_until(loaded_at + (climb.window if sockets > workers else 2))
        wall_s = time.monotonic() - loaded_at
        after = {side: cost(pid) for side, pid in pids.items()}
        loaded, load_average = kernel(), os.getloadavg()
        asked = time.monotonic()
        report = generator.stop()
        report_after_s = time.monotonic() - asked
        code = generator.process.wait(60)
        cancel_s = time.monotonic() - asked
        counted = server.stop()
    except OutOfMemory:
        with suppress(RuntimeError):
            generator.stop()
        raise
    finally:
        end(generator, server)
    messages = last["messages"]["received"] - first["messages"]["received"]
    used_s = {side: after[side]["cpu_s"] - costs[side]["cpu_s"] for side in costs}
    # That the load has begun is known a moment later: the messages of that moment are subtracted.
    early_share = early / max(messages, 1)
    open_s = {side: opened[side] - used_s[side] * early_share for side in opened}
    connections, exchanged = report["connections"], report["messages"]
    return {
        "sockets": sockets,
        "workers": workers,
        "opened": connections["opened"],
        "open_at_once": last["connections"]["open"],
        "all_open_after_s": connections["all_open_after_s"],
        "connect_p50_ms": connections["connect_ms"]["p50"],
        "open_cpu_s": open_s,
        "messages_per_s": messages / wall_s,
        "cpu_s_per_s": {side: used_s[side] / wall_s for side in used_s},
        "us_per_message": {side: used_s[side] / max(messages, 1) * 1e6 for side in used_s},
        "bytes": {side: after[side]["bytes"] for side in after},
        "processes": {side: after[side]["processes"] for side in after},
        "kernel_slab_bytes": loaded["slab_bytes"] - before["slab_bytes"],
        "memory_bytes": before["available_bytes"] - loaded["available_bytes"],
        "kernel": {"before": before, "loaded": loaded},
        "load_average": load_average,
        "intended_p50_ms": report["latency"]["intended"]["p50"],
        "intended_p99_ms": report["latency"]["intended"]["p99"],
        "cancel_s": cancel_s,
        "report_after_s": report_after_s,
        "exit_code": code,
        "closed": connections["closed"],
        "close_codes": connections["close_codes"],
        "failed": {reason: n for reason, n in connections["failed"].items() if n},
        "messages": exchanged,
        "faults": faults(report, counted),
        "counted_by_server": counted,
        "verdict": report["verdict"],
        "verdict_reasons": report["verdict_reasons"],
        "took_s": time.monotonic() - began,
    }


def end(generator: Generator | None, server: Server) -> None:
    """End both, if they have not ended."""
    for process in (generator and generator.process, server.process):
        if process is not None and process.poll() is None:
            process.terminate()
            try:
                process.wait(120)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def faults(report: dict, counted: dict) -> list[str]:
    """Name what does not add up, in the report or between it and the server: nothing may."""
    connections, messages = report["connections"], report["messages"]
    settled = sum(messages[column] for column in ("echoed", "reordered", "corrupt", "lost"))
    failed = sum(connections["failed"].values())
    pairs = {
        "requested = opened + failed + not attempted": (
            connections["requested"],
            connections["opened"] + failed + connections["not_attempted"],
        ),
        "opened = closed": (connections["opened"], sum(connections["closed"].values())),
        "closed clean": (connections["closed"]["clean"], connections["opened"]),
        "sent": (messages["sent"], settled + messages["in_flight"]),
        "messages that the server received": (counted["messages_received"], messages["sent"]),
        "connections that the server closed clean": (
            Counter(counted["outcomes"])["clean"],
            connections["opened"],
        ),
    }
    return [
        f"{what}: {one:,} and {other:,}" for what, (one, other) in pairs.items() if one != other
    ]


def steps_of(climb: Climb) -> list[tuple[int, int]]:
    """The steps, and the processes of each."""
    return [(sockets, climb.workers or workers_for(sockets)) for sockets in climb.sockets]


def show_estimate(climb: Climb) -> None:
    """Say how long a climb takes, and how much memory its largest step."""
    steps = steps_of(climb)
    bases = len({workers for _, workers in steps})
    seconds = sum(STEP_TAKES_S + sockets * SOCKET_TAKES_S for sockets, _ in steps) + 10 * bases
    largest = max(sockets for sockets, _ in steps)
    now = kernel()
    print(
        f"steps of {', '.join(f'{sockets:,}' for sockets, _ in steps)} sockets: some "
        f"{seconds / 60:.0f} minutes on two cores; {largest:,} need "
        f"{largest * SOCKET_BYTES / 2**30:.1f} GiB and more for processes, "
        f"{spare_bytes(now) / 2**30:.1f} GiB may be used",
        flush=True,
    )


def fitting(sockets: int, done: list[dict]) -> int:
    """As many of these sockets as memory has room for, by what the largest step so far took."""
    if not done:
        return sockets
    largest = max(done, key=lambda step: step["sockets"])
    if largest["sockets"] < ROUND:
        return sockets
    room = int(spare_bytes(kernel()) / (largest["memory_bytes"] / largest["sockets"]))
    return sockets if room >= sockets else room // ROUND * ROUND


def run(climb: Climb) -> Path:
    """All steps; what is measured is kept though a later one fails."""
    folder = RESULTS / "work"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / ".gitignore").write_text("*\n")
    started = datetime.now(UTC)
    path = RESULTS / f"scale-{started:%Y%m%dT%H%M%SZ}.json"
    document: dict = {
        "kind": "scale",
        "version": scale_page.VERSION,
        "started_at": started.isoformat(timespec="seconds"),
        "machine": machine.describe(),
        "git": machine.git_state(),
        "settings": asdict(climb),
        "bases": {},
        "steps": [],
        "stopped_by": None,
    }
    for asked in climb.sockets:
        sockets = fitting(asked, document["steps"])
        if sockets < asked:
            document["stopped_by"] = f"memory: of {asked:,} sockets {sockets:,} would fit"
            if sockets <= document["steps"][-1]["sockets"]:
                break
        workers = climb.workers or workers_for(sockets)
        try:
            if str(workers) not in document["bases"]:
                document["bases"][str(workers)] = measure(workers, workers, climb, folder)
            step = measure(sockets, workers, climb, folder)
        except (RuntimeError, AssertionError, OutOfMemory) as exc:
            document["stopped_by"] = f"{sockets:,} sockets: {exc}"
        else:
            document["steps"].append(step)
            print(json.dumps({key: step[key] for key in step if key != "kernel"}), flush=True)
        path.write_text(json.dumps(document, indent=1) + "\n")
        if document["stopped_by"] is not None:
            break
    print(document["stopped_by"] or "all steps done")
    path.write_text(json.dumps(document, indent=1) + "\n")
    return path


def newest(climb: Climb) -> Path | None:
    """Find the newest results of a climb; ``None`` if there are none."""
    for path in sorted(RESULTS.glob("scale-*.json"), reverse=True):
        document = json.loads(path.read_text())
        settings = document["settings"]
        if (settings["rate"], settings["ping_interval"]) == (climb.rate, climb.ping_interval):
            return path
    return None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    own = parser.add_argument_group("a climb of one's own, which is not shown on the page")
    own.add_argument("--sockets", type=int, nargs="+", help="of each step")
    own.add_argument("--workers", type=int, help="of each side; by default as the files ask")
    own.add_argument("--rate", default=Climb.rate)
    own.add_argument("--window", type=float, default=Climb.window, metavar="SECONDS")
    own.add_argument("--ping-interval", default=Climb.ping_interval, help="and timeout")
    parser.add_argument("--estimate", action="store_true", help="say how long it takes, no more")
    parser.add_argument("--report", action="store_true", help="measure nothing")
    given = parser.parse_args()
    load = (given.rate, given.ping_interval, given.window, given.workers)
    climbs: Sequence[Climb] = CLIMBS
    if given.sockets:
        climbs = [Climb(given.sockets, *load)]
    elif load != (Climb.rate, Climb.ping_interval, Climb.window, Climb.workers):
        parser.error("this is for a climb of your own: give its --sockets, too")
    if not given.report:
        for climb in climbs:
            show_estimate(climb)
            if not given.estimate:
                run(climb)
    if not given.estimate and not given.sockets:
        scale_page.write([path for climb in CLIMBS if (path := newest(climb)) is not None])


if __name__ == "__main__":
    main()
