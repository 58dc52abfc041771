"""Measure what large messages cost by the byte, and what compression costs.

    python benchmarks/payloads.py [--quick] [--parts large,servers,generators] [--peers echo_trio]
    python benchmarks/payloads.py --go-on FILE
    python benchmarks/payloads.py --report

Three parts, each beside the peers that have the same:

- `large`: messages of 64 KiB and 1 MiB, echoed, not compressed; CPU per byte of message.
- `servers`: 1 KiB of JSON, 64 documents in turn on each socket, plain and compressed.
- `generators`: load generators with 1 KiB of JSON in a closed loop, plain and compressed.

That compression is in force is shown by what travels: the kernel counts the bytes of each of the
driver's sockets, and a reply that is not compressed fails the measurement.

Exit codes: 0; 2 if it can't be measured here.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

import machine
import payloads_page
import sittings
from command import command, overridden
from generators import Running, started_target, steady_window
from machine import Cores
from payload_catalogue import (
    CLIENTS,
    COMPRESSED,
    GENERATORS,
    JSON_BYTES,
    JSON_SOCKETS,
    LARGE,
    LARGE_CELLS,
    LARGE_PEERS,
    PARTS,
    PLAIN,
    SERVERS,
    Client,
    template,
)
from processes import ProcessFailed, pinned, wait_ready
from provision import Missing, python_peers
from quantities import names, shown_bytes
from results import PAGE, RESULTS, Recording, newest
from server_catalogue import CONTESTANTS, Contestant
from servers import check_contract, run_driver


@dataclass(frozen=True)
class Settings:
    parts: Sequence[str]
    peers: Sequence[str]
    repeats: int
    warm_up_s: float
    window_s: float


# -- Servers ----------------------------------------------------------------------------------


def exchange(
    contestant: Contestant,
    command: Sequence[str],
    sockets: int,
    cells: Sequence[Mapping[str, object]],
    load: str,
    settings: Settings,
    cores: Cores,
) -> list[dict[str, object]]:
    """Drive a fresh server through the cells; return the rows of the results."""
    plan = {
        "sockets": sockets,
        "cells": cells,
        "warm_up_s": settings.warm_up_s,
        "window_s": settings.window_s,
        "in_flight": 1,
        "compression": load == COMPRESSED,
    }
    if load == COMPRESSED:
        command = [*command, "--compression"]
    rows: list[dict[str, object]] = []
    memory = {}
    with pinned(command, cores.measured, directory=machine.REPOSITORY) as server:
        try:
            for step in run_driver("exchange", wait_ready(server), server.pid, cores.driving, plan):
                if step.pop("step") == "cell":
                    rows.append({"peer": contestant.name, "sockets": sockets, "load": load, **step})
                    print_row(rows[-1])
                else:
                    memory |= step
        except ProcessFailed as failure:
            if server.process.poll() is not None:
                raise ProcessFailed(f"the server died: {server.last_words()}") from failure
            raise
    return [row | {"used_kb_per_connection": memory["used_kb_per_connection"]} for row in rows]


def print_row(row: Mapping[str, object]) -> None:
    print(
        f"  {row['sockets']:>5,} sockets {shown_bytes(row['size_bytes']):>7} {row['kind']:<6} "
        f"{row['load']:<10} {row['cpu_us_per_message']:8.1f} µs CPU/message "
        f"{row['cpu_ns_per_byte']:6.2f} ns/B  {row['wire_bytes_in_per_message']:11,.0f} B in "
        f"{row['wire_bytes_out_per_message']:11,.0f} B out  "
        f"(server {row['server_cpu_share']:.0%}, driver {row['driver_cpu_share']:.0%})",
        flush=True,
    )


def large(
    contestant: Contestant, command: Sequence[str], settings: Settings, cores: Cores
) -> list[dict[str, object]]:
    rows = []
    for sockets, size_bytes in LARGE_CELLS:
        cells = [{"size_bytes": size_bytes, "kind": kind} for kind in ("text", "binary")]
        rows += exchange(contestant, command, sockets, cells, PLAIN, settings, cores)
    return rows


def compressed(
    contestant: Contestant, command: Sequence[str], settings: Settings, cores: Cores
) -> list[dict[str, object]]:
    cells = [{"size_bytes": JSON_BYTES, "kind": "json"}]
    rows = []
    for load in (PLAIN, COMPRESSED):
        rows += exchange(contestant, command, JSON_SOCKETS, cells, load, settings, cores)
    return rows


# -- Generators -------------------------------------------------------------------------------


def generate(client: Client, load: str, settings: Settings, cores: Cores) -> dict[str, object]:
    """Run a generator against the target until a window is measured; return a row."""
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        file = scratch / "template.json"
        file.write_text(template())
        target = stack.enter_context(started_target(cores.driving, "--compression"))
        launch = client.launch(target.url, file, load == COMPRESSED)
        output = scratch / "stdout"
        child = stack.enter_context(
            pinned(
                launch.command,
                cores.measured,
                stdout=stack.enter_context(output.open("wb")),
                environment=launch.environment,
                directory=machine.REPOSITORY,
            )
        )
        running = Running(child, target, JSON_SOCKETS, 0, time.monotonic(), output)
        running.wait_all_open()
        running.wait_until(
            lambda counts: counts["messages"] >= JSON_SOCKETS, 60, "a message from every socket"
        )
        time.sleep(settings.warm_up_s)
        before = target.counts()
        row = steady_window(running, settings.window_s)
        after = target.counts()
    messages, deflated = (after[key] - before[key] for key in ("messages", "compressed"))
    if deflated != (messages if load == COMPRESSED else 0):
        raise ProcessFailed(f"{deflated:.0f} of {messages:.0f} messages came compressed")
    for key, name in (("payload_bytes_in", "out"), ("payload_bytes_out", "in")):
        row[f"wire_bytes_{name}_per_message"] = (after[key] - before[key]) / messages
    print(
        f"  {load:<10} {row['cpu_us_per_message']:6.1f} µs CPU/message at "
        f"{row['messages_per_s']:,.0f}/s, {row['wire_bytes_out_per_message']:,.0f} B out "
        f"{row['wire_bytes_in_per_message']:,.0f} B in (generator "
        f"{row['generator_cpu_share']:.0%}, target {row['target_cpu_share']:.0%})",
        flush=True,
    )
    return {"peer": client.name, "sockets": JSON_SOCKETS, "kind": "json", "load": load, **row}


# -- A run ------------------------------------------------------------------------------------


def run(settings: Settings, mode: str, folder: Path, begun: Recording | None = None) -> Recording:
    cores = machine.two_cores()
    machine.raise_file_limit(2 * JSON_SOCKETS)
    python_peers()  # without the driver nothing can be measured
    recording = begun or Recording("payloads", mode, asdict(settings), folder)
    chosen = [each for each in CONTESTANTS if each.name in settings.peers]
    commands: dict[str, Sequence[str]] = {}
    for contestant in chosen:
        try:
            command = contestant.command()
            check_contract(contestant, command, cores)
        except Missing as reason:
            recording.missing[contestant.name] = str(reason)
            print(f"missing: {contestant.title}: {reason}", flush=True)
        else:
            commands[contestant.name] = command

    numbers_of_repeats = recording.further(settings.repeats)
    for repeat in numbers_of_repeats:
        for part, measure in ((LARGE, large), (SERVERS, compressed)):
            for contestant in chosen:
                takes_part = contestant.compresses if part == SERVERS else True
                if part in settings.parts and takes_part and contestant.name in commands:
                    title = f"[{repeat}/{numbers_of_repeats[-1]}] {part}: {contestant.title}"
                    print(title, flush=True)
                    command = commands[contestant.name]
                    try:
                        rows = measure(contestant, command, settings, cores)
                    except ProcessFailed as failure:
                        note_failure(recording, part, contestant.name, repeat, failure)
                    else:
                        recording.repeats += [
                            {"figure": part, **row, "repeat": repeat} for row in rows
                        ]
                    recording.save()
        for client in CLIENTS if GENERATORS in settings.parts else ():
            title = f"[{repeat}/{numbers_of_repeats[-1]}] generators: {client.title}"
            print(title, flush=True)
            for load in (PLAIN, COMPRESSED):
                try:
                    row = generate(client, load, settings, cores)
                except (ProcessFailed, Missing) as failure:
                    note_failure(recording, GENERATORS, client.name, repeat, failure)
                else:
                    recording.repeats.append({"figure": GENERATORS, **row, "repeat": repeat})
                recording.save()
    return recording.finish()


def note_failure(
    recording: Recording, part: str, peer: str, repeat: int, failure: Exception
) -> None:
    reason = {"peer": peer, "load": part, "repeat": repeat, "reason": str(failure)}
    recording.failed.append(reason)
    print(f"  failed: {failure}", flush=True)


KNOWN = [each.name for each in CONTESTANTS if each.name in LARGE_PEERS or each.compresses]
FULL = Settings(PARTS, KNOWN, repeats=3, warm_up_s=2.0, window_s=3.0)
QUICK = Settings(PARTS, KNOWN, repeats=1, warm_up_s=2.0, window_s=1.0)


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="one repeat, shorter windows")
    parser.add_argument("--parts", type=names(PARTS), help=", ".join(PARTS))
    parser.add_argument("--peers", type=names(KNOWN), help=", ".join(KNOWN))
    parser.add_argument("--repeats", type=int, help="3, with --quick 1")
    parser.add_argument("--warm-up", type=float, dest="warm_up_s", metavar="SECONDS")
    parser.add_argument(
        "--window", type=float, dest="window_s", metavar="SECONDS", help="3, with --quick 1"
    )
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder for the JSON")
    sittings.add_option(parser)
    parser.add_argument("--page", type=Path, default=PAGE)
    parser.add_argument("--report", action="store_true", help="only write the page")
    parser.add_argument("--mode", choices=("full", "custom", "quick"), help="of what is reported")
    return parser


@command
def main(arguments: Sequence[str] | None = None) -> None:
    known = parser()
    given = known.parse_args(arguments)
    if given.go_on is not None:
        settings, begun = sittings.continued("payloads", Settings, given, known)
        run(settings, begun.mode, begun.folder, begun)
        return
    settings = overridden(QUICK if given.quick else FULL, given)
    mode = "quick" if given.quick else "full" if settings == FULL else "custom"
    if given.report:
        payloads_page.write(newest("payloads", given.mode or mode, given.results), given.page)
    else:
        run(settings, mode, given.results)


if __name__ == "__main__":
    sys.exit(main())
