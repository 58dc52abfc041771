"""Keep a journal's file: made new, locked while its run goes, never written over another's.

The process that has the file's lock writes it; the system takes the lock away when that process
ends, however it does, so a journal without a lock is that of a run that is dead.
"""

from __future__ import annotations

import errno
import os
import re
from abc import abstractmethod
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO, Final

import msgspec

from echo_trio import files
from echo_trio.files import Draft, WrongKind
from loadgen.journal import locks

#: Journals of killed runs that are kept where no file was named.
KEPT: Final = 10
#: The longest line that is read: 10,000 seconds of a run, with its histograms, have 2 MB.
MAX_LINE_BYTES: Final = 16 * 2**20

_SUFFIX: Final = ".journal"
_OUR_NAME: Final = re.compile(rf"[0-9]{{8}}T[0-9]{{6}}-[0-9]+(-[0-9]+)?{re.escape(_SUFFIX)}")
#: Nobody but the user may read a journal, nor write it.
_MODE: Final = 0o600


class Unreadable(Exception):
    """A file that is no journal, or has nothing to tell; the message says which and why."""


class _AnyHead(msgspec.Struct):
    """The fields in the first line of each of our journals, of a run or of a search."""

    pid: int
    plan: dict[str, Any]
    journal: int | None = None
    search: int | None = None


# -- Writing --------------------------------------------------------------------------------


@dataclass
class JournalFile:
    """A file for records that outlive their writer; no other process writes to it meanwhile.

    :ivar overwrite: true if it may take the place of a journal that an earlier run has left. That
        one stays until there is a first record to replace it with.
    :ivar has_records: true once there is anything in it to recover.
    :ivar problem: the reason why it ended before its run; ``None`` if it didn't.
    :raises OSError: if it can't be written, or the path is taken.
    """

    path: Path
    overwrite: bool = field(default=False, kw_only=True)
    #: Is there anything in it to recover?
    has_records: bool = field(default=False, init=False)
    #: Why it ended before what it tells of; ``None`` if it didn't.
    problem: str | None = field(default=None, init=False)
    _draft: Draft = field(init=False)
    _size_bytes: int = field(default=0, init=False)
    #: The journal that it is to take the place of, locked.
    _before: BinaryIO | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        if os.path.lexists(self.path):
            self._before = _claim(self.path, overwrite=self.overwrite)
        try:
            self._draft = self._begin(self._make_head())
        except OSError:
            self._let_go_of_before()
            raise
        if self._before is None:
            try:
                self._publish()
            except OSError:
                self._draft.close()
                raise

    @abstractmethod
    def _make_head(self) -> bytes:
        """Make the first line, by which a journal is recognised."""

    def _append(self, line: bytes) -> None:
        """Add a record.

        :raises OSError: if it can't be written.
        """
        files.write_all(self._draft.file.fileno(), line)
        self._size_bytes += len(line)
        if self._before is not None:
            self._publish()
        self.has_records = True

    def _restart(self, content: bytes) -> None:
        """Replace the whole content of the file, in one step.

        :raises OSError: if it can't be written; then the file is as it was.
        """
        old, self._draft = self._draft, self._begin(content)
        try:
            self._publish(instead_of=old)
        except OSError:
            self._draft.close()
            self._draft = old
            raise
        old.close()
        self.has_records = True

    def _begin(self, content: bytes) -> Draft:
        # The plan's secrets are masked, but its messages may be private, too.
        draft = Draft(self.path, mode=_MODE)
        try:
            locks.lock(draft.file)
            files.write_all(draft.file.fileno(), content)
        except OSError:
            draft.close()
            raise
        self._size_bytes = len(content)
        return draft

    def _publish(self, instead_of: Draft | None = None) -> None:
        """Give it its name, which is free or belongs to the file that it replaces."""
        replaced = self._before
        if replaced is None and instead_of is not None:
            replaced = instead_of.file
        is_there = replaced is not None and _is_at(self.path, replaced)
        self._draft.publish(overwrite=is_there)
        self._let_go_of_before()

    def _let_go_of_before(self) -> None:
        if self._before is not None:
            self._before.close()
            self._before = None

    def remove(self) -> None:
        """Delete the file, since its run has ended and its report is written."""
        if _is_at(self.path, self._draft.file):
            self.path.unlink(missing_ok=True)
        self.close()

    def close(self) -> None:
        """Stop writing, and keep the file."""
        self._draft.close()
        self._let_go_of_before()


def _claim(path: Path, *, overwrite: bool) -> BinaryIO:
    """Open and lock the journal of a dead run at a path, if there is one and it may be replaced.

    :raises OSError: if it is no journal, a process writes it, or it must not be replaced.
    """
    if path.is_symlink():
        raise WrongKind("it is a link; name the file itself")
    file = files.open_plain(path)
    try:
        if not _is_ours(file):
            raise WrongKind("that file is no journal, and is left as it is; name a new file")
        locks.lock(file)
        if not overwrite:
            raise FileExistsError(
                errno.EEXIST,
                "it has the journal of another run: recover that, name a new file, "
                "or give --overwrite",
            )
    except BlockingIOError:
        file.close()
        raise BlockingIOError(errno.EWOULDBLOCK, "another run is writing it") from None
    except OSError:
        file.close()
        raise
    return file


def _is_ours(file: BinaryIO) -> bool:
    line = file.readline(MAX_LINE_BYTES)
    try:
        head = msgspec.json.decode(line, type=_AnyHead)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return head.journal is not None or head.search is not None


def _is_at(path: Path, file: BinaryIO) -> bool:
    """Tell whether this open file is the one at the path."""
    try:
        return os.path.samestat(path.lstat(), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False


# -- Finding --------------------------------------------------------------------------------


def default_folder() -> Path:
    """Return the folder for journals, unless a file is named.

    :raises OSError: if this user has no home.
    """
    if state := os.environ.get("XDG_STATE_HOME"):
        return Path(state) / "loadgen"
    try:
        return Path.home() / ".local" / "state" / "loadgen"
    except RuntimeError:
        raise FileNotFoundError(errno.ENOENT, "this user has no home folder") from None


def default_path() -> Path:
    """Choose a path for a new journal; delete old ones to make room.

    :raises OSError: if there can be none.
    """
    folder = default_folder()
    folder.mkdir(parents=True, exist_ok=True)
    for old in _find_orphans(folder)[KEPT - 1 :]:
        old.unlink(missing_ok=True)
    name = f"{datetime.now():%Y%m%dT%H%M%S}-{os.getpid()}"
    # In containers that share a folder every run may have the same process number.
    path, number = folder / f"{name}{_SUFFIX}", 1
    while os.path.lexists(path):
        number += 1
        path = folder / f"{name}-{number}{_SUFFIX}"
    return path


def find_latest() -> Path | None:
    """Find the newest journal of a run that has died.

    :raises OSError: if there is no folder for any.
    """
    return next(iter(_find_orphans(default_folder())), None)


def _find_orphans(folder: Path) -> list[Path]:
    """List the user's journals that no process writes any more, the newest first."""
    names = sorted(folder.glob(f"*{_SUFFIX}"), reverse=True) if folder.is_dir() else []
    return [path for path in names if _OUR_NAME.fullmatch(path.name) and _is_orphan(path)]


def _is_orphan(path: Path) -> bool:
    with suppress(OSError), files.open_plain(path) as file:
        locks.lock(file, shared=True)
        # Versions before this one left an empty file when they were killed at once.
        return not path.is_symlink() and (not os.fstat(file.fileno()).st_size or _is_ours(file))
    return False


# -- Reading --------------------------------------------------------------------------------


def is_being_written(path: Path) -> bool:
    """Tell whether a process still writes a journal: it has it locked."""
    with suppress(OSError), files.open_plain(path) as file:
        try:
            locks.lock(file, shared=True)
        except BlockingIOError:
            return True
    return False


def read_lines(path: Path, *, at_most: int) -> Iterator[bytes]:
    """Yield each line of a journal.

    :param at_most: the largest size of the file in bytes.
    :raises Unreadable: if it can't be read, or is larger than a journal can be.
    """
    try:
        with files.open_plain(path) as file:
            if os.fstat(file.fileno()).st_size > at_most:
                raise Unreadable(f"{path} is too large for a journal")
            while line := file.readline(MAX_LINE_BYTES + 1):
                if len(line) > MAX_LINE_BYTES:
                    raise Unreadable(f"{path} has a line that is too long for a journal")
                yield line
    except OSError as exc:
        raise Unreadable(f"can't read {path}: {exc.strerror}") from None
