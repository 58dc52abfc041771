"""What a server holds for its clients is a budget, and is given back when they have left."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from .attack import Attack
from .attackers_wire import FLOODS, HOARDERS
from .marks import cases

Withstands = Callable[[Attack, int], list[str]]
TWO_FRAGMENTS = FLOODS[0]


@pytest.mark.parametrize(("attack", "count"), cases(HOARDERS, (300,)))
def test_what_is_held_for_three_hundred_is_bounded_and_given_back(
    withstands: Withstands, attack: Attack, count: int
) -> None:
    assert withstands(attack, count) == []


@pytest.mark.parametrize(("attack", "count"), cases([TWO_FRAGMENTS], (200,)))
def test_two_hundred_who_fill_the_kernels_buffers_at_once_are_withstood(
    withstands: Withstands, attack: Attack, count: int
) -> None:
    assert withstands(attack, count) == []
