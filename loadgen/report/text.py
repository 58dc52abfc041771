"""The report for a person: what opened, what came back, how late, and whether to believe it."""

from __future__ import annotations

from typing import Final, TextIO

import msgspec
from rich import box
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from loadgen.latency import Summary
from loadgen.result import FAILED, VALID, Report

#: Wide enough for every line below; a pipe gets it too, so that files look the same.
WIDTH: Final = 88
_BAR_WIDTH: Final = 18

_LATENCIES: Final = {
    "intended": "since it was due",
    "service": "since it was sent",
    "scheduling_lag": "sent late by",
}


def write(report: Report, stream: TextIO, *, color: bool = True) -> None:
    """Write the report; with colour only if the stream is a terminal and colour is wanted."""
    console = Console(
        file=stream,
        width=WIDTH if not stream.isatty() else None,
        no_color=not color,
        highlight=False,
        soft_wrap=False,
    )
    console.print()
    console.print(_headline(report))
    for reason in report.verdict_reasons:
        console.print(Text(f"  • {reason}"))
    console.print()
    console.print(Padding(_facts(report), (0, 0, 0, 2)))
    if report.latency.intended.count:
        console.print()
        console.print(Padding(_latencies(report), (0, 0, 0, 2)))
    console.print()


def _headline(report: Report) -> Text:
    style = {VALID: "black on green", FAILED: "white on red"}.get(report.verdict, "black on yellow")
    line = Text.assemble("  ", (f" {report.verdict.upper()} ", f"bold {style}"))
    if report.interrupted:
        line.append("  interrupted", "bold yellow")
    return line.append(f"  {report.connections.requested:,} sockets to {report.plan['url']}")


def _facts(report: Report) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold")
    table.add_column()
    connections, messages, generator = report.connections, report.messages, report.generator
    failed = {key: n for key, n in msgspec.structs.asdict(connections.failed).items() if n}
    table.add_row(
        "sockets",
        _sum("requested", connections.requested)
        + _rest({"opened": connections.opened, **failed}, not_attempted=connections.not_attempted),
    )
    if connections.opened:
        closed = msgspec.structs.asdict(connections.closed)
        codes = ", ".join(f"{n:,} × {code}" for code, n in connections.close_codes.items())
        table.add_row("", _sum("opened", connections.opened) + _rest(closed) + f"  ({codes})")
        table.add_row("", _opening(report))
    columns = ("echoed", "reordered", "corrupt", "lost", "in_flight")
    table.add_row(
        "messages",
        _sum("sent", messages.sent) + _rest({key: getattr(messages, key) for key in columns}),
    )
    strays = {key: getattr(messages, key) for key in ("duplicate", "unexpected")}
    answers = {key: getattr(messages, key) for key in columns[:3]}
    table.add_row("", _sum("received", messages.received) + _rest({**answers, **strays}))
    table.add_row(
        "",
        f"{messages.sent_per_s:,.0f}/s sent, {messages.received_per_s:,.0f}/s received; "
        f"{_size(messages.sent_bytes)} out, {_size(messages.received_bytes)} in",
    )
    table.add_row(
        "generator",
        f"{generator.cpu_share:.0%} of one core, {_size(generator.peak_rss_bytes)} at most, "
        f"event loop late by {generator.loop_lag.p99:.1f} ms (p99)",
    )
    return table


def _opening(report: Report) -> str:
    connections = report.connections
    connect = connections.connect_ms
    if connections.all_open_after_s is None:
        held = f"{connections.peak_open:,} open at once"
    else:
        held = f"all open after {connections.all_open_after_s:.1f} s"
    return f"{held}; connecting took {connect.p50:.1f} ms (p50), {connect.p99:.1f} ms (p99)"


def _latencies(report: Report) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1), pad_edge=False)
    table.add_column("latency in ms", style="bold")
    for name in ("p50", "p90", "p99", "p99.9", "max"):
        table.add_column(name, justify="right")
    table.add_column("p50 ▪ to p99.9 ▫", no_wrap=True)
    slowest = max(getattr(report.latency, name).p999 for name in _LATENCIES)
    for name, meaning in _LATENCIES.items():
        summary: Summary = getattr(report.latency, name)
        values = (summary.p50, summary.p90, summary.p99, summary.p999, summary.max)
        table.add_row(
            Text.assemble(name.replace("_", " "), (f"  {meaning}", "dim not bold")),
            *(f"{value:,.2f}" for value in values),
            _bar(summary, slowest),
        )
    return table


def _bar(summary: Summary, slowest: float) -> Text:
    """How the latencies compare, on one scale."""
    if not slowest:
        return Text("")
    median = round(summary.p50 / slowest * _BAR_WIDTH)
    tail = round(summary.p999 / slowest * _BAR_WIDTH)
    return Text.assemble(("▪" * median, "cyan"), ("▫" * max(tail - median, 0), "dim cyan"))


def _sum(name: str, total: int) -> str:
    return f"{total:,} {name}"


def _rest(parts: dict[str, int], **more: int) -> str:
    """The columns that are not empty."""
    shown = [f"{n:,} {key.replace('_', ' ')}" for key, n in {**parts, **more}.items() if n]
    return "" if not shown else " = " + " + ".join(shown)


def _size(size_bytes: float) -> str:
    for unit in ("B", "KiB", "MiB"):
        if size_bytes < 1024:
            return f"{size_bytes:,.0f} {unit}"
        size_bytes /= 1024
    return f"{size_bytes:,.1f} GiB"
