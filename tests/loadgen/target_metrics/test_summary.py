import pytest

from loadgen.target_metrics.parse import Reading
from loadgen.target_metrics.summary import TargetBooks


@pytest.fixture
def books():
    return TargetBooks()


def test_cpu_and_lag_are_those_of_the_load_phase_and_what_is_held_is_of_the_whole_run(books):
    books.begin(Reading(cpu_s=10.0), 100.0)
    looks = [
        # The second of the handshakes: busy, late, and not the load's.
        (Reading(cpu_s=10.9, lag_ms=90, lag_p99_ms=80, rss_bytes=5, connections=7), True),
        (Reading(cpu_s=11.1, lag_ms=2, lag_p99_ms=1.5, rss_bytes=9, connections=8), True),
        (Reading(cpu_s=11.5, lag_ms=4, lag_p99_ms=1.0, rss_bytes=8, connections=8), True),
        (Reading(cpu_s=12.5, lag_ms=50, lag_p99_ms=40, rss_bytes=8, connections=0), False),
    ]
    for t_s, (reading, under_load) in enumerate(looks, start=1):
        books.book(reading, 100.0 + t_s, float(t_s), under_load=under_load)
    report = books.report("http://x/")
    assert [second.cpu_share for second in report.series] == [0.9, 0.2, 0.4, 1.0]
    assert report.cpu_share == 0.3
    assert (report.loop_lag.p50, report.loop_lag.p99, report.loop_lag.max) == (None, 1.5, 4)
    assert (report.connections, report.rss_bytes, report.open_files) == (8, 9, None)


def test_a_load_phase_with_one_look_in_it_is_that_second(books):
    books.begin(Reading(cpu_s=0.0), 0.0)
    books.book(Reading(cpu_s=0.7, lag_ms=3), 1.0, 1.0, under_load=True)
    report = books.report("http://x/")
    assert (report.cpu_share, report.loop_lag.max) == (0.7, 3)


def test_after_a_look_that_failed_the_next_is_of_two_seconds_and_counts_twice(books):
    for at_s, cpu_s in [(1, 0.0), (2, 0.3), (4, 1.5)]:
        books.book(Reading(cpu_s=cpu_s), at_s, float(at_s), under_load=True)
    books.book_error("no answer within a second")
    report = books.report("http://x/")
    assert [second.cpu_share for second in report.series] == [None, 0.3, 0.6]
    assert report.cpu_share == 0.5
    assert (report.errors, report.last_error) == (1, "no answer within a second")


def test_a_target_that_was_started_anew_has_no_share_in_that_second(books):
    for at_s, cpu_s in [(1, 5.0), (2, 5.5), (3, 0.1), (4, 0.3)]:
        books.book(Reading(cpu_s=cpu_s), at_s, float(at_s), under_load=True)
    report = books.report("http://x/")
    assert [second.cpu_share for second in report.series] == [None, 0.5, None, 0.2]
    assert report.cpu_share == 0.35


def test_a_target_that_was_never_asked_has_no_figures(books):
    report = books.report("http://x/")
    assert report.series == []
    assert (report.cpu_share, report.connections, report.loop_lag.max) == (None, None, None)


def test_of_errors_each_counts_and_the_last_is_told(books):
    for problem in ("refused", "no answer", "no route"):
        books.book_error(problem)
    report = books.report("http://x/")
    assert (report.errors, report.last_error) == (3, "no route")


def test_the_highest_of_what_is_held_may_be_before_or_after_the_load(books):
    looks = [
        (Reading(rss_bytes=9, open_files=2, connections=1), False),
        (Reading(rss_bytes=3, open_files=3, connections=2), True),
        (Reading(rss_bytes=4, open_files=8, connections=9), False),
    ]
    for t_s, (reading, under_load) in enumerate(looks, start=1):
        books.book(reading, float(t_s), float(t_s), under_load=under_load)
    report = books.report("http://x/")
    assert (report.rss_bytes, report.open_files, report.connections) == (9, 8, 9)


def test_each_lag_under_load_is_its_own_worst(books):
    for t_s, lags in enumerate([(9, 9, 9), (1, 6, 7), (3, 5, 8)], start=1):
        reading = Reading(lag_p50_ms=lags[0], lag_p99_ms=lags[1], lag_ms=lags[2])
        books.book(reading, float(t_s), float(t_s), under_load=True)
    lag = books.report("http://x/").loop_lag
    assert (lag.p50, lag.p99, lag.max) == (3, 6, 8)


def test_a_target_that_used_no_cpu_in_a_second_has_a_share_of_none_in_it(books):
    for at_s, cpu_s in [(1, 5.0), (2, 5.0), (3, 5.4)]:
        books.book(Reading(cpu_s=cpu_s), at_s, float(at_s), under_load=True)
    report = books.report("http://x/")
    assert [second.cpu_share for second in report.series] == [None, 0.0, 0.4]
    assert report.cpu_share == 0.2
