"""Merge the seconds of several processes that made one run together."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final

import msgspec


class Second(msgspec.Struct, frozen=True, kw_only=True):
    """One second of a run, as it ended.

    :ivar p50_ms: the median of this second's replies, as `p99_ms` is their 99th percentile;
        ``None`` if none came.
    :ivar lag_ms: how late the event loop was at most; ``None`` if it was not measured.
    """

    t_s: float
    open: int
    opening: int
    sent: int
    received: int
    errors: int
    p50_ms: float | None
    p99_ms: float | None
    lag_ms: float | None


#: Numbers of sockets at a moment: a process without an entry for a second still holds its sockets.
_GAUGES: Final = ("open", "opening")
#: Percentiles can't be added up: the merged second has those of the worst process.
_WORST: Final = ("p50_ms", "p99_ms", "lag_ms")
_COUNTS: Final = tuple(
    name for name in Second.__struct_fields__ if name not in ("t_s", *_GAUGES, *_WORST)
)


def merge_series(parts: Sequence[tuple[datetime, Sequence[Second]]]) -> list[Second]:
    """Merge the seconds of all parts, aligned by the wall clock, to within half a second.

    Every count is in exactly one second of the outcome. A second that ended early, the last of a
    run, is part of the one it is nearest to.

    :param parts: the beginning and the seconds of each part.
    """
    began = min((_clock_s(started) for started, _ in parts), default=0)
    placed = [
        _merge_within_a_part(_clock_s(started) - began, seconds) for started, seconds in parts
    ]
    places = sorted({place for part in placed for place in part})
    merged, now = [], [{"open": 0, "opening": 0} for _ in parts]
    for place in places:
        entries = []
        for gauges, part in zip(now, placed, strict=True):
            if (entry := part.get(place)) is not None:
                gauges.update({name: getattr(entry, name) for name in _GAUGES})
                entries.append(entry)
        merged.append(
            Second(
                t_s=float(place),
                **{name: sum(gauges[name] for gauges in now) for name in _GAUGES},
                **{name: sum(getattr(entry, name) for entry in entries) for name in _COUNTS},
                p50_ms=_worst(entry.p50_ms for entry in entries),
                p99_ms=_worst(entry.p99_ms for entry in entries),
                lag_ms=_worst(entry.lag_ms for entry in entries),
            )
        )
    return merged


def _worst(values: Iterable[float | None]) -> float | None:
    """Return the highest of the values that were measured; ``None`` if none was."""
    return max((value for value in values if value is not None), default=None)


def _clock_s(moment: datetime) -> int:
    return round(moment.timestamp())


def _merge_within_a_part(offset_s: int, seconds: Sequence[Second]) -> dict[int, Second]:
    """Place a part's seconds where they belong: samples come a little late, not a second."""
    placed: dict[int, Second] = {}
    for second in seconds:
        place = offset_s + max(round(second.t_s), 1)
        if (before := placed.get(place)) is not None:
            second = msgspec.structs.replace(  # noqa: PLW2901
                second,
                **{name: getattr(before, name) + getattr(second, name) for name in _COUNTS},
                **{name: _worst((getattr(before, name), getattr(second, name))) for name in _WORST},
            )
        placed[place] = second
    return placed
