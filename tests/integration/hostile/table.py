"""Show verdicts as a table: on the terminal, and side by side in the documentation.

`python tests/integration/hostile/table.py BEFORE.json AFTER.json` prints the latter in Markdown.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

Row = dict[str, Any]
COLUMNS = (
    ("attack", "attack"),
    ("count", "×"),
    ("alone_p99", "alone"),
    ("honest_p99", "honest"),
    ("attack_p50", "p50"),
    ("attack_p99", "p99 ms"),
    ("health", "health"),
    ("newcomer", "newcomer"),
    ("recovered_s", "recov s"),
    ("before_mib", "before"),
    ("peak_mib", "peak"),
    ("after_mib", "after"),
    ("exit_code", "exit"),
    ("drain_s", "drain s"),
    ("tracebacks", "traceb"),
    ("log_bytes", "log B"),
    ("load", "load"),
)


def as_text(rows: list[Row]) -> str:
    """Align the rows for a terminal."""
    lines = [[title for _, title in COLUMNS]]
    lines += [[_shown(row[name]) for name, _ in COLUMNS] for row in rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    text = []
    for line in lines:
        first, *others = (cell.rjust(width) for cell, width in zip(line, widths, strict=True))
        text.append(" ".join([first.strip().ljust(widths[0]), *others]))
    return "\n".join(text)


def _shown(value: Any) -> str:
    if value is None:
        return "never"
    if isinstance(value, float):
        return f"{value:.1f}" if value < 10 else f"{value:.0f}"
    return str(value)
