"""Put WebSocket load on a server, and account for every socket and every message. On Trio.

from loadgen import Plan, run

report = await run(Plan(100, "ws://127.0.0.1:8765/", rate=500.0, duration_s=5.0))
assert report.verdict == "valid", report.verdict_reasons
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from loadgen.api import run
    from loadgen.preflight.check import Refused
    from loadgen.report.model import Report
    from loadgen.workload.pacing import Stage
    from loadgen.workload.plan import Plan

__all__ = ["Plan", "Refused", "Report", "Stage", "run"]

_HOMES: Final = {
    "Plan": "loadgen.workload.plan",
    "Refused": "loadgen.preflight.check",
    "Report": "loadgen.report.model",
    "Stage": "loadgen.workload.pacing",
    "run": "loadgen.api",
}


def __getattr__(name: str) -> Any:
    # Not before it is asked for: the command line takes signals before its imports, which take a
    # while, and this is one of them.
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
