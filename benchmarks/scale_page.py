"""The generated parts of docs/scale.md: tables, a picture of how each cost grows, and the plan.

All of it comes from a file of results for each climb, and from the costs that `loadgen plan`
computes with. The picture is of the climb that came highest.
"""

import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path

import machine

from loadgen.preflight import costs, sizing

#: Of the files of results; earlier ones have other keys.
VERSION = 2
PAGE = machine.REPOSITORY / "docs" / "scale.md"
PICTURE = machine.REPOSITORY / "docs" / "scale-growth.svg"
#: The machines that the plan is made for, and messages a second on each socket.
PLANNED = sizing.Machine(cores=32, memory_bytes=128 * 2**30, files=20_000)
PLANNED_SOCKETS = (100_000, 1_000_000, 10_000_000)
EACH_PER_S = 0.1

Step = dict
Figure = Callable[[Step, Step], float | None]


def _side(key: str, side: str, factor: float) -> Figure:
    """Compute what a side takes for each socket, less what its processes take by themselves."""
    return lambda step, base: (step[key][side] - base[key][side]) / step["sockets"] * factor


def _open_us(step: Step, _: Step) -> float | None:
    opened_s = step["all_open_after_s"]
    return None if opened_s is None else opened_s / step["sockets"] * 1e6


#: Panels of the picture: title, unit, and lines.
PANELS: list[tuple[str, str, dict[str, Figure]]] = [
    ("until all are open, each socket", "µs", {"": _open_us}),
    (
        "CPU to open a socket",
        "µs",
        {side: _side("open_cpu_s", side, 1e6) for side in ("server", "generator")},
    ),
    (
        "memory of a socket",
        "KB",
        {
            **{side: _side("bytes", side, 1 / 1024) for side in ("server", "generator")},
            "kernel": lambda step, _: step["kernel_slab_bytes"] / step["sockets"] / 1024,
        },
    ),
    (
        "CPU of a message, pings with it",
        "µs",
        {
            side: lambda step, _, side=side: step["us_per_message"][side]
            for side in ("server", "generator")
        },
    ),
    ("latency, p50", "ms", {"": lambda step, _: step["intended_p50_ms"]}),
    (
        "from Ctrl-C to the exit, each socket",
        "µs",
        {"": lambda step, _: step["cancel_s"] / step["sockets"] * 1e6},
    ),
]
HEAD = (
    "| sockets | processes, each side | all open after | CPU to open one, server / generator "
    "| CPU a message, server / generator | KB/socket, server / generator / kernel "
    "| p50 / p99 ms | Ctrl-C to exit | closed clean | sent = echoed = counted by the server "
    "| memory in all | load average |"
)
COLORS = {"": "#111", "server": "#111", "generator": "#0a7ea4", "kernel": "#b5541c"}


def _base(document: dict, step: Step) -> Step:
    return document["bases"][str(step["workers"])]


def table(document: dict) -> str:
    """The steps, what processes take by themselves subtracted."""
    lines = [
        HEAD,
        "|" + " ---: |" * 12,
    ]
    for step in document["steps"]:
        base = _base(document, step)

        def pair(key: str, factor: float, step: Step = step, base: Step = base) -> str:
            return " / ".join(
                f"{_side(key, side, factor)(step, base):.{0 if factor > 1 else 1}f}"
                for side in ("server", "generator")
            )

        opened_s, messages = step["all_open_after_s"], step["messages"]
        us = step["us_per_message"]
        kernel = step["kernel_slab_bytes"] / step["sockets"] / 1024
        agrees = messages["sent"] == messages["echoed"] and not step["faults"]
        shown = f"{messages['sent']:,}" if agrees else "; ".join(step["faults"]) or "not all"
        lines.append(
            f"| {step['sockets']:,} | {step['workers']} "
            f"| {'never all' if opened_s is None else f'{opened_s:.1f} s'} "
            f"| {pair('open_cpu_s', 1e6)} µs "
            f"| {us['server']:.0f} / {us['generator']:.0f} µs "
            f"| {pair('bytes', 1 / 1024)} / {kernel:.1f} "
            f"| {step['intended_p50_ms']:.1f} / {step['intended_p99_ms']:.0f} "
            f"| {step['cancel_s']:.1f} s | {step['closed']['clean']:,} "
            f"| {shown} "
            f"| {step['memory_bytes'] / 2**30:.1f} GiB | {step['load_average'][0]:.0f} |"
        )
    return "\n".join(lines)


def picture(document: dict) -> str:
    """Draw how each cost grows, as SVG; small enough to need no library."""
    width, height, columns = 300, 190, 2
    rows = math.ceil(len(PANELS) / columns)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {columns * width} {rows * height}">',
        '<g font-family="sans-serif" font-size="11" fill="#444">',
        f'<rect width="{columns * width}" height="{rows * height}" fill="#fff"/>',
    ]
    for number, (title, unit, lines) in enumerate(PANELS):
        row, column = divmod(number, columns)
        parts.append(f'<g transform="translate({column * width},{row * height})">')
        parts += _panel(document, title, unit, lines, width, height)
        parts.append("</g>")
    return "\n".join([*parts, "</g></svg>", ""])


def _panel(
    document: dict, title: str, unit: str, lines: dict[str, Figure], width: int, height: int
) -> list[str]:
    steps = document["steps"]
    left, top, right, low = 44, 34, width - 62, height - 28
    first, last = (math.log10(steps[index]["sockets"]) for index in (0, -1))
    figures = {
        name: [
            (step["sockets"], value)
            for step in steps
            if (value := figure(step, _base(document, step))) is not None
        ]
        for name, figure in lines.items()
    }
    highest = max((value for points in figures.values() for _, value in points), default=1) or 1

    def x(sockets: int) -> float:
        return left + (math.log10(sockets) - first) / max(last - first, 1e-9) * (right - left)

    def y(value: float) -> float:
        return low - max(value, 0) / highest * (low - top)

    parts = [
        f'<text x="8" y="18" font-weight="bold">{title}, {unit}</text>',
        f'<path d="M{left} {top}V{low}H{right}" fill="none" stroke="#888"/>',
    ]
    for fraction in (0.5, 1):
        value = highest * fraction
        shown = f"{value:.0f}" if highest >= 10 else f"{value:.1f}"
        parts.append(
            f'<text x="{left - 5}" y="{y(value) + 4:.0f}" text-anchor="end">{shown}</text>'
        )
    ticks = [step["sockets"] for step in steps]
    parts += [
        f'<text x="{x(sockets):.0f}" y="{low + 15}" text-anchor="middle">{_short(sockets)}</text>'
        for sockets in ticks
        if math.log10(sockets).is_integer() or sockets == ticks[-1]
    ]
    for name, points in figures.items():
        path = " ".join(f"{x(sockets):.1f},{y(value):.1f}" for sockets, value in points)
        color = COLORS[name]
        parts.append(f'<polyline points="{path}" fill="none" stroke="{color}" stroke-width="2"/>')
        parts += [
            f'<circle cx="{x(sockets):.1f}" cy="{y(value):.1f}" r="2" fill="{color}"/>'
            for sockets, value in points
        ]
        if points and name:
            at = y(points[-1][1]) + 4
            parts.append(f'<text x="{right + 6}" y="{at:.0f}" fill="{color}">{name}</text>')
    return parts


def _short(sockets: int) -> str:
    return f"{sockets / 1e6:g} m" if sockets >= 1_000_000 else f"{sockets / 1e3:g} k"


def plan(documents: Sequence[dict]) -> str:
    """Set what `loadgen plan` computes beside what the largest step of each climb took."""
    sized = [
        sizing.size(sockets, "ws://10.0.0.1:8765/", sockets * EACH_PER_S, PLANNED)
        for sockets in PLANNED_SOCKETS
    ]
    lines = [
        "| | " + " | ".join(f"{sockets:,}" for sockets in PLANNED_SOCKETS) + " |",
        "| --- |" + " ---: |" * len(PLANNED_SOCKETS),
    ]
    rows: list[tuple[str, Callable[[sizing.Sizing], str]]] = []
    for side in ("server", "generator"):
        rows += [
            (f"**{side}**: machines", lambda size, side=side: f"{getattr(size, side).machines:,}"),
            ("processes on each", lambda size, side=side: f"{getattr(size, side).processes:,}"),
            (
                "memory on each, the kernel's part included",
                lambda size, side=side: f"{getattr(size, side).memory_bytes / 2**30:.1f} GiB",
            ),
            ("cores, in all", lambda size, side=side: f"{getattr(size, side).cores:.1f}"),
        ]
    rows.append(("addresses on each", lambda size: f"{size.generator.addresses:,}"))
    lines += [f"| {name} | " + " | ".join(map(show, sized)) + " |" for name, show in rows]
    return "\n\n".join(["\n".join(lines), *map(_held_against, documents)])


def _held_against(document: dict) -> str:
    """The plan for the largest step, and what that took."""
    step = document["steps"][-1]
    files = sizing.Machine(cores=1024, memory_bytes=2**44, files=PLANNED.files)
    sized = sizing.size(step["sockets"], "ws://127.0.0.1/", step["messages_per_s"], files)
    planned = sized.server.memory_bytes + sized.generator.memory_bytes
    cores = sized.server.cores + sized.generator.cores
    return (
        f"Held against the largest step at `--rate {document['settings']['rate']}`: for "
        f"{step['sockets']:,} sockets the plan has "
        f"{planned / 2**30:.1f} GiB for both ends together, and {step['memory_bytes'] / 2**30:.1f} "
        f"GiB were taken; it has {sized.server.processes} + {sized.generator.processes} processes, "
        f"and {step['workers']} + {step['workers']} were used; it has {cores:.1f} cores, and "
        f"{sum(step['cpu_s_per_s'].values()):.1f} were busy."
    )


def measured_costs(document: dict) -> str:
    """The costs that `loadgen/preflight/costs.py` should have, by the largest step."""
    step = document["steps"][-1]
    base = _base(document, step)
    lines = []
    for side in ("server", "generator"):
        socket_bytes = _side("bytes", side, 1)(step, base)
        handshake_us = _side("open_cpu_s", side, 1e6)(step, base)
        each = base["bytes"][side] / base["processes"][side]
        lines.append(
            f"{side}: socket_bytes {socket_bytes:,.0f}, handshake_us {handshake_us:.0f}, "
            f"a process {each / 2**20:.0f} MiB"
        )
    kernel = step["kernel_slab_bytes"] / step["sockets"] / 2
    known = [costs.SERVER, costs.GENERATOR, costs.KERNEL_BYTES, costs.PROCESS_BYTES]
    return "\n".join([*lines, f"kernel, each end: {kernel:,.0f} B", f"costs.py has {known}"])


def _replace(page: str, name: str, text: str) -> str:
    begin, end = f"<!-- {name}: begin (generated) -->", f"<!-- {name}: end -->"
    before, rest = page.split(begin)
    return f"{before}{begin}\n\n{text}\n\n{end}{rest.split(end)[1]}"


def _read(path: Path) -> dict:
    document = json.loads(path.read_text())
    if document.get("version") != VERSION:
        raise SystemExit(f"{path.name} is of an earlier version: measure anew")
    if not document["steps"]:
        raise SystemExit(f"{path.name} has no step: {document['stopped_by']}")
    return document


def _climb(document: dict) -> str:
    """One climb: on what, with what, and its table."""
    settings, facts = document["settings"], document["machine"]
    text = (
        f"{document['started_at']}, commit {(document['git']['commit'] or '?')[:12]}; "
        f"{facts['cpu']}, {facts['cores']} cores, {facts['memory_bytes'] / 2**30:.0f} GiB, "
        f"{facts['kernel']}; generator `--rate {settings['rate']}`, windows of "
        f"{settings['window']:g} s, 32-byte messages, a ping every {settings['ping_interval']} to "
        f"each socket.\n\n{table(document)}"
    )
    if document["stopped_by"]:
        text += f"\n\nThe climb ended there: {document['stopped_by']}."
    return text


def write(paths: Sequence[Path]) -> None:
    """Write the results of the climbs into the page, each from its file."""
    documents = [_read(path) for path in paths]
    highest = max(documents, key=lambda document: document["steps"][-1]["sockets"])
    drawn = f"![How each cost grows, at `--rate {highest['settings']['rate']}`]({PICTURE.name})"
    page = _replace(PAGE.read_text(), "scale", "\n\n".join([*map(_climb, documents), drawn]))
    PAGE.write_text(_replace(page, "plan", plan(documents)))
    PICTURE.write_text(picture(highest))
    print(measured_costs(highest))
