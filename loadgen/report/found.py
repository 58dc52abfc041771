"""What a search for capacity has found, for a person and for a program."""

from __future__ import annotations

import textwrap

import msgspec

from loadgen.capacity import Capacity, Outcome, Step
from loadgen.report.paper import WIDTH


def encode(capacity: Capacity) -> bytes:
    """In JSON, indented, with a newline at its end."""
    return msgspec.json.format(msgspec.json.encode(capacity), indent=2) + b"\n"


def show_step(step: Step) -> str:
    """One line on a step."""
    why = f"  {step.reasons[0]}" if step.reasons else ""
    return (
        f"  {_rate(step.rate_per_s):>10}  {step.outcome:<17} p50 {step.p50_ms:,.1f} ms, "
        f"p99 {step.p99_ms:,.1f} ms{why}"
    )


def show(capacity: Capacity) -> str:
    """The finding in a few lines."""
    held, broke = capacity.held_per_s, capacity.broke_per_s
    lines = []
    if held is None:
        lines.append(f"No rate held at {capacity.url}.")
    else:
        sure = (
            ""
            if capacity.interrupted
            else (f": with 95 % confidence, at least {capacity.probability:.0%} of such runs do")
        )
        lines.append(
            f"{_rate(held)} is the highest rate that held, in {_runs(capacity.held_runs)} "
            f"of {capacity.held_runs}{sure}."
        )
    if broke is not None:
        (edge, *_) = [
            step
            for step in capacity.steps
            if step.rate_per_s == broke and step.outcome is not Outcome.HELD
        ]
        lines.append(
            f"{_rate(broke)} did not: {edge.reasons[0] if edge.reasons else edge.outcome}."
        )
    if capacity.limited_by == "generator":
        lines.append("That is the generator's limit: the target's may be higher. See --workers.")
    if capacity.interrupted:
        lines.append("Interrupted before the search was over.")
    return "\n".join(
        textwrap.fill(line, WIDTH, initial_indent="  ", subsequent_indent="  ") for line in lines
    )


def _rate(rate_per_s: float) -> str:
    return f"{rate_per_s:,.0f}/s" if rate_per_s >= 100 else f"{rate_per_s:,.3g}/s"


def _runs(count: int) -> str:
    return "1 run" if count == 1 else f"{count} runs"
