"""A share is of the whole that its columns add up to: all of them together are 100 %."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from loadgen.report.metrics import METRICS, MetricKind, find, look_up, names
from loadgen.report.thresholds import parse
from loadgen.results.ledger import Ending, Failure, Fault, Ledger
from loadgen.results.result import FanOut
from loadgen.results.scenario import CheckBooks, ScenarioBooks, StreamBooks
from loadgen.results.verify import ANSWERING, Verdict

from ..conftest import histogram_of

#: Columns that are the whole when they are added up, whatever their numbers.
WHOLES = {
    "of sockets": ["connections.opened", "connections.not_attempted", "connections.failed"],
    "of sockets, by reason": [
        "connections.opened", "connections.not_attempted",
        *(f"connections.failed.{reason}" for reason in Failure),
    ],
    "of sockets, by fault": [
        "connections.opened", "connections.not_attempted",
        *(f"connections.faults.{fault}" for fault in Fault),
    ],
    "of opened": [f"connections.closed.{ending}" for ending in Ending],
    "of opened, by code": ["connections.close_codes.1000", "connections.close_codes.1006"],
    "of sent": [
        *(f"messages.{name}" for name in ANSWERING),
        *(f"messages.{name}" for name in ("lost", "in_flight", "one_way", "published")),
    ],
    "of owed": [f"fan_out.{name}" for name in ("delivered", "missing", "unsettled", "in_flight")],
    "of users": [
        f"users.{name}" for name in ("finished", "failed", "interrupted", "not_started")
    ],
    "of a step": [f"steps.ask.{name}" for name in ("ok", "failed", "lost", "in_flight")],
    "of all steps": [f"steps.{name}" for name in ("ok", "failed", "lost", "in_flight")],
    "of a check": ['checks."is right".passed', 'checks."is right".failed'],
    "of all checks": ["checks.passed", "checks.failed"],
}  # fmt: skip
#: The claims on a received frame: those of replies are columns of what was sent as well.
CLAIMS = [verdict for verdict in Verdict if verdict not in ANSWERING]
COUNTS = st.lists(st.integers(1, 99), min_size=40, max_size=40)


@pytest.fixture
def report_of_counts(report_of):
    def make(counts: list[int]):
        left = iter(counts)
        failed = {reason: next(left) for reason in Failure}
        closed = {ending: next(left) for ending in Ending}
        verdicts = {verdict: next(left) for verdict in Verdict}
        lost, in_flight, one_way, published = (next(left) for _ in range(4))
        delivered, missing, unsettled, copies = (next(left) for _ in range(4))
        opened = sum(closed.values())
        ledger = Ledger(
            opened + sum(failed.values()) + 7, opened=opened, peak_open=opened, not_attempted=7,
            tcp=opened, failed=Counter(failed), closed=Counter(closed),
            other_faults=Counter({Fault.NETWORK: failed[Failure.OTHER]}),
            close_codes=Counter({1000: opened - 1, 1006: 1}),
            sent=sum(verdicts[each] for each in ANSWERING) + lost + in_flight + one_way + published,
            received=sum(verdicts.values()), verdicts=Counter(verdicts), lost=lost,
            in_flight=in_flight, one_way=one_way, published=published,
            owed=delivered + missing + unsettled + copies, delivered=delivered, missing=missing,
            unsettled=unsettled, copies_in_flight=copies, extra=next(left),
        )  # fmt: skip
        books = ScenarioBooks()
        users = books.users
        users.finished, users.interrupted, users.not_started = 3, 4, 5
        for _ in range(2):
            users.fail("LostReply", "")
        users.requested = 14
        for name, kind in (("ask", "request"), ("say", "send")):
            step = books.step(name, kind)
            step.ok, step.failed, step.lost, step.in_flight = 5, 2, 3, next(left, 1)
            step.count = 10 + step.in_flight
        books.checks = {"is right": CheckBooks(3, 4), "is there": CheckBooks(5, 1)}
        books.streams["ticks"] = StreamBooks(received=50, gaps=5, reordered=4, duplicate=3)
        each = histogram_of(5)
        return report_of(ledger, scenario=books, fan_out=FanOut(first=each, last=each, each=each))

    return make


def share_of(report, name: str) -> float:
    judged = parse(f"{name}>0%").judge(report)
    assert judged.value is not None
    return judged.value


#: The fixture is a function that keeps nothing.
PURE = settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])


@PURE
@given(counts=COUNTS)
def test_the_shares_of_all_columns_of_a_whole_are_a_hundred_percent(report_of_counts, counts):
    report = report_of_counts(counts)
    for what, columns in WHOLES.items():
        assert sum(share_of(report, name) for name in columns) == pytest.approx(100), what
    claimed = sum(share_of(report, f"messages.{claim}") for claim in CLAIMS)
    answered = sum(look_up(report, ("messages", each)) for each in ANSWERING)
    assert claimed + 100 * answered / report.messages.received == pytest.approx(100)
    extra = look_up(report, ("fan_out", "extra"))
    assert share_of(report, "fan_out.extra") == pytest.approx(100 * extra / report.messages.copies)


def test_each_count_that_may_be_a_share_is_one_of_a_number_that_there_is():
    for metric in METRICS.values():
        if metric.whole is not None:
            assert ".".join(metric.whole) in METRICS, metric.name
            assert metric.whole != metric.path or metric.path[-1] in {
                "requested", "opened", "sent", "received", "owed", "copies"
            }  # fmt: skip


def test_what_a_script_has_not_named_yet_is_nothing_where_there_is_nothing_else(report_of_counts):
    named = report_of_counts([1] * 40)
    assert look_up(named, find("steps.ask.ok").path) == 5
    assert look_up(named, find("steps.none.ok").path) is None
    assert look_up(named, find("steps.ok").path) == 10
    assert look_up(named, find("streams.gaps").path) == 5


def test_a_run_whose_script_named_nothing_has_no_failed_step(report_of):
    report = report_of(scenario=ScenarioBooks())
    for name in ("steps.failed", "checks.failed", "streams.gaps", "counters.bought"):
        assert look_up(report, find(name).path) == 0, name


COUNT, TIME, SIZE, RATE, SHARE = MetricKind


@pytest.mark.parametrize(
    ("name", "kind", "scale"),
    [
        ("connections.opened", COUNT, 1), ("connections.all_open_after_s", TIME, 1000),
        ("connections.connect_ms.count", COUNT, 1), ("connections.connect_ms.p50", TIME, 1),
        ("connections.failed", COUNT, 1), ("connections.funnel.tls", COUNT, 1),
        ("messages.sent_per_s", RATE, 1), ("messages.sent_bytes", SIZE, 1),
        ("latency.intended.count", COUNT, 1), ("latency.scheduling_lag.max", TIME, 1),
        ("latency.script_lag.p99", TIME, 1), ("fan_out.owed", COUNT, 1),
        ("fan_out.first.count", COUNT, 1), ("fan_out.last.p99", TIME, 1),
        ("fan_out.clock_error_ms", TIME, 1), ("users.failed", COUNT, 1),
        ("generator.cpu_s", TIME, 1000), ("generator.cpu_share", SHARE, 1),
        ("generator.loop_lag.p99", TIME, 1), ("generator.processes", COUNT, 1),
        ("target.rss_bytes", SIZE, 1), ("target.loop_lag.max", TIME, 1),
        ("target.open_files", COUNT, 1), ("steps.say.ok", COUNT, 1), ("steps.ok", COUNT, 1),
        ("steps.say.service.p99", TIME, 1), ("steps.say.service.count", COUNT, 1),
        ('steps."say it".service.max', TIME, 1), ("checks.failed", COUNT, 1),
        ("streams.ticks.age.p50", TIME, 1), ("streams.ticks.age.count", COUNT, 1),
        ("streams.ticks.gaps", COUNT, 1), ("counters.a.b", COUNT, 1),
        ("connections.close_codes.1011", COUNT, 1),
    ],
)  # fmt: skip
def test_a_number_has_the_unit_that_its_name_says(name, kind, scale):
    metric = find(name)
    assert (metric.kind, 1 / metric.scale) == (kind, scale)
    assert metric.is_the_targets == name.startswith("target.")
    assert (metric.whole is None) or kind is COUNT


@pytest.mark.parametrize(
    "name",
    ["", "latency", "steps", "steps.say.none", "steps.none", "checks.a.b.c", "counters",
     "connections.close_codes.", "connections.close_codes.x", "connections.opened.1011",
     "connections.close_codes.²", "target.series", "generator.cpu_shares", "zzz.a.b", "plan.count"],
)  # fmt: skip
def test_what_is_no_number_of_a_report_is_no_metric(name):
    assert find(name) is None


def test_the_names_are_those_of_all_metrics_and_latency_alone_is_since_due():
    listed = names()
    assert len(listed) == len(set(listed))
    assert set(METRICS) < set(listed)
    short = [name for name in listed if name not in METRICS]
    keys = ("count", "min", "mean", "p50", "p90", "p95", "p99", "p999", "max")
    assert short == [f"latency.{key}" for key in keys]
    for name in short:
        assert find(name) == find(name.replace("latency.", "latency.intended."))
    assert find("counters.a.b").path == ("counters", "a.b")
    assert find("latency.p99").name == "latency.intended.p99"


def test_what_was_not_measured_is_none_and_a_code_that_never_came_is_not_once(report_of):
    report = report_of()
    assert look_up(report, ("target", "cpu_share")) is None
    assert look_up(report, ("fan_out", "first", "p50")) is None
    assert look_up(report, ("connections", "close_codes", "1011")) == 0
    assert look_up(report, ("connections", "close_codes", "1000")) == 10
    assert look_up(report, ("connections", "close_codes")) == 10
    assert look_up(report, ("connections", "failed")) == 0
