"""Read a TOML file of settings, after checking its size, nesting and the length of its names.

Python's parser goes into brackets recursively, takes a time that grows with the square of the names
in a dotted key, and makes integers of any number of digits. A file of settings needs none of these,
so they are refused before it is parsed.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any, Final

from echo_trio import files

MAX_BYTES: Final = 64 * 1024
#: Nesting of arrays and tables; and names in a dotted key. The server needs one name and an array.
MAX_DEPTH: Final = 8
#: 64 bits have 20.
MAX_DIGITS: Final = 32

#: Texts and comments, in which brackets and dots mean nothing.
_INERT: Final = re.compile(
    r'"""(?:[^\\]|\\.)*?"""|\'\'\'.*?\'\'\'|"(?:[^"\\\n]|\\.)*"|\'[^\'\n]*\'|#[^\n]*', re.DOTALL
)
_BRACKET: Final = re.compile(r"[][{}]")
_LONG_KEY: Final = re.compile(rf"(?:[\w-]*[ \t]*\.[ \t]*){{{MAX_DEPTH}}}")
_LONG_NUMBER: Final = re.compile(rf"[0-9a-fA-F_]{{{MAX_DIGITS + 1}}}")


class Unreadable(Exception):
    """A file of settings that can't be read; the message is one line that says which and why."""


def read(path: Path) -> dict[str, Any]:
    """Return the content of a TOML file of settings.

    :raises Unreadable: if it can't be read, or is larger or nested deeper than settings can be.
    """
    try:
        text = files.read_text(path, at_most=MAX_BYTES)
    except OSError as exc:
        raise Unreadable(f"can't read {path}: {exc.strerror}") from None
    if problem := _find_excess(text):
        raise Unreadable(f"{path} is no file of settings: {problem}")
    try:
        return tomllib.loads(text)
    except ValueError as exc:  # A TOMLDecodeError, or what Python says of a date like 2000-13-40.
        raise Unreadable(f"{path} is no TOML: {exc}") from None


def _find_excess(text: str) -> str | None:
    """Find what a parser should not be given; None if there is nothing."""
    # A text may be a name in a key; so may what stands for it.
    text = _INERT.sub("_", text)
    depth = 0
    for bracket in _BRACKET.finditer(text):
        depth += 1 if bracket[0] in "[{" else -1
        if depth > MAX_DEPTH:
            return f"line {_line_of(text, bracket.start())} is nested too deep"
    if key := _LONG_KEY.search(text):
        return f"line {_line_of(text, key.start())} has a key of too many names"
    if number := _LONG_NUMBER.search(text):
        return f"line {_line_of(text, number.start())} has a number or name that is too long"
    return None


def _line_of(text: str, at: int) -> int:
    return text.count("\n", 0, at) + 1
