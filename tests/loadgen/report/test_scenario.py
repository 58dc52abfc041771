"""Report users and steps as their books have them, the most frequent cause first."""

from collections import Counter

from loadgen.report.scenario import report_steps, report_users
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
