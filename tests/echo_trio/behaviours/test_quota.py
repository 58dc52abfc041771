"""A quota lets through what a bucket of exact numbers would, and closes at the first too many."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from echo_trio.behaviours.actions import Close, Reply
from echo_trio.behaviours.quota import TOO_MANY, quota

from .acting import Acting, Empty

#: Quarters of a second, which floats hold exactly.
PAUSES = st.lists(st.integers(0, 12), max_size=40)


@given(PAUSES, st.sampled_from([0.25, 0.5, 1.0, 3.0, 8.0]))
def test_a_quota_is_a_bucket_that_is_filled_at_the_rate(pauses: list[int], per_s: float) -> None:
    stage = Empty()
    acting = Acting(quota(per_s)(lambda: 7), stage)
    rate = Fraction(per_s)
    most = max(rate, Fraction(1))
    began_s, filled_s, tokens = Fraction(stage.time_s), Fraction(0), most
    for pause in pauses:
        stage.time_s += pause / 4
        now_s = Fraction(stage.time_s) - began_s
        tokens, filled_s = min(tokens + (now_s - filled_s) * rate, most), now_s
        (action,) = acting.received("m")
        if tokens < 1:
            assert isinstance(action, Close)
            assert action.code == TOO_MANY == 4429
            return
        tokens -= 1
        assert action == Reply("m 7")


@pytest.mark.parametrize(("per_s", "says"), [(1.0, "1 message a"), (0.5, "0.5 messages a")])
def test_who_is_over_it_is_told_how_many_it_may_send(per_s: float, says: str) -> None:
    acting = Acting(quota(per_s)(lambda: 7))
    assert acting.script.at_once
    actions = [*acting.received("m"), *acting.received("m")]
    assert isinstance(actions[-1], Close)
    assert says in actions[-1].reason
