"""A target is asked once a second, on one connection while that can be used."""

from types import SimpleNamespace

import pytest
import trio

from loadgen.engine.running import Phase
from loadgen.target_metrics import poll as poll_module
from loadgen.target_metrics.http import FetchFailed
from loadgen.target_metrics.parse import Meaningless, Reading
from loadgen.target_metrics.poll import TIMEOUT_S, TargetSeries


class Target:
    """A target of which the test says how it answers each time."""

    def __init__(self, answers):
        self.answers = list(answers)
        self.opened = self.closed = 0

    async def open(self, source):
        assert source.url == "http://h:1/metrics?token=s3cret"
        self.opened += 1
        return Connection(self)


class Connection:
    """A connection to the target."""

    is_stale = False
    is_reusable = True

    def __init__(self, target):
        self._target = target

    async def get(self):
        await trio.lowlevel.checkpoint()
        answer = self._target.answers.pop(0)
        if answer == "slow":
            await trio.sleep(TIMEOUT_S + 0.01)
        elif answer == "just in time":
            await trio.sleep(TIMEOUT_S - 0.01)
        elif answer == "refused":
            raise FetchFailed("the target refused")
        elif answer == "last":
            self.is_reusable = False
        elif answer == "stale afterwards":
            self.is_stale = True
        return (answer,)

    async def close(self):
        self._target.closed += 1
        await trio.lowlevel.checkpoint()


class Engine:
    """A run whose seconds end on the clock; the load begins with the second one, or at a moment."""

    def __init__(self, load_at_s=None):
        self.series = []
        self._load_at_s = load_at_s

    @property
    def phase(self):
        if self._load_at_s is not None:
            return Phase.LOAD if trio.current_time() >= self._load_at_s else Phase.OPEN
        return Phase.LOAD if len(self.series) > 1 else Phase.OPEN

    async def wait_for_second(self):
        await trio.sleep(1)
        self.series.append(SimpleNamespace(t_s=float(len(self.series) + 1)))


async def report_of(monkeypatch, answers, load_at_s=None):
    """Have a target asked until it has given these answers; return it and the report."""
    target, given = Target(answers), []

    def read(answer):
        given.append(answer)
        if answer == "nonsense":
            raise Meaningless("no figures")
        return Reading(cpu_s=0.5 * len(given), lag_ms=float(len(given)))

    async def run_sync(call, *arguments, abandon_on_cancel):
        await trio.lowlevel.checkpoint()
        assert abandon_on_cancel
        return call(*arguments)

    monkeypatch.setattr(poll_module, "HttpConnection", target)
    monkeypatch.setattr(poll_module, "read", read)
    monkeypatch.setattr(poll_module.trio.to_thread, "run_sync", run_sync)
    series = TargetSeries("http://h:1/metrics?token=s3cret")
    with trio.move_on_after(len(answers) - 0.05):
        await series.keep(Engine(load_at_s))
    assert target.answers == []
    report = series.report()
    assert report.source == "http://h:1/metrics?token=***"
    return target, report


async def test_each_second_has_its_answer_on_one_connection(monkeypatch, autojump_clock):
    target, report = await report_of(monkeypatch, ["a", "b", "c", "d"])
    assert [(second.t_s, second.cpu_share) for second in report.series] == [
        (1.0, 0.5), (2.0, 0.5), (3.0, 0.5),
    ]  # fmt: skip
    assert (report.errors, report.last_error) == (0, None)
    assert (report.loop_lag.max, target.opened, target.closed) == (4.0, 1, 1)


@pytest.mark.parametrize(
    ("answer", "error", "opened"),
    [
        ("slow", "no answer within a second", 2),
        ("refused", "the target refused", 2),
        ("nonsense", "/metrics?token=***: no figures", 2),
        ("last", None, 2),
        ("stale afterwards", None, 2),
        ("just in time", None, 1),
    ],
)
async def test_one_that_fails_is_counted_and_the_next_second_asked_anew(
    monkeypatch, autojump_clock, answer, error, opened
):
    target, report = await report_of(monkeypatch, ["a", answer, "c"])
    assert (report.errors, report.last_error) == (0 if error is None else 1, error)
    assert len(report.series) == 2 - report.errors
    assert (target.opened, target.closed) == (opened, opened)


async def test_an_answer_is_of_the_phase_in_which_it_was_asked_for(monkeypatch, autojump_clock):
    _, report = await report_of(monkeypatch, ["a", "just in time"], load_at_s=1.5)
    (second,) = report.series
    assert (second.t_s, second.cpu_share) == (1.0, round(0.5 / (1 + TIMEOUT_S - 0.01), 4))
    assert (report.cpu_share, report.loop_lag.max) == (None, None)  # None was under load.
