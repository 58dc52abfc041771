"""Deal users to scenarios by weight, as evenly as can be."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.scenario.definition import Scenario, deal


async def do_nothing(user: object) -> None: ...


def dealt(**weights: int) -> str:
    scenarios = [Scenario.of(name, do_nothing, weight) for name, weight in weights.items()]
    return "".join(each.name for each in deal(scenarios))


@pytest.mark.parametrize(
    ("weights", "turns"),
    [
        ({"a": 1}, "a"),
        ({"a": 7}, "a"),
        ({"a": 1, "b": 1}, "ab"),
        ({"a": 2, "b": 4}, "bab"),
        ({"a": 3, "b": 1}, "aaba"),
        ({"a": 1, "b": 1, "c": 2}, "cabc"),
    ],
)
def test_scenarios_alternate_by_their_weights(weights: dict[str, int], turns: str) -> None:
    assert dealt(**weights) == turns


@given(st.lists(st.integers(1, 30), min_size=1, max_size=5))
def test_each_gets_its_share_of_any_number_of_users_give_or_take_one_of_each_other(
    weights: list[int],
) -> None:
    names = "abcde"[: len(weights)]
    turns = dealt(**dict(zip(names, weights, strict=True)))
    assert {name: n * sum(weights) for name, n in Counter(turns).items()} == {
        name: weight * len(turns) for name, weight in zip(names, weights, strict=True)
    }
    for count in range(len(turns)):
        for name, weight in zip(names, weights, strict=True):
            share = count * weight / sum(weights)
            assert abs(turns[:count].count(name) - share) < len(weights)
