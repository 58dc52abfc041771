"""The grammar of --fail-if, fed what nobody would write."""

import re

from hypothesis import example, given, settings
from hypothesis import strategies as st

from loadgen.report.thresholds import METRICS, BadThreshold, Kind, parse

UNITS = {Kind.COUNT: "", Kind.TIME: "ms", Kind.SIZE: "KiB", Kind.RATE: "/s", Kind.SHARE: "%"}
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
