"""Write the report for a person: what opened, what came back, how late, and the verdict."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, TextIO

import msgspec
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from loadgen.report import distribution, scenario_text
from loadgen.report.model import FanOutReport, MessagesReport, Report
from loadgen.report.terminal import paper
from loadgen.report.thresholds import explain
from loadgen.report.verdict import FAILED, VALID
from loadgen.results.latency import MIN_BEYOND, PERCENTILES, Summary, least_count
from loadgen.workload.lever import explain_changes, show_changes

MAX_BAR_WIDTH: Final = 24
MAX_PICTURE_WIDTH: Final = 60
_INDENT: Final = 2
#: Stands for a figure that nothing measured.
NOTHING: Final = "–"
#: Stands before a percentile of too few values.
_UNSURE: Final = "~"
_UNSURE_LEGEND: Final = f"{_UNSURE} not known well: fewer than {MIN_BEYOND} values lie beyond it"
_BAR_LEGEND: Final = "p50 ▪ p99.9 ▫"

_PERCENTILES: Final = {
    "p50": "p50",
    "p90": "p90",
    "p95": "p95",
    "p99": "p99",
    "p999": "p99.9",
    "max": "max",
}
_LATENCIES: Final = {
    "intended": "since due",
    "service": "since sent",
    "scheduling_lag": "sent late by",
    "script_lag": "the script woken late by",
}


def write(report: Report, stream: TextIO, *, color: bool = True) -> None:
    """Write the report; with colour only if the stream is a terminal and colour is wanted."""
    with paper(stream, color=color) as console:
        parts: list[RenderableType] = [_headline(report)]
        parts += [Text(f"• {reason}") for reason in report.verdict_reasons]
        if report.changes:
            parts.append(Text(f"• {explain_changes(report.changes, report.paused_s)}"))
        parts += [Text(f"→ {hint}", "cyan") for hint in report.hints]
        parts += ["", _facts(report)]
        parts += _scenario(report)
        if report.latency.scheduling_lag.count or report.latency.service.count:
            parts += ["", _latencies(report, console.width - _INDENT)]
            parts += _distribution(report, console.width - _INDENT)
        if report.thresholds:
            parts += ["", *_thresholds(report)]
        console.print(Padding(Group(*parts), (1, 0, 1, _INDENT)))


def _scenario(report: Report) -> list[RenderableType]:
    """Show what only a scenario has; empty for other runs."""
    parts: list[RenderableType] = []
    for block in (
        list(scenario_text.show_failures(report)),
        [scenario_text.show_steps(report)],
        [scenario_text.show_streams(report)],
        list(scenario_text.show_checks(report)),
    ):
        if shown := [each for each in block if each is not None]:
            parts += ["", *shown]
    return parts


def _headline(report: Report) -> Text:
    style = {VALID: "black on green", FAILED: "white on red"}.get(report.verdict, "black on yellow")
    line = Text.assemble((f" {report.verdict.upper()} ", f"bold {style}"))
    if report.interrupted:
        line.append("  interrupted", "bold yellow")
    if report.users is not None:
        crowd = f"{report.users.requested:,} users of {report.plan['scenario']}"
    else:
        crowd = f"{report.connections.requested:,} sockets"
    proxy = report.plan.get("proxy")
    through = f" through {proxy}" if proxy else ""
    return line.append(f"  {crowd} to {report.plan['url']}{through}")


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
        table.add_row(
            "",
            _sum("opened", connections.opened)
            + _rest(closed, unaccounted_for=_unaccounted(report))
            + (f"  ({codes})" if codes else ""),
        )
        if connections.close_reasons:
            said = (f'{n:,} × "{why}"' for why, n in connections.close_reasons.items())
            table.add_row("", f"the peer said {', '.join(said)}")
        table.add_row("", _opening(report))
    if len(connections.addresses) > 1:
        dealt = (f"{n:,} × {address}" for address, n in connections.addresses.items())
        table.add_row("", f"addresses {', '.join(dealt)}")
    if funnel := _funnel(report):
        table.add_row("", funnel)
    for number, line in enumerate(_messages(messages)):
        table.add_row("" if number else "messages", line)
    for number, line in enumerate(_copies(report.fan_out)):
        table.add_row("" if number else "copies", line)
    if users := scenario_text.show_users(report):
        table.add_row("users", users)
    for number, (kind, crowd) in enumerate(_misbehaving(report).items()):
        table.add_row("" if number else "on purpose", f"{kind}: {crowd}")
    for number, line in enumerate(show_changes(report.changes)):
        table.add_row("" if number else "by hand", line)
    table.add_row(
        "generator",
        f"{generator.cpu_share:.0%} of one core{_in_processes(generator.processes)}, "
        f"{_size(generator.peak_rss_bytes)} at most, "
        f"event loop late by {_figure(generator.loop_lag.p99, '.1f')} ms (p99)",
    )
    if target := _target(report):
        table.add_row("target", target)
    return table


#: The columns of a sent message; the first three are columns of a received frame, too.
_OWED: Final = (
    "echoed", "reordered", "corrupt", "one_way", "published", "lost", "in_flight",
)  # fmt: skip
_CLAIMED: Final = (
    *_OWED[:3], "duplicate", "expected", "ignored", "streamed", "copies", "unexpected",
)  # fmt: skip


def _messages(messages: MessagesReport) -> Iterator[str]:
    """Say what every message got, what claimed every frame, and the rates."""
    missed = f"; {messages.missed:,} more were due and missed" if messages.missed else ""
    owed = {key: getattr(messages, key) for key in _OWED}
    yield _sum("sent", messages.sent) + _rest(owed) + missed
    claimed = {key: getattr(messages, key) for key in _CLAIMED}
    yield _sum("received", messages.received) + _rest(claimed)
    yield (
        f"{_figure(messages.sent_per_s, ',.0f')}/s sent, "
        f"{_figure(messages.received_per_s, ',.0f')}/s received; "
        f"{_size(messages.sent_bytes)} out, {_size(messages.received_bytes)} in"
    )


def _copies(fan_out: FanOutReport | None) -> Iterator[str]:
    """Say what became of the copies of messages to whole rooms, and how long they took."""
    if fan_out is None:
        return
    columns = ("delivered", "missing", "unsettled", "in_flight")
    yield _sum("owed", fan_out.owed) + _rest({key: getattr(fan_out, key) for key in columns})
    if fan_out.extra:
        yield _sum("came that were not owed", fan_out.extra)
    for name in ("first", "last", "each"):
        took: Summary = getattr(fan_out, name)
        yield f"{name} after p50 {_figure(took.p50, ',.1f')} ms, p99 {_figure(took.p99, ',.1f')} ms"
    if fan_out.clock_error_ms is not None:
        error = f"{fan_out.clock_error_ms:,.2f} ms"
        yield f"give or take {error}: the machines' clocks may differ by that"


def _misbehaving(report: Report) -> dict[str, str]:
    """Sum up the sockets that misbehaved as planned."""
    if isinstance(report.misbehaving, msgspec.UnsetType):
        return {}
    shown = {}
    for kind, crowd in report.misbehaving.items():
        failed = {key: n for key, n in msgspec.structs.asdict(crowd.failed).items() if n}
        opened = _rest({"opened": crowd.opened, **failed}, not_attempted=crowd.not_attempted)
        closed = _rest(msgspec.structs.asdict(crowd.closed))
        shown[kind] = f"{crowd.requested:,}{opened}; closed{closed or ': none'}"
    return shown


def _unaccounted(report: Report) -> int:
    """Count the sockets that were open when the generator was killed."""
    return 0 if isinstance(report.incomplete, msgspec.UnsetType) else report.incomplete.open


def _funnel(report: Report) -> str:
    """Say where sockets were lost on their way, in order; empty if none was."""
    funnel, faults = report.connections.funnel, report.connections.faults
    stages = {"TCP": funnel.tcp, "TLS": funnel.tls, "upgraded": funnel.upgraded}
    lost = {key: n for key, n in msgspec.structs.asdict(faults).items() if n}
    if funnel.upgraded == funnel.requested:
        return ""
    way = " → ".join(f"{n:,} {name}" for name, n in stages.items() if n is not None)
    whose = ", ".join(f"{n:,} the {whose}'s" for whose, n in lost.items())
    return f"{way}{f'; fault: {whose}' if whose else ''}"


def _target(report: Report) -> str | None:
    """Sum up the target's own metrics, if it was asked for them."""
    if isinstance(report.target, msgspec.UnsetType):
        return None
    target, facts = report.target, []
    if target.cpu_share is not None:
        facts.append(f"{target.cpu_share:.0%} of one core under load")
    if target.rss_bytes is not None:
        facts.append(f"{_size(target.rss_bytes)} at most")
    if target.loop_lag.max is not None:
        facts.append(f"event loop late by {target.loop_lag.max:,.1f} ms at most")
    if target.errors:
        facts.append(f"no answer {target.errors:,} × ({target.last_error})")
    return ", ".join(facts)


def _thresholds(report: Report) -> list[Text]:
    """Show each --fail-if, and the value it was compared with."""
    lines = []
    for judged in report.thresholds:
        mark = ("✗ ", "bold red") if judged.breached else ("✓ ", "bold green")
        lines.append(Text.assemble(mark, explain(judged)))
    return lines


def _distribution(report: Report, width: int) -> list[Text]:
    """Draw the intended latency."""
    lines = distribution.draw(report.histograms.intended, min(width, MAX_PICTURE_WIDTH))
    if not lines:
        return []
    *bars, labels = lines
    title = Text("intended latency, in ms, by how many messages had it", "bold")
    return [Text(""), title, *(Text(bar, "cyan") for bar in bars), Text(labels, "dim")]


def _opening(report: Report) -> str:
    connections = report.connections
    connect = connections.connect_ms
    if connections.all_open_after_s is None:
        held = f"{connections.peak_open:,} open at once"
    else:
        held = f"all open after {connections.all_open_after_s:.2f} s"
    p50, p99 = _figure(connect.p50, ",.1f"), _figure(connect.p99, ",.1f")
    return f"{held}; connecting: p50 {p50} ms, p99 {p99} ms"


def _latencies(report: Report, width: int) -> Text:
    """Write a line for each latency, with a bar in what room there is; all bars on one scale."""
    summaries: dict[str, Summary] = {
        name: getattr(report.latency, name)
        for name in _LATENCIES
        if name != "script_lag" or report.users is not None
    }
    rows = {
        name: [_percentile(summary, key) for key in _PERCENTILES]
        for name, summary in summaries.items()
    }
    cell = max(len(text) for row in (_PERCENTILES.values(), *rows.values()) for text in row) + 2
    label = max(map(len, summaries)) + 1
    bar = min(width - label - cell * len(_PERCENTILES) - 2, MAX_BAR_WIDTH)
    slowest = max(summary.p999 or 0.0 for summary in summaries.values())
    head = "latency in ms".ljust(label) + "".join(f"{key:>{cell}}" for key in _PERCENTILES.values())
    text = Text(head, "bold")
    if bar >= len(_BAR_LEGEND):
        text.append(f"  {_BAR_LEGEND}", "dim not bold")
    text.append("\n")
    for name, row in rows.items():
        text.append(name.replace("_", " ").ljust(label), "bold")
        text.append("".join(f"{value:>{cell}}" for value in row), "not bold")
        text.append("  ").append_text(_bar(summaries[name], slowest, bar)).append("\n")
    meanings = [f"{name.replace('_', ' ')}: {_LATENCIES[name]}" for name in summaries]
    text.append(" · ".join(meanings), "dim not bold")
    if any(value.startswith(_UNSURE) for row in rows.values() for value in row):
        text.append(f"\n{_UNSURE_LEGEND}", "dim")
    return text


def _percentile(summary: Summary, key: str) -> str:
    """Write a percentile, or the maximum, with a mark if there are too few values for it."""
    value = _ms(getattr(summary, key))
    is_unsure = key in PERCENTILES and 0 < summary.count < least_count(key)
    return _UNSURE + value if is_unsure else value


def _ms(value: float | None) -> str:
    """Write a latency short enough for six of them in a line of 80 columns."""
    return _figure(value, ",.2f" if value is not None and value < 1000 else ",.0f")


def _figure(value: float | None, form: str) -> str:
    """Write a figure; a dash if it was not measured."""
    return NOTHING if value is None else format(value, form)


def _bar(summary: Summary, slowest: float, width: int) -> Text:
    if not slowest or width <= 0 or summary.p50 is None or summary.p999 is None:
        return Text("")
    median = round(summary.p50 / slowest * width)
    tail = round(summary.p999 / slowest * width)
    return Text.assemble(
        ("▪" * median, "cyan not bold"), ("▫" * max(tail - median, 0), "dim cyan not bold")
    )


def _sum(name: str, total: int) -> str:
    return f"{total:,} {name}"


def _rest(parts: dict[str, int], **more: int) -> str:
    """List the columns that are not empty."""
    shown = [f"{n:,} {key.replace('_', ' ')}" for key, n in {**parts, **more}.items() if n]
    return "" if not shown else " = " + " + ".join(shown)


def _in_processes(count: int) -> str:
    return "" if count == 1 else f" in {count} processes"


def _size(size_bytes: float) -> str:
    for unit in ("B", "KiB", "MiB"):
        if size_bytes < 1024:
            return f"{size_bytes:,.0f} {unit}"
        size_bytes /= 1024
    return f"{size_bytes:,.1f} GiB"
