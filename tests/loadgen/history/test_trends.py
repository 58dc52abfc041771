import io
import random
import re
from datetime import timedelta

import msgspec
import pytest

from loadgen.history import html, text, trends
from loadgen.history.file import StoredReport, StoredRun
from loadgen.studies.compare import NEGLIGIBLE
from loadgen.workload.lever import Change


@pytest.fixture
def run_of(report_of):
    """A run of a history, so many days after the first, with this 99th percentile."""
    whole = msgspec.to_builtins(report_of())
    started = report_of().started_at

    def make(day, p99, *, name="nightly", verdict="valid", **plan):
        latency = whole["latency"] | {"intended": whole["latency"]["intended"] | {"p99": p99}}
        changed = whole | {"latency": latency, "plan": whole["plan"] | plan}
        report = msgspec.convert(changed, StoredReport)
        return StoredRun(day + 1, started + timedelta(days=day), verdict, name, report)

    return make


def levels(*sizes_and_means):
    chance = random.Random(7)
    return [chance.gauss(mean, mean / 50) for size, mean in sizes_and_means for _ in range(size)]


def p99_of(line):
    return next(trend for trend in line.trends if trend.name == "latency p99")


def test_a_figure_that_changed_is_told_since_when_and_how_sure_that_is(run_of):
    (line,) = trends.line_up(run_of(*each) for each in enumerate(levels((8, 10.0), (7, 15.0))))
    (change,) = p99_of(line).changes
    assert (change.run, change.call) == (9, "worse")
    assert change.started_at == line.runs[8].started_at
    assert change.change == pytest.approx(0.5, abs=0.05)
    assert 0 < change.noise < 0.1
    assert all(not trend.changes for trend in line.trends if trend.name != "latency p99")
    shown = io.StringIO()
    text.write([line], shown)
    assert re.search(
        r"worse since run 9 of 2026-01-10 03:04: \d+\.\d+ ms → 1\d\.\d+ ms \(\+\d+\.\d%, "
        r"noise ±\d\.\d%, p 0\.0\d+\)",
        " ".join(shown.getvalue().split()),
    )


def test_more_of_what_is_good_is_better(run_of):
    metric = trends.parse_metric("messages.sent_per_s")
    runs = [run_of(day, 1.0) for day in range(12)]
    for run in runs[6:]:
        run.report.messages["sent_per_s"] = 5.0
    (line,) = trends.line_up(runs, [metric])
    (change,) = line.trends[0].changes
    assert (change.call, change.noise) == ("better", 0.0)


def test_runs_of_other_names_and_plans_stand_in_lines_of_their_own(run_of):
    runs = [
        run_of(0, 1.0), run_of(1, 1.0, name="other"), run_of(2, 1.0, url="ws://elsewhere/"),
        run_of(3, 9.0, count=99), run_of(4, 1.0),
    ]  # fmt: skip
    lines = trends.line_up(runs)
    assert [[run.id for run in line.runs] for line in lines] == [[1, 3, 5], [4], [2]]
    assert lines[1].different == ["count: 10 → 99"]


def test_a_run_that_its_generator_held_up_is_listed_and_not_counted(run_of):
    values = levels((15, 10.0))
    runs = [run_of(day, value) for day, value in enumerate(values)]
    runs += [run_of(15 + day, 90.0, verdict="generator-limited") for day in range(5)]
    (line,) = trends.line_up(runs)
    assert len(line.runs) == 20
    assert p99_of(line).values[15:] == [None] * 5
    assert not p99_of(line).changes
    assert text.explain(line)[0].startswith("5 of 20 runs are not counted")


@pytest.mark.parametrize("counts", [True, False])
def test_an_interrupted_run_is_listed_and_not_counted(run_of, counts):
    runs = [run_of(day, value) for day, value in enumerate(levels((8, 10.0), (7, 15.0)))]
    for run in runs[8:]:
        run.report.interrupted = not counts
    (line,) = trends.line_up(runs)
    assert [run.counted for run in line.runs] == [True] * 8 + [counts] * 7
    assert bool(p99_of(line).changes) is counts


def test_a_run_that_was_changed_by_hand_is_marked_and_not_counted(run_of):
    runs = [run_of(day, value) for day, value in enumerate(levels((15, 10.0), (7, 50.0)))]
    changes = [
        Change(t_s=2.5, load_s=2.0, what="pause", unit="rate", old=50.0, new=0.0),
        Change(t_s=4.5, load_s=4.0, what="resume", unit="rate", old=0.0, new=50.0, paused_s=2.0),
    ]
    for run in runs[15:]:
        run.report.changes, run.report.paused_s = changes, 2.0
    (line,) = trends.line_up(runs)
    assert p99_of(line).values[14:] == [p99_of(line).values[14], *[None] * 7]
    assert not p99_of(line).changes
    shown = io.StringIO()
    text.write([line], shown)
    assert shown.getvalue().count("valid, changed by hand") == 7
    assert "7 of 22 runs are not counted" in shown.getvalue()
    said = re.findall(r"run (\d+): the load was changed by hand: (.*)", shown.getvalue())
    assert said == [(str(run), "paused once, for 2.0 s in all") for run in range(18, 23)]
    assert "run 22: the load was changed by hand" in html.render([line]).decode()
    # As the report has them, by the same names.
    told = msgspec.json.decode(text.encode([line]))["lines"][0]["runs"]
    assert told[21]["changes"] == msgspec.to_builtins(changes)
    assert (told[21]["paused_s"], told[0]["changes"]) == (2.0, [])


def test_each_change_is_told_with_the_levels_on_its_two_sides(run_of):
    values = levels((12, 10.0), (12, 15.0), (12, 30.0))
    runs = [run_of(day, value) for day, value in enumerate(values)]
    # Left out of the figures, but not of the list: places in the two differ from here on.
    runs.insert(2, run_of(90, 99.0, verdict="generator-limited"))
    (line,) = trends.line_up(runs)
    trend = p99_of(line)
    assert [change.run for change in trend.changes] == [13, 25]
    assert [change.call for change in trend.changes] == ["worse", "worse"]
    for change, levels_ in zip(trend.changes, [(10.0, 15.0), (15.0, 30.0)], strict=True):
        assert (change.before, change.after) == pytest.approx(levels_, rel=0.03)
    assert trend.noise == pytest.approx(0.02, abs=0.015)  # That of the present level alone.
    page = html.render([line]).decode()
    drawn = page[page.index("latency p99</h3>") :]
    # A change is drawn half a run before its first run: of 37 places those of 12.5 and 24.5.
    width = 720 - 16
    wanted = [f"M{8 + place / 36 * width:.1f} 12V" for place in (12.5, 24.5)]
    assert re.findall(r'class="change worse" d="(M[\d.]+ 12V)', drawn)[:2] == wanted


def test_a_change_that_is_negligible_is_none(run_of):
    values = [10.0] * 8 + [10.0 * (1 + NEGLIGIBLE / 2)] * 8
    (line,) = trends.line_up(run_of(*each) for each in enumerate(values))
    assert not p99_of(line).changes
    values = [10.0] * 8 + [10.0 * (1 + NEGLIGIBLE * 2)] * 8
    (line,) = trends.line_up(run_of(*each) for each in enumerate(values))
    assert len(p99_of(line).changes) == 1


def test_a_plan_is_told_from_the_one_before_it(run_of):
    lines = trends.line_up(run_of(at, 1.0, count=count) for at, count in enumerate((10, 20, 30)))
    assert [line.different for line in lines] == [[], ["count: 10 → 20"], ["count: 20 → 30"]]


def test_of_many_runs_the_last_are_drawn_on_the_terminal(run_of):
    (line,) = trends.line_up(run_of(day, 10.0 if day < 30 else 20.0) for day in range(60))
    shown = io.StringIO()
    text.write([line], shown)
    (plot,) = [row for row in shown.getvalue().splitlines() if "latency p99" in row and "…" in row]
    assert len(set(re.findall("[▁-█]", plot))) == 1
    assert "20.00 ms … 20.00 ms" in plot


def test_few_runs_say_that_they_are_too_few(run_of):
    (line,) = trends.line_up(run_of(*each) for each in enumerate(levels((4, 1.0), (5, 9.0))))
    assert not p99_of(line).changes
    assert text.explain(line) == ["changes are looked for from 10 runs on: here are 9"]
    (line,) = trends.line_up(run_of(*each) for each in enumerate(levels((5, 1.0), (5, 9.0))))
    assert p99_of(line).changes
    assert text.explain(line) == []


def test_a_figure_that_there_is_not_is_refused(run_of):
    assert trends.parse_metric("latency.p99").path == ("latency", "intended", "p99")
    for name, unit, more_is_better in (
        ("latency.p99", "ms", False), ("connections.all_open_after_s", "s", False),
        ("messages.lost", "", False), ("messages.sent_bytes", "B", False),
        ("messages.received_per_s", "/s", True), ("generator.cpu_share", "", False),
        ("sent per second", "/s", True), ("generator memory", "B", False),
    ):  # fmt: skip
        found = trends.parse_metric(name)
        assert (found.unit, found.more_is_better) == (unit, more_is_better), name
    with pytest.raises(ValueError, match=r"no figure 'latency\.p98'"):
        trends.parse_metric("latency.p98")


HOSTILE = "</svg><script>alert(1)</script>\x1b[2J\n\u202e"


def test_names_are_text_on_the_terminal_and_on_the_page(run_of):
    values = levels((8, 10.0), (7, 15.0))
    lines = trends.line_up(run_of(day, value, name=HOSTILE) for day, value in enumerate(values))
    page = html.render(lines).decode()
    assert "<script" not in page
    assert page.count("<svg") == page.count("</svg>") == len(lines[0].trends)
    assert 'class="change worse"' in page
    shown = io.StringIO()
    text.write(lines, shown)
    for written in (page, shown.getvalue()):
        assert not re.search("[\x1b\u202e]", written)
        assert "alert(1)" in written


def test_a_run_with_a_breached_limit_or_without_a_socket_is_not_called_valid(run_of):
    runs = [run_of(day, 1.0) for day in range(3)]
    runs[1].report.thresholds = [{"breached": False}, {"breached": True}]
    runs[2].report.connections = runs[2].report.connections | {"opened": 0}
    (line,) = trends.line_up(runs)
    told = msgspec.json.decode(text.encode([line]))["lines"][0]["runs"]
    assert [(run["opened"] > 0, run["breached"]) for run in told] == [
        (True, False), (True, True), (False, False)
    ]  # fmt: skip
    shown = io.StringIO()
    text.write([line], shown)
    found = re.findall(r"valid|threshold breached|nothing opened", shown.getvalue())
    assert found == ["valid", "threshold breached", "nothing opened"]
