"""Each figure of a report is the one that was measured: no two of the result here are alike."""

import dataclasses
from collections import Counter
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from loadgen.report.build import explain_incomplete, make_report
from loadgen.report.model import Incomplete, TargetReport
from loadgen.report.thresholds import parse
from loadgen.results.latency import Histogram
from loadgen.results.ledger import Ending, Failure, Fault, Ledger
from loadgen.results.result import FanOut, GeneratorFacts, Place, Strain, Workers
from loadgen.results.scenario import ScenarioBooks
from loadgen.results.verify import Verdict
from loadgen.workload.lever import Change
from loadgen.workload.misbehaviour import Kind
from loadgen.workload.plan import Plan

STARTED = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def histogram_of(*values_us: int) -> Histogram:
    histogram = Histogram()
    for value_us in values_us:
        histogram.record(value_us)
    return histogram


def distinct_ledger() -> Ledger:
    return Ledger(
        requested=1001,
        tcp=1002,
        tls=1003,
        opened=1004,
        compressed=1005,
        not_attempted=1006,
        peak_open=1007,
        failed=Counter({failure: 2001 + at for at, failure in enumerate(Failure)}),
        failed_status=Counter({503: 2101, 404: 2102}),
        other_faults=Counter({Fault.NETWORK: 2201, Fault.MACHINE: 2202}),
        closed=Counter({ending: 2301 + at for at, ending in enumerate(Ending)}),
        close_codes=Counter({1006: 2401, 1000: 2402}),
        close_reasons=Counter({(1001, "bye"): 2403, (1011, "x"): 2404, (1000, "bye"): 2}),
        addresses=Counter({"::1": 2407, "127.0.0.1": 2406}),
        sent=3001,
        sent_bytes=3002,
        received=3003,
        received_bytes=3004,
        verdicts=Counter({verdict: 3101 + at for at, verdict in enumerate(Verdict)}),
        abandoned=3005,
        lost=3006,
        in_flight=3007,
        due=3008,
        missed=3009,
        one_way=3010,
        published=3011,
        owed=3012,
        delivered=3013,
        missing=3014,
        unsettled=3015,
        copies_in_flight=3016,
        extra=3017,
    )


@pytest.fixture
def report(result_of):
    apart = Ledger(
        requested=41, opened=42, not_attempted=43, sent=44, received=45,
        failed=Counter({Failure.DNS: 46}), closed=Counter({Ending.TIMEOUT: 47}),
        close_codes=Counter({1001: 48}),
        verdicts=Counter({Verdict.ECHOED: 49, Verdict.IGNORED: 50}),
    )  # fmt: skip
    result = result_of(
        distinct_ledger(),
        plan=Plan(1001, "wss://127.0.0.1:9/"),
        ended_at=STARTED + timedelta(seconds=60),
        all_open_after_s=1.75,
        load_s=8.0,
        connect=histogram_of(1000, 2000),
        intended=histogram_of(3000, 4000, 5000),
        service=histogram_of(6000),
        scheduling_lag=histogram_of(7000, 8000, 9000, 10_000),
        loop_lag=histogram_of(*[1100] * 98, 1200, 1300),
        generator=GeneratorFacts(
            processes=3, cpu_s=4.5, cpu_share=0.55, cpu_shares=[0.25, 0.3], peak_rss_bytes=6006,
            python="3.x", trio="0.y",
        ),
        load_strain=Strain(wall_s=8.0, cpu_share=0.66, waiting_share=0.077),
        apart={Kind.HALF_OPEN: apart},
        fan_out=FanOut(
            first=histogram_of(21_000),
            last=histogram_of(22_000),
            each=histogram_of(23_000),
            clock_error_s=0.0245,
        ),
        workers=Workers(
            processes=3, scheduler="tcp://s", places=[Place(worker="w", processes=3, sockets=1001)]
        ),
    )  # fmt: skip
    return msgspec.to_builtins(make_report(result))


def test_each_figure_of_the_sockets_is_its_own(report):
    connections = report["connections"]
    summary = connections.pop("connect_ms")
    assert (summary["count"], summary["min"], summary["max"]) == (2, 1, 2)
    assert connections == {
        "requested": 1001,
        "opened": 1004,
        "not_attempted": 1006,
        "peak_open": 1007,
        "all_open_after_s": 1.75,
        "failed": {str(failure): 2001 + at for at, failure in enumerate(Failure)},
        "failed_status": {"404": 2102, "503": 2101},
        "closed": {str(ending): 2301 + at for at, ending in enumerate(Ending)},
        "close_codes": {"1000": 2402, "1006": 2401},
        "close_reasons": {"bye": 2405, "x": 2404},
        "addresses": {"::1": 2407, "127.0.0.1": 2406},
        "funnel": {"requested": 1001, "tcp": 1002, "tls": 1003, "upgraded": 1004},
        "faults": {
            "target": sum(range(2001, 2009)),
            "network": 2201,
            "machine": 2009 + 2010 + 2202,
        },
        "compressed": 1005,
    }
    assert list(connections["close_codes"]) == ["1000", "1006"]


def test_each_figure_of_the_messages_is_its_own(report):
    assert report["messages"] == {
        "sent": 3001,
        "received": 3003,
        **{str(verdict): 3101 + at for at, verdict in enumerate(Verdict)},
        "lost": 3006,
        "in_flight": 3007,
        "missed": 3009,
        "one_way": 3010,
        "published": 3011,
        "sent_bytes": 3002,
        "received_bytes": 3004,
        "sent_per_s": 375.125,
        "received_per_s": 375.375,
    }


def test_each_latency_is_its_own(report):
    shown = {
        name: (one["count"], one["min"], one["max"]) for name, one in report["latency"].items()
    }
    assert shown == {
        "intended": (3, 3, 5),
        "service": (1, 6, 6),
        "scheduling_lag": (4, 7, 10),
        "script_lag": (0, None, None),
    }
    assert report["histograms"] == {
        "intended": histogram_of(3000, 4000, 5000).encode(),
        "service": histogram_of(6000).encode(),
    }


def test_each_figure_of_the_generator_is_its_own(report):
    assert report["generator"] == {
        "processes": 3,
        "cpu_s": 4.5,
        "cpu_share": 0.55,
        "cpu_shares": [0.25, 0.3],
        "peak_rss_bytes": 6006,
        "python": "3.x",
        "trio": "0.y",
        "load_cpu_share": 0.66,
        "load_waiting_share": 0.077,
        "loop_lag": {"p50": 1.1, "p99": 1.2, "max": 1.3},
        "places": [{"worker": "w", "processes": 3, "sockets": 1001}],
    }
    assert (report["plan"]["workers"], report["plan"]["dask"]) == (3, "tcp://s")


def test_each_figure_of_those_that_misbehave_is_its_own(report):
    assert report["misbehaving"] == {
        "half-open": {
            "requested": 41,
            "opened": 42,
            "not_attempted": 43,
            "failed": {str(failure): 46 if failure is Failure.DNS else 0 for failure in Failure},
            "closed": {str(ending): 47 if ending is Ending.TIMEOUT else 0 for ending in Ending},
            "close_codes": {"1001": 48},
            "sent": 44,
            "received": 45,
            "echoed": 49,
            "ignored": 50,
        }
    }


def test_each_figure_of_the_copies_is_its_own(report):
    fan_out = report["fan_out"]
    shown = {name: fan_out.pop(name)["max"] for name in ("first", "last", "each")}
    assert shown == {"first": 21, "last": 22, "each": 23}
    assert fan_out == {
        "published": 3011,
        "owed": 3012,
        "delivered": 3013,
        "missing": 3014,
        "unsettled": 3015,
        "in_flight": 3016,
        "extra": 3017,
        "clock_error_ms": 24.5,
    }


def test_without_tls_the_funnel_has_no_such_stage_and_without_misbehaviour_no_such_part(result_of):
    report = msgspec.to_builtins(make_report(result_of(Ledger(5, tcp=4, tls=3, opened=2))))
    assert report["connections"]["funnel"] == {
        "requested": 5, "tcp": 4, "tls": None, "upgraded": 2
    }  # fmt: skip
    assert not {"misbehaving", "target", "incomplete"} & set(report)
    assert report["fan_out"] is None


def test_a_report_is_made_once_with_its_thresholds_and_its_target(result_of):
    target = TargetReport(source="http://x/", errors=3, last_error="x", series=[])
    report = make_report(
        result_of(), limits=[parse("target.errors>2"), parse("messages.sent<5")], target=target
    )
    assert [judged.breached for judged in report.thresholds] == [True, False]
    assert [judged.value for judged in report.thresholds] == [3, 20]
    assert report.target == target


@pytest.mark.parametrize(
    ("opened", "opening", "sockets"),
    [(0, 0, ""), (1000, 0, ": 1,000 open"), (0, 2, ": 2 not yet open"),
     (3, 4, ": 3 open and 4 not yet open")],
)  # fmt: skip
def test_a_run_whose_generator_was_killed_has_failed_and_says_what_is_missing(
    result_of, opened, opening, sockets
):
    incomplete = Incomplete(phase="load", t_s=1234.4, opening=opening, open=opened)
    left = f"{sockets} sockets are unaccounted for" if sockets else ""
    told = f"after 1,234 s, in its load phase{left}"
    for goes_on, begins in ((False, "the generator was killed"),
                            (True, "the run has not ended: this is its state")):  # fmt: skip
        report = make_report(
            result_of(Ledger(9, opened=9, lost=1)), incomplete=incomplete, goes_on=goes_on
        )
        assert report.verdict == "failed"
        assert report.verdict_reasons == [f"{begins} {told}", "1 message lost"]
        assert report.incomplete == incomplete
    assert explain_incomplete(incomplete) == f"the generator was killed {told}"


def test_figures_are_rounded_to_a_thousandth_and_shares_of_no_load_are_none(result_of):
    result = result_of(
        Ledger(1, sent=1000, received=2000), load_s=7.0, load_strain=Strain(cpu_share=0.5),
        fan_out=FanOut(**dict.fromkeys(("first", "last", "each"), histogram_of(1)),
                       clock_error_s=0.0123456789),
    )  # fmt: skip
    report = make_report(result)
    assert (report.messages.sent_per_s, report.messages.received_per_s) == (142.857, 285.714)
    assert report.fan_out.clock_error_ms == 12.346
    for error_s in (0.0, None):  # Clocks that agree, and clocks of which nobody knows.
        fan_out = dataclasses.replace(result.fan_out, clock_error_s=error_s)
        report = make_report(dataclasses.replace(result, fan_out=fan_out))
        assert report.fan_out.clock_error_ms == error_s
    assert (report.generator.load_cpu_share, report.generator.load_waiting_share) == (None, None)
    assert make_report(result_of(fan_out=None)).fan_out is None


def test_of_many_reasons_the_ten_most_frequent_are_reported_whatever_their_code(result_of):
    reasons = Counter({(1000 + n % 2, f"r{n}"): n for n in range(1, 13)})
    ledger = Ledger(1, close_reasons=reasons + Counter({(4000, "r1"): 50}))
    told = make_report(result_of(ledger)).connections.close_reasons
    assert told == {"r1": 51} | {f"r{n}": n for n in range(12, 3, -1)}
    assert next(iter(told)) == "r1"


def test_the_plan_is_that_of_the_result_unless_another_is_given_and_a_pause_is_counted(result_of):
    changes = (
        Change(t_s=4.0, load_s=3.5, what="pause", unit="rate", old=50.0, new=0.0),
        Change(t_s=6.0, load_s=5.5, what="resume", unit="rate", old=0.0, new=50.0, paused_s=2.0),
    )
    report = make_report(result_of(changes=changes), plan={"url": "ws://there/"})
    assert (report.plan, report.changes, report.paused_s) == (
        {"url": "ws://there/"}, list(changes), 2.0
    )  # fmt: skip
    assert make_report(result_of()).plan["count"] == 10


def test_what_a_scenario_has_counted_is_in_its_parts(result_of):
    books = ScenarioBooks.of_users(3)
    books.counters["bought"] = 7
    books.script_lag.total.record(250_000)
    report = make_report(result_of(scenario=books))
    assert (report.users.requested, report.counters) == (3, {"bought": 7})
    assert report.latency.script_lag.max == 250
    plain = make_report(result_of())
    assert (plain.users, plain.counters, plain.latency.script_lag.count) == (None, {}, 0)


def test_a_run_whose_generator_was_killed_has_failed_however_well_it_went(result_of):
    assert make_report(result_of()).verdict == "valid"
    killed = Incomplete(phase="load", t_s=3.0, opening=0, open=0)
    for goes_on in (False, True):
        report = make_report(result_of(), incomplete=killed, goes_on=goes_on)
        assert report.verdict == "failed"
        assert report.verdict_reasons == [explain_incomplete(killed, goes_on=goes_on)]
