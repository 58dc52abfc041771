"""Our proxy and HAProxy in front of our echo server: what a message costs each, in one run.

    python benchmarks/proxies.py [--sockets 1000] [--pairs 5000] [--repeats 3]
    python benchmarks/proxies.py --report      the newest results into docs/benchmarks.md

What is measured – the echo server by itself, our proxy, HAProxy – has a core of its own; the driver
and the server behind a proxy share the other, so a proxy never waits for a core. The CPU is that of
the measured process alone. Then our proxy gets `--pairs` connections and SIGTERM: each has to be
closed with 1001 at both ends, which the driver counts at one and the server behind at the other.

Exit codes: 0; 1 if a target is missed; 2 if it can't be measured here.
"""

import argparse
import json
import shutil
import socket
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import machine
from command import command
from machine import Cores
from processes import Child, ProcessFailed, pinned, wait_ready, wait_ready_with_console
from provision import Missing, python_peers
from results import PAGE, RESULTS, Recording, newest
from server_catalogue import our_python
from servers import run_driver

ECHO, PROXY, HAPROXY = "echo_trio", "echo_trio --upstream", "haproxy"
TITLES = {
    ECHO: "echo-trio, no proxy",
    PROXY: "`echo_trio --upstream`",
    HAPROXY: "HAProxy, one thread",
}
#: CPU a message: of our proxy by our echo's, and by HAProxy's.
MOST_BY_ECHO, MOST_BY_HAPROXY = 2.3, 2.0
SIZES_BYTES = (16, 1024)
BEGIN, END = "<!-- proxies: begin (generated) -->", "<!-- proxies: end -->"

# As in docs/deploy/haproxy.cfg, but for one thread, one server and no checks.
HAPROXY_CONFIG = """
global
    nbthread 1
    maxconn 4000
defaults
    mode http
    timeout connect 5s
    timeout client 30s
    timeout server 30s
    timeout tunnel 90s
frontend websocket
    bind 127.0.0.1:{port}
    default_backend echo
backend echo
    option forwardfor
    server a {address}
"""


def ours(*flags: str) -> list[str]:
    return [our_python(), "-m", "echo_trio", "--port", "0", *flags]


@contextmanager
def haproxy_before(url: str, core: int) -> Iterator[tuple[Child, str]]:
    """HAProxy in front of a server; yields it and its URL."""
    program = shutil.which("haproxy", path="/usr/sbin:/usr/local/sbin:/usr/bin")
    if program is None:
        raise Missing("HAProxy is not installed")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with tempfile.NamedTemporaryFile("w", suffix=".cfg") as config:
        address = url.removeprefix("ws://").rstrip("/")
        config.write(HAPROXY_CONFIG.format(port=port, address=address))
        config.flush()
        with pinned([program, "-db", "-f", config.name], core) as child:
            wait_listening(child, port)
            yield child, f"ws://127.0.0.1:{port}/"


def wait_listening(child: Child, port: int, timeout_s: float = 30.0) -> None:
    deadline_s = time.monotonic() + timeout_s
    while time.monotonic() < deadline_s:
        if child.process.poll() is not None:
            raise ProcessFailed(child.last_words())
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise ProcessFailed(f"nobody listens at port {port}")


@contextmanager
def started(peer: str, cores: Cores) -> Iterator[tuple[Child, str]]:
    """What is measured, with our server behind it if it is a proxy."""
    with ExitStack() as running:
        if peer == ECHO:
            child = running.enter_context(
                pinned(ours("--no-console"), cores.measured, directory=machine.REPOSITORY)
            )
            yield child, wait_ready(child)
            return
        behind = running.enter_context(
            pinned(ours("--no-console"), cores.driving, directory=machine.REPOSITORY)
        )
        url = wait_ready(behind)
        if peer == HAPROXY:
            yield running.enter_context(haproxy_before(url, cores.measured))
            return
        command = ours("--no-console", "--upstream", url)
        child = running.enter_context(pinned(command, cores.measured, directory=machine.REPOSITORY))
        yield child, wait_ready(child)


def measure_exchange(
    peer: str, given: argparse.Namespace, cores: Cores, recording: Recording, repeat: int
) -> None:
    plan = {
        "sockets": given.sockets,
        "cells": [{"size_bytes": size, "kind": "text"} for size in SIZES_BYTES],
        "warm_up_s": given.warm_up,
        "window_s": given.window,
        "in_flight": 1,
    }
    place = {"peer": peer, "sockets": given.sockets}
    with started(peer, cores) as (child, url):
        for step in run_driver("exchange", url, child.pid, cores.driving, plan):
            what = step.pop("step")
            if what == "cell":
                recording.repeats.append({"figure": "exchange", **place, **step, "repeat": repeat})
                print(
                    f"  {step['size_bytes']:>5} B {step['cpu_us_per_message']:7.2f} µs CPU/message"
                    f"  {step['messages_per_s']:8,.0f}/s",
                    flush=True,
                )
            elif what == "opened":
                cpu_us = step["cpu_us_per_handshake"]
                row = {"figure": "connections", **place, "cpu_us_per_handshake": cpu_us}
                row["idle_kb_per_connection"] = step["idle_kb_per_connection"]
                recording.repeats.append({**row, "repeat": repeat})


def measure_drain(given: argparse.Namespace, cores: Cores, recording: Recording) -> None:
    """SIGTERM to our proxy with all pairs open: what each end is told."""
    behind_command = ours("--console-port", "0")
    with pinned(behind_command, cores.driving, directory=machine.REPOSITORY) as behind:
        url, console = wait_ready_with_console(behind)
        command = ours("--no-console", "--upstream", url)
        with pinned(command, cores.measured, directory=machine.REPOSITORY) as child:
            plan = {"sockets": given.pairs}
            (step,) = run_driver("drain", wait_ready(child), child.pid, cores.driving, plan)
        with urllib.request.urlopen(console + "api/server", timeout=60) as answer:
            seen = json.load(answer)
    row = {
        "figure": "drain",
        "peer": PROXY,
        "sockets": given.pairs,
        "client_close_codes": step["close_codes"],
        "clients_without_close": step["without_close"],
        "upstream_close_codes": seen["close_codes"],
        "last_close_s": step["last_close_s"],
        "process_gone_s": step["process_gone_s"],
        "repeat": 1,
    }
    recording.repeats.append(row)
    print(
        f"SIGTERM at {given.pairs:,} pairs: clients {row['client_close_codes']}, without a close "
        f"{row['clients_without_close']}; the server behind {row['upstream_close_codes']}; gone "
        f"after {row['process_gone_s']:.2f} s",
        flush=True,
    )


def run(given: argparse.Namespace) -> Recording:
    cores = machine.two_cores()
    machine.raise_file_limit(2 * max(given.sockets, given.pairs))
    python_peers()  # without the driver nothing can be measured
    settings = {
        "sockets": given.sockets, "pairs": given.pairs, "sizes_bytes": SIZES_BYTES,
        "repeats": given.repeats, "warm_up_s": given.warm_up, "window_s": given.window,
    }  # fmt: skip
    recording = Recording("proxies", "full", settings, given.results)
    for repeat in range(1, given.repeats + 1):
        for peer in (ECHO, PROXY, HAPROXY):
            if peer in recording.missing:
                continue
            print(f"[{repeat}/{given.repeats}] {peer}, {given.sockets:,} sockets", flush=True)
            try:
                measure_exchange(peer, given, cores, recording, repeat)
            except Missing as reason:
                recording.missing[peer] = str(reason)
                print(f"missing: {peer}: {reason}", flush=True)
            recording.save()
    if given.pairs:
        measure_drain(given, cores, recording)
    return recording.finish()


# -- The page ---------------------------------------------------------------------------------


def rows_of(document: Mapping, figure: str) -> dict[tuple[str, int | None], Mapping]:
    rows = [row for row in document["medians"] if row["figure"] == figure]
    return {(row["peer"], row.get("size_bytes")): row for row in rows}


def ratios(document: Mapping) -> dict[str, tuple[float, float]]:
    """CPU a message of 16 bytes: our proxy's by our echo's and by HAProxy's; and the targets."""
    cost = {
        peer: row["cpu_us_per_message"]
        for (peer, size), row in rows_of(document, "exchange").items()
        if size == SIZES_BYTES[0]
    }
    found = {}
    for peer, most in ((ECHO, MOST_BY_ECHO), (HAPROXY, MOST_BY_HAPROXY)):
        if peer in cost and PROXY in cost:
            found[peer] = cost[PROXY] / cost[peer], most
    return found


def missed(document: Mapping) -> list[str]:
    """Say which targets are missed."""
    told = [
        f"CPU a message is {ratio:.2f} × that of {TITLES[peer]}, and may be {most:g} ×"
        for peer, (ratio, most) in ratios(document).items()
        if ratio > most
    ]
    for row in document["repeats"]:
        if row["figure"] == "drain":
            want = {"1001": row["sockets"]}
            told += [
                f"{end} are {row[end]}, not {want}"
                for end in ("client_close_codes", "upstream_close_codes")
                if row[end] != want
            ]
    return told


def section(document: Mapping) -> str:
    """The part of the page that is made of the results."""
    made_on = document["machine"]
    commit = (document["git"]["commit"] or "no commit")[:12]
    exchange, connections = rows_of(document, "exchange"), rows_of(document, "connections")
    sockets = document["settings"]["sockets"]
    lines = [
        (
            f"{document['started_at']}, commit {commit}, medians of "
            f"{document['settings']['repeats']}; load average at the start "
            f"{made_on['load_average_at_start']:.1f}; {made_on['cpu']}, {made_on['cores']} cores. "
            f"{sockets:,} sockets, one message in flight on each."
        ),
        "",
        "| | CPU a message, 16 B | 1 KiB | messages/s, 16 B | CPU a handshake | KB a connection |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for peer, title in TITLES.items():
        if peer in document["missing"]:
            lines.append(f"| {title} | missing: {document['missing'][peer]} | | | | |")
            continue
        small, large = (exchange[peer, size] for size in SIZES_BYTES)
        opened = connections[peer, None]
        lines.append(
            f"| {title} | {small['cpu_us_per_message']:.1f} µs "
            f"| {large['cpu_us_per_message']:.1f} µs | {small['messages_per_s']:,.0f} "
            f"| {opened['cpu_us_per_handshake']:.0f} µs "
            f"| {opened['idle_kb_per_connection']:.1f} |"
        )
    lines.append("")
    for peer, (ratio, most) in ratios(document).items():
        lines.append(f"- CPU a message ÷ {TITLES[peer]}: **{ratio:.2f}** (at most {most:g}).")
    for row in document["repeats"]:
        if row["figure"] == "drain":
            clients, behind = row["client_close_codes"], row["upstream_close_codes"]
            lines.append(
                f"- SIGTERM with {row['sockets']:,} pairs open: {clients.get('1001', 0):,} clients "
                f"and {behind.get('1001', 0):,} connections of the server behind were closed with "
                f"1001, {row['clients_without_close']} clients without a close; gone after "
                f"{row['process_gone_s']:.1f} s."
            )
    return "\n".join(lines)


def write_page(document: Mapping) -> None:
    text = PAGE.read_text()
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    assert rest, f"{PAGE} has no {BEGIN}"
    PAGE.write_text(f"{before}{BEGIN}\n\n{section(document)}\n\n{END}{after}")


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--sockets", type=int, default=1_000)
    parser.add_argument("--pairs", type=int, default=5_000, help="for the drain; 0 leaves it out")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--warm-up", type=float, default=2.0, metavar="SECONDS")
    parser.add_argument("--window", type=float, default=3.0, metavar="SECONDS")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder for the JSON")
    parser.add_argument("--report", action="store_true", help="only write the page")
    return parser.parse_args(arguments)


@command
def main(arguments: Sequence[str] | None = None) -> int:
    given = parse(arguments)
    if given.report:
        write_page(newest("proxies", "full", given.results))
        return 0
    document = run(given).document()
    for told in missed(document):
        print(f"missed: {told}", flush=True)
    return 1 if missed(document) else 0


if __name__ == "__main__":
    sys.exit(main())
