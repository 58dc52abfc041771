"""Our load generator and others against one server that counts for itself: do they agree?

    .venv/bin/python benchmarks/cross_check.py [--peers loadgen,k6] [--sockets 200] [--messages 10]

The server is target.py: picows, with counters. Each tool opens the same sockets and sends the
same messages, one a second on each, to a server that answers at once, to one that answers after
100 ms, and to one that refuses every tenth handshake. What the tool says is held against what the
server counted, to the unit, and its latency against how long the server held the replies back.

Exit code 1 if our generator's counts differ from the server's by even one, or its p50 of the
replies held back is off by more than 5 %. What others say is shown, and fails nothing. On a busy
machine latencies are the neighbours'; `chrt -r 1 make cross-check` comes before them.
"""

import argparse
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

import machine
from command import command
from cross_check_page import FIGURES, PAGE, differences, pair, percentile_keys, write_page
from cross_check_tools import (
    ANSWER_AFTER_MS,
    AT_ONCE,
    LATE,
    OURS,
    PERCENTILES,
    REFUSE_EVERY,
    REFUSING,
    SERVERS,
    TOOLS,
    Finished,
    Tool,
    percentile,
)
from generator_catalogue import Assignment, our_absence
from generators import Target, note_failure, started_target
from machine import Cores
from processes import Child, ProcessFailed, pinned
from provision import Missing, python_peers
from quantities import names
from results import RESULTS, Recording

TOLERANCE = 0.05
POLL_S = 0.1
# From the witness's last socket until one that does not end of itself is interrupted.
SETTLE_S = 1.0


@dataclass(frozen=True)
class Settings:
    peers: Sequence[str]
    sockets: int
    messages: int
    repeats: int = 1


def work(tool: Tool, server: str, settings: Settings, cores: Cores) -> dict[str, object]:
    """One run: what the tool says, beside what the witness counted."""
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="cross-check-")))
        target = stack.enter_context(started_target(cores.driving, *SERVERS[server]))
        assignment = Assignment(target.url, settings.sockets, server, 0, scratch)
        launch = tool.launch(assignment, settings.messages)
        if launch.companion:
            stack.enter_context(pinned(launch.companion, cores.driving, stdout=subprocess.DEVNULL))
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
        # Messages that wait for the reply before take as much longer.
        planned_s = settings.messages * (1 + ANSWER_AFTER_MS / 1e3)
        deadline_s = time.monotonic() + planned_s + 60
        while child.process.poll() is None:
            if not tool.ends and target.counts()["opened"] >= settings.sockets:
                time.sleep(SETTLE_S)
                interrupt(child)
            elif time.monotonic() > deadline_s:
                raise ProcessFailed(f"not finished {planned_s + 60:.0f} s after its start")
            time.sleep(POLL_S)
        counts = settled(target)
        try:
            account = tool.account(Finished(output.read_text(errors="replace"), assignment))
        except (OSError, ValueError, LookupError) as error:
            raise ProcessFailed(f"no account ({error!r}): {child.last_words()}") from error
        return {
            "exit_code": child.process.returncode,
            **{f"tool_{figure}": getattr(account, figure) for figure in FIGURES},
            **{f"tool_{key}_ms": value for key, value in account.latency_ms.items()},
            "tool_summary_mean_ms": account.summary_mean_ms,
            "tool_faults": dict(account.faults),
            **witnessed(counts),
        }


def interrupt(child: Child) -> None:
    child.interrupt()
    try:
        child.process.wait(10)
    except subprocess.TimeoutExpired:
        raise ProcessFailed("still there 10 s after its interrupt") from None


def settled(target: Target) -> dict:
    """The witness's counts when it has seen the end of every socket."""
    deadline_s = time.monotonic() + 5
    while (counts := target.counts())["open"] and time.monotonic() < deadline_s:
        time.sleep(POLL_S)
    return counts


def witnessed(counts: Mapping) -> dict[str, object]:
    kept = ("opened", "refused", "messages", "replies", "closed_clean", "closed_abrupt", "open")
    held = {
        f"server_p{percent}_ms": percentile(counts["held_ms"], percent)
        for percent in PERCENTILES
        if "held_ms" in counts
    }
    return {f"server_{key}": counts[key] for key in kept} | held


def our_faults(row: Mapping, settings: Settings) -> Iterator[str]:
    """Why our generator has not passed, in this row."""
    tool = next(each for each in TOOLS if each.name == OURS)
    yield from differences(tool, row)
    refused = settings.sockets // REFUSE_EVERY if row["load"] == REFUSING else 0
    opened = settings.sockets - refused
    messages = opened * settings.messages
    planned = {"opened": opened, "refused": refused, "messages": messages, "replies": messages}
    for key, due in planned.items():
        if row[f"server_{key}"] != due:
            yield f"the server counted {row[f'server_{key}']:,} {key}, {due:,} were planned"
    if row["load"] == LATE:
        p50_ms = row.get("tool_p50_ms", math.inf)
        if abs(p50_ms - ANSWER_AFTER_MS) > TOLERANCE * ANSWER_AFTER_MS:
            yield (
                f"its p50 is {p50_ms:.1f} ms where replies took {ANSWER_AFTER_MS} ms; by the "
                f"server's own clock {row['server_p50_ms']:.1f} ms"
            )


def run(settings: Settings, mode: str, folder: Path) -> Recording:
    cores = machine.two_cores()
    machine.raise_file_limit(settings.sockets)
    python_peers()  # without the witness there is nothing to hold against
    missing, present = {}, []
    for tool in TOOLS:
        if tool.name in settings.peers:
            if reason := absence(tool):
                missing[tool.name] = reason
                print(f"missing: {tool.name}: {reason}", flush=True)
            else:
                present.append(tool)
    scheduling = {"realtime": os.sched_getscheduler(0) in {os.SCHED_RR, os.SCHED_FIFO}}
    recording = Recording("cross-check", mode, asdict(settings) | scheduling, folder, missing)
    recording.head["versions"]["tools"] = {tool.name: tool.version() for tool in present}
    for server in SERVERS:
        for tool in present:
            # It would wait for ever for those that were refused.
            if server != AT_ONCE and not tool.sends:
                continue
            print(f"{tool.title}, {server} …", flush=True)
            identity = {"peer": tool.name, "sockets": settings.sockets, "load": server}
            try:
                figures = work(tool, server, settings, cores)
            except (ProcessFailed, Missing) as failure:
                note_failure(recording, identity, 1, failure)
            else:
                row = {"figure": "cross-check", **identity, **figures, "repeat": 1}
                recording.repeats.append(row)
                print_row(tool, row)
            recording.save()
    return recording.finish()


def absence(tool: Tool) -> str | None:
    """Why a tool cannot be run here; installs it on the way."""
    if tool.name == OURS:
        return our_absence()
    with tempfile.TemporaryDirectory(prefix="cross-check-") as scratch:
        try:
            tool.launch(Assignment("ws://127.0.0.1:9/", 1, AT_ONCE, 0, Path(scratch)), 1)
        except Missing as reason:
            return str(reason)
    return None


def print_row(tool: Tool, row: Mapping) -> None:
    print(
        f"  {', '.join(f'{figure} {pair(row, figure)}' for figure in FIGURES)} (tool / server)"
        + "".join(f"; {key} {row[f'tool_{key}_ms']:.1f} ms" for key in percentile_keys(row)),
        flush=True,
    )
    for difference in differences(tool, row):
        print(f"  differs: {difference}", flush=True)


def verdict(recording: Recording, settings: Settings) -> int:
    """1 if our generator is in it, and is not right in every run."""
    if OURS not in settings.peers:
        return 0
    rows = [row for row in recording.repeats if row["peer"] == OURS]
    faults = [f"{row['load']}: {fault}" for row in rows for fault in our_faults(row, settings)]
    if len(rows) < len(SERVERS):
        faults.append("not every run of it was done")
    for fault in faults:
        print(f"loadgen, {fault}", file=sys.stderr)
    if not faults:
        print("loadgen and the server agree to the unit", flush=True)
    return bool(faults)


def parse(arguments: Sequence[str] | None) -> tuple[Settings, str, argparse.Namespace]:
    known = [tool.name for tool in TOOLS]
    default = Settings(known, 200, 10)
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--peers", type=names(known), default=known, help=f"of {', '.join(known)}; default: all"
    )
    parser.add_argument("--sockets", type=int, default=default.sockets)
    parser.add_argument("--messages", type=int, default=default.messages, help="for each socket")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder for the JSON")
    parser.add_argument(
        "--page", type=Path, help="default: the one in docs/ if all take part in the usual plan"
    )
    given = parser.parse_args(arguments)
    if given.sockets < 1 or given.messages < 1:
        parser.error("--sockets and --messages must be above 0")
    settings = Settings(given.peers, given.sockets, given.messages)
    return settings, "full" if settings == default else "custom", given


@command
def main(arguments: Sequence[str] | None = None) -> int:
    settings, mode, given = parse(arguments)
    recording = run(settings, mode, given.results)
    if page := given.page or (PAGE if mode == "full" else None):
        write_page(recording.document(), page)
    return verdict(recording, settings)


if __name__ == "__main__":
    sys.exit(main())
