"""Our echo server and its peers, side by side, in one run.

    python benchmarks/servers.py [--quick] [--peers echo_trio,node-ws] [--sockets 100,10000] …

Each (repeat, peer, number of sockets) is a fresh server process on one core and a fresh driver
on another. Repeats are the outer loop, so that a slow minute of the machine hits all alike.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import machine
import sittings
from command import command, overridden
from machine import Cores
from processes import ProcessFailed, finished_output, pinned, wait_ready
from provision import HERE, Missing, python_peers
from quantities import byte_count, names, numbers, shown_bytes
from results import RESULTS, Recording
from server_catalogue import CONTESTANTS, OURS, Contestant

# Above this much in flight at once the sockets' buffers are measured, not the server.
MAX_BYTES_IN_FLIGHT = 16 * 1024 * 1024
# Fewer than this many sockets are there for the large sizes only.
FEW_SOCKETS = 50
LARGE_BYTES = 64 * 1024
DRIVER_LIMIT_SHARE = 0.95
LARGEST_CHECKED_BYTES = 1024 * 1024
CHECK_TIMEOUT_S = 120.0


@dataclass(frozen=True)
class Settings:
    peers: Sequence[str]
    sockets: Sequence[int]
    sizes_bytes: Sequence[int]
    kinds: Sequence[str]
    repeats: int
    warm_up_s: float
    window_s: float
    in_flight: int
    drain_sockets: int
    """0: the stop under load is not measured."""


@dataclass(frozen=True)
class Cell:
    size_bytes: int
    kind: str


def cells(settings: Settings, sockets: int) -> list[Cell]:
    """What is measured of a server at that many sockets.

    Large sizes at few sockets, small ones at many. Text everywhere; binary at the smaller
    numbers in every size, and at the largest number in the smallest size.
    """
    chosen = []
    for size_bytes in settings.sizes_bytes:
        if sockets * size_bytes * settings.in_flight > MAX_BYTES_IN_FLIGHT:
            continue
        if sockets < FEW_SOCKETS and size_bytes < LARGE_BYTES:
            continue
        for kind in settings.kinds:
            everywhere = kind == "text" or sockets <= 100
            growth = sockets == max(settings.sockets) and size_bytes == min(settings.sizes_bytes)
            if everywhere or growth:
                chosen.append(Cell(size_bytes, kind))
    return chosen


def run_driver(mode: str, url: str, server_pid: int, core: int, plan: dict) -> Iterator[dict]:
    """Yield the driver's reports; raises `ProcessFailed` where it could not measure."""
    command = [str(python_peers()), str(HERE / "driver.py"), mode, url, str(server_pid)]
    # The driver has time limits of its own, and better words for them.
    timeout_s = 120 + len(plan.get("cells", ())) * 180
    with pinned([*command, json.dumps(plan)], core) as driver:
        for line in finished_output(driver, timeout_s).splitlines():
            step = json.loads(line)
            if step["step"] == "failed":
                raise ProcessFailed(step["reason"])
            yield step


def check_contract(contestant: Contestant, command: Sequence[str], cores: Cores) -> None:
    """Raise `Missing` for a server that does not do what is measured of all."""
    checker = [str(python_peers()), str(HERE / "contract_check.py")]
    flags = [] if contestant.is_server else ["--no-server"]
    try:
        with pinned(command, cores.measured, directory=machine.REPOSITORY) as server:
            url = wait_ready(server)
            with pinned(
                [*checker, url, str(LARGEST_CHECKED_BYTES), *flags], cores.driving
            ) as check:
                finished_output(check, CHECK_TIMEOUT_S)
    except ProcessFailed as reason:
        raise Missing(f"does not keep the echo contract: {reason}") from None


def measure_exchange(
    contestant: Contestant,
    command: Sequence[str],
    sockets: int,
    settings: Settings,
    cores: Cores,
    recording: Recording,
    repeat: int,
) -> None:
    plan = {
        "sockets": sockets,
        "cells": [asdict(cell) for cell in cells(settings, sockets)],
        "warm_up_s": settings.warm_up_s,
        "window_s": settings.window_s,
        "in_flight": settings.in_flight,
    }
    place = {"peer": contestant.name, "sockets": sockets}
    connections = {"figure": "connections", **place, "repeat": repeat}
    with pinned(command, cores.measured, directory=machine.REPOSITORY) as server:
        url = wait_ready(server)
        try:
            for step in run_driver("exchange", url, server.pid, cores.driving, plan):
                kind_of_step = step.pop("step")
                if kind_of_step == "cell":
                    row = {"figure": "exchange", **place, **step, "repeat": repeat}
                    recording.repeats.append(row)
                    print_cell(step)
                else:
                    connections |= step
                    print_connections(step)
        except ProcessFailed as failure:
            if server.process.poll() is not None:
                raise ProcessFailed(f"the server died: {server.last_words()}") from failure
            raise
        finally:
            if len(connections) > 4:
                recording.repeats.append(connections)


def measure_drain(
    command: Sequence[str], settings: Settings, cores: Cores, recording: Recording, repeat: int
) -> None:
    """SIGTERM with all sockets idle: until the last Close, and until the process is gone."""
    plan = {"sockets": settings.drain_sockets, "warm_up_s": 0, "window_s": 0}
    with pinned(command, cores.measured, directory=machine.REPOSITORY) as server:
        url = wait_ready(server)
        for step in run_driver("drain", url, server.pid, cores.driving, plan):
            step.pop("step")
            codes = step["close_codes"]
            row = {"figure": "drain", "peer": OURS, **step, "repeat": repeat}
            row["got_1001"] = codes.get("1001", 0)
            recording.repeats.append(row)
            print(
                f"  SIGTERM at {settings.drain_sockets:,} idle sockets: last Close after "
                f"{step['last_close_s']:.2f} s, gone after {step['process_gone_s']:.2f} s "
                f"(CPU: server {step['server_cpu_s']:.2f} s, driver {step['driver_cpu_s']:.2f} s), "
                f"close codes {codes}, without a Close {step['without_close']}",
                flush=True,
            )


def print_connections(step: dict) -> None:
    if "cpu_us_per_handshake" in step:
        print(
            f"  handshake {step['cpu_us_per_handshake']:.0f} µs CPU, "
            f"all open after {step['all_open_after_s']:.2f} s, "
            f"{step['idle_kb_per_connection']:.1f} KB per idle connection",
            flush=True,
        )


def print_cell(step: dict) -> None:
    limited = "  driver at its limit!" if step["driver_cpu_share"] > DRIVER_LIMIT_SHARE else ""
    per_byte = f"  {step['cpu_ns_per_byte']:.2f} ns/B" if step["size_bytes"] >= LARGE_BYTES else ""
    print(
        f"  {shown_bytes(step['size_bytes']):>7} {step['kind']:<6}"
        f" {step['cpu_us_per_message']:8.1f} µs CPU/message{per_byte}"
        f"  {step['messages_per_s']:9,.0f}/s"
        f"  p50 {step['p50_ms']:.1f} p99 {step['p99_ms']:.1f} ms"
        f"  (server {step['server_cpu_share']:.0%}, driver {step['driver_cpu_share']:.0%})"
        f"{limited}",
        flush=True,
    )


def run(settings: Settings, mode: str, folder: Path, begun: Recording | None = None) -> Recording:
    cores = machine.two_cores()
    machine.raise_file_limit(max(*settings.sockets, settings.drain_sockets))
    python_peers()  # without the driver nothing can be measured

    commands: dict[str, Sequence[str]] = {}
    contestants = [each for each in CONTESTANTS if each.name in settings.peers]
    missing = {}
    for contestant in contestants:
        try:
            command = contestant.command()
            check_contract(contestant, command, cores)
            commands[contestant.name] = command
        except Missing as reason:
            missing[contestant.name] = str(reason)
            print(f"missing: {contestant.title}: {reason}", flush=True)
    recording = begun or Recording("servers", mode, asdict(settings), folder, missing)
    present = [each for each in contestants if each.name in commands]

    windows = sum(len(cells(settings, sockets)) for sockets in settings.sockets for _ in present)
    minutes = (settings.warm_up_s + settings.window_s + 0.5) * windows
    minutes += 6 * len(settings.sockets) * len(present)
    minutes *= settings.repeats / 60
    print(f"{len(present)} servers, {windows} windows: about {minutes:.0f} minutes", flush=True)

    numbers_of_repeats = recording.further(settings.repeats)
    for repeat in numbers_of_repeats:
        for contestant in present:
            for sockets in settings.sockets:
                if not cells(settings, sockets):
                    continue
                print(
                    f"[{repeat}/{numbers_of_repeats[-1]}] {contestant.title}, {sockets:,} sockets",
                    flush=True,
                )
                try:
                    measure_exchange(
                        contestant,
                        commands[contestant.name],
                        sockets,
                        settings,
                        cores,
                        recording,
                        repeat,
                    )
                except ProcessFailed as failure:
                    note_failure(recording, contestant.name, sockets, repeat, failure)
                recording.save()
        if OURS in commands and settings.drain_sockets:
            try:
                measure_drain(commands[OURS], settings, cores, recording, repeat)
            except ProcessFailed as failure:
                note_failure(recording, OURS, settings.drain_sockets, repeat, failure)
            recording.save()
    return recording.finish()


def note_failure(
    recording: Recording, peer: str, sockets: int, repeat: int, failure: ProcessFailed
) -> None:
    recording.failed.append(
        {"peer": peer, "sockets": sockets, "repeat": repeat, "reason": str(failure)}
    )
    print(f"  failed: {failure}", flush=True)


def full(peers: Sequence[str]) -> Settings:
    return Settings(
        peers=peers,
        sockets=(10, 100, 1_000, 10_000),
        sizes_bytes=(16, 1024, 64 * 1024, 1024 * 1024),
        kinds=("text", "binary"),
        repeats=3,
        warm_up_s=2.0,
        window_s=3.0,
        in_flight=1,
        drain_sockets=10_000,
    )


def quick(peers: Sequence[str]) -> Settings:
    """A look in a few minutes: one repeat, the small size at few and at many sockets."""
    return Settings(
        peers=peers,
        sockets=(10, 100, 10_000),
        sizes_bytes=(16, 64 * 1024),
        kinds=("text",),
        repeats=1,
        warm_up_s=2.0,
        window_s=2.0,
        in_flight=1,
        drain_sockets=10_000,
    )


def parse(arguments: Sequence[str] | None) -> tuple[Settings, str, Path, Recording | None]:
    known = [contestant.name for contestant in CONTESTANTS]
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="one repeat, fewer cells")
    parser.add_argument("--peers", type=names(known), help=f"of {', '.join(known)}")
    parser.add_argument("--sockets", type=numbers, help="e.g. 100,1000,10000")
    parser.add_argument(
        "--sizes",
        type=lambda text: [byte_count(s) for s in text.split(",")],
        dest="sizes_bytes",
        metavar="SIZES",
    )
    parser.add_argument("--kinds", type=names(["text", "binary", "utf8"]), help="text,binary,utf8")
    parser.add_argument("--repeats", type=int)
    parser.add_argument("--warm-up", type=float, dest="warm_up_s", metavar="SECONDS")
    parser.add_argument("--window", type=float, dest="window_s", metavar="SECONDS")
    parser.add_argument("--in-flight", type=int, help="messages in flight on each socket")
    parser.add_argument("--drain-sockets", type=int, help="0 leaves the SIGTERM out")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder for the JSON")
    sittings.add_option(parser)
    given = parser.parse_args(arguments)
    if given.go_on is not None:
        settings, begun = sittings.continued("servers", Settings, given, parser)
        return settings, begun.mode, begun.folder, begun
    default = quick(known) if given.quick else full(known)

    settings = overridden(default, given)
    mode = "quick" if given.quick else "full" if settings == default else "custom"
    return settings, mode, given.results, None


@command
def main(arguments: Sequence[str] | None = None) -> None:
    run(*parse(arguments))


if __name__ == "__main__":
    sys.exit(main())
