"""Describe a run in a few words, for the files that other tools read: its name, size and plan."""

from __future__ import annotations

from typing import Any, Final

from loadgen.report.model import Report
from loadgen.results.latency import Summary

#: Stands for a figure that nothing measured.
NOTHING: Final = "–"
#: The percentiles of a table, and their titles.
PERCENTILES: Final = {
    "p50": "p50",
    "p90": "p90",
    "p99": "p99",
    "p999": "p99.9",
    "max": "max",
}


def name_of(report: Report, name: str | None = None) -> str:
    """Name a run: as its user does, else after its scenario, else after its target."""
    return name or name_of_plan(report.plan)


def name_of_plan(plan: dict[str, Any]) -> str:
    """Name a run after its scenario, or after its target."""
    return str(plan.get("scenario") or plan.get("url") or "loadgen")


def show_sockets(report: Report) -> str:
    """Say in one line what was opened, sent and got back."""
    connections, messages = report.connections, report.messages
    return (
        f"{connections.opened:,} of {connections.requested:,} sockets opened, "
        f"{messages.sent:,} messages sent, {messages.echoed:,} echoed, {messages.lost:,} lost, "
        f"p99 {show_ms(report.latency.intended.p99)} ms"
    )


def show_settings(report: Report) -> dict[str, str]:
    """List the settings that were not left empty, as text."""
    return {
        key: str(value)
        for key, value in report.plan.items()
        if value not in (None, False, "", (), [])
    }


def show_ms(value: float | None) -> str:
    """Write a number of milliseconds; a dash if it was not measured."""
    return NOTHING if value is None else f"{value:,.2f}"


def show_percentiles(summary: Summary) -> list[str]:
    """Write the percentiles of a table, in milliseconds."""
    return [show_ms(getattr(summary, key)) for key in PERCENTILES]
