"""Show users, steps, checks and streams to a person: a line each, and why users failed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from rich.table import Table
from rich.text import Text

from loadgen.report.model import Report
from loadgen.results.latency import Summary

#: The number of causes of failed users that are shown with their traceback.
MAX_TRACEBACKS: Final = 3
#: The sign for a figure that was not measured.
_NOTHING: Final = "–"
_ENDED: Final = ("finished", "failed", "interrupted", "not_started")
_STEP_ENDS: Final = ("failed", "lost", "in_flight")


def show_users(report: Report) -> str | None:
    """Count the users in one line; None for a run without a scenario."""
    users = report.users
    if users is None:
        return None
    parts = [
        f"{getattr(users, name):,} {name.replace('_', ' ')}"
        for name in _ENDED
        if getattr(users, name)
    ]
    return f"{users.requested:,} requested" + (f" = {' + '.join(parts)}" if parts else "")


def show_failures(report: Report) -> Iterator[Text]:
    """Show why users failed: the most frequent causes, with a traceback each."""
    if report.users is None:
        return
    for shown, (cause, count) in enumerate(report.users.failed_by.items()):
        yield Text(f"{count:,} × {cause}", "bold red")
        if shown < MAX_TRACEBACKS:
            yield Text(f"{report.users.tracebacks.get(cause, '')}\n", "dim")


def show_steps(report: Report) -> Table | None:
    """Show the steps, with how many ended badly, and how long they took in milliseconds."""
    if not report.steps:
        return None
    table = _table("step", "count", "", "intended p50", "p99", "service p50", "p99")
    for step in report.steps:
        bad = [
            f"{getattr(step, name):,} {name.replace('_', ' ')}"
            for name in _STEP_ENDS
            if getattr(step, name)
        ]
        table.add_row(
            f"{step.name} ({step.kind})",
            f"{step.count:,}",
            Text(", ".join(bad), "red"),
            *_percentiles(step.intended),
            *_percentiles(step.service),
        )
    return table


def show_streams(report: Report) -> Table | None:
    """Show the streams, with what is missing, and how old frames were in milliseconds."""
    if not report.streams:
        return None
    table = _table("stream", "received", "gaps", "reordered", "duplicate", "age p50", "p99")
    for stream in report.streams:
        counts = (stream.received, stream.gaps, stream.reordered, stream.duplicate)
        table.add_row(stream.name, *(f"{n:,}" for n in counts), *_percentiles(stream.age))
    return table


def show_checks(report: Report) -> Iterator[Text]:
    """Show each check, and each counter."""
    for check in report.checks:
        mark = ("✗ ", "bold red") if check.failed else ("✓ ", "bold green")
        failed = f", {check.failed:,} failed" if check.failed else ""
        yield Text.assemble(mark, f"{check.name}: {check.passed:,} passed{failed}")
    if report.counters:
        counts = [f"{name} {n:,}" for name, n in report.counters.items()]
        yield Text.assemble(("counters  ", "bold"), " · ".join(counts))


def _table(first: str, *others: str) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold")
    table.add_column(first, no_wrap=True)
    for name in others:
        table.add_column(name, justify="right")
    return table


def _percentiles(summary: Summary | None) -> tuple[str, str]:
    p50, p99 = (None, None) if summary is None else (summary.p50, summary.p99)
    return _ms(p50), _ms(p99)


def _ms(value: float | None) -> str:
    return _NOTHING if value is None else f"{value:,.2f}"
