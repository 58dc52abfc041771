import html
import io
import re
from collections import Counter

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from loadgen.report import markdown, thresholds
from loadgen.report import text as report_text
from loadgen.report.model import FanOutReport, Incomplete, TargetLag, TargetReport, TargetSecond
from loadgen.results.latency import Histogram, Summary
from loadgen.results.ledger import Ending, Failure, Fault, Ledger
from loadgen.results.result import FanOut
from loadgen.results.scenario import ScenarioBooks
from loadgen.results.verify import ANSWERING, Verdict
from loadgen.workload.lever import Change
from loadgen.workload.misbehaviour import Kind

from ..conftest import histogram_of

#: The fixture is a function that keeps nothing.
PURE = settings(
    max_examples=40,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def terminal(monkeypatch):
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("COLUMNS", "80")
    return Terminal()


def written(report, **options):
    stream = io.StringIO()
    report_text.write(report, stream, **options)
    return stream.getvalue()


def test_a_report_reads_like_this(report_of):
    assert written(report_of()) == (
        """
   VALID   10 sockets to ws://127.0.0.1:8765/
  → 3 replies are few for p99, which takes 1,000, and for p99.9, which takes
  10,000: give more --duration or rate

  sockets    10 requested = 10 opened
             10 opened = 10 clean  (10 × 1000)
             all open after 0.25 s; connecting: p50 0.9 ms, p99 1.2 ms
  messages   20 sent = 20 echoed
             20 received = 20 echoed
             2/s sent, 2/s received; 640 B out, 780 B in
  generator  13% of one core, 48 MiB at most, event loop late by 0.2 ms (p99)

  latency in ms      p50    p90    p95    p99  p99.9    max  p50 ▪ p99.9 ▫
  intended         ~2.50  ~3.50  ~3.50  ~3.50  ~3.50   3.50  ▪▪▪▪▪▪▪▪▪▪▪▪▪▪▫▫▫▫▫
  service          ~0.60  ~0.70  ~0.70  ~0.70  ~0.70   0.70  ▪▪▪▫
  scheduling lag   ~1.90  ~2.80  ~2.80  ~2.80  ~2.80   2.80  ▪▪▪▪▪▪▪▪▪▪▫▫▫▫▫
  intended: since due · service: since sent · scheduling lag: sent late by
  ~ not known well: fewer than 10 values lie beyond it

"""
    )


def test_copies_are_counted_and_timed_and_the_clocks_error_is_said_where_there_are_several(
    report_of,
):
    p = {"p50": 2.0, "p90": 3.0, "p95": 3.0, "p99": 3.5, "p999": 4.0}
    after = Summary(count=4, min=1.0, mean=2.0, max=4.0, **p)
    fan_out = FanOutReport(
        published=4, owed=2000, delivered=1990, missing=8, unsettled=2, in_flight=0, extra=1,
        first=after, last=Summary(count=0), each=after, clock_error_ms=0.125,
    )  # fmt: skip
    lines = written(msgspec.structs.replace(report_of(), fan_out=fan_out)).splitlines()
    at = next(number for number, line in enumerate(lines) if line.startswith("  copies "))
    assert [line.strip() for line in lines[at : at + 6]] == [
        "copies     2,000 owed = 1,990 delivered + 8 missing + 2 unsettled",
        "1 came that were not owed",
        "first after p50 2.0 ms, p99 3.5 ms",
        "last after p50 – ms, p99 – ms",
        "each after p50 2.0 ms, p99 3.5 ms",
        "give or take 0.12 ms: the machines' clocks may differ by that",
    ]
    cut_off = msgspec.structs.replace(fan_out, unsettled=0, in_flight=2)
    assert "= 1,990 delivered + 8 missing + 2 in flight" in (
        written(msgspec.structs.replace(report_of(), fan_out=cut_off))
    )
    alone = msgspec.structs.replace(fan_out, clock_error_ms=None)
    assert "clocks" not in written(msgspec.structs.replace(report_of(), fan_out=alone))


def test_a_load_that_was_changed_by_hand_says_so_and_how(report_of):
    changes = [
        Change(t_s=2.0, load_s=1.5, what="rate", unit="rate", old=50.0, new=55.0),
        Change(t_s=4.0, load_s=3.5, what="pause", unit="rate", old=55.0, new=0.0),
        Change(t_s=6.25, load_s=5.75, what="resume", unit="rate", old=0.0, new=55.0, paused_s=2.25),
    ]
    report = msgspec.structs.replace(report_of(), changes=changes, paused_s=2.25)
    text = written(report)
    assert "VALID" in text
    told = "the load was changed by hand: its rate once, paused once, for 2.2 s in all"
    assert f"• {told}" in text
    for line in ("by hand    at 2.0 s raised from 50/s to 55/s", "at 6.2 s went on after 2.2 s"):
        assert line in text
    assert told in html.unescape(markdown.render(report).decode())


def test_what_goes_to_a_pipe_has_no_colour_no_trailing_space_and_fits_80_columns(report_of):
    slow = Histogram()
    slow.record(3_599_999_000)
    report = report_of(intended=slow, service=slow, scheduling_lag=slow)
    for line in written(report).splitlines():
        assert "\x1b" not in line
        assert line == line.rstrip()
        assert len(line) <= 80


def test_ten_seconds_of_latency_still_fit_a_line_each(report_of):
    slow = Histogram()
    slow.record(10_871_860)
    text = written(report_of(intended=slow, service=slow, scheduling_lag=slow))
    assert [len(re.findall(r"10,872", line)) for line in text.splitlines()].count(6) == 3


def test_a_terminal_gets_colour(report_of, terminal):
    report_text.write(report_of(), terminal)
    assert "\x1b[1;30;42m VALID" in terminal.getvalue()


def test_a_terminal_gets_no_colour_where_none_is_wanted(report_of, terminal):
    report_text.write(report_of(), terminal, color=False)
    assert not re.search(r"\x1b\[[0-9;]*(3[0-7]|4[0-7])m", terminal.getvalue())


@pytest.mark.parametrize("columns", [40, 80, 120])
def test_no_label_of_the_latencies_is_broken(report_of, terminal, monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", str(columns))
    report_text.write(report_of(), terminal, color=False)
    plain = re.sub(r"\x1b\[[0-9;]*m", "", terminal.getvalue())
    assert "scheduling lag " in plain
    assert max(map(len, plain.splitlines())) <= columns


def test_a_run_that_failed_says_what_is_missing(report_of):
    ledger = Ledger(
        10,
        opened=6,
        not_attempted=1,
        peak_open=6,
        failed=Counter({Failure.REJECTED: 2, Failure.REFUSED: 1}),
        failed_status=Counter({503: 2}),
        closed=Counter({Ending.CLEAN: 5, Ending.BY_PEER: 1}),
        close_codes=Counter({1000: 5, 1011: 1}),
        early=Counter({(Ending.BY_PEER, 1011): 1}),
        sent=4,
        received=5,
        verdicts=Counter({Verdict.ECHOED: 3, Verdict.DUPLICATE: 2}),
        lost=1,
    )
    text = written(report_of(ledger, all_open_after_s=None))
    assert " FAILED " in text
    assert "• 2 of 10 sockets did not open: rejected (HTTP 503)" in text
    assert "• the server closed 1 socket before the end, code 1011" in text
    assert "10 requested = 6 opened + 1 refused + 2 rejected + 1 not attempted" in text
    assert "6 opened = 5 clean + 1 by peer  (5 × 1000, 1 × 1011)" in text
    assert "6 open at once; connecting: p50" in text
    assert "4 sent = 3 echoed + 1 lost" in text
    assert "5 received = 3 echoed + 2 duplicate" in text


def test_an_interrupted_run_says_so(report_of):
    assert "VALID   interrupted  10 sockets" in written(report_of(interrupted=True))


def test_a_run_without_messages_shows_no_latencies(report_of):
    nothing = Histogram()
    text = written(report_of(intended=nothing, service=nothing, scheduling_lag=nothing))
    assert "latency" not in text


def test_a_run_whose_replies_are_all_lost_still_shows_how_late_messages_were_sent(report_of):
    nothing = Histogram()
    text = written(report_of(intended=nothing, service=nothing))
    assert "scheduling lag   ~1.90" in text


def test_sockets_lost_on_their_way_show_where_and_whose_fault_it_was(report_of):
    ledger = Ledger(
        10,
        tcp=8,
        opened=6,
        failed=Counter({Failure.REFUSED: 2, Failure.REJECTED: 2}),
        failed_status=Counter({503: 2}),
        closed=Counter({Ending.CLEAN: 6}),
    )
    assert "8 TCP → 6 upgraded; fault: 4 the target's" in written(report_of(ledger))
    none = Ledger(10, tcp=8, failed=Counter({Failure.REJECTED: 10}))
    assert "8 TCP → 0 upgraded" in written(report_of(none))


def test_thresholds_are_marked_held_or_breached(report_of):
    report = report_of()
    limits = [thresholds.parse("latency.p99>1ms"), thresholds.parse("messages.lost>0")]
    report = msgspec.structs.replace(report, thresholds=thresholds.judge(report, limits))
    text = written(report)
    assert "✗ latency.p99>1ms: 3.5 ms" in text
    assert "✓ messages.lost>0: 0" in text


def test_the_targets_own_figures_are_beside_the_generators(report_of):
    looks = [
        TargetSecond(t_s=t_s, connections=10, cpu_s=t_s, cpu_share=share, rss_bytes=50 * 2**20,
                     open_files=20, lag_ms=lag_ms)
        for t_s, share, lag_ms in [(1.0, None, 1.5), (2.0, 0.43, 2.5)]
    ]  # fmt: skip
    target = TargetReport(source="http://x/", errors=1, last_error="Connection refused",
                          cpu_share=0.43, rss_bytes=50 * 2**20, loop_lag=TargetLag(max=2.5),
                          series=looks)  # fmt: skip
    text = " ".join(written(msgspec.structs.replace(report_of(), target=target)).split())
    assert (
        "target 43% of one core under load, 50 MiB at most, event loop late by 2.5 ms at most"
        in text
    )
    assert "no answer 1 × (Connection refused)" in text


def test_enough_messages_make_a_picture(report_of):
    histogram = Histogram()
    for value_us in range(1000, 20_000, 100):
        histogram.record(value_us)
    text = written(report_of(intended=histogram))
    assert "intended latency, in ms, by how many messages had it" in text
    assert "█" in text
    (scale,) = [line for line in text.splitlines() if line.split()[:2] == ["1", "2"]]
    assert scale.split() == ["1", "2", "5", "10"]


def test_a_terminal_gets_no_colour_where_the_environment_says_so(report_of, terminal, monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    report_text.write(report_of(), terminal)
    assert not re.search(r"\x1b\[[0-9;]*(3[0-7]|4[0-7])m", terminal.getvalue())


def test_sockets_that_misbehaved_on_purpose_are_shown_apart(report_of):
    apart = {
        Kind.HALF_OPEN: Ledger(
            10,
            opened=8,
            failed=Counter({Failure.REFUSED: 2}),
            closed=Counter({Ending.BY_PEER: 8}),
        )
    }
    text = written(report_of(apart=apart))
    assert "on purpose  half-open: 10 = 8 opened + 2 refused; closed = 8 by peer" in text
    assert text.count("half-open") == 1


def test_latencies_that_nothing_had_are_not_zero(report_of):
    text = written(report_of(intended=Histogram(), service=Histogram()))
    for name in ("intended", "service"):
        (line,) = re.findall(rf"^  {name} +(.*)$", text, re.MULTILINE)
        assert line.split() == ["–"] * 6


@pytest.mark.parametrize(
    ("count", "p99", "p999", "is_explained"),
    [(999, "~1.00", "~1.00", True), (1000, "1.00", "~1.00", True), (10_000, "1.00", "1.00", False)],
)
def test_a_percentile_of_too_few_values_is_marked(report_of, count, p99, p999, is_explained):
    """Ten values beyond it: a thousand for p99, ten thousand for p99.9."""
    latency = Histogram()
    latency.record(1000, count)
    text = written(report_of(intended=latency, service=latency, scheduling_lag=latency))
    line = next(line for line in text.splitlines() if line.strip().startswith("intended "))
    assert line.split()[4:6] == [p99, p999]
    assert ("~ not known well" in text) == is_explained


#: The columns that may be parts of a sum, the longest names first.
COLUMNS = sorted(
    (str(name).replace("_", " ") for name in (
        "opened", *Failure, "not_attempted", *Ending, *Verdict, "lost", "in_flight", "one_way",
        "published", "delivered", "missing", "unsettled",
    )),
    key=len, reverse=True,
)  # fmt: skip
PART = rf"[\d,]+ (?:{'|'.join(COLUMNS)})"
SUM = re.compile(rf"([\d,]+) (requested|opened|sent|received|owed) = ({PART}(?: \+ {PART})*)")
COUNTS = st.lists(st.integers(0, 5_000), min_size=40, max_size=40)


@PURE
@given(counts=COUNTS)
def test_each_sum_on_the_page_is_the_sum_of_its_parts_and_of_the_report(report_of, counts):
    """Read the page as a person does: what stands right of an equals sign adds up to the left."""
    left = iter(counts)
    failed = {reason: next(left) for reason in Failure}
    closed = {ending: next(left) for ending in Ending}
    verdicts = {verdict: next(left) for verdict in Verdict}
    lost, in_flight, one_way, published, not_attempted, missed = (next(left) for _ in range(6))
    copies = {name: next(left) for name in ("delivered", "missing", "unsettled")}
    opened, each = sum(closed.values()), histogram_of(5000)
    ledger = Ledger(
        opened + sum(failed.values()) + not_attempted + 1, opened=opened, peak_open=opened,
        not_attempted=not_attempted + 1, tcp=opened, failed=Counter(failed),
        closed=Counter(closed), close_codes=Counter({1000: opened}), lost=lost,
        other_faults=Counter({Fault.MACHINE: failed[Failure.OTHER]}), in_flight=in_flight,
        sent=sum(verdicts[each] for each in ANSWERING) + lost + in_flight + one_way + published,
        received=sum(verdicts.values()), verdicts=Counter(verdicts), one_way=one_way,
        published=published, missed=missed, owed=sum(copies.values()), **copies,
    )  # fmt: skip
    report = report_of(ledger, fan_out=FanOut(first=each, last=each, each=each))
    stream = io.StringIO()
    report_text.write(report, stream)
    page = " ".join(stream.getvalue().split())
    told = {}
    for total, name, parts in SUM.findall(page):
        numbers = re.findall(r"[\d,]+", parts)
        assert sum(map(number_of, numbers)) == number_of(total), (name, parts)
        told[name] = number_of(total)
    facts = {
        "requested": ledger.requested, "opened": opened, "sent": ledger.sent,
        "received": ledger.received, "owed": ledger.owed,
    }  # fmt: skip
    assert told == {name: count for name, count in facts.items() if count}
    assert (f"{missed:,} more were due and missed" in page) == bool(missed)


def number_of(text):
    return int(text.replace(",", ""))


@pytest.mark.parametrize(
    ("size_bytes", "shown"),
    [(0, "0 B"), (1023, "1,023 B"), (1024, "1 KiB"), (2**20 - 1024, "1,023 KiB"), (2**20, "1 MiB"),
     (2**30, "1.0 GiB"), (5 * 2**40, "5,120.0 GiB")],
)  # fmt: skip
def test_a_size_is_in_the_largest_unit_of_which_there_is_one(size_bytes, shown):
    assert report_text._size(size_bytes) == shown


@pytest.mark.parametrize("key", ["p50", "p90", "p95", "p99", "p999"])
def test_a_percentile_is_known_well_from_just_as_many_values_as_it_takes(key):
    """Ten of so many values lie beyond it; of one fewer, not quite."""
    share = {"p50": 2, "p90": 10, "p95": 20, "p99": 100, "p999": 1000}[key]
    for count, is_unsure in ((1, True), (10 * share - 1, True), (10 * share, False)):
        summary = Summary(count=count, **{key: 1.5})
        assert report_text._percentile(summary, key) == ("~" * is_unsure) + "1.50"
    assert report_text._percentile(Summary(count=0), key) == "–"


@pytest.mark.parametrize(("p50", "p999", "bar"), [(2.0, 8.0, "▪▪▫▫▫▫▫▫"), (8.0, 8.0, "▪" * 8),
                                                  (0.0, 0.4, ""), (None, None, "")])  # fmt: skip
def test_a_bar_is_as_long_as_its_tail_and_its_first_part_as_the_median(p50, p999, bar):
    assert report_text._bar(Summary(count=9, p50=p50, p999=p999), 8.0, 8).plain == bar


def test_a_headline_says_who_goes_where_and_through_what(report_of):
    report = report_of()
    through = msgspec.structs.replace(report, plan=report.plan | {"proxy": "http://p:3128"})
    assert "10 sockets to ws://127.0.0.1:8765/ through http://p:3128" in written(through)
    books = ScenarioBooks.of_users(1000)
    users = msgspec.structs.replace(
        report_of(scenario=books), plan=report.plan | {"scenario": "talk.py"}
    )
    assert "1,000 users of talk.py to ws://127.0.0.1:8765/" in written(users)
    assert "users      1,000 requested" in written(users)
    assert "the script woken late by" in written(users)
    assert "the script woken late by" not in written(report)


def test_addresses_reasons_and_processes_are_told_where_there_is_more_than_one(report_of):
    ledger = Ledger(
        10, opened=10, closed=Counter({Ending.BY_PEER: 10}), close_codes=Counter({1001: 10}),
        close_reasons=Counter({(1001, "bye"): 1000, (1001, "go"): 2}),
        addresses=Counter({"127.0.0.1": 1006, "::1": 4}),
    )  # fmt: skip
    text = written(report_of(ledger))
    assert 'the peer said 1,000 × "bye", 2 × "go"' in text
    assert "addresses 1,006 × 127.0.0.1, 4 × ::1" in text
    facts = report_of().generator
    one, four = (
        msgspec.structs.replace(
            report_of(), generator=msgspec.structs.replace(facts, processes=processes)
        )
        for processes in (1, 4)
    )
    assert "13% of one core, 48 MiB" in written(one)
    assert "13% of one core in 4 processes, 48 MiB" in written(four)
    alone = Ledger(10, opened=10, addresses=Counter({"127.0.0.1": 10}))
    assert "addresses" not in written(report_of(alone))


@pytest.mark.parametrize(("verdict", "style"), [("valid", "30;42"), ("failed", "37;41"),
                                                ("generator-limited", "30;43")])  # fmt: skip
def test_a_verdict_has_its_colour(report_of, terminal, verdict, style):
    report_text.write(msgspec.structs.replace(report_of(), verdict=verdict), terminal)
    assert f"\x1b[1;{style}m {verdict.upper()} " in terminal.getvalue()


def test_sockets_that_a_killed_generator_had_open_are_unaccounted_for(report_of):
    ledger = Ledger(10, opened=10, closed=Counter({Ending.CLEAN: 4}))
    incomplete = Incomplete(phase="load", t_s=3.0, opening=0, open=6)
    report = msgspec.structs.replace(report_of(ledger), incomplete=incomplete)
    assert "10 opened = 4 clean + 6 unaccounted for" in written(report)


@pytest.mark.parametrize(
    ("columns", "bar"), [(40, 0), (70, 9), (80, 19), (84, 23), (86, 24), (120, 24)]
)
def test_a_bar_has_what_room_there_is_and_24_columns_at_most_and_a_legend_if_it_fits(
    report_of, terminal, monkeypatch, columns, bar
):
    monkeypatch.setenv("COLUMNS", str(columns))
    report_text.write(report_of(), terminal, color=False)
    plain = re.sub(r"\x1b\[[0-9;]*m", "", terminal.getvalue())
    drawn = [len(found) for found in re.findall("▪+▫*(?= *\n)", plain) if len(found) > 1]
    assert max(drawn, default=0) == bar
    assert ("p99.9 ▫" in plain) == (bar >= 13)


@pytest.mark.parametrize(("columns", "width"), [(40, 38), (61, 59), (62, 60), (63, 60), (120, 60)])
def test_a_picture_is_as_wide_as_the_page_and_60_columns_at_most(
    report_of, terminal, monkeypatch, columns, width
):
    monkeypatch.setenv("COLUMNS", str(columns))
    histogram = Histogram()
    for value_us in (1000, 1_000_000):
        histogram.record(value_us, 20)
    report_text.write(report_of(intended=histogram), terminal, color=False)
    plain = re.sub(r"\x1b\[[0-9;]*m", "", terminal.getvalue())
    (bottom, *_) = re.findall(r"█ {9,}█", plain)
    assert len(bottom) == width


def test_what_has_several_lines_has_its_name_once(report_of):
    apart = {Kind.HALF_OPEN: Ledger(10, opened=8), Kind.NO_PONG: Ledger(1000, not_attempted=1000)}
    changes = [
        Change(t_s=at, load_s=at, what="rate", unit="rate", old=50.0, new=55.0) for at in (2.0, 3.0)
    ]
    report = msgspec.structs.replace(report_of(apart=apart), changes=changes)
    text = written(report)
    assert (text.count("on purpose"), text.count("by hand ")) == (1, 1)
    assert "on purpose  half-open: 10 = 8 opened; closed: none" in text
    assert "  no-pong: 1,000 = 1,000 not attempted; closed: none" in text
    assert "at 3.0 s raised" in text


@pytest.mark.parametrize("measured", ["scheduling_lag", "service", "intended"])
def test_latencies_are_shown_as_soon_as_anything_was_sent_or_answered(report_of, measured):
    nothing = dict.fromkeys(("scheduling_lag", "service", "intended"), Histogram())
    one = Histogram()
    one.record(1500)
    assert ("latency in ms" in written(report_of(**nothing | {measured: one}))) is (
        measured != "intended"
    )
    assert "latency in ms" not in written(report_of(**nothing))
