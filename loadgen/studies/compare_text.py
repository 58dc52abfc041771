"""Show a comparison of runs, to a person and to a program."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, TextIO

import msgspec
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from loadgen.report.terminal import paper
from loadgen.studies.compare import Change, Comparison

_STYLES: Final = {"better": "bold green", "worse": "bold red", "unclear": "yellow"}
#: Words for the calls that are not shown by their own name.
WORDS: Final = {"noise": "within noise", "unclear": "unclear", "same": "same"}


def encode(comparison: Comparison) -> bytes:
    """Encode the comparison in JSON, indented, with a newline at its end."""
    return msgspec.json.format(msgspec.json.encode(comparison), indent=2) + b"\n"


def write(comparison: Comparison, stream: TextIO, *, color: bool = True) -> None:
    """Write it as a table; with colour only if the stream is a terminal and colour is wanted."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("")
    for title in ("before", "after", "change", "noise"):
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    for change in comparison.changes:
        word = WORDS.get(change.call, change.call)
        table.add_row(
            change.name,
            show(change.baseline, change.unit),
            show(change.candidate, change.unit),
            "" if change.change is None else f"{change.change:+.1%}",
            "" if change.noise is None else f"±{change.noise:.1%}",
            Text(word, _STYLES.get(change.call, "dim")),
        )
    with paper(stream, color=color) as console:
        console.print(Padding(table, (1, 0, 1, 2)))
        for line in conclude(comparison):
            console.print(Padding(Text(line), (0, 0, 0, 2)))
        console.print()


def conclude(comparison: Comparison) -> list[str]:
    """Say in words what changed, and what the comparison can't tell."""
    lines = [f"• {note}" for note in comparison.notes]
    if not comparison.noise_known:
        lines.append(
            "How much such runs differ without cause is unknown: this is one on each side. "
            "Repeat them: compare A1.json A2.json A3.json --to B1.json B2.json B3.json"
        )
        return lines
    sides = f"{len(comparison.baseline)} runs before, {len(comparison.candidate)} after"
    lines += [
        f"{call.capitalize()} by more than noise: {names} ({sides})."
        for call in ("worse", "better")
        if (names := _names(comparison.changes, call))
    ]
    if all(change.call not in {"worse", "better"} for change in comparison.changes):
        lines.append(f"Nothing changed by more than noise ({sides}).")
    return lines


def _names(changes: Sequence[Change], call: str) -> str:
    return ", ".join(change.name for change in changes if change.call == call)


def show(value: float, unit: str) -> str:
    """Write a figure with its unit."""
    if unit == "B":
        return f"{value / 2**20:,.1f} MiB"
    if not unit:
        return f"{value:,.4g}"
    digits = 0 if value >= 1000 else 1 if value >= 100 else 2 if value >= 1 else 3
    return f"{value:,.{digits}f}{'' if unit == '/s' else ' '}{unit}"
