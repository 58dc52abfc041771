"""What a summary is printed on: a terminal as it is, anything else plain and 80 columns wide."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from io import StringIO
from typing import Final, TextIO

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from echo_trio.printable import printable_lines

#: Of what does not go to a terminal.
WIDTH: Final = 80


class _Paper(Console):
    """A console on which no text is obeyed: some of it is a peer's, or from a file."""

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """Render as rich does, which lets escape sequences in a text through."""
        for segment in super().render(renderable, options):
            if segment.control or segment.text.isprintable():
                yield segment
            else:
                yield Segment(printable_lines(segment.text), segment.style)


@contextmanager
def paper(stream: TextIO, *, color: bool = True) -> Iterator[Console]:
    """A console whose output is on the stream at the end.

    :param color: whether colour is wanted; only a terminal gets any.
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
