"""Check the books of every server and of every run when a test is over, whatever it did.

Nothing is in two columns or in none; the parts are the whole; what was acquired is given back.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jsonschema

from echo_trio.server import EchoServer
from loadgen.report import json as report_json

#: Made once: to hold a schema itself against what a schema is takes fifty times as long.
SCHEMA = jsonschema.Draft202012Validator(json.loads(report_json.SCHEMA_PATH.read_text()))
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
    assert len(sessions.connections) == 0
    assert not sessions.budget._place_of


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
    series = report["series"]
    assert sum(second["sent"] for second in series) == messages["sent"]
    assert sum(second["received"] for second in series) == messages["received"]
    assert [second["t_s"] for second in series] == sorted(second["t_s"] for second in series)
    assert series[-1]["open"] == 0
    assert bool(sum(second["errors"] for second in series)) == (report["verdict"] == "failed")
