"""Handle Ctrl-C and SIGTERM, from before the first import to after the last line of the report.

The first signal asks the run to end in good order; one that comes before there is a run is kept for
it, and one that comes when the run is over changes nothing. The second ends the process at once,
whatever it is doing. Trio's own way, an exception out of nowhere, would be a traceback instead of a
report during imports and while the report is written.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from typing import Final

from echo_trio.interrupts import REQUESTS_TO_STOP, Interrupts

EXIT_INTERRUPTED: Final = 130

#: The live display hides the cursor; ending the process in the middle of that shows it again.
_SHOW_CURSOR: Final = b"\x1b[?25h\n"


def listen() -> None:
    """Take SIGINT, SIGTERM and SIGHUP from now on; to be called in the main thread.

    A SIGHUP that is ignored stays ignored: so `nohup` asks for it.
    """
    INTERRUPTS.listen(*REQUESTS_TO_STOP)
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
        signal.signal(signal.SIGHUP, INTERRUPTS.take_hang_up)


def show_cursor() -> None:
    """Show the cursor of the terminal on stderr, if it is one."""
    if sys.stderr.isatty():
        os.write(sys.stderr.fileno(), _SHOW_CURSOR)


class LastWords:
    """Print, when a second signal ends the process, where the measurements are kept.

    :ivar journal: tells its path, if there is something in it.
    :ivar give_back_terminal: restores the mode of the terminal, if keys are read from it.
    """

    def __init__(self) -> None:
        self.journal: Callable[[], str | None] = lambda: None
        self.give_back_terminal: Callable[[], None] = lambda: None

    def __call__(self, _: int) -> None:
        """Write them, without the buffers that the code interrupted may be in the middle of."""
        self.give_back_terminal()
        show_cursor()
        if path := self.journal():
            line = f"loadgen: ended at once; what was measured is in {path}: loadgen recover\n"
            os.write(sys.stderr.fileno(), line.encode(errors="replace"))


LAST_WORDS: Final = LastWords()
#: A process has one set of signals.
INTERRUPTS: Final = Interrupts(EXIT_INTERRUPTED, LAST_WORDS)
