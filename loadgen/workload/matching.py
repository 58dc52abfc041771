"""Find the message that a reply answers: read `--verify`, `--expect` and `--ignore`. Pure.

    verify  = suffix | exact | json:PATH[=PATH] | regex:PATTERN | turn | fan-out | off
    pattern = json:PATH=VALUE | regex:PATTERN | any
    PATH    = names and indices with dots between: id, params.0.id

With `json` and `regex` a message and its reply have a *key* in common: the value at a path, or the
text that a pattern finds. Keys are compared as JSON compares values: 7 is 7.0, and neither "7" nor
true.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

Frame = str | bytes
#: Returns the key of a frame; ``None`` if it has none.
FindKey = Callable[[Frame], Hashable | None]
#: Tells whether a pattern fits a frame.
Fits = Callable[[Frame], bool]

#: The pattern that fits every frame.
ANY: Final = "any"
_PATTERNS: Final = f"json:PATH=VALUE, regex:PATTERN or {ANY}"


class Rule(StrEnum):
    """The rule by which a reply finds its message."""

    SUFFIX = "suffix"
    """It is the message, one space and a number."""
    EXACT = "exact"
    """It is the message."""
    JSON = "json"
    """The values at two paths are equal."""
    REGEX = "regex"
    """A pattern finds the same in both."""
    TURN = "turn"
    """The n-th frame answers the n-th message."""
    FAN_OUT = "fan-out"
    """Every socket of the room gets a copy of the message."""
    OFF = "off"
    """Nothing is owed: frames are counted."""


@dataclass(frozen=True, slots=True)
class Verify:
    """A `--verify`, read.

    :ivar find_own: finds the key of one of our messages; ``None`` unless the rule is `json` or
        `regex`.
    :ivar find_theirs: finds the key of a received frame; ``None`` unless the rule is `json` or
        `regex`.
    """

    rule: Rule
    find_own: FindKey | None = None
    find_theirs: FindKey | None = None

    @classmethod
    def parse(cls, text: str) -> Verify:
        """Read a `--verify`.

        :raises ValueError: if it is none; the message says what to write.
        """
        name, colon, rest = text.partition(":")
        if name == Rule.JSON and rest:
            from loadgen.workload.json_values import find_json  # noqa: PLC0415 - not for --help

            own, equals, theirs = rest.partition("=")
            return cls(Rule.JSON, find_json(own), find_json(theirs if equals else own))
        if name == Rule.REGEX and rest:
            find = _find_by_regex(_compile(rest))
            return cls(Rule.REGEX, find, find)
        plain = {rule for rule in Rule if rule not in {Rule.JSON, Rule.REGEX}}
        if colon or name not in plain:
            known = ", ".join(plain_rule for plain_rule in Rule if plain_rule in plain)
            raise ValueError(f"--verify {text!r} is none of {known}, json:PATH and regex:PATTERN")
        return cls(Rule(name))


# -- Keys -----------------------------------------------------------------------------------


def _compile(pattern: str) -> re.Pattern[str]:
    try:
        return re.compile(pattern)
    except (re.error, RecursionError, OverflowError) as exc:
        raise ValueError(f"regex:{pattern} is no regular expression: {exc}") from None


def _find_by_regex(pattern: re.Pattern[str]) -> FindKey:
    """Make a function that finds a pattern's first group in a frame, or the whole match."""
    group = 1 if pattern.groups else 0

    def find_key(frame: Frame) -> Hashable | None:
        found = pattern.search(_letters(frame))
        return None if found is None else found[group]

    return find_key


def _letters(frame: Frame) -> str:
    """Convert a frame to text; bytes that are no UTF-8 keep their place."""
    return frame if isinstance(frame, str) else frame.decode("utf-8", "surrogateescape")


# -- Patterns -------------------------------------------------------------------------------


def parse_pattern(text: str) -> str:
    """Check an `--expect` or `--ignore`; return it unchanged.

    :raises ValueError: if it is no pattern; the message says what to write.
    """
    compile_pattern(text)
    return text


def compile_pattern(text: str) -> Fits:
    """Make a function that tells whether a pattern fits a frame.

    :raises ValueError: if the text is no pattern; the message says what to write.
    """
    name, _, rest = text.partition(":")
    path, equals, value = rest.partition("=")
    if text == ANY:
        return lambda _: True
    if name == "json" and path and equals:
        from loadgen.workload.json_values import fits_json  # noqa: PLC0415 - not for --help

        return fits_json(path, value)
    if name == "regex" and rest:
        search = _compile(rest).search
        return lambda frame: search(_letters(frame)) is not None
    raise ValueError(f"{text!r} is not a pattern: write {_PATTERNS}")
