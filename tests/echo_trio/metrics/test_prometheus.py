"""What Prometheus reads is all that the server counts, and the docs and the dashboard know it."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families

from echo_trio.metrics.counters import Counters, GarbageCollection, Outcome, ServerSnapshot
from echo_trio.metrics.durations import Durations
from echo_trio.metrics.prometheus import (
    ACCEPT_ERRORS,
    CLOSE_CODES,
    SHOWN_BOUNDS_S,
    console_exposition,
    exposition,
)
from echo_trio.wire.handshake import Reason

DOCS = Path(__file__).parents[3] / "docs"


def families(snapshot: ServerSnapshot) -> dict[str, Metric]:
    text = (exposition(snapshot) + console_exposition(0, {})).decode()
    return {family.name: family for family in text_string_to_metric_families(text)}


def value(snapshot: ServerSnapshot, name: str, **labels: str) -> float:
    (sample,) = (
        sample
        for family in families(snapshot).values()
        for sample in family.samples
        if sample.name == f"echo_trio_{name}" and sample.labels == labels
    )
    return sample.value


def test_every_outcome_and_close_code_is_there_before_it_happens() -> None:
    nothing = Counters().snapshot()
    for outcome in Outcome:
        assert value(nothing, "connections_ended_total", outcome=outcome.value) == 0
    for code in ("1000", "1001", "1005", "1006", "1009", "1011", "3xxx", "4xxx"):
        assert value(nothing, "connections_closed_total", code=code) == 0
        assert value(nothing, "upstream_connections_closed_total", code=code) == 0
    for reason in Reason:
        assert value(nothing, "handshakes_refused_total", reason=reason.value) == 0
    for error in ACCEPT_ERRORS:
        assert value(nothing, "accept_faults_total", error=error) == 0


def test_codes_that_clients_choose_share_a_label() -> None:
    counters = Counters()
    counters.close_codes.update({1000: 5, 3000: 1, 3999: 2, 4000: 10})
    now = counters.snapshot()
    assert value(now, "connections_closed_total", code="1000") == 5
    assert value(now, "connections_closed_total", code="3xxx") == 3
    assert value(now, "connections_closed_total", code="4xxx") == 10
    labels = len(families(now)["echo_trio_connections_closed"].samples)
    assert labels == len(families(Counters().snapshot())["echo_trio_connections_closed"].samples)


def test_a_histogram_is_cumulative_and_ends_with_all() -> None:
    counters = Counters()
    for seconds in (0.0001, 0.001, 0.004, 500.0):
        counters.handshake.observe(seconds)
    now = counters.snapshot()
    name = "handshake_duration_seconds"
    for bound, count in {"0.0001": 1, "0.0005": 1, "0.001": 2, "0.002": 2, "0.005": 3}.items():
        assert value(now, f"{name}_bucket", le=bound) == count
    assert value(now, f"{name}_bucket", le="100.0") == 3
    assert value(now, f"{name}_bucket", le="+Inf") == value(now, f"{name}_count") == 4
    assert value(now, f"{name}_sum") == pytest.approx(500.0051)


def test_each_number_of_the_snapshot_is_told() -> None:
    counters = Counters(
        accepted=11 + 13 + 20 + 24, open=13, peak_open=14,
        messages_received=16, messages_sent=17, messages_unanswered=23,
        bytes_received=18, bytes_sent=19,
    )  # fmt: skip
    counters.outcomes[Outcome.CLEAN] = 20
    counters.accept_fault_reasons["EMFILE"] = 15
    counters.refused_reasons["path"] = 21
    counters.outcomes[Outcome.MEMORY] = 24
    now = counters.snapshot(uptime_s=22.0, loop_lag=Durations(), held_bytes=25)
    assert value(now, "closed_total", reason="memory") == 24
    assert value(now, "closed_total", reason="dropped") == 0
    assert value(now, "held_bytes") == 25
    assert value(now, "connections_accepted_total") == 68
    assert value(now, "connections_handshaking") == 11
    assert value(now, "connections_open") == 13
    assert value(now, "connections_peak_open") == 14
    assert value(now, "accept_faults_total", error="EMFILE") == 15
    assert value(now, "messages_total", direction="received") == 16
    assert value(now, "messages_total", direction="sent") == 17
    assert value(now, "messages_unanswered_total") == 23
    assert value(now, "bytes_total", direction="received") == 18
    assert value(now, "bytes_total", direction="sent") == 19
    assert value(now, "connections_ended_total", outcome="clean") == 20
    assert value(now, "handshakes_refused_total", reason="path") == 21
    assert value(now, "uptime_seconds") == 22


def test_the_reference_has_each_metric_with_its_type_and_labels() -> None:
    described = {
        (name, kind, frozenset(re.findall(r"`(\w+)`", labels)))
        for name, kind, labels in re.findall(
            r"^\| `(\w+)` \| (\w+) \|([^|]*)\|",
            (DOCS / "reference/metrics.md").read_text(),
            re.MULTILINE,
        )
    }
    # What faults do is told of those that somebody has asked for.
    now = replace(Counters().snapshot(), faults_seen={"drop": 3}, faults_acted={"drop": 1})
    assert value(now, "fault_messages_total", fault="drop") == 3
    assert value(now, "fault_actions_total", fault="drop") == 1
    exposed = {
        (
            family.name + ("_total" if family.type == "counter" else ""),
            family.type,
            frozenset(family.samples[0].labels) - {"le"},
        )
        for family in families(now).values()
    }
    assert described == exposed


def test_the_dashboard_asks_for_nothing_that_is_not_there() -> None:
    counters = Counters()
    counters.refused_reasons["path"] = 1
    exposed = {
        sample.name
        for family in families(counters.snapshot()).values()
        for sample in family.samples
    }
    dashboard = json.loads((DOCS / "how-to/metrics/grafana.json").read_text())
    asked = re.findall(r"echo_trio_\w+", json.dumps(dashboard))
    assert len(asked) > 20
    assert set(asked) <= exposed


def test_each_figure_of_the_process_is_its_own_in_the_base_units_of_prometheus() -> None:
    now = replace(
        Counters().snapshot(), open=1, peak_open=2, handshaking=3, accepted=4, messages_received=5,
        messages_sent=6, messages_unanswered=7, bytes_received=8, bytes_sent=9, workers=10,
        draining=True, uptime_s=11.5, tasks=12, descriptors=13, file_limit=14, rss_bytes=15,
        cpu_s=16.5, gc=GarbageCollection((17, 18, 19), 2500.0),
    )  # fmt: skip
    told = {
        "connections_open": 1, "connections_peak_open": 2, "connections_handshaking": 3,
        "connections_accepted_total": 4, "messages_unanswered_total": 7, "workers": 10,
        "draining": 1, "uptime_seconds": 11.5, "tasks": 12, "open_fds": 13, "max_fds": 14,
        "resident_memory_bytes": 15, "cpu_seconds_total": 16.5, "gc_pause_seconds_total": 2.5,
    }  # fmt: skip
    assert {name: value(now, name) for name in told} == told
    for name, received, sent in (("messages", 5, 6), ("bytes", 8, 9)):
        assert value(now, f"{name}_total", direction="received") == received
        assert value(now, f"{name}_total", direction="sent") == sent
    for generation, runs in enumerate((17, 18, 19)):
        assert value(now, "gc_collections_total", generation=str(generation)) == runs


def test_each_error_of_accepting_is_told_be_it_known_before_or_not() -> None:
    text = console_exposition(3, {"EMFILE": 2, "EWHATEVER": 1}).decode()
    samples = [
        sample for family in text_string_to_metric_families(text) for sample in family.samples
    ]
    told = {
        sample.labels["error"]: sample.value
        for sample in samples
        if sample.name == "echo_trio_console_accept_faults_total"
    }
    assert told == dict.fromkeys(ACCEPT_ERRORS, 0) | {"EMFILE": 2, "EWHATEVER": 1}
    assert [s.value for s in samples if s.name == "echo_trio_console_failures_total"] == [3]


def test_what_is_pushed_and_what_an_upstream_does_is_told_apart_from_the_rest() -> None:
    now = replace(
        Counters().snapshot(), messages_pushed=1, messages_undelivered=2,
        close_codes={1000: 3, 2999: 4}, upstream_close_codes={1000: 5, 3000: 6, 4999: 7},
        faults_seen={"delay": 8, "up-drop": 9}, faults_acted={"delay": 10, "up-drop": 11},
        accept_fault_reasons={"other": 12}, refused_reasons={"path": 13, "new": 14},
    )  # fmt: skip
    assert value(now, "messages_pushed_total") == 1
    assert value(now, "messages_undelivered_total") == 2
    assert value(now, "connections_closed_total", code="1000") == 3
    assert value(now, "connections_closed_total", code="2999") == 4
    assert value(now, "upstream_connections_closed_total", code="1000") == 5
    assert value(now, "upstream_connections_closed_total", code="3xxx") == 6
    assert value(now, "upstream_connections_closed_total", code="4xxx") == 7
    assert value(now, "fault_messages_total", fault="up-drop") == 9
    assert value(now, "fault_actions_total", fault="up-drop") == 11
    assert value(now, "accept_faults_total", error="other") == 12
    assert value(now, "handshakes_refused_total", reason="new") == 14
    assert value(now, "draining") == 0
    (build,) = families(now)["echo_trio_build_info"].samples
    assert (build.value, set(build.labels)) == (1, {"version"})


def test_the_codes_that_have_a_label_of_their_own_are_the_protocols() -> None:
    assert set(CLOSE_CODES) == {
        "1000", "1001", "1002", "1003", "1005", "1006", "1007", "1008", "1009", "1010", "1011",
        "1012", "1013", "1014", "3xxx", "4xxx",
    }  # fmt: skip


def test_the_shown_bounds_are_1_2_and_5_of_each_decade() -> None:
    decades = [step * 10.0**decade for decade in range(-6, 2) for step in (1, 2, 5)]
    assert pytest.approx([*decades, 100.0]) == SHOWN_BOUNDS_S


def test_each_histogram_is_its_own() -> None:
    counters, lag = Counters(), Durations()
    for number, durations in enumerate((counters.echo, counters.handshake, lag), 1):
        for _ in range(number):
            durations.observe(0.001 * number)
    now = counters.snapshot(loop_lag=lag)
    for number, name in enumerate(("echo_duration", "handshake_duration", "event_loop_lag"), 1):
        assert value(now, f"{name}_seconds_count") == number
        assert value(now, f"{name}_seconds_sum") == pytest.approx(0.001 * number**2)
