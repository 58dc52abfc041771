"""Print every frame of one user with what claims it: the way to write a scenario."""

from __future__ import annotations

import time
from typing import Any, Final, TextIO

from echo_trio.printable import printable
from loadgen.scenario.content import shorten

#: The characters of a message that a line shows.
TEXT_LENGTH: Final = 100


class Trace:
    """A printer of a line for each frame.

    :param stream: where to print.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._began_s = time.perf_counter()

    def sent(self, what: str, message: str | bytes) -> None:
        """Print a message that the user sends.

        :param what: what it is owed, and its name.
        """
        self._print(time.perf_counter(), "→", what, message)

    def received(self, what: str, value: Any, received_us: int) -> None:
        """Print a frame, once it is known what claims it."""
        self._print(received_us / 1_000_000, "←", what, value)

    def note(self, what: str) -> None:
        """Print something that is no frame."""
        self._print(time.perf_counter(), "·", what, "")

    def _print(self, at_s: float, direction: str, what: str, message: Any) -> None:
        text = shorten(message, TEXT_LENGTH) if message != "" else ""
        line = f"{at_s - self._began_s:9.4f} s {direction} {what:<18} {text}"
        self._stream.write(printable(line.rstrip()) + "\n")
        self._stream.flush()
