"""One hostile WebSocket client, or twenty, cost the others little more than honest ones do."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from .attack import Attack
from .attackers_wire import CROWDS, FLOODS, HALF_HANDSHAKES, SERVICES
from .marks import cases

Withstands = Callable[[Attack, int], list[str]]

#: What `make test` tries; `make hostile` tries all. Those who hold something, not the processor,
#: are tried there by count, not by time: in wire/test_half_handshakes.py, test_memory.py,
#: console/test_hostile_clients.py.
BRIEFLY: set[tuple[str, int]] = {
    ("two-fragments", 20),
    ("pings", 20),
    ("compressed-fragments", 20),
}


@pytest.mark.parametrize(("attack", "count"), cases(FLOODS, (1, 20), BRIEFLY))
def test_who_floods_in_any_way_costs_the_others_little_more_than_an_honest_flooder(
    withstands: Withstands, attack: Attack, count: int
) -> None:
    assert withstands(attack, count) == []


@pytest.mark.parametrize(("attack", "count"), cases(SERVICES, (1, 20), set()))
def test_behaviours_that_make_much_of_little_cost_the_others_no_more_than_an_honest_flooder(
    withstands: Withstands, attack: Attack, count: int
) -> None:
    assert withstands(attack, count) == []


@pytest.mark.parametrize(("attack", "count"), cases(CROWDS, (1, 20), set()))
def test_who_comes_and_goes_or_stays_costs_the_others_little_more_than_an_honest_flooder(
    withstands: Withstands, attack: Attack, count: int
) -> None:
    assert withstands(attack, count) == []


@pytest.mark.parametrize(("attack", "count"), cases([HALF_HANDSHAKES], (150,)))
def test_half_handshakes_keep_nobody_out(
    withstands: Withstands, attack: Attack, count: int
) -> None:
    assert withstands(attack, count) == []
