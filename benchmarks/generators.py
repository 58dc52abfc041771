"""Our load generator and its peers against one server that is not the bottleneck.

    python benchmarks/generators.py [--quick] [--peers loadgen,k6] [--sockets 100,10000] …

How the figures are won. The target counts sockets, messages and closes itself, the same way
for every generator; the generator's CPU is read from the kernel. Nothing rests on what a
generator says of itself.

- CPU per message: both are read at the two ends of a steady window, after all sockets are
  open, each has sent once, and two more seconds; so start-up and opening are outside.
- CPU and memory per socket: at the moment the target has seen the last socket open, less the
  same generator's at the moment it had 10 open, over the difference in sockets; so the cost
  of the interpreter and its imports is outside.
- Ctrl-C: from the signal to the target's last closed socket, and to the end of the process.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import machine
import sittings
from command import command, overridden
from generator_catalogue import (
    GENERATORS,
    NO_LOAD,
    NOT_MEASURED,
    OUR_OWN,
    OURS,
    Assignment,
    Generator,
    our_absence,
)
from machine import Cores
from process_cost import family_cpu_seconds, family_resident_bytes, roughly_resident_bytes
from processes import Child, ProcessFailed, pinned, wait_ready
from provision import HERE, Missing, python_peers
from quantities import names, numbers
from results import RESULTS, Recording
from server_catalogue import CONTESTANTS, our_python
from server_catalogue import OURS as OUR_SERVER

BASELINE_SOCKETS = 10
POLL_S = 0.02
# A generator that grows beyond this is stopped and noted, before it hurts the machine.
MEMORY_GUARD_BYTES = 8 * 1024**3
STOP_TIMEOUT_S = 30.0


@dataclass(frozen=True)
class Settings:
    peers: Sequence[str]
    sockets: Sequence[int]
    repeats: int
    warm_up_s: float
    window_s: float
    against_ours: int
    """Sockets our generator opens against our own server; 0 leaves that out."""


class Target:
    """The witness: see target.py."""

    def __init__(self, child: Child, url: str) -> None:
        self.child = child
        self.url = url

    def counts(self) -> dict[str, float]:
        stdin, stdout = self.child.process.stdin, self.child.process.stdout
        assert stdin is not None
        assert stdout is not None
        try:
            stdin.write(b"\n")
            stdin.flush()
            return json.loads(stdout.readline())
        except (OSError, ValueError):
            raise ProcessFailed(f"the target died: {self.child.last_words()}") from None


@contextmanager
def started_target(core: int, *flags: str) -> Iterator[Target]:
    command = [str(python_peers()), str(HERE / "target.py"), *flags]
    with pinned(command, core, stdin=subprocess.PIPE) as child:
        yield Target(child, wait_ready(child))


@dataclass
class Running:
    """A generator at work on a target."""

    child: Child
    target: Target
    sockets: int
    hold_s: int
    started_at_s: float
    output: Path

    def wait_until(self, condition, timeout_s: float, what: str) -> dict[str, float]:
        """Poll the witness until it has seen what is waited for."""
        deadline_s = time.monotonic() + timeout_s
        while True:
            counts = self.target.counts()
            if condition(counts):
                return counts
            if self.child.process.poll() is not None:
                raise ProcessFailed(f"ended before {what}: {self.child.last_words()}")
            if time.monotonic() > deadline_s:
                raise ProcessFailed(
                    f"{what}: not within {timeout_s:.0f} s "
                    f"(opened {counts['opened']}, messages {counts['messages']})"
                )
            if roughly_resident_bytes(self.child.pid) > MEMORY_GUARD_BYTES:
                raise ProcessFailed(
                    f"{what}: stopped at 8 GiB of memory with {counts['opened']} sockets open"
                )
            time.sleep(POLL_S)

    def wait_all_open(self) -> dict[str, float]:
        # Opened, not open: massconnect leaves the moment it has them all.
        return self.wait_until(
            lambda counts: counts["opened"] >= self.sockets,
            timeout_s=30 + self.sockets / 100,
            what=f"{self.sockets:,} sockets open",
        )


@contextmanager
def started(generator: Generator, sockets: int, load: str, cores: Cores) -> Iterator[Running]:
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        target = stack.enter_context(started_target(cores.driving))
        # Ours opens all before it sends; the others have to be told to wait for themselves.
        hold_s = 0 if generator.name in OUR_OWN else 2 + round(1.5 * sockets / 1000)
        launch = generator.launch(Assignment(target.url, sockets, load, hold_s, scratch))
        if launch.companion:
            stack.enter_context(pinned(launch.companion, cores.driving, stdout=subprocess.DEVNULL))
        output = scratch / "stdout"
        stdout = stack.enter_context(output.open("wb"))
        started_at_s = time.monotonic()
        child = stack.enter_context(
            pinned(
                launch.command,
                cores.measured,
                stdout=stdout,
                environment=launch.environment,
                directory=machine.REPOSITORY,
            )
        )
        yield Running(child, target, sockets, hold_s, started_at_s, output)


def at_baseline(generator: Generator, load: str, cores: Cores) -> tuple[float, int]:
    """CPU seconds and resident bytes with ten sockets open: what it costs to be there at all."""
    with started(generator, BASELINE_SOCKETS, load, cores) as running:
        running.wait_all_open()
        pid = running.child.pid
        return family_cpu_seconds(pid), family_resident_bytes(pid)


def measure(
    generator: Generator, sockets: int, load: str, settings: Settings, cores: Cores
) -> dict[str, object]:
    baseline_cpu_s, baseline_bytes = at_baseline(generator, load, cores)
    with started(generator, sockets, load, cores) as running:
        pid = running.child.pid
        opened = running.wait_all_open()
        open_cpu_s, open_bytes = family_cpu_seconds(pid), family_resident_bytes(pid)
        extra = sockets - BASELINE_SOCKETS
        figures: dict[str, object] = {
            "opened": opened["opened"],
            "opening_s": opened["last_opened_at_s"] - opened["first_opened_at_s"],
            "all_open_after_start_s": opened["last_opened_at_s"] - running.started_at_s,
            "cpu_us_per_opened_socket": (open_cpu_s - baseline_cpu_s) / extra * 1e6,
            "kb_per_socket": (open_bytes - baseline_bytes) / extra / 1024,
        }
        if load == NO_LOAD:
            return figures

        running.wait_until(
            lambda counts: counts["messages"] - opened["messages"] >= sockets,
            timeout_s=60 + sockets / 200,
            what="a message from every socket",
        )
        # The last one opened begins to send when its hold is over.
        all_sending_at_s = opened["last_opened_at_s"] + running.hold_s + 1
        time.sleep(max(0.0, all_sending_at_s - time.monotonic()) + settings.warm_up_s)
        figures |= steady_window(running, settings.window_s)
        loaded_bytes = family_resident_bytes(pid)
        figures["kb_per_socket_loaded"] = (loaded_bytes - baseline_bytes) / extra / 1024
        figures |= interrupted(running)
        if generator.name in OUR_OWN:
            figures |= checked_report(running)
        return figures


def steady_window(running: Running, window_s: float) -> dict[str, object]:
    pid = running.child.pid
    before, cpu_before_s = running.target.counts(), family_cpu_seconds(pid)
    time.sleep(window_s)
    after, cpu_after_s = running.target.counts(), family_cpu_seconds(pid)
    messages = after["messages"] - before["messages"]
    elapsed_s = after["at_s"] - before["at_s"]
    if not messages:
        raise ProcessFailed("sent nothing in the window")
    return {
        "messages": messages,
        "messages_per_s": messages / elapsed_s,
        "cpu_us_per_message": (cpu_after_s - cpu_before_s) / messages * 1e6,
        "generator_cpu_share": (cpu_after_s - cpu_before_s) / elapsed_s,
        "target_cpu_share": (after["cpu_s"] - before["cpu_s"]) / elapsed_s,
        "sockets_lost": before["open"] - after["open"],
    }


def interrupted(running: Running) -> dict[str, object]:
    """Ctrl-C under load: how it ends, as the target sees it."""
    before = running.target.counts()
    signalled_at_s = time.monotonic()
    running.child.interrupt()
    try:
        exit_code: int | None = running.child.process.wait(STOP_TIMEOUT_S)
        exit_s = time.monotonic() - signalled_at_s
    except subprocess.TimeoutExpired:
        exit_code, exit_s = None, None
    time.sleep(0.2)  # closes that the target has yet to read
    after = running.target.counts()
    closed = after["closed_clean"] + after["closed_abrupt"] - (before["opened"] - before["open"])
    last_close_s = after["last_closed_at_s"] - signalled_at_s if closed else None
    return {
        "interrupt_exit_code": exit_code,
        "interrupt_exit_s": exit_s,
        "interrupt_last_close_s": last_close_s,
        "interrupt_closed_clean": after["closed_clean"] - before["closed_clean"],
        "interrupt_closed_abrupt": after["closed_abrupt"] - before["closed_abrupt"],
        "interrupt_still_open": after["open"],
    }


def checked_report(running: Running) -> dict[str, object]:
    """Our generator's own account, which must agree with the witness."""
    try:
        report = json.loads(running.output.read_text())
    except ValueError:
        raise ProcessFailed(f"no report: {running.child.last_words()}") from None
    messages, connections = report["messages"], report["connections"]
    faults = {
        column: messages[column]
        for column in ("corrupt", "reordered", "lost", "duplicate", "unexpected")
        if messages[column]
    }
    if faults:
        raise ProcessFailed(f"the report counts {faults}")
    seen = running.target.counts()["messages"]
    if messages["sent"] != seen:
        raise ProcessFailed(f"the report says {messages['sent']} sent, the target saw {seen}")
    return {
        "verified": messages["echoed"],
        "reported_all_open_after_s": connections["all_open_after_s"],
        "reported_clean": connections["closed"]["clean"],
        "verdict": report["verdict"],
    }


def measure_against_ours(sockets: int, cores: Cores) -> dict[str, object]:
    """Both our ends on this machine: until all are open, by the clock of an onlooker."""
    command = next(each for each in CONTESTANTS if each.name == OUR_SERVER).command()
    with ExitStack() as stack:
        server = stack.enter_context(pinned(command, cores.driving, directory=machine.REPOSITORY))
        url = wait_ready(server)
        # The size of this directory is the number of open files, without listing them.
        open_files = Path(f"/proc/{server.pid}/fd")
        files_before = open_files.stat().st_size
        generator = [our_python(), "-m", "loadgen", str(sockets), url, "--json=-", "--quiet"]
        generator += ["--duration", "2s", "--rate-per-conn", "1/s"]
        output = stack.enter_context(tempfile.TemporaryFile())
        started_at_s = time.monotonic()
        child = stack.enter_context(
            pinned(generator, cores.measured, stdout=output, directory=machine.REPOSITORY)
        )
        accepted_after_s = None
        while child.process.poll() is None:
            if accepted_after_s is None and open_files.stat().st_size - files_before >= sockets:
                accepted_after_s = time.monotonic() - started_at_s
            if time.monotonic() - started_at_s > 120:
                raise ProcessFailed("not finished after 120 s")
            time.sleep(POLL_S)
        output.seek(0)
        try:
            connections = json.loads(output.read())["connections"]
        except ValueError:
            raise ProcessFailed(f"no report: {child.last_words()}") from None
    return {
        "opened": connections["opened"],
        "all_open_after_s": connections["all_open_after_s"],
        "accepted_after_start_s": accepted_after_s,
        "exit_code": child.process.returncode,
    }


def run(settings: Settings, mode: str, folder: Path, begun: Recording | None = None) -> Recording:
    cores = machine.two_cores()
    machine.raise_file_limit(max(*settings.sockets, settings.against_ours))
    python_peers()  # without the target nothing can be measured

    missing = dict(NOT_MEASURED)
    present = []
    for generator in GENERATORS:
        if generator.name in settings.peers:
            if reason := absence(generator):
                missing[generator.name] = reason
            else:
                present.append(generator)
    for name, reason in missing.items():
        print(f"missing: {name}: {reason}", flush=True)
    recording = begun or Recording("generators", mode, asdict(settings), folder, missing)

    numbers_of_repeats = recording.further(settings.repeats)
    for repeat in numbers_of_repeats:
        for generator in present:
            for sockets in settings.sockets:
                for load in generator.loads:
                    identity = {"peer": generator.name, "sockets": sockets, "load": load}
                    print(
                        f"[{repeat}/{numbers_of_repeats[-1]}] {generator.title}, "
                        f"{sockets:,} sockets, load: {load}",
                        flush=True,
                    )
                    try:
                        figures = measure(generator, sockets, load, settings, cores)
                    except ProcessFailed as failure:
                        note_failure(recording, identity, repeat, failure)
                    else:
                        row = {"figure": "generator", **identity, **figures, "repeat": repeat}
                        recording.repeats.append(row)
                        print_figures(figures)
                    recording.save()
        if settings.against_ours and any(each.name == OURS for each in present):
            print(f"[{repeat}/{numbers_of_repeats[-1]}] ours against ours", flush=True)
            identity = {"peer": OURS, "sockets": settings.against_ours}
            try:
                figures = measure_against_ours(settings.against_ours, cores)
            except (ProcessFailed, Missing) as failure:
                note_failure(recording, identity, repeat, failure)
            else:
                row = {"figure": "against ours", **identity, **figures, "repeat": repeat}
                recording.repeats.append(row)
                print(f"  {figures}", flush=True)
            recording.save()
    return recording.finish()


def absence(generator: Generator) -> str | None:
    """Why a generator cannot be measured; installs it on the way."""
    if generator.name in OUR_OWN:
        return our_absence()
    with tempfile.TemporaryDirectory(prefix="bench-") as scratch:
        nowhere = Assignment("ws://127.0.0.1:9/", 1, generator.loads[0], 0, Path(scratch))
        try:
            generator.launch(nowhere)
        except Missing as reason:
            return str(reason)
    return None


def note_failure(
    recording: Recording, identity: dict[str, object], repeat: int, failure: Exception
) -> None:
    recording.failed.append({**identity, "repeat": repeat, "reason": str(failure)})
    print(f"  failed: {failure}", flush=True)


def print_figures(figures: dict[str, object]) -> None:
    print(
        f"  all open {figures['all_open_after_start_s']:.2f} s after its start "
        f"(first to last {figures['opening_s']:.2f} s), "
        f"{figures['cpu_us_per_opened_socket']:.0f} µs CPU and "
        f"{figures['kb_per_socket']:.1f} KB per socket",
        flush=True,
    )
    if "cpu_us_per_message" in figures:
        print(
            f"  {figures['cpu_us_per_message']:.1f} µs CPU/message at "
            f"{figures['messages_per_s']:,.0f}/s (generator "
            f"{figures['generator_cpu_share']:.0%}, target {figures['target_cpu_share']:.0%})",
            flush=True,
        )
        last_close_s, exit_s = figures["interrupt_last_close_s"], figures["interrupt_exit_s"]
        print(
            f"  Ctrl-C: last socket closed after {shown_s(last_close_s)}, "
            f"exit {figures['interrupt_exit_code']} after {shown_s(exit_s)}; "
            f"{figures['interrupt_closed_clean']} clean, "
            f"{figures['interrupt_closed_abrupt']} abrupt, "
            f"{figures['interrupt_still_open']} still open",
            flush=True,
        )


def shown_s(seconds: object) -> str:
    return f"{seconds:.2f} s" if isinstance(seconds, float) else "never"


def full(peers: Sequence[str]) -> Settings:
    return Settings(peers, (100, 1_000, 10_000), 3, 2.0, 5.0, against_ours=10_000)


def quick(peers: Sequence[str]) -> Settings:
    return Settings(peers, (10_000,), 1, 2.0, 3.0, against_ours=10_000)


def parse(arguments: Sequence[str] | None) -> tuple[Settings, str, Path, Recording | None]:
    known = [generator.name for generator in GENERATORS]
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="one repeat, 10,000 sockets")
    parser.add_argument("--peers", type=names(known), help=f"of {', '.join(known)}")
    parser.add_argument("--sockets", type=numbers, help="e.g. 100,1000,10000")
    parser.add_argument("--repeats", type=int)
    parser.add_argument("--warm-up", type=float, dest="warm_up_s", metavar="SECONDS")
    parser.add_argument("--window", type=float, dest="window_s", metavar="SECONDS")
    parser.add_argument("--against-ours", type=int, metavar="SOCKETS", help="0 leaves it out")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder for the JSON")
    sittings.add_option(parser)
    given = parser.parse_args(arguments)
    if given.go_on is not None:
        settings, begun = sittings.continued("generators", Settings, given, parser)
        return settings, begun.mode, begun.folder, begun
    default = quick(known) if given.quick else full(known)

    settings = overridden(default, given)
    if min(settings.sockets) <= BASELINE_SOCKETS:
        parser.error(f"--sockets must be above {BASELINE_SOCKETS}, which is the baseline")
    mode = "quick" if given.quick else "full" if settings == default else "custom"
    return settings, mode, given.results, None


@command
def main(arguments: Sequence[str] | None = None) -> None:
    run(*parse(arguments))


if __name__ == "__main__":
    sys.exit(main())
