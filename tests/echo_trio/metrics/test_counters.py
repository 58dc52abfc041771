"""Counters become snapshots that don't change any more."""

from __future__ import annotations

from types import SimpleNamespace

from echo_trio.metrics.counters import Counters, Outcome


def traffic(factor: int) -> SimpleNamespace:
    return SimpleNamespace(
        messages_received=factor,
        messages_sent=2 * factor,
        bytes_received=3 * factor,
        bytes_sent=4 * factor,
    )


def test_a_snapshot_adds_up_ended_and_live_connections_and_changes_nothing() -> None:
    counters = Counters()
    counters.add_traffic(traffic(1))
    for _ in range(2):
        snapshot = counters.snapshot(live=[traffic(10), traffic(100)])
        assert (snapshot.messages_received, snapshot.messages_sent) == (111, 222)
        assert (snapshot.bytes_received, snapshot.bytes_sent) == (333, 444)
    assert counters.snapshot().messages_received == 1


def test_a_snapshot_stays_as_it_was() -> None:
    counters = Counters()
    before = counters.snapshot()
    counters.outcomes[Outcome.CLEAN] += 1
    counters.refused[404] += 1
    counters.close_codes[1000] += 1
    assert (before.outcomes, before.refused, before.close_codes) == ({}, {}, {})
    assert counters.ended == 1
