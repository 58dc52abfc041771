"""The result files: what was measured, on what, when; medians and the raw repeats."""

import json
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

import locked
import machine
from provision import HERE, VENV_PYTHON
from server_catalogue import our_python

RESULTS = HERE / "results"
# Where they are published.
PAGE = machine.REPOSITORY / "docs" / "benchmarks.md"

_VERSIONS = """
import importlib.metadata, json, platform
names = {d.name.lower(): d.version for d in importlib.metadata.distributions()}
print(json.dumps({"python": platform.python_version(), **names}))
"""


class NoResults(Exception):
    """There is nothing to report on yet; the message says what to run."""


@dataclass
class Recording:
    """One run's results. Saved after every step, so that a broken-off run keeps what it has."""

    kind: str
    mode: str
    settings: Mapping[str, object]
    folder: Path
    missing: dict[str, str] = field(default_factory=dict)
    failed: list[dict[str, object]] = field(default_factory=list)
    repeats: list[dict[str, object]] = field(default_factory=list)
    complete: bool = False

    def __post_init__(self) -> None:
        self.started_at = datetime.now(UTC)
        self.head = {
            "schema": 1,
            "kind": self.kind,
            "mode": self.mode,
            "started_at": self.started_at.isoformat(timespec="seconds"),
            "git": machine.git_state(),
            "machine": machine.describe(),
            "versions": versions(),
            "settings": dict(self.settings),
        }

    @classmethod
    def reopened(cls, kind: str, path: Path) -> Self:
        """Go on with the results of a run in another sitting: more repeats, of the same things.

        :raises NoResults: if the file has none of that kind, or if the processor, a package or our
            code is another now.
        """
        try:
            document = json.loads(path.read_text())
        except (OSError, ValueError) as exc:
            raise NoResults(f"{path}: {exc}") from None
        if not isinstance(document, dict) or document.get("kind") != kind:
            raise NoResults(f"{path}: these are no results of {kind}")
        recording = cls(
            kind,
            document["mode"],
            document["settings"],
            path.parent,
            document["missing"],
            document["failed"],
            document["repeats"],
        )
        is_same = {
            "processor": document["machine"]["cpu"] == recording.head["machine"]["cpu"],
            "version of a package": document["versions"] == recording.head["versions"],
            "code of ours": machine.is_same_code(document["git"]["commit"]),
        }
        if changed := [what for what, same in is_same.items() if not same]:
            raise NoResults(f"{path}: another {', '.join(changed)} since: measure anew")
        sittings = document.get("sittings", [document["started_at"]])
        recording.head = {
            **{key: document[key] for key in recording.head},
            "sittings": [*sittings, recording.head["started_at"]],
        }
        recording.started_at = datetime.fromisoformat(document["started_at"])
        return recording

    def further(self, repeats: int) -> Sequence[int]:
        """The numbers of that many repeats, behind those that are there already."""
        last = max((int(str(row["repeat"])) for row in self.repeats), default=0)
        return range(last + 1, last + repeats + 1)

    @property
    def path(self) -> Path:
        stamp = self.started_at.strftime("%Y%m%dT%H%M%SZ")
        return self.folder / f"{self.kind}-{self.mode}-{stamp}.json"

    def save(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.path.write_text(json.dumps(self.document(), indent=1) + "\n")

    def finish(self) -> Self:
        """Save it as complete, and say where."""
        self.complete = True
        self.save()
        print(f"results: {self.path}", flush=True)
        return self

    def document(self) -> dict[str, object]:
        return {
            **self.head,
            "complete": self.complete,
            "missing": self.missing,
            "failed": self.failed,
            "medians": medians(self.repeats),
            "repeats": self.repeats,
        }


# What tells one measurement from another; everything else in a row is a figure.
IDENTITY = ("figure", "peer", "sockets", "size_bytes", "kind", "load")


def medians(repeats: Sequence[Mapping[str, object]]) -> list[dict[str, object]]:
    """One row per measurement: the median of each figure over its repeats."""
    grouped: dict[tuple, list[Mapping[str, object]]] = {}
    for row in repeats:
        grouped.setdefault(tuple(row.get(key) for key in IDENTITY), []).append(row)
    rows = []
    for identity, group in grouped.items():
        row = {
            key: value for key, value in zip(IDENTITY, identity, strict=True) if value is not None
        }
        for key in group[0]:
            values = [other[key] for other in group if _is_number(other.get(key))]
            if key not in IDENTITY and key != "repeat" and values:
                row[key] = statistics.median(values)
        rows.append({**row, "repeats": len(group)})
    return rows


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def versions() -> dict[str, object]:
    """Of every interpreter and package that takes part; those absent are left out."""
    found: dict[str, object] = {}
    for title, python in (("ours", our_python()), ("peers", str(VENV_PYTHON))):
        if (output := _output(python, "-c", _VERSIONS)) is not None:
            found[title] = json.loads(output)
    if (output := _output("node", "--version")) is not None:
        found["node"] = output
    # The word of their line that is the version.
    for name, argument, at in (("go", "version", 2), ("rustc", "--version", 1)):
        if (output := _output(name, argument)) is not None:
            found[name] = output.split()[at].removeprefix("go")
    return found | locked.versions()


def _output(*command: str) -> str | None:
    try:
        finished = subprocess.run(command, capture_output=True, text=True)
    except OSError:
        return None
    return finished.stdout.strip() if finished.returncode == 0 else None


def newest(kind: str, mode: str, folder: Path = RESULTS) -> dict:
    """The document of the newest run of that kind and mode."""
    paths = sorted(folder.glob(f"{kind}-{mode}-*.json"))
    if not paths:
        raise NoResults(f"no {mode} run of {kind} in {folder}: see benchmarks/run.py --help")
    return json.loads(paths[-1].read_text())


def newest_of_each(folder: Path, mode: str) -> list[dict]:
    """Of servers and of generators; one of the two may be absent, and is told so."""
    documents, absent = [], []
    for kind in ("servers", "generators"):
        try:
            documents.append(newest(kind, mode, folder))
        except NoResults as reason:
            absent.append(str(reason))
    if not documents:
        raise NoResults("; ".join(absent))
    for reason in absent:
        print(reason, file=sys.stderr)
    return documents
