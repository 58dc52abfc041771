"""Add up the answers of a target. Pure: `loadgen.target_metrics.poll` asks."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import msgspec

from loadgen.report.model import TargetLag, TargetReport, TargetSecond
from loadgen.target_metrics.parse import Reading


@dataclass(frozen=True, slots=True)
class _Look:
    """One answer of the target.

    :ivar since_s: the seconds to which its share of the CPU refers; ``None`` where it has none.
    """

    second: TargetSecond
    since_s: float | None
    under_load: bool


class TargetBooks:
    """The answers of a target in one run."""

    def __init__(self) -> None:
        self._looks: list[_Look] = []
        self._errors = 0
        self._last_error: str | None = None
        #: When it last said its CPU time, and what.
        self._before: tuple[float, float] | None = None

    def begin(self, reading: Reading, at_s: float) -> None:
        """Note an answer before the run's first second: its CPU time until then."""
        self._note_cpu(reading, at_s)

    def book(self, reading: Reading, at_s: float, t_s: float, *, under_load: bool) -> None:
        """Book the answer at a second of the run.

        :param at_s: when it was answered, by any steady clock.
        :param t_s: the second, on the run's clock.
        """
        used_s, since_s = self._note_cpu(reading, at_s) or (0.0, None)
        share = None if since_s is None else round(used_s / since_s, 4)
        second = TargetSecond(t_s=t_s, cpu_share=share, **msgspec.structs.asdict(reading))
        self._looks.append(_Look(second, since_s, under_load))

    def book_error(self, problem: str) -> None:
        """Count that it could not be asked."""
        self._errors += 1
        self._last_error = problem

    def _note_cpu(self, reading: Reading, at_s: float) -> tuple[float, float] | None:
        """Return the CPU time used since the last note, and in how long; ``None`` if unknown."""
        if reading.cpu_s is None:
            return None
        before, self._before = self._before, (at_s, reading.cpu_s)
        # Less than before: it was started anew.
        if before is None or reading.cpu_s < before[1] or at_s <= before[0]:
            return None
        return reading.cpu_s - before[1], at_s - before[0]

    def report(self, source: str) -> TargetReport:
        """Add up all answers."""
        seconds = [look.second for look in self._looks]
        loaded = [look for look in self._looks if look.under_load]
        # The first second that ends in the load phase may have begun among handshakes.
        loaded = loaded[1:] or loaded
        return TargetReport(
            source=source,
            errors=self._errors,
            last_error=self._last_error,
            connections=_highest(second.connections for second in seconds),
            cpu_share=_average_cpu(loaded),
            rss_bytes=_highest(second.rss_bytes for second in seconds),
            open_files=_highest(second.open_files for second in seconds),
            loop_lag=TargetLag(
                p50=_highest(look.second.lag_p50_ms for look in loaded),
                p99=_highest(look.second.lag_p99_ms for look in loaded),
                max=_highest(look.second.lag_ms for look in loaded),
            ),
            series=seconds,
        )


def _highest(values: Iterable[float | None]) -> float | None:
    return max((value for value in values if value is not None), default=None)


def _average_cpu(looks: Iterable[_Look]) -> float | None:
    """Average the share of CPU, weighted by time: after a failure the next answer covers more."""
    known = [
        (look.second.cpu_share, look.since_s)
        for look in looks
        if look.second.cpu_share is not None and look.since_s is not None
    ]
    wall_s = sum(since_s for _, since_s in known)
    return round(sum(share * since_s for share, since_s in known) / wall_s, 4) if known else None
