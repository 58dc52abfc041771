import json
from contextlib import closing
from datetime import UTC, datetime

import jsonschema
import msgspec
import pytest

from loadgen.cli import load
from loadgen.journal import search
from loadgen.journal.file import Unreadable
from loadgen.report import thresholds
from loadgen.report.model import TargetLag, TargetReport
from loadgen.results.latency import Histogram
from loadgen.results.ledger import Ledger
from loadgen.results.result import Strain
from loadgen.studies import capacity_text
from loadgen.studies.capacity import SearchOutcome, Step, _at_rate, find, resume
from loadgen.studies.capacity_search import REPEATS, forecast
from loadgen.workload.plan import Plan

SCHEMA = jsonschema.Draft202012Validator(capacity_text.make_schema())


@pytest.fixture
def target(report_of):
    """A target that answers in 1 ms up to its capacity, and in a second beyond."""

    def make(capacity=1000, **changes):
        async def run(plan):
            slow = plan.rate > capacity
            return report_of(intended=make_histogram(1_000_000 if slow else 1_000), **changes)

        return run

    return make


def make_histogram(value_us):
    histogram = Histogram()
    histogram.record(value_us, 100)
    return histogram


async def test_the_highest_rate_that_held_is_found_with_its_confidence(target):
    steps = []
    capacity = await find(Plan(10), [], target(1000), steps.append)
    assert 900 <= capacity.held_per_s <= 1000 < capacity.broke_per_s
    assert (capacity.held_runs, capacity.probability) == (3, 0.37)
    assert capacity.limited_by == "target"
    assert capacity.limits == ["latency.p99>100ms"]
    assert capacity.steps == steps
    assert (capacity.plan["count"], capacity.plan["rate"], capacity.plan["workers"]) == (
        10,
        None,
        1,
    )
    text = " ".join(capacity_text.show(capacity).split())
    assert max(map(len, capacity_text.show(capacity).splitlines())) <= 80
    assert (
        "in 3 runs of 3. A rate that breaks every other time passes that once in 8 searches" in text
    )
    assert "did not: latency.p99>100ms: 1,000 ms" in text
    assert json.loads(capacity_text.encode(capacity))["held_per_s"] == capacity.held_per_s


@pytest.mark.parametrize(
    "plan",
    [
        Plan(10, rate=5.0),
        Plan(10, rate_per_conn=2.0),
        Plan(10, arrive=5.0, duration_s=1.0, scenario="s.py"),
    ],
    ids=["together", "each", "arriving"],
)
async def test_the_plan_is_that_of_the_first_step_as_it_was_run(report_of, plan):
    async def run(step):
        report = report_of(intended=make_histogram(1_000 if len(steps) < 3 else 1_000_000))
        return msgspec.structs.replace(report, plan=step.settings() | {"workers": 3, "dask": None})

    steps = []
    capacity = await find(plan, [], run, steps.append)
    assert len(steps) > 3
    assert capacity.plan == plan.settings() | {"workers": 3, "dask": None}


async def test_with_a_confidence_target_the_finding_says_of_both_sides_how_sure_it_is(
    target, tmp_path
):
    limits = [thresholds.parse("latency.p99>100ms")]
    journal = search.SearchJournal(tmp_path / "search.journal", PLAN, limits, confidence=0.95)
    with closing(journal):
        capacity = await find(Plan(10), limits, target(1000), journal.note, confidence=0.95)
    assert 900 <= capacity.held_per_s <= 1000 < capacity.broke_per_s
    assert (capacity.held_confirmed, capacity.broke_confirmed) == (True, True)
    # The run that found the rate, and a test of eight.
    assert (capacity.held_runs, capacity.probability, capacity.confidence) == (9, 0.5, 0.95)
    text = " ".join(capacity_text.show(capacity).split())
    assert "in 9 runs of 9. " in text
    assert (
        f"With 95 % confidence, {capacity.held_per_s:,.0f}/s holds in more than half of its runs "
        f"and {capacity.broke_per_s:,.0f}/s breaks in more than one run of ten." in text
    )
    assert "by luck" not in text
    SCHEMA.validate(json.loads(capacity_text.encode(capacity)))
    # A killed search goes by the same target, and says what it was not sure of yet.
    head, *lines = journal.path.read_bytes().splitlines(keepends=True)
    assert json.loads(head)["confidence"] == 0.95
    assert capacity_text.encode(search.recover(journal.path)) == capacity_text.encode(capacity)
    journal.path.write_bytes(head + b"".join(lines[:-1]))
    cut = search.recover(journal.path)
    assert (cut.incomplete, cut.held_confirmed, cut.broke_confirmed) == (True, False, True)
    assert "ended before it was that sure of" in " ".join(capacity_text.show(cut).split())


async def test_the_limits_asked_for_are_those_that_count(target):
    capacity = await find(Plan(10), [thresholds.parse("latency.p99>2s")], stop_at(target(), 5000))
    assert capacity.interrupted
    assert {step.outcome for step in capacity.steps} == {SearchOutcome.HELD}


def stop_at(run, rate):
    async def run_to_there(plan):
        report = await run(plan)
        return report if plan.rate < rate else msgspec.structs.replace(report, interrupted=True)

    return run_to_there


async def test_each_step_tells_what_its_own_run_measured(report_of):
    runs = []

    async def run(plan):
        fast = plan.rate <= 30
        runs.append(
            report_of(
                Ledger(10, opened=10, sent=900, received=10 * len(runs) + 7, lost=0),
                intended=make_histogram(1_000 + len(runs) if fast else 1_000_000),
                load_s=2.0,
            )
        )
        return runs[-1]

    capacity = await find(Plan(10), [], run)
    assert len(capacity.steps) == len(runs)
    for step, report in zip(capacity.steps, runs, strict=True):
        assert step.received_per_s == report.messages.received_per_s
        assert (step.p50_ms, step.p99_ms) == (
            report.latency.intended.p50,
            report.latency.intended.p99,
        )
        assert step.series == report.series


@pytest.mark.parametrize(
    ("broken", "outcome", "reason"),
    [
        pytest.param({}, SearchOutcome.HELD, None, id="held"),
        pytest.param({"lost": 1}, SearchOutcome.BROKE, "1 message lost", id="failed"),
        pytest.param(
            {"slow": True}, SearchOutcome.BROKE, "latency.p99>100ms: 1,000 ms", id="breached"
        ),
        pytest.param({"full": True}, SearchOutcome.LIMITED, "the generator used 99%", id="limited"),
        pytest.param(
            {"full": True, "slow": True}, SearchOutcome.LIMITED, "the generator used 99%",
            id="limited-and-breached",
        ),
        pytest.param(
            {"lost": 1, "full": True}, SearchOutcome.BROKE, "1 message lost", id="failed-full"
        ),
    ],
)  # fmt: skip
async def test_a_step_is_judged_by_its_report(report_of, broken, outcome, reason):
    async def run(plan):
        return report_of(
            Ledger(10, opened=10, sent=5, lost=broken.get("lost", 0)),
            intended=make_histogram(1_000_000 if broken.get("slow") else 1_000),
            load_strain=Strain(wall_s=10, cpu_share=0.99 if broken.get("full") else 0.5),
        )

    (step, *_) = (await find(Plan(10), [], stop_at(run, 20))).steps
    assert step.outcome is outcome
    assert step.reasons[0].startswith(reason) if reason else not step.reasons


def test_the_confidence_is_that_of_as_many_runs_as_held_at_the_edge():
    plan = {"url": "ws://x/"}
    for runs, probability in ((1, 0.05), (2, 0.22), (3, 0.37)):
        steps = [step_at(100, SearchOutcome.HELD)] * runs + [step_at(105, SearchOutcome.BROKE)]
        found = resume(plan, [], steps)
        assert (found.held_per_s, found.held_runs, found.probability) == (100, runs, probability)
        assert (found.broke_per_s, found.limited_by) == (105, "target")
        assert found.incomplete is (runs < REPEATS)
    found = resume(plan, [], [step_at(100, SearchOutcome.LIMITED)])
    assert (found.held_per_s, found.held_runs, found.probability) == (None, 0, 0.0)
    assert found.limited_by == "generator"


def step_at(rate, outcome):
    return Step(
        rate_per_s=rate, outcome=outcome, reasons=[], received_per_s=0, p50_ms=0, p99_ms=0,
        started_at=datetime(2026, 1, 2, tzinfo=UTC), series=[],
    )  # fmt: skip


async def test_after_an_interruption_nothing_is_run_and_its_step_is_not_judged(target):
    rates = []

    async def run(plan):
        rates.append(plan.rate)
        return await stop_at(target(), 40)(plan)

    capacity = await find(Plan(10), [], run)
    assert rates == [10, 20, 40]
    assert [step.rate_per_s for step in capacity.steps] == [10, 20]
    assert (capacity.interrupted, capacity.held_per_s, capacity.broke_per_s) == (True, 20, None)


async def test_each_step_has_its_rate_for_all_and_none_for_each(target):
    plans = []

    async def run(plan):
        plans.append(plan)
        return await target(20)(plan)

    await find(Plan(10, rate_per_conn=0.5), [], run)
    assert [plan.rate for plan in plans][:2] == [5.0, 10.0]
    assert {plan.rate_per_conn for plan in plans} == {None}


async def test_a_limit_of_the_generators_own_is_called_so(report_of):
    async def run(plan):
        full = plan.rate > 1000
        return report_of(
            intended=make_histogram(1_000_000 if full else 1_000),
            load_strain=Strain(wall_s=10, cpu_share=0.99 if full else 0.5),
        )

    capacity = await find(Plan(10), [], run)
    assert capacity.limited_by == "generator"
    assert "the target's may be higher" in " ".join(capacity_text.show(capacity).split())


async def test_a_target_that_loses_messages_does_not_hold(report_of):
    async def run(plan):
        return report_of(Ledger(10, opened=10, sent=5, lost=int(plan.rate > 100)))

    assert 90 <= (await find(Plan(10), [], run)).held_per_s <= 100


async def test_a_target_that_opens_no_socket_ends_the_search_at_once(report_of):
    async def run(_):
        return report_of(Ledger(10))

    capacity = await find(Plan(10), [], run)
    assert capacity.held_per_s is None
    assert len(capacity.steps) == 1
    assert "No rate held" in capacity_text.show(capacity)


def told(rate, **figures):
    """The target's side of a step: the busier, the higher the rate."""
    figures = {"cpu_share": rate / 1000, "loop_lag": TargetLag(max=rate / 100)} | figures
    return TargetReport(source="http://x/", errors=0, last_error=None, series=[], **figures)


async def test_the_targets_side_of_each_step_is_told_and_at_the_edge_compared(target):
    run = target(1000)

    async def run_watched(plan):
        return msgspec.structs.replace(await run(plan), target=told(plan.rate))

    capacity = await find(Plan(10), [], run_watched)
    assert [step.target.cpu_share for step in capacity.steps] == [
        step.rate_per_s / 1000 for step in capacity.steps
    ]
    held, broke = capacity.held_per_s, capacity.broke_per_s
    text = " ".join(capacity_text.show(capacity).split())
    assert (
        f"The target: {held / 1000:.0%} of one core, late by {held / 100:.1f} ms at {held:,.0f}/s; "
        f"{broke / 1000:.0%} of one core, late by {broke / 100:.1f} ms at {broke:,.0f}/s." in text
    )
    assert "target 1% of one core, late by 0.1 ms" in capacity_text.show_step(capacity.steps[0])


async def test_a_target_that_could_not_be_asked_is_said_to_have_given_no_answer(target):
    run = target(1000)

    async def run_watched(plan):
        side = TargetReport(source="http://x/", errors=2, last_error="no route", series=[])
        return msgspec.structs.replace(await run(plan), target=side)

    capacity = await find(Plan(10), [], run_watched)
    assert "no answer (no route) at" in " ".join(capacity_text.show(capacity).split())


async def test_what_was_found_is_what_its_published_schema_says(target):
    """Stale? `python -m loadgen.studies.capacity_text > loadgen/capacity.schema.json`."""
    run = target(1000)

    async def run_watched(plan):
        return msgspec.structs.replace(await run(plan), target=told(plan.rate))

    schema = json.loads(capacity_text.SCHEMA_PATH.read_text())
    assert schema == capacity_text.make_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    for each in (run, run_watched):
        document = json.loads(capacity_text.encode(await find(Plan(10), [], each)))
        SCHEMA.validate(document)
    with pytest.raises(jsonschema.ValidationError):
        SCHEMA.validate(document | {"steps": [{}]})


PLAN = json.loads(msgspec.json.encode(Plan(10).settings() | {"workers": 1, "dask": None}))


@pytest.fixture
def journal(tmp_path):
    made = search.SearchJournal(
        tmp_path / "search.journal", PLAN, [thresholds.parse("latency.p99>100ms")]
    )
    yield made
    made.close()


async def test_of_a_search_whose_generator_was_killed_each_step_that_was_over_is_told(
    target, journal
):
    whole = await find(Plan(10), [], target(1000), journal.note)
    kept = journal.path.read_bytes()
    lines = kept.splitlines(keepends=True)
    assert len(lines) == 1 + len(whole.steps)
    for steps in range(1, len(whole.steps)):
        half_a_line = lines[1 + steps][:-20]
        journal.path.write_bytes(b"".join(lines[: 1 + steps]) + half_a_line)
        recovered = search.recover(journal.path)
        assert recovered.steps == whole.steps[:steps]
        assert (recovered.interrupted, recovered.incomplete) == (True, True)
        SCHEMA.validate(json.loads(capacity_text.encode(recovered)))
        text = " ".join(capacity_text.show_whole(recovered).split())
        assert "Recovered from its journal: the search was not over." in text
        assert text.count("p99") >= steps
    journal.path.write_bytes(kept)
    assert capacity_text.encode(search.recover(journal.path)) == capacity_text.encode(whole)


async def test_a_search_that_died_in_its_first_step_has_nothing_to_tell(target, journal):
    await find(Plan(10), [], target(1000), journal.note)
    journal.path.write_bytes(journal.path.read_bytes().splitlines(keepends=True)[0])
    with pytest.raises(Unreadable, match="before its first step was over"):
        search.recover(journal.path)


async def test_a_full_disk_ends_a_searchs_journal_and_not_the_search(
    target, journal, files_of_at_most
):
    with files_of_at_most(100):
        capacity = await find(Plan(10), [], target(1000), journal.note)
    journal.close()
    assert capacity.held_per_s is not None
    assert journal.problem == "File too large"


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        pytest.param(["--closed-loop"], "--find-capacity sets the rate", id="closed-loop"),
        pytest.param(["--messages", "3"], "--find-capacity sets the rate", id="messages"),
        pytest.param(["--rate-per-conn", "0/s"], "needs a rate to start with", id="idle"),
        pytest.param(["--stream"], "makes many runs, and --stream is of one", id="stream"),
        pytest.param(["--console", "ftp://x/"], "is not an HTTP URL", id="console"),
        pytest.param(["--journal", "/none/x"], "can't write the journal to /none/x", id="journal"),
        pytest.param(["--confidence", "0.3"], "is not a confidence from 50%", id="unsure"),
        pytest.param(["--confidence", "100%"], "is not a confidence from 50%", id="too-sure"),
        pytest.param(["--csv", "-"], "makes many runs, and --csv is of one", id="csv"),
    ],
)
def test_what_does_not_go_with_a_search_is_one_line(capsys, arguments, complaint):
    assert load.main(["1", "--find-capacity", *arguments]) == 2
    assert complaint in capsys.readouterr().err


async def test_no_rate_holds_at_a_server_that_says_nothing_and_owes_nothing(report_of):
    rates = []

    async def run(plan):
        rates.append(plan.rate)
        return report_of(Ledger(10, opened=10, sent=900, one_way=900))

    limits = [thresholds.parse("connections.failed>0")]
    capacity = await find(Plan(10, rate=20, verify="off"), limits, run)
    # One step says as much as all would.
    assert (capacity.held_per_s, rates) == (None, [20])
    assert "whether it keeps up is unknown" in " ".join(capacity_text.show(capacity).split())


async def test_a_one_way_server_is_searched_by_what_it_sends_or_says_of_itself(report_of):
    for received, limit in ((3, "messages.lost>0"), (0, "target.rss_bytes>1GiB")):
        ledger = Ledger(10, opened=10, sent=9, one_way=9, received=received)
        ledger.verdicts["ignored"] = received

        async def run(plan, ledger=ledger, asked=not received):
            target = told(plan.rate, rss_bytes=2**20) if asked else msgspec.UNSET
            interrupted = plan.rate > 100
            return msgspec.structs.replace(
                report_of(ledger), target=target, interrupted=interrupted
            )

        plan = Plan(10, rate=20, verify="off")
        capacity = await find(plan, [thresholds.parse(limit)], run)
        assert {step.outcome for step in capacity.steps} == {SearchOutcome.HELD}


def test_how_long_a_search_takes_is_said_before_it_begins():
    shown = capacity_text.show_forecast(forecast(Plan(600, duration_s=60.0, connect_rate=10.0)))
    assert max(map(len, shown.splitlines())) <= 80
    said = " ".join(shown.split())
    # A minute of opening, one of load.
    assert "Each step takes 2 min" in said
    assert "7 steps find an edge below twice the first rate: 14 min" in said
    assert "13 for 100 times, 26 min" in said


def test_the_forecast_of_a_confident_search_has_its_tests_and_its_end():
    told = forecast(Plan(600, duration_s=10.0), 0.95)
    assert (told.least_steps, told.far_steps, told.most_steps) == (16, 22, 200)
    shown = " ".join(capacity_text.show_forecast(told).split())
    assert "16 steps find an edge below twice the first rate: 3 min" in shown
    assert "takes more, 200 steps at most: 33 min" in shown


def test_a_confidence_is_of_a_search_alone(capsys):
    assert load.main(["1", "--confidence", "95%"]) == 2
    assert "--confidence goes with --find-capacity" in capsys.readouterr().err


def test_an_edge_is_the_targets_unless_most_runs_there_say_that_it_is_the_generators():
    held, broke, limited = SearchOutcome.HELD, SearchOutcome.BROKE, SearchOutcome.LIMITED
    for at_edge, whose in (
        ([broke], "target"), ([limited], "generator"), ([broke, limited], "target"),
        ([limited, broke, limited], "generator"),
    ):  # fmt: skip
        steps = [step_at(100, held), *(step_at(105, outcome) for outcome in at_edge)]
        assert resume({"url": "ws://x/"}, [], steps).limited_by == whose
    assert resume({"url": "ws://x/"}, [], [step_at(100, held)]).limited_by is None


def test_a_plan_at_another_rate_has_as_much_more_due_as_the_rate_is_higher():
    for rate in (50.0, 100.0, 300.0):
        paced = _at_rate(Plan(5, scenario="s.py"), rate, 100.0)
        assert paced.pace_factor == rate / 100.0
        assert _at_rate(Plan(5, scenario="s.py"), rate, None).pace_factor == 1.0
        arriving = _at_rate(Plan(5, scenario="s.py", arrive=7.0), rate, None)
        assert (arriving.arrive, arriving.pace_factor) == (rate, 1.0)
        own = _at_rate(Plan(5, rate_per_conn=3.0), rate, None)
        assert (own.total_rate(5), own.rate_per_conn) == (rate, None)


@pytest.mark.parametrize("confidence", [None, 0.95])
async def test_a_scenario_is_searched_from_the_rate_that_its_paces_come_to(report_of, confidence):
    factors = []

    async def run(plan):
        """Run users whose paces come to 40 calls a second, against a target that does 160."""
        factors.append(plan.pace_factor)
        due = Histogram()
        due.record(100, round(40 * plan.pace_factor * plan.load_s))
        slow = plan.pace_factor > 4
        return report_of(
            scheduling_lag=due, intended=make_histogram(1_000_000 if slow else 1_000), plan=plan
        )

    capacity = await find(Plan(5, scenario="s.py", duration_s=10.0), [], run, confidence=confidence)
    assert factors[:4] == [1.0, 2.0, 4.0, 8.0]
    rates = [step.rate_per_s for step in capacity.steps]
    assert rates == pytest.approx([40 * factor for factor in factors])
    assert capacity.held_per_s <= 160 < capacity.broke_per_s <= 1.1 * capacity.held_per_s
    sure = capacity.held_confirmed, capacity.broke_confirmed
    assert sure == (confidence is not None,) * 2


@pytest.mark.parametrize("confidence", [None, 0.9])
async def test_a_rate_that_cannot_be_run_here_is_the_generators_limit_and_is_never_run(
    report_of, confidence
):
    rates = []

    async def run(plan):
        rates.append(plan.arrive)
        return report_of(intended=make_histogram(1_000))

    plan = Plan(5, scenario="s.py", arrive=20.0)
    lacks_rows = "people.csv has 100 rows"
    capacity = await find(
        plan, [], run, confidence=confidence,
        find_problem=lambda plan: lacks_rows if plan.arrive > 100 else None,
    )  # fmt: skip
    assert max(rates) <= 100
    assert 100 / 1.1 <= capacity.held_per_s <= 100 < capacity.broke_per_s
    assert capacity.held_per_s in rates
    assert capacity.limited_by == "generator"
    beyond = [step for step in capacity.steps if step.rate_per_s > 100]
    assert {(step.outcome, *step.reasons, step.p99_ms, len(step.series)) for step in beyond} == {
        (SearchOutcome.LIMITED, lacks_rows, None, 0)
    }
    text = " ".join(capacity_text.show(capacity).split())
    assert f"did not: {lacks_rows}. " in text
    # More processes have no more rows.
    assert "the target's may be higher" in text
    assert "--workers" not in text
    SCHEMA.validate(json.loads(capacity_text.encode(capacity)))
