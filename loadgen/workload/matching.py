"""Find the message that a reply answers: read `--verify`, `--expect` and `--ignore`. Pure.

    verify  = suffix | exact | json:PATH[=PATH] | regex:PATTERN | turn | fan-out | off
    pattern = json:PATH=VALUE | regex:PATTERN | any
    PATH    = names and indices with dots between: id, params.0.id

With `json` and `regex` a message and its reply have a *key* in common: the value at a path, or the
text that a pattern finds. Keys are compared as JSON compares values: 7 is 7.0, and neither "7" nor
true.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

import msgspec

Frame = str | bytes
#: Returns the key of a frame; ``None`` if it has none.
FindKey = Callable[[Frame], Hashable | None]
#: Tells whether a pattern fits a frame.
Fits = Callable[[Frame], bool]

#: msgspec's exceptions for text that is no JSON, bytes that are no UTF-8, and endless nesting.
_NOT_JSON: Final = (msgspec.DecodeError, UnicodeError, RecursionError)
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


def find_json(path: str) -> FindKey:
    """Make a function that finds the value at a path in JSON; objects, arrays and null are no keys.

    Only members that lead there are decoded: others are skipped, not built.

    :raises ValueError: if the path has an empty part.
    """
    find = _find_value(path, str | int | float | bool)

    def find_key(frame: Frame) -> Hashable | None:
        value = find(frame)
        if value.__class__ is bool:
            return (value,)  # True would equal 1.
        if value is msgspec.UNSET or isinstance(value, dict | list | None):
            return None
        key: Hashable = value
        return key

    return find_key


def _find_value(path: str, leaf: Any) -> Callable[[Frame], Any]:
    """Make a function that finds the value of a type at a path; `UNSET` if there is none."""
    parts = path.split(".")
    if not all(parts):
        raise ValueError(f"json:{path} is not a path: write it like json:id or json:params.0.id")
    named = next((at for at, part in enumerate(parts) if part.isdecimal()), len(parts))
    rest = parts[named:]
    kind: Any = msgspec.Raw if rest else leaf
    for part in reversed(parts[:named]):
        kind = msgspec.defstruct(
            "At",
            [("here", kind | msgspec.UnsetType, msgspec.UNSET)],
            rename={"here": part},
        )
    decode = msgspec.json.Decoder(kind).decode

    def find(frame: Frame) -> Any:
        try:
            value = decode(frame)
            for _ in range(named):
                if value is msgspec.UNSET:
                    return value
                value = value.here
            if rest and value is not msgspec.UNSET:
                value = _follow(msgspec.json.decode(value), rest)
        except _NOT_JSON:
            return msgspec.UNSET
        return value

    return find


def _follow(value: Any, parts: list[str]) -> Any:
    """Follow a path from its first index on; a number may be a name, too."""
    for part in parts:
        if isinstance(value, dict) and part in value:
            value = value[part]
        elif isinstance(value, list) and part.isdecimal() and int(part) < len(value):
            value = value[int(part)]
        else:
            return msgspec.UNSET
    return value


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
        return _fits_json(path, value)
    if name == "regex" and rest:
        search = _compile(rest).search
        return lambda frame: search(_letters(frame)) is not None
    raise ValueError(f"{text!r} is not a pattern: write {_PATTERNS}")


def _fits_json(path: str, text: str) -> Fits:
    """Make a function that compares the value at a path with JSON, or else with a string."""
    try:
        wanted = _canonical(json.loads(text, parse_constant=_refuse_constant))
    except (ValueError, RecursionError):
        wanted = text
    find = _find_value(path, Any)

    def fits(frame: Frame) -> bool:
        value = find(frame)
        return value is not msgspec.UNSET and bool(_canonical(value) == wanted)

    return fits


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is Python's, and no JSON")


def _canonical(value: Any) -> Any:
    """Convert a value so that Python compares it as JSON does: true and false are no numbers."""
    if isinstance(value, bool):
        return (value,)
    if isinstance(value, list):
        return [_canonical(each) for each in value]
    if isinstance(value, dict):
        return {name: _canonical(each) for name, each in value.items()}
    return value
