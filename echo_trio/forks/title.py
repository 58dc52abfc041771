"""Name a process for `ps`, in the place of the command line that it has from its parent."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path

#: The fields of /proc/self/stat that follow the name of the program, which may contain anything.
_ARG_START, _ARG_END = 48 - 3, 49 - 3


def set_title(title: str) -> None:
    """Show this instead of the command line: the command line of a fork is that of another process.

    What is longer than the command line is cut off. Where the system does not allow it, and on any
    system but Linux, nothing happens.
    """
    with suppress(OSError, ValueError, IndexError):
        fields = Path("/proc/self/stat").read_text("ascii", "replace").rpartition(")")[2].split()
        start, end = int(fields[_ARG_START]), int(fields[_ARG_END])
        # Through a file, which refuses a wrong address; a pointer would end the process.
        memory = os.open("/proc/self/mem", os.O_RDWR)
        try:
            # A last byte that is not 0 has the kernel show what comes before the first 0, alone.
            shown = title.encode()[: end - start - 2].ljust(end - start - 1, b"\0") + b"."
            if sys.platform != "win32":
                os.pwrite(memory, shown, start)
        finally:
            os.close(memory)
