"""The page of a history draws each figure where it belongs, and obeys nobody's text."""

import re
from datetime import UTC, datetime, timedelta
from xml.etree import ElementTree as ET

import pytest

from loadgen.history import html
from loadgen.history.trends import ChangePoint, Line, ListedRun, Trend

SVG = re.compile(r"<svg.*?</svg>", re.DOTALL)


@pytest.fixture
def made(monkeypatch):
    """Makes a line of runs with one figure, without the classes' other fields."""

    def make(values, changes=(), name="nightly"):
        runs = [
            new(ListedRun, id=7 + at, started_at=datetime(2026, 1, 1, tzinfo=UTC) + timedelta(at))
            for at in range(len(values))
        ]
        points = [
            new(ChangePoint, run=7 + at, call=call, before=before, after=after)
            for at, call, before, after in changes
        ]
        trend = new(Trend, name="latency.p99", unit="ms", values=values, changes=points)
        return new(Line, name=name, runs=runs, trends=[trend], different=["count"])

    def new(kind, **fields):
        return type(kind.__name__, (), fields)()

    monkeypatch.setattr(html, "explain", lambda line: ["a note"])
    monkeypatch.setattr(html, "explain_change", lambda trend, change: f"changed to {change.after}")
    monkeypatch.setattr(html, "count_runs", lambda line: f"{len(line.runs)} runs")
    return make


def draw(line):
    """The page, and its picture's parts by their classes."""
    page = html.render([line]).decode()
    (svg,) = map(ET.fromstring, SVG.findall(page))
    paths = {}
    for path in svg.iter("path"):
        paths.setdefault(path.get("class"), []).append(path.get("d"))
    return page, svg, paths


def test_each_run_is_a_point_at_its_place_between_nothing_and_the_highest(made):
    page, svg, paths = draw(made([0.0, 10.0, None, 5.0]))
    # From 8 to 712 in three steps; from 140 at the bottom to 12 at the top.
    points = [(float(c.get("cx")), float(c.get("cy"))) for c in svg.iter("circle")]
    assert points == [(8.0, 140.0), (242.7, 12.0), (712.0, 76.0)]
    assert paths["figure"] == ["M8.0 140.0L242.7 12.0L712.0 76.0"]
    assert paths["rule"] == ["M8 140.0H712", "M8 12.0H712"]
    titles = [title.text for title in svg.iter("title")]
    assert titles[0].startswith("run 7, 2026-01-01 00:00: ")
    assert titles[2].startswith("run 10, 2026-01-04 00:00: ")
    days = [(t.get("x"), t.get("text-anchor"), t.text) for t in svg.iter("text")][2:]
    assert days == [("8.0", "start", "2026-01-01"), ("712.0", "end", "2026-01-04")]
    assert [text.get("y") for text in svg.iter("text")] == ["137.0", "9.0", "156", "156"]
    assert "4 runs, 2026-01-01 to 2026-01-04" in page
    assert "with another plan: count" in page
    assert "a note" in page


def test_a_change_stands_between_two_runs_and_its_levels_reach_from_one_to_the_next(made):
    changes = [(2, "worse", 2.0, 6.0), (4, "better", 6.0, 3.0)]
    page, _, paths = draw(made([2.0, 2.0, 6.0, 6.0, 3.0], changes))
    # A step is 176 wide; a change is half a step before its run.
    assert paths["change worse"] == ["M272.0 12V140"]
    assert paths["change better"] == ["M624.0 12V140"]
    assert paths["level"] == [
        "M8.0 97.3H272.0", "M272.0 12.0H624.0", "M272.0 12.0H624.0", "M624.0 76.0H712.0",
    ]  # fmt: skip
    assert '<p class="worse">changed to 6.0</p>' in page
    assert '<p class="better">changed to 3.0</p>' in page


@pytest.mark.parametrize("values", [[3.0], [0.0, 0.0]])
def test_one_run_and_nothing_at_all_have_a_picture_too(made, values):
    _, svg, _ = draw(made(values))
    assert len(list(svg.iter("circle"))) == len(values)
    assert len(list(svg.iter("text"))) == 2 + len(values)


def test_a_figure_that_no_run_has_is_not_drawn(made):
    assert not SVG.search(html.render([made([None, None])]).decode())


def test_no_name_is_taken_for_more_than_a_text(made):
    page = html.render([made([1.0], name='<script>alert("x")</script>\x1b')]).decode()
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert "\x1b" not in page
    assert page.startswith("<!doctype html>\n")
    assert page.endswith("</body></html>\n")
