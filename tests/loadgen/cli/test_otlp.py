"""The figures of a run go to a collector regularly, and once more at its end."""

import math
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
import trio
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

pytest.importorskip("opentelemetry.sdk")

from opentelemetry.sdk.metrics import export as otel

from loadgen.cli import otlp
from loadgen.cli.otlp import PATIENCE_S, Otlp, translate

STARTED_S = 1_767_323_045


class Run:
    """A run that began a while ago."""

    elapsed_s = 2.5

    def result_so_far(self):
        return SimpleNamespace(started_at=datetime.fromtimestamp(STARTED_S, UTC))


def families(run, name):
    """A family of each kind, and the name that they were asked for with."""
    gauge = GaugeMetricFamily("loadgen_open", "Open.", labels=["of"])
    gauge.add_metric([str(name)], 3)
    gauge.add_metric(["b"], math.nan)
    counter = CounterMetricFamily("loadgen_sent", "Sent.", 7)
    bounds = [f"{bound_us / 1e6:g}" for bound_us in otlp.prometheus.BOUNDS_US]
    cumulative = [(bound, float(min(at, 5))) for at, bound in enumerate(bounds)]
    histogram = HistogramMetricFamily("loadgen_latency", "Latency.")
    histogram.add_metric([], [*cumulative, ("+Inf", 6.0)], 1.25)
    yield from (gauge, counter, histogram)


@pytest.fixture
def exported(monkeypatch):
    """What was exported and when; `outcomes` says how each goes."""
    made = SimpleNamespace(at_s=[], data=[], outcomes=[], waits_s=0.0, begun_s=trio.current_time)

    class Exporter:
        def __init__(self, url):
            assert url == "http://h:4318/v1/metrics"

        def export(self, data):
            made.data.append(data)
            return made.outcomes.pop(0) if made.outcomes else otel.MetricExportResult.SUCCESS

    async def run_sync(call, *, abandon_on_cancel):
        assert abandon_on_cancel
        made.at_s.append(trio.current_time())
        await trio.sleep(made.waits_s)
        return call()

    monkeypatch.setattr(otlp, "OTLPMetricExporter", Exporter)
    monkeypatch.setattr(otlp.trio.to_thread, "run_sync", run_sync)
    monkeypatch.setattr(otlp.prometheus, "families", families)
    monkeypatch.delenv("OTEL_METRIC_EXPORT_INTERVAL", raising=False)
    return made


def test_each_family_is_of_its_kind_with_the_time_that_it_covers(exported):
    gauge, counter, histogram = translate(Run(), "nightly")
    (point,) = gauge.data.data_points  # What is not known is not told.
    assert (gauge.name, gauge.description, type(gauge.data)) == (
        "loadgen_open",
        "Open.",
        otel.Gauge,
    )
    assert (point.value, dict(point.attributes)) == (3, {"of": "nightly"})
    (point,) = counter.data.data_points
    assert (point.value, counter.data.is_monotonic) == (7, True)
    times = (STARTED_S * 10**9, STARTED_S * 10**9 + 2_500_000_000)
    assert (point.start_time_unix_nano, point.time_unix_nano) == times
    (point,) = histogram.data.data_points
    assert (point.start_time_unix_nano, point.time_unix_nano) == times
    assert list(point.bucket_counts) == [0, 1, 1, 1, 1, 1] + [0] * 12 + [1]
    assert list(point.explicit_bounds)[:3] == [0.0001, 0.0002, 0.0005]
    assert (point.count, point.sum, point.min, point.max) == (6, 1.25, None, None)
    cumulative = otel.AggregationTemporality.CUMULATIVE
    assert counter.data.aggregation_temporality == cumulative
    assert histogram.data.aggregation_temporality == cumulative


@pytest.mark.parametrize(
    ("interval", "times"),
    [(None, [10, 20, 25]), ("4000", [4, 8, 12, 16, 20, 24, 25]), ("0", [10, 20, 25]),
     ("x", [10, 20, 25])],
)  # fmt: skip
async def test_an_export_comes_at_an_interval_and_at_the_end(
    exported, monkeypatch, autojump_clock, interval, times
):
    if interval is not None:
        monkeypatch.setenv("OTEL_METRIC_EXPORT_INTERVAL", interval)
    began_s = trio.current_time()
    with trio.move_on_after(25):
        await Otlp("http://h:4318/v1/metrics", "nightly").keep(Run())
    assert [moment_s - began_s for moment_s in exported.at_s] == pytest.approx(times)
    (of_resource,) = exported.data[0].resource_metrics
    assert of_resource.resource.attributes["service.name"] == "loadgen"
    (of_scope,) = of_resource.scope_metrics
    assert (of_scope.scope.name, len(of_scope.metrics)) == ("loadgen", 3)
    (point,) = of_scope.metrics[0].data.data_points
    assert point.attributes == {"of": "nightly"}


async def test_a_collector_that_takes_nothing_is_told_once_and_not_asked_at_the_end(
    exported, autojump_clock, capsys
):
    exported.outcomes = [otel.MetricExportResult.FAILURE] * 2
    with trio.move_on_after(25):
        await Otlp("http://h:4318/v1/metrics").keep(Run())
    assert len(exported.at_s) == 2
    assert capsys.readouterr().err == (
        "loadgen: --otlp: http://h:4318/v1/metrics does not take the run's figures\n"
    )


async def test_one_that_does_not_answer_is_not_waited_for(exported, autojump_clock, capsys):
    exported.waits_s = 1e9
    began_s = trio.current_time()
    with trio.move_on_after(12):
        await Otlp("http://h:4318/v1/metrics").keep(Run())
    # The export under way has its time also when the run has ended.
    assert trio.current_time() - began_s == pytest.approx(10 + PATIENCE_S)
    assert (len(exported.data), "does not take" in capsys.readouterr().err) == (0, True)
