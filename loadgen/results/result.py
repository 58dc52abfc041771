"""Hold what a run, or a part of one, has measured; merge parts into the whole."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import msgspec

from loadgen.results.latency import Histogram
from loadgen.results.ledger import Ledger
from loadgen.results.scenario import ScenarioBooks
from loadgen.results.series import Second, merge_series
from loadgen.workload.lever import Change
from loadgen.workload.misbehaviour import Kind
from loadgen.workload.plan import Plan


class GeneratorFacts(msgspec.Struct, frozen=True, kw_only=True):
    """The resources of this machine that the run used.

    :ivar cpu_share: of one core, for all processes together.
    :ivar cpu_shares: of one core, for each process.
    """

    processes: int
    cpu_s: float
    cpu_share: float
    cpu_shares: list[float] = []
    peak_rss_bytes: int
    python: str
    trio: str


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """A worker of a cluster, and its part of a run."""

    worker: str
    processes: int
    sockets: int


class Workers(msgspec.Struct, frozen=True, kw_only=True):
    """The processes that shared a run.

    :ivar scheduler: that of the Dask cluster on which they were; ``None``: on this machine.
    :ivar places: the workers of the cluster; empty on this machine.
    """

    processes: int = 1
    scheduler: str | None = None
    places: list[Place] = []


class Strain(msgspec.Struct, frozen=True, kw_only=True):
    """The effort of the generator in the load phase.

    :ivar cpu_share: CPU time of the process, as a share of one core.
    :ivar waiting_share: the share of the phase in which its thread was ready to run and had no
        core.
    """

    wall_s: float = 0.0
    cpu_share: float = 0.0
    waiting_share: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class FanOut:
    """The times from when a message was handed to its socket until copies came.

    :ivar first: until its first copy; for each message that has one.
    :ivar last: until its last copy; for each message whose copies all came.
    :ivar each: until each copy.
    :ivar clock_error_s: by how much the clocks of sender and receiver may disagree, where they are
        on different machines; ``None`` if all have one clock.
    """

    first: Histogram
    last: Histogram
    each: Histogram
    clock_error_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """A run that has ended, or a part of one."""

    plan: Plan
    started_at: datetime
    ended_at: datetime
    interrupted: bool
    ledger: Ledger
    all_open_after_s: float | None
    load_s: float
    connect: Histogram
    intended: Histogram
    service: Histogram
    scheduling_lag: Histogram
    loop_lag: Histogram
    generator: GeneratorFacts
    load_strain: Strain
    series: list[Second]
    apart: Mapping[Kind, Ledger] = field(default_factory=dict)
    """The ledgers of sockets that misbehaved on purpose, by the way in which they did."""
    workers: Workers = field(default_factory=Workers)
    fan_out: FanOut | None = None
    """``None`` unless messages go to whole rooms."""
    scenario: ScenarioBooks | None = None
    """``None`` unless the users are somebody's own code."""
    deaths: tuple[str, ...] = ()
    """Processes that died in the run, in a line each."""
    changes: tuple[Change, ...] = ()
    """Changes of the load by hand, in the order of time."""

    @classmethod
    def merge(cls, results: Sequence[Result], plan: Plan | None = None) -> Result:
        """Merge the results of processes that ran parts of one plan at one time.

        Counts, ledgers and histograms are added up, and so are the memory and CPU time of the
        processes. `load_strain` takes each value from the process that had it hardest. Rates are
        over the longest load phase; `peak_open` is the sum of the peaks. Any grouping gives the
        same result.

        :param results: at least one.
        :param plan: the whole plan; by default that of the first result.
        """
        first = results[0]
        began = min(result.started_at for result in results)
        ledger = Ledger(0)
        for result in results:
            ledger.merge(result.ledger)
        return cls(
            plan=plan or first.plan,
            started_at=began,
            ended_at=max(result.ended_at for result in results),
            interrupted=any(result.interrupted for result in results),
            ledger=ledger,
            all_open_after_s=_merge_all_open(results, began),
            load_s=max(result.load_s for result in results),
            connect=_merge_histograms(result.connect for result in results),
            intended=_merge_histograms(result.intended for result in results),
            service=_merge_histograms(result.service for result in results),
            scheduling_lag=_merge_histograms(result.scheduling_lag for result in results),
            loop_lag=_merge_histograms(result.loop_lag for result in results),
            generator=GeneratorFacts(
                processes=sum(result.generator.processes for result in results),
                cpu_s=round(sum(result.generator.cpu_s for result in results), 6),
                cpu_share=round(sum(result.generator.cpu_share for result in results), 4),
                cpu_shares=[share for result in results for share in result.generator.cpu_shares],
                peak_rss_bytes=sum(result.generator.peak_rss_bytes for result in results),
                python=_merge_versions(result.generator.python for result in results),
                trio=_merge_versions(result.generator.trio for result in results),
            ),
            load_strain=Strain(
                wall_s=max(result.load_strain.wall_s for result in results),
                cpu_share=max(result.load_strain.cpu_share for result in results),
                waiting_share=max(result.load_strain.waiting_share for result in results),
            ),
            series=merge_series([(result.started_at, result.series) for result in results]),
            apart=_merge_apart(results),
            fan_out=_merge_fan_outs([each.fan_out for each in results if each.fan_out]),
            scenario=_merge_scenarios([each.scenario for each in results if each.scenario]),
            deaths=tuple(death for result in results for death in result.deaths),
            changes=_merge_changes(results),
        )


def _merge_changes(results: Sequence[Result]) -> tuple[Change, ...]:
    """Take each change once: those of a run are told by who changed it, for all of its parts."""
    changes = dict.fromkeys(change for result in results for change in result.changes)
    return tuple(sorted(changes, key=lambda change: change.t_s))


def _merge_apart(results: Sequence[Result]) -> Mapping[Kind, Ledger]:
    merged: dict[Kind, Ledger] = {}
    for result in results:
        for kind, ledger in result.apart.items():
            merged.setdefault(kind, Ledger(0)).merge(ledger)
    return merged


def _merge_fan_outs(fan_outs: Sequence[FanOut]) -> FanOut | None:
    if not fan_outs:
        return None
    errors = [each.clock_error_s for each in fan_outs if each.clock_error_s is not None]
    return FanOut(
        first=_merge_histograms(each.first for each in fan_outs),
        last=_merge_histograms(each.last for each in fan_outs),
        each=_merge_histograms(each.each for each in fan_outs),
        clock_error_s=max(errors, default=None),
    )


def _merge_scenarios(scenarios: Sequence[ScenarioBooks]) -> ScenarioBooks | None:
    if not scenarios:
        return None
    merged = ScenarioBooks()
    for each in scenarios:
        merged.merge(each)
    return merged


def _merge_all_open(results: Sequence[Result], began: datetime) -> float | None:
    """Find when the last part had all its sockets open; ``None`` if one never had."""
    latest = 0.0
    for result in results:
        if result.all_open_after_s is None:
            return None
        offset_s = (result.started_at - began).total_seconds()
        latest = max(latest, offset_s + result.all_open_after_s)
    return round(latest, 6)


def _merge_histograms(histograms: Iterable[Histogram]) -> Histogram:
    merged = Histogram()
    for histogram in histograms:
        merged.merge(histogram)
    return merged


def _merge_versions(versions: Iterable[str]) -> str:
    """List all versions, each once."""
    return ", ".join(sorted({one for version in versions for one in version.split(", ")}))
