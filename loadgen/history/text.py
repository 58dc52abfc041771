"""Show a history of runs to a person and to a program: the runs, each figure, and its changes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, TextIO

import msgspec
from rich.console import RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from loadgen.history.trends import MIN_RUNS, ChangePoint, Line, ListedRun, Trend
from loadgen.report.describe import NOTHING
from loadgen.report.terminal import paper
from loadgen.report.verdict import VALID
from loadgen.studies.compare_text import show
from loadgen.workload.lever import explain_changes

_BLOCKS: Final = "▁▂▃▄▅▆▇█"
#: The runs of a plot, and of a list; older ones are in the other forms.
_PLOTTED: Final = 30
_LISTED: Final = 15
#: The runs of which is said how they were changed by hand.
_STEERED: Final = 5
_STYLES: Final = {"better": "bold green", "worse": "bold red"}


def encode(lines: Sequence[Line]) -> bytes:
    """Encode all lines in JSON, indented, with a newline at its end."""
    return msgspec.json.format(msgspec.json.encode({"lines": lines}), indent=2) + b"\n"


def write(lines: Sequence[Line], stream: TextIO, *, color: bool = True) -> None:
    """Write each line; with colour only if the stream is a terminal and colour is wanted."""
    with paper(stream, color=color) as console:
        for line in lines:
            parts: list[RenderableType] = [_headline(line), _list_runs(line)]
            parts += [Text(note) for note in explain(line)]
            parts += [part for trend in line.trends for part in _plot(line, trend)]
            for part in parts:
                console.print(Padding(part, (0, 0, 0, 2)))
            console.print()


def explain(line: Line) -> list[str]:
    """Say what is left out, and what can't be told yet."""
    notes = []
    left_out = sum(not run.counted for run in line.runs)
    if left_out:
        notes.append(
            f"{left_out} of {len(line.runs)} runs are not counted: generator-limited, interrupted "
            "or changed by hand"
        )
    counted = len(line.runs) - left_out
    if counted < MIN_RUNS:
        notes.append(f"changes are looked for from {MIN_RUNS} runs on: here are {counted}")
    steered = [run for run in line.runs if run.changes]
    if len(steered) > _STEERED:
        notes.append(f"{len(steered):,} runs were changed by hand, these at last:")
    notes += [
        f"run {run.id}: {explain_changes(run.changes, run.paused_s)}" for run in steered[-_STEERED:]
    ]
    return notes


def say_verdict(run: ListedRun) -> str:
    """Say how a run ended, by its exit code, and whether its load was changed by hand."""
    if run.interrupted:
        ending = "interrupted"
    elif not run.opened:
        ending = "nothing opened"
    else:
        is_breached = run.verdict == VALID and run.breached
        ending = "threshold breached" if is_breached else run.verdict
    return f"{ending}, changed by hand" if run.changes else ending


def explain_change(trend: Trend, change: ChangePoint) -> str:
    """Say in one line what changed, since when, and how sure that is."""
    share = "" if change.change is None else f" ({change.change:+.1%}"
    noise = "" if change.noise is None else f", noise ±{change.noise:.1%}"
    return (
        f"{change.call} since run {change.run} of {change.started_at:%Y-%m-%d %H:%M}: "
        f"{show(change.before, trend.unit)} → {show(change.after, trend.unit)}"
        f"{share or ' ('}{noise if share else noise.removeprefix(', ')}"
        f"{', ' if share or noise else ''}p {change.p:.3f})"
    )


def count_runs(line: Line) -> str:
    """Write how many runs a line has."""
    return f"{len(line.runs):,} run{'' if len(line.runs) == 1 else 's'}"


def _headline(line: Line) -> Text:
    first, last = line.runs[0], line.runs[-1]
    text = Text.assemble((line.name, "bold"), f"  {count_runs(line)}")
    text.append(f", {first.started_at:%Y-%m-%d} to {last.started_at:%Y-%m-%d}", "dim")
    if line.different:
        text.append(f"\nwith another plan: {'; '.join(line.different)}", "yellow")
    return text


def _list_runs(line: Line) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold")
    table.add_column("run", justify="right")
    table.add_column("started (UTC)", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    shown = line.trends[:4]
    for trend in shown:
        table.add_column(trend.name, justify="right")
    if len(line.runs) > _LISTED:
        table.add_row("…")
    for at, run in [*enumerate(line.runs)][-_LISTED:]:
        table.add_row(
            str(run.id),
            f"{run.started_at:%Y-%m-%d %H:%M}",
            say_verdict(run),
            *(_show(trend.values[at], trend.unit) for trend in shown),
        )
    return table


def _plot(line: Line, trend: Trend) -> list[Text]:
    """Draw a figure as blocks, and say what changed."""
    values = trend.values[-_PLOTTED:]
    measured = [value for value in values if value is not None]
    if not measured:
        return []
    low, high = min(measured), max(measured)
    # From 0, unless that would make all of them look the same.
    floor = 0.0 if low < high / 2 else low - (high - low)
    since = {change.run: change.call for change in trend.changes}
    runs = line.runs[-_PLOTTED:]
    text = Text.assemble("\n", (trend.name.ljust(18), "bold"))
    for value, run in zip(values, runs, strict=True):
        share = 0.0 if value is None or high == floor else (value - floor) / (high - floor)
        block = "·" if value is None else _BLOCKS[round(share * (len(_BLOCKS) - 1))]
        text.append(block, _STYLES.get(since.get(run.id, ""), "cyan"))
    text.append(f"  {show(low, trend.unit)} … {show(high, trend.unit)}")
    if trend.noise is not None:
        text.append(f", ±{trend.noise:.1%}", "dim")
    changes = [
        Text(f"  {explain_change(trend, change)}", _STYLES[change.call]) for change in trend.changes
    ]
    return [text, *changes]


def _show(value: float | None, unit: str) -> str:
    return NOTHING if value is None else show(value, unit)
