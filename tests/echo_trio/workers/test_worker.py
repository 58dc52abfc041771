"""A worker reports often, as long as that costs little."""

from __future__ import annotations

import pytest

from echo_trio.workers.worker import interval_after


@pytest.mark.parametrize(
    ("took_s", "interval_s"),
    [(0.0, 1.0), (0.004, 1.0), (0.010, 2.0), (0.020, 4.0), (0.5, 5.0)],
)
def test_who_needs_long_for_a_report_makes_fewer_of_them(took_s, interval_s):
    assert interval_after(took_s) == pytest.approx(interval_s)
