"""Mark each case of an attack: a few run in `make test`, all in `make hostile`."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

import pytest

from .attack import Attack


def cases(
    attacks: Iterable[Attack], counts: Iterable[int], briefly: Collection[tuple[str, int]] = ()
) -> list[Any]:
    """Every attack with every count, thoroughly; and those that `make test` tries, briefly."""
    found = []
    for attack in attacks:
        for count in counts:
            name = f"{attack.name}-{count}"
            found.append(pytest.param(attack, count, id=name, marks=pytest.mark.hostile))
            if (attack.name, count) in briefly:
                found.append(
                    pytest.param(attack, count, id=f"{name}-brief", marks=pytest.mark.alone)
                )
    return found
