"""Users, steps, checks and streams on the page of a person: each count beside its own name."""

from __future__ import annotations

import io
from typing import Any

import msgspec
import pytest
from rich.console import Console

from loadgen.report.scenario import CheckReport, StepReport, StreamReport, UsersReport
from loadgen.report.scenario_text import (
    show_checks,
    show_failures,
    show_steps,
    show_streams,
    show_users,
)
from loadgen.results.latency import Summary


def drawn(*parts: Any) -> list[list[str]]:
    """Draw this, and return the words of each line that has any."""
    stream = io.StringIO()
    console = Console(file=stream, width=200)
    for part in parts:
        console.print(part)
    return [line.split() for line in stream.getvalue().splitlines() if line.strip()]


def users(**counts: Any) -> UsersReport:
    nothing: dict[str, Any] = dict.fromkeys(UsersReport.__struct_fields__, 0)
    return UsersReport(**nothing | {"failed_by": {}, "tracebacks": {}} | counts)


@pytest.fixture
def report(report_of):
    return lambda **parts: msgspec.structs.replace(report_of(), **parts)


def test_users_are_what_was_requested_and_the_columns_that_are_not_empty(report):
    assert show_users(report()) is None
    assert show_users(report(users=users(requested=2))) == "2 requested"
    whole = users(requested=5000, finished=1234, failed=2, interrupted=3, not_started=4)
    assert show_users(report(users=whole)) == (
        "5,000 requested = 1,234 finished + 2 failed + 3 interrupted + 4 not started"
    )
    some = users(requested=7, failed=3, not_started=4)
    assert show_users(report(users=some)) == "7 requested = 3 failed + 4 not started"


@pytest.mark.parametrize("causes", [0, 1, 3, 4, 5])
def test_each_cause_is_told_and_the_three_most_frequent_with_a_traceback(report, causes):
    failed_by = {f"cause {number}": 2000 - number for number in range(causes)}
    tracebacks = {cause: f"traceback of {cause}" for cause in failed_by}
    made = report(users=users(failed_by=failed_by, tracebacks=tracebacks))
    shown = [text.plain for text in show_failures(made)]
    expected = []
    for number, (cause, count) in enumerate(failed_by.items()):
        expected.append(f"{count:,} × {cause}")
        if number < 3:
            expected.append(f"traceback of {cause}\n")
    assert shown == expected
    assert list(show_failures(report())) == []


P = {"p50": 1.5, "p90": 2.0, "p95": 3.0, "p99": 2345.25, "p999": 5.0}
Q = {"p50": 6.5, "p90": 7.0, "p95": 8.0, "p99": 9.75, "p999": 10.0}


def step(name: str, intended: Summary | None, **counts: int) -> StepReport:
    rest = dict.fromkeys(("count", "ok", "failed", "lost", "in_flight"), 0)
    return StepReport(name=name, kind="request", intended=intended, service=Summary(count=1, **Q),
                      **rest | counts)  # fmt: skip


def test_a_step_has_how_many_ended_badly_and_both_its_latencies(report):
    assert show_steps(report()) is None
    steps = [
        step("say", Summary(count=1, **P), count=4321, ok=4300, failed=1111, lost=2, in_flight=3),
        step("ask", None, count=7, ok=7),
    ]
    head, say, ask = drawn(show_steps(report(steps=steps)))
    assert head == ["step", "count", "intended", "p50", "p99", "service", "p50", "p99"]
    assert say == (
        [
            "say",
            "(request)",
            "4,321",
            "1,111",
            "failed,",
            "2",
            "lost,",
            "3",
            "in",
            "flight",
            "1.50",
            "2,345.25",
            "6.50",
            "9.75",
        ]
    )
    assert ask == ["ask", "(request)", "7", "–", "–", "6.50", "9.75"]


def test_a_stream_has_each_of_its_counts_in_its_own_column(report):
    assert show_streams(report()) is None
    stream = StreamReport(name="ticks", received=1001, gaps=2, reordered=3, duplicate=4,
                          age=Summary(count=1, **P))  # fmt: skip
    head, row = drawn(show_streams(report(streams=[stream])))
    assert head == ["stream", "received", "gaps", "reordered", "duplicate", "age", "p50", "p99"]
    assert row == ["ticks", "1,001", "2", "3", "4", "1.50", "2,345.25"]


def test_a_figure_of_nothing_was_measured_and_one_that_is_missing_was_not(report):
    ages = [Summary(count=1, **P | {"p50": 0.0}), Summary(count=0, **dict.fromkeys(P)), None]
    streams = [StreamReport(name="s", received=1, gaps=0, reordered=0, duplicate=0, age=age)
               for age in ages]  # fmt: skip
    _, *rows = drawn(show_streams(report(streams=streams)))
    assert [row[-2:] for row in rows] == [["0.00", "2,345.25"], ["–", "–"], ["–", "–"]]


def test_a_check_is_marked_by_whether_it_ever_failed_and_counters_stand_in_one_line(report):
    checks = [CheckReport(name="price", passed=3000, failed=1000),
              CheckReport(name="id", passed=4, failed=0)]  # fmt: skip
    shown = list(show_checks(report(checks=checks, counters={"bought": 5000, "sold": 7})))
    assert [text.plain for text in shown] == [
        "✗ price: 3,000 passed, 1,000 failed", "✓ id: 4 passed",
        "counters  bought 5,000 · sold 7",
    ]  # fmt: skip
    assert [str(text.spans[0].style) for text in shown] == ["bold red", "bold green", "bold"]
    assert list(show_checks(report())) == []
