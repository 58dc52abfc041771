"""Read the settings of a test's server from its markers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields, replace
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Any, Final, NoReturn, get_args, get_type_hints

import msgspec
import pytest

from echo_trio.settings import Settings
from echo_trio.testing.serving import DEFAULTS

#: What a proxy of the same test has no use for: its upstream makes the replies.
_OF_REPLIES: Final = frozenset({"seed"})
#: Fields of `Settings` that have no effect in a test.
_OF_PROGRAMS: Final = ("log_format", "log_level")


def settings_of(
    markers: Iterable[pytest.Mark], name: str = "@pytest.mark.ws_server", **more: Any
) -> Settings:
    """Make the settings of a test's server: those of the nearest marker first.

    :param markers: the test's, its class's, its module's, in this order.
    :param name: begins the message of a failure.
    :param more: settings that come before those of every marker. With an upstream among them it is
        for a proxy, for which the markers' `seed` is not meant.
    :raises pytest.fail.Exception: in one line, if a marker is not understood.
    """
    given: dict[str, Any] = dict(more)
    for marker in markers:
        if marker.args:
            _refuse(f"settings are given by name, like seed=1, not as {marker.args[0]!r}", name)
        left_out = _OF_REPLIES if "upstream" in more else frozenset()
        given = {**{k: v for k, v in marker.kwargs.items() if k not in left_out}, **given}
    known = [field.name for field in fields(Settings)]
    for key in given:
        if key not in known:
            near = get_close_matches(key, known, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            _refuse(f"there is no setting {key}{hint}", name)
    for key in _OF_PROGRAMS:
        if key in given:
            _refuse(
                f"{key} is for a program; here the log goes to Python's logger echo_trio, "
                'as in caplog.set_level("DEBUG", logger="echo_trio")',
                name,
            )
    if given.get("workers", 1) != 1:
        _refuse(
            f"workers={given['workers']} are processes, and a test's server has one in this "
            "process",
            name,
        )
    try:
        given = {key: _read(key, value) for key, value in given.items()}
        return replace(DEFAULTS, **({"console": False} | given))
    except (TypeError, ValueError) as exc:
        problem = str(exc)
    # Behind the handler, or pytest would show both exceptions.
    raise pytest.fail.Exception(f"{name}: {problem}", pytrace=False)


def _read(key: str, value: Any) -> Any:
    """Check the value of a setting, as no type checker does in a marker; a file may be a text.

    :raises ValueError: if it is of another kind.
    """
    kind = _kinds()[key]
    if Path in get_args(kind):
        if isinstance(value, str | Path | None):
            return Path(value) if isinstance(value, str) else value
        raise ValueError(f"{key} is {value!r}, and has to be the path of a file")
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as exc:
        why = str(exc).replace("`", "").replace("null", "None")
        raise ValueError(f"{key} is {value!r}. {why}") from None


@cache
def _kinds() -> dict[str, Any]:
    return get_type_hints(Settings)


def _refuse(why: str, name: str) -> NoReturn:
    pytest.fail(f"{name}: {why}", pytrace=False)
