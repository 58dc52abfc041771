"""Nobody can use the console against the server."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from .attack import Attack
from .attackers_console import CROWDS, FLOODS
from .marks import cases

Withstands = Callable[[Attack, int], list[str]]


@pytest.mark.parametrize(
    ("attack", "count"), cases(FLOODS, (1, 20), {("console-headers-in-order", 1)})
)
def test_who_floods_the_console_costs_the_others_little_more_than_an_honest_flooder(
    withstands: Withstands, attack: Attack, count: int
) -> None:
    assert withstands(attack, count) == []


@pytest.mark.parametrize(("attack", "count"), cases(CROWDS, (200,)))
def test_who_holds_connections_to_the_console_keeps_nobody_out(
    withstands: Withstands, attack: Attack, count: int
) -> None:
    assert withstands(attack, count) == []
