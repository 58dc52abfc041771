"""Make text harmless to show: any text that came from a peer, a file or a command line.

There is one function for each place where text can do something instead of being read. A terminal
obeys control characters and escape sequences, a bidirectional override turns a line around, a line
break forges the next line of a log, a spreadsheet computes a cell that begins with `=`, and
Markdown and HTML have syntax of their own.

Nothing is left out: a character that can't be shown is written as Python would write it in a
string, so that two texts that differ still look different.
"""

from __future__ import annotations

import html
import re
from typing import Final

#: The mark of a text that was cut.
ELLIPSIS: Final = "…"

#: A spreadsheet recognises a formula by these, in ASCII and in full-width forms that some of them
#: take as well (OWASP, "CSV Injection"). Tab and carriage return are on OWASP's list, too; they
#: are written as `\t` and `\r` before this is looked at.
_FORMULA: Final = ("=", "+", "-", "@", "＝", "＋", "－", "＠")
#: CommonMark 0.31, section 2.4: a backslash before any of these is what makes it plain.
_MARKDOWN_SYNTAX: Final = re.compile(r"([!-/:-@\[-`{-~])")


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


def csv_cell(text: str) -> str:
    """Write a text so that no spreadsheet takes it for a formula."""
    text = printable(text)
    return f"'{text}" if text.lstrip().startswith(_FORMULA) else text


def markdown_text(text: str) -> str:
    """Write a text so that Markdown shows it as it is, in a paragraph or the cell of a table."""
    return _MARKDOWN_SYNTAX.sub(r"\\\1", printable(text))


def html_text(text: str) -> str:
    """Write a text so that HTML shows it as it is, in an element or a quoted attribute."""
    return html.escape(printable(text), quote=True)


def _escape(char: str) -> str:
    return char.encode("unicode_escape").decode("ascii")
