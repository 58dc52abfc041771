"""The choice of rates, against targets that are simulated."""

import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadgen.studies.capacity_search import (
    FAR,
    MAX_STEPS,
    MAX_STEPS_CONFIDENT,
    MORE_OFTEN_THAN_NOT,
    NEARLY_ALWAYS,
    PRECISION,
    REPEATS,
    RateTest,
    Search,
    _round,
    forecast,
    longest_test,
)
from loadgen.workload.plan import Plan


@pytest.mark.parametrize(
    ("tried", "expected"),
    [
        pytest.param([], 100, id="first"),
        pytest.param([(100, True)], 200, id="doubled"),
        pytest.param([(100, False)], 50, id="halved"),
        pytest.param([(100, True), (200, False)], 141, id="between"),
        pytest.param([(100, True), (100 * PRECISION, False)], 100, id="an-edge-of-a-tenth-is-one"),
        pytest.param([(100, True), (110.2, False)], 105, id="a-little-more-is-none"),
        pytest.param([(100, True)] * 2 + [(105, False)], 100, id="twice-is-too-few"),
        pytest.param([(100, True)] * 3 + [(105, False)], None, id="three-times-is-enough"),
        pytest.param([(100, True)] * 2 + [(105, False), (100, False)], 50, id="broke-in-between"),
        pytest.param([(100, False), (50, True), (70, False), (60, False)], 54.8, id="lowest-broke"),
        pytest.param([(0.15, False)], None, id="nothing-below"),
        pytest.param([(0.2, False)], 0.1, id="the-lowest"),
        pytest.param([(1, True)] * MAX_STEPS, None, id="enough-steps"),
        pytest.param([(1, True)] * (MAX_STEPS - 1), 2, id="one-step-left"),
    ],
)
def test_the_next_rate_is(tried, expected):
    search_ = Search(100)
    for rate, held in tried:
        search_.book(rate, held=held)
    assert search_.next_rate() == expected


capacities = st.floats(1, 10**6)
starts = st.floats(0.5, 10**5)


def walk(start, holds, confidence=None):
    made, rates = Search(start, confidence), []
    while (rate := made.next_rate()) is not None:
        rates.append(rate)
        made.book(rate, held=holds(rate))
    return made, rates


@settings(max_examples=100, deadline=None)
@given(starts, capacities)
def test_the_capacity_of_a_steady_target_is_found_from_below(start, capacity):
    found, rates = walk(start, lambda rate: rate <= capacity)
    assert found.held <= capacity < found.broke <= found.held * PRECISION
    assert found.runs_at(found.held) == REPEATS
    assert len(rates) < MAX_STEPS


@settings(max_examples=100, deadline=None)
@given(starts, st.floats(0.5, 2), st.integers())
def test_a_target_of_moods_ends_the_search_with_an_edge_that_held_each_time(start, mood, seed):
    chance = random.Random(seed)
    capacity = start * 20
    found, rates = walk(start, lambda rate: chance.random() < (capacity / rate) ** mood)
    assert len(rates) <= MAX_STEPS
    if found.held is not None and found.broke is not None:
        assert found.held < found.broke


def test_a_target_that_never_holds_is_given_up():
    found, rates = walk(100, lambda _: False)
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

    found, _ = walk(100, holds)
    assert edge[:1] == [200]
    assert 100 < found.held < 200
    assert found.runs_at(found.held) == REPEATS


@pytest.mark.parametrize("confidence", [None, 0.9])
@pytest.mark.parametrize("times", [1.5, FAR])
def test_a_forecast_counts_the_steps_that_a_search_then_takes(times, confidence):
    search, steps = Search(30.0, confidence), 0
    while (rate := search.next_rate()) is not None:
        search.book(rate, held=rate <= 30 * times)
        steps += 1
    told = forecast(Plan(1), confidence)
    assert steps == (told.least_steps if times < 2 else told.far_steps)


# -- With a confidence target ---------------------------------------------------------------------


@settings(max_examples=50, deadline=None)
@given(starts, capacities, st.sampled_from([0.5, 0.9, 0.95, 0.99]))
def test_both_sides_of_a_steady_targets_edge_are_tested(start, capacity, confidence):
    found, rates = walk(start, lambda rate: rate <= capacity, confidence)
    assert found.held <= capacity < found.broke <= found.held * PRECISION
    assert found.is_sure_of(found.held)
    assert found.is_sure_of(found.broke)
    # The runs that proposed an edge are not among those that test it.
    assert found.runs_at(found.held) == found.runs_at(found.broke) == 1
    assert len(rates) < MAX_STEPS


def count_wrong(confidence, share_at, searches):
    """Count the searches whose finding is wrong about a side, and those not sure of both."""
    chance, wrong, unsure = random.Random(1), 0, 0
    for _ in range(searches):
        found, rates = walk(20, lambda rate: chance.random() < share_at(rate), confidence)
        assert len(rates) <= (MAX_STEPS if confidence is None else MAX_STEPS_CONFIDENT)
        wrong += (found.held is not None and share_at(found.held) <= MORE_OFTEN_THAN_NOT) or (
            found.broke is not None and share_at(found.broke) >= NEARLY_ALWAYS
        )
        unsure += not (found.is_sure_of(found.held) and found.is_sure_of(found.broke))
    return wrong, unsure


def test_a_confident_search_is_wrong_less_often_than_it_may_where_one_without_is_wrong_often():
    """A target which breaks one run of twenty for reasons of its own, and the rest beyond 1,000."""

    def share_at(rate):
        return 0.95 if rate < 1000 else 0.2

    wrong, _ = count_wrong(None, share_at, 200)
    assert wrong > 50
    wrong, unsure = count_wrong(0.95, share_at, 200)
    assert wrong <= 10
    assert unsure <= 10


def test_a_search_that_has_no_time_to_be_sure_says_so():
    """The share that holds falls from nearly all to nearly none over a hundredfold rate."""
    wrong, unsure = count_wrong(0.95, lambda rate: 1 / (1 + (rate / 1000) ** 2), 30)
    assert wrong <= 2
    assert unsure >= 1


@pytest.mark.parametrize("error", [0.25, 0.05, 0.025, 0.0125])
def test_a_test_of_a_rate_errs_no_more_than_it_may_however_long_it_takes(error):
    """Counted over every course of a test, by its own book-keeping: no figure of the module's."""
    for share, wrong in ((MORE_OFTEN_THAN_NOT, True), (NEARLY_ALWAYS, False)):
        chances, erred = {(0, 0): 1.0}, 0.0
        while chances:
            after = dict.fromkeys(())
            for (held, broke), chance in chances.items():
                for outcome in (True, False):
                    test = RateTest(error, held, broke)
                    test.book(held=outcome)
                    here = chance * (share if outcome else 1 - share)
                    if test.verdict is None:
                        after[test.held, test.broke] = after.get((test.held, test.broke), 0) + here
                    elif test.verdict is wrong:
                        erred += here
            chances = after
        assert 0 < erred <= error
    assert longest_test(error) <= 28


def test_a_rate_that_broke_by_chance_is_passed_once_its_test_has_held():
    search = Search(100, 0.9)
    search.book(100, held=True)
    search.book(200, held=False)  # By chance.
    for rate in (141, 168, 183):
        assert search.next_rate() == rate
        search.book(rate, held=True)
    tested = 0
    while search.next_rate() == 200:
        search.book(200, held=True)
        tested += 1
    assert tested == math.ceil(math.log(1 / 0.05) / math.log(0.9 / 0.5))
    assert (search.held, search.broke, search.next_rate()) == (200, None, 400)


@given(st.floats(1.0, 1e6), st.floats(PRECISION + 1e-3, 1000.0))
def test_a_rate_between_is_one_that_was_not_tried(held, times):
    """Also where three digits can't tell it from one of both."""
    search = Search(held)
    broke = held * times
    for rate, is_held in ((held, True), (broke, False)):
        search.book(rate, held=is_held)
    assert held < search.next_rate() < broke


@pytest.mark.parametrize("edge", [(100.0, 105.0), (1000.0, 1001.0)])
def test_of_a_narrow_edge_the_upper_side_is_tested_first(edge):
    held, broke = edge
    search = Search(held, 0.95)
    search.book(held, held=True)
    search.book(broke, held=False)
    assert search.next_rate() == broke
    while search.next_rate() == broke:
        search.book(broke, held=False)
    assert (search.is_sure_of(broke), search.is_sure_of(held)) == (True, False)
    assert search.next_rate() == held


@pytest.mark.parametrize(
    ("plan", "step_s"),
    [
        (Plan(600, duration_s=60.0, connect_rate=10.0), 120.0),
        (Plan(600, duration_s=60.0), 60.0),
        (Plan(1, duration_s=7.5, connect_rate=2.0), 8.0),
    ],
)
def test_a_step_takes_its_opening_and_its_load(plan, step_s):
    assert forecast(plan).step_s == step_s


@given(st.floats(1e-3, 1e6), st.floats(1e-6, 2), st.floats(0.01, 0.99))
def test_a_rate_is_rounded_as_long_as_it_stays_between_those_that_were_tried(low, width, at):
    high = low * (1 + width)
    rate = low + (high - low) * at
    if low < rate < high:
        rounded = _round(rate, low, high)
        assert low < rounded < high
        assert rounded == rate or rounded == float(f"{rate:.3g}")


def test_a_rate_of_three_digits_that_was_tried_is_not_tried_again():
    assert _round(100.2, 100.0, 105.0) == 100.2
    assert _round(104.8, 100.0, 105.0) == 104.8
    assert _round(102.4, 100.0, 105.0) == 102.0


def test_a_search_is_as_exact_as_the_manual_says():
    assert (PRECISION, REPEATS, FAR) == (1.1, 3, 100)
    assert (MAX_STEPS, MAX_STEPS_CONFIDENT) == (60, 200)
    assert (MORE_OFTEN_THAN_NOT, NEARLY_ALWAYS) == (0.5, 0.9)


@pytest.mark.parametrize(("confidence", "errors"), [(0.95, [0.025, 0.0125]), (0.5, [0.25, 0.125])])
def test_the_first_test_may_err_with_half_of_the_error_the_second_with_a_quarter(
    confidence, errors
):
    search = Search(100, confidence)
    search.book(100, held=True)
    search.book(105, held=False)
    for rate, held in ((105, False), (100, True)):
        while search.next_rate() == rate:
            search.book(rate, held=held)
    assert [test.error for test in search._tests.values()] == pytest.approx(errors)
    assert search.runs_at(100) == search.runs_at(105) == 1


def test_a_forecast_names_the_most_steps_that_any_search_takes():
    assert forecast(Plan(1)).most_steps == 60
    assert (forecast(Plan(1), 0.9).most_steps, forecast(Plan(1), 0.9).confidence) == (200, 0.9)
