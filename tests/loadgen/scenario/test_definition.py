"""Deal users to scenarios by weight, as evenly as can be."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.scenario.definition import WEIGHT, Scenario, deal, scenario
from loadgen.scenario.user import User


async def do_nothing(user: object) -> None: ...


async def talk(user: User) -> None:
    async for _ in user.pace("1/s"):
        pass


async def listen(user: User) -> None:
    async with user.connect() as ws:
        async for _ in ws.stream():
            pass


class Chat:
    """Ways in which a script may lead to the call that says which phases it has."""

    async def through_a_method(self, user: User) -> None:
        await talk(user)

    @staticmethod
    async def through_a_static_method(user: User) -> None:
        await user.ready()

    @classmethod
    async def through_a_class_method(cls, user: User) -> None:
        await listen(user)


class Account:
    def __init__(self, user: User) -> None:
        self.user = user

    async def live(self) -> None:
        await talk(self.user)


async def through_a_class(user: User) -> None:
    await Account(user).live()


async def through_a_nested_function(user: User) -> None:
    async def inner() -> None:
        await user.ready()

    await inner()


async def through_each_other(user: User, depth: int = 2) -> None:
    await (again(user, depth - 1) if depth else do_nothing(user))


async def again(user: User, depth: int) -> None:
    await through_each_other(user, depth)


#: The functions by which the code of a scenario is found, whether it waits for the load, and
#: whether it is begun before.
SHAPES = [
    (do_nothing, False, False),
    (talk, True, True),
    (listen, False, True),
    (Chat().through_a_method.__func__, True, True),
    (Chat.__dict__["through_a_static_method"], True, True),
    (Chat.__dict__["through_a_class_method"], False, True),
    (through_a_class, True, True),
    (through_a_nested_function, True, True),
    (through_each_other, False, False),
]


@pytest.mark.parametrize(("function", "waits", "lasts"), SHAPES)
def test_the_phases_of_a_scenario_are_found_however_its_code_is_laid_out(
    function: object, waits: bool, lasts: bool
) -> None:
    found = Scenario.of("s", function, 1)  # type: ignore[arg-type]
    assert (found.is_journey, found.begins_early) == (not waits, lasts)


def test_what_is_the_products_own_is_not_looked_into() -> None:
    # `User.pace` itself names `pace`; a script that only mentions the class does not pace.
    async def mention(user: User) -> None:
        assert isinstance(user, User)

    assert Scenario.of("s", mention, 1).is_journey


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


@pytest.mark.parametrize("weight", [0, -1, 10_001, True, 1.0, "2", None])
def test_a_weight_is_a_whole_number_within_bounds(weight: Any) -> None:
    with pytest.raises(ValueError, match="a weight is a whole number from 1 to 10,000"):
        scenario(weight=weight)


@pytest.mark.parametrize("weight", [1, 2, 10_000])
def test_a_marked_function_stays_what_it_is_and_has_its_weight(weight: int) -> None:
    async def mine(user: User) -> None: ...

    assert scenario(weight=weight)(mine) is mine
    assert getattr(mine, WEIGHT) == weight
    assert scenario(mine) is mine
    assert getattr(mine, WEIGHT) == 1
