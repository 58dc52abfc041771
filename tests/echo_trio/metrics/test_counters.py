"""Counters become snapshots that don't change any more."""

from __future__ import annotations

from collections import Counter
from dataclasses import fields
from types import SimpleNamespace

from echo_trio.metrics.counters import Counters, GarbageCollection, Holdings, Outcome
from echo_trio.metrics.durations import Durations, Spread


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


class Live:
    """A connection that is open, with traffic of its own."""

    def __init__(self, factor: int) -> None:
        self.messages_received, self.messages_sent = 3 * factor, 5 * factor
        self.bytes_received, self.bytes_sent = 7 * factor, 11 * factor


def test_a_snapshot_has_each_count_and_the_traffic_of_ended_and_open_ones_together() -> None:
    counters = Counters(
        accepted=1000, open=100, peak_open=200,
        accept_fault_reasons=Counter({"EMFILE": 4, "ENOMEM": 5}),
        outcomes=Counter({Outcome.CLEAN: 30, Outcome.REFUSED: 40}),
        refused=Counter({404: 6}), refused_reasons=Counter({"path": 7}),
        close_codes=Counter({1000: 8}), messages_unanswered=9,
    )  # fmt: skip
    counters.add_traffic(Live(100))
    counters.add_traffic(Live(1000))
    now = counters.snapshot(iter([Live(1), Live(10)]), url="ws://x/", uptime_s=1.2345)
    assert (now.accepted, now.open, now.peak_open, now.handshaking) == (1000, 100, 200, 830)
    assert (now.accept_faults, now.accept_fault_reasons) == (9, {"EMFILE": 4, "ENOMEM": 5})
    assert now.outcomes == {Outcome.CLEAN: 30, Outcome.REFUSED: 40}
    assert (now.refused, now.refused_reasons, now.close_codes) == ({404: 6}, {"path": 7}, {1000: 8})
    assert (now.messages_received, now.messages_sent) == (3 * 1111, 5 * 1111)
    assert (now.bytes_received, now.bytes_sent) == (7 * 1111, 11 * 1111)
    assert (now.messages_unanswered, now.url, now.uptime_s) == (9, "ws://x/", 1.234)


def test_a_snapshot_may_repeat_the_traffic_of_an_earlier_one_and_nothing_else() -> None:
    counters = Counters(accepted=3, open=2)
    counters.add_traffic(Live(100))
    live = [Live(1), Live(10)]
    before = counters.snapshot(live)
    counters.accepted, counters.open = 5, 3
    counters.outcomes[Outcome.CLEAN] += 1
    counters.add_traffic(Live(1000))
    now = counters.snapshot([*live, Live(10_000)], known=before)
    assert (now.messages_received, now.messages_sent) == (3 * 111, 5 * 111)
    assert (now.bytes_received, now.bytes_sent) == (7 * 111, 11 * 111)
    assert (now.accepted, now.open, now.outcomes) == (5, 3, {Outcome.CLEAN: 1})
    assert counters.snapshot(live).messages_received == 3 * 1111


def test_each_histogram_of_a_snapshot_is_its_own() -> None:
    counters, lag = Counters(), Durations()
    for times, durations in ((1, counters.echo), (2, counters.handshake), (3, lag)):
        for _ in range(times):
            durations.observe(0.001 * times)
    now = counters.snapshot(loop_lag=lag)
    assert now.histograms.echo_s == counters.echo.histogram()
    assert now.histograms.handshake_s == counters.handshake.histogram()
    assert now.histograms.loop_lag_s == lag.histogram()
    assert (now.echo_ms.count, now.loop_lag_ms.count) == (1, 3)
    assert (now.echo_ms.max, now.loop_lag_ms.max) == (1.0, 3.0)


def test_no_count_of_a_snapshot_is_anothers() -> None:
    """Every counter has a number of its own, and each of the same name in the snapshot has it."""
    counters = Counters()
    for number, each in enumerate(fields(Counters), 1):
        value = getattr(counters, each.name)
        if isinstance(value, Counter):
            value[f"key of {each.name}"] = number
        elif isinstance(value, int) and not isinstance(value, bool):
            setattr(counters, each.name, number)
    now = counters.snapshot()
    for each in fields(Counters):
        if each.name not in ("echo", "handshake"):
            assert getattr(now, each.name) == getattr(counters, each.name), each.name


def test_a_snapshot_says_when_it_was_taken_twice_and_has_what_it_is_given(monkeypatch) -> None:
    monkeypatch.setattr(
        "echo_trio.metrics.counters.time", SimpleNamespace(time=lambda: 1_767_323_045.6789)
    )
    holdings = Holdings(
        tasks=1, descriptors=2, file_limit=3, rss_bytes=4, cpu_s=5.5,
        gc=GarbageCollection((6, 7, 8), 9.5),
    )  # fmt: skip
    now = Counters(draining=True).snapshot(holdings=holdings, held_bytes=10)
    assert (now.t, now.t_ms) == ("2026-01-02T03:04:05.678+00:00", 1_767_323_045_678)
    assert (now.tasks, now.descriptors, now.file_limit, now.rss_bytes) == (1, 2, 3, 4)
    assert (now.cpu_s, now.gc, now.held_bytes) == (5.5, holdings.gc, 10)
    assert (now.draining, now.workers, now.upstream, now.faults) == (True, 1, None, None)
    nothing = Counters().snapshot()
    assert (nothing.draining, nothing.uptime_s, nothing.url, nothing.held_bytes) == (
        False, 0.0, "", 0,
    )  # fmt: skip
    assert (nothing.gc, nothing.echo_ms, nothing.loop_lag_ms) == (
        GarbageCollection((0, 0, 0), 0.0), Spread(0, 0.0, 0.0, 0.0), Spread(),
    )  # fmt: skip
    assert (nothing.faults_seen, nothing.faults_acted) == ({}, {})
    assert (nothing.tasks, nothing.descriptors, nothing.file_limit) == (0, 0, 0)
    assert (nothing.rss_bytes, nothing.cpu_s) == (0, 0.0)
