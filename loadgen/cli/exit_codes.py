"""Name the exit codes of the contract, and say which one a report has."""

from __future__ import annotations

from typing import Final

from loadgen.report.model import Report
from loadgen.report.verdict import FAILED, GENERATOR_LIMITED
from loadgen.signals import EXIT_INTERRUPTED

EXIT_OK: Final = 0
EXIT_FAILED: Final = 1
EXIT_GENERATOR_LIMITED: Final = 3
EXIT_NOTHING_OPENED: Final = 69
EXIT_THRESHOLD: Final = 99


def exit_code(report: Report) -> int:
    """Choose the exit code of a report: the first row of the contract that holds."""
    if report.interrupted:
        return EXIT_INTERRUPTED
    if not report.connections.opened:
        return EXIT_NOTHING_OPENED
    if report.verdict == FAILED:
        return EXIT_FAILED
    if report.verdict == GENERATOR_LIMITED:
        return EXIT_GENERATOR_LIMITED
    if any(threshold.breached for threshold in report.thresholds):
        return EXIT_THRESHOLD
    return EXIT_OK
