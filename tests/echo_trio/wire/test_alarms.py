"""Alarms ring once each, in order, when they are due."""

from __future__ import annotations

from math import inf

from hypothesis import example, given
from hypothesis import strategies as st

from echo_trio.wire.alarms import Alarms

MOMENTS = st.integers(0, 9).map(float)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("set"), MOMENTS),
        st.tuples(st.just("drop"), st.integers(0, 9)),
        st.tuples(st.just("ring"), MOMENTS),
        st.tuples(st.just("set one that sets another"), MOMENTS),
    ),
    max_size=20,
)


@given(STEPS)
@example([("set", 1.0), ("set", 5.0), ("set", 2.0), ("drop", 0)])
def test_each_alarm_rings_once_in_the_order_of_its_moment(steps: list[tuple[str, float]]) -> None:
    """Beside a list of what is set, in the order in which it was."""
    alarms = Alarms()
    waiting: dict[int, tuple[float, str]] = {}
    rung: list[str] = []
    expected: list[str] = []
    for number, (step, what) in enumerate(steps):
        name = str(number)
        if step == "set":
            waiting[alarms.set(what, lambda name=name: rung.append(name))] = (what, name)  # type: ignore[misc]
        elif step == "set one that sets another":

            def chain(name: str = name, due_s: float = what) -> None:
                rung.append(name)
                # Due at once, and yet not before the next time that somebody looks.
                waiting[alarms.set(due_s, lambda: rung.append(f"{name}'s"))] = (due_s, f"{name}'s")

            waiting[alarms.set(what, chain)] = (what, name)
        elif step == "drop":
            # By its number; one that has rung, or is none, changes nothing.
            alarms.drop(int(what) + 1)
            waiting.pop(int(what) + 1, None)
        else:
            due = sorted((at, key) for key, (at, _) in waiting.items() if at <= what)
            expected += [waiting.pop(key)[1] for _, key in due]
            alarms.ring(what)
        assert rung == expected
        assert alarms.next_s == min((at for at, _ in waiting.values()), default=inf)


def test_one_that_rings_knows_what_is_next() -> None:
    alarms, seen = Alarms(), list[float]()
    for due_s in (3.0, 1.0, 2.0):
        alarms.set(due_s, lambda: seen.append(alarms.next_s))
    alarms.ring(5.0)
    assert seen == [2.0, 3.0, inf]
