"""Show the finding of a search for capacity, to a person and to a program; make its schema."""

from __future__ import annotations

import sys
import textwrap
from pathlib import Path
from typing import Any, Final

import msgspec

from loadgen.report.terminal import WIDTH
from loadgen.studies.capacity import Capacity, SearchOutcome, Step
from loadgen.studies.capacity_search import FAR, Forecast

SCHEMA_PATH: Final = Path(__file__).parents[1] / "capacity.schema.json"


def encode(capacity: Capacity) -> bytes:
    """Encode the finding in JSON, indented, with a newline at its end."""
    return msgspec.json.format(msgspec.json.encode(capacity), indent=2) + b"\n"


def make_schema() -> dict[str, Any]:
    """Make the JSON schema of a finding, which `capacity.schema.json` contains."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "loadgen capacity",
        **msgspec.json.schema(Capacity),
    }


def show_step(step: Step) -> str:
    """Show a step in one line."""
    target = _target(step)
    side = f"  target {target}" if target else ""
    why = f"  {step.reasons[0]}" if step.reasons else ""
    return (
        f"  {_rate(step.rate_per_s):>10}  {step.outcome:<17} p50 {_ms(step.p50_ms)}, "
        f"p99 {_ms(step.p99_ms)}{side}{why}"
    )


def _ms(value: float | None) -> str:
    return "–" if value is None else f"{value:,.1f} ms"


def _target(step: Step) -> str:
    """Sum up the target's own metrics at a step in a few words; empty if none were requested."""
    if isinstance(step.target, msgspec.UnsetType):
        return ""
    target, facts = step.target, []
    if target.cpu_share is not None:
        facts.append(f"{target.cpu_share:.0%} of one core")
    if target.loop_lag.max is not None:
        facts.append(f"late by {target.loop_lag.max:,.1f} ms")
    if not facts and target.last_error is not None:
        facts.append(f"no answer ({target.last_error})")
    return ", ".join(facts) or "says neither CPU nor lag"


def show_forecast(forecast: Forecast) -> str:
    """Say how long a search will take, to be printed before it begins."""
    least, far = forecast.least_steps, forecast.far_steps
    told = (
        f"Each step takes {_span(forecast.step_s)} and what opening and closing take. "
        f"{least} steps find an edge below twice the first rate: {_span(least * forecast.step_s)}; "
        f"each doubling is one more: {far} for {FAR} times, {_span(far * forecast.step_s)}."
    )
    if forecast.confidence is not None:
        most = forecast.most_steps
        told += (
            " A target whose runs at the edge do not all end alike takes more, "
            f"{most} steps at most: {_span(most * forecast.step_s)}."
        )
    return _fill(told)


def _span(seconds: float) -> str:
    """Write a time as people say it, rounded."""
    if seconds < 100:
        return f"{seconds:.3g} s"
    return f"{seconds / 60:,.0f} min" if seconds < 6000 else f"{seconds / 3600:,.1f} h"


def show_whole(capacity: Capacity) -> str:
    """Show the steps, which may not have been shown yet, and the finding."""
    return "\n".join([*(show_step(step) for step in capacity.steps), "", show(capacity)])


def show(capacity: Capacity) -> str:
    """Show the finding in a few lines."""
    held, broke = capacity.held_per_s, capacity.broke_per_s
    lines = []
    if held is None:
        lines.append(f"No rate held at {capacity.url}.")
    else:
        runs = sum(step.rate_per_s == held for step in capacity.steps)
        how_often = f"in {_runs(capacity.held_runs)} of {runs}"
        lines.append(f"{_rate(held)} is the highest rate that held, {how_often}.")
        if not capacity.interrupted and capacity.confidence is None:
            lines.append(
                f"A rate that breaks every other time passes that once in {2**capacity.held_runs} "
                "searches, so stay below it where it has to hold."
            )
    if broke is not None:
        edge = _step_at(capacity, broke)
        lines.append(
            f"{_rate(broke)} did not: {edge.reasons[0] if edge.reasons else edge.outcome}."
        )
    lines += _tell_confidence(capacity)
    lines += _compare_target(capacity)
    if capacity.limited_by == "generator":
        lines.append(_explain_own_limit(capacity))
    if capacity.interrupted:
        how = "Recovered from its journal:" if capacity.incomplete else "Interrupted:"
        lines.append(f"{how} the search was not over.")
    return "\n".join(map(_fill, lines))


def _explain_own_limit(capacity: Capacity) -> str:
    """Say that the edge is the generator's own, and what raises it, where more processes do."""
    told = "That is the generator's limit: the target's may be higher."
    assert capacity.broke_per_s is not None
    has_run = bool(_step_at(capacity, capacity.broke_per_s).series)
    return f"{told} See --workers." if has_run else told


def _tell_confidence(capacity: Capacity) -> list[str]:
    """Say of which sides of the edge the search is as sure as it was to be."""
    if capacity.confidence is None:
        return []
    held, broke = capacity.held_per_s, capacity.broke_per_s
    sure, unsure = list[tuple[str, str]](), list[str]()
    for rate, is_sure, meaning in (
        (held, capacity.held_confirmed, "holds in more than half of its runs"),
        (broke, capacity.broke_confirmed, "breaks in more than one run of ten"),
    ):
        if rate is None:
            continue
        if is_sure:
            sure.append((_rate(rate), meaning))
        else:
            unsure.append(_rate(rate))
    lines = []
    if sure:
        claims = " and ".join(f"{rate} {meaning}" for rate, meaning in sure)
        lines.append(f"With {capacity.confidence * 100:.4g} % confidence, {claims}.")
    if unsure:
        lines.append(f"The search ended before it was that sure of {' or '.join(unsure)}.")
    return lines


def _fill(line: str) -> str:
    return textwrap.fill(line, WIDTH, initial_indent="  ", subsequent_indent="  ")


def _step_at(capacity: Capacity, rate_per_s: float) -> Step:
    """Find the first step at this rate that ended as the finding says about the rate."""
    has_held = rate_per_s == capacity.held_per_s
    return next(
        step
        for step in capacity.steps
        if step.rate_per_s == rate_per_s and (step.outcome is SearchOutcome.HELD) == has_held
    )


def _compare_target(capacity: Capacity) -> list[str]:
    """Compare the target's own metrics on both sides of the edge, to see if it was busy."""
    edge = [rate for rate in (capacity.held_per_s, capacity.broke_per_s) if rate is not None]
    told = {rate: _target(_step_at(capacity, rate)) for rate in edge}
    facts = [f"{what} at {_rate(rate)}" for rate, what in told.items() if what]
    return [f"The target: {'; '.join(facts)}."] if facts else []


def _rate(rate_per_s: float) -> str:
    return f"{rate_per_s:,.0f}/s" if rate_per_s >= 100 else f"{rate_per_s:,.3g}/s"


def _runs(count: int) -> str:
    return "1 run" if count == 1 else f"{count} runs"


if __name__ == "__main__":
    sys.stdout.buffer.write(msgspec.json.format(msgspec.json.encode(make_schema()), indent=2))
    sys.stdout.buffer.write(b"\n")
