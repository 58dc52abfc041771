"""The target's own figures beside the generator's."""

import http.server
import threading

import pytest


@pytest.fixture
def page():
    """A Prometheus page of somebody else's, over HTTP/1.0: a connection for each GET."""

    class Page(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            found = self.path == "/metrics"
            self.send_response(200 if found else 404)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.end_headers()
            if found:
                self.wfile.write(b"process_cpu_seconds_total 5\nprocess_open_fds 9\n")

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


QUICK = ("--duration", "3500ms", "--rate-per-conn", "5/s")


def assert_no_errors(target):
    """None but that this machine was too busy to answer within a second."""
    assert target["errors"] == 0 or target["last_error"] == "no answer within a second"
    assert target["series"]


def test_the_consoles_figures_are_in_the_report_on_the_runs_clock(start_server, loadgen):
    server = start_server(console=True)
    run = loadgen("10", server.url, *QUICK, "--console", server.console)
    target = run.report["target"]
    assert target["source"] == server.console
    assert_no_errors(target)
    seconds = {second["t_s"]: second for second in run.report["series"]}
    for look in target["series"]:
        assert look["t_s"] in seconds
        assert look["rss_bytes"] > 0
    assert 10 in {look["connections"] for look in target["series"]}
    assert all(look["cpu_share"] >= 0 for look in target["series"][1:])


def test_a_run_fails_by_what_its_target_said_of_itself(start_server, loadgen):
    server = start_server(console=True)
    limits = ("--fail-if", "target.connections>=10", "--fail-if", "target.cpu_share>90000%")
    run = loadgen("10", server.url, *QUICK, "--console", server.console, *limits)
    connections, cpu = run.report["thresholds"]
    assert connections["breached"]
    # A machine so busy that there was no answer leaves it unknown, and that is a breach.
    assert cpu["breached"] is (cpu["value"] is None)
    assert run.code in {99, 3}  # A busy machine makes it the generator's limit.


def test_any_prometheus_page_will_do(start_server, loadgen, page):
    run = loadgen("2", start_server().url, *QUICK, "--console", f"{page}/metrics")
    target = run.report["target"]
    assert_no_errors(target)
    assert {look["open_files"] for look in target["series"]} == {9}
    assert {look["cpu_share"] for look in target["series"][1:]} <= {0}


@pytest.mark.parametrize("path", ["/nothing?token=s3cret", ""], ids=["404", "nobody"])
def test_a_target_that_cannot_be_asked_is_counted_and_the_run_goes_on(
    start_server, loadgen, page, nobody, path
):
    console = f"{page}{path}" if path else f"http://127.0.0.1:{nobody}/"
    run = loadgen("2", start_server().url, *QUICK, "--console", console)
    target = run.report["target"]
    assert target["series"] == []
    assert target["errors"] >= 1
    assert target["last_error"] in {
        "/nothing?token=*** was answered with HTTP 404",
        "Connection refused",
        "no answer within a second",
    }
    assert "s3cret" not in str(run.report)
    assert run.messages["echoed"] > 0


def test_a_console_that_is_no_url_is_one_line(loadgen):
    run = loadgen("1", "--console", "ftp://x")
    assert run.code == 2
    assert "is not an HTTP URL: write it like http://host:8766/" in run.stderr
