"""Open the journal of a run or of a search, and settle it when the run has ended."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from loadgen.cli.options import NO_JOURNAL
from loadgen.cli.output import warn
from loadgen.journal import locks
from loadgen.journal.file import JournalFile, default_path
from loadgen.signals import LAST_WORDS

_Journal = TypeVar("_Journal", bound=JournalFile)


def open_journal(
    make: Callable[..., _Journal], path: str | None, *, overwrite: bool
) -> _Journal | None:
    """Open the journal of a run or search; without a path a failure is no reason not to run.

    :param make: makes the journal, given its path.
    :param path: as `--journal` names it; None chooses a default, or none where no file can be
        locked (Windows).
    :param overwrite: true if it may take the place of a journal that is at the path.
    :raises OSError: if the path that was named can't be written to.
    """
    if path == NO_JOURNAL or (path is None and not locks.AVAILABLE):
        return None
    if path is not None:
        journal = make(Path(path), overwrite=overwrite)
    else:
        try:
            journal = make(default_path())
        except OSError as exc:
            why = f"{exc.strerror} (--journal names a place)"
            warn(f"no journal is kept, should this be killed: {why}")
            return None
    LAST_WORDS.journal = lambda: str(journal.path) if journal.has_records else None
    return journal


def settle(journal: JournalFile | None, *, is_told: bool) -> None:
    """Remove the journal of a run that has ended, unless its report could not be written."""
    if journal is None:
        return
    if journal.problem:
        warn(f"the journal ended before the run: {journal.problem}")
    if is_told or not journal.has_records:
        journal.remove()
    else:
        journal.close()
        warn(f"what was measured is in {journal.path}: loadgen recover")
