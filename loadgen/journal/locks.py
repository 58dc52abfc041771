"""Lock a whole file, for as long as the process that has it open lives (flock(2)).

Windows has none of this: its locks keep others from reading, too. So it has no journals.
"""

from __future__ import annotations

import errno
import sys
from typing import BinaryIO, Final

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

AVAILABLE: Final = hasattr(fcntl, "flock")


def lock(file: BinaryIO, *, shared: bool = False) -> None:
    """Lock a file, until every copy of its descriptor is closed.

    :param shared: let others lock it as well, if they share it, too.
    :raises BlockingIOError: if another process has locked it.
    :raises OSError: if it can't be locked here.
    """
    if sys.platform != "win32" and hasattr(fcntl, "flock"):
        fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    else:
        raise OSError(errno.ENOTSUP, "this system has no lock that a journal needs (flock)")
