import dataclasses
from collections import Counter
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadgen.report.build import make_report
from loadgen.results import record
from loadgen.results.latency import Histogram
from loadgen.results.ledger import Ending, Failure, Ledger
from loadgen.results.result import FanOut, GeneratorFacts, Result, Strain, Workers
from loadgen.results.scenario import CheckBooks, ScenarioBooks
from loadgen.results.series import Second
from loadgen.results.verify import Verdict
from loadgen.workload.lever import Change
from loadgen.workload.misbehaviour import Kind
from loadgen.workload.plan import Plan


def test_a_report_has_the_ledgers_counts_and_rates_over_the_load_phase(report_of):
    report = report_of(load_s=8.0)
    assert (report.connections.requested, report.connections.opened) == (10, 10)
    assert report.connections.closed.clean == 10
    assert report.connections.close_codes == {"1000": 10}
    assert (report.messages.sent, report.messages.echoed, report.messages.lost) == (20, 20, 0)
    assert (report.messages.sent_per_s, report.messages.received_per_s) == (2.5, 2.5)
    assert report.latency.intended.count == 3
    assert report.plan["rate_per_conn"] == 1.0


def test_a_run_without_load_phase_has_no_rates(report_of):
    messages = report_of(load_s=0.0).messages
    assert (messages.sent_per_s, messages.received_per_s) == (None, None)


def part(result_of, at: int, **changes):
    """A part of a run, each of whose figures is `at` times some number of its own."""
    begins = BEGAN + timedelta(seconds=2 * at)
    histograms = {}
    for number, name in enumerate(HISTOGRAMS):
        histograms[name] = Histogram()
        histograms[name].record(100 * at + number, 7 * at + number)
    settings = {
        "started_at": begins,
        "ended_at": begins + timedelta(seconds=30 / at),
        "all_open_after_s": 3.0 / at,
        "load_s": 10.0 * at,
        "generator": GeneratorFacts(
            processes=at, cpu_s=1.5 * at, cpu_share=0.25 * at, cpu_shares=[0.25 * at],
            peak_rss_bytes=1000 * at, python=f"3.{at}", trio="0",
        ),
        "load_strain": Strain(wall_s=5.0 * at, cpu_share=0.5 / at, waiting_share=0.1 * at),
        "series": [],
        "deaths": (f"death {at}",),
        "apart": {Kind.NO_PONG: Ledger(10 * at), Kind.HALF_OPEN: Ledger(at, opened=3 * at)},
    }  # fmt: skip
    return result_of(Ledger(100 * at, opened=at), **(settings | histograms | changes))


BEGAN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
HISTOGRAMS = ("connect", "intended", "service", "scheduling_lag", "loop_lag")


@pytest.mark.parametrize("order", [(1, 2, 3), (3, 2, 1), (2, 3, 1)])
def test_each_figure_of_several_processes_is_their_sum_or_that_of_who_had_it_hardest(
    result_of, order
):
    merged = Result.merge([part(result_of, at) for at in order], Plan(7))
    assert merged.plan == Plan(7)
    assert merged.started_at == BEGAN + timedelta(seconds=2)
    assert merged.ended_at == BEGAN + timedelta(seconds=32)
    # The third began 4 s after the first, and had all open a second later.
    assert merged.all_open_after_s == 5.0
    assert merged.load_s == 30.0
    assert (merged.ledger.requested, merged.ledger.opened) == (600, 6)
    assert {kind: (books.requested, books.opened) for kind, books in merged.apart.items()} == {
        Kind.NO_PONG: (60, 0), Kind.HALF_OPEN: (6, 18)
    }  # fmt: skip
    facts = merged.generator
    assert (facts.processes, facts.cpu_s, facts.cpu_share) == (6, 9.0, 1.5)
    assert facts.cpu_shares == [0.25 * at for at in order]
    assert (facts.peak_rss_bytes, facts.python, facts.trio) == (6000, "3.1, 3.2, 3.3", "0")
    assert merged.load_strain == Strain(wall_s=15.0, cpu_share=0.5, waiting_share=0.1 * 3)
    assert merged.deaths == tuple(f"death {at}" for at in order)
    for number, name in enumerate(HISTOGRAMS):
        histogram = getattr(merged, name)
        assert histogram.state.counts == {100 * at + number: 7 * at + number for at in (1, 2, 3)}
        assert (histogram.count, histogram.min, histogram.max) == (
            42 + 3 * number, 100 + number, 300 + number
        )  # fmt: skip


def change(t_s: float, what: str = "pause") -> Change:
    return Change(t_s=t_s, load_s=t_s - 1, what=what, unit=None, old=None, new=None)


def test_a_change_by_hand_is_one_for_all_parts_and_all_are_in_the_order_of_time(result_of):
    told = (change(3.0), change(2.0, "resume")), (change(2.0, "resume"),), (change(1.0),)
    parts = [part(result_of, at, changes=changes) for at, changes in enumerate(told, 1)]
    for one in (parts, parts[::-1]):
        assert [each.t_s for each in Result.merge(one).changes] == [1.0, 2.0, 3.0]


def test_times_of_copies_are_those_of_all_parts_and_clocks_differ_by_the_most(result_of):
    def fan_out(at, error_s):
        histograms = {name: Histogram() for name in ("first", "last", "each")}
        for number, histogram in enumerate(histograms.values()):
            histogram.record(100 * at + number)
        return FanOut(**histograms, clock_error_s=error_s)

    errors = (0.25, None, 0.5)
    parts = [part(result_of, at, fan_out=fan_out(at, errors[at - 1])) for at in (1, 2, 3)]
    merged = Result.merge([*parts, part(result_of, 4)]).fan_out
    assert merged.clock_error_s == 0.5
    for number, name in enumerate(("first", "last", "each")):
        assert getattr(merged, name).state.counts == {100 * at + number: 1 for at in (1, 2, 3)}
    assert Result.merge([parts[1], part(result_of, 4)]).fan_out.clock_error_s is None
    assert Result.merge([part(result_of, 1), part(result_of, 2)]).fan_out is None


def test_merging_leaves_the_parts_as_they_were_so_that_merging_again_makes_the_same(result_of):
    parts = []
    for at in (1, 2, 3):
        books = ScenarioBooks.of_users(10 * at)
        books.users.fail("KeyError at a.py:2", f"traceback {at}")
        books.step("say", "request").count = at
        books.check("price", at == 2)
        books.stream("ticks").received = 7 * at
        books.count("bids", 100 * at)
        copies = FanOut(first=Histogram(), last=Histogram(), each=Histogram())
        copies.each.record(1000 * at, at)
        parts.append(part(result_of, at, scenario=books, fan_out=copies))

    def written(result):
        return msgspec.to_builtins(record.make("done", result, []))

    before = [written(each) for each in parts]
    merged = Result.merge(parts)
    users, (step,) = merged.scenario.users, merged.scenario.steps.values()
    assert (users.requested, users.failed_by) == (60, {"KeyError at a.py:2": 3})
    assert (step.count, merged.scenario.streams["ticks"].received) == (6, 42)
    assert merged.scenario.checks["price"] == CheckBooks(passed=1, failed=2)
    assert merged.scenario.counters == {"bids": 600}
    assert written(Result.merge(parts)) == written(merged)
    assert [written(each) for each in parts] == before


def test_one_part_is_the_whole(result_of):
    """Whatever a result has, merging it with nothing leaves it as it is."""
    alone = part(result_of, 2, changes=(change(1.0),), interrupted=True)
    merged = Result.merge([alone])
    for field in dataclasses.fields(Result):
        one, other = getattr(alone, field.name), getattr(merged, field.name)
        if isinstance(one, Histogram):
            one, other = one.state, other.state
        assert one == other, field.name


def test_without_a_whole_the_plan_is_that_of_the_first(result_of):
    parts = [part(result_of, at, plan=Plan(at)) for at in (2, 1)]
    assert Result.merge(parts).plan == Plan(2)


def test_a_run_is_interrupted_if_one_of_its_parts_was(result_of):
    for one in (False, True):
        for other in (False, True):
            parts = [part(result_of, 1, interrupted=one), part(result_of, 2, interrupted=other)]
            assert Result.merge(parts).interrupted is (one or other)


def test_all_were_not_open_if_those_of_one_part_never_were(result_of):
    parts = [part(result_of, 1), part(result_of, 2, all_open_after_s=None)]
    assert Result.merge(parts).all_open_after_s is None


# -- Properties ------------------------------------------------------------------------------------
# Results of parts make the result of the whole, however they are grouped.


small = st.integers(0, 1000)
millis = st.floats(0, 1000).map(lambda value: round(value, 3))


@st.composite
def histograms(draw):
    histogram = Histogram()
    for value in draw(st.lists(st.integers(0, 10**7), max_size=20)):
        histogram.record(value)
    return histogram


@st.composite
def series(draw):
    jitters = draw(st.lists(st.floats(0, 0.4), max_size=6))
    return [
        Second(t_s=round(number + jitter, 3), open=draw(small), opening=draw(small),
               sent=draw(small), received=draw(small), errors=draw(small), p50_ms=draw(millis),
               p99_ms=draw(millis), lag_ms=draw(millis))
        for number, jitter in enumerate(jitters, 1)
    ]  # fmt: skip


@st.composite
def results(draw):
    started = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(milliseconds=draw(st.integers(0, 5000)))
    ledger = Ledger(
        draw(small), opened=draw(small), peak_open=draw(small), sent=draw(small),
        received=draw(small), lost=draw(small), due=draw(st.none() | small),
        failed=Counter({Failure.REFUSED: draw(small)}),
        closed=Counter({Ending.CLEAN: draw(small)}),
        early=Counter({(Ending.BY_PEER, 1001): draw(small)}),
        verdicts=Counter({Verdict.ECHOED: draw(small)}),
    )  # fmt: skip
    return Result(
        plan=Plan(1), started_at=started, ended_at=started + timedelta(seconds=draw(small)),
        interrupted=draw(st.booleans()), ledger=ledger, load_s=draw(millis),
        all_open_after_s=draw(st.none() | st.integers(0, 5).map(float)),
        connect=draw(histograms()), intended=draw(histograms()), service=draw(histograms()),
        scheduling_lag=draw(histograms()), loop_lag=draw(histograms()),
        generator=GeneratorFacts(processes=1, cpu_s=draw(small) / 8, cpu_share=draw(small) / 8,
                                 peak_rss_bytes=draw(small), python="3", trio="0"),
        load_strain=Strain(wall_s=draw(millis), cpu_share=draw(millis)),
        series=draw(series()),
        apart={kind: Ledger(draw(small), opened=draw(small))
               for kind in draw(st.sets(st.sampled_from(Kind)))},
    )  # fmt: skip


@settings(max_examples=40, deadline=None)
@given(results(), results(), results())
def test_merging_is_associative(one, two, three):
    merge = Result.merge
    at_once = make_report(merge([one, two, three]))
    assert make_report(merge([merge([one, two]), three])) == at_once
    assert make_report(merge([one, merge([two, three])])) == at_once


@settings(max_examples=40, deadline=None)
@given(st.lists(results(), min_size=1, max_size=4))
def test_nothing_counted_is_lost_or_doubled(parts):
    report = make_report(Result.merge(parts))
    assert report.messages.sent == sum(part.ledger.sent for part in parts)
    assert report.connections.failed.refused == sum(
        part.ledger.failed[Failure.REFUSED] for part in parts
    )
    misbehaving = {} if isinstance(report.misbehaving, msgspec.UnsetType) else report.misbehaving
    assert sum(crowd.requested for crowd in misbehaving.values()) == sum(
        ledger.requested for part in parts for ledger in part.apart.values()
    )
    assert report.latency.intended.count == sum(part.intended.count for part in parts)
    measured = [part.intended.max / 1000 for part in parts if part.intended.count]
    assert report.latency.intended.max == max(measured, default=None)
    for name in ("sent", "received", "errors"):
        merged = sum(getattr(second, name) for second in report.series)
        assert merged == sum(getattr(second, name) for part in parts for second in part.series)
    assert [second.t_s for second in report.series] == sorted(
        {second.t_s for second in report.series}
    )
    if report.series:
        assert report.series[-1].open == sum(part.series[-1].open for part in parts if part.series)


def test_each_version_of_a_run_that_was_merged_before_is_named_once(result_of):
    merged = Result.merge([part(result_of, 2), part(result_of, 1)], Plan(7))
    again = Result.merge([merged, part(result_of, 3), part(result_of, 2)], Plan(7))
    assert (again.generator.python, again.generator.trio) == ("3.1, 3.2, 3.3", "0")


def test_what_nothing_is_known_of_took_nothing_in_one_process():
    assert Strain() == Strain(wall_s=0.0, cpu_share=0.0, waiting_share=0.0)
    assert (Workers().processes, Workers().scheduler, Workers().places) == (1, None, [])


@pytest.mark.parametrize("first_s", [0.0, 0.0625])
def test_all_are_open_when_the_last_of_the_last_part_is_however_soon(result_of, first_s):
    parts = [
        part(result_of, 1, started_at=BEGAN, all_open_after_s=first_s),
        part(result_of, 2, started_at=BEGAN, all_open_after_s=0.03125),
    ]
    assert Result.merge(parts).all_open_after_s == max(first_s, 0.03125)
