"""The page for Prometheus of a run that goes on, read by Prometheus's own parser."""

from __future__ import annotations

import gzip
import http.server
import json
import os
import re
import socket
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
import yaml
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models import dashboard
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from prometheus_client.parser import text_string_to_metric_families

from loadgen.cli import load
from loadgen.report import prometheus
from loadgen.results.latency import Histogram
from loadgen.results.scenario import CheckBooks, ScenarioBooks

from .conftest import PATIENCE_S

COLUMNS = {"echoed", "reordered", "corrupt", "lost", "in_flight", "one_way", "published", "missed",
           "duplicate", "expected", "ignored", "streamed", "copies", "unexpected"}  # fmt: skip
DOCS = Path(__file__).parents[3] / "docs"
#: The metrics of the reference, and those that only a scenario has.
DESCRIBED = set(
    re.findall(r"^\| `(\w+)`", (DOCS / "reference/run-metrics.md").read_text(), re.MULTILINE)
)
OF_SCENARIOS = {
    "loadgen_users",
    *(f"loadgen_{name}_total" for name in ("steps", "checks", "counter")),
}


async def echo(connection, counts):
    async for message in connection:
        await connection.send(f"{message} 7")


def scrape(page: httpx.Client) -> dict[str, dict[tuple[str, ...], float]]:
    """Read all samples by name and label values."""
    answer = page.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    samples: dict[str, dict[tuple[str, ...], float]] = {}
    for family in text_string_to_metric_families(answer.text):
        assert family.documentation, family.name
        for sample in family.samples:
            samples.setdefault(sample.name, {})[tuple(sample.labels.values())] = sample.value
    return samples


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_run_shows_what_it_has_counted_while_it_goes(start_loadgen, serve_websockets, workers):
    url = serve_websockets(echo).url
    load = ("4", url, "--duration", "1h", "--rate-per-conn", "20/s", "--workers", workers)
    run = start_loadgen(*load, "--metrics", "0", "--quiet", "--name", 'a "name"')
    deadline = time.monotonic() + PATIENCE_S
    while not (found := re.search(r"metrics are at (http://127\.0\.0\.1:\d+)/metrics", run.errors)):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    with httpx.Client(base_url=found[1], trust_env=False, timeout=PATIENCE_S) as page:
        while True:
            assert time.monotonic() < deadline
            seen = scrape(page)
            is_whole = seen["loadgen_connections_open"][()] == 4
            if is_whole and seen["loadgen_latency_seconds_count"][()] > 4:
                break
            time.sleep(0.05)
        assert page.post("/metrics").status_code == 405
        assert page.get("/other").status_code == 404
        assert page.head("/metrics").content == b""

    columns = {labels[0]: value for labels, value in seen["loadgen_messages_total"].items()}
    assert columns.keys() == COLUMNS
    assert seen["loadgen_messages_sent_total"][()] == (
        columns["echoed"] + seen["loadgen_messages_awaited"][()]
    )
    buckets = [*seen["loadgen_latency_seconds_bucket"].values()]
    assert buckets == sorted(buckets)
    assert seen["loadgen_phase"][("load",)] == 1
    (info,) = seen["loadgen_run_info"]
    assert {'a "name"', url, "4", workers} <= set(info)
    families = {re.sub("_(bucket|count|sum)$", "", name) for name in seen}
    assert families | OF_SCENARIOS == DESCRIBED
    run.signal()
    report = run.finish().report
    assert report["connections"]["opened"] == seen["loadgen_connections_opened_total"][()] == 4
    assert report["messages"]["echoed"] >= columns["echoed"]
    assert report["latency"]["intended"]["count"] >= seen["loadgen_latency_seconds_count"][()]


#: Longer than what is left of the run when its first figures are sent.
HELD_S = 1.5


class Collector(http.server.ThreadingHTTPServer):
    """A receiver of OTLP over HTTP; the messages are read by the standard's own classes."""

    def __init__(self, status):
        self.requests = []
        self.has_begun, self.has_second = threading.Event(), threading.Event()
        collector = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                request = ExportMetricsServiceRequest.FromString(body)
                # The first is kept waiting, for the next to overtake it if it can.
                if collector.has_begun.is_set():
                    collector.has_second.set()
                collector.has_begun.set()
                collector.has_second.wait(HELD_S)
                collector.requests.append((self.path, self.headers, request))
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        super().__init__(("127.0.0.1", 0), Handler)


@contextmanager
def collecting(status=200):
    with Collector(status) as collector:
        thread = threading.Thread(target=collector.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield collector, f"http://127.0.0.1:{collector.server_address[1]}/v1/metrics"
        finally:
            collector.shutdown()
            thread.join()


OTEL = {"OTEL_METRIC_EXPORT_INTERVAL": "200", "OTEL_EXPORTER_OTLP_HEADERS": "x-tenant=a",
        "OTEL_EXPORTER_OTLP_COMPRESSION": "gzip", "OTEL_SERVICE_NAME": "nightly"}  # fmt: skip


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_collector_of_opentelemetry_is_sent_what_the_report_says(
    start_loadgen, serve_websockets, workers
):
    load = ("4", serve_websockets(echo).url, "--messages", "30", "--rate-per-conn", "50/s")
    with collecting() as (collector, url):
        flags = ("--workers", workers, "--otlp", url, "--metrics", "0")
        report = start_loadgen(*load, *flags, env={**os.environ, **OTEL}).finish().report
    path, headers, request = collector.requests[-1]
    assert (path, headers["x-tenant"]) == ("/v1/metrics", "a")
    (resource,) = request.resource_metrics
    said = {each.key: each.value.string_value for each in resource.resource.attributes}
    assert said["service.name"] == "nightly"
    metrics = {each.name: each for each in resource.scope_metrics[0].metrics}
    assert {name.removesuffix("_total") for name in DESCRIBED - OF_SCENARIOS} == metrics.keys()
    messages = metrics["loadgen_messages"].sum
    assert messages.is_monotonic
    columns = {each.attributes[0].value.string_value: each for each in messages.data_points}
    assert columns.keys() == COLUMNS
    assert columns["echoed"].as_int == report["messages"]["echoed"] == 120
    assert columns["echoed"].start_time_unix_nano < columns["echoed"].time_unix_nano
    (latency,) = metrics["loadgen_latency_seconds"].histogram.data_points
    assert latency.count == sum(latency.bucket_counts) == report["latency"]["intended"]["count"]
    assert len(latency.bucket_counts) == len(latency.explicit_bounds) + 1
    mean_ms = report["latency"]["intended"]["mean"]
    assert latency.sum / latency.count * 1000 == pytest.approx(mean_ms, rel=0.01)
    assert not latency.HasField("min")
    # Each export before counts no more than the one after.
    counts = [count_sent(each) for _, _, each in collector.requests]
    assert counts == sorted(counts)
    assert counts[-1] == 120


def count_sent(request):
    for metric in request.resource_metrics[0].scope_metrics[0].metrics:
        if metric.name == "loadgen_messages_sent":
            return metric.sum.data_points[0].as_int
    raise LookupError


def test_a_collector_that_refuses_is_told_of_once_and_stops_nothing(loadgen, serve_websockets):
    with collecting(status=400) as (collector, url):
        env = {**os.environ, **OTEL}
        run = loadgen("1", serve_websockets(echo).url, "--duration", "1s", "--otlp", url, env=env)
    assert run.target_did_right
    assert run.stderr.count("--otlp: ") == 1
    assert f"{url} does not take the run's figures" in run.stderr
    assert "Traceback" not in run.stderr
    assert collector.requests


def test_where_to_send_is_a_url(capsys):
    assert load.main(["1", "--otlp", "localhost:4318"]) == 2
    assert "is no URL: write it like http://host:4318/v1/metrics" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("address", "problem"),
    [("taken", "Address already in use"), ("70000", "no address"), ("nonsense", "no address")],
)
def test_a_port_that_cannot_be_had_ends_the_run_before_it_dials(
    loadgen, serve_websockets, address, problem
):
    server = serve_websockets(echo)
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = f"127.0.0.1:{other.getsockname()[1]}"
        run = loadgen("1", server.url, "--metrics", taken if address == "taken" else address)
    assert run.code == 2
    assert "--metrics: " in run.stderr
    assert problem in run.stderr
    assert server.counts["opened"] == 0


def test_a_scenarios_users_steps_and_checks_are_on_the_page():
    books = ScenarioBooks()
    books.users.requested, books.users.finished = 3, 1
    books.checks["price is \n positive"] = CheckBooks(passed=2, failed=1)
    books.counters["orders"] += 4
    families = {family.name: family for family in prometheus.of_scenario(books)}
    assert {f"{name}_total" for name in families} | {"loadgen_users"} >= OF_SCENARIOS
    users = {each.labels["state"]: each.value for each in families["loadgen_users"].samples}
    assert (users["at_work"], users["finished"]) == (2, 1)
    checks = {
        tuple(each.labels.values()): each.value for each in families["loadgen_checks"].samples
    }
    assert checks == {
        ("price is \\n positive", "passed"): 2,
        ("price is \\n positive", "failed"): 1,
    }


@pytest.mark.parametrize("file", ["grafana.json", "grafana-run.json", "alerts.yml"])
def test_dashboards_and_alerts_ask_only_for_metrics_that_there_are(file):
    content = (DOCS / "how-to/metrics" / file).read_text()
    if file == "alerts.yml":
        rules = [rule for group in yaml.safe_load(content)["groups"] for rule in group["rules"]]
        expressions = [rule["expr"] for rule in rules]
        assert all(rule["labels"]["severity"] and rule["annotations"]["summary"] for rule in rules)
    else:
        document = json.loads(content)
        panels = document["panels"]
        places = {(each["gridPos"]["x"], each["gridPos"]["y"]) for each in panels}
        assert len(places) == len({each["id"] for each in panels}) == len(panels)
        assert all(each["gridPos"]["x"] + each["gridPos"]["w"] <= 24 for each in panels)
        variables = {f"${each['name']}" for each in document["templating"]["list"]}
        assert set(re.findall(r"\$(?!__)\w+", content)) <= variables
        expressions = [target["expr"] for panel in panels for target in panel["targets"]]
    server = re.findall(r"^\| `(\w+)`", (DOCS / "reference/metrics.md").read_text(), re.MULTILINE)
    known = {"up", *server, *DESCRIBED}
    for expression in expressions:
        named = set(re.findall(r"\b(?:echo_trio|loadgen)_\w+", expression)) | (
            {"up"} & {expression[:2]}
        )
        assert named
        assert {re.sub("_bucket$", "", name) for name in named} <= known


def lost_of(given, kept, at="$"):
    """What of a document a reader did not keep: a key that its schema lacks, or another value."""
    if isinstance(given, dict) and isinstance(kept, dict):
        for key, value in given.items():
            yield from lost_of(value, kept.get(key), f"{at}.{key}")
    elif isinstance(given, list) and isinstance(kept, list) and len(given) == len(kept):
        for number, (one, other) in enumerate(zip(given, kept, strict=True)):
            yield from lost_of(one, other, f"{at}[{number}]")
    elif given != kept:
        yield at


def test_dashboards_are_what_grafanas_schema_knows():
    """The SDK's classes are made of Grafana's own schema; what they don't know they drop."""
    register_default_plugins()

    def read(document):
        encoded = JSONEncoder().encode(dashboard.Dashboard.from_json(document))
        return list(lost_of(document, json.loads(encoded)))

    for file in ("grafana.json", "grafana-run.json"):
        document = json.loads((DOCS / "how-to/metrics" / file).read_text())
        assert read(document) == []
        document["panels"][0]["titel"] = document["panels"][0].pop("title")
        document["panels"][1]["targets"][0]["exrp"] = "up"
        document["refesh"] = "5s"
        assert sorted(read(document)) == [
            "$.panels[0].titel",
            "$.panels[1].targets[0].exrp",
            "$.refesh",
        ]


def test_a_histogram_counts_what_is_up_to_each_bound():
    histogram = Histogram()
    for value_us in (1, 100, 101, 5_000, 50_000_000, 3_000_000_000):
        histogram.record(value_us)
    counts = dict(zip(prometheus.BOUNDS_US, histogram.cumulate(prometheus.BOUNDS_US), strict=True))
    assert [counts[bound] for bound in (100, 200, 2_000, 5_000, 50_000_000)] == [2, 3, 3, 4, 5]
    assert histogram.sum_us == 3_050_005_202
