"""Is a generator that is starved on purpose called generator-limited, and an honest one never?

    .venv/bin/python benchmarks/verdict_calibration.py [--repeat 3] [--only NAME]

Starts our own server on one core, and the generator on another; stops it, gives it too little of
its core, or asks too much of it. Prints the table of docs/explanation/verdict.md; exits with 1 if
a verdict is not the one due. Needs two cores and Linux; takes five minutes.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial

LIMITED, VALID = "generator-limited", "valid"
BUSY = [sys.executable, "-c", "while True: pass"]
#: So long after its start a run is in the middle of its load phase.
IN_MID_RUN_S = 5.0


@dataclass
class Case:
    name: str
    due: str
    flags: list[str]
    disturb: Callable[[subprocess.Popen], None] | None = None
    beside: int = 0
    note: str = field(default="")


def stop_once(load: subprocess.Popen, seconds: float) -> None:
    time.sleep(IN_MID_RUN_S)
    load.send_signal(signal.SIGSTOP)
    time.sleep(seconds)
    load.send_signal(signal.SIGCONT)


def stop_repeatedly(load: subprocess.Popen, stopped_s: float, running_s: float) -> None:
    time.sleep(IN_MID_RUN_S / 2)
    ends = time.monotonic() + 6
    while load.poll() is None and time.monotonic() < ends:
        load.send_signal(signal.SIGSTOP)
        time.sleep(stopped_s)
        load.send_signal(signal.SIGCONT)
        time.sleep(running_s)


CASES = [
    Case("10 sockets, 10/s each", VALID, ["10", "--rate-per-conn", "10/s"]),
    Case("1,000 sockets, 1/s each", VALID, ["1000"]),
    Case("5,000 sockets, 1/s each", VALID, ["5000"]),
    Case("100 sockets, 50/s each", VALID, ["100", "--rate-per-conn", "50/s"]),
    Case("closed loop, think 100 ms", VALID, ["100", "--closed-loop", "--think", "100ms"]),
    Case("idle, 1,000 sockets", VALID, ["1000", "--rate-per-conn", "0/s"]),
    Case("stopped once for 2 s", LIMITED, ["100", "--rate-per-conn", "10/s"],
         partial(stop_once, seconds=2)),
    Case("the same, in a closed loop", LIMITED, ["100", "--closed-loop", "--think", "100ms"],
         partial(stop_once, seconds=2)),
    Case("the same, idle", LIMITED, ["100", "--rate-per-conn", "0/s"],
         partial(stop_once, seconds=2)),
    Case("stopped once for 2 s in a minute", LIMITED,
         ["100", "--rate-per-conn", "10/s", "--duration", "60s"], partial(stop_once, seconds=2)),
    Case("stopped 150 ms of every 300 ms", LIMITED, ["100", "--rate-per-conn", "10/s"],
         partial(stop_repeatedly, stopped_s=0.15, running_s=0.15)),
    Case("stopped 60 ms of every 120 ms", LIMITED, ["100", "--rate-per-conn", "10/s"],
         partial(stop_repeatedly, stopped_s=0.06, running_s=0.06)),
    Case("more than a core can do", LIMITED, ["100", "--rate-per-conn", "1000/s"]),
    Case("closed loop, as fast as it can", LIMITED, ["100", "--closed-loop"]),
    # More than the scheduler leaves it, which is a half and a ninth: it gives a process that wants
    # less than its part what it wants, within 20 to 45 ms.
    Case("three quarters of a core's work, 1 busy loop", LIMITED,
         ["500", "--rate-per-conn", "80/s"], beside=1),
    Case("a quarter of a core's work, 8 busy loops", LIMITED,
         ["100", "--rate-per-conn", "60/s"], beside=8),
]  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeat", type=int, default=1)
    parser.add_argument("--only", default="")
    options = parser.parse_args()
    ours, servers = sorted(os.sched_getaffinity(0))[:2]
    server = subprocess.Popen(
        ["taskset", "-c", str(servers), sys.executable, "-m", "echo_trio", "--port", "0",
         "--no-console"],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    wrong = 0
    print("| run | verdict | sent late p99 | loop late p99 | longest stop | CPU | waiting |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    try:
        url = re.match(r"ready ws=(\S+)", server.stdout.readline())[1]
        for case in CASES:
            if options.only not in case.name:
                continue
            for _ in range(options.repeat):
                report = run(case, url, ours)
                wrong += report["verdict"] != case.due
                print(row(case, report), flush=True)
    finally:
        server.terminate()
        server.wait()
    return bool(wrong)


def run(case: Case, url: str, core: int) -> dict:
    count, *flags = case.flags
    with ExitStack() as stack:
        for _ in range(case.beside):
            busy = subprocess.Popen(["taskset", "-c", str(core), *BUSY])
            stack.callback(busy.wait)
            stack.callback(busy.kill)
        load = subprocess.Popen(
            ["taskset", "-c", str(core), sys.executable, "-m", "loadgen", count, url, *flags,
             "--json", "-", "--quiet"],
            stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        if case.disturb:
            case.disturb(load)
        stdout, _ = load.communicate(timeout=300)
    return json.loads(stdout)


def row(case: Case, report: dict) -> str:
    generator, lag = report["generator"], report["latency"]["scheduling_lag"]
    verdict = report["verdict"]
    cells = [
        case.name,
        verdict if verdict == case.due else f"**{verdict}**, not {case.due}",
        f"{lag['p99']:,.1f} ms",
        f"{generator['loop_lag']['p99']:,.1f} ms",
        f"{generator['loop_lag']['max']:,.0f} ms",
        f"{generator['load_cpu_share']:.0%}",
        f"{generator['load_waiting_share']:.0%}",
    ]
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    raise SystemExit(main())
