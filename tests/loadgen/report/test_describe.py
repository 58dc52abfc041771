"""A run is named and summed up in a few words, each figure by its own name."""

from __future__ import annotations

from collections import Counter

import msgspec
import pytest

from loadgen.report.describe import (
    PERCENTILES,
    name_of,
    name_of_plan,
    show_ms,
    show_percentiles,
    show_settings,
    show_sockets,
)
from loadgen.results.latency import Summary
from loadgen.results.ledger import Ending, Ledger
from loadgen.results.verify import Verdict


def test_a_run_is_named_by_its_user_or_its_scenario_or_its_target(report_of):
    assert name_of(report_of(), "nightly") == "nightly"
    assert name_of(report_of()) == name_of(report_of(), "") == "ws://127.0.0.1:8765/"
    assert name_of_plan({"scenario": "talk.py", "url": "ws://h/"}) == "talk.py"
    assert name_of_plan({"scenario": None, "url": "ws://h/"}) == "ws://h/"
    assert name_of_plan({}) == "loadgen"


def test_what_was_opened_sent_and_got_back_is_in_one_line(report_of):
    ledger = Ledger(
        5000, opened=1001, closed=Counter({Ending.CLEAN: 1001}), sent=7000, received=6000,
        verdicts=Counter({Verdict.ECHOED: 6000}), lost=1000,
    )  # fmt: skip
    assert show_sockets(report_of(ledger)) == (
        "1,001 of 5,000 sockets opened, 7,000 messages sent, 6,000 echoed, 1,000 lost, p99 3.50 ms"
    )


def test_settings_that_were_left_empty_are_not_told(report_of):
    plan = {"a": None, "b": False, "c": "", "d": (), "e": [], "f": 7, "g": True, "h": ("x",),
            "i": "text", "j": 0.5}  # fmt: skip
    assert show_settings(msgspec.structs.replace(report_of(), plan=plan)) == {
        "f": "7", "g": "True", "h": "('x',)", "i": "text", "j": "0.5"
    }  # fmt: skip


@pytest.mark.parametrize(
    ("value", "shown"), [(None, "–"), (0.0, "0.00"), (0.125, "0.12"), (1234.5, "1,234.50")]
)
def test_a_time_has_two_digits_and_nothing_is_a_dash(value, shown):
    assert show_ms(value) == shown


def test_each_column_of_a_table_has_its_own_percentile():
    summary = Summary(count=9, p50=1.0, p90=2.0, p95=2.5, p99=3.0, p999=4.0, max=5.0)
    assert dict(zip(PERCENTILES.values(), show_percentiles(summary), strict=True)) == {
        "p50": "1.00", "p90": "2.00", "p99": "3.00", "p99.9": "4.00", "max": "5.00"
    }  # fmt: skip
