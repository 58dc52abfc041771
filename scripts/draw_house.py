"""Draw the house: which room holds which modules, and which way imports run.

Makes docs/explanation/house-*.svg and the lists of modules in docs/explanation/layout.md, from the
import contracts in pyproject.toml, the imports themselves and each module's first line:

    python scripts/draw_house.py            writes them
    python scripts/draw_house.py --check    exits with 1 if they are not what the code says
"""

from __future__ import annotations

import ast
import sys
import tomllib
from dataclasses import dataclass
from html import escape
from pathlib import Path

import grimp

ROOT = Path(__file__).parents[1]
LAYOUT = ROOT / "docs/explanation/layout.md"
PACKAGES = ("echo_trio", "loadgen")

BOX_WIDTH, BOX_HEIGHT, GAP_X, GAP_Y, MARGIN = 132, 44, 26, 46, 18


@dataclass(frozen=True)
class House:
    """One package as its import contract has it.

    :ivar floors: rooms by name, the highest floor first; imports run downwards.
    :ivar arrows: which room imports from which, with how many imports of a module.
    """

    package: str
    floors: list[list[str]]
    arrows: dict[tuple[str, str], int]


def read_house(package: str, graph: grimp.ImportGraph) -> House:
    """Read the floors from the contract, and the arrows from the imports."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    layers = next(c["layers"] for c in contracts["contracts"] if c.get("containers") == [package])
    floors = [[room.strip() for room in layer.replace(":", "|").split("|")] for layer in layers]
    arrows: dict[tuple[str, str], int] = {}
    for module in graph.modules:
        for imported in graph.find_modules_directly_imported_by(module):
            here, there = module.split("."), imported.split(".")
            if len(here) < 2 or len(there) < 2 or {here[0], there[0]} != {package}:
                continue
            if here[1] != there[1] and here[1] != "__main__":
                pair = here[1], there[1]
                arrows[pair] = arrows.get(pair, 0) + 1
    return House(package, floors, arrows)


def draw(house: House) -> str:
    """Draw a house as SVG: a box for each room, floor by floor, and a line for each arrow."""
    widest = max(map(len, house.floors))
    width = 2 * MARGIN + widest * (BOX_WIDTH + GAP_X) - GAP_X
    height = 2 * MARGIN + len(house.floors) * (BOX_HEIGHT + GAP_Y) - GAP_Y
    places: dict[str, tuple[float, float]] = {}
    for number, floor in enumerate(house.floors):
        left = (width - len(floor) * (BOX_WIDTH + GAP_X) + GAP_X) / 2
        for place, room in enumerate(floor):
            # Every other floor is shifted, so that a line to a far floor is seen beside the boxes.
            shift = (number % 3 - 1) * BOX_WIDTH * 0.32 if len(floor) < widest else 0
            x = left + place * (BOX_WIDTH + GAP_X) + shift
            places[room] = x, MARGIN + number * (BOX_HEIGHT + GAP_Y)
    lines, boxes = [], []
    for (here, there), count in sorted(house.arrows.items()):
        if here in places and there in places:
            lines.append(_line(places[here], places[there], count))
    for room, (x, y) in places.items():
        folder = (ROOT / house.package / room).is_dir()
        name = f"{room}/" if folder else f"{room}.py"
        boxes.append(
            f'<rect x="{x:g}" y="{y:g}" width="{BOX_WIDTH}" height="{BOX_HEIGHT}" rx="6"/>'
            f'<text x="{x + BOX_WIDTH / 2:g}" y="{y + BOX_HEIGHT / 2 + 5:g}">{escape(name)}</text>'
        )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" '
        f'role="img" aria-label="The rooms of {house.package} and which imports from which">\n'
        "<style>rect{fill:#f6f4ee;stroke:#6b6b6b}text{font:14px sans-serif;text-anchor:middle;"
        "fill:#1c1c1c}path{fill:none;stroke:#2f6f8f;opacity:.55}</style>\n"
        f'<rect x="0" y="0" width="{width:g}" height="{height:g}" rx="0" '
        'style="fill:#fff;stroke:none"/>\n' + "\n".join([*lines, *boxes]) + "\n</svg>\n"
    )


def _line(here: tuple[float, float], there: tuple[float, float], count: int) -> str:
    """Draw one arrow, from the lower edge of a box to the upper edge of another, by weight."""
    x1, y1 = here[0] + BOX_WIDTH / 2, here[1] + BOX_HEIGHT
    x2, y2 = there[0] + BOX_WIDTH / 2, there[1]
    if here[1] == there[1]:  # on one floor, where the contract allows it: an arc below
        y2 = y1
    bend = max((y2 - y1) / 2, 24)
    width = min(0.8 + 0.3 * count, 4)
    return (
        f'<path d="M{x1:g} {y1:g}C{x1:g} {y1 + bend:g} {x2:g} {y2 - bend:g} {x2:g} {y2:g}" '
        f'stroke-width="{width:.1f}"/>'
    )


def list_rooms(house: House) -> str:
    """List the modules of each room with their first lines, for the page."""
    out = []
    rooms = [room for floor in house.floors for room in floor]
    arrows = sum(1 for pair in house.arrows if set(pair) <= set(rooms))
    out.append(
        f"{len(rooms)} rooms on {len(house.floors)} floors, {arrows} arrows, all of them down.\n"
    )
    for room in rooms:
        folder = ROOT / house.package / room
        if not folder.is_dir():
            out.append(f"**`{room}.py`** – {_first_line(folder.with_suffix('.py'))}\n")
            continue
        out.append(f"**`{room}/`** – {_first_line(folder / '__init__.py')}\n")
        out.append("| module | |\n| --- | --- |")
        out += [
            f"| `{path.name}` | {_first_line(path)} |"
            for path in sorted(folder.glob("*.py"))
            if path.name != "__init__.py"
        ]
        out.append("")
    return "\n".join(out)


def _first_line(path: Path) -> str:
    docstring = ast.get_docstring(ast.parse(path.read_text())) or ""
    return docstring.partition("\n")[0].replace("|", "\\|")


def _put(page: str, package: str, rooms: str) -> str:
    """Put a list of rooms between its two marks on the page."""
    begin, end = f"<!-- rooms of {package} -->", f"<!-- end of {package} -->"
    before, _, rest = page.partition(begin)
    _, _, after = rest.partition(end)
    return f"{before}{begin}\n{rooms}\n{end}{after}"


def main() -> int:
    """Write what has changed, or with --check tell whether anything has."""
    graph = grimp.build_graph(*PACKAGES, cache_dir=None)
    page = LAYOUT.read_text()
    made: dict[Path, str] = {}
    for package in PACKAGES:
        house = read_house(package, graph)
        made[LAYOUT.with_name(f"house-{package}.svg")] = draw(house)
        page = _put(page, package, list_rooms(house))
    made[LAYOUT] = page
    stale = [path for path, text in made.items() if not path.exists() or path.read_text() != text]
    if "--check" in sys.argv[1:]:
        for path in stale:
            print(f"{path.relative_to(ROOT)} is not what the code says: make house")
        return 1 if stale else 0
    for path in stale:
        path.write_text(made[path])
        print(f"wrote {path.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
