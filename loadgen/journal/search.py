"""The journal of a search for capacity: its steps, each when it is over.

Newline-delimited JSON like a run's, under the same lock and in the same places. The step that was
under way is not in it: a step is judged when it has ended, and what it had measured by then says
nothing of a rate.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from loadgen.journal.run import JournalFile, Unreadable
from loadgen.report.thresholds import Threshold
from loadgen.studies.capacity import Capacity, Step, resume


class SearchHead(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a search when its first step is over."""

    search: int
    pid: int
    written_at: datetime
    limits: list[str]
    plan: dict[str, Any]


@dataclass
class SearchJournal(JournalFile):
    """The journal of one search, being written.

    :ivar plan: every setting, as a report is to have it.
    """

    plan: dict[str, Any]
    limits: Sequence[Threshold]

    def note(self, step: Step) -> None:
        """Write down a step that is over; no load runs now that this could hold up.

        A disk that is full, say, ends the journal and not the search.
        """
        if self.problem is not None:
            return
        line = msgspec.json.encode(step) + b"\n"
        if not self.has_records:
            line = msgspec.json.encode(self._make_head()) + b"\n" + line
        try:
            self._file.write(line)
        except OSError as exc:
            self.problem = exc.strerror

    def _make_head(self) -> SearchHead:
        return SearchHead(
            search=1,
            pid=os.getpid(),
            written_at=datetime.now(UTC),
            limits=[limit.expr for limit in self.limits],
            plan=self.plan,
        )


def recover(path: Path) -> Capacity | None:
    """What a search had found whose generator was killed; ``None`` if this isn't its journal.

    :raises Unreadable: if it can't be read, or no step was over.
    """
    try:
        head, *lines = path.read_bytes().splitlines() or [b""]
    except OSError as exc:
        raise Unreadable(f"can't read {path}: {exc.strerror}") from None
    try:
        search = msgspec.json.decode(head, type=SearchHead)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    steps = []
    for line in lines:
        try:
            steps.append(msgspec.json.decode(line, type=Step))
        except (msgspec.DecodeError, UnicodeDecodeError):
            break  # Half a line: it was being written.
    if not steps:
        raise Unreadable(f"{path} was begun, but its search died before its first step was over")
    return resume(search.plan, search.limits, steps)
