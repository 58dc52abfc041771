"""Say in a line why a user failed, and where in the script; keep one traceback of each cause."""

from __future__ import annotations

import traceback
from pathlib import Path
from typing import Final

from echo_trio.printable import printable

#: The last lines of a traceback that are kept.
MAX_LINES: Final = 30
MAX_LINE_LENGTH: Final = 200


def find_cause(exc: BaseException, file: str) -> tuple[str, str]:
    """Return the cause of a failure, and its traceback from the script on.

    Of several exceptions at once it is the first.

    :param exc: what came out of a user's code.
    :param file: of the script, as it was given.
    """
    while isinstance(exc, BaseExceptionGroup):
        exc = exc.exceptions[0]
    path = str(Path(file).absolute())
    frames = traceback.extract_tb(exc.__traceback__)
    places = [place for place, frame in enumerate(frames) if frame.filename == path]
    where = f"{Path(file).name}:{frames[places[-1]].lineno}" if places else "the load generator"
    del frames[: places[0] if places else 0]
    # A line of our own code says nothing to the author of the script.
    shown = [frame for frame in frames if frame.filename == path] or frames
    lines = "".join(
        [*traceback.format_list(shown), *traceback.format_exception_only(exc)]
    ).splitlines()
    text = "\n".join(printable(line, at_most=MAX_LINE_LENGTH) for line in lines[-MAX_LINES:])
    return f"{type(exc).__name__} at {where}", text
