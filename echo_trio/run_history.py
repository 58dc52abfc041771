"""Know a file with the reports of runs: the generator writes it, the console reads it too.

It is SQLite, with the table `runs(id, started_at, verdict, name, plan, report)`, the last two as
JSON. Its header says whose it is, so that nobody's other database is taken for one.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from echo_trio import files

#: "load", as SQLite's header has it for `file` and us.
APPLICATION_ID: Final = 0x6C6F6164
VERSION: Final = 1
_MAGIC: Final = b"SQLite format 3\0"
_HEADER_BYTES: Final = 100


class NotAHistory(Exception):
    """A file that is no history of runs; the message says which and why."""


def check_header(path: str | Path) -> bool:
    """Check the first bytes of a file; return false if it doesn't exist, or is empty.

    :raises NotAHistory: if it is another file.
    :raises OSError: if it can't be read.
    """
    try:
        with files.open_plain(path) as file:
            header = file.read(_HEADER_BYTES)
    except FileNotFoundError:
        return False
    if not header:
        return False
    version, application = (int.from_bytes(header[at : at + 4], "big") for at in (60, 68))
    if not header.startswith(_MAGIC) or application != APPLICATION_ID:
        raise NotAHistory(f"{path} is no history of runs")
    if version != VERSION:
        raise NotAHistory(f"{path} is a history of version {version}, and this knows {VERSION}")
    return True
