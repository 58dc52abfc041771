"""Report users and steps as their books have them, the most frequent cause first."""

from collections import Counter

from loadgen.report.scenario import (
    report_checks,
    report_steps,
    report_streams,
    report_users,
)
from loadgen.results.scenario import ScenarioBooks


def test_causes_of_failure_and_their_tracebacks_come_the_most_frequent_first():
    books = ScenarioBooks()
    books.users.failed_by = Counter({"LostReply at a.py:1": 1, "KeyError at a.py:2": 3})
    books.users.tracebacks = dict.fromkeys(books.users.failed_by, "Traceback …")
    report = report_users(books)
    assert report is not None
    assert list(report.failed_by.items()) == books.users.failed_by.most_common()
    assert list(report.tracebacks) == list(report.failed_by)


def test_each_column_of_a_step_is_its_own_and_a_step_that_was_never_taken_is_left_out():
    books = ScenarioBooks()
    step = books.step("say", "request")
    books.step("never", "send")
    columns = {"count": 10, "ok": 4, "failed": 3, "lost": 2, "in_flight": 1}
    for name, value in columns.items():
        setattr(step, name, value)
    (reported,) = report_steps(books)
    assert {name: getattr(reported, name) for name in columns} == columns
    assert (reported.name, reported.kind, reported.intended) == ("say", "request", None)


def test_each_figure_of_steps_checks_and_streams_is_its_own():
    books = ScenarioBooks()
    step = books.step("say", "request")
    step.count = 1
    step.intended.total.record(5000)
    step.service.total.record(3000)
    books.check("price", True)
    for _ in range(2):
        books.check("price", False)
    stream = books.stream("ticks")
    stream.received, stream.gaps, stream.reordered, stream.duplicate = 10, 3, 2, 1
    stream.age.total.record(7000)
    (said,) = report_steps(books)
    assert (said.intended.max, said.service.max) == (5, 3)
    (check,) = report_checks(books)
    assert (check.name, check.passed, check.failed) == ("price", 1, 2)
    (ticks,) = report_streams(books)
    assert (ticks.name, ticks.received, ticks.gaps) == ("ticks", 10, 3)
    assert (ticks.reordered, ticks.duplicate, ticks.age.max) == (2, 1, 7)


def test_each_user_is_in_its_column_and_a_run_without_a_scenario_has_none():
    books = ScenarioBooks.of_users(10)
    users = books.users
    users.finished, users.failed, users.interrupted, users.not_started = 4, 3, 2, 1
    report = report_users(books)
    assert [report.requested, report.finished, report.failed, report.interrupted] == [10, 4, 3, 2]
    assert report.not_started == 1
    assert report_users(None) is None
    assert report_steps(None) == report_checks(None) == report_streams(None) == []
