"""What holds of every server when a test is over, whatever the test did to it.

Nothing is in two columns or in none; the parts are the whole; what was acquired is given back.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from echo_trio.server import EchoServer

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
