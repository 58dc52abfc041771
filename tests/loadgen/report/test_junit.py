"""JUnit XML: read by a library of others, and held against the rules of the two schemas in use.

The rules are those of windyroad/JUnit-Schema (Ant's) and of the xUnit plugin of Jenkins
(junit-10.xsd), as a table: for each element its attributes, and its children in order.
"""

from __future__ import annotations

import re
from collections import Counter
from xml.etree import ElementTree as ET

import junitparser
import msgspec
import pytest

from loadgen.report import junit, thresholds
from loadgen.report.model import ThresholdReport
from loadgen.report.scenario import CheckReport
from loadgen.results.ledger import Ledger

NAME, NUMBER, TIME = r".+", r"\d+", r"\d+\.\d+"
STAMP = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d"
#: What both schemas allow: the attributes that one of them requires, with their forms.
ATTRIBUTES = {
    "testsuites": {},
    "testsuite": {"id": NUMBER, "package": NAME, "name": NAME, "timestamp": STAMP, "time": TIME,
                  "hostname": NAME, "tests": NUMBER, "failures": NUMBER, "errors": NUMBER},
    "properties": {},
    "property": {"name": NAME, "value": r".*"},
    "testcase": {"name": NAME, "classname": NAME, "time": TIME},
    "failure": {"message": r".*", "type": NAME},
    "error": {"message": r".*", "type": NAME},
    "system-out": {},
    "system-err": {},
}  # fmt: skip
CHILDREN = {
    "testsuites": r"(testsuite )*",
    "testsuite": r"properties (testcase )*system-out system-err ",
    "properties": r"(property )*",
    "testcase": r"(failure |error )?",
}


def check(element: ET.Element) -> None:
    assert element.attrib.keys() == ATTRIBUTES[element.tag].keys()
    for name, form in ATTRIBUTES[element.tag].items():
        assert re.fullmatch(form, element.attrib[name], re.DOTALL), (element.tag, name)
    children = "".join(f"{child.tag} " for child in element)
    assert re.fullmatch(CHILDREN.get(element.tag, ""), children), element.tag
    for child in element:
        check(child)


def read(report, **options) -> tuple[junitparser.TestSuite, dict[str, list[str]]]:
    """Read it with junitparser: the suite, and the results of each case by its name."""
    written = junit.render(report, **options)
    check(ET.fromstring(written))
    (suite,) = junitparser.JUnitXml.fromstring(written)
    counted = junitparser.TestSuite.fromstring(ET.tostring(suite._elem))
    counted.update_statistics()
    for count in ("tests", "failures", "errors"):
        assert getattr(suite, count) == getattr(counted, count)
    return suite, {case.name: [type(one).__name__ for one in case.result] for case in suite}


def test_a_valid_run_is_one_case_that_has_passed(report_of):
    suite, cases = read(report_of())
    assert cases == {"verdict": []}
    assert (suite.name, suite.time) == ("ws://127.0.0.1:8765/", 11.0)
    assert [case.time for case in suite] == [11.0]
    assert {"count", "rate_per_conn"} <= {one.name for one in suite.properties()}


def test_what_the_target_did_wrong_is_a_failure_and_a_generator_held_up_an_error(
    report_of,
):
    cut = Ledger(requested=2, opened=2, closed=Counter(clean=1, abnormal=1))
    limited = {"verdict": "generator-limited", "verdict_reasons": ["it was late"]}
    for report, result in (
        (report_of(cut), ["Failure"]),
        (msgspec.structs.replace(report_of(), **limited), ["Error"]),
        (msgspec.structs.replace(report_of(), interrupted=True), ["Error"]),
        (msgspec.structs.replace(report_of(cut), interrupted=True), ["Failure"]),
    ):
        assert read(report)[1] == {"verdict": result}


def test_an_error_says_what_kept_the_run_from_judging_its_target(report_of):
    limited = {"verdict": "generator-limited", "verdict_reasons": ["it was late"]}
    interrupted = {"interrupted": True}
    for changes, told in (
        (limited, ("generator-limited", "it was late")),
        (limited | interrupted, ("generator-limited", "it was late")),
        (interrupted, ("interrupted", "the run was interrupted before its end")),
    ):
        suite, _ = read(msgspec.structs.replace(report_of(), **changes))
        (case,) = suite
        assert [(one.type, one.message) for one in case.result] == [told]


def test_each_threshold_and_each_check_is_a_case(report_of):
    held, breached = "messages.lost>0", "latency.p99>1ms"
    report = msgspec.structs.replace(
        report_of(),
        thresholds=thresholds.judge(report_of(), map(thresholds.parse, (held, breached))),
        checks=[
            CheckReport(name="price", passed=3, failed=1),
            CheckReport(name="id", passed=4, failed=0),
        ],
    )
    suite, cases = read(report, name="nightly")
    assert suite.name == "nightly"
    assert cases == {
        "verdict": [], held: [], breached: ["Failure"], "price": ["Failure"], "id": [],
    }  # fmt: skip


def test_a_threshold_that_nothing_was_measured_for_is_a_failure_that_says_so(report_of):
    unmeasured = ThresholdReport(expr="latency.p99>1ms", value=None, breached=True)
    suite, _ = read(msgspec.structs.replace(report_of(), thresholds=[unmeasured]))
    (_, case) = suite
    assert "nothing was measured" in case.result[0].message


HOSTILE = "]]><failure/>\x00\x1b[2J\ud800\ufffe\u202e\n</testcase>&lt;\"'"


@pytest.mark.parametrize("where", ["reason", "check", "name", "setting"])
def test_text_of_a_peer_is_text(report_of, where):
    report = report_of()
    changed = {
        "reason": {"verdict": "failed", "verdict_reasons": [HOSTILE]},
        "check": {"checks": [CheckReport(name=HOSTILE, passed=1, failed=1)]},
        "setting": {"plan": report.plan | {"message": HOSTILE}},
        "name": {},
    }[where]
    report = msgspec.structs.replace(report, **changed)
    suite, cases = read(report, name=HOSTILE if where == "name" else None)
    written = str(suite.name) + "".join(cases) + junit.render(report).decode()
    assert "\\x1b[2J\\ud800\\ufffe\\u202e\\n" in written or where == "name"
    assert not re.search("[\x00\x1b\u202e\ufffe]", written)
    assert len(cases) == (2 if where == "check" else 1)


def test_what_has_no_name_is_called_by_its_kind_and_what_has_no_reason_by_its_result(
    report_of, monkeypatch
):
    monkeypatch.setattr(junit.platform, "node", lambda: "")
    report = msgspec.structs.replace(
        report_of(), verdict="failed", verdict_reasons=[],
        checks=[CheckReport(name="", passed=1000, failed=2000)],
    )  # fmt: skip
    suite, cases = read(report)
    assert (suite.hostname, list(cases)) == ("localhost", ["verdict", "loadgen.check"])
    verdict, check = suite
    assert (verdict.result[0].message, verdict.result[0].type) == ("failed", "failed")
    assert check.result[0].message == "2,000 failed, 1,000 passed"
    assert (verdict.time, check.time) == (11.0, 0.0)
    many = msgspec.structs.replace(report, verdict_reasons=["one", "two"], hints=["try", "this"])
    (verdict, _), _ = read(many)
    assert (verdict.result[0].message, verdict.result[0].text) == ("one", "one\ntwo")
    page = ET.fromstring(junit.render(many))
    assert page.findtext(".//system-err") == "try\nthis"
    assert "10 of 10 sockets opened" in page.findtext(".//system-out")
