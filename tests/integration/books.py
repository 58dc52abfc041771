"""Check the books of every server and of every run when a test is over, whatever it did.

Nothing is in two columns or in none; the parts are the whole; what was acquired is given back.
"""

from __future__ import annotations

import dataclasses
import json
import operator
import re
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import jsonschema
from hdrh.histogram import HdrHistogram

from echo_trio.server import EchoServer
from loadgen.report import json as report_json

#: Made once: to hold a schema itself against what a schema is takes fifty times as long.
SCHEMA = jsonschema.Draft202012Validator(json.loads(report_json.SCHEMA_PATH.read_text()))
PERCENTILES = ("p50", "p90", "p95", "p99", "p999")
COMPARISONS = {
    ">": operator.gt, ">=": operator.ge, "<": operator.lt, "<=": operator.le, "==": operator.eq,
    "!=": operator.ne,
}  # fmt: skip
#: How a connection ends that never was open.
NEVER_OPEN = ("refused", "tls_failed", "cut_in_handshake")
#: How one may end before or after it was open.
EITHER = ("dropped", "failed", "lost_with_worker")


def check_snapshot(now: Mapping[str, Any]) -> None:
    """Hold a snapshot of `/api/server` against itself."""
    outcomes = now["outcomes"]
    assert now["accepted"] == now["handshaking"] + now["open"] + sum(outcomes.values()), now
    assert 0 <= now["open"] <= now["peak_open"] <= now["accepted"], now
    assert sum(now["refused"].values()) == sum(now["refused_reasons"].values()), now
    # Who has been told no, and has not gone yet, is refused and still handshaking; a drain that is
    # over drops it.
    refused = sum(now["refused"].values()) - outcomes.get("refused", 0)
    assert 0 <= refused <= now["handshaking"] + outcomes.get("dropped", 0), now
    assert sum(now["accept_fault_reasons"].values()) == now["accept_faults"], now
    _check_closed(sum(outcomes.values()), outcomes, now["close_codes"])
    assert all(count >= 0 for count in outcomes.values()), now
    if not now["open"] + now["handshaking"]:
        assert now["held_bytes"] == 0, now
    for name in ("messages_received", "messages_sent", "messages_unanswered"):
        assert now[name] >= 0, now


def check_given_back(server: EchoServer) -> None:
    """Hold a server in this process, whose clients are all gone, against itself.

    What was acquired is given back: places, turns to be cancelled, places in the watch, memory.
    """
    now, sessions = dataclasses.asdict(server.snapshot()), server._sessions
    check_snapshot(now)
    assert (now["open"], now["handshaking"], now["held_bytes"]) == (0, 0, 0), now
    check_summary(now)
    assert (sessions.places.taken, sessions.places.waiting) == (0, 0)
    assert not sessions.places._handshakes
    assert not sessions.places._dismissed
    assert not sessions.openings
    assert len(sessions.connections) == len(sessions.upstreams) == 0
    assert not sessions.budget._place_of
    assert not sessions.rooms._rooms
    assert not sessions.rooms._busy
    if sessions.proxy is not None:
        assert not sessions.proxy.switch.pairs


def check_summary(summary: Mapping[str, Any]) -> None:
    """Hold what a server says when it has stopped against itself: nobody is left."""
    outcomes = summary["outcomes"]
    assert summary["accepted"] == sum(outcomes.values()), summary
    assert summary["peak_open"] <= summary["accepted"], summary
    _check_closed(summary["accepted"], outcomes, summary["close_codes"])


def _check_closed(ended: int, outcomes: Mapping[str, int], codes: Mapping[Any, int]) -> None:
    """Each connection that was open has one code when it is over, and no other has."""
    most = ended - sum(outcomes.get(how, 0) for how in NEVER_OPEN)
    least = most - sum(outcomes.get(how, 0) for how in EITHER)
    assert least <= sum(codes.values()) <= most, (outcomes, codes)


def check_reports_in(folder: Path) -> None:
    """Hold each report that stands in a folder against itself."""
    for path in folder.glob("*.json"):
        try:
            found = json.loads(path.read_text())
        except (OSError, ValueError):
            continue
        if isinstance(found, dict) and {"schema", "connections", "verdict"} <= found.keys():
            check_report(found)


def check_report(report: dict[str, Any]) -> None:
    """The schema and the identities of the contract, and that no number contradicts another."""
    SCHEMA.validate(report)
    connections, messages = report["connections"], report["messages"]
    failed = sum(connections["failed"].values())
    apart = report.get("misbehaving", {}).values()
    for books in apart:
        failed_apart = sum(books["failed"].values())
        assert books["requested"] == books["opened"] + failed_apart + books["not_attempted"]
        assert books["opened"] == sum(books["closed"].values())
    if report["users"] is not None:
        users = report["users"]
        assert users["requested"] == sum(
            users[key] for key in ("finished", "failed", "interrupted", "not_started")
        )
        assert users["failed"] == sum(users["failed_by"].values())
        for step in report["steps"]:
            assert step["count"] == sum(step[key] for key in ("ok", "failed", "lost", "in_flight"))
    elif report["plan"]["lifetime_s"] is None and "reconnect-storm" not in str(report["plan"]):
        requested = connections["requested"] + sum(books["requested"] for books in apart)
        assert requested == report["plan"]["count"]
    assert connections["requested"] == connections["opened"] + failed + connections["not_attempted"]
    assert connections["opened"] == sum(connections["closed"].values())
    assert connections["opened"] == sum(connections["close_codes"].values())
    assert connections["peak_open"] <= connections["opened"]
    assert connections["compressed"] <= connections["opened"]
    funnel = connections["funnel"]
    reached = [funnel[stage] for stage in ("requested", "tcp", "tls", "upgraded")]
    counted = [count for count in reached if count is not None]
    assert counted == sorted(counted, reverse=True)
    assert (funnel["requested"], funnel["upgraded"]) == (
        connections["requested"], connections["opened"],
    )  # fmt: skip
    assert sum(connections["faults"].values()) == failed
    assert connections["opened"] == connections["connect_ms"]["count"]
    if report["plan"]["proxy"] is None:  # Its refusals have no status of the target's.
        assert connections["failed"]["rejected"] == sum(connections["failed_status"].values())
    answered = messages["echoed"] + messages["reordered"] + messages["corrupt"]
    owed_no_reply = messages["one_way"] + messages["published"]
    assert messages["sent"] == answered + messages["lost"] + messages["in_flight"] + owed_no_reply
    assert messages["received"] == answered + sum(
        messages[claim]
        for claim in ("duplicate", "unexpected", "expected", "ignored", "streamed", "copies")
    )
    right = messages["echoed"] + messages["reordered"]
    latency = report["latency"]
    assert latency["intended"]["count"] == latency["service"]["count"] == right
    for name in ("intended", "service", "scheduling_lag", "script_lag"):
        figures = [value for key, value in latency[name].items() if key != "count"]
        assert (None in figures) == (not latency[name]["count"])
    if report["users"] is None:
        assert latency["scheduling_lag"]["count"] == messages["sent"]
    _check_figures(report)
    _check_words(report)
    series = report["series"]
    assert sum(second["sent"] for second in series) == messages["sent"]
    assert sum(second["received"] for second in series) == messages["received"]
    assert [second["t_s"] for second in series] == sorted(second["t_s"] for second in series)
    assert series[-1]["open"] == 0
    assert bool(sum(second["errors"] for second in series)) == (report["verdict"] == "failed")
    assert max(second["open"] for second in series) <= connections["peak_open"]


def _check_figures(report: Mapping[str, Any]) -> None:
    """No figure contradicts another: times are in order, and the parts are the whole."""
    connections, messages, latency = report["connections"], report["messages"], report["latency"]
    began, ended = (datetime.fromisoformat(report[name]) for name in ("started_at", "ended_at"))
    assert began <= ended
    summaries = [*latency.values(), connections["connect_ms"]]
    summaries += [step[name] for step in report["steps"] for name in ("intended", "service")]
    summaries += [stream["age"] for stream in report["streams"]]
    fan_out = report["fan_out"]
    if fan_out is not None:
        summaries += [fan_out[name] for name in ("first", "last", "each")]
        columns = ("delivered", "missing", "unsettled", "in_flight")
        assert fan_out["owed"] == sum(fan_out[name] for name in columns)
        assert fan_out["published"] == messages["published"]
        counts = [fan_out[name]["count"] for name in ("last", "first", "each")]
        assert counts == sorted(counts)
        assert counts[-1] == fan_out["delivered"]
        assert fan_out["delivered"] + fan_out["extra"] <= messages["copies"]
        assert messages["copies"] <= sum(fan_out[name] for name in (*columns, "extra"))
    for summary in summaries:
        if summary is not None and summary["count"]:
            ranks = [summary[name] for name in ("min", *PERCENTILES, "max")]
            assert ranks == sorted(ranks), summary
            assert summary["min"] <= summary["mean"] + 1e-4
            assert summary["mean"] <= summary["max"] + 1e-4
    right = latency["intended"]["count"]
    if right:
        for name in ("intended", "service"):
            decoded = HdrHistogram.decode(report["histograms"][name].encode())
            assert decoded.get_total_count() == right
            highest_us = decoded.get_max_value()
            assert abs(highest_us - latency[name]["max"] * 1000) <= highest_us / 500 + 1
    rates = messages["sent_per_s"], messages["received_per_s"]
    assert (None in rates) == (rates == (None, None))
    if messages["sent"] and rates[0]:  # Both are over the same time, and rounded.
        share = messages["received"] / messages["sent"]
        assert abs(rates[1] - rates[0] * share) <= 0.001 * (1 + share)
    generator, plan = report["generator"], report["plan"]
    if generator["cpu_shares"]:
        assert len(generator["cpu_shares"]) == generator["processes"]
        assert abs(sum(generator["cpu_shares"]) - generator["cpu_share"]) < 0.01
    if places := generator.get("places"):
        assert sum(place["processes"] for place in places) == plan["workers"]
        if report["users"] is None:
            assert sum(place["sockets"] for place in places) == plan["count"]
    if plan["proxy"] is None and not report.get("misbehaving"):
        assert sum(connections["addresses"].values()) >= connections["opened"]
    assert (connections["funnel"]["tls"] is None) == (not plan["url"].startswith("wss:"))
    assert sum(connections["close_reasons"].values()) <= connections["opened"]
    changes = report["changes"]
    moments = [change["load_s"] for change in changes]
    assert moments == sorted(moments)
    pauses = [change["what"] for change in changes if change["what"] != "rate"]
    assert pauses == [("pause", "resume")[at % 2] for at in range(len(pauses))]
    for second in report["series"]:
        spread = second["p50_ms"], second["p99_ms"]
        assert (None in spread) == (spread == (None, None))
        assert None in spread or spread[0] <= spread[1] <= latency["intended"]["max"] * 1.002


def _check_words(report: Mapping[str, Any]) -> None:
    """Each number that a verdict's reasons name is the one of the column that they name."""
    said, messages = "\n".join(report["verdict_reasons"]), report["messages"]
    connections = report["connections"]
    assert (report["verdict"] == "valid") == (not said)
    for column in ("corrupt", "reordered", "duplicate", "unexpected"):
        found = re.findall(rf"^([\d,]+) repl(?:y|ies) {column}$", said, re.MULTILINE)
        assert [_number(each) for each in found] == [messages[column]] * bool(messages[column])
    for number in re.findall(r"^([\d,]+) messages? lost$", said, re.MULTILINE):
        assert _number(number) <= messages["lost"]
        assert _number(number) == messages["lost"] or "died" in said
    failed = re.findall(r"^([\d,]+) of ([\d,]+) sockets? did not open: ", said, re.MULTILINE)
    assert sum(_number(number) for number, _ in failed) == sum(connections["failed"].values())
    assert {_number(total) for _, total in failed} <= {connections["requested"]}
    if report["users"] is not None and report["users"]["failed"]:
        (told,) = re.findall(r"^([\d,]+) of ([\d,]+) users? failed: ", said, re.MULTILINE)
        assert [_number(each) for each in told] == [
            report["users"]["failed"], report["users"]["requested"],
        ]  # fmt: skip
    for threshold in report["thresholds"]:
        assert threshold["breached"] or threshold["value"] is not None
        limit = re.search(r"([<>]=?|[=!]=)\s*([\d.]+)%?\s*$", threshold["expr"])
        if limit is not None and threshold["value"] is not None:  # Without a unit it is as it is.
            compare = COMPARISONS[limit[1]]
            assert threshold["breached"] is compare(threshold["value"], float(limit[2]))


def _number(text: str) -> int:
    return int(text.replace(",", ""))
