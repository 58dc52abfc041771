"""Write the series as CSV: one line a second, for spreadsheets."""

from __future__ import annotations

import csv
from io import StringIO

import msgspec

from loadgen.report.model import Report
from loadgen.results.series import Second


def render(report: Report) -> bytes:
    """Write the series, with columns named as in the JSON report and line ends as in RFC 4180."""
    text = StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(Second.__struct_fields__)
    writer.writerows(msgspec.structs.astuple(second) for second in report.series)
    return text.getvalue().encode()
