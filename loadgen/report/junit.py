"""Write the report as JUnit XML, which every CI system shows: a test case for each judgement.

The verdict, each `--fail-if` and each check of a scenario is a test case. What the target did wrong
is a `failure`; a run whose generator was held up, or that was interrupted before anything failed,
has not judged the target, which is an `error`.

JUnit has no one schema. This keeps the rules of the two that are in use: the one of Ant
(windyroad/JUnit-Schema), which is the stricter one, and the one of Jenkins's xUnit plugin.
"""

from __future__ import annotations

import platform
from collections.abc import Iterator
from typing import Final
from xml.etree import ElementTree as ET

from echo_trio.printable import printable
from loadgen.report.describe import name_of, show_settings, show_sockets
from loadgen.report.model import Report
from loadgen.report.thresholds import explain
from loadgen.report.verdict import FAILED, VALID

#: The results of a test case that has not passed, as JUnit names them.
_FAILURE: Final = "failure"
_ERROR: Final = "error"


def render(report: Report, name: str | None = None) -> bytes:
    """Write the report as JUnit XML.

    :param name: of the run; by default its scenario's, or its target's.
    """
    cases = list(_cases(report))
    took_s = (report.ended_at - report.started_at).total_seconds()
    suites = ET.Element("testsuites")
    suite = ET.SubElement(
        suites,
        "testsuite",
        {
            "id": "0",
            "package": "loadgen",
            "name": printable(name_of(report, name)),
            # Ant's schema has no place for a time zone: it is UTC.
            "timestamp": report.started_at.strftime("%Y-%m-%dT%H:%M:%S"),
            "hostname": printable(platform.node()) or "localhost",
            "tests": str(len(cases)),
            "failures": str(sum(case.find(_FAILURE) is not None for case in cases)),
            "errors": str(sum(case.find(_ERROR) is not None for case in cases)),
            "time": f"{took_s:.3f}",
        },
    )
    properties = ET.SubElement(suite, "properties")
    for setting, value in show_settings(report).items():
        ET.SubElement(properties, "property", {"name": setting, "value": printable(value)})
    cases[0].set("time", f"{took_s:.3f}")
    suite.extend(cases)
    ET.SubElement(suite, "system-out").text = "\n".join(_lines([show_sockets(report)]))
    ET.SubElement(suite, "system-err").text = "\n".join(_lines(report.hints))
    ET.indent(suites)
    encoded: bytes = ET.tostring(suites, encoding="utf-8", xml_declaration=True)
    return encoded + b"\n"


def _cases(report: Report) -> Iterator[ET.Element]:
    """Yield the test cases: the verdict first, then the thresholds, then the checks."""
    verdict = _case("loadgen", "verdict")
    if report.verdict == FAILED:
        _mark(verdict, _FAILURE, report.verdict, report.verdict_reasons)
    elif report.verdict != VALID:
        _mark(verdict, _ERROR, report.verdict, report.verdict_reasons)
    elif report.interrupted:
        _mark(verdict, _ERROR, "interrupted", ["the run was interrupted before its end"])
    yield verdict
    for threshold in report.thresholds:
        case = _case("loadgen.fail-if", threshold.expr)
        if threshold.breached:
            _mark(case, _FAILURE, "threshold", [explain(threshold)])
        yield case
    for check in report.checks:
        case = _case("loadgen.check", check.name)
        if check.failed:
            told = f"{check.failed:,} failed, {check.passed:,} passed"
            _mark(case, _FAILURE, "check", [told])
        yield case


def _case(kind: str, name: str) -> ET.Element:
    return ET.Element(
        "testcase", {"classname": kind, "name": printable(name) or kind, "time": "0.000"}
    )


def _mark(case: ET.Element, result: str, kind: str, reasons: list[str]) -> None:
    """Give a test case its result, with the first reason as its message and all as its text."""
    lines = _lines(reasons)
    marked = ET.SubElement(case, result, {"message": lines[0] if lines else kind, "type": kind})
    marked.text = "\n".join(lines)


def _lines(texts: list[str]) -> list[str]:
    return [printable(text) for text in texts]
