"""The finding of a search names its numbers, and its odds are those of as many runs as held."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import msgspec
import pytest

from loadgen.report.model import TargetLag, TargetReport
from loadgen.results.series import Second
from loadgen.studies.capacity import Capacity, SearchOutcome, Step, resume
from loadgen.studies.capacity_search import Forecast
from loadgen.studies.capacity_text import encode, show, show_forecast, show_step, show_whole

AT = datetime(2026, 1, 2, tzinfo=UTC)
HELD, BROKE, LIMITED = SearchOutcome.HELD, SearchOutcome.BROKE, SearchOutcome.LIMITED


def step(rate: float, outcome: SearchOutcome = HELD, **more) -> Step:
    figures = {"received_per_s": rate, "p50_ms": 1.5, "p99_ms": 9.25, "series": [], "reasons": []}
    return Step(rate_per_s=rate, outcome=outcome, started_at=AT, **figures | more)


def finding(*steps: Step, confidence: float | None = None) -> str:
    capacity = resume({"url": "ws://h/"}, ["latency.p99>1ms"], steps, confidence)
    return " ".join(show(capacity).split())


@pytest.mark.parametrize("runs", [1, 3])
def test_what_breaks_every_other_time_passes_so_many_runs_once_in_two_to_their_number(runs):
    told = finding(step(100), step(200), *[step(220, BROKE)], *[step(200)] * (runs - 1))
    assert f"200/s is the highest rate that held, in {'1 run' if runs == 1 else '3 runs'}" in told
    odds = re.search(r"passes that once in (\d+) searches", told)
    # A search that was not over says so, and nothing of its odds.
    assert (odds is None) == (runs == 1)
    if odds is not None:
        assert float(odds[1]) == pytest.approx(1 / 0.5**runs)


def test_each_side_of_the_edge_is_told_with_its_own_rate_and_reason():
    told = finding(step(100), step(200, BROKE, reasons=["late", "lost"]), step(141, LIMITED))
    assert "100/s is the highest rate that held, in 1 run of 1." in told
    assert "141/s did not: generator-limited." in told
    assert "That is the generator's limit" in told
    assert "No rate held at ws://h/." in finding(step(100, BROKE, reasons=["late"]))


def test_more_processes_are_advised_only_where_the_generator_has_run():
    second = Second(
        t_s=1.0, open=1, opening=0, sent=1, received=1, errors=0, p50_ms=1.0, p99_ms=1.0, lag_ms=1.0
    )
    for series, advised in (([second], True), ([], False)):
        told = finding(step(100), step(141, LIMITED, series=series, reasons=["too few rows"]))
        assert "141/s did not: too few rows. That is the generator's limit" in told
        assert ("--workers" in told) is advised


def test_at_a_rate_that_did_not_always_hold_it_is_told_how_often_it_did():
    runs = [step(100), step(105, BROKE), step(100), step(100, BROKE), step(100)]
    capacity = resume({"url": "ws://h/"}, [], runs, 0.95)
    capacity = msgspec.structs.replace(capacity, held_per_s=100.0, broke_per_s=105.0, held_runs=3)
    assert "100/s is the highest rate that held, in 3 runs of 4." in show(capacity)


def test_a_step_is_told_with_its_rate_its_latencies_and_its_first_reason():
    shown = show_step(step(1234.5, BROKE, reasons=["late", "lost"]))
    assert shown == "     1,234/s  broke             p50 1.5 ms, p99 9.2 ms  late"
    assert "p50 –, p99 – " in f"{show_step(step(7.25, p50_ms=None, p99_ms=None))} "
    assert show_step(step(7.25)).lstrip().startswith("7.25/s  held")


@pytest.mark.parametrize(
    ("step_s", "each", "least", "far"),
    [(1.0, "1 s", "4 s", "10 s"), (24.9, "24.9 s", "99.6 s", "4 min"),
     (25.0, "25 s", "2 min", "4 min"), (1500.0, "25 min", "1.7 h", "4.2 h")],
)  # fmt: skip
def test_a_forecast_has_the_times_of_its_steps_in_the_unit_that_people_say(
    step_s, each, least, far
):
    told = " ".join(show_forecast(Forecast(step_s, 4, 10, 60, None)).split())
    assert f"Each step takes {each} and" in told
    assert f"4 steps find an edge below twice the first rate: {least};" in told
    assert f"10 for 100 times, {far}." in told
    assert "60" not in told
    confident = " ".join(show_forecast(Forecast(step_s, 4, 10, 60, 0.95)).split())
    assert "60 steps at most: " in confident


def test_the_side_of_the_target_is_told_by_what_it_said():
    def told(**figures):
        side = {"source": "http://x/", "errors": 0, "last_error": None, "series": []} | figures
        return show_step(step(7.25, target=TargetReport(**side)))

    assert " target 43% of one core, late by 1,234.5 ms" in told(
        cpu_share=0.43, loop_lag=TargetLag(max=1234.5)
    )
    assert "target 43% of one core" in told(cpu_share=0.43, last_error="gone")
    assert "gone" not in told(cpu_share=0.43, last_error="gone")
    assert "target no answer (gone)" in told(last_error="gone")
    assert "target says neither CPU nor lag" in told()
    assert "target" not in show_step(step(7.25))


@pytest.mark.parametrize(
    ("held", "broke", "told"),
    [(True, True, "With 95 % confidence, 100/s holds in more than half of its runs and 105/s"),
     (True, False, "half of its runs. The search ended before it was that sure of 105/s."),
     (False, False, "The search ended before it was that sure of 100/s or 105/s.")],
)  # fmt: skip
def test_of_each_side_it_is_told_whether_the_search_is_sure(held, broke, told):
    capacity = resume({"url": "ws://h/"}, [], [step(100), step(105, BROKE)], 0.95)
    capacity = msgspec.structs.replace(capacity, held_confirmed=held, broke_confirmed=broke)
    assert told in " ".join(show(capacity).split())
    assert "confidence" not in finding(step(100), step(105, BROKE))


def test_for_a_program_it_is_json_that_people_can_read():
    capacity = resume({"url": "ws://h/"}, [], [step(100)])
    encoded = encode(capacity)
    assert encoded.startswith(b'{\n  "capacity": 1,\n')
    assert encoded.endswith(b"}\n")
    assert msgspec.json.decode(encoded, type=Capacity) == capacity


def test_a_search_that_was_cut_says_how_it_is_known():
    capacity = resume({"url": "ws://h/"}, [], [step(100)])
    assert "Recovered from its journal: the search was not over." in show(capacity)
    interrupted = msgspec.structs.replace(capacity, incomplete=False)
    assert "Interrupted: the search was not over." in show(interrupted)
    assert "100/s is the highest rate that held" in show_whole(capacity)
    assert show_whole(capacity).splitlines()[0] == show_step(step(100))


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(99.9, "99.9 s"), (99.99, "100 s"), (100, "2 min"), (5999, "100 min"), (6000, "1.7 h")],
)
def test_a_time_is_in_the_unit_that_people_say(seconds, shown):
    assert f"Each step takes {shown} and" in " ".join(
        show_forecast(Forecast(seconds, 4, 10, 60, None)).split()
    )


@pytest.mark.parametrize(
    ("rate", "shown"), [(99.94, "99.9/s"), (100, "100/s"), (1234.5, "1,234/s")]
)
def test_a_rate_has_three_digits_and_its_whole_ones(rate, shown):
    assert show_step(step(rate)).split()[0] == shown
