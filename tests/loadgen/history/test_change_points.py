import random
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.history import change_points
from loadgen.history.change_points import MIN_SIDE, Split, find_changes


def noisy(count, mean, seed, spread=0.03):
    chance = random.Random(seed)
    return [chance.gauss(mean, mean * spread) for _ in range(count)]


@pytest.mark.parametrize("seed", range(5))
def test_a_step_beyond_the_noise_is_found_where_it_is(seed):
    (found,) = find_changes([*noisy(12, 10, seed), *noisy(8, 12, seed + 50)])
    assert found.at == 12
    assert found.p <= change_points.SIGNIFICANCE


@pytest.mark.parametrize("means", [(10, 13, 10), (10, 12, 20), (20, 12, 11)])
def test_two_steps_are_two_changes_in_order_whichever_is_the_larger(means):
    values = [figure for seed, mean in enumerate(means, 1) for figure in noisy(15, mean, seed)]
    assert [split.at for split in find_changes(values)] == [15, 30]


@pytest.mark.parametrize("side", [3, 4])
def test_few_runs_whose_order_chance_may_have_made_are_no_change(side):
    # Two of the 20 or 70 orders have just these sides: 10 %, 3 %.
    assert find_changes([1.0] * side + [9.0] * side) == []


@pytest.mark.parametrize("is_turned", [True, False])
def test_a_change_may_be_as_near_to_either_end_as_a_side_is_short(is_turned):
    values = [*noisy(MIN_SIDE, 1, 1, 0.01), *noisy(20, 5, 2, 0.01)]
    (found,) = find_changes(values[::-1] if is_turned else values)
    assert found.at == (20 if is_turned else MIN_SIDE)


@pytest.mark.parametrize("at_the_end", [True, False])
def test_an_outlier_at_either_end_hides_no_change(at_the_end):
    steps = [*noisy(12, 10, 4), *noisy(12, 12, 7)]
    values = [*steps, 40.0] if at_the_end else [40.0, *steps]
    assert [split.at for split in find_changes(values)] == [12 if at_the_end else 13]


def test_an_outlier_after_a_change_hides_no_other_change():
    steps = [*noisy(20, 10, 1, 0.01), *noisy(12, 20, 2, 0.01), *noisy(12, 23, 3, 0.01)]
    assert [split.at for split in find_changes([*steps, 60.0])] == [20, 32]


def test_the_figures_in_their_own_order_are_among_the_shuffles_of_which_p_is_a_share():
    # No other order of twenty that is tried has just these sides.
    assert find_changes([1.0] * 10 + [9.0] * 10) == [Split(10, 1 / 500)]


def test_two_slow_runs_at_the_end_are_no_change_yet():
    assert find_changes([10.0, 10.1] * 20 + [30.0, 30.1]) == []
    assert [split.at for split in find_changes([10.0, 10.1] * 20 + [30.0, 30.1, 30.0])] == [40]


def test_noise_alone_is_hardly_ever_a_change():
    # One in a hundred is what the level of significance grants.
    alarms = [seed for seed in range(60) if find_changes(noisy(25, 10, seed))]
    assert len(alarms) <= 2


@pytest.mark.parametrize("slow", [1, 2])
def test_outliers_are_no_change(slow):
    assert find_changes([*noisy(10, 10, 4), *[30.0] * slow, *noisy(10, 10, 5)]) == []


@pytest.mark.parametrize("values", [[], [1.0], [5.0] * 30, [0.0] * 5 + [9.0]])
def test_too_little_or_the_same_is_no_change(values):
    assert find_changes(values) == []


@pytest.mark.parametrize("least", [1, MIN_SIDE])
@given(st.lists(st.floats(0, 100), min_size=2 * MIN_SIDE, max_size=12), st.randoms())
def test_the_best_split_is_the_one_of_the_papers_formula(least, values, chance):
    order = list(range(len(values)))
    chance.shuffle(order)
    placed = [values[index] for index in order]

    def energy(at):
        left, right = placed[:at], placed[at:]
        m, n = len(left), len(right)
        between = sum(abs(x - y) for x in left for y in right) * 2 / (m * n)
        within = sum(
            sum(abs(x - y) for x, y in combinations(side, 2)) / (len(side) * (len(side) - 1) / 2)
            # One figure alone is judged by the spread of the others.
            for side in (left if m > 1 else right, right if n > 1 else left)
        )
        return m * n / (m + n) * (between - within)

    distances = [[abs(x - y) for y in values] for x in values]
    best, at = change_points._find_best(distances, order, least)
    energies = {at: energy(at) for at in range(least, len(values) - least + 1)}
    assert best == pytest.approx(max(energies.values()), abs=1e-6)
    assert energies[at] == pytest.approx(best, abs=1e-6)


def test_a_split_as_good_as_one_shuffle_in_a_hundred_more_is_no_change():
    # Five of its 499 shuffles are as good: with itself that is 1.2 %.
    assert find_changes([6, 2, 1, 7, 2, 3, 6, 5, 10, 10, 12, 8]) == []
