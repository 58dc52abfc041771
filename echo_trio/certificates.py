"""Notice that the files of a certificate have changed, so that they are read again.

Renewing a certificate replaces two files, one after the other, and not every program that does so
sends a signal. So the files are looked at from time to time; a change counts as complete only when
two looks have found the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, NoReturn

import trio

#: A change is noticed after one look and taken after the next: well within a minute.
LOOK_INTERVAL_S: Final = 10.0

State = tuple[tuple[int, int, int] | None, ...]


async def watch(files: Sequence[Path], on_change: Callable[[], None]) -> NoReturn:
    """Call `on_change` when the files have changed, until cancelled."""
    taken = before = _look(files)
    while True:
        await trio.sleep(LOOK_INTERVAL_S)
        now = _look(files)
        if now == before != taken:
            taken = now
            on_change()
        before = now


def _look(files: Sequence[Path]) -> State:
    return tuple(map(_state_of, files))


def _state_of(file: Path) -> tuple[int, int, int] | None:
    """Identify the present content of a file by inode, time and size; `None` if there is none."""
    try:
        stat = file.stat()
    except OSError:
        return None
    return stat.st_ino, stat.st_mtime_ns, stat.st_size
