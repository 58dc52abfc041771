"""Mark which functions of a script are scenarios, and how many of the users each gets."""

from __future__ import annotations

import types
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from math import gcd
from typing import TYPE_CHECKING, Final, TypeVar, overload

if TYPE_CHECKING:
    from loadgen.scenario.user import User

UserFunction = Callable[["User"], Awaitable[None]]
_Function = TypeVar("_Function", bound=UserFunction)

#: The attribute in which a function keeps the weight that `scenario` gave it.
WEIGHT: Final = "__loadgen_weight__"
#: Weights are a proportion: larger numbers are not needed for one.
MAX_WEIGHT: Final = 10_000
#: A function that uses one of these has a load phase, and is no journey.
_WAITS: Final = frozenset({"pace", "ready"})
#: A function that uses one of these lasts as long as the load, so it begins before.
_LASTS: Final = _WAITS | {"stream"}


@overload
def scenario(function: _Function, /) -> _Function: ...


@overload
def scenario(*, weight: int = 1) -> Callable[[_Function], _Function]: ...


def scenario(
    function: _Function | None = None, /, *, weight: int = 1
) -> _Function | Callable[[_Function], _Function]:
    """Make an async function a scenario: each call is one user.

    A script may have several. Of ten users a scenario of weight 9 beside one of weight 1 gets nine,
    by the users' numbers, so the same users run the same scenario in any number of processes.

    :param weight: from 1 to 10,000; 1 by default.
    :raises ValueError: if it is not.
    """
    if isinstance(weight, bool) or not isinstance(weight, int) or not 1 <= weight <= MAX_WEIGHT:
        raise ValueError(f"weight={weight!r}: a weight is a whole number from 1 to {MAX_WEIGHT:,}")

    def mark(marked: _Function) -> _Function:
        setattr(marked, WEIGHT, weight)
        return marked

    return mark if function is None else mark(function)


@dataclass(frozen=True, slots=True)
class Scenario:
    """A scenario of a script.

    :ivar is_journey: true if it neither paces nor waits for the load: it is run again and again
        while that lasts, or by arrivals.
    :ivar has_pace: true if it paces: if its calls fall due at a rate.
    :ivar begins_early: true if it is begun in the open phase: it paces, waits for the load, or has
        a stream.
    """

    name: str
    run: UserFunction
    weight: int
    is_journey: bool
    begins_early: bool
    has_pace: bool

    @classmethod
    def of(cls, name: str, function: UserFunction, weight: int) -> Scenario:
        """Make a scenario of a function, whose code shows which phases it has."""
        names = {name for code in _reachable(function) for name in code.co_names}
        return cls(
            name,
            function,
            weight,
            is_journey=not names & _WAITS,
            begins_early=bool(names & _LASTS),
            has_pace="pace" in names,
        )


def deal(scenarios: list[Scenario]) -> list[Scenario]:
    """Deal the users to scenarios: return the scenario of each number; the list repeats.

    Scenarios alternate as evenly as their weights allow.
    """
    divisor = gcd(*(each.weight for each in scenarios))
    weights = [each.weight // divisor for each in scenarios]
    whole, credit, turns = sum(weights), [0] * len(weights), []
    for _ in range(whole):
        credit = [have + weight for have, weight in zip(credit, weights, strict=True)]
        chosen = max(range(len(credit)), key=credit.__getitem__)
        credit[chosen] -= whole
        turns.append(scenarios[chosen])
    return turns


def _reachable(function: object) -> Iterator[types.CodeType]:
    """Yield the code of a function, and of those of its own script that it names."""
    seen, waiting = set[int](), [function]
    while waiting:
        here = waiting.pop()
        if id(here) in seen:
            continue
        seen.add(id(here))
        if isinstance(here, type):
            waiting += vars(here).values()
        elif isinstance(here, staticmethod | classmethod):
            waiting.append(here.__func__)
        elif isinstance(here, types.CodeType):
            yield here
            waiting += here.co_consts
        elif isinstance(here, types.FunctionType) and not here.__module__.startswith("loadgen."):
            waiting.append(here.__code__)
            known = here.__globals__
            waiting += [known[name] for name in _names(here.__code__) if name in known]


def _names(code: types.CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _names(constant)
