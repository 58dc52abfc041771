"""Find values in JSON by their paths, and compare them as JSON does. Pure.

Apart from `matching`, since it needs msgspec, which `--help` does not.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Hashable
from typing import Any, Final

import msgspec

from loadgen.workload.matching import FindKey, Fits, Frame

#: msgspec's exceptions for text that is no JSON, bytes that are no UTF-8, and endless nesting.
_NOT_JSON: Final = (msgspec.DecodeError, UnicodeError, RecursionError)


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


def fits_json(path: str, text: str) -> Fits:
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
