import pytest

from loadgen.workload.pacing import Ramps, Share, Stage, Steady


@pytest.mark.parametrize(
    ("rate_per_s", "duration_s", "at_most", "total"),
    [
        pytest.param(20.0, 5.0, float("inf"), 100, id="as-many-as-the-duration-holds"),
        pytest.param(20.0, 5.0, 30, 30, id="no-more-than-that"),
        pytest.param(20.0, float("inf"), 30, 30, id="without-end"),
        pytest.param(0.0, 5.0, float("inf"), 0, id="held-idle"),
        pytest.param(0.0, float("inf"), 30, 0, id="idle-without-end"),
        pytest.param(100.0, 0.29, float("inf"), 29, id="a-float-just-below"),
        pytest.param(10.0, 0.0, float("inf"), 0, id="no-time"),
    ],
)
def test_the_total_of_a_steady_schedule(rate_per_s, duration_s, at_most, total):
    assert Steady.lasting(rate_per_s, duration_s, at_most).total == total


def test_messages_are_evenly_spread_from_half_a_period_on():
    pace = Steady.lasting(4.0, 10.0)
    assert [pace.due_at(k) for k in range(4)] == [0.125, 0.375, 0.625, 0.875]


@pytest.mark.parametrize(
    "pace",
    [
        pytest.param(Steady.lasting(4.0, 10.0), id="steady"),
        pytest.param(Ramps([Stage(10.0, 8.0)]), id="ramp"),
    ],
)
def test_nothing_is_due_beyond_the_total(pace):
    assert pace.due_by(1e9) == pace.total == 40


def test_a_message_is_due_at_the_moment_it_is_due():
    pace = Steady.lasting(21.0, 10.0)
    assert all(pace.due_by(pace.due_at(k)) == k + 1 for k in range(pace.total))


def test_the_first_stage_begins_at_nothing():
    # 100 t²/2 messages by t, so the first half is due at 0.1 s.
    pace = Ramps([Stage(1.0, 100.0)])
    assert pace.total == 50
    assert pace.due_at(0) == pytest.approx(0.1)
    assert pace.due_at(49) == pytest.approx((2 * 49.5 / 100) ** 0.5)


@pytest.mark.parametrize(
    ("stages", "moments"),
    [
        pytest.param([(0.0, 2.0), (2.0, 2.0)], [0.25, 0.75, 1.25, 1.75], id="a-step"),
        pytest.param(
            [(0.0, 1.0), (1.0, 1.0), (0.0, 0.0), (5.0, 0.0), (0.0, 1.0), (1.0, 1.0)],
            [0.5, 6.5],
            id="a-pause",
        ),
        pytest.param([(2.0, 2.0), (2.0, 0.0)], [2**0.5 / 2**0.5, 6**0.5 / 2**0.5, 4 - 3**0.5, 3.0],
                     id="up-and-down"),
    ],
)  # fmt: skip
def test_stages_are_steps_pauses_and_ramps(stages, moments):
    pace = Ramps([Stage(*stage) for stage in stages])
    assert pace.total == len(moments)
    assert [pace.due_at(k) for k in range(pace.total)] == pytest.approx(moments)


def test_shares_are_dealt_by_the_sockets_turns():
    whole = Steady.lasting(10.0, 1.0)
    first, second = (Share(whole, index=index, shards=2, sockets=3) for index in (0, 1))
    # Sockets 0 and 2 are the first shard's, socket 1 is the second's.
    assert [first.due_at(k) for k in range(first.total)] == [
        whole.due_at(k) for k in (0, 2, 3, 5, 6, 8, 9)
    ]
    assert [second.due_at(k) for k in range(second.total)] == [whole.due_at(k) for k in (1, 4, 7)]
