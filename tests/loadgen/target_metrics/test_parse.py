import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadgen.target_metrics.parse import Meaningless, Reading, read

PROMETHEUS = """\
# HELP process_cpu_seconds_total Total user and system CPU time spent in seconds.
# TYPE process_cpu_seconds_total counter
process_cpu_seconds_total 12.5
# TYPE process_resident_memory_bytes gauge
process_resident_memory_bytes 4.2e+07
# TYPE process_open_fds gauge
process_open_fds 103
# TYPE nodejs_eventloop_lag_seconds gauge
nodejs_eventloop_lag_seconds 0.0125
# TYPE nodejs_eventloop_lag_p99_seconds gauge
nodejs_eventloop_lag_p99_seconds 0.011
# TYPE websocket_connections gauge
websocket_connections{worker="1"} 40
websocket_connections{worker="2"} 60
"""


def test_the_well_known_metrics_of_a_prometheus_page_are_read_and_its_workers_added_up():
    assert read("text/plain; version=0.0.4", PROMETHEUS.encode()) == Reading(
        connections=100,
        cpu_s=12.5,
        rss_bytes=42_000_000,
        open_files=103,
        lag_ms=12.5,
        lag_p99_ms=11,
    )


def test_of_two_names_for_one_thing_the_better_known_counts_in_whatever_order_they_come():
    lines = [
        "echo_trio_connections_open 1", "nginx_connections_active 2", "process_cpu_seconds_total 3",
        "echo_trio_cpu_seconds_total 4", "process_resident_memory_bytes 5",
        "echo_trio_resident_memory_bytes 6", "process_open_fds 7", "echo_trio_open_fds 8",
        "nodejs_eventloop_lag_max_seconds 9", "nodejs_eventloop_lag_seconds 10",
        "nodejs_eventloop_lag_p50_seconds 11", "nodejs_eventloop_lag_p99_seconds 12",
    ]  # fmt: skip
    for page in (lines, lines[::-1]):
        assert read("text/plain", ("\n".join(page) + "\n").encode()) == Reading(
            connections=1, cpu_s=3, rss_bytes=5, open_files=7, lag_ms=9_000, lag_p50_ms=11_000,
            lag_p99_ms=12_000,
        )  # fmt: skip


def test_a_snapshot_of_the_console_is_read():
    snapshot = {"open": 7, "cpu_s": 1.5, "rss_bytes": 1000, "descriptors": 20,
                "loop_lag_ms": {"p50": 1, "p99": 2, "max": 3.5}}  # fmt: skip
    assert read("application/json", json.dumps(snapshot).encode()) == Reading(
        connections=7,
        cpu_s=1.5,
        rss_bytes=1000,
        open_files=20,
        lag_ms=3.5,
        lag_p50_ms=1,
        lag_p99_ms=2,
    )


@pytest.mark.parametrize(
    ("content_type", "body", "says"),
    [
        pytest.param("text/html", b"<html>hello</html>", "neither a snapshot", id="a-page"),
        pytest.param("text/plain", b"", "neither a snapshot", id="nothing"),
        pytest.param("text/plain", b"unknown_total 5\n", "no metric in it is known", id="unknown"),
        pytest.param("text/plain", b"\xff\xfe", "neither a snapshot", id="bytes"),
        pytest.param("application/json", b"{", "it is no JSON", id="broken-json"),
        pytest.param("application/json", b"[1]", "no snapshot of a server", id="no-object"),
        pytest.param(
            "application/json", b'{"open": "many"}', "no metric in it is known", id="no-number"
        ),
    ],
)
def test_what_means_nothing_is_said_to(content_type, body, says):
    with pytest.raises(Meaningless, match=says):
        read(content_type, body)


@settings(deadline=None)
@given(st.sampled_from(["application/json", "text/plain"]), st.binary() | st.text().map(str.encode))
def test_no_answer_is_a_traceback(content_type, body):
    try:
        read(content_type, body)
    except Meaningless as exc:
        assert str(exc)  # noqa: PT017


@pytest.mark.parametrize("values", [("NaN", "1"), ("1", "NaN"), ("x", "1", "2"), ("1e19", "1")])
def test_of_workers_one_of_which_tells_no_number_there_is_no_sum(values):
    workers = "".join(
        f'websocket_connections{{worker="{number}"}} {value}\n'
        for number, value in enumerate(values)
    )
    found = read("text/plain", f"process_open_fds 5\n{workers}".encode())
    assert (found.open_files, found.connections) == (5, None)


def test_a_number_beyond_any_count_is_none():
    for value, connections in (("1e18", 1e18), ("-1e18", -1e18), ("1.0001e18", None)):
        page = f"process_open_fds 5\nwebsocket_connections {value}\n"
        assert read("text/plain", page.encode()).connections == connections
