"""Show the run while it runs: a live display on a terminal, a line now and then elsewhere.

It reads the engine's ledger and series, and never touches a session.
"""

from __future__ import annotations

import math
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Final, TextIO

import trio
from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from loadgen.engine.running import Phase, Running
from loadgen.workload.lever import show_rate

if TYPE_CHECKING:
    from loadgen.cli.keys import Keys

#: The interval at which the display changes.
REDRAW_INTERVAL_S: Final = 0.25
#: The interval of printing a line where nothing can be redrawn.
LINE_INTERVAL_S: Final = 5.0
_SPARKS: Final = "▁▂▃▄▅▆▇█"
_SPARK_SECONDS: Final = 30
#: Narrow enough for everything beside it to fit 80 columns, even after an hour.
_BAR_WIDTH: Final = 24
#: What the bar's line takes beside bar, time and hint: the phase, and gaps.
_BESIDE_BAR: Final = 8 + 3
#: What the time takes as a rule, so that the bar is of one length.
_TIME_WIDTH: Final = 18
#: What the other lines take before their picture: two counts of six digits.
_BEFORE_SPARKS: Final = 48
_HINTS: Final = ("Ctrl-C stops in good order", "Ctrl-C stops", "")
_PHASES: Final = {
    Phase.PREFLIGHT: "checking",
    Phase.OPEN: "opening",
    Phase.LOAD: "load",
    Phase.CLOSE: "closing",
    Phase.DONE: "done",
}


async def watch(engine: Running, *, color: bool = True, keys: Keys | None = None) -> None:
    """Show the run on stderr until it is done, or until cancelled.

    If it can't be written, because the terminal was closed for example, the run goes on.

    :param keys: those that change the load, which are shown.
    """
    with suppress(OSError):
        if sys.stderr.isatty():
            console = Console(stderr=True, no_color=None if color else True, highlight=False)
            await watch_live(engine, console, keys)
        else:
            await watch_lines(engine, sys.stderr)


async def watch_live(engine: Running, console: Console, keys: Keys | None = None) -> None:
    """Show the run in a few lines that change, and are gone when it is done."""
    # No thread of rich's own: it would draw in the middle of what it reads.
    with Live(console=console, auto_refresh=False, transient=True) as live:
        while engine.phase is not Phase.DONE:
            live.update(_display(engine, console.width, keys), refresh=True)
            await trio.sleep(REDRAW_INTERVAL_S)


async def watch_lines(engine: Running, stream: TextIO) -> None:
    """Print a line at the beginning of each phase, and now and then in between."""
    shown, printed_at = None, 0.0
    while engine.phase is not Phase.DONE:
        # Preflight is over at once, or prints its own error.
        if engine.phase is Phase.PREFLIGHT and not engine.elapsed_s > LINE_INTERVAL_S:
            pass
        elif engine.phase is not shown or engine.elapsed_s - printed_at >= LINE_INTERVAL_S:
            shown, printed_at = engine.phase, engine.elapsed_s
            stream.write(_line(engine) + "\n")
            stream.flush()
        await trio.sleep(REDRAW_INTERVAL_S)


def _line(engine: Running) -> str:
    ledger = engine.ledger
    return (
        f"{engine.elapsed_s:6.1f} s  {_PHASES[engine.phase]:<8} "
        f"{ledger.open:,} of {ledger.requested:,} open, {ledger.sent:,} sent, "
        f"{ledger.received:,} received, {ledger.errors:,} errors"
        f"{', paused' if engine.lever.is_paused else ''}"
    )


def _display(engine: Running, width: int, keys: Keys | None) -> Group:
    """Show the run in what columns there are; of too few, pictures and hints are given up first."""
    ledger, plan = engine.ledger, engine.plan
    last = engine.series[-1] if engine.series else None
    left = width - _BESIDE_BAR - max(len(_time(engine)), _TIME_WIDTH)
    hint = next(each for each in _HINTS if not each or len(each) + _BAR_WIDTH // 2 <= left)
    if engine.interrupted:
        hint = "stopping …"
    sparks = min(max(width - _BEFORE_SPARKS, 0), _SPARK_SECONDS)
    bar = Table.grid(padding=(0, 1))
    for _ in range(4):
        bar.add_column(no_wrap=True)
    bar.add_row(
        Text(f"{_PHASES[engine.phase]:<8}", style="bold"),
        ProgressBar(
            total=1.0,
            completed=_completed(engine),
            width=min(max(left - len(hint), 1), _BAR_WIDTH),
            complete_style="cyan",
        ),
        Text(_time(engine), style="dim"),
        Text(hint, style="dim"),
    )
    facts = Table.grid(padding=(0, 2))
    for _ in range(3):
        facts.add_column(no_wrap=True)
    errors_style = "red" if ledger.errors else "dim"
    facts.add_row(
        "  sockets", f"{ledger.open:,} of {plan.count:,} open", _spark(engine, "open", sparks)
    )
    facts.add_row(
        "  messages",
        f"{ledger.sent:,} sent, {ledger.received:,} received",
        _spark(engine, "received", sparks),
    )
    if plan.scenario is not None and (scenario := engine.result_so_far().scenario) is not None:
        users = scenario.users
        failed = f", {users.failed:,} failed" if users.failed else ""
        facts.add_row("  users", f"{users.requested - users.settled:,} at work{failed}", "")
    if keys is not None or engine.lever.changes:
        facts.add_row("  load", *_load(engine, keys, width - _BEFORE_SPARKS))
    if last is not None and (last.sent or last.received):
        facts.add_row("  a second", f"{last.sent:,} sent, {last.received:,} received", "")
    if last is not None and last.p50_ms is not None and last.p99_ms is not None:
        facts.add_row(
            "  latency",
            f"p50 {last.p50_ms:.2f} ms, p99 {last.p99_ms:.2f} ms",
            _spark(engine, "p99_ms", sparks),
        )
    facts.add_row("  errors", Text(f"{ledger.errors:,}", style=errors_style), "")
    return Group(bar, facts)


def _load(engine: Running, keys: Keys | None, room: int) -> tuple[Text, Text]:
    """Show the rate of the load, and the keys that change it or what they could not do."""
    lever = engine.lever
    parts = [] if lever.rate is None else [show_rate(lever.rate, lever.unit)]
    if lever.factor != 1 and lever.unit != "factor":
        parts.append(f"{lever.factor:.0%} of the plan")
    if lever.is_paused:
        parts.insert(0, "paused")
    none = "closed loop" if engine.plan.closed_loop else "no rate of its own"
    rate = Text(", ".join(parts) or none, style="bold yellow" if lever.changes else "")
    if keys is None:
        return rate, Text("")
    if keys.note:
        return rate, Text(keys.note, style="yellow")
    hint = keys.hint(engine)
    return rate, Text(hint if len(hint) <= room else "", style="dim")


def _time(engine: Running) -> str:
    """Show how long the run takes already, and how long the load will still."""
    elapsed = f"{engine.elapsed_s:.0f} s"
    if engine.phase is not Phase.LOAD or not math.isfinite(engine.plan.load_s):
        return elapsed
    left_s = max(engine.plan.load_s - engine.phase_elapsed_s, 0)
    left = f"{left_s:.0f} s" if left_s < 100 else f"{left_s / 60:.0f} min"
    return f"{elapsed}, {left} left"


def _completed(engine: Running) -> float:
    """Compute how far the phase is, from 0 to 1."""
    ledger, plan = engine.ledger, engine.plan
    if engine.phase in {Phase.PREFLIGHT, Phase.OPEN}:
        awaited = ledger.requested if plan.scenario is None else plan.count
        return min(ledger.settled / max(awaited, 1), 1.0)
    if engine.phase is Phase.LOAD:
        if plan.messages is not None:
            return min(ledger.answered / (plan.messages * max(ledger.opened, 1)), 1.0)
        return min(engine.phase_elapsed_s / plan.load_s, 1.0) if plan.load_s else 1.0
    return 1 - ledger.open / max(ledger.opened, 1)


def _spark(engine: Running, field: str, seconds: int) -> Text:
    """Draw the last seconds of one figure."""
    values = [getattr(second, field) or 0 for second in engine.series[-seconds:] if seconds]
    highest = max(values, default=0) or 1
    steps = len(_SPARKS) - 1
    return Text("".join(_SPARKS[round(value / highest * steps)] for value in values), style="cyan")
