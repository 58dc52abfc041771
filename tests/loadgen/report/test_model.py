"""A report of an older version lacks what came later, and is none of what it would mean."""

from __future__ import annotations

import msgspec

from loadgen.report import json as report_json
from loadgen.report.model import Report
from loadgen.results.latency import Histogram
from loadgen.results.result import Strain

LATER = {
    (): ("hints", "users", "steps", "checks", "streams", "counters", "changes", "paused_s"),
    ("connections",): ("close_reasons", "addresses"),
    ("latency",): ("script_lag",),
}


def test_what_an_older_report_does_not_have_it_has_none_of(report_of):
    document = msgspec.json.decode(report_json.encode(report_of()))
    for path, names in LATER.items():
        part = document
        for key in path:
            part = part[key]
        for name in names:
            del part[name]
    read = msgspec.to_builtins(msgspec.convert(document, Report))
    assert read["schema"] == 1
    lacking = {name: read[name] for name in LATER[()]}
    assert lacking == {
        "hints": [], "users": None, "steps": [], "checks": [], "streams": [], "counters": {},
        "changes": [], "paused_s": 0,
    }  # fmt: skip
    assert read["connections"]["close_reasons"] == read["connections"]["addresses"] == {}
    script_lag = read["latency"]["script_lag"]
    assert script_lag.pop("count") == 0
    assert set(script_lag.values()) == {None}
    # Of what only some runs have there is not even the key.
    assert not {"misbehaving", "target", "incomplete"} & set(read)
    assert "places" not in read["generator"]


def test_what_a_run_could_not_measure_is_null_and_is_read_as_that(report_of):
    """A run that was interrupted before its load has no rate, no latency and no lag."""
    nothing = dict.fromkeys(
        ("connect", "intended", "service", "scheduling_lag", "loop_lag"), Histogram()
    )
    report = report_of(load_s=0.0, all_open_after_s=None, load_strain=Strain(), **nothing)
    document = msgspec.json.decode(report_json.encode(report))
    assert msgspec.to_builtins(msgspec.convert(document, Report)) == document
    figures = {
        "connections": ("all_open_after_s",),
        "messages": ("sent_per_s", "received_per_s"),
        "generator": ("load_cpu_share", "load_waiting_share"),
    }
    for part, names in figures.items():
        assert {document[part][name] for name in names} == {None}, part
    assert document["generator"]["loop_lag"] == {"p50": None, "p99": None, "max": None}
    assert document["connections"]["funnel"]["tls"] is document["fan_out"] is None
