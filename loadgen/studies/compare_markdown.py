"""Write a comparison of runs as Markdown, for the page of a CI job or a comment."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from loadgen.report.markdown import escape, table
from loadgen.studies.compare import Change, Comparison
from loadgen.studies.compare_text import WORDS, conclude, show

_MARKS: Final = {"better": "🟢 ", "worse": "🔴 ", "unclear": "🟡 "}


def render(comparison: Comparison) -> bytes:
    """Write the comparison as Markdown: the verdict, then each metric in a table."""
    return ("\n".join(_write(comparison)) + "\n").encode()


def _write(comparison: Comparison) -> Iterator[str]:
    worse = sum(change.call == "worse" for change in comparison.changes)
    if worse:
        yield f"## ❌ {worse} of {len(comparison.changes)} figures worse than before"
    else:
        yield "## ✅ Nothing worse than before by more than noise"
    yield ""
    for line in conclude(comparison):
        # Each is a sentence or a bullet of its own.
        yield f"- {escape(line.removeprefix('• '))}"
    yield ""
    yield from table(["", "before", "after", "change", "noise", ""], map(_row, comparison.changes))


def _row(change: Change) -> list[str]:
    word = WORDS.get(change.call, change.call)
    return [
        escape(change.name),
        show(change.baseline, change.unit),
        show(change.candidate, change.unit),
        "" if change.change is None else f"{change.change:+.1%}",
        "" if change.noise is None else f"±{change.noise:.1%}",
        f"{_MARKS.get(change.call, '')}{word}",
    ]
