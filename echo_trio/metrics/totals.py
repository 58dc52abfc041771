"""Add up several workers' snapshots. Pure; a counter never goes back, whichever worker dies."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import fields, replace
from typing import Any, Final

from echo_trio.metrics.counters import (
    Counters,
    GarbageCollection,
    Histograms,
    Holdings,
    Outcome,
    ServerSnapshot,
)
from echo_trio.metrics.durations import DurationHistogram
from echo_trio.wire.close_codes import ABNORMAL_CLOSURE

_SUMS: Final = (
    "accepted", "handshaking", "open", "accept_faults",
    "messages_received", "messages_sent", "messages_unanswered", "messages_pushed",
    "messages_undelivered", "bytes_received", "bytes_sent",
    "held_bytes", "tasks", "descriptors", "file_limit", "rss_bytes", "cpu_s",
)  # fmt: skip
_SUMS_BY_KEY: Final = (
    "accept_fault_reasons", "outcomes", "refused", "refused_reasons", "close_codes",
    "upstream_close_codes", "faults_seen", "faults_acted",
)  # fmt: skip


def nothing() -> ServerSnapshot:
    """Make the snapshot of a worker that has done nothing."""
    return Counters().snapshot()


def retire(
    last: ServerSnapshot,
    outcome: Outcome = Outcome.LOST_WITH_WORKER,
    close_code: int = ABNORMAL_CLOSURE,
) -> ServerSnapshot:
    """Return what remains of a dead worker: all that it counted, and nothing that it held.

    :param outcome: the outcome of all its connections, open or in handshake.
    :param close_code: the close code of its open connections.
    """
    lost = last.open + last.handshaking
    outcomes, close_codes = Counter(last.outcomes), Counter(last.close_codes)
    if lost:
        outcomes[outcome] += lost
    if last.open:
        close_codes[close_code] += last.open
    return replace(
        last,
        handshaking=0,
        open=0,
        held_bytes=0,
        outcomes=dict(outcomes),
        close_codes=dict(close_codes),
        tasks=0,
        descriptors=0,
        file_limit=0,
        rss_bytes=0,
    )


def add_up(parts: Sequence[ServerSnapshot], **more: Any) -> ServerSnapshot:
    """Add up snapshots into one, taken now.

    Counts and holdings are added, `peak_open` too, which gives more than were open at one time; a
    caller that has watched can pass the true one.

    :param more: values of fields that can't be added.
    """
    sums: dict[str, Any] = {name: sum(getattr(part, name) for part in parts) for name in _SUMS}
    sums |= {name: _by_key(getattr(part, name) for part in parts) for name in _SUMS_BY_KEY}
    sums["cpu_s"] = round(sums["cpu_s"], 3)
    sums["peak_open"] = sum(part.peak_open for part in parts)
    sums["gc"] = _collections(part.gc for part in parts)
    sums["histograms"] = Histograms(
        **{
            field.name: sum(
                (getattr(part.histograms, field.name) for part in parts), start=DurationHistogram()
            )
            for field in fields(Histograms)
        }
    )
    return replace(nothing(), **(sums | more))


def with_holdings(snapshot: ServerSnapshot, own: Holdings) -> ServerSnapshot:
    """Add what the supervisor itself holds; not its descriptors, for only the workers' run out."""
    return replace(
        snapshot,
        tasks=snapshot.tasks + own.tasks,
        rss_bytes=snapshot.rss_bytes + own.rss_bytes,
        cpu_s=round(snapshot.cpu_s + own.cpu_s, 3),
        gc=_collections([snapshot.gc, own.gc]),
    )


def _by_key(counts: Iterable[dict[Any, int]]) -> dict[Any, int]:
    total: Counter[Any] = Counter()
    for count in counts:
        total.update(count)
    return dict(total)


def _collections(parts: Iterable[GarbageCollection]) -> GarbageCollection:
    parts = list(parts)
    return GarbageCollection(
        collections=tuple(map(sum, zip(*(part.collections for part in parts), strict=True))),
        pause_ms_total=round(sum(part.pause_ms_total for part in parts), 3),
    )
