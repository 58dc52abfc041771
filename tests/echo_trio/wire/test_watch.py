"""Who is watched is a set; how the watch looks after them is tested on sockets (test_time)."""

from __future__ import annotations

import pytest

from echo_trio.wire.limits import Limits
from echo_trio.wire.watch import SLOTS, Watch


class Watched:
    """Is to be looked at again in so many seconds."""

    slot = 0

    def __init__(self, in_s: float) -> None:
        self.in_s, self.looked = in_s, 0

    def look(self, _: float) -> float:
        self.looked += 1
        return self.in_s


@pytest.mark.parametrize("limits", [Limits(), Limits(ping_interval_s=1.0, ping_timeout_s=2.0)])
def test_the_connections_of_a_process_are_a_set(limits) -> None:
    watch = Watch(limits)
    made = [Watched(in_s) for in_s in (0.0, 0.1, 0.1, 50.0, float("inf"))]
    for each in made:
        watch.add(each)  # type: ignore[arg-type]
    assert len(watch) == 5
    assert set(watch) == set(made)
    for gone, each in enumerate(made, 1):
        assert each in watch
        watch.discard(each)  # type: ignore[arg-type]
        watch.discard(each)  # type: ignore[arg-type]
        assert each not in watch
        assert len(watch) == 5 - gone


def test_each_is_looked_at_when_it_is_time_to_and_stays_watched() -> None:
    watch = Watch(Limits(ping_interval_s=64.0, ping_timeout_s=64.0))  # a tick is a second
    soon, later, never = Watched(3.0), Watched(10.0), Watched(float("inf"))
    for each in (soon, later, never):
        watch.add(each)  # type: ignore[arg-type]
    for _ in range(30):
        watch._turn()
    assert (soon.looked, later.looked, never.looked) == (11, 4, 1)
    for _ in range(SLOTS):
        watch._turn()
    assert never.looked == 2
    assert len(watch) == 3
