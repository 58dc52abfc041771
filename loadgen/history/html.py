"""Draw a history of runs as one HTML page that needs nothing else, not even a script."""

from __future__ import annotations

import html
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from echo_trio.printable import printable
from loadgen.history.text import count_runs, explain, explain_change
from loadgen.history.trends import Line, ListedRun, Trend
from loadgen.studies.compare_text import show

_Scale = Callable[[float], float]

_WIDTH, _HEIGHT = 720, 160
_LEFT, _RIGHT, _TOP, _BOTTOM = 8, 8, 12, 20
_STYLE: Final = """
:root { color-scheme: light dark; --ink: #1c2430; --paper: #fff; --dim: #667; --line: #2b6cb0;
  --worse: #c53030; --better: #2f855a; --rule: #d8dde4 }
@media (prefers-color-scheme: dark) { :root { --ink: #e6eaf0; --paper: #12161c; --dim: #9aa4b2;
  --line: #63b3ed; --worse: #fc8181; --better: #68d391; --rule: #2d3541 } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper);
  max-width: 760px; margin: 2rem auto; padding: 0 1rem }
h1 { font-size: 1.4rem } h2 { font-size: 1.1rem; margin: 2rem 0 .3rem; overflow-wrap: anywhere }
h3 { font-size: 1rem; margin: 1.2rem 0 0 }
p { margin: .2rem 0; overflow-wrap: anywhere } .dim { color: var(--dim) }
.worse { color: var(--worse) } .better { color: var(--better) }
svg { width: 100%; height: auto; display: block } text { fill: var(--dim); font-size: 11px }
.figure { stroke: var(--line); fill: none; stroke-width: 1.5 } circle { fill: var(--line) }
.level { stroke: var(--dim); stroke-dasharray: 4 3 } .rule { stroke: var(--rule) }
.change.worse { stroke: var(--worse) } .change.better { stroke: var(--better) }
"""


def render(lines: Sequence[Line]) -> bytes:
    """Draw the page."""
    return ("\n".join(_write(lines)) + "\n").encode()


def _write(lines: Sequence[Line]) -> Iterator[str]:
    yield "<!doctype html>"
    yield '<html lang="en"><head><meta charset="utf-8">'
    policy = "default-src 'none'; style-src 'unsafe-inline'"
    yield f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
    yield f"<title>loadgen: history of runs</title><style>{_STYLE}</style></head><body>"
    yield "<h1>History of runs</h1>"
    for line in lines:
        first, last = line.runs[0], line.runs[-1]
        yield f"<h2>{_text(line.name)}</h2>"
        days = f"{first.started_at:%Y-%m-%d} to {last.started_at:%Y-%m-%d}"
        yield f'<p class="dim">{count_runs(line)}, {days}</p>'
        if line.different:
            yield f'<p class="dim">with another plan: {_text("; ".join(line.different))}</p>'
        yield from (f'<p class="dim">{_text(note)}</p>' for note in explain(line))
        for trend in line.trends:
            yield f"<h3>{_text(trend.name)}</h3>"
            for change in trend.changes:
                yield f'<p class="{change.call}">{_text(explain_change(trend, change))}</p>'
            yield from _draw(line, trend)
    yield "</body></html>"


def _draw(line: Line, trend: Trend) -> Iterator[str]:
    """Draw a figure over all runs, with the levels between its changes."""
    points = [
        (at, run, value)
        for at, (run, value) in enumerate(zip(line.runs, trend.values, strict=True))
        if value is not None
    ]
    if not points:
        return
    high = max(value for _, _, value in points) or 1.0

    def x(at: float) -> float:
        share = at / max(len(line.runs) - 1, 1)
        return _LEFT + share * (_WIDTH - _LEFT - _RIGHT)

    def y(value: float) -> float:
        return _HEIGHT - _BOTTOM - value / high * (_HEIGHT - _TOP - _BOTTOM)

    yield f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{_text(trend.name)}">'
    for value in (0.0, high):
        yield f'<path class="rule" d="M{_LEFT} {y(value):.1f}H{_WIDTH - _RIGHT}"/>'
        yield f'<text x="{_LEFT}" y="{y(value) - 3:.1f}">{_text(show(value, trend.unit))}</text>'
    yield from _draw_levels(line.runs, trend, x, y)
    path = "L".join(f"{x(at):.1f} {y(value):.1f}" for at, _, value in points)
    yield f'<path class="figure" d="M{path}"/>'
    for at, run, value in points:
        label = f"run {run.id}, {run.started_at:%Y-%m-%d %H:%M}: {show(value, trend.unit)}"
        yield f'<circle cx="{x(at):.1f}" cy="{y(value):.1f}" r="2.5"><title>{_text(label)}</title>'
        yield "</circle>"
    for at, run in {0: line.runs[0], len(line.runs) - 1: line.runs[-1]}.items():
        anchor = "end" if at else "start"
        day = f"{run.started_at:%Y-%m-%d}"
        yield f'<text x="{x(at):.1f}" y="{_HEIGHT - 4}" text-anchor="{anchor}">{day}</text>'
    yield "</svg>"


def _draw_levels(runs: Sequence[ListedRun], trend: Trend, x: _Scale, y: _Scale) -> Iterator[str]:
    places = {run.id: at for at, run in enumerate(runs)}
    starts = [0, *(places[change.run] for change in trend.changes)]
    for number, change in enumerate(trend.changes):
        at = places[change.run] - 0.5
        end = starts[number + 2] - 0.5 if number + 2 < len(starts) else len(runs) - 1
        yield f'<path class="change {change.call}" d="M{x(at):.1f} {_TOP}V{_HEIGHT - _BOTTOM}"/>'
        before = max(starts[number] - 0.5, 0)
        yield f'<path class="level" d="M{x(before):.1f} {y(change.before):.1f}H{x(at):.1f}"/>'
        yield f'<path class="level" d="M{x(at):.1f} {y(change.after):.1f}H{x(end):.1f}"/>'


def _text(text: str) -> str:
    return html.escape(printable(text))
