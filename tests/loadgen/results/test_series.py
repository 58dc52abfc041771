"""Seconds of several processes become those of one run, by the clock on the wall."""

from collections import defaultdict
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from loadgen.results.series import Second, merge_series

BEGAN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def second(t_s, *, open=0, opening=0, sent=0, received=0, errors=0, p50=0.0, p99=0.0, lag=0.0):  # noqa: A002
    return Second(
        t_s=t_s, open=open, opening=opening, sent=sent, received=received, errors=errors,
        p50_ms=p50, p99_ms=p99, lag_ms=lag,
    )  # fmt: skip


def test_counts_and_gauges_add_up_and_of_percentiles_the_worst_counts():
    one = second(1.02, open=3, opening=5, sent=7, received=11, errors=1, p50=2.0, p99=9.0, lag=0.5)
    two = second(0.98, open=30, opening=50, sent=70, received=110, errors=10, p50=1.0, p99=8.0,
                 lag=4.0)  # fmt: skip
    assert merge_series([(BEGAN, [one]), (BEGAN, [two])]) == [
        second(
            1.0, open=33, opening=55, sent=77, received=121, errors=11, p50=2.0, p99=9.0, lag=4.0
        )
    ]  # fmt: skip


def test_a_part_that_booked_nothing_for_a_second_still_has_its_sockets():
    held_up = [second(1.0, open=4, opening=2), second(3.0, open=5)]
    other = [second(1.0, open=1), second(2.0, open=2), second(3.0, open=3)]
    merged = merge_series([(BEGAN, held_up), (BEGAN, other)])
    assert [(each.open, each.opening) for each in merged] == [(5, 2), (6, 2), (8, 0)]


def test_a_part_that_is_over_has_what_it_ended_with():
    over = [second(1.0, open=4), second(1.4, open=0, sent=2, errors=3)]
    merged = merge_series([(BEGAN, over), (BEGAN, [second(1.0, open=1), second(2.0, open=1)])])
    assert [(each.t_s, each.open, each.sent, each.errors) for each in merged] == [
        (1.0, 1, 2, 3), (2.0, 1, 0, 0)
    ]  # fmt: skip


def test_the_last_second_cut_short_is_part_of_the_one_before():
    seconds = [
        second(1.0, sent=10, received=9, errors=1, open=5, p50=1.0, p99=7.0, lag=2.0),
        second(1.3, sent=1, received=2, errors=3, open=0, p50=3.0, p99=4.0, lag=1.0),
    ]
    assert merge_series([(BEGAN, seconds)]) == [
        second(1.0, sent=11, received=11, errors=4, open=0, p50=3.0, p99=7.0, lag=2.0)
    ]


def test_a_run_that_was_over_at_once_has_a_first_second():
    assert [each.t_s for each in merge_series([(BEGAN, [second(0.2, sent=1)])])] == [1.0]


def test_a_part_that_began_later_has_its_seconds_later():
    late = (BEGAN + timedelta(seconds=2.2), [second(1.0, sent=1), second(2.0, sent=2)])
    early = (BEGAN, [second(float(number), sent=10 * number) for number in (1, 2, 3, 4)])
    for parts in ([early, late], [late, early]):
        assert [(each.t_s, each.sent) for each in merge_series(parts)] == [
            (1.0, 10), (2.0, 20), (3.0, 31), (4.0, 42)
        ]  # fmt: skip


def test_nothing_merges_to_nothing():
    assert merge_series([]) == merge_series([(BEGAN, [])]) == []


@given(
    st.lists(
        st.tuples(
            st.integers(0, 3000),
            st.lists(st.tuples(st.integers(1, 6), st.integers(0, 99)), max_size=6),
        ),
        max_size=4,
    )
)
def test_each_count_is_in_exactly_one_second_whatever_the_clocks_say(parts):
    made = [
        (BEGAN + timedelta(milliseconds=ms), [second(float(t), sent=n, received=2 * n, errors=3 * n)
                                              for t, n in sorted(seconds)])
        for ms, seconds in parts
    ]  # fmt: skip
    merged = merge_series(made)
    total = sum(n for _, seconds in parts for _, n in seconds)
    assert sum(each.sent for each in merged) == total
    assert sum(each.received for each in merged) == 2 * total
    assert sum(each.errors for each in merged) == 3 * total
    assert len({each.t_s for each in merged}) == len(merged)


SECONDS = st.lists(
    st.builds(
        lambda t, *figures: second(t, **dict(zip(FIGURES, figures, strict=True))),
        st.sampled_from([0.2, 1.0, 1.4, 2.0, 3.1, 5.0, 5.3]),
        *[st.integers(0, 9)] * 5,
        *[st.none() | st.sampled_from([0.0, 1.5, 7.0])] * 3,
    ),
    max_size=5,
)
FIGURES = ("open", "opening", "sent", "received", "errors", "p50", "p99", "lag")


@given(st.lists(st.tuples(st.integers(0, 4), SECONDS), max_size=3))
def test_each_second_has_what_a_slow_and_obvious_reference_gives_it(parts):
    parts = [(began, sorted(seconds, key=lambda one: one.t_s)) for began, seconds in parts]
    first = min((began for began, _ in parts), default=0)
    by_second = defaultdict(list)
    for part, (began, seconds) in enumerate(parts):
        for one in seconds:
            by_second[began - first + max(round(one.t_s), 1)].append((part, one))
    expected, now = [], defaultdict(lambda: (0, 0))
    for t_s, entries in sorted(by_second.items()):
        for part, one in entries:
            now[part] = one.open, one.opening
        told = [one for _, one in entries]
        worst = {
            name: max((v for one in told if (v := getattr(one, name)) is not None), default=None)
            for name in ("p50_ms", "p99_ms", "lag_ms")
        }
        sums = {name: sum(getattr(one, name) for one in told) for name in ("sent", "received",
                                                                           "errors")}  # fmt: skip
        opened, opening = (sum(each) for each in zip(*now.values(), strict=True))
        expected.append(Second(t_s=float(t_s), open=opened, opening=opening, **sums, **worst))
    made = [(BEGAN + timedelta(seconds=began), seconds) for began, seconds in parts]
    assert merge_series(made) == expected
