"""Handle Ctrl-C and SIGTERM from before the first import to after the last line of the report.

The first signal asks the run to end in good order; the second ends the process at once, whatever
it is doing.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import Final

from echo_trio.interrupts import Interrupts

EXIT_INTERRUPTED: Final = 130

#: The live display hides the cursor; whoever ends the process in the middle of it shows it again.
_SHOW_CURSOR: Final = b"\x1b[?25h\n"


def listen() -> None:
    """Take SIGINT and SIGTERM from now on; to be called in the main thread."""
    INTERRUPTS.listen(signal.SIGINT, signal.SIGTERM)


def show_cursor(_: int = 0) -> None:
    """Show the cursor of the terminal on stderr, if it is one."""
    if sys.stderr.isatty():
        os.write(sys.stderr.fileno(), _SHOW_CURSOR)


#: A process has one set of signals.
INTERRUPTS: Final = Interrupts(EXIT_INTERRUPTED, show_cursor)
