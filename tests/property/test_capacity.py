"""The search for capacity, against targets that are simulated."""

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from loadgen.studies.capacity import MAX_STEPS, PRECISION, REPEATS, Search

capacities = st.floats(1, 10**6)
starts = st.floats(0.5, 10**5)


def search(start, holds):
    made, rates = Search(start), []
    while (rate := made.next_rate()) is not None:
        rates.append(rate)
        made.book(rate, held=holds(rate))
    return made, rates


@settings(max_examples=100, deadline=None)
@given(starts, capacities)
def test_the_capacity_of_a_steady_target_is_found_from_below(start, capacity):
    found, rates = search(start, lambda rate: rate <= capacity)
    assert found.held <= capacity < found.broke <= found.held * PRECISION
    assert found.runs_at(found.held) == REPEATS
    assert len(rates) < MAX_STEPS


@settings(max_examples=100, deadline=None)
@given(starts, st.floats(0.5, 2), st.integers())
def test_a_target_of_moods_ends_the_search_with_an_edge_that_held_each_time(start, mood, seed):
    chance = random.Random(seed)
    capacity = start * 20
    found, rates = search(start, lambda rate: chance.random() < (capacity / rate) ** mood)
    assert len(rates) <= MAX_STEPS
    if found.held is not None and found.broke is not None:
        assert found.held < found.broke


def test_a_target_that_never_holds_is_given_up():
    found, rates = search(100, lambda _: False)
    assert found.held is None
    assert rates[0] == 100
    assert len(rates) < 15


def test_the_edge_is_repeated_and_moves_down_if_it_breaks_once():
    edge = []

    def holds(rate):
        if rate <= 190:
            return True
        edge.append(rate)
        return rate <= 200 and len(edge) < 4  # 200 holds once, and breaks when it is tried again

    found, _ = search(100, holds)
    assert edge[:1] == [200]
    assert 100 < found.held < 200
    assert found.runs_at(found.held) == REPEATS
