"""Draws CPU per message over the number of sockets, a line per server.

    benchmarks/.venv/bin/python benchmarks/plot.py RESULTS_FOLDER MODE FILE.svg

Run by report.py; a script of its own because matplotlib is in the benchmarks' venv only.
"""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib import pyplot as plt
from matplotlib.ticker import FuncFormatter
from results import newest
from server_catalogue import CONTESTANTS
from server_catalogue import OURS as ECHO_TRIO
from targets import SMALL_BYTES

#: Beside the ten of matplotlib's default, as many as there are peers.
MORE_COLORS = (
    "navy",
    "darkolivegreen",
    "hotpink",
    "darkgoldenrod",
    "teal",
    "indigo",
    "orangered",
    "slategray",
    "maroon",
)


def plot(rows: Sequence[Mapping], path: Path) -> None:
    mpl.use("svg" if path.suffix == ".svg" else "agg")
    # Else every run gives other ids, and the file a diff without a change.
    mpl.rcParams["svg.hashsalt"] = "echo-trio"
    drawing, axes = plt.subplots(figsize=(9, 5.5))
    # More than the ten of the default, so that each peer has its own.
    axes.set_prop_cycle(color=[*mpl.colormaps["tab10"].colors, *MORE_COLORS])
    ends = []
    for contestant in CONTESTANTS:
        points = [
            (row["sockets"], row["cpu_us_per_message"])
            for row in rows
            if row["figure"] == "exchange"
            and row["peer"] == contestant.name
            and row["size_bytes"] == SMALL_BYTES
            and row["kind"] == "text"
        ]
        if not points:
            continue
        sockets, cpu_us = zip(*sorted(points), strict=True)
        ours = contestant.name == ECHO_TRIO
        style = {"linewidth": 3, "color": "black", "zorder": 3} if ours else {"linewidth": 1.3}
        axes.plot(sockets, cpu_us, marker="o", markersize=4, clip_on=False, **style)
        ends.append((cpu_us[-1], sockets[-1], contestant.title, ours, axes.lines[-1].get_color()))
    axes.set(xscale="log", yscale="log", xlabel="sockets", ylabel="CPU µs per echoed message")
    axes.set_title("16-byte text messages, one in flight per socket")
    axes.grid(True, which="both", alpha=0.25)
    # The lines end at the frame, and their names stand outside it.
    axes.set_xlim(right=max(row["sockets"] for row in rows if row["figure"] == "exchange"))
    axes.spines[["top", "right"]].set_visible(False)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(FuncFormatter(lambda value, _position: f"{value:,.0f}"))
    label_ends(axes, ends)
    drawing.savefig(
        path, bbox_inches="tight", metadata={"Date": None} if path.suffix == ".svg" else None
    )
    plt.close(drawing)


def label_ends(axes, ends: list[tuple]) -> None:
    """Names at the right end of the lines, pushed apart where they would overlap."""
    lowest = 0.0
    for cpu_us, sockets, title, ours, color in sorted(ends):
        height = max(cpu_us, lowest * 1.13)
        lowest = height
        axes.annotate(
            f"{title}  {cpu_us:.1f}",
            xy=(sockets, cpu_us),
            xytext=(sockets * 1.12, height),
            va="center",
            fontsize=9,
            fontweight="bold" if ours else "normal",
            color=color,
        )


if __name__ == "__main__":
    folder, mode, path = sys.argv[1:]
    plot(newest("servers", mode, Path(folder))["medians"], Path(path))
