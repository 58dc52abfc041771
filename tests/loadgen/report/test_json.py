import json
from collections import Counter

import jsonschema
import msgspec
import pytest
from hdrh.histogram import HdrHistogram

from loadgen.report import json as report_json
from loadgen.results.latency import Histogram
from loadgen.results.ledger import Failure, Ledger
from loadgen.results.result import Place, Workers
from loadgen.results.series import Second


def test_the_published_schema_is_the_reports():
    """Stale? `python -m loadgen.report.json > loadgen/report.schema.json`."""
    assert json.loads(report_json.SCHEMA_PATH.read_text()) == report_json.make_schema()


def test_the_schema_is_a_schema():
    jsonschema.Draft202012Validator.check_schema(report_json.make_schema())


def test_a_report_is_what_its_schema_says(report_of):
    jsonschema.validate(
        msgspec.json.decode(report_json.encode(report_of())), report_json.make_schema()
    )


@pytest.mark.parametrize(
    ("path", "wrong"),
    [
        pytest.param(("verdict",), "fine", id="verdict"),
        pytest.param(("connections", "failed", "dns"), "none", id="count"),
        pytest.param(("messages", "sent"), None, id="missing"),
        pytest.param(("series",), [{}], id="second"),
    ],
)
def test_the_schema_refuses_what_no_report_has(report_of, path, wrong):
    document = msgspec.json.decode(report_json.encode(report_of()))
    place = document
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = wrong
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(document, report_json.make_schema())


def test_a_report_has_the_contracts_keys(report_of):
    document = json.loads(report_json.encode(report_of()))
    assert list(document) == [
        "schema", "verdict", "verdict_reasons", "hints", "interrupted", "thresholds", "plan",
        "started_at", "ended_at", "connections", "messages", "fan_out", "users", "steps", "checks",
        "streams",
        "counters", "latency", "histograms", "generator", "series", "changes", "paused_s",
    ]  # fmt: skip
    assert set(document["connections"]) == {
        "requested", "opened", "not_attempted", "peak_open", "all_open_after_s", "failed",
        "failed_status", "closed", "close_codes", "close_reasons", "addresses",
        "connect_ms", "funnel", "faults", "compressed",
    }  # fmt: skip
    assert set(document["connections"]["failed"]) == {
        "refused", "timeout", "reset", "dns", "tls", "rejected", "protocol", "greeting",
        "file_limit", "address_in_use", "other",
    }  # fmt: skip
    assert set(document["connections"]["closed"]) == {"clean", "by_peer", "abnormal", "timeout"}
    assert set(document["messages"]) == {
        "sent", "echoed", "reordered", "corrupt", "lost", "in_flight", "received", "duplicate",
        "unexpected", "missed", "sent_bytes", "received_bytes", "sent_per_s", "received_per_s",
        "one_way", "published", "expected", "ignored", "streamed", "copies",
    }  # fmt: skip
    assert set(document["latency"]) == {"intended", "service", "scheduling_lag", "script_lag"}
    for summary in [*document["latency"].values(), document["connections"]["connect_ms"]]:
        assert set(summary) == {
            "count", "min", "mean", "p50", "p90", "p95", "p99", "p999", "max"
        }  # fmt: skip
    assert set(document["generator"]) == {
        "processes", "cpu_s", "cpu_share", "cpu_shares", "peak_rss_bytes", "loop_lag", "python",
        "trio", "load_cpu_share", "load_waiting_share",
    }  # fmt: skip
    assert set(document["generator"]["loop_lag"]) == {"p50", "p99", "max"}
    assert set(document["series"][0]) == {
        "t_s", "open", "opening", "sent", "received", "errors", "p50_ms", "p99_ms", "lag_ms",
    }  # fmt: skip


def test_the_plan_says_what_shared_it_and_where_on_a_cluster_each_part_was(report_of):
    document = json.loads(report_json.encode(report_of()))
    assert (document["plan"]["workers"], document["plan"]["dask"]) == (1, None)
    places = [Place(worker="tcp://10.0.0.2:1", processes=2, sockets=6)]
    workers = Workers(processes=2, scheduler="tcp://10.0.0.1:8786", places=places)
    document = json.loads(report_json.encode(report_of(workers=workers)))
    assert document["plan"]["workers"] == 2
    assert document["plan"]["dask"] == "tcp://10.0.0.1:8786"
    assert document["generator"]["places"] == [
        {"worker": "tcp://10.0.0.2:1", "processes": 2, "sockets": 6}
    ]


def test_times_are_rfc_3339(report_of):
    document = json.loads(report_json.encode(report_of()))
    assert document["started_at"] == "2026-01-02T03:04:05Z"
    assert document["ended_at"] == "2026-01-02T03:04:16Z"


def test_codes_and_statuses_are_keys(report_of):
    ledger = Ledger(
        3, failed=Counter({Failure.REJECTED: 3}), failed_status=Counter({503: 2, 404: 1})
    )
    document = json.loads(report_json.encode(report_of(ledger)))
    assert document["connections"]["failed_status"] == {"404": 1, "503": 2}
    assert document["connections"]["close_codes"] == {}


def test_the_histograms_can_be_read_and_merged_by_any_hdr_library(report_of):
    histograms = json.loads(report_json.encode(report_of()))["histograms"]
    intended = HdrHistogram.decode(histograms["intended"])
    intended.add(HdrHistogram.decode(histograms["service"]))
    assert intended.get_total_count() == 6


def test_what_nothing_measured_is_null(report_of):
    second = Second(
        t_s=1.0, open=2, opening=0, sent=0, received=0, errors=0,
        p50_ms=None, p99_ms=None, lag_ms=None,
    )  # fmt: skip
    nothing = dict.fromkeys(
        ("connect", "intended", "service", "scheduling_lag", "loop_lag"), Histogram()
    )
    document = json.loads(
        report_json.encode(
            report_of(Ledger(2, not_attempted=2), load_s=0.0, series=[second], **nothing)
        )
    )
    for summary in [*document["latency"].values(), document["connections"]["connect_ms"]]:
        assert summary.pop("count") == 0
        assert set(summary.values()) == {None}
    assert set(document["generator"]["loop_lag"].values()) == {None}
    assert document["messages"]["sent_per_s"] is document["messages"]["received_per_s"] is None
    assert document["series"][0]["p50_ms"] is document["series"][0]["p99_ms"] is None
