"""Have the generator say how the runs of one name went over time.

Its `history` command finds the changes, in a process of its own: it takes the square of the number
of runs, and the loop that echoes has no time for it.
"""

from __future__ import annotations

import subprocess
import sys
from collections import OrderedDict
from pathlib import Path
from typing import Final

import trio

from echo_trio.console.run_process import OWN_GROUP, last_line, make_environment

#: Runs that are looked at, the last ones of the name.
LAST: Final = 100
#: The time that a process may take; 100 reports of an hour each take some seconds.
TIMEOUT_S: Final = 60.0
#: Answers that are kept for as long as the file stays as it is.
_KEPT: Final = 8

#: The file as it was: when it was changed, in ns, and its size.
_Version = tuple[int, int]


class NoTrends(Exception):
    """The reason why there is no answer."""


class TrendReader:
    """Answers from one file of runs; one process at a time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._one_at_a_time = trio.Lock()
        self._answers: OrderedDict[str, tuple[_Version, bytes]] = OrderedDict()

    async def read(self, name: str) -> bytes:
        """Return what `loadgen history --json` writes of the runs of this name.

        Cancelled: the process is ended.

        :raises NoTrends: if it writes nothing.
        """
        async with self._one_at_a_time:
            version = await trio.to_thread.run_sync(self._read_version)
            known = self._answers.get(name)
            if known is not None and known[0] == version:
                return known[1]
            answer = await self._ask(name)
            self._answers[name] = (version, answer)
            self._answers.move_to_end(name)
            if len(self._answers) > _KEPT:
                self._answers.popitem(last=False)
            return answer

    def _read_version(self) -> _Version:
        try:
            status = self._path.stat()
        except OSError as exc:
            raise NoTrends(f"the history can't be read: {exc.strerror}") from None
        return status.st_mtime_ns, status.st_size

    async def _ask(self, name: str) -> bytes:
        # With "=": a name may begin with a dash.
        words = ["history", str(self._path), "--json=-", f"--name={name}", f"--last={LAST}"]
        try:
            with trio.fail_after(TIMEOUT_S):
                ended = await trio.run_process(
                    # -P: a module named loadgen in the current folder is not meant.
                    [sys.executable, "-P", "-m", "loadgen", *words],
                    stdin=subprocess.DEVNULL,
                    capture_stdout=True,
                    capture_stderr=True,
                    check=False,
                    env=make_environment(),
                    **OWN_GROUP,
                )
        except OSError as exc:
            raise NoTrends(f"can't start a process: {exc.strerror}") from None
        except trio.TooSlowError:
            raise NoTrends(f"the history took longer than {TIMEOUT_S:g} s to read") from None
        if ended.returncode != 0:
            raise NoTrends(last_line(ended.stderr) or f"it ended with {ended.returncode}")
        return ended.stdout
