"""Show verdicts as a table: on the terminal, and before beside after in the documentation.

`python tests/integration/hostile/table.py figures/before.json figures/after.json` writes them into
docs/explanation/robustness.md; without the second file there are no columns of afterwards.
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
    ("honest_p50", "honest p50"),
    ("honest_p99", "p99"),
    ("attack_p50", "attack p50"),
    ("attack_p99", "p99"),
    ("health", "healthz"),
    ("newcomer", "newcomer"),
    ("recovered_s", "recovered s"),
    ("before_mib", "MiB before"),
    ("peak_mib", "peak"),
    ("after_mib", "after"),
    ("exit_code", "exit"),
    ("drain_s", "drain s"),
    ("tracebacks", "tracebacks"),
    ("load", "load"),
)
PAGE = Path(__file__).parents[3] / "docs" / "explanation" / "robustness.md"
BEGIN, END = "<!-- hostile: begin", "<!-- hostile: end"
FIGURES = ("p99", "`/healthz`", "peak", "left", "SIGTERM")


def as_text(rows: list[Row]) -> str:
    """Align the rows for a terminal."""
    lines = [[title for _, title in COLUMNS]]
    lines += [[_shown(row[name]) for name, _ in COLUMNS] for row in rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    text = []
    for line in lines:
        first, *others = (cell.rjust(width) for cell, width in zip(line, widths, strict=True))
        text.append("  ".join([first.strip().ljust(widths[0]), *others]))
    return "\n".join(text)


def as_markdown(before: list[Row], after: list[Row]) -> str:
    """One row an attack: what it cost the others before, and after."""
    later = {(row["attack"], row["count"]): row for row in after}
    heads = ["attack", "×"]
    for when in ("before", "now") if after else ("before",):
        heads += [f"{when}: honest p99", *FIGURES]
    heads.append("shown by")
    lines = [f"| {' | '.join(heads)} |", f"| --- |{' ---: |' * (len(heads) - 2)} --- |"]
    earlier = {(row["attack"], row["count"]): row for row in before}
    none = [""] * (1 + len(FIGURES))
    for name, row in (later | earlier).items():
        then, now = earlier.get(name), later.get(name)
        cells = [row["attack"], str(row["count"]), *(_figures(then) if then else none)]
        if after:
            cells += _figures(now) if now else none
        cells.append(f"`{row['test'].split('::')[0]}`")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def write_into_page(table: str) -> None:
    """Put the table between its marks."""
    text = PAGE.read_text()
    begin = text.index("\n", text.index(BEGIN)) + 1
    PAGE.write_text(f"{text[:begin]}{table}\n{text[text.index(END) :]}")


def _figures(row: Row) -> list[str]:
    held = row["peak_mib"] - row["before_mib"]
    left = row["after_mib"] - row["before_mib"]
    return [
        _ms(row["honest_p99"]),
        _ms(row["attack_p99"]),
        _ms(row["health"]),
        f"{max(0, held):.0f} MiB",
        f"{max(0, left):.0f} MiB",
        f"exit {row['exit_code']}, {row['drain_s']:.1f} s",
    ]


def _ms(value: float | None) -> str:
    if value is None:
        return "never"
    return f"{value / 1000:.1f} s" if value >= 1000 else f"{value:.0f} ms"


def _shown(value: Any) -> str:
    if value is None:
        return "never"
    if isinstance(value, float):
        return f"{value:.1f}" if value < 10 else f"{value:.0f}"
    return str(value)


def _rows(path: str) -> list[Row]:
    found: list[Row] = json.loads(Path(path).read_text())["rows"]
    return found


if __name__ == "__main__":
    write_into_page(as_markdown(_rows(sys.argv[1]), _rows(sys.argv[2]) if sys.argv[2:] else []))
