"""Draws what was sampled over a long run: one chart below another, as an SVG without a library."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

WIDTH, HEIGHT, MARGIN, GAP = 800, 120, 60, 40


def draw(
    path: Path, title: str, t_s: Sequence[float], charts: Mapping[str, Sequence[float]]
) -> None:
    """:param charts: values by name, one for each moment of `t_s`."""
    parts = [f'<text x="{MARGIN}" y="20" font-size="15">{title}</text>']
    for number, (name, values) in enumerate(charts.items()):
        top = 50 + number * (HEIGHT + GAP)
        highest = max(values) * 1.1 or 1.0
        x = [MARGIN + at / (t_s[-1] or 1) * WIDTH for at in t_s]
        y = [top + HEIGHT - value / highest * HEIGHT for value in values]
        points = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y, strict=True))
        span = f"{min(values):.1f} to {max(values):.1f}"
        axes = f"M{MARGIN} {top}V{top + HEIGHT}H{MARGIN + WIDTH}"
        parts += [
            f'<text x="{MARGIN}" y="{top - 6}">{name}: {span}</text>',
            f'<path d="{axes}" stroke="#999" fill="none"/>',
            f'<polyline points="{points}" stroke="#07c" fill="none"/>',
            f'<text x="{MARGIN - 6}" y="{top + HEIGHT}" text-anchor="end">0</text>',
            f'<text x="{MARGIN - 6}" y="{top + 10}" text-anchor="end">{highest:.0f}</text>',
        ]
    bottom = 50 + len(charts) * (HEIGHT + GAP)
    parts.append(
        f'<text x="{MARGIN + WIDTH}" y="{bottom - 20}" text-anchor="end">{t_s[-1]:.0f} s</text>'
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH + 2 * MARGIN} {bottom}" '
        f'font-family="sans-serif" font-size="12"><rect width="100%" height="100%" fill="white"/>'
        f"{''.join(parts)}</svg>\n"
    )
