"""Read the settings of a test's server from its markers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields, replace
from difflib import get_close_matches
from typing import Any, NoReturn

import pytest

from echo_trio.settings import Settings
from echo_trio.testing.serving import DEFAULTS


def settings_of(markers: Iterable[pytest.Mark]) -> Settings:
    """Make the settings of a test's server: those of the nearest marker first.

    :param markers: the test's, its class's, its module's, in this order.
    :raises pytest.fail.Exception: in one line, if a marker is not understood.
    """
    given: dict[str, Any] = {}
    for marker in markers:
        if marker.args:
            _refuse(f"settings are given by name, like seed=1, not as {marker.args[0]!r}")
        given = {**marker.kwargs, **given}
    known = [field.name for field in fields(Settings)]
    for name in given:
        if name not in known:
            near = get_close_matches(name, known, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            _refuse(f"there is no setting {name}{hint}")
    if given.get("workers", 1) != 1:
        _refuse(
            f"workers={given['workers']} are processes, and a test's server has one in this process"
        )
    try:
        return replace(DEFAULTS, **({"console": False} | given))
    except (TypeError, ValueError) as exc:
        _refuse(str(exc))


def _refuse(why: str) -> NoReturn:
    pytest.fail(f"@pytest.mark.ws_server: {why}", pytrace=False)
