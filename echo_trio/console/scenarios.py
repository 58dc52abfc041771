"""List the scenarios that runs from the console may have: the files of one folder."""

from __future__ import annotations

import os
from typing import Final

#: Names that are listed at most: more than anybody looks through.
MOST_LISTED: Final = 200


def find_scenarios(folder: str | None) -> list[str]:
    """List the names of the Python files in a folder, in order; none without a folder.

    A file that begins with a dot or an underscore is another's part, and a link may lead elsewhere:
    neither can be run from here. The generator checks that once more when it reads one.
    """
    if folder is None:
        return []
    try:
        with os.scandir(folder) as entries:
            names = [
                entry.name
                for entry in entries
                if entry.name.endswith(".py")
                and not entry.name.startswith((".", "_"))
                and entry.is_file(follow_symlinks=False)
            ]
    except OSError:
        # The folder has gone since the start: then there is nothing to run.
        return []
    return sorted(names)[:MOST_LISTED]
