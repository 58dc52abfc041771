"""Make text harmless to show: any text that came from a peer, a file or a command line.

A terminal obeys control characters and escape sequences, a bidirectional override turns a line
around, and a line break forges the next line of a log. The log of a CI job is obeyed, too: GitHub's
runner takes commands from `##[error]…` anywhere in a line and from `::error::…` at its beginning
(`ActionCommand.cs` of actions/runner), and Azure Pipelines from `##vso[…]`.

Reports as CSV have numbers only, and the HTML report has its texts in JSON, which can't end the
script that they are in; the page's own exports are its business
(`react-client/src/lib/csv-text.ts`).

Nothing is left out: a character that can't be shown is written as Python would write it in a
string, so that two texts that differ still look different.
"""

from __future__ import annotations

import re
from typing import Final

#: Where a command to a CI job's log begins: `##` before a name and a bracket, which may follow from
#: elsewhere, and `::` before a name. The latter is looked for anywhere, since wrapping a text puts
#: any of its words, or any part of a long one, at the beginning of a line. No name of a command is
#: hexadecimal, so addresses like `fe80::1` remain as they are.
_COMMAND: Final = re.compile(r"#(?=#\w*(?:\[|$))|:(?=:[A-Za-z-]*[G-Zg-z-])")
#: The mark of a text that was cut.
ELLIPSIS: Final = "…"


def printable(text: str, *, at_most: int | None = None) -> str:
    r"""Write a text in one line that a terminal and a log show and do not obey.

    Control and format characters (ESC, line breaks, bidirectional overrides, zero-width ones),
    surrogates and characters that Unicode has not assigned become escapes like ``\x1b``; of what
    begins a command in the log of a CI job, the first character becomes one.

    :param at_most: how many characters of the text to show, followed by an ellipsis; all of them
        by default.
    """
    if at_most is not None and len(text) > at_most:
        text = text[:at_most] + ELLIPSIS
    if not text.isprintable():
        text = "".join(char if char.isprintable() else _escape(char) for char in text)
    return disarm(text)


def disarm(text: str, prefix: str = r"\x") -> str:
    r"""Escape the first character of whatever the log of a CI job would obey.

    :param prefix: what stands before the character's code: in JSON it is ``\u00``.
    """
    if "##" not in text and "::" not in text:
        return text
    return _COMMAND.sub(lambda found: f"{prefix}{ord(found[0]):02x}", text)


def printable_lines(text: str) -> str:
    """Write a text like `printable`, but leave its line feeds as they are."""
    return "\n".join(printable(line) for line in text.split("\n"))


def _escape(char: str) -> str:
    return char.encode("unicode_escape").decode("ascii")
