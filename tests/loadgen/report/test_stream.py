import json
from collections import Counter
from types import SimpleNamespace

import msgspec
import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from loadgen.report import stream
from loadgen.results.ledger import Ending, Failure, Ledger
from loadgen.results.scenario import UserBooks
from loadgen.results.series import Second
from loadgen.results.verify import Verdict
from loadgen.workload.lever import Lever, Wanted
from loadgen.workload.plan import Plan


class FakeEngine(SimpleNamespace):
    """An engine that books a second as soon as somebody waits for it."""

    def __init__(self, result):
        lever = Lever(result.plan)
        super().__init__(phase="load", result=result, lever=lever, interrupted=trio.Event())

    async def wait_for_second(self):
        await trio.lowlevel.checkpoint()

    def result_so_far(self):
        return self.result

    def interrupt(self):
        self.interrupted.set()


def test_a_snapshot_is_one_line_with_the_agreed_keys(result_of):
    line = stream.encode(stream.take_snapshot("load", result_of()))
    assert line.count(b"\n") == 1
    snapshot = json.loads(line)
    assert list(snapshot) == [
        "type", "phase", "t_s", "connections", "messages", "latency", "second", "users",
        "load",
    ]  # fmt: skip
    assert (snapshot["type"], snapshot["phase"], snapshot["t_s"]) == ("snapshot", "load", 1.0)
    assert set(snapshot["connections"]) == {
        "requested", "opened", "open", "opening", "not_attempted", "failed", "closed"
    }  # fmt: skip
    assert snapshot["messages"] == {
        "sent": 20, "one_way": 0, "published": 0, "received": 20, "echoed": 20, "reordered": 0,
        "corrupt": 0, "duplicate": 0, "expected": 0, "ignored": 0, "streamed": 0, "copies": 0,
        "unexpected": 0, "lost": 0, "in_flight": 0, "awaited": 0,
    }  # fmt: skip
    assert set(snapshot["latency"]) == {"intended", "service", "scheduling_lag", "script_lag"}
    assert snapshot["second"]["sent"] == 20


async def test_each_second_booked_becomes_a_line(result_of):
    lines, enough = [], trio.Event()
    token = trio.lowlevel.current_trio_token()

    def write(line):
        lines.append(line)
        if len(lines) == 2:
            token.run_sync_soon(enough.set)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(stream.stream, FakeEngine(result_of()), write)
        await enough.wait()
        nursery.cancel_scope.cancel()
    assert {json.loads(line)["type"] for line in lines} == {"snapshot"}
    assert json.loads(lines[0])["load"]["paused"] is False


async def test_a_line_waits_for_its_second_and_is_of_that(result_of, autojump_clock):
    engine, lines = FakeEngine(result_of(series=[])), []

    async def wait_for_second():
        await trio.sleep(1)
        engine.result.series.append(second_of(t_s=trio.current_time()))

    async def run_sync(write, line):
        await trio.lowlevel.checkpoint()
        write(line)

    engine.wait_for_second = wait_for_second
    with pytest.MonkeyPatch.context() as patch, trio.move_on_after(3.5):
        patch.setattr(stream.trio.to_thread, "run_sync", run_sync)
        await stream.stream(engine, lines.append)
    assert [json.loads(line)["t_s"] for line in lines] == [1.0, 2.0, 3.0]


async def test_a_reader_that_has_gone_ends_the_run_in_good_order_and_is_sent_nothing_more(
    result_of,
):
    tried = []

    def write(line):
        tried.append(line)
        raise BrokenPipeError

    engine = FakeEngine(result_of())
    async with trio.open_nursery() as nursery:
        nursery.start_soon(stream.stream, engine, write)
        await engine.interrupted.wait()
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert len(tried) == 1


def test_a_snapshot_tells_each_figure_by_its_own_name(result_of):
    ledger = Ledger(
        100,
        opened=60,
        not_attempted=3,
        failed=Counter({Failure.TLS: 7}),
        closed=Counter({Ending.CLEAN: 11, Ending.BY_PEER: 13}),
        sent=1000,
        received=900,
        abandoned=17,
        lost=19,
        in_flight=23,
        verdicts=Counter({verdict: 100 + at for at, verdict in enumerate(Verdict)}),
    )
    seconds = [second_of(t_s=1.0, opening=99), second_of(t_s=2.0, opening=5)]
    snapshot = json.loads(
        stream.encode(stream.take_snapshot("open", result_of(ledger, series=seconds)))
    )
    connections = snapshot["connections"]
    assert {name: n for name, n in connections.pop("failed").items() if n} == {"tls": 7}
    assert {n for n in connections.pop("closed").values() if n} == {11, 13}
    assert connections == {
        "requested": 100, "opened": 60, "open": 36, "opening": 5, "not_attempted": 3
    }  # fmt: skip
    assert snapshot["messages"] == {
        "sent": 1000, "received": 900, "lost": 19, "in_flight": 23,
        "awaited": 1000 - 100 - 101 - 102 - 17,
        "one_way": 0, "published": 0,
        **{str(verdict): 100 + at for at, verdict in enumerate(Verdict)},
    }  # fmt: skip
    assert (snapshot["t_s"], snapshot["second"]["t_s"], snapshot["phase"]) == (2.0, 2.0, "open")


@given(st.lists(st.integers(0, 99), min_size=5, max_size=5))
def test_each_user_is_in_one_column_and_those_in_none_are_at_work(counts):
    at_work, finished, failed, interrupted, not_started = counts
    users = UserBooks(
        requested=sum(counts), finished=finished, failed=failed, interrupted=interrupted,
        not_started=not_started,
    )  # fmt: skip
    shown = msgspec.structs.asdict(stream._count_users(users))
    assert shown == {
        "requested": sum(counts), "at_work": at_work, "finished": finished, "failed": failed,
        "interrupted": interrupted, "not_started": not_started,
    }  # fmt: skip


def test_the_load_is_shown_as_it_is_and_as_it_will_be_after_a_pause():
    lever = Lever(Plan(2, rate=50.0))
    lever.pull(Wanted(factor=2.0, paused=True), t_s=1.0, load_s=0.5)
    shown = stream.show_load(lever)
    assert (shown.unit, shown.planned, shown.rate, shown.factor) == ("rate", 50.0, 100.0, 2.0)
    assert (shown.paused, shown.changes) == (True, list(lever.changes))
    closed = stream.show_load(Lever(Plan(2, closed_loop=True)))
    assert (closed.unit, closed.planned, closed.rate, closed.paused) == (None, None, None, False)


def second_of(**figures):
    rest = dict.fromkeys(Second.__struct_fields__, 0)
    return Second(**rest | figures)
