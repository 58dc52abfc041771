"""Sums over workers: everything is in them, and they never go back."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from echo_trio.metrics import totals
from echo_trio.metrics.counters import (
    GarbageCollection,
    Histograms,
    Holdings,
    Outcome,
    ServerSnapshot,
)
from echo_trio.metrics.durations import DurationHistogram

COUNT = st.integers(0, 10_000)
HISTOGRAM = st.builds(
    DurationHistogram, st.dictionaries(st.integers(0, 81), COUNT, max_size=2), st.just(1.0)
)
HISTOGRAMS = st.builds(Histograms, echo_s=HISTOGRAM, handshake_s=HISTOGRAM, loop_lag_s=HISTOGRAM)


@st.composite
def snapshots(draw: st.DrawFn) -> ServerSnapshot:
    outcomes = draw(st.dictionaries(st.sampled_from(Outcome), COUNT, max_size=3))
    open_, handshaking = draw(COUNT), draw(COUNT)
    return replace(
        totals.nothing(),
        accepted=open_ + handshaking + sum(outcomes.values()),
        open=open_,
        handshaking=handshaking,
        outcomes=outcomes,
        close_codes=draw(st.dictionaries(st.sampled_from([1000, 1001, 1006]), COUNT)),
        refused=draw(st.dictionaries(st.sampled_from([404, 503]), COUNT)),
        refused_reasons=draw(st.dictionaries(st.sampled_from(["path", "capacity"]), COUNT)),
        messages_received=draw(COUNT),
        bytes_sent=draw(COUNT),
        peak_open=open_,
        rss_bytes=draw(COUNT),
        gc=GarbageCollection((draw(COUNT), 0, 1), 0.5),
        histograms=draw(HISTOGRAMS),
    )


def unbalanced(snapshot: ServerSnapshot) -> int:
    return (
        snapshot.accepted - snapshot.handshaking - snapshot.open - sum(snapshot.outcomes.values())
    )


@given(st.lists(snapshots(), max_size=3))
def test_a_sum_of_what_adds_up_adds_up(parts: list[ServerSnapshot]) -> None:
    total = totals.add_up(parts)
    assert unbalanced(total) == 0
    for name in ("accepted", "open", "messages_received", "bytes_sent", "rss_bytes"):
        assert getattr(total, name) == sum(getattr(part, name) for part in parts)
    for code in (1000, 1001, 1006):
        assert total.close_codes.get(code, 0) == sum(
            part.close_codes.get(code, 0) for part in parts
        )
    assert total.histograms.echo_s.count == sum(part.histograms.echo_s.count for part in parts)
    if parts:
        assert total.gc.collections[2] == len(parts)


@given(snapshots())
def test_a_dead_worker_keeps_what_it_counted_and_loses_whom_it_had(last: ServerSnapshot) -> None:
    past = totals.retire(last)
    assert unbalanced(past) == 0
    assert (past.open, past.handshaking, past.rss_bytes, past.tasks) == (0, 0, 0, 0)
    assert past.accepted == last.accepted
    assert past.histograms == last.histograms
    lost = past.outcomes.get(Outcome.LOST_WITH_WORKER, 0)
    assert lost == last.outcomes.get(Outcome.LOST_WITH_WORKER, 0) + last.open + last.handshaking
    assert sum(past.close_codes.values()) == sum(last.close_codes.values()) + last.open


@given(snapshots())
def test_to_add_nothing_changes_no_count(part: ServerSnapshot) -> None:
    assert replace(totals.add_up([part, totals.nothing()]), t="", t_ms=0) == replace(
        totals.add_up([part]), t="", t_ms=0
    )


def test_each_field_of_a_snapshot_is_summed_or_set_by_whoever_sums() -> None:
    set_by_the_supervisor = {"url", "uptime_s", "workers", "draining", "peak_open"}
    set_by_the_supervisor |= {"echo_ms", "loop_lag_ms", "t", "t_ms", "upstream", "faults"}
    summed = {*totals._SUMS, *totals._SUMS_BY_KEY, "gc", "histograms"}
    assert summed | set_by_the_supervisor == set(ServerSnapshot.__dataclass_fields__)


def test_what_the_supervisor_holds_comes_on_top_but_for_descriptors() -> None:
    own = Holdings(
        tasks=3, descriptors=5, file_limit=100, rss_bytes=1000, cpu_s=0.5,
        gc=GarbageCollection((7, 1, 1), 2.5),
    )  # fmt: skip
    workers = totals.add_up([distinct(1), distinct(10)])
    total = totals.with_holdings(workers, own)
    for name in ("tasks", "rss_bytes", "cpu_s"):
        assert getattr(total, name) == getattr(workers, name) + getattr(own, name), name
    assert total.gc == GarbageCollection((11 + 7, 5, 7), 3.5)
    for name in ("descriptors", "file_limit"):
        assert getattr(total, name) == getattr(workers, name), name


def distinct(factor: int) -> ServerSnapshot:
    """Each count is a number of its own, times the factor."""
    numbers = {name: (at + 2) * factor for at, name in enumerate(totals._SUMS)}
    keyed = {name: {"a": at + 40 * factor, name: factor} for at, name in
             enumerate(totals._SUMS_BY_KEY)}  # fmt: skip
    return replace(
        totals.nothing(), peak_open=1000 * factor, gc=GarbageCollection((factor, 2, 3), 0.5),
        **numbers, **keyed,
    )  # fmt: skip


def test_every_count_of_several_workers_is_added_up() -> None:
    total = totals.add_up([distinct(1), distinct(10), distinct(100)])
    for at, name in enumerate(totals._SUMS):
        assert getattr(total, name) == (at + 2) * 111, name
    for at, name in enumerate(totals._SUMS_BY_KEY):
        assert getattr(total, name) == {"a": 3 * at + 40 * 111, name: 111}, name
    assert total.peak_open == 111_000
    assert total.gc == GarbageCollection((111, 6, 9), 1.5)


def test_of_a_dead_worker_all_stays_but_what_it_held() -> None:
    last = distinct(1)
    held = ("open", "handshaking", "held_bytes", "tasks", "descriptors", "file_limit", "rss_bytes")
    assert totals.retire(last) == replace(
        last,
        outcomes=last.outcomes | {Outcome.LOST_WITH_WORKER: last.open + last.handshaking},
        close_codes=last.close_codes | {1006: last.open},
        **dict.fromkeys(held, 0),
    )


def test_whom_a_dead_worker_had_is_counted_by_how_they_went() -> None:
    last = replace(
        totals.nothing(), accepted=9, open=3, handshaking=2, outcomes={Outcome.CLEAN: 4},
        close_codes={1000: 4}, tasks=7, descriptors=8, file_limit=9, rss_bytes=10, cpu_s=1.5,
    )  # fmt: skip
    past = totals.retire(last, Outcome.DROPPED, 1001)
    assert past.outcomes == {Outcome.CLEAN: 4, Outcome.DROPPED: 5}
    assert past.close_codes == {1000: 4, 1001: 3}
    assert (past.accepted, past.open, past.handshaking) == (9, 0, 0)
    assert (past.tasks, past.descriptors, past.file_limit, past.rss_bytes) == (0, 0, 0, 0)
    assert past.cpu_s == 1.5
    assert totals.retire(past) == past


@given(st.lists(st.integers(0, 10**6), min_size=1, max_size=8))
def test_cpu_time_adds_up_to_the_millisecond(times_ms: list[int]) -> None:
    parts = [replace(totals.nothing(), cpu_s=time_ms / 1000) for time_ms in times_ms]
    assert totals.add_up(parts).cpu_s == sum(times_ms) / 1000
    own = Holdings(cpu_s=0.1)
    total = totals.with_holdings(totals.add_up(parts), own)
    assert total.cpu_s == (sum(times_ms) + 100) / 1000
