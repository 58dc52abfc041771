"""Read the settings of a test's server from its markers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields, replace
from difflib import get_close_matches
from typing import Any, NoReturn

import pytest

from echo_trio.settings import Settings
from echo_trio.testing.serving import DEFAULTS


def settings_of(
    markers: Iterable[pytest.Mark], name: str = "@pytest.mark.ws_server", **more: Any
) -> Settings:
    """Make the settings of a test's server: those of the nearest marker first.

    :param markers: the test's, its class's, its module's, in this order.
    :param name: begins the message of a failure.
    :param more: settings that come before those of every marker.
    :raises pytest.fail.Exception: in one line, if a marker is not understood.
    """
    given: dict[str, Any] = more
    for marker in markers:
        if marker.args:
            _refuse(f"settings are given by name, like seed=1, not as {marker.args[0]!r}", name)
        given = {**marker.kwargs, **given}
    known = [field.name for field in fields(Settings)]
    for key in given:
        if key not in known:
            near = get_close_matches(key, known, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            _refuse(f"there is no setting {key}{hint}", name)
    if given.get("workers", 1) != 1:
        _refuse(
            f"workers={given['workers']} are processes, and a test's server has one in this "
            "process",
            name,
        )
    try:
        return replace(DEFAULTS, **({"console": False} | given))
    except (TypeError, ValueError) as exc:
        _refuse(str(exc), name)


def _refuse(why: str, name: str) -> NoReturn:
    pytest.fail(f"{name}: {why}", pytrace=False)
