"""Lay out `--help`: groups of flags, each with the kind of its value, its meaning, its default.

Cyclopts collects what there is to say; this decides how it looks: two columns, no boxes, wrapped to
the terminal, the same in a pipe, and nothing that isn't needed to write a command line.
"""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from cyclopts.help import HelpEntry, HelpPanel
    from rich.console import Console, ConsoleOptions

#: Columns that the names of flags take; a longer name has a line of its own.
NAME_WIDTH: Final = 32
#: A wider terminal gets no wider text: long lines are hard to read.
MAX_WIDTH: Final = 100
_INDENT: Final = 2


class HelpPage:
    """A layout of help in two columns, for cyclopts' `help_formatter`."""

    def __call__(self, console: Console, options: ConsoleOptions, panel: HelpPanel) -> None:
        """Print one group of flags, or of commands."""
        if not panel.entries:
            return
        _print(console, f"{panel.title}:", bold=True)
        for entry in panel.entries:
            _print_entry(console, _name(entry), _describe(entry))
        _print(console, "")

    def render_usage(self, console: Console, options: ConsoleOptions, usage: Any) -> None:
        """Print the usage line."""
        if usage:
            _print(console, f"Usage: {_text(usage).removeprefix('Usage: ')}\n")

    def render_description(self, console: Console, options: ConsoleOptions, text: Any) -> None:
        """Print what the program is for."""
        if words := _text(text):
            _print(console, textwrap.fill(words, _width(console)) + "\n")


def _name(entry: HelpEntry) -> str:
    if entry.positional_label:
        return entry.positional_label
    names = [*entry.positive_names, *entry.positive_shorts]
    # A switch is shown by the name that changes its default.
    if entry.negative_names and entry.default == "True":
        names = [*entry.negative_names]
    shown = ", ".join(names)
    return f"{shown} {entry.metavar}" if entry.metavar else shown


def _describe(entry: HelpEntry) -> str:
    text = " ".join(_text(entry.description).split())
    if entry.choices:
        text += f" One of {', '.join(entry.choices)}."
    if entry.default not in (None, "True", "False", "()", "[]", ""):
        text += f" [{entry.default}]"
    return text


def _print_entry(console: Console, name: str, text: str) -> None:
    width = max(_width(console) - NAME_WIDTH, 30)
    lines = textwrap.wrap(text, width, break_on_hyphens=False) or [""]
    head = " " * _INDENT + name
    if len(head) < NAME_WIDTH:
        _print(console, f"{head:<{NAME_WIDTH}}{lines[0]}".rstrip())
        lines = lines[1:]
    else:
        _print(console, head)
    for line in lines:
        _print(console, " " * NAME_WIDTH + line)


def _width(console: Console) -> int:
    return min(console.width, MAX_WIDTH)


def _text(value: Any) -> str:
    """Extract the words from what cyclopts hands over: a string, or something of Rich's."""
    if value is None or isinstance(value, str):
        return (value or "").strip()
    plain = getattr(value, "plain", None)
    if plain is None:
        primary = getattr(value, "primary_renderable", None)
        plain = getattr(primary, "plain", None) or getattr(primary, "markup", "") or ""
    return str(plain).strip()


def _print(console: Console, line: str, *, bold: bool = False) -> None:
    if bold and console.is_terminal:
        console.print(line, style="bold", highlight=False, markup=False, soft_wrap=True)
    else:
        # Rendering lines that have no style takes Rich a tenth of all that `--help` takes.
        console.file.write(f"{line}\n")
