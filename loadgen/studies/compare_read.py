"""Read the reports that are compared: files that may have been cut, edited or made up."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from echo_trio import files
from loadgen.report import bounds
from loadgen.report.bounds import Malformed
from loadgen.report.model import SCHEMA_VERSION
from loadgen.studies.compare import Reports

#: The series of a day has 20 MB; all other parts together, 1 MB.
MAX_BYTES: Final = 128 * 2**20

#: Each process of a run has a thousand at most, and all of them the same.
MAX_NAMED: Final = 10_000

_Numbers = dict[str, Any]


class _Histograms(msgspec.Struct):
    intended: str | None = None
    service: str | None = None


class _Generator(msgspec.Struct):
    processes: Annotated[int, Meta(ge=1)] = 1
    cpu_s: float | None = None
    peak_rss_bytes: float | None = None


class _Compared(msgspec.Struct):
    """The fields of a report that are compared; older versions may lack some."""

    schema: int
    connections: _Numbers
    messages: _Numbers
    verdict: str = ""
    verdict_reasons: Annotated[list[str], Meta(max_length=1000)] = []
    interrupted: bool = False
    changes: Annotated[list[_Numbers], Meta(max_length=MAX_NAMED)] = []
    plan: dict[str, Any] = {}
    users: _Numbers | None = None
    steps: Annotated[list[_Numbers], Meta(max_length=MAX_NAMED)] = []
    checks: Annotated[list[_Numbers], Meta(max_length=MAX_NAMED)] = []
    streams: Annotated[list[_Numbers], Meta(max_length=MAX_NAMED)] = []
    latency: _Numbers = {}
    histograms: _Histograms = msgspec.field(default_factory=_Histograms)
    generator: _Generator = msgspec.field(default_factory=_Generator)


class Unreadable(Exception):
    """A file that is no report; the message says which and why."""


def read(paths: Sequence[Path]) -> Reports:
    """Read the reports in these files.

    :returns: decoded reports by the names of their files.
    :raises Unreadable: if one is none.
    """
    return {str(path): _read(path) for path in paths}


def _read(path: Path) -> dict[str, Any]:
    try:
        content = files.read(path, at_most=MAX_BYTES)
    except OSError as exc:
        raise Unreadable(f"can't read {path}: {exc.strerror}") from None
    try:
        report = bounds.decode(content, _Compared)
        for encoded in (report.histograms.intended, report.histograms.service):
            if encoded is not None:
                bounds.decode_histogram(encoded)
    except Malformed as exc:
        raise Unreadable(f"{path} is no JSON report of a run: {exc}") from None
    if report.schema != SCHEMA_VERSION:
        raise Unreadable(f"{path} is no report of a run with schema {SCHEMA_VERSION}")
    read: dict[str, Any] = msgspec.to_builtins(report)
    return read
