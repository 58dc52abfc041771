"""Send the figures of a run to an OpenTelemetry collector while it goes: `--otlp URL`.

The figures are those of `--metrics`. How they are sent – headers, certificates, compression, the
timeout – is set by the standard's own variables, like OTEL_EXPORTER_OTLP_HEADERS: the SDK reads
them.
"""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Iterator
from functools import partial
from itertools import pairwise
from typing import Any, Final, NoReturn

import trio
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.sdk.metrics import export as otel
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from prometheus_client.core import Metric

from loadgen.cli.output import warn
from loadgen.engine.running import Running
from loadgen.report import prometheus

#: Milliseconds between two exports, if OTEL_METRIC_EXPORT_INTERVAL says nothing: the standard's
#: minute is longer than most runs.
INTERVAL_MS: Final = 10_000
#: An export is awaited for this many seconds, the standard's timeout, also after the run's end.
PATIENCE_S: Final = 10.0
#: What the standard's variables may rename.
OWN: Final = Resource({"service.name": "loadgen"})
_CUMULATIVE: Final = otel.AggregationTemporality.CUMULATIVE


class Otlp:
    """An exporter of a run's figures.

    :param url: where the collector takes metrics over HTTP, like http://host:4318/v1/metrics.
    :param name: of the run, for `loadgen_run_info`.
    """

    def __init__(self, url: str, name: str | None = None) -> None:
        self._url, self._name, self._has_failed = url, name, False
        logging.getLogger("opentelemetry").addHandler(logging.NullHandler())  # We say it, once.
        self._exporter = OTLPMetricExporter(url)
        self._resource = OWN.merge(OTELResourceDetector().detect())

    async def keep(self, run: Running) -> NoReturn:
        """Export regularly until cancelled, and then once more, unless an export has failed."""
        given = os.environ.get("OTEL_METRIC_EXPORT_INTERVAL", "")
        interval_ms = (int(given) if given.isdecimal() else 0) or INTERVAL_MS
        try:
            while True:
                await trio.sleep(interval_ms / 1000)
                await self._export(run)
        finally:
            if not self._has_failed:
                await self._export(run)

    async def _export(self, run: Running) -> None:
        """Export once, also when cancelled: the last export must not overtake the one before it."""
        metrics = otel.ScopeMetrics(
            InstrumentationScope("loadgen"), [*translate(run, self._name)], ""
        )
        data = otel.MetricsData([otel.ResourceMetrics(self._resource, [metrics], "")])
        send, result = partial(self._exporter.export, data), otel.MetricExportResult.FAILURE
        with trio.move_on_after(PATIENCE_S, shield=True):
            result = await trio.to_thread.run_sync(send, abandon_on_cancel=True)
        if result is not otel.MetricExportResult.SUCCESS and not self._has_failed:
            self._has_failed = True
            warn(f"--otlp: {self._url} does not take the run's figures")


def translate(run: Running, name: str | None) -> Iterator[otel.Metric]:
    """Yield each metric of the run's page, in the SDK's classes."""
    begun_ns = int(run.result_so_far().started_at.timestamp() * 1e9)
    times_ns = begun_ns, begun_ns + int(run.elapsed_s * 1e9)
    for family in prometheus.families(run, name):
        yield otel.Metric(family.name, family.documentation, "", _data(family, times_ns))


def _data(family: Metric, times_ns: tuple[int, int]) -> otel.Histogram | otel.Sum | otel.Gauge:
    if family.type == "histogram":
        return otel.Histogram([_point_of_histogram(family, times_ns)], _CUMULATIVE)
    known = [sample for sample in family.samples if not math.isnan(sample.value)]
    points = [otel.NumberDataPoint(each.labels, *times_ns, each.value) for each in known]
    if family.type == "counter":
        return otel.Sum(points, _CUMULATIVE, is_monotonic=True)
    return otel.Gauge(points)


def _point_of_histogram(family: Metric, times_ns: tuple[int, int]) -> otel.HistogramDataPoint:
    *buckets, count, total = (sample.value for sample in family.samples)
    counts = [int(above - below) for below, above in pairwise([0, *buckets])]
    # The buckets don't tell the least and the most.
    rest: Any = [bound_us / 1e6 for bound_us in prometheus.BOUNDS_US], None, None
    return otel.HistogramDataPoint({}, *times_ns, int(count), total, counts, *rest)
