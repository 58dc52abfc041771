"""How cost grows with the number of sockets, server and generator on this machine.

    python benchmarks/scale.py [--sockets 1000 10000 50000 100000] [--server-workers 6]
                               [--workers 6] [--rate 10000/s] [--window 10]
    python benchmarks/scale.py --report      the newest results into docs/scale.md

Each step has a server and a generator of its own; the generator's sockets come from several
loopback addresses. When all are open and messages flow, a window is measured; then the generator
gets one SIGINT, and its report has to add up. What the processes take without sockets is measured
by a step of one socket a process, and subtracted. Linux only.
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
from datetime import UTC, datetime
from pathlib import Path

import machine
from process_cost import cpu_seconds, family

RESULTS = Path(__file__).parent / "results"
PAGE = machine.REPOSITORY / "docs" / "scale.md"
PLOT = machine.REPOSITORY / "docs" / "scale-cpu-per-message.svg"
BEGIN, END = "<!-- scale: begin (generated) -->", "<!-- scale: end -->"
READY = re.compile(r"ready ws=(\S+) console=(\S+)\n")
#: Ports of one loopback address to one destination, less a few that others may have.
PORTS_EACH = 28_000
#: A step that takes longer to open than this is given up.
OPEN_LIMIT_S = 300


def proportional_bytes(pid: int) -> int:
    """Memory of one process, pages shared with others by its part of them."""
    try:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    except (FileNotFoundError, ProcessLookupError):
        pass
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
        "available_bytes": int(memory["MemAvailable"]) * 1024,
        "tcp_in_use": int(tcp[1]),
        "tcp_time_wait": int(tcp[3]),
        "tcp_bytes": int(tcp[5]) * resource.getpagesize(),
    }


def cost(pid: int) -> dict[str, object]:
    """What a program and its children have taken so far."""
    pids = family(pid)
    return {
        "processes": len(pids),
        "cpu_s": sum(map(cpu_seconds, pids)),
        "bytes": sum(map(proportional_bytes, pids)),
    }


class Generator:
    """A run, read as it goes."""

    def __init__(self, arguments: list[str], log: Path) -> None:
        self._log = log
        with log.open("w") as stderr:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "loadgen", *arguments, "--stream", "--journal", "off"],
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
            )
        self.last: dict = {}

    def read(self) -> dict:
        """The next line: a snapshot, or at the end the report."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"the generator ended: {self._log.read_text()[-2000:]}")
        self.last = json.loads(line)
        return self.last


def measure(sockets: int, given: argparse.Namespace, folder: Path) -> dict[str, object]:
    """One step: open, load, one SIGINT."""
    before = kernel()
    # With a socket a process it is their memory that is asked for, not what they can do.
    rate = given.rate if sockets > given.workers else "10/s"
    server = subprocess.Popen(
        [sys.executable, "-m", "echo_trio", "--port", "0", "--no-console",
         "--workers", str(given.server_workers), "--log-level", "warning",
         "--ping-interval", given.ping_interval, "--ping-timeout", "60s"],
        stdout=subprocess.PIPE, stderr=(folder / "server.log").open("w"), text=True,
    )  # fmt: skip
    generator = None
    try:
        assert server.stdout is not None
        ready = READY.fullmatch(server.stdout.readline())
        assert ready, (folder / "server.log").read_text()
        addresses = max(math.ceil(sockets / PORTS_EACH), given.workers)
        generator = Generator(
            [str(sockets), ready[1], "--workers", str(given.workers), "--rate", rate,
             "--source-ip", f"127.0.0.2-127.0.0.{addresses + 1}", "--duration", "1h",
             "--connect-timeout", "60s", "--stop-timeout", given.stop_timeout,
             "--size", "32"],
            folder / "generator.log",
        )  # fmt: skip
        started = time.monotonic()
        while generator.read().get("phase") != "load":
            if time.monotonic() - started > given.open_limit:
                raise RuntimeError(f"not open after {given.open_limit:g} s: {generator.last}")
        generator.read()
        first, began = generator.read(), time.monotonic()
        costs = {"server": cost(server.pid), "generator": cost(generator.process.pid)}
        while time.monotonic() - began < given.window:
            last = generator.read()
        wall_s = time.monotonic() - began
        after = {"server": cost(server.pid), "generator": cost(generator.process.pid)}
        loaded, load_average = kernel(), os.getloadavg()
        asked = time.monotonic()
        generator.process.send_signal(signal.SIGINT)
        while "schema" not in (report := generator.read()):
            pass
        report_after_s = time.monotonic() - asked
        code = generator.process.wait(60)
        cancel_s = time.monotonic() - asked
    finally:
        for process in (generator and generator.process, server):
            if process is not None and process.poll() is None:
                process.terminate()
                try:
                    process.wait(60)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
    messages = last["messages"]["received"] - first["messages"]["received"]
    cpu_s = {side: after[side]["cpu_s"] - costs[side]["cpu_s"] for side in costs}
    connections, exchanged = report["connections"], report["messages"]
    return {
        "sockets": sockets,
        "ping_interval": given.ping_interval,
        "stop_timeout": given.stop_timeout,
        "opened": connections["opened"],
        "open_at_once": last["connections"]["open"],
        "all_open_after_s": connections["all_open_after_s"],
        "connect_p50_ms": connections["connect_ms"]["p50"],
        "messages_per_s": messages / wall_s,
        "server_us_per_message": cpu_s["server"] / max(messages, 1) * 1e6,
        "generator_us_per_message": cpu_s["generator"] / max(messages, 1) * 1e6,
        "server_cpu_share": cpu_s["server"] / wall_s,
        "generator_cpu_share": cpu_s["generator"] / wall_s,
        "server_bytes": after["server"]["bytes"],
        "generator_bytes": after["generator"]["bytes"],
        "server_processes": after["server"]["processes"],
        "generator_processes": after["generator"]["processes"],
        "kernel_slab_bytes": loaded["slab_bytes"] - before["slab_bytes"],
        "kernel": {"before": before, "loaded": loaded},
        "load_average": load_average,
        "intended_p50_ms": report["latency"]["intended"]["p50"],
        "intended_p99_ms": report["latency"]["intended"]["p99"],
        "cancel_s": cancel_s,
        "report_after_s": report_after_s,
        "exit_code": code,
        "closed": connections["closed"],
        "failed": {reason: n for reason, n in connections["failed"].items() if n},
        "messages": exchanged,
        "adds_up": exchanged["sent"]
        == exchanged["echoed"] + exchanged["reordered"] + exchanged["corrupt"]
        + exchanged["lost"] + exchanged["in_flight"]
        and connections["requested"]
        == connections["opened"] + sum(connections["failed"].values())
        + connections["not_attempted"],
        "verdict": report["verdict"],
        "verdict_reasons": report["verdict_reasons"],
    }  # fmt: skip


def run(given: argparse.Namespace) -> Path:
    """All steps; what is measured is kept though a later one fails."""
    folder = RESULTS / "work"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / ".gitignore").write_text("*\n")
    started = datetime.now(UTC)
    path = RESULTS / f"scale-{started:%Y%m%dT%H%M%SZ}.json"
    document = {
        "kind": "scale",
        "started_at": started.isoformat(timespec="seconds"),
        "machine": machine.describe(),
        "git": machine.git_state(),
        "settings": {
            key: value for key, value in vars(given).items() if key not in {"report", "append"}
        },
        "steps": [],
        "stopped_by": None,
    }
    steps = [given.workers, *given.sockets]
    if given.append is not None:
        path, steps = given.append, given.sockets
        document = {**json.loads(path.read_text()), "stopped_by": None}
    for sockets in steps:
        try:
            step = measure(sockets, given, folder)
        except (RuntimeError, AssertionError) as exc:
            document["stopped_by"] = f"{sockets:,} sockets: {exc}"
            print(document["stopped_by"])
            break
        finally:
            path.write_text(json.dumps(document, indent=1) + "\n")
        document["steps"].append(step)
        path.write_text(json.dumps(document, indent=1) + "\n")
        print(json.dumps({key: value for key, value in step.items() if key != "kernel"}))
    return path


def table(document: dict) -> str:
    """The steps, what a process takes by itself subtracted."""
    base, *steps = document["steps"]
    head = (
        "| opened | still open at the end | open after | server / generator CPU a message "
        "| server KB/socket | generator KB/socket | kernel KB/connection "
        "| p50 / p99 ms | Ctrl-C to exit | closed clean | load average |"
    )
    lines = [head, "|" + " ---: |" * 11]
    for step in steps:
        sockets = step["open_at_once"]

        def each(key: str, step: dict = step, sockets: int = sockets) -> str:
            return f"{(step[key] - base[key]) / sockets / 1024:.1f}"

        opened = step["all_open_after_s"]
        lines.append(
            f"| {step['sockets']:,} | {sockets:,} "
            f"| {'never all' if opened is None else f'{opened:.1f} s'} "
            f"| {step['server_us_per_message']:.0f} / {step['generator_us_per_message']:.0f} µs "
            f"| {each('server_bytes')} | {each('generator_bytes')} "
            f"| {step['kernel_slab_bytes'] / sockets / 1024:.1f} "
            f"| {step['intended_p50_ms']:.1f} / {step['intended_p99_ms']:.0f} "
            f"| {step['cancel_s']:.1f} s | {step['closed']['clean']:,} "
            f"| {step['load_average'][0]:.0f} |"
        )
    return "\n".join(lines)


def plot(document: dict) -> str:
    """CPU a message over the number of sockets, as SVG; small enough to need no library."""
    # Of a number that was tried again, the last.
    steps = list({step["sockets"]: step for step in document["steps"][1:]}.values())
    width, height, left, low = 560, 300, 60, 260
    highest = max(max(s["server_us_per_message"], s["generator_us_per_message"]) for s in steps)
    first, last = (math.log10(steps[index]["sockets"]) for index in (0, -1))

    def x(sockets: int) -> float:
        return left + (math.log10(sockets) - first) / max(last - first, 1e-9) * (width - left - 90)

    def y(us: float) -> float:
        return low - us / highest * (low - 30)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}">',
        '<g font-family="sans-serif" font-size="12" fill="#444">',
        f'<rect width="{width}" height="{height}" fill="#fff"/>',
        '<text x="8" y="18">CPU µs a message, all processes of a side</text>',
        f'<path d="M{left} 30V{low}H{width - 90}" fill="none" stroke="#888"/>',
    ]
    for fraction in (0.25, 0.5, 0.75, 1):
        us = highest * fraction
        parts.append(f'<text x="{left - 6}" y="{y(us) + 4:.0f}" text-anchor="end">{us:.0f}</text>')
    parts += [
        f'<text x="{x(step["sockets"]):.0f}" y="{low + 18}" text-anchor="middle">'
        f"{step['sockets']:,}</text>"
        for step in steps
    ]
    for key, name, color in (
        ("server_us_per_message", "server", "#111"),
        ("generator_us_per_message", "generator", "#0a7ea4"),
    ):
        points = " ".join(f"{x(s['sockets']):.1f},{y(s[key]):.1f}" for s in steps)
        parts.append(f'<polyline points="{points}" fill="none" stroke="{color}" stroke-width="2"/>')
        end = steps[-1]
        parts.append(
            f'<text x="{x(end["sockets"]) + 8:.0f}" y="{y(end[key]) + 4:.0f}" fill="{color}">'
            f"{name}</text>"
        )
    return "\n".join([*parts, "</g></svg>", ""])


def report(path: Path) -> None:
    """Write the newest results into the page."""
    document = json.loads(path.read_text())
    settings, facts = document["settings"], document["machine"]
    text = (
        f"{document['started_at']}, commit {(document['git']['commit'] or '?')[:12]}; "
        f"{facts['cpu']}, "
        f"{facts['cores']} cores, {facts['memory_bytes'] / 2**30:.0f} GiB, {facts['kernel']}; "
        f"server `--workers {settings['server_workers']}`, generator `--workers "
        f"{settings['workers']} --rate {settings['rate']}`, windows of {settings['window']:g} s, "
        "32-byte messages.\n\n"
        f"{table(document)}\n\n![CPU per message over the number of sockets]({PLOT.name})\n"
    )
    if document["stopped_by"]:
        text += f"\nStopped by: {document['stopped_by']}\n"
    page = PAGE.read_text()
    before, rest = page.split(BEGIN)
    PAGE.write_text(f"{before}{BEGIN}\n\n{text}\n{END}{rest.split(END)[1]}")
    PLOT.write_text(plot(document))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sockets", type=int, nargs="+", default=[1_000, 10_000, 50_000, 100_000])
    parser.add_argument("--server-workers", type=int, default=6)
    parser.add_argument("--workers", type=int, default=6)
    parser.add_argument("--rate", default="10000/s")
    parser.add_argument("--window", type=float, default=10)
    parser.add_argument("--stop-timeout", default="20s")
    parser.add_argument("--ping-interval", default="20s", help="of the server")
    parser.add_argument("--append", type=Path, help="results to add these --sockets to")
    parser.add_argument("--open-limit", type=float, default=OPEN_LIMIT_S, help="in seconds")
    parser.add_argument("--report", action="store_true")
    given = parser.parse_args()
    if not given.report:
        run(given)
    report(max(RESULTS.glob("scale-*.json")))


if __name__ == "__main__":
    main()
