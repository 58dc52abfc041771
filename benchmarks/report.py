"""Writes the newest results into `docs/benchmarks.md`, with a plot beside it.

    python benchmarks/report.py [--mode full|custom|quick]

The part of the page between the two marker comments is replaced; prose around it stays.
"""

import argparse
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from generator_catalogue import CLOSED_LOOP, GENERATORS, NO_LOAD, OPEN_LOOP
from provision import HERE, Missing, python_peers
from quantities import shown_bytes
from results import PAGE, RESULTS, NoResults, newest_of_each
from server_catalogue import CONTESTANTS
from server_catalogue import OURS as ECHO_TRIO
from targets import (
    FEW,
    FEWEST,
    HUGE_BYTES,
    LARGE_BYTES,
    MANY,
    SMALL_BYTES,
    Figures,
    NotMeasured,
    standings,
)

PLOT_NAME = "benchmarks-cpu-per-message.svg"
BEGIN, END = "<!-- benchmarks: begin (generated) -->", "<!-- benchmarks: end -->"
BLANK = "–"


def cell(figure: Callable[[], float], form: str = "{:.1f}") -> str:
    """One figure for a table; a dash where it was not measured."""
    try:
        return form.format(figure())
    except NotMeasured:
        return BLANK


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "| --- " + "| ---: " * (len(head) - 1) + "|"]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join(lines)


def shown_repeats(document: Mapping) -> str:
    """Say how many repeats a median is of; they may have been measured in several sittings."""
    counts = [row["repeats"] for row in document["medians"]]
    least, most = min(counts), max(counts)
    shown = f"repeats: {least}" if least == most else f"repeats: {least} to {most}"
    sittings = len(document.get("sittings", ()))
    return f"{shown}, in {sittings} sittings" if sittings else shown


def provenance(documents: Sequence[Mapping]) -> str:
    lines = []
    for document in documents:
        machine, versions = document["machine"], document["versions"]
        commit = (document["git"]["commit"] or "no commit")[:12]
        if document["git"]["uncommitted_changes"]:
            commit += " with uncommitted changes"
        line = (
            f"- {document['kind']}: {document['started_at']}, commit {commit}, "
            f"{document['mode']} run, {shown_repeats(document)}; "
            f"{machine['cpu']}, {machine['cores']} cores, "
            f"{machine['memory_bytes'] / 1024**3:.0f} GiB, {machine['kernel']}; "
            f"Python {versions.get('ours', {}).get('python', '?')}, "
            f"Node {versions.get('node', '?')}"
        )
        line += "".join(
            f", {title} {versions[key]}"
            for key, title in (("go", "Go"), ("rustc", "Rust"))
            if key in versions
        )
        if not document["complete"]:
            line += ". **The run was broken off: not every figure is there.**"
        if document["mode"] == "quick":
            line += ". **A quick look, not a measurement to quote.**"
        lines.append(line)
    return "\n".join(lines)


#: Of the Python packages of the peers, those that are peers or what these stand on.
PYTHON_PEERS = (
    "trio",
    "trio-websocket",
    "websockets",
    "aiohttp",
    "uvicorn",
    "uvloop",
    "picows",
    "socketify",
    "locust",
)


def peer_versions(documents: Sequence[Mapping]) -> str:
    found: dict[str, object] = {}
    for document in documents:
        versions = document["versions"]
        peers = versions.get("peers", {})
        found |= {name: peers[name] for name in PYTHON_PEERS if name in peers}
        if "node_ws" in versions:  # as it was recorded until November 2026
            found["ws"] = versions["node_ws"]
        for kind in ("node_modules", "go_modules", "crates", "generators"):
            found |= versions.get(kind, {})
    return "Peers: " + ", ".join(f"{name} {version}" for name, version in found.items()) + "."


def small_messages(figures: Figures, peers: Sequence[str]) -> str:
    titles = {each.name: each.title for each in CONTESTANTS}
    head = ["server", "100", "1,000", "10,000 sockets", "ours ÷ it", "messages/s", "driver"]
    head += ["p50 / p99 ms", "CPU/handshake", "KB/idle conn."]
    rows = []
    for peer in peers:

        def echo(sockets: int, key: str = "cpu_us_per_message", peer: str = peer) -> float:
            return figures.echo(peer, sockets=sockets, key=key)

        def ratio(peer: str = peer) -> float:
            return figures.echo(ECHO_TRIO) / figures.echo(peer)

        def connection(key: str, peer: str = peer) -> float:
            return figures.connection(peer, key)

        rows.append(
            [
                titles[peer],
                cell(lambda: echo(FEW), "{:.1f} µs"),
                cell(lambda: echo(1_000), "{:.1f} µs"),
                cell(lambda: echo(MANY), "{:.1f} µs"),
                cell(ratio, "{:.2f}"),
                cell(lambda: echo(MANY, "messages_per_s"), "{:,.0f}"),
                cell(lambda: echo(MANY, "driver_cpu_share"), "{:.0%}"),
                cell(lambda: echo(FEW, "p50_ms"), "{:.1f}")
                + " / "
                + cell(lambda: echo(FEW, "p99_ms"), "{:.1f}"),
                cell(lambda: connection("cpu_us_per_handshake"), "{:.0f} µs"),
                cell(lambda: connection("idle_kb_per_connection")),
            ]
        )
    return table(head, rows)


def larger_messages(figures: Figures, peers: Sequence[str]) -> str:
    titles = {each.name: each.title for each in CONTESTANTS}
    columns = [
        (sockets, size_bytes, kind)
        for sockets, size_bytes in ((FEW, LARGE_BYTES), (FEWEST, HUGE_BYTES))
        for kind in ("text", "binary")
    ]
    head = ["server", "1 KiB text, 100", "1 KiB text, 10,000", "16 B binary, 10,000"]
    head += [f"{shown_bytes(size)} {kind}, {sockets}" for sockets, size, kind in columns]
    rows = []
    for peer in peers:

        def per_byte(sockets: int, size: int, kind: str, peer: str = peer) -> str:
            def figure(peer: str = peer) -> float:
                return figures.echo(
                    peer, sockets=sockets, size_bytes=size, kind=kind, key="cpu_ns_per_byte"
                )

            ratio = cell(lambda: figure(ECHO_TRIO) / figure(), "{:.2f}")
            return cell(figure, "{:.2f} ns/B") + f" ({ratio})"

        def small(sockets: int, size: int, kind: str, peer: str = peer) -> str:
            return cell(
                lambda: figures.echo(peer, sockets=sockets, size_bytes=size, kind=kind),
                "{:.1f} µs",
            )

        rows.append(
            [
                titles[peer],
                small(FEW, 1024, "text"),
                small(MANY, 1024, "text"),
                small(MANY, SMALL_BYTES, "binary"),
                *(per_byte(*column) for column in columns),
            ]
        )
    return table(head, rows)


def generators(figures: Figures, sockets: int, missing: Mapping[str, str]) -> str:
    head = ["generator", "load", "CPU/message", "messages/s", "CPU/socket", "KB/socket"]
    head += ["all open after", "Ctrl-C: last close", "clean / abrupt / left", "checks"]
    rows = []
    for generator in GENERATORS:
        for load in generator.loads:
            if generator.name in missing:
                continue

            def value(key: str, name: str = generator.name, load: str = load) -> float:
                return figures.generator(name, key, load, sockets)

            outcome = " / ".join(
                cell(lambda key=key: value(f"interrupt_{key}"), "{:,.0f}")
                for key in ("closed_clean", "closed_abrupt", "still_open")
            )
            rows.append(
                [
                    generator.title,
                    load,
                    cell(lambda: value("cpu_us_per_message"), "{:.1f} µs"),
                    cell(lambda: value("messages_per_s"), "{:,.0f}"),
                    cell(lambda: value("cpu_us_per_opened_socket"), "{:.0f} µs"),
                    cell(lambda: value("kb_per_socket")),
                    cell(lambda: value("all_open_after_start_s"), "{:.2f} s"),
                    cell(lambda: value("interrupt_last_close_s"), "{:.2f} s"),
                    outcome if load != NO_LOAD else BLANK,
                    generator.verifies,
                ]
            )
    return table(head, rows)


def reached(figures: Figures) -> str:
    rows = []
    for each in standings(figures):
        target, value = each.target, each.value
        unit = f" {target.unit}" if target.unit else ""
        if value is None:
            shown = BLANK
        elif value == float("inf"):
            shown = "not all clean"
        else:
            shown = f"{value:.3g}{unit}"
        verdict = f"**{each.verdict}**" if each.verdict == "missed" else each.verdict
        limits = (f"≤ {target.at_most:g}{unit}", f"≤ {target.moonshot:g}{unit}")
        rows.append([target.figure, shown, *limits, verdict])
    return table(["figure at 10,000 sockets, 16 B", "measured", "target", "moonshot", ""], rows)


def absences(documents: Sequence[Mapping]) -> str:
    lines = [
        f"- {name}: missing: {reason}"
        for document in documents
        for name, reason in document["missing"].items()
    ]
    for document in documents:
        for failure in document["failed"]:
            where = f" at {failure['sockets']:,} sockets" if "sockets" in failure else ""
            load = f", {failure['load']}" if "load" in failure else ""
            lines.append(
                f"- {failure['peer']}{where}{load}, repeat {failure['repeat']}: failed: "
                f"{failure['reason']}"
            )
    return "\n".join(lines) or "Every peer was there, and no measurement failed."


LARGER_MESSAGES = """\
Larger messages: CPU per message, or per byte of message (in brackets: ours ÷ it). 64 KiB is
measured at 100 sockets and 1 MiB at 10, so that no more than 16 MiB are in flight at once."""


def how_servers_were_measured(settings: Mapping) -> str:
    return f"""\
16-byte text, {settings["in_flight"]} in flight on each socket, server and driver on a core
each, {settings["warm_up_s"]:g} s of warm-up, windows of {settings["window_s"]:g} s, medians.
CPU is the server process's user and system time. In a closed loop every socket always has its
message in the server's queue, so latency is the number of sockets over the throughput: p50 and
p99 are those at 100 sockets; rates, handshakes and memory those at 10,000. "driver" is the share
of its core that the driver used: near 100 %, the rate is the driver's limit, not the server's;
the CPU per message is the server's own all the same. A server has one core whatever it is made of:
Go's run with GOMAXPROCS 1, Rust's on a runtime of one thread."""


def section(documents: Sequence[Mapping], figures: Figures) -> str:
    by_kind = {document["kind"]: document for document in documents}
    parts = [BEGIN, provenance(documents), peer_versions(documents)]
    parts += ["## What it must reach", reached(figures)]
    if "servers" in by_kind:
        document = by_kind["servers"]
        settings = document["settings"]
        peers = measured_peers(figures)
        parts += [
            "## Servers",
            f"![CPU per echoed message over the number of sockets]({PLOT_NAME})",
            how_servers_were_measured(settings),
            small_messages(figures, peers),
            LARGER_MESSAGES,
            larger_messages(figures, peers),
            drained(figures),
        ]
    if "generators" in by_kind:
        document = by_kind["generators"]
        for sockets in reversed(document["settings"]["sockets"]):
            parts += [
                f"## Generators, {sockets:,} sockets",
                generators(figures, sockets, document["missing"]),
            ]
        parts.append(
            f"The target is picows; it counts sockets, messages and closes for all alike. "
            f'Load "{OPEN_LOOP}" is a 16-byte message a second on each socket; "{CLOSED_LOOP}" '
            "sends the next when the reply is in."
        )
    parts += ["## Missing and failed", absences(documents), END]
    return "\n\n".join(part for part in parts if part)


def measured_peers(figures: Figures) -> list[str]:
    """In the catalogue's order, those that have any figure."""
    seen = {row["peer"] for row in figures.rows if row["figure"] == "exchange"}
    return [each.name for each in CONTESTANTS if each.name in seen]


def drained(figures: Figures) -> str:
    try:
        row = figures.row(figure="drain", peer=ECHO_TRIO)
    except NotMeasured:
        return ""
    return (
        f"SIGTERM to our server with {row['sockets']:,} idle sockets: the last Close arrived "
        f"after {row['last_close_s']:.2f} s, the process was gone after "
        f"{row['process_gone_s']:.2f} s, {row['got_1001']:,.0f} sockets got 1001."
    )


def replaced(page: str, generated: str, begin: str = BEGIN, end: str = END) -> str:
    """The page with its generated part renewed; appended where it has none."""
    before, marker, rest = page.partition(begin)
    if not marker:
        return page.rstrip() + "\n\n" + generated + "\n"
    _old, _marker, after = rest.partition(end)
    return before + generated + (after or "\n")


def draw(results: Path, mode: str, path: Path) -> None:
    """Run plot.py in the benchmarks' own venv, which has matplotlib."""
    script = [str(python_peers()), str(HERE / "plot.py"), str(results), mode, str(path)]
    if subprocess.run(script).returncode:
        raise Missing("the plot could not be drawn")


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder with the JSON")
    parser.add_argument("--page", type=Path, default=PAGE)
    parser.add_argument("--plot", type=Path, help="default: beside the page; .svg or .png")
    parser.add_argument("--mode", choices=("full", "custom", "quick"), default="full")
    given = parser.parse_args(arguments)

    try:
        write(given.results, given.mode, given.page, given.plot)
    except (NoResults, Missing) as reason:
        print(f"benchmarks/report.py: {reason}", file=sys.stderr)
        return 2
    return 0


def write(results: Path, mode: str, page_path: Path, plot_path: Path | None) -> None:
    documents = newest_of_each(results, mode)
    figures = Figures(
        [row for document in documents for row in document["medians"]],
        [document["machine"]["cpu"] for document in documents],
    )
    page_path.parent.mkdir(parents=True, exist_ok=True)
    page = page_path.read_text() if page_path.exists() else "# Benchmarks\n"
    page_path.write_text(replaced(page, section(documents, figures)))
    draw(results, mode, plot_path or page_path.with_name(PLOT_NAME))
    for each in standings(figures):
        shown = BLANK if each.value is None else f"{each.value:.3g} {each.target.unit}".strip()
        print(f"{each.verdict:<12} {shown:>10}  {each.target.figure}")
    print(f"written: {page_path}")


if __name__ == "__main__":
    sys.exit(main())
