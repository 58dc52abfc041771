"""Ctrl-C and SIGTERM, from before the first import to after the last line of the report.

The first signal asks the run to end in good order; one that comes before there is a run is kept
for it, and one that comes when the run is over changes nothing. The second ends the process at
once, whatever that is doing. Trio's own way, an exception out of nowhere, would be a traceback
instead of a report during imports and while the report is written.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

EXIT_INTERRUPTED: Final = 130

#: The live display hides the cursor; whoever ends the process in the middle of it shows it again.
_SHOW_CURSOR: Final = b"\x1b[?25h\n"


class Interrupts:
    """What signals have asked of this process.

    :ivar received: was there one?
    """

    def __init__(self) -> None:
        self.received = False
        self._stop: Callable[[], object] | None = None

    def listen(self) -> None:
        """Take SIGINT and SIGTERM from now on; to be called in the main thread."""
        for signum in (signal.SIGINT, signal.SIGTERM):
            signal.signal(signum, self.take)

    @contextmanager
    def stopping(self, stop: Callable[[], object]) -> Iterator[None]:
        """Within this block the first signal calls `stop`: at once, if it has come already.

        :param stop: called between any two instructions of the main thread, so it may do no more
            than, say, `trio.lowlevel.TrioToken.run_sync_soon`.
        """
        self._stop = stop
        if self.received:
            stop()
        try:
            yield
        finally:
            self._stop = None

    def take(self, *_: Any) -> None:
        """Handle a signal."""
        if self.received:
            if sys.stderr.isatty():
                os.write(sys.stderr.fileno(), _SHOW_CURSOR)
            os._exit(EXIT_INTERRUPTED)
        self.received = True
        if self._stop is not None:
            self._stop()


#: A process has one set of signals.
INTERRUPTS: Final = Interrupts()
