"""Write a result down and restore it: for a journal, or to send it to another process."""

from __future__ import annotations

import typing
from collections import Counter
from dataclasses import fields
from datetime import datetime
from functools import cache
from typing import Any, Final

import msgspec

from loadgen.results.latency import Histogram, HistogramState
from loadgen.results.ledger import Ledger
from loadgen.results.result import FanOut, GeneratorFacts, Result, Strain
from loadgen.results.scenario import ScenarioState, dump_scenario, load_scenario
from loadgen.results.series import Second
from loadgen.workload.lever import Change
from loadgen.workload.misbehaviour import Kind
from loadgen.workload.plan import Plan

HISTOGRAMS: Final = ("connect", "intended", "service", "scheduling_lag", "loop_lag")


class FanOutState(msgspec.Struct, frozen=True, kw_only=True):
    """The times of copies in a form that can be stored."""

    first: HistogramState
    last: HistogramState
    each: HistogramState
    clock_error_s: float | None


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """A run up to a second; `seconds` are those since the record before."""

    phase: str
    ended_at: datetime
    interrupted: bool
    ledger: dict[str, Any]
    all_open_after_s: float | None
    load_s: float
    histograms: dict[str, HistogramState]
    generator: GeneratorFacts
    load_strain: Strain
    seconds: list[Second]
    apart: dict[Kind, dict[str, Any]] = msgspec.field(default_factory=dict)
    fan_out: FanOutState | None = None
    scenario: ScenarioState | None = None
    changes: tuple[Change, ...] = ()


def make(phase: str, result: Result, seconds: list[Second]) -> Record:
    """Write a result down, with those of its seconds that are not in an earlier record."""
    return Record(
        phase=phase,
        ended_at=result.ended_at,
        interrupted=result.interrupted,
        ledger=dump_ledger(result.ledger),
        all_open_after_s=result.all_open_after_s,
        load_s=result.load_s,
        histograms={name: getattr(result, name).state for name in HISTOGRAMS},
        generator=result.generator,
        load_strain=result.load_strain,
        seconds=seconds,
        apart={kind: dump_ledger(ledger) for kind, ledger in result.apart.items()},
        fan_out=None if result.fan_out is None else _dump_fan_out(result.fan_out),
        scenario=None if result.scenario is None else dump_scenario(result.scenario),
        changes=result.changes,
    )


def _dump_fan_out(fan_out: FanOut) -> FanOutState:
    return FanOutState(
        first=fan_out.first.state,
        last=fan_out.last.state,
        each=fan_out.each.state,
        clock_error_s=fan_out.clock_error_s,
    )


def _load_fan_out(state: FanOutState) -> FanOut:
    return FanOut(
        first=Histogram.of(state.first),
        last=Histogram.of(state.last),
        each=Histogram.of(state.each),
        clock_error_s=state.clock_error_s,
    )


def restore(record: Record, plan: Plan, started_at: datetime, series: list[Second]) -> Result:
    """Restore the result that was written down.

    :param plan: the plan of the run, which records don't contain.
    :param series: all seconds up to this record.
    """
    histograms: dict[str, Any] = {
        name: Histogram.of(record.histograms[name]) for name in HISTOGRAMS
    }
    return Result(
        plan=plan,
        started_at=started_at,
        ended_at=record.ended_at,
        interrupted=record.interrupted,
        ledger=load_ledger(record.ledger),
        all_open_after_s=record.all_open_after_s,
        load_s=record.load_s,
        generator=record.generator,
        load_strain=record.load_strain,
        series=series,
        apart={kind: load_ledger(ledger) for kind, ledger in record.apart.items()},
        fan_out=None if record.fan_out is None else _load_fan_out(record.fan_out),
        scenario=None if record.scenario is None else load_scenario(record.scenario),
        changes=record.changes,
        **histograms,
    )


def dump_ledger(ledger: Ledger) -> dict[str, Any]:
    """Write a ledger down; counters become pairs, as some of their keys can't be keys in JSON."""
    values = {each.name: getattr(ledger, each.name) for each in fields(ledger)}
    return {
        name: list(value.items()) if isinstance(value, Counter) else value
        for name, value in values.items()
    }


@cache  # To read the annotations takes half a millisecond, and each shard sends a ledger a second.
def _kinds_of_ledger() -> dict[str, Any]:
    return typing.get_type_hints(Ledger)


def load_ledger(dumped: dict[str, Any]) -> Ledger:
    """Restore a ledger that was written down."""
    values: dict[str, Any] = {}
    for name, kind in _kinds_of_ledger().items():
        if name not in dumped:
            continue
        if typing.get_origin(kind) is Counter:
            (key,) = typing.get_args(kind)
            pairs = msgspec.convert(dumped[name], list[tuple[key, int]])  # type: ignore[valid-type]
            values[name] = Counter(dict(pairs))
        else:
            values[name] = dumped[name]
    return Ledger(**values)
