"""Write what is wrong with a run as annotations of GitHub Actions, shown on the run's page.

They are lines of the log: `::error title=…::…` (GitHub's workflow commands). GitHub shows ten of
each kind for a step.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from echo_trio.masks import mask_line
from echo_trio.printable import printable
from loadgen.report.describe import name_of
from loadgen.report.model import Report
from loadgen.report.thresholds import explain
from loadgen.report.verdict import FAILED, VALID

#: More of one kind are not shown.
MAX_SHOWN: Final = 10


def annotate(report: Report, name: str | None = None) -> list[str]:
    """Return a line for each reason of the verdict, each breached limit and each failed check."""
    errors: list[str] = []
    warnings: list[str] = []
    for level, what, text in _find(report):
        title = f"{name_of(report, name)}: {what}"
        line = f"::{level} title={_escape_property(title)}::{_escape(text)}"
        (errors if level == "error" else warnings).append(line)
    return errors[:MAX_SHOWN] + warnings[:MAX_SHOWN]


def _find(report: Report) -> Iterator[tuple[str, str, str]]:
    if report.verdict != VALID:
        level = "error" if report.verdict == FAILED else "warning"
        for reason in report.verdict_reasons:
            yield level, report.verdict, reason
    for threshold in report.thresholds:
        if threshold.breached:
            yield "error", "--fail-if", explain(threshold)
    for check in report.checks:
        if check.failed:
            yield "warning", "check", f"{check.name}: {check.failed:,} failed"


def _escape(text: str) -> str:
    # One line; then, as GitHub's own toolkit does it.
    return printable(mask_line(text)).replace("%", "%25")


def _escape_property(text: str) -> str:
    return _escape(text).replace(":", "%3A").replace(",", "%2C")
