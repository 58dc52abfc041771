import dataclasses
import json

import pytest

from loadgen import cli, thresholds
from loadgen.capacity import Outcome, find
from loadgen.latency import Histogram
from loadgen.ledger import Ledger
from loadgen.plan import Plan
from loadgen.report import found
from loadgen.result import Strain


@pytest.fixture
def target(result_of):
    """A target that answers in 1 ms up to its capacity, and in a second beyond."""

    def make(capacity=1000, **changes):
        async def run(plan):
            slow = plan.rate > capacity
            return result_of(intended=make_histogram(1_000_000 if slow else 1_000), **changes)

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
    text = " ".join(found.show(capacity).split())
    assert max(map(len, found.show(capacity).splitlines())) <= 80
    assert "in 3 runs of 3: with 95 % confidence, at least 37% of such runs do" in text
    assert "did not: latency.p99>100ms: 1,000 ms" in text
    assert json.loads(found.encode(capacity))["held_per_s"] == capacity.held_per_s


async def test_the_limits_asked_for_are_those_that_count(target):
    capacity = await find(Plan(10), [thresholds.parse("latency.p99>2s")], stop_at(target(), 5000))
    assert capacity.interrupted
    assert {step.outcome for step in capacity.steps} == {Outcome.HELD}


def stop_at(run, rate):
    async def run_to_there(plan):
        result = await run(plan)
        if plan.rate < rate:
            return result

        return dataclasses.replace(result, interrupted=True)

    return run_to_there


async def test_a_limit_of_the_generators_own_is_called_so(result_of):
    async def run(plan):
        full = plan.rate > 1000
        return result_of(
            intended=make_histogram(1_000_000 if full else 1_000),
            load_strain=Strain(wall_s=10, cpu_share=0.99 if full else 0.5),
        )

    capacity = await find(Plan(10), [], run)
    assert capacity.limited_by == "generator"
    assert "the target's may be higher" in " ".join(found.show(capacity).split())


async def test_a_target_that_loses_messages_does_not_hold(result_of):
    async def run(plan):
        return result_of(Ledger(10, opened=10, sent=5, lost=int(plan.rate > 100)))

    assert 90 <= (await find(Plan(10), [], run)).held_per_s <= 100


async def test_a_target_that_opens_no_socket_ends_the_search_at_once(result_of):
    async def run(_):
        return result_of(Ledger(10))

    capacity = await find(Plan(10), [], run)
    assert capacity.held_per_s is None
    assert len(capacity.steps) == 1
    assert "No rate held" in found.show(capacity)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        pytest.param(["--closed-loop"], "--find-capacity sets the rate", id="closed-loop"),
        pytest.param(["--messages", "3"], "--find-capacity sets the rate", id="messages"),
        pytest.param(["--rate-per-conn", "0/s"], "needs a rate to start with", id="idle"),
        pytest.param(["--stream"], "makes many runs, and --stream is of one", id="stream"),
        pytest.param(["--console", "http://x/"], "and --console is of one", id="console"),
        pytest.param(["--journal", "x"], "and --journal is of one", id="journal"),
        pytest.param(["--csv", "-"], "makes many runs, and --csv is of one", id="csv"),
    ],
)
def test_what_does_not_go_with_a_search_is_one_line(capsys, arguments, complaint):
    assert cli.main(["1", "--find-capacity", *arguments]) == 2
    assert complaint in capsys.readouterr().err
