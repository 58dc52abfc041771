import functools
import json
import math
import random
import statistics

import msgspec
import pytest

from loadgen.cli import load
from loadgen.report import json as report_json
from loadgen.results.latency import Histogram
from loadgen.studies.compare import _bounds, compare, look_up, noise_between


@pytest.fixture
def run_of(report_of):
    """A run's report, decoded, whose latency is around so many milliseconds."""

    def make(latency_ms=10.0, seed=0, messages=2000, spread=0.05, **changes):
        chance = random.Random(seed)
        run_ms = latency_ms * chance.gauss(1, spread)
        intended = Histogram()
        for _ in range(messages):
            intended.record(int(run_ms * 1000 * chance.gauss(1, 0.1)))
        report = report_of(intended=intended, service=intended, **changes)
        return json.loads(report_json.encode(report))

    make.report_of = report_of
    return make


def calls(comparison):
    return {change.name: change.call for change in comparison.changes}


def sides(*runs):
    return {f"{number}.json": run for number, run in enumerate(runs)}


def test_a_change_beyond_what_repeats_differ_by_is_worse_or_better(run_of):
    before = sides(*(run_of(10, seed) for seed in range(4)))
    after = {f"after-{seed}": run_of(20, seed) for seed in range(4, 8)}
    assert calls(compare(before, after))["latency p99"] == "worse"
    assert compare(before, after).is_worse
    assert calls(compare(after, before))["latency p99"] == "better"
    assert not compare(after, before).is_worse


def test_repeats_of_one_experiment_differ_by_noise(run_of):
    document, wrong = run_of(), 0
    for trial in range(100):
        chance = random.Random(trial)
        runs = []
        for _ in range(6):
            latency = {
                key: abs(chance.gauss(10, 1)) for key in ("p50", "p90", "p99", "p999", "max")
            }
            runs.append(document | {"latency": {"intended": latency, "service": latency}})
        after = {f"b{number}": run for number, run in enumerate(runs[3:])}
        wrong += compare(sides(*runs[:3]), after).is_worse
    # Seven metrics at 99 %, better or worse: three or four of a hundred.
    assert wrong <= 8


def test_with_one_run_on_each_side_nothing_is_called_worse(run_of):
    comparison = compare(sides(run_of(10)), {"b": run_of(30)})
    assert not comparison.noise_known
    assert calls(comparison)["latency p99"] == "unclear"
    assert not comparison.is_worse


@pytest.mark.parametrize(("before", "after"), [(1, 1), (2, 1), (1, 2), (2, 2)])
def test_a_second_run_on_either_side_is_enough_to_know_the_noise(before, after):
    comparison = compare(
        {f"a{at}": told(messages_sent_per_s=100.0) for at in range(before)},
        {f"b{at}": told(messages_sent_per_s=50.0) for at in range(after)},
    )
    (change,) = comparison.changes
    is_enough = before + after > 2
    assert comparison.noise_known == (change.noise is not None) == is_enough
    assert comparison.is_worse == is_enough


def test_what_so_few_messages_cannot_tell_apart_is_noise_even_then(run_of):
    comparison = compare(sides(run_of(10, messages=50, spread=0)),
                         {"b": run_of(10, seed=1, messages=50, spread=0)})  # fmt: skip
    assert calls(comparison)["latency p50"] == "noise"


def test_what_is_the_same_in_all_runs_is_the_same(run_of):
    comparison = compare(sides(run_of(), run_of()), {"b": run_of(), "c": run_of()})
    assert set(calls(comparison).values()) == {"same"}


def test_a_change_that_is_certain_and_tiny_is_nobodys_concern(run_of):
    def runs(rate, names):
        document = run_of()
        return {name: document | {"messages": document["messages"] | {"sent_per_s": rate}}
                for name in names}  # fmt: skip

    assert calls(compare(runs(1000, "ab"), runs(1001, "cd")))["sent per second"] == "noise"
    assert calls(compare(runs(1000, "ab"), runs(900, "cd")))["sent per second"] == "worse"
    assert calls(compare(runs(1000, "ab"), runs(1100, "cd")))["sent per second"] == "better"


def test_lost_messages_count_from_none(run_of):
    document = run_of()
    lossy = document | {"messages": document["messages"] | {"lost": 5}}
    comparison = compare(sides(document, document), {"b": lossy, "c": lossy})
    (change,) = [change for change in comparison.changes if change.name == "messages lost"]
    assert (change.baseline, change.candidate, change.change, change.call) == (0, 5, None, "worse")


def test_runs_with_different_things_to_do_are_named(run_of):
    document = run_of()
    other = document | {"plan": document["plan"] | {"count": 20, "url": "ws://elsewhere/"}}
    assert compare(sides(document), {"b": other}).plan_differences == ["count: 10, 20"]


def test_a_run_of_several_processes_is_the_same_experiment_and_is_noted(run_of):
    document = run_of()
    older = document | {"plan": {key: value for key, value in document["plan"].items()
                                 if key not in {"workers", "dask"}}}  # fmt: skip
    several = document | {
        "plan": document["plan"] | {"workers": 4},
        "generator": document["generator"] | {"processes": 4},
    }
    comparison = compare(sides(older), {"b": document})
    assert (comparison.plan_differences, comparison.notes) == ([], [])
    untold = {key: value for key, value in document.items() if key != "generator"}
    assert compare(sides(untold), {"b": document}).notes == []
    comparison = compare(sides(older), {"b": several})
    assert comparison.plan_differences == []
    assert comparison.notes == [
        "the load was made by 1 and 4 processes: how late each is, is its own affair"
    ]


def test_runs_that_measured_the_generator_are_named(run_of):
    limited = run_of() | {"verdict": "generator-limited"}
    assert compare(sides(limited), {"b": run_of()}).notes == [
        "0.json is generator-limited: its figures are the generator's own"
    ]


def test_reports_of_another_version_are_compared_by_what_they_have(run_of):
    document = run_of()
    document.pop("histograms")
    document["messages"].pop("lost")
    assert "latency p99" in calls(compare(sides(document), {"b": run_of(30)}))


def told(**metrics):
    """A report that says this and nothing else: messages_sent_per_s=5."""
    report = {}
    for name, value in metrics.items():
        part, _, key = name.partition("_")
        report.setdefault(part, {})[key] = value
    return report


def change_of(name, before, after):
    comparison = compare(
        {f"a{n}": told(messages_sent_per_s=value) for n, value in enumerate(before)},
        {f"b{n}": told(messages_sent_per_s=value) for n, value in enumerate(after)},
    )
    return next((each for each in comparison.changes if each.name == name), None)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ([100, 110], [150, 170]),
        ([100, 104, 108], [90, 91, 92, 93]),
        ([10, 30], [15]),
        ([7], [5, 6]),
    ],
)
def test_the_noise_is_students_bound_on_the_difference_of_two_means(before, after):
    """By the textbook: pooled variance, 99 %, two-sided; t as tables have it."""
    t_of = {1: 63.657, 2: 9.925, 3: 5.841, 4: 4.604, 5: 4.032}
    freedom = len(before) + len(after) - 2
    pooled = (
        sum(
            (len(side) - 1) * statistics.variance(side) for side in (before, after) if len(side) > 1
        )
        / freedom
    )
    bound = t_of[freedom] * math.sqrt(pooled * (1 / len(before) + 1 / len(after)))
    change = change_of("sent per second", before, after)
    mean, new_mean = statistics.fmean(before), statistics.fmean(after)
    assert (change.baseline, change.candidate) == (mean, new_mean)
    assert change.noise == pytest.approx(bound / mean)
    assert change.change == pytest.approx((new_mean - mean) / mean)
    beyond = abs(new_mean - mean) > bound
    assert change.call == (("better" if new_mean > mean else "worse") if beyond else "noise")


def test_what_one_run_of_a_side_lacks_is_not_compared():
    lacking = {"a": told(messages_sent_per_s=5), "b": told(messages_received_per_s=5)}
    whole = {"c": told(messages_sent_per_s=9), "d": told(messages_sent_per_s=8)}
    assert "sent per second" not in calls(compare(lacking, whole))
    assert "sent per second" not in calls(compare(whole, lacking))
    assert "sent per second" in calls(compare(whole, whole))


def test_runs_that_failed_or_were_interrupted_are_named(run_of):
    failed = run_of() | {"verdict": "failed", "verdict_reasons": ["1 message lost", "x"]}
    cut = run_of() | {"interrupted": True}
    assert compare(sides(failed), {"b": cut}).notes == [
        "0.json has failed: 1 message lost; x", "b was interrupted"
    ]  # fmt: skip


def test_runs_whose_load_was_changed_by_hand_are_named(run_of):
    changed = run_of() | {"changes": [{"what": "pause"}]}
    assert compare(sides(run_of()), {"b": changed}).notes == [
        "b was changed by hand while it ran: its load is not that of its plan"
    ]


@pytest.mark.parametrize(
    ("messages", "shift", "call"),
    [(40, 1, "noise"), (40, 450, "unclear"), (20_000, 1, "noise"), (20_000, 30, "unclear")],
)
def test_of_two_single_runs_a_percentile_is_unclear_beyond_what_their_messages_tell(
    run_of, messages, shift, call
):
    """Values spread evenly: the median is known to 2.576 √(n/4) ranks on either side."""

    def run(by):
        histogram = Histogram()
        for rank in range(messages):
            histogram.record(1000 + rank * 1000 // messages + by)
        return json.loads(report_json.encode(run_of_histogram(histogram)))

    def run_of_histogram(histogram):
        return report(intended=histogram, service=filled_with(5))

    report = run_of.report_of
    comparison = compare({"a": run(0)}, {"b": run(shift)})
    assert calls(comparison)["latency p50"] == call


def filled_with(value_us):
    histogram = Histogram()
    histogram.record(value_us, 100)
    return histogram


#: What is compared, by name: where it is in a report, its unit, and whether more of it is better.
COMPARED = {
    "sent per second": ("messages.sent_per_s", "/s", True),
    "received per second": ("messages.received_per_s", "/s", True),
    "latency p50": ("latency.intended.p50", "ms", False),
    "latency p90": ("latency.intended.p90", "ms", False),
    "latency p99": ("latency.intended.p99", "ms", False),
    "latency p99.9": ("latency.intended.p999", "ms", False),
    "latency max": ("latency.intended.max", "ms", False),
    "service p50": ("latency.service.p50", "ms", False),
    "service p99": ("latency.service.p99", "ms", False),
    "connect p50": ("connections.connect_ms.p50", "ms", False),
    "connect p99": ("connections.connect_ms.p99", "ms", False),
    "all open after": ("connections.all_open_after_s", "s", False),
    "sockets failed": ("connections.failed", "", False),
    "sockets cut": ("connections.closed.abnormal", "", False),
    "closed by the peer": ("connections.closed.by_peer", "", False),
    "messages lost": ("messages.lost", "", False),
    "messages corrupt": ("messages.corrupt", "", False),
    "messages reordered": ("messages.reordered", "", False),
    "messages duplicate": ("messages.duplicate", "", False),
    "messages unexpected": ("messages.unexpected", "", False),
    "users failed": ("users.failed", "", False),
    "generator CPU": ("generator.cpu_s", "s", False),
    "generator memory": ("generator.peak_rss_bytes", "B", False),
}
OF_NAMED = {
    "steps": {"intended.p99": "ms", "service.p50": "ms", "service.p99": "ms", "lost": "",
              "failed": ""},
    "checks": {"failed": ""},
    "streams": {"gaps": "", "age.p99": "ms"},
}  # fmt: skip


def nest(path, value):
    for key in reversed(path.split(".")):
        value = {key: value}
    return value


@pytest.mark.parametrize("more", [2.0, 0.5])
def test_each_figure_is_found_where_a_report_has_it_and_is_better_or_worse_when_it_rises(more):
    for name, (path, unit, more_is_better) in COMPARED.items():
        before, after = nest(path, 10.0), nest(path, 10.0 * more)
        (change,) = compare({"a": before, "b": before}, {"c": after, "d": after}).changes
        assert (change.name, change.unit, change.change) == (name, unit, more - 1)
        assert change.call == ("better" if (more > 1) == more_is_better else "worse")


def test_what_a_script_names_is_compared_by_its_name_if_all_reports_have_it():
    def report(times, *names):
        return {
            part: [{"other": 1}, 7] * (times > 1) + [
                functools.reduce(merge, [nest(path, 10 * times) for path in paths], {"name": name})
                for name in names
            ]
            for part, paths in OF_NAMED.items()
        }  # fmt: skip

    def merge(one, other):
        ((key, value),) = other.items()
        return one | {key: merge(one[key], value) if key in one else value}

    before, after = report(1, "b", "a", "left"), report(2, "a", "came", "b")
    changes = compare({"x": before, "y": before}, {"z": after, "w": after}).changes
    assert [(each.name, each.unit, each.baseline, each.candidate) for each in changes] == [
        (f"{name}: {path.replace('.', ' ')}", unit, 10.0, 20.0)
        for paths in OF_NAMED.values() for name in "ab" for path, unit in paths.items()
    ]  # fmt: skip


def tail_of_t(t, freedom):
    """The probability of more than this, on either side, by Simpson's rule on the density."""
    scale = math.exp(math.lgamma((freedom + 1) / 2) - math.lgamma(freedom / 2)) / math.sqrt(
        freedom * math.pi
    )
    steps = 2000
    width = t / steps
    inner = sum(
        (1 if at in (0, steps) else 4 if at % 2 else 2)
        * scale
        * (1 + (at * width) ** 2 / freedom) ** (-(freedom + 1) / 2)
        for at in range(steps + 1)
    )
    return 1 - 2 * inner * width / 3


@pytest.mark.parametrize("freedom", [*range(1, 22), 30, 100])
def test_a_change_without_cause_is_beyond_the_noise_once_in_a_hundred_times(freedom):
    before, after = [-1.0, 1.0] + [0.0] * (freedom - 1), [0.0]
    spread = math.sqrt(2 / freedom * (1 / len(before) + 1))
    t = noise_between(before, after) / spread
    if freedom > 20:
        assert math.erfc(t / math.sqrt(2)) == pytest.approx(0.01, abs=2e-5)
    else:
        assert tail_of_t(t, freedom) == pytest.approx(0.01, abs=2e-5)
    assert noise_between([1.0], [2.0]) is None


@pytest.mark.parametrize("values", [0, 1, 5, 40, 5000])
@pytest.mark.parametrize("percent", [50.0, 99.0, 99.9])
def test_the_bounds_of_a_percentile_are_the_ranks_that_it_may_have_by_chance(
    run_of, values, percent
):
    histogram = Histogram()
    for value in range(values):
        histogram.record(1000 + value)
    report = {"histograms": {"intended": histogram.encode()}}
    low, high = _bounds(("intended", percent), report)
    if not values:
        assert (low, high) == (0.0, math.inf)
        return
    margin = 2.576 * math.sqrt(percent / 100 * (1 - percent / 100) / values) * 100

    def at(share):
        return 1000 + max(math.ceil(share / 100 * values - 1e-6), 1) - 1

    assert low == pytest.approx(at(max(percent - margin, 0)), abs=4)
    if percent + margin >= 100:
        assert high == math.inf
    else:
        assert high == pytest.approx(at(percent + margin), abs=4)
    assert _bounds(("intended", percent), {}) == (0.0, math.inf)


# -- The command ------------------------------------------------------------------------------


@pytest.fixture
def files(run_of, tmp_path):
    def write(**documents):
        paths = {name: tmp_path / f"{name}.json" for name in documents}
        for name, path in paths.items():
            path.write_text(json.dumps(documents[name]))
        return {name: str(path) for name, path in paths.items()}

    return write


def test_two_reports_make_a_table_that_fits_80_columns(files, run_of, capsys):
    path = files(a=run_of(10), b=run_of(1234.5))
    assert load.main(["compare", path["a"], path["b"]]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert "latency p99.9" in out
    assert "unknown: this is one on each side" in out
    assert max(map(len, out.splitlines())) <= 80


def test_repeats_give_an_exit_code(files, run_of, capsys):
    path = files(**{f"a{n}": run_of(10, n) for n in range(3)},
                 **{f"b{n}": run_of(20, n + 3) for n in range(3)})  # fmt: skip
    before, after = [path[f"a{n}"] for n in range(3)], [path[f"b{n}"] for n in range(3)]
    assert load.main(["compare", *before, "--to", *after]) == 1
    assert "Worse by more than noise: latency p50" in capsys.readouterr().out
    assert load.main(["compare", *after, "--to", *before, "--json", "-"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["noise_known"]
    assert {change["call"] for change in document["changes"]} >= {"better"}


def test_different_plans_are_refused_unless_asked_for(files, run_of, capsys):
    document = run_of()
    path = files(a=document, b=document | {"plan": document["plan"] | {"count": 20}})
    assert load.main(["compare", path["a"], path["b"]]) == 2
    assert "different things to do (count: 10, 20)" in capsys.readouterr().err
    assert load.main(["compare", path["a"], path["b"], "--different-plans"]) == 0


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        pytest.param([], "compare needs two reports", id="none"),
        pytest.param(["a.json"], "compare needs two reports", id="one"),
        pytest.param(["a", "b", "c"], "which of these are the runs after?", id="three"),
        pytest.param(["/nowhere/a", "/nowhere/b"], "No such file", id="missing"),
        pytest.param(["/etc/hostname", "/etc/hostname"], "is no JSON report", id="no-json"),
    ],
)
def test_bad_usage_of_compare_is_one_line(capsys, arguments, complaint):
    assert load.main(["compare", *arguments]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert complaint in err


def test_a_comparison_can_be_encoded(run_of):
    assert msgspec.json.encode(compare(sides(run_of()), {"b": run_of(20)}))


def test_what_has_nothing_of_a_report_but_its_version_is_none(tmp_path, capsys):
    path = tmp_path / "a.json"
    path.write_text('{"schema": 1, "schema": 1}')
    assert load.main(["compare", str(path), str(path)]) == 2
    assert "is no JSON report of a run" in capsys.readouterr().err


def test_percentiles_of_too_few_messages_are_not_judged(run_of):
    """Six runs, each of which is sure of the largest of its 50 replies, say nothing of p99."""
    before = sides(*(run_of(10, seed, messages=50) for seed in range(3)))
    after = {f"after-{seed}": run_of(100, seed, messages=50) for seed in range(3, 6)}
    found = compare(before, after)
    judged = calls(found)
    assert (judged["latency p50"], judged["latency p99"]) == ("worse", "unclear")
    assert judged["latency p99.9"] == judged["service p99"] == "unclear"
    (note,) = (note for note in found.notes if note.startswith("not judged"))
    assert "latency p99.9" in note
    assert "p99 takes 1,000, p99.9 takes 10,000" in note
    assert "latency p50" not in note


@pytest.mark.parametrize(("before", "after"), [(999, 1000), (1000, 999), (1000, 1000)])
def test_one_run_of_too_few_messages_on_either_side_is_enough_for_that(before, after):
    def report(count, p99):
        return {"latency": {"intended": {"count": count, "p99": p99}}}

    counts = {"a": (before, after), "b": (1000, 1000)}
    sides_of = [
        {name: report(of_side[side], 10.0 * (side + 1)) for name, of_side in counts.items()}
        for side in (0, 1)
    ]
    found = compare(*({f"{name}{at}": one for name, one in side.items()}
                      for at, side in enumerate(sides_of)))  # fmt: skip
    (change,) = found.changes
    is_enough = before == after
    assert (change.name, change.call) == ("latency p99", "worse" if is_enough else "unclear")


def test_a_group_of_counts_is_their_sum_and_one_that_lacks_a_count_is_nothing():
    report = {"a": {"x": 1, "y": 2}, "b": {"x": 1, "y": None}, "c": {"x": 1, "y": "2"}, "d": {},
              "e": [{"name": "n", "v": 7}, 3]}  # fmt: skip
    assert [look_up(report, (part,)) for part in "abcd"] == [3.0, None, None, 0.0]
    assert look_up(report, ("a", "y")) == 2.0
    assert look_up(report, ("e", "n", "v")) == 7.0
    assert look_up(report, ("e", "m", "v")) is look_up(report, ("a", "x", "y")) is None


def test_a_change_matters_from_just_above_a_hundredth_on_however_certain_it_is():
    def report(sent_per_s):
        return {"messages": {"sent_per_s": sent_per_s}}

    for after, call in ((990.0, "noise"), (989.9, "worse"), (1010.0, "noise"), (1010.1, "better")):
        before, now = (
            {f"{side}{at}": report(value) for at in range(3)}
            for side, value in (("a", 1000.0), ("b", after))
        )
        (change,) = compare(before, now).changes
        assert (change.name, change.call, change.noise) == ("sent per second", call, 0.0)
        assert change.change == pytest.approx(after / 1000 - 1)
