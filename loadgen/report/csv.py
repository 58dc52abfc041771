"""The series as CSV: one line a second, for spreadsheets."""

from __future__ import annotations

import csv
from io import StringIO

import msgspec

from loadgen.report.model import Report
from loadgen.results.series import Second


def render(report: Report) -> bytes:
    """The series, its columns named as in the JSON report; lines end as RFC 4180 has them."""
    text = StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(Second.__struct_fields__)
    writer.writerows(msgspec.structs.astuple(second) for second in report.series)
    return text.getvalue().encode()
