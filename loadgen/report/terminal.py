"""Print a summary: on a terminal as it is, on anything else plain and 80 columns wide."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from io import StringIO
from typing import Final, TextIO

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from echo_trio.printable import printable_lines

#: The width of output that does not go to a terminal.
WIDTH: Final = 80


class _Paper(Console):
    """A console that makes every text harmless: some is a peer's, or from a file."""

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """Render as rich does, and make escape sequences harmless, which rich lets through."""
        for segment in super().render(renderable, options):
            shown = segment.text if segment.control else printable_lines(segment.text)
            yield segment if shown == segment.text else Segment(shown, segment.style)


@contextmanager
def paper(stream: TextIO, *, color: bool = True) -> Iterator[Console]:
    """Open a console whose output is on the stream when the block ends.

    :param color: true if colour is wanted; only a terminal gets any.
    """
    is_terminal = stream.isatty()
    target = stream if is_terminal else StringIO()
    yield _Paper(
        file=target,
        width=None if is_terminal else WIDTH,
        no_color=None if color else True,
        highlight=False,
    )
    if isinstance(target, StringIO) and not is_terminal:
        # The console fills its lines up with spaces.
        stream.writelines(f"{line.rstrip()}\n" for line in target.getvalue().splitlines())
    stream.flush()
