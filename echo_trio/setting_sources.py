"""Read settings from variables and from a file of settings, by the names of the flags.

There is one table of settings, the fields of `Settings` as cyclopts reads them. This module asks it
for the name, the kind and the repeatability of each, so that a new field is a variable and a key
without another line, and a value means the same wherever it stands.

A variable is not as deliberate as a flag: Kubernetes sets some by itself, Compose sets those that
are empty, and a name from an older version stays in a unit file. What is surely no setting of ours
is therefore passed over with a note, and only a bad value is an error. A file is written on
purpose: there an unknown key is an error.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Final, get_origin

from cyclopts import Token

if TYPE_CHECKING:
    from cyclopts import App, Argument, ArgumentCollection

#: The file of settings may be named by a variable, too, but not by itself.
CONFIG: Final = "config"

_LINK_NAME: Final = re.compile(
    r"(?:.*_)?SERVICE_(?:HOST|PORT(?:_.+)?)|(?:.*_)?PORT_[0-9]+_(?:TCP|UDP|SCTP)(?:_.+)?"
)
_LINK_VALUE: Final = re.compile(r"(?:tcp|udp|sctp)://")
_SWITCH: Final = {
    **dict.fromkeys(("1", "true", "yes", "on"), True),
    **dict.fromkeys(("0", "false", "no", "off"), False),
}
#: Between the values of a list in a variable; no host, network or origin has one.
_BETWEEN: Final = re.compile(r"[,\s]+")


class BadSource(Exception):
    """A variable or key that is no setting; the message says which, and what may be meant."""


@dataclass(slots=True)
class Given:
    """Settings from one source: by flag name without dashes, where each stands and its texts.

    As a configuration of cyclopts it adds them to what no stronger source has set.

    :ivar notes: ignored settings, one line each.
    """

    settings: dict[str, tuple[str, list[str]]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def __call__(self, app: App, commands: tuple[str, ...], arguments: ArgumentCollection) -> None:
        """Hand the values to the parser; a hook of cyclopts."""
        for argument in arguments:
            place, texts = self.settings.get(_name_of(argument), ("", []))
            if argument.tokens:
                continue
            for index, text in enumerate(texts):
                argument.append(Token(keyword=place, value=text, source="", index=index))

    def add_weaker(self, other: Given) -> None:
        """Add the settings of another source that this one doesn't have."""
        self.settings = {**other.settings, **self.settings}
        self.notes += other.notes

    def replace_names(self, complaint: str) -> str:
        """Name settings in a complaint as their source does, and not by their flags."""

        def name(flag: re.Match[str]) -> str:
            place, _ = self.settings.get(flag[1], ("", []))
            return place or flag[0]

        return re.sub(r"--([a-z]+(?:-[a-z]+)*)", name, complaint)


def read_variables(
    table: Mapping[str, Argument], prefix: str, environment: Mapping[str, str]
) -> Given:
    """Read the variables that begin with a prefix.

    An empty variable is as good as none. A list is written with commas or blanks between.

    :param table: the settings, from `make_table`.
    :raises BadSource: if a switch is set to something that is neither on nor off.
    """
    given, links = Given(), []
    for variable in sorted(environment):
        if not variable.startswith(prefix) or not (text := environment[variable].strip()):
            continue
        rest = variable.removeprefix(prefix)
        name = rest.lower().replace("_", "-")
        if _LINK_NAME.fullmatch(rest) or (rest.endswith("PORT") and _LINK_VALUE.match(text)):
            links.append(variable)
        elif name == CONFIG:
            given.settings[name] = variable, [text]
        elif (switched := _find_setting(table, name)) is None:
            near = _did_you_mean(name, [*_names(table), CONFIG], prefix)
            given.notes.append(f"{variable} is no setting{near}")
        else:
            argument, is_negative = switched
            values = _BETWEEN.split(text.strip(", ")) if is_repeatable(argument) else [text]
            if argument.hint is bool:
                if (is_on := _SWITCH.get(text.lower())) is None:
                    raise BadSource(f"{variable} is {text!r}: write 1 or 0")
                values = [_show_switch(is_on != is_negative)]
            given.settings[_name_of(argument)] = variable, values
    if links:
        given.notes.append(
            f"{', '.join(links)}: set by Kubernetes for a service of that name, and passed over; "
            "enableServiceLinks: false in the pod keeps them out"
        )
    return given


def read_keys(table: Mapping[str, Argument], keys: Mapping[str, Any], file: str) -> Given:
    """Read the keys of a file of settings, as TOML has parsed them.

    :param table: the settings, from `make_table`.
    :raises BadSource: if a key is unknown, or of a kind that its setting is not.
    """
    given = Given()
    for key, value in keys.items():
        place = f"{key} in {file}"
        name = key.replace("_", "-")
        if name == CONFIG:
            raise BadSource(f"{place}: a file of settings can't name another")
        if (switched := _find_setting(table, name)) is None:
            if isinstance(value, dict):
                raise BadSource(f"[{place}]: settings stand at the top of the file, in no table")
            raise BadSource(f"{place} is no setting{_did_you_mean(name, _names(table))}")
        argument, is_negative = switched
        given.settings[_name_of(argument)] = (
            place,
            _read_value(argument, value, place, is_negative=is_negative),
        )
    return given


def make_table(app: App) -> dict[str, Argument]:
    """Return the settings that a program takes, by flag name without dashes."""
    return {
        _name_of(each): each
        for each in app.assemble_argument_collection()
        if each.parse and each.name != "*"
    }


def is_repeatable(argument: Argument) -> bool:
    """Tell whether a setting takes several values."""
    return get_origin(argument.hint) in (tuple, list)


def _read_value(argument: Argument, value: Any, place: str, *, is_negative: bool) -> list[str]:
    if argument.hint is bool:
        if not isinstance(value, bool):
            raise BadSource(f"{place} is {value!r}: write true or false")
        return [_show_switch(value != is_negative)]
    if isinstance(value, list) and not is_repeatable(argument):
        raise BadSource(f"{place} is a list, and takes one value")
    values = value if isinstance(value, list) else [value]
    for each in values:
        if isinstance(each, bool) or not isinstance(each, (str, int, float)):
            raise BadSource(f"{place} has to be a text or a number")
    return [str(each) for each in values]


def _find_setting(table: Mapping[str, Argument], name: str) -> tuple[Argument, bool] | None:
    """Find a setting by one of its names; tell whether that name is the one that turns it off."""
    for argument in table.values():
        if f"--{name}" in argument.names:
            return argument, f"--{name}" in argument.negatives
    return None


def _names(table: Mapping[str, Argument]) -> list[str]:
    return [name.lstrip("-") for each in table.values() for name in each.names]


def _did_you_mean(name: str, names: Sequence[str], prefix: str = "") -> str:
    """Name the nearest setting, as a key or, with a prefix, as a variable."""
    if not (near := get_close_matches(name, names, n=1)):
        return ""
    meant = prefix + near[0].upper().replace("-", "_") if prefix else near[0]
    return f": did you mean {meant}?"


def _show_switch(value: bool) -> str:
    return "true" if value else "false"


def _name_of(argument: Argument) -> str:
    return argument.name.lstrip("-").lower()
