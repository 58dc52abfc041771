"""Results of runs that never ran, for what is made of them."""

from __future__ import annotations

import resource
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import jsonschema
import msgspec
import pytest

from loadgen.report import json as report_json
from loadgen.report.build import make_report
from loadgen.report.model import Report
from loadgen.results.latency import Histogram
from loadgen.results.ledger import Ending, Ledger
from loadgen.results.result import GeneratorFacts, Result, Strain
from loadgen.results.series import Second
from loadgen.results.verify import Verdict
from loadgen.workload.plan import Plan

#: Made once: to hold a schema itself against what a schema is takes fifty times as long.
SCHEMA = jsonschema.Draft202012Validator(msgspec.json.decode(report_json.SCHEMA_PATH.read_bytes()))
STARTED = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def histogram_of(*values_us: int) -> Histogram:
    histogram = Histogram()
    for value_us in values_us:
        histogram.record(value_us)
    return histogram


def clean_ledger(sockets: int = 10, messages: int = 20) -> Ledger:
    """All opened, all echoed, all closed clean."""
    return Ledger(
        requested=sockets,
        opened=sockets,
        peak_open=sockets,
        closed=Counter({Ending.CLEAN: sockets}),
        close_codes=Counter({1000: sockets}),
        sent=messages,
        sent_bytes=messages * 32,
        received=messages,
        received_bytes=messages * 39,
        verdicts=Counter({Verdict.ECHOED: messages}),
    )


@pytest.fixture
def files_of_at_most() -> Callable[[int], AbstractContextManager[None]]:
    """No file can become longer than so many bytes meanwhile: what a full disk looks like."""

    @contextmanager
    def limit(size_bytes: int) -> Iterator[None]:
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, hard))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    return limit


@pytest.fixture
def result_of() -> Callable[..., Result]:
    def make(ledger: Ledger | None = None, **changes: Any) -> Result:
        ledger = clean_ledger() if ledger is None else ledger
        settings: dict[str, Any] = {
            "plan": Plan(ledger.requested),
            "started_at": STARTED,
            "ended_at": STARTED + timedelta(seconds=11),
            "interrupted": False,
            "ledger": ledger,
            "all_open_after_s": 0.25,
            "load_s": 10.0,
            "connect": histogram_of(900, 1200),
            "intended": histogram_of(1500, 2500, 3500),
            "service": histogram_of(500, 600, 700),
            "scheduling_lag": histogram_of(1000, 1900, 2800),
            "loop_lag": histogram_of(100, 200),
            "generator": GeneratorFacts(
                processes=1,
                cpu_s=1.5,
                cpu_share=0.13,
                peak_rss_bytes=48 * 2**20,
                python="3.11.7",
                trio="0.35.0",
            ),
            "load_strain": Strain(wall_s=10.0, cpu_share=0.2, waiting_share=0.01),
            "series": [
                Second(
                    t_s=1.0,
                    open=ledger.opened,
                    opening=0,
                    sent=ledger.sent,
                    received=ledger.received,
                    errors=0,
                    p50_ms=1.5,
                    p99_ms=3.5,
                    lag_ms=0.2,
                )
            ],
        }
        return Result(**(settings | changes))

    return make


@pytest.fixture
def report_of(result_of: Callable[..., Result]) -> Callable[..., Report]:
    """A report, which its schema allows."""

    def make(ledger: Ledger | None = None, **changes: Any) -> Report:
        report = make_report(result_of(ledger, **changes))
        SCHEMA.validate(msgspec.json.decode(report_json.encode(report)))
        return report

    return make
