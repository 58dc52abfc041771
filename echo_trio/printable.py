"""Make text harmless to show: any text that came from a peer, a file or a command line.

A terminal obeys control characters and escape sequences, a bidirectional override turns a line
around, and a line break forges the next line of a log. Reports as CSV have numbers only, and the
HTML report has its texts in JSON, which can't end the script that they are in; the page's own
exports are its business (`react-client/src/lib/csv-text.ts`).

Nothing is left out: a character that can't be shown is written as Python would write it in a
string, so that two texts that differ still look different.
"""

from __future__ import annotations

from typing import Final

#: The mark of a text that was cut.
ELLIPSIS: Final = "…"


def printable(text: str, *, at_most: int | None = None) -> str:
    r"""Write a text in one line that a terminal and a log show and do not obey.

    Control and format characters (ESC, line breaks, bidirectional overrides, zero-width ones),
    surrogates and characters that Unicode has not assigned become escapes like ``\x1b``.

    :param at_most: how many characters of the text to show, followed by an ellipsis; all of them
        by default.
    """
    if at_most is not None and len(text) > at_most:
        text = text[:at_most] + ELLIPSIS
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else _escape(char) for char in text)


def printable_lines(text: str) -> str:
    """Write a text like `printable`, but leave its line feeds as they are."""
    return "\n".join(printable(line) for line in text.split("\n"))


def _escape(char: str) -> str:
    return char.encode("unicode_escape").decode("ascii")
