"""Annotations name what is wrong, in one line each, and no more of a kind than are shown."""

from __future__ import annotations

import msgspec
import pytest

from loadgen.report import thresholds
from loadgen.report.annotations import annotate
from loadgen.report.scenario import CheckReport

LIMITS = ("latency.p99>1ms", "messages.lost>0", "latency.max>2ms")


@pytest.fixture
def report(report_of):
    """Make a report with so many reasons of a verdict; two of three limits breached, of two checks
    one failed."""

    def make(verdict: str, reasons: int):
        made = report_of()
        return msgspec.structs.replace(
            made,
            verdict=verdict,
            verdict_reasons=[f"reason {number}" for number in range(reasons)],
            thresholds=thresholds.judge(made, map(thresholds.parse, LIMITS)),
            checks=[
                CheckReport(name="price", passed=3, failed=1000),
                CheckReport(name="id", passed=4, failed=0),
            ],
        )

    return make


BREACHED = [
    "::error title=n%3A --fail-if::latency.p99>1ms: 3.5 ms",
    "::error title=n%3A --fail-if::latency.max>2ms: 3.5 ms",
]
FAILED_CHECK = "::warning title=n%3A check::price: 1,000 failed"


@pytest.mark.parametrize("reasons", [0, 1, 8, 9, 10, 11])
def test_each_reason_each_breached_limit_and_each_failed_check_has_a_line(report, reasons):
    lines = annotate(report("failed", reasons), "n")
    told = [f"::error title=n%3A failed::reason {number}" for number in range(reasons)]
    # GitHub shows ten of each kind.
    assert lines == [*(told + BREACHED)[:10], FAILED_CHECK]


@pytest.mark.parametrize("reasons", [1, 9, 10])
def test_a_generator_that_was_held_up_is_warned_of_and_a_valid_run_is_nothing(report, reasons):
    lines = annotate(report("generator-limited", reasons), "n")
    told = [f"::warning title=n%3A generator-limited::reason {number}" for number in range(reasons)]
    assert lines == BREACHED + [*told, FAILED_CHECK][:10]
    assert annotate(report("valid", reasons), "n") == [*BREACHED, FAILED_CHECK]


def test_a_line_is_one_command_whatever_a_peer_has_said(report_of):
    report = msgspec.structs.replace(
        report_of(), verdict="failed", verdict_reasons=["50% lost\n::error::forged"]
    )
    assert annotate(report, "a: b, c") == [
        "::error title=a%3A b%2C c%3A failed::50%25 lost\\n\\x3a:error\\x3a:forged"
    ]
    assert annotate(report_of()) == []
    secret = msgspec.structs.replace(report, verdict_reasons=["ws://u:pass@h/?token=abc"])
    (line,) = annotate(secret)
    assert line.startswith("::error title=ws%3A//127.0.0.1%3A8765/%3A failed::")
    assert "pass" not in line
    assert "abc" not in line
