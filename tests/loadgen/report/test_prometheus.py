"""The page for Prometheus of a run that stands still: each figure is the one of its books."""

from __future__ import annotations

import math
from collections import Counter
from types import SimpleNamespace

import msgspec
from prometheus_client.parser import text_string_to_metric_families

from loadgen.engine.running import Phase
from loadgen.report import prometheus
from loadgen.results.ledger import Ending, Failure, Ledger
from loadgen.results.scenario import CheckBooks, ScenarioBooks
from loadgen.results.verify import Verdict

#: Every count is another number, so that no two can be taken for each other.
LEDGER = Ledger(
    requested=40, opened=30, peak_open=30,
    closed=Counter({Ending.CLEAN: 5, Ending.ABNORMAL: 4}),
    sent=100, sent_bytes=1_000, received=81, received_bytes=2_000,
    lost=6, in_flight=7, published=8, missed=9,
    verdicts=Counter({Verdict.ECHOED: 51, Verdict.CORRUPT: 3}),
)  # fmt: skip


def read(result, *, phase: Phase = Phase.LOAD, series=None, name: str | None = None):
    """Read the page of a run: its samples by name, and by what follows the name."""
    run = SimpleNamespace(
        plan=result.plan,
        ledger=result.ledger,
        phase=phase,
        series=result.series if series is None else series,
        result_so_far=lambda: result,
    )
    samples: dict[str, dict[tuple[str, ...], float]] = {}
    for family in text_string_to_metric_families(prometheus.exposition(run, name).decode()):
        for sample in family.samples:
            samples.setdefault(sample.name, {})[tuple(sample.labels.values())] = sample.value
    return samples


def test_each_count_of_the_books_has_a_sample_of_its_own(result_of):
    seen = read(result_of(LEDGER))
    assert seen["loadgen_connections_requested_total"][()] == 40
    assert seen["loadgen_connections_opened_total"][()] == 30
    assert seen["loadgen_connections_open"][()] == LEDGER.open == 21
    closed = seen["loadgen_connections_closed_total"]
    assert (closed["clean",], closed["abnormal",]) == (5, 4)
    assert seen["loadgen_messages_sent_total"][()] == 100
    assert seen["loadgen_messages_received_total"][()] == 81
    columns = {labels[0]: value for labels, value in seen["loadgen_messages_total"].items()}
    booked = {"lost": 6, "in_flight": 7, "published": 8, "missed": 9, "echoed": 51, "corrupt": 3}
    assert {column: columns.pop(column) for column in booked} == booked
    assert set(columns.values()) == {0}
    assert seen["loadgen_bytes_total"] == {("sent",): 1_000, ("received",): 2_000}
    assert seen["loadgen_cpu_seconds_total"][()] == 1.5
    assert seen["loadgen_peak_resident_memory_bytes"][()] == 48 * 2**20


def test_times_are_in_seconds_each_in_the_histogram_of_its_kind(result_of):
    result = result_of()
    seen = read(result)
    for name, histogram in {
        "latency": result.intended,
        "service_latency": result.service,
        "scheduling_lag": result.scheduling_lag,
        "connect": result.connect,
    }.items():
        family = f"loadgen_{name}_seconds"
        assert seen[f"{family}_count"][()] == histogram.count
        assert math.isclose(seen[f"{family}_sum"][()], histogram.sum_us / 1e6)
        buckets = {labels[0]: value for labels, value in seen[f"{family}_bucket"].items()}
        assert buckets["+Inf"] == histogram.count
        assert len(buckets) == len(prometheus.BOUNDS_US) + 1
    # 1.5, 2.5 and 3.5 ms.
    buckets = {labels[0]: value for labels, value in seen["loadgen_latency_seconds_bucket"].items()}
    assert [buckets[bound] for bound in ("0.001", "0.002", "0.005", "50")] == [0, 1, 3, 3]


def test_the_lag_of_the_last_second_is_told_once_there_is_one(result_of):
    result = result_of()
    assert math.isclose(read(result)["loadgen_event_loop_lag_seconds"][()], 0.0002)
    assert math.isnan(read(result, series=[])["loadgen_event_loop_lag_seconds"][()])
    (last,) = result.series
    later = [last, msgspec.structs.replace(last, lag_ms=70.0)]
    assert read(result, series=later)["loadgen_event_loop_lag_seconds"][()] == 0.07
    none = [*later, msgspec.structs.replace(last, lag_ms=0.0)]
    assert read(result, series=none)["loadgen_event_loop_lag_seconds"][()] == 0.0
    unknown = [*later, msgspec.structs.replace(last, lag_ms=None)]
    assert math.isnan(read(result, series=unknown)["loadgen_event_loop_lag_seconds"][()])


def test_one_phase_is_the_present_one_and_the_run_says_what_it_is(result_of):
    result = result_of()
    seen = read(result, phase=Phase.CLOSE, name="line\nbreak")
    for present in Phase:
        phases = read(result_of(), phase=present)["loadgen_phase"]
        assert phases == {(phase.value,): phase is present for phase in Phase}
    (info,) = seen["loadgen_run_info"]
    assert {"line\\nbreak", "10", "1", "ws://127.0.0.1:8765/"} <= set(info)
    assert seen["loadgen_start_time_seconds"][()] == result.started_at.timestamp()


def test_each_user_of_a_scenario_is_in_one_state(result_of):
    books = ScenarioBooks()
    users = books.users
    users.requested, users.finished, users.interrupted, users.not_started = 20, 3, 4, 5
    for _ in range(2):
        users.fail("LostReply at chat.py:12", "")
    books.checks["price"] = CheckBooks(passed=2, failed=1)
    seen = read(result_of(scenario=books))
    assert seen["loadgen_users"] == {
        ("at_work",): 6,
        ("finished",): 3,
        ("failed",): 2,
        ("interrupted",): 4,
        ("not_started",): 5,
    }
    assert seen["loadgen_checks_total"] == {("price", "passed"): 2, ("price", "failed"): 1}


def test_each_end_of_a_step_and_each_counter_has_a_sample(result_of):
    books = ScenarioBooks()
    step = books.step("say", "request")
    step.count, step.ok, step.failed, step.lost, step.in_flight = 10, 4, 3, 2, 1
    books.counters["bought"] = 7
    books.counters["cut\ud800\n"] = 2
    seen = read(result_of(scenario=books))
    assert seen["loadgen_steps_total"] == {
        ("ok", "request", "say"): 4, ("failed", "request", "say"): 3,
        ("lost", "request", "say"): 2, ("in_flight", "request", "say"): 1,
    }  # fmt: skip
    assert seen["loadgen_counter_total"] == {("bought",): 7, ("cut\\ud800\\n",): 2}
    assert "loadgen_users" not in read(result_of())


def test_what_is_awaited_and_what_failed_is_told_and_the_buckets_are_of_three_a_decade(result_of):
    ledger = Ledger(9, opened=5, failed=Counter({Failure.DNS: 3}), sent=20, abandoned=2)
    result = result_of(ledger)
    seen = read(result, name="n")
    assert seen["loadgen_messages_awaited"][()] == 18
    failed = {
        labels[0]: count for labels, count in seen["loadgen_connections_failed_total"].items()
    }
    assert failed == dict.fromkeys(map(str, Failure), 0) | {"dns": 3}
    assert seen["loadgen_run_info"] == {next(iter(seen["loadgen_run_info"])): 1}
    assert [bound / 100 for bound in prometheus.BOUNDS_US[:4]] == [1, 2, 5, 10]
    assert prometheus.BOUNDS_US[-1] == 50_000_000
    page = prometheus.exposition(SimpleNamespace(
        plan=result.plan, ledger=ledger, phase=Phase.LOAD, series=[], result_so_far=lambda: result
    ))  # fmt: skip
    run = SimpleNamespace(
        plan=result.plan, ledger=ledger, phase=Phase.LOAD, series=[], result_so_far=lambda: result
    )
    names = {family.name for family in text_string_to_metric_families(page.decode())}
    assert {family.name for family in prometheus.families(run)} == names
