import json
import re
from collections import Counter

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from loadgen.report import json as report_json
from loadgen.report import thresholds
from loadgen.report.metrics import METRICS, MetricKind, names
from loadgen.report.model import TargetLag, TargetReport
from loadgen.report.thresholds import BadThreshold, explain, find_unasked, judge, parse
from loadgen.results.latency import Histogram
from loadgen.results.ledger import Ending, Failure, Ledger
from loadgen.results.result import Strain
from loadgen.results.verify import Verdict
from loadgen.workload.plan import Plan


@pytest.fixture
def report(report_of):
    """700 sockets asked for, 693 opened; 1,000 messages, 3 of them lost."""
    ledger = Ledger(
        700,
        opened=693,
        failed=Counter({Failure.REFUSED: 3, Failure.REJECTED: 4}),
        failed_status=Counter({503: 4}),
        closed=Counter({Ending.CLEAN: 690, Ending.BY_PEER: 3}),
        close_codes=Counter({1000: 690, 1011: 3}),
        sent=1000,
        received=1001,
        verdicts=Counter({Verdict.ECHOED: 997, Verdict.DUPLICATE: 4}),
        lost=3,
    )
    target = TargetReport(
        source="http://x/",
        errors=1,
        last_error="Connection refused",
        cpu_share=0.93,
        rss_bytes=64 * 2**20,
        connections=693,
        loop_lag=TargetLag(p99=12.5, max=80),
        series=[],
    )
    return msgspec.structs.replace(report_of(ledger, all_open_after_s=None), target=target)


@pytest.mark.parametrize(
    ("expr", "value", "breached"),
    [
        pytest.param("latency.p99>3.4ms", 3.5, True, id="latency-is-intended"),
        pytest.param("latency.intended.p99>3.5ms", 3.5, False, id="intended"),
        pytest.param("latency.service.p99 >= 700us", 0.7, True, id="service-in-us"),
        pytest.param("latency.scheduling_lag.max<1s", 2.8, True, id="in-seconds"),
        pytest.param("connections.connect_ms.p50>0.01m", 0.9, False, id="in-minutes"),
        pytest.param("generator.loop_lag.max>=200us", 0.2, True, id="lag"),
        pytest.param("messages.lost>0", 3, True, id="count"),
        pytest.param("messages.sent>1k", 1000, False, id="count-in-thousands"),
        pytest.param("messages.lost>=0.3%", 0.3, True, id="share-of-sent"),
        pytest.param("messages.duplicate > 0.4 %", 400 / 1001, False, id="share-of-received"),
        pytest.param("connections.failed>=1%", 1.0, True, id="share-of-requested"),
        pytest.param("connections.failed>1%", 1.0, False, id="no-more-than-that"),
        pytest.param("connections.failed.refused==3", 3, True, id="one-reason"),
        pytest.param("connections.failed_status.503!=0", 4, True, id="status"),
        pytest.param("connections.failed_status.404>0", 0, False, id="status-never-seen"),
        pytest.param("connections.close_codes.1011>0", 3, True, id="close-code"),
        pytest.param("connections.closed.by_peer>0.4%", 300 / 693, True, id="share-of-opened"),
        pytest.param("connections.all_open_after_s>5s", None, True, id="never-is-breached"),
        pytest.param("connections.all_open_after_s<5s", None, True, id="never-is-not-below"),
        pytest.param("messages.sent_per_s<6k/m", 100.0, False, id="rate-in-thousands-a-minute"),
        pytest.param("messages.sent_per_s<101/s", 100.0, True, id="rate"),
        pytest.param("messages.sent_per_s<6000/m", 100.0, False, id="rate-a-minute"),
        pytest.param("messages.sent_per_s<101", 100.0, True, id="rate-by-its-name"),
        pytest.param("messages.sent_bytes<1KiB", 0, True, id="size"),
        pytest.param("generator.cpu_share>12%", 13.0, True, id="cpu"),
        pytest.param("generator.cpu_share>0.5", 0.13, False, id="cpu-as-a-fraction"),
        pytest.param("generator.cpu_s>1s", 1.5, True, id="cpu-time"),
        pytest.param("target.cpu_share > 0.9", 0.93, True, id="target-cpu"),
        pytest.param("target.cpu_share>95%", 93.0, False, id="target-cpu-in-percent"),
        pytest.param("target.loop_lag.p99 > 50ms", 12.5, False, id="target-lag"),
        pytest.param("target.loop_lag.max>50ms", 80, True, id="target-lag-at-most"),
        pytest.param("target.rss_bytes>32MiB", 64 * 2**20, True, id="target-memory"),
        pytest.param("target.connections<1k", 693, True, id="target-connections"),
        pytest.param("target.errors>0", 1, True, id="target-errors"),
        pytest.param("target.open_files>5", None, True, id="target-said-nothing"),
        pytest.param("target.open_files<5", None, True, id="target-said-nothing-below"),
    ],
)  # fmt: skip
def test_a_threshold_is_held_against_the_report(report, expr, value, breached):
    judged = parse(expr).judge(report)
    assert judged.expr == expr
    assert judged.value == (None if value is None else pytest.approx(value))
    assert judged.breached is breached


@pytest.mark.parametrize(
    ("expr", "at", "problem"),
    [
        pytest.param("", 0, "a metric is due here", id="nothing"),
        pytest.param("  >5", 2, "a metric is due here", id="no-metric"),
        pytest.param("latency.p9>5ms", 8, "did you mean latency.p99?", id="leaf"),
        pytest.param("latency.servise.p99>5ms", 8, "latency.service.p99?", id="middle"),
        pytest.param("mesages.lost>5", 0, "did you mean messages.lost?", id="part"),
        pytest.param("latency>5ms", 7, "no metric latency", id="a-part-is-no-metric"),
        pytest.param("zzz>1", 0, "there is, say, latency.p99", id="nothing-like-it"),
        pytest.param("connections.close_codes.late>1", 24, "no metric", id="no-code"),
        pytest.param("latency.p99", 11, "one of >= <= == != > < is due here", id="no-operator"),
        pytest.param("messages.lost=0", 13, "equality is ==", id="one-equals-sign"),
        pytest.param("messages.lost => 0", 14, "equality is ==", id="arrow"),
        pytest.param("messages.lost > ", 16, "a number is due here", id="no-number"),
        pytest.param("messages.lost > -1", 16, "a number is due here", id="negative"),
        pytest.param("latency.p99>50", 14, "needs its unit: write it like", id="time-without-unit"),
        pytest.param("latency.p99>50 %", 15, "no whole to be a share of", id="no-share"),
        pytest.param("latency.p99>50sec", 14, "'sec' is no unit of latency", id="unknown-unit"),
        pytest.param("messages.lost>5ms", 15, "'ms' is no unit of messages.lost", id="wrong-unit"),
        pytest.param("messages.lost>0 or x", 16, "'or x' is no unit", id="more"),
        pytest.param("target.cpu>90%", 7, "did you mean target.cpu_share?", id="target-leaf"),
        pytest.param("target.series>1", 7, "no metric target.series", id="target-no-number"),
        pytest.param("target.loop_lag.p99>50", 22, "needs its unit", id="target-lag-no-unit"),
        pytest.param("target.cpu_share>90ms", 19, "is no unit of target.cpu", id="target-unit"),
        pytest.param("target.connections>1%", 20, "no whole", id="target-no-share"),
        pytest.param("messages.lost>" + "9" * 400, 14, "more digits", id="astronomical"),
    ],
)
def test_what_is_no_threshold_is_pointed_at(expr, at, problem):
    with pytest.raises(BadThreshold) as caught:
        parse(expr)
    assert caught.value.at == at
    assert problem in caught.value.problem


@pytest.mark.parametrize(
    ("op", "below", "at", "above"),
    [
        (">", 0, 0, 1),
        (">=", 0, 1, 1),
        ("<", 1, 0, 0),
        ("<=", 1, 1, 0),
        ("==", 0, 1, 0),
        ("!=", 1, 0, 1),
    ],
)  # fmt: skip
@pytest.mark.parametrize(("unit", "scale"), [("", 1), ("%", 0.1)], ids=["count", "share"])
def test_each_operator_holds_where_it_should_and_at_the_limit(
    report, op, below, at, above, unit, scale
):
    """3 messages of 1,000 were lost; the limits are above, at and below that."""
    held = [
        parse(f"messages.lost {op} {limit * scale:g}{unit}").judge(report).breached
        for limit in (4, 3, 2)
    ]
    assert held == [bool(below), bool(at), bool(above)]


@pytest.mark.parametrize(
    ("metric", "limits"),
    [
        ("messages.lost", {"": 2, "k": 2_000, "m": 2_000_000}),
        ("latency.p50", {"us": 0.002, "µs": 0.002, "\u03bcs": 0.002, "ms": 2, "s": 2_000,
                         "m": 120_000, "h": 7_200_000}),
        ("generator.cpu_s", {"ms": 0.002, "s": 2, "m": 120}),
        ("messages.sent_bytes", {"": 2, "B": 2, "KiB": 2048, "MiB": 2**21, "GiB": 2**31}),
        ("messages.sent_per_s", {"": 2, "/s": 2, "/m": 2 / 60, "/h": 2 / 3600, "k/s": 2_000,
                                 "m/h": 2_000_000 / 3600}),
        ("generator.cpu_share", {"": 2}),
    ],
)  # fmt: skip
def test_a_limit_is_in_the_reports_own_unit(metric, limits):
    found = {unit: parse(f"{metric} > 2{unit}") for unit in limits}
    assert {unit: threshold.limit for unit, threshold in found.items()} == limits
    assert not any(threshold.percent for threshold in found.values())
    if "k" in limits or metric.endswith("share"):
        assert (parse(f"{metric}>2%").limit, parse(f"{metric}>2%").percent) == (2, True)


@pytest.mark.parametrize(
    ("unit", "ms"),
    [("us", 0.001), ("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000)],
)
def test_times_are_of_their_unit(report, unit, ms):
    for metric, in_ms in (("latency.p50", 1), ("generator.cpu_s", 1000)):
        threshold = parse(f"{metric}>2{unit}")
        assert threshold.limit == pytest.approx(2 * ms / in_ms)


@pytest.mark.parametrize(
    ("unit", "per_s"),
    [("/s", 1), ("/m", 1 / 60), ("/h", 1 / 3600), ("k/s", 1000), ("m/h", 1e6 / 3600)],
)
def test_rates_are_of_their_unit(unit, per_s):
    assert parse(f"messages.sent_per_s<3{unit}").limit == pytest.approx(3 * per_s)


@pytest.mark.parametrize(
    ("unit", "size"), [("", 1), ("B", 1), ("KiB", 2**10), ("MiB", 2**20), ("GiB", 2**30)]
)
def test_sizes_are_of_their_unit(unit, size):
    assert parse(f"generator.peak_rss_bytes>3{unit}").limit == 3 * size


#: Of what a count is a share.
WHOLES = {
    "connections.failed": "connections.requested",
    "connections.failed.dns": "connections.requested",
    "connections.failed_status.503": "connections.requested",
    "connections.faults.target": "connections.requested",
    "connections.funnel.tcp": "connections.requested",
    "connections.opened": "connections.requested",
    "connections.closed": "connections.opened",
    "connections.closed.clean": "connections.opened",
    "connections.close_codes": "connections.opened",
    "connections.close_codes.1000": "connections.opened",
    "messages.lost": "messages.sent",
    "messages.echoed": "messages.sent",
    "messages.missed": "messages.sent",
    "messages.duplicate": "messages.received",
    "messages.unexpected": "messages.received",
}


@pytest.mark.parametrize("name", WHOLES)
def test_each_count_is_a_share_of_its_own_whole(name):
    assert ".".join(parse(f"{name}>1%").metric.whole) == WHOLES[name]


def test_of_a_share_of_whole_numbers_nothing_is_lost_to_rounding(report_of):
    for part, whole in ((7, 700), (3, 300), (1, 3), (29, 100), (57, 100)):
        ledger = Ledger(1, sent=whole, lost=part)
        percent = f"{part * 100 / whole:.9f}"
        judged = parse(f"messages.lost>{percent}%").judge(report_of(ledger))
        assert not judged.breached or part * 100 % whole
        assert parse(f"messages.lost>={percent}%").judge(report_of(ledger)).value == pytest.approx(
            part * 100 / whole
        )


def test_a_share_that_is_exactly_its_limit_reaches_it_and_is_not_above_it(report):
    for percent in range(1, 101):  # 0.29 × 100 is 28.999999999999996.
        target = msgspec.structs.replace(report.target, cpu_share=percent / 100)
        at_limit = msgspec.structs.replace(report, target=target)
        for op, breached in ((">=", True), (">", False), ("<", False), ("==", True)):
            judged = parse(f"target.cpu_share{op}{percent}%").judge(at_limit)
            assert (judged.value, judged.breached) == (percent, breached)


def test_of_nothing_there_is_no_share_that_a_limit_could_be_below(report_of):
    judged = parse("messages.lost<1%").judge(report_of(Ledger(1)))
    assert not judged.value


def test_of_a_target_that_nobody_asked_every_condition_holds(report_of):
    for op in ("<", ">", "=="):
        judged = parse(f"target.cpu_share {op} 1").judge(report_of())
        assert (judged.value, judged.breached) == (None, True)


def test_every_number_of_the_report_is_a_metric(report):
    document = json.loads(report_json.encode(report))

    def numbers(place, path=()):
        for key, value in place.items():
            if isinstance(value, dict):
                yield from numbers(value, (*path, key))
            elif not isinstance(value, str | list):
                yield ".".join((*path, key))

    for part in ("connections", "messages", "latency", "generator", "target"):
        for name in numbers(document[part], (part,)):
            unit = "ms" if name in METRICS and METRICS[name].kind is MetricKind.TIME else ""
            assert parse(f"{name}>0{unit}").judge(report).expr


def test_thresholds_are_explained_with_their_unit(report):
    judged = thresholds.judge(
        report,
        [parse("latency.p99>1ms"), parse("messages.lost>0.1%"), parse("generator.cpu_s>1s"),
         parse("connections.all_open_after_s>5s"), parse("messages.sent_per_s<1m/s"),
         parse("target.loop_lag.max<1s"), parse("target.open_files>5")],
    )  # fmt: skip
    assert [explain(one) for one in judged] == [
        "latency.p99>1ms: 3.5 ms",
        "messages.lost>0.1%: 0.3 %",
        "generator.cpu_s>1s: 1.5 s",
        "connections.all_open_after_s>5s: never: the sockets were not all open together",
        "messages.sent_per_s<1m/s: 100/s",
        "target.loop_lag.max<1s: 80 ms",
        "target.open_files>5: unknown: the target did not say",
    ]


# -- Properties ------------------------------------------------------------------------------------
# The grammar of --fail-if, fed what nobody would write.


UNITS = {
    MetricKind.COUNT: "",
    MetricKind.TIME: "ms",
    MetricKind.SIZE: "KiB",
    MetricKind.RATE: "/s",
    MetricKind.SHARE: "%",
}
metrics = st.sampled_from(sorted(METRICS.values(), key=lambda metric: metric.name))
operators = st.sampled_from([">", ">=", "<", "<=", "==", "!="])
numbers = st.decimals(0, 10**9, places=3).map(lambda number: f"{number:f}")
space = st.text(" \t", max_size=3)


@st.composite
def well_formed(draw):
    metric = draw(metrics)
    parts = (metric.name, draw(operators), draw(numbers), UNITS[metric.kind])
    return metric, "".join(draw(space) + part for part in parts)


@settings(max_examples=100, deadline=None)
@given(well_formed())
def test_whatever_is_well_formed_is_a_threshold(made):
    metric, expr = made
    assert parse(expr).metric == metric


def problem_of(expr):
    """What is wrong with it; ``None`` if nothing is."""
    try:
        parse(expr)
    except BadThreshold as exc:
        return exc
    return None


@settings(max_examples=100, deadline=None)
@given(st.text())
@example("latency.p99>٣ms")
@example("latency.p99\x00>3ms")
@example("connections.close_codes.²>1")
@example("connections.close_codes.>1")
def test_whatever_is_not_is_pointed_at_and_never_a_traceback(text):
    problem = problem_of(text)
    assert problem is None or (0 <= problem.at <= len(text) and problem.problem)


@settings(max_examples=100, deadline=None)
@given(well_formed(), st.data())
def test_a_character_too_many_is_pointed_at_or_the_word_that_it_spoils(made, data):
    _, expr = made
    at = data.draw(st.integers(0, len(expr)))
    problem = problem_of(expr[:at] + "§" + expr[at:])
    assert problem is not None
    assert problem.at <= at
    assert re.fullmatch(r"\w*|[\d.]*|\S*[ \t]*", expr[problem.at : at].rstrip(" \t"))


@pytest.mark.parametrize(
    "expr",
    [
        pytest.param("latency.p99>50ms", id="latency-above"),
        pytest.param("latency.mean<1ms", id="latency-below"),
        pytest.param("latency.service.max==0us", id="latency-equal"),
        pytest.param("messages.lost>=1%", id="share-of-nothing"),
        pytest.param("messages.unexpected<50%", id="share-of-nothing-received"),
        pytest.param("connections.connect_ms.p50>1s", id="connecting"),
        pytest.param("generator.loop_lag.max>1s", id="loop-lag"),
        pytest.param("generator.load_cpu_share>95%", id="share-of-no-load-phase"),
        pytest.param("messages.sent_per_s<1/s", id="rate-over-no-load-phase"),
    ],
)
def test_what_nothing_measured_breaches_every_limit_and_is_said_to_be_unknown(report_of, expr):
    idle = report_of(
        Ledger(2, not_attempted=2),
        load_s=0.0,
        load_strain=Strain(),
        **dict.fromkeys(
            ("connect", "intended", "service", "scheduling_lag", "loop_lag"), Histogram()
        ),
    )
    (judged,) = judge(idle, [parse(expr)])
    assert (judged.value, judged.breached) == (None, True)
    assert explain(judged) == f"{expr}: nothing was measured"


RULES = ("suffix", "exact", "turn", "fan-out", "off")


@pytest.mark.parametrize(
    ("expr", "needs"),
    [
        ("fan_out.last.p99>5ms", {"fan-out", "scenario"}),
        ("checks.failed>0", {"scenario"}),
        ("latency.p99>5ms", {"suffix", "exact", "turn", "scenario"}),
        ("messages.lost>0", {*RULES, "scenario"}),
    ],
)
def test_a_threshold_is_refused_where_no_run_of_the_plan_measures_it(expr, needs):
    for rule in RULES:
        plan = Plan(2, verify=rule)
        assert (find_unasked([parse(expr)], plan) is None) is (rule in needs), rule
    assert (find_unasked([parse(expr)], Plan(2, scenario="talk.py")) is None) is (
        "scenario" in needs
    )


def test_a_limit_may_have_twenty_digits_and_no_more():
    assert parse(f"messages.lost>{'9' * 20}").limit == float("9" * 20)
    problem = problem_of(f"messages.lost>{'9' * 21}")
    assert (problem.at, "more digits" in problem.problem) == (14, True)


@pytest.mark.parametrize(
    ("expr", "example"),
    [
        ("messages.lost>x", "write it like 10, 5k or 1%"),
        ("target.connections>x", "write it like 10, 5k or 1m"),
        ("latency.p99>x", "500us, 50ms, 2s or 1m"), ("target.rss_bytes>x", "512, 64KiB or 1GiB"),
        ("messages.sent_per_s>x", "900/s, 5k/s or 30/m"), ("target.cpu_share>x", "80% or 0.8"),
    ],
)  # fmt: skip
def test_what_is_due_is_shown_by_an_example_of_its_kind(expr, example):
    assert problem_of(expr).problem.endswith(example)


def test_a_wrong_name_is_answered_with_three_of_its_part_or_of_any():
    assert problem_of("zzz.a.b>1").problem.endswith(
        "there is, say, latency.p99, messages.lost, connections.failed"
    )
    beside = problem_of("users.zzzzzzzzzzzzzzzzzzzzzz>1").problem.partition("there is, say, ")[2]
    assert beside.split(", ") == [name for name in names() if name.startswith("users.")][:3]


@pytest.mark.parametrize(
    ("expr", "is_asked"), [("target.cpu_share>1", True), ("messages.lost>0", False)]
)
def test_what_the_target_says_needs_somebody_who_asks_it(expr, is_asked):
    unasked = find_unasked([parse("messages.sent>0"), parse(expr)], Plan(1))
    assert (unasked is not None) == is_asked
    assert find_unasked([parse(expr)], Plan(1), is_target_asked=True) is None
    if unasked:
        assert unasked == f"{expr} needs --console, which asks the target"


def test_of_copies_it_is_their_own_latency_that_is_held_against_a_limit():
    for rule, more in (("fan-out", ": hold fan_out.last.p99 against a limit"), ("off", "")):
        assert find_unasked([parse("latency.service.p50>1s")], Plan(1, verify=rule)) == (
            f"latency.service.p50>1s: with --verify {rule} no reply is matched, so there is no "
            f"such latency{more}"
        )
