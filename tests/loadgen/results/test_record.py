"""What was written down is what is read, to the last figure: in a journal, from a process."""

import dataclasses
from collections import Counter
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from loadgen.results import record
from loadgen.results.latency import Histogram
from loadgen.results.ledger import Ending, Failure, Fault, Ledger
from loadgen.results.result import FanOut, GeneratorFacts, Strain
from loadgen.results.series import Second
from loadgen.results.verify import Verdict
from loadgen.workload.lever import Change
from loadgen.workload.misbehaviour import Kind

STARTED = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)

COUNTERS = {
    "failed": Counter({Failure.REFUSED: 2, Failure.OTHER: 3}),
    "failed_status": Counter({503: 5, 404: 7}),
    "other_errors": Counter({"No route to host": 11, "x": 13}),
    "other_faults": Counter({Fault.NETWORK: 17, Fault.MACHINE: 19}),
    "tls_errors": Counter({"bad": 23, "worse": 29}),
    "details": Counter({(Failure.GREETING, "late"): 67, (Failure.REJECTED, "no"): 71}),
    "closed": Counter({Ending.CLEAN: 31, Ending.TIMEOUT: 37}),
    "close_codes": Counter({1000: 41, 1006: 43}),
    "early": Counter({(Ending.BY_PEER, 1011): 47, (Ending.ABNORMAL, 1006): 53}),
    "addresses": Counter({"::1": 73, "127.0.0.1": 79}),
    "close_reasons": Counter({(1001, "bye"): 83, (1011, "x"): 89}),
    "verdicts": Counter({Verdict.ECHOED: 59, Verdict.DUPLICATE: 61}),
}


def distinct_ledger() -> Ledger:
    """No two columns alike, and none empty."""
    names = [each.name for each in dataclasses.fields(Ledger) if each.name not in COUNTERS]
    return Ledger(**COUNTERS, **{name: 100 + at for at, name in enumerate(names)})


def histogram_of(*values_us: int) -> Histogram:
    histogram = Histogram()
    for value_us in values_us:
        histogram.record(value_us)
    return histogram


@pytest.fixture
def result(result_of):
    """Every figure is one that no other has."""
    return result_of(
        distinct_ledger(),
        ended_at=STARTED + timedelta(seconds=77),
        interrupted=True,
        all_open_after_s=1.25,
        load_s=9.5,
        connect=histogram_of(1, 2, 3),
        intended=histogram_of(4, 5, 6_000_001),
        service=histogram_of(7),
        scheduling_lag=histogram_of(8, 8, 9),
        loop_lag=histogram_of(10, 11),
        generator=GeneratorFacts(
            processes=2, cpu_s=3.5, cpu_share=0.7, cpu_shares=[0.3, 0.4], peak_rss_bytes=99,
            python="3", trio="0",
        ),
        load_strain=Strain(wall_s=9.25, cpu_share=0.6, waiting_share=0.2),
        apart={Kind.HALF_OPEN: Ledger(7, opened=3), Kind.NO_PONG: Ledger(8, opened=5)},
        fan_out=FanOut(
            first=histogram_of(12), last=histogram_of(13, 14), each=histogram_of(15, 16, 17),
            clock_error_s=0.018,
        ),
        changes=(
            Change(t_s=4.0, load_s=3.5, what="pause", unit="rate", old=50.0, new=0.0),
            Change(
                t_s=6.25, load_s=5.75, what="resume", unit="rate", old=0.0, new=50.0, paused_s=2.25
            ),
        ),
    )  # fmt: skip


def figures(result):
    """Everything of a result, histograms as what they hold."""
    return {
        each.name: figures(value)
        if isinstance(value, FanOut)
        else value.state
        if hasattr(value, "state")
        else value
        for each in dataclasses.fields(result)
        for value in [getattr(result, each.name)]
    }


@pytest.mark.parametrize("codec", [msgspec.json, msgspec.msgpack], ids=["json", "msgpack"])
def test_a_result_that_was_written_down_is_read_back_whole(result, codec):
    made = record.make("load", result, result.series)
    read = codec.decode(codec.encode(made), type=record.Record)
    assert (read.phase, read.seconds) == ("load", result.series)
    restored = record.restore(read, result.plan, result.started_at, result.series)
    assert figures(restored) == figures(result)
    for name in ("connect", "intended", "service", "scheduling_lag", "loop_lag"):
        assert getattr(restored, name).summary() == getattr(result, name).summary()


def test_a_record_has_the_seconds_that_it_was_given_and_no_others(result):
    seconds = [Second(t_s=5.0, open=1, opening=2, sent=3, received=4, errors=5, p50_ms=6,
                      p99_ms=7, lag_ms=8)]  # fmt: skip
    assert record.make("close", result, seconds).seconds == seconds


def test_books_of_an_older_version_lack_what_it_did_not_count():
    dumped = record.dump_ledger(distinct_ledger())
    del dumped["orphaned_messages"], dumped["tls_errors"]
    read = record.load_ledger(dumped)
    assert (read.orphaned_messages, read.tls_errors) == (0, Counter())
    assert read.orphaned == distinct_ledger().orphaned
