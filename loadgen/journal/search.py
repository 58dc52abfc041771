"""Keep the steps of a search for capacity on disk, each when it has ended.

Newline-delimited JSON like a run's, under the same lock and in the same places. The step that was
under way is not in it: a step is judged when it has ended, and a part of one says nothing about a
rate.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import msgspec

from loadgen.journal.file import JournalFile, Unreadable, read_lines
from loadgen.report import bounds
from loadgen.report.bounds import Malformed
from loadgen.report.thresholds import Threshold
from loadgen.studies.capacity import Capacity, Step, resume
from loadgen.studies.capacity_search import most_steps

#: The largest file that is read: 200 steps of an hour each have some 200 MB.
MAX_READ_BYTES: Final = 256 * 2**20


class SearchHead(msgspec.Struct, frozen=True, kw_only=True):
    """The facts about a search when it begins."""

    search: int
    pid: int
    written_at: datetime
    limits: list[str]
    plan: dict[str, Any]
    confidence: float | None = None


@dataclass
class SearchJournal(JournalFile):
    """The journal of one search, being written.

    :ivar plan: every setting, as the report will have it.
    :ivar confidence: the confidence target; ``None`` if the search has none.
    """

    plan: dict[str, Any]
    limits: Sequence[Threshold]
    confidence: float | None = None

    def note(self, step: Step) -> None:
        """Write down a step that has ended; no load runs now that this could hold up.

        If that fails, because the disk is full for example, the journal ends, and not the search.
        """
        if self.problem is not None:
            return
        try:
            self._append(msgspec.json.encode(step) + b"\n")
        except OSError as exc:
            self.problem = exc.strerror

    def _make_head(self) -> bytes:
        head = SearchHead(
            search=1,
            pid=os.getpid(),
            written_at=datetime.now(UTC),
            limits=[limit.expr for limit in self.limits],
            plan=self.plan,
            confidence=self.confidence,
        )
        return msgspec.json.encode(head) + b"\n"


def recover(path: Path) -> Capacity | None:
    """Restore what a search had found whose generator was killed; ``None`` for other files.

    :raises Unreadable: if it can't be read, or no step had ended.
    """
    lines = read_lines(path, at_most=MAX_READ_BYTES)
    try:
        search = bounds.decode(next(lines, b""), SearchHead)
    except Malformed:
        return None
    if not isinstance(search.plan.get("url"), str):
        raise Unreadable(f"{path} is damaged: its plan has no URL")
    steps = []
    for line in lines:
        try:
            steps.append(bounds.decode(line, Step))
        except Malformed:
            break  # Half a line: it was being written.
        if len(steps) > most_steps(search.confidence):
            raise Unreadable(f"{path} is damaged: it has more steps than a search")
    if not steps:
        raise Unreadable(f"{path} was begun, but its search died before its first step was over")
    return resume(search.plan, search.limits, steps, search.confidence)
