"""Write docs/clients.md from docs/clients.json: what can be quoted first, then every cell.

A sentence that is no cell itself names the cells that it stands on; where one of them has changed,
`render` fails, and the sentence is to be read again.
"""

from __future__ import annotations

import re
import tomllib
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

PAGE: Final = Path(__file__).parents[2] / "docs/clients.md"

#: The sentences of the page, and the cells that they stand on.
SENTENCES: Final = tomllib.loads(Path(__file__).with_name("findings.toml").read_text())


def bare(client: str) -> str:
    """Leave out a client's version."""
    return re.sub(r" [\d.]+", "", client)


def last(said: Sequence[str]) -> str:
    """Write what ended it."""
    return f"`{said[-1]}`" if said else "–"


class Results:
    """The results of the trial: by path, and for each path by client."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self.paths = [behaviour["path"] for behaviour in document["behaviours"]]
        self.what = {each["path"]: each["what"] for each in document["behaviours"]}
        self.seen = {
            each["path"]: {one["client"]: (one["said"], one["server"]) for one in each["seen"]}
            for each in document["behaviours"]
        }
        self.clients = list(self.seen[self.paths[0]])

    def check(self, finding: Mapping[str, Any]) -> None:
        """Check that what a finding stands on has not changed.

        :raises LookupError: if it has.
        """
        for client, path, cell in finding["cells"]:
            name = next(each for each in self.clients if bare(each) == client)
            said, server = self.seen[path][name]
            told, _, saw = cell.partition("|")
            if not " · ".join(said).endswith(told) or not server.startswith(saw):
                raise LookupError(f"{finding['text']!r}: {client} under {path} is {said}, {server}")

    def at_a_glance(self) -> list[str]:
        """Make the table of what differs most."""
        lines = [
            (
                "| client | no reply in time | then closes with | empty close frame "
                "| TCP ends | TCP is reset | refused with 503 |"
            ),
            "| --- " * 7 + "|",
        ]
        for client in self.clients:
            end, reset = (last(self.seen[path][client][0]) for path in ("/close/1006", "/drop/1"))
            closes = self.seen["/silent"][client][1]
            lines.append(
                f"| {client} | {last(self.seen['/silent'][client][0][:1])} "
                f"| {'no close frame' if closes.startswith('abnormal') else closes.split()[1]} "
                f"| {last(self.seen['/close/1005'][client][0][:1])} "
                f"| {end} | {'the same' if reset == end else reset} "
                f"| {last(self.seen['/status/503'][client][0][:1])} |"
            )
        return lines

    def is_alike(self, path: str) -> bool:
        """Tell whether all clients say the same under a path."""
        return len({cells(said) for said, _ in self.seen[path].values()}) == 1

    def alike(self) -> list[str]:
        """Make the table of the paths under which all clients say the same."""
        lines = ["| path | | every client's user gets | the server saw |", "| --- " * 4 + "|"]
        for path in filter(self.is_alike, self.paths):
            said, _ = next(iter(self.seen[path].values()))
            (most, _), *others = Counter(
                server for _, server in self.seen[path].values()
            ).most_common()
            saw = most
            for other, _ in others:
                names = [
                    bare(name) for name, (_, server) in self.seen[path].items() if server == other
                ]
                saw += f"; {other} from {', '.join(names)}"
            lines.append(f"| `{path}` | {self.what[path]} | {cells(said)} | {saw} |")
        return lines

    def section(self, path: str) -> list[str]:
        """Make the table of a path."""
        lines = [f"### `{path}`: {self.what[path]}"]
        lines += ["| client | its user gets | the server saw |", "| --- " * 3 + "|"]
        for client, (said, server) in self.seen[path].items():
            lines.append(f"| {client} | {cells(said)} | {server} |")
        return lines


#: What differs from run to run, or would fill the page, and what is shown instead.
SHOWN: Final = (
    (re.compile(r'^(\{"seq": ?\d+, ?"t": ?)\d+'), r"\1…"),
    (re.compile(r'^\{.*"headers".*\}$', re.DOTALL), '{"headers": …}'),
)


def cells(said: Sequence[str]) -> str:
    """Write what a client said into a cell."""
    shown = []
    for each in said:
        text = each
        for pattern, instead in SHOWN:
            text = pattern.sub(instead, text)
        shown.append(f"`{text}`".replace("\n", " ").replace("|", r"\|"))
    return " · ".join(shown)


def render(document: Mapping[str, Any]) -> str:
    """Make the page.

    :raises LookupError: if one of its sentences does not hold for these results.
    """
    results = Results(document)
    for finding in SENTENCES["findings"]:
        results.check(finding)
    head = SENTENCES["introduction"].format(
        count=len(results.paths), date=document["date"], runtimes=", ".join(document["with"])
    )
    parts = [head, "<!-- all of this page is written by scripts/clients/table.py -->", ""]
    parts += ["## At a glance", *results.at_a_glance(), ""]
    parts += ["## What to know", *(f"- {each['text']}" for each in SENTENCES["findings"]), ""]
    parts += ["## Where all do the same", *results.alike(), ""]
    parts += ["## Where they differ"]
    for path in results.paths:
        if not results.is_alike(path):
            parts += [*results.section(path), ""]
    return "\n".join(parts).rstrip() + "\n"
