"""Read the settings of a run that the console is asked for: bounded, and as texts. Pure.

Only the generator knows what its settings mean, and reads them (`loadgen.cli.json_settings`). The
checks here need no such knowledge: JSON within bounds, and whether a duration, a rate, a count or a
size is one. So most mistakes are answered without starting a process.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, NoReturn

from echo_trio import units

#: More settings than there are, each written in as many ways as there are.
MAX_FIELDS: Final = 64
MAX_NAME_CHARACTERS: Final = 64
#: Values of one setting: a handshake has room for this many headers.
MAX_VALUES: Final = 128
#: Characters of one value. A template may be longer: the body's own bound is enough for that.
MAX_CHARACTERS: Final = 8192
MAX_DIGITS: Final = 18
#: The words that describe a run, and the most characters of each; the generator has no such flags.
WORDS: Final = {"name": 200, "note": 4000}
#: The ways to change the load of a run: its rate, as a text or a factor of the plan, and pauses.
LOAD: Final = ("rate", "factor", "paused")
_LONG_TEXTS: Final = frozenset({"message"})
#: Characters of a value with a unit; a wrong one is shown in full.
MAX_UNIT_CHARACTERS: Final = 64

#: Settings whose values have units. One that is missing here is checked by the generator only.
UNITS: Final[Mapping[str, Callable[[str], object]]] = {
    "connect-concurrency": units.parse_count,
    "connect-rate": units.parse_rate,
    "connect-timeout": units.parse_duration,
    "count": units.parse_count,
    "duration": units.parse_duration,
    "lifetime": units.parse_duration,
    "messages": units.parse_count,
    "rate": units.parse_rate,
    "rate-per-conn": units.parse_rate,
    "rooms": units.parse_count,
    "seed": units.parse_whole,
    "size": units.parse_size,
    "stop-timeout": units.parse_duration,
    "think": units.parse_duration,
    "workers": units.parse_processes,
}

#: The value of a setting: a text (also for a number), several, a switch, or None for its default.
Value = str | list[str] | bool | None


class BadSettings(Exception):
    """The reason why there won't be such a run.

    :ivar status: the HTTP status.
    :ivar field: the setting at fault, as it was written; None if it is none in particular.
    """

    def __init__(self, message: str, *, status: int = 422, field: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.field = field


@dataclass(frozen=True, slots=True)
class RunSettings:
    """The settings of a run, by the names of flags without their dashes.

    :ivar written: the name under which each setting was sent, for error messages.
    :ivar name: what the run is called; empty for no name.
    :ivar note: whatever its owner wants to remember about it.
    """

    values: dict[str, Value]
    written: dict[str, str]
    name: str = ""
    note: str = ""


def read_settings(body: bytes) -> RunSettings:
    """Read the settings in a request's body, in time that is linear in its length.

    :raises BadSettings: if it is no JSON, too much, or has a value that can't be one.
    """
    fields = _parse_json(body)
    words = {name: _words_of(name, fields.pop(name)) for name in WORDS if name in fields}
    values: dict[str, Value] = {}
    written: dict[str, str] = {}
    for name, value in fields.items():
        flag = _flag_of(name)
        if flag in values:
            raise BadSettings(f"{name}: given twice", field=name)
        written[flag] = name
        values[flag] = _value_of(name, flag, value)
    if values.get("count") is None:
        raise BadSettings("count: how many sockets?", field=written.get("count", "count"))
    return RunSettings(values, written, **words)


@dataclass(frozen=True, slots=True)
class RunPatch:
    """The parts of a run that are to be changed.

    :ivar words: its name, its note, or both.
    :ivar load: its load, while that goes on: what of `LOAD` was given.
    """

    words: dict[str, str]
    load: dict[str, Any]


def read_patch(body: bytes) -> RunPatch:
    """Read what of a run is to be changed.

    :raises BadSettings: if the body is something else.
    """
    fields = _parse_json(body)
    for name in fields:
        if name not in WORDS and name not in LOAD:
            known = ", ".join([*WORDS, *LOAD])
            raise BadSettings(f"{name}: of a run there are {known} to change", field=name)
    words = {name: _words_of(name, fields[name]) for name in WORDS if name in fields}
    given = {name: fields[name] for name in LOAD if fields.get(name) is not None}
    return RunPatch(words, {name: _load_of(name, value) for name, value in given.items()})


def _load_of(name: str, value: Any) -> Any:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if name == "paused" and not isinstance(value, bool):
        raise BadSettings("paused: true or false", field=name)
    if name == "factor" and not is_number:
        raise BadSettings("factor: a number, like 1.1 for 10 % more than planned", field=name)
    if name == "rate":
        if not (is_number or isinstance(value, str)) or len(str(value)) > MAX_UNIT_CHARACTERS:
            raise BadSettings("rate: a text like 100/s", field=name)
        return str(value)
    return value


def _words_of(name: str, value: Any) -> str:
    if value is None:
        return ""
    most = WORDS[name]
    if not isinstance(value, str) or len(value) > most:
        raise BadSettings(f"{name}: a text of at most {most} characters", field=name)
    if any(not (one.isprintable() or one == "\n") for one in value):
        raise BadSettings(f"{name}: it has a character that can't be shown", field=name)
    if "\n" in value and name == "name":
        raise BadSettings("name: one line", field=name)
    return value.strip()


def _parse_json(body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(
            body,
            object_pairs_hook=_without_doubles,
            parse_constant=_Unreadable,
            parse_int=_bounded(int),
            parse_float=_bounded(float),
        )
    except (ValueError, RecursionError) as exc:
        reason = "it is nested too deeply" if isinstance(exc, RecursionError) else str(exc)
        raise BadSettings(f"the body is not JSON: {reason}", status=400) from None
    if not isinstance(found, dict):
        raise BadSettings('the body has to be an object, like {"count": 1000}')
    for name in found:
        if len(name) > MAX_NAME_CHARACTERS:
            shown = name[:MAX_NAME_CHARACTERS]
            raise BadSettings(f"{shown}…: a run has no such setting", field=shown)
    if len(found) > MAX_FIELDS:
        excess = list(found)[MAX_FIELDS]
        raise BadSettings(f"{excess}: a run has at most {MAX_FIELDS} settings", field=excess)
    return found


class _Unreadable(str):
    """A number that is none: NaN, Infinity, or one with more digits than anybody needs."""

    __slots__ = ()


def _bounded(read: Callable[[str], Any]) -> Callable[[str], Any]:
    def parse(text: str) -> Any:
        number = read(text) if len(text) <= MAX_DIGITS else math.inf
        return number if math.isfinite(number) else _Unreadable(text)

    return parse


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            shown = name[:MAX_NAME_CHARACTERS]
            raise BadSettings(f"{shown}: given twice", field=shown)
        found[name] = value
    return found


def _flag_of(name: str) -> str:
    """Convert a setting's name to its flag's: with _ or -, with or without the dashes in front."""
    return name.lstrip("-").replace("_", "-").lower()


def _value_of(name: str, flag: str, value: Any) -> Value:
    def refuse(reason: str) -> NoReturn:
        raise BadSettings(f"{name}: {reason}", field=name)

    if value is None or isinstance(value, bool):
        return value
    several = value if isinstance(value, list) else [value]
    if len(several) > MAX_VALUES:
        refuse(f"at most {MAX_VALUES} of them")
    texts = []
    for one in several:
        if isinstance(one, _Unreadable):
            refuse(f"{one[:MAX_DIGITS]} is not a number that a setting can have")
        if isinstance(one, bool) or not isinstance(one, str | int | float):
            refuse("a text or a number")
        text = one if isinstance(one, str) else _text_of(one)
        if flag not in _LONG_TEXTS and len(text) > MAX_CHARACTERS:
            refuse(f"at most {MAX_CHARACTERS} characters")
        if "\0" in text or any("\ud800" <= ch <= "\udfff" for ch in text):
            refuse("it has a character that no argument can have")
        if (parse := UNITS.get(flag)) is not None:
            if len(text) > MAX_UNIT_CHARACTERS:
                refuse(f"at most {MAX_UNIT_CHARACTERS} characters")
            try:
                parse(text)
            except ValueError as exc:
                refuse(str(exc))
        texts.append(text)
    return texts if isinstance(value, list) else texts[0]


def _text_of(number: float) -> str:
    """Write a number as it would be typed."""
    return format(number, "f").rstrip("0").rstrip(".") if "." in repr(number) else str(number)
