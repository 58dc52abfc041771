"""Each user ends in the column that a plain model puts it in, and gives back what it took.

On a virtual clock, without sockets: `tests/integration/loadgen/scenario` has those.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import trio
import trio.testing
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from loadgen.engine.books import Books
from loadgen.engine.crowd import Gate
from loadgen.engine.steering import Steering
from loadgen.results.ledger import Failure, Ledger
from loadgen.results.scenario import ScenarioBooks
from loadgen.scenario import crowd as crowd_module
from loadgen.scenario import loader, pace, phases
from loadgen.scenario.blocking import BlockingWatch
from loadgen.scenario.crowd import UserCrowd
from loadgen.scenario.phases import Phases
from loadgen.scenario.timetable import Timetable
from loadgen.workload.plan import Plan

#: The unit of all times here, in seconds: whoever waits for a crowd looks each millisecond.
UNIT_S = 1 / 8
LOAD_S, STOP_S = 4 * UNIT_S, 2 * UNIT_S
#: What a user does, and after how many seconds of the load.
SCRIPT = """
import trio
from loadgen.scenario import scenario

DOES = {does}

async def fail(user):
    raise ValueError(user)

async def act(what, seconds, user):
    await trio.sleep(seconds)
    if what == "raise":
        await fail(user)
    if what == "group":
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep_forever)
            nursery.start_soon(fail, user)
    if what == "shielded":
        with trio.CancelScope(shield=True):
            await trio.sleep(0.125 / 8)
    if what == "ever":
        try:
            await trio.sleep_forever()
        finally:
            with trio.CancelScope(shield=True):
                await trio.sleep(0.25 / 8)
"""
WAITING = """
@scenario
async def wait(user):
    what, seconds = DOES[user.number]
    if what == "early":
        return
    if what == "early raise":
        await fail(user)
    await user.ready()
    await act(what, seconds, user)
"""
JOURNEY = """
@scenario
async def journey(user):
    what, seconds = DOES[user.number % len(DOES)]
    await act(what, seconds, user)
"""
KINDS = ["early", "early raise", "finish", "raise", "group", "shielded", "ever"]
#: No two things happen at one moment: the load ends, and is interrupted, between what users do.
DOES = st.tuples(st.sampled_from(KINDS), st.integers(0, 7).map(lambda unit: (unit + 0.25) * UNIT_S))


MOMENTS = st.integers(1, 7).map(lambda unit: unit * UNIT_S)
STAYS = DOES.filter(lambda does: not does[0].startswith("early")).map(
    lambda does: (does[0], does[1] + UNIT_S / 16)
)


@pytest.fixture(autouse=True)
def one_clock() -> Iterator[None]:
    """Let stamps be by the virtual clock as well."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (crowd_module, pace, phases):
            patch.setattr(module, "now_us", lambda: round(trio.current_time() * 1_000_000))
        yield


class Bench:
    """The users of a script, led through the phases as an engine leads them."""

    def __init__(self, script: str, does: Any, plan: Plan) -> None:
        source = SCRIPT.replace("{does}", repr(does)) + script
        self.script = loader.load("s.py", (("s.py", source.encode()),))
        self.plan, self.books = plan, ScenarioBooks()
        self.phases = Phases(plan.load_s, plan.stop_timeout_s)
        self.run_books = Books(Ledger(0))
        self.gate = Gate(plan)
        self.waited = Counter[str]()
        self.steering, self.sockets = Steering(), set[Any]()
        self.copies_awaited, self.asked_others_s = 0, 0.0
        #: When the load is changed by hand, and its factor then.
        self.changes: list[tuple[float, float]] = []

    async def lead(self, interrupt_at_s: float | None) -> None:
        async with trio.open_nursery() as nursery:
            context: Any = SimpleNamespace(
                plan=self.plan, phases=self.phases, books=self.books, gate=self.gate,
                run=SimpleNamespace(steering=self.steering, books=self.run_books),
                sockets=self.sockets, events=SimpleNamespace(awaited=self.copies_awaited),
                ledger=self.run_books.ledger, nursery=nursery, users=self.plan.count,
                timetable=Timetable(),
            )  # fmt: skip
            self.watch = BlockingWatch()
            crowd = self.crowd = UserCrowd(context, self.script, self.watch)
            opening, loading = trio.CancelScope(), trio.CancelScope()

            async def interrupt() -> None:
                await trio.sleep(interrupt_at_s or 0.0)
                crowd.interrupt()
                # All ends in this moment: the load, what awaits copies, and the sockets' time runs.
                assert self.phases.is_load_over
                assert self.phases.are_copies_settled
                assert self.phases.sockets_end_s <= trio.current_time() + self.plan.stop_timeout_s
                for scope in (opening, loading):
                    scope.cancel()

            async def change(at_s: float, factor: float) -> None:
                await trio.sleep(at_s)
                self.steering.turn(at_s, factor)

            if interrupt_at_s is not None:
                nursery.start_soon(interrupt)
            for each in self.changes:
                nursery.start_soon(change, *each)
            await nursery.start(crowd.host)
            await crowd.open(opening)
            if crowd.has_load and not self.phases.is_interrupted:
                await crowd.load(loading)
            with trio.fail_after(1000 * UNIT_S):
                await crowd.close(self._wait_for_others)
            crowd.dismiss()
            nursery.cancel_scope.cancel()

    async def _wait_for_others(self) -> None:
        await trio.lowlevel.checkpoint()
        self.waited["others"] += 1
        self.asked_others_s = trio.current_time() - (self.phases.began_s or 0.0)

    def run(self, interrupt_at_s: float | None = None) -> Counter[str]:
        """Run to the end; return how many users ended in which way."""
        trio.run(self.lead, interrupt_at_s, clock=trio.testing.MockClock(autojump_threshold=0))
        self.unsettled = self.books.users.requested - self.books.users.settled
        self.books.settle(interrupted=interrupt_at_s is not None)
        self.books.check_identities()
        # Whatever was taken is given back.
        assert self.gate.limiter.borrowed_tokens == 0
        assert (self.crowd._at_work, self.watch._users) == (0, {})
        assert not self.phases._ends_with_load
        assert not self.phases._changes_with_load
        assert self.phases.waiting_for_copies == 0
        assert self.waited["others"] == 1
        users = self.books.users
        names = ("requested", "finished", "failed", "interrupted", "not_started")
        return +Counter({name: getattr(users, name) for name in names})


def column_of(what: str, at_s: float, ends_s: float) -> str:
    """Tell in which column a user ends whose time is up at some moment of the load."""
    if what in ("early", "early raise"):
        return "finished" if what == "early" else "failed"
    if at_s > ends_s or what == "ever":
        return "interrupted"
    return "failed" if what in ("raise", "group") else "finished"


FAST = settings(max_examples=30, suppress_health_check=list(HealthCheck))


@FAST
@given(st.lists(DOES, min_size=1, max_size=6), st.none() | MOMENTS, st.integers(1, 3))
def test_users_of_one_load_end_as_they_do_or_when_their_time_is_up(
    does: list[tuple[str, float]], interrupt_at_s: float | None, at_once: int
) -> None:
    plan = Plan(len(does), scenario="s.py", duration_s=LOAD_S, stop_timeout_s=STOP_S,
                connect_concurrency=at_once)  # fmt: skip
    bench = Bench(WAITING, does, plan)
    ends_s = LOAD_S + STOP_S
    if interrupt_at_s is not None:
        ends_s = min(interrupt_at_s, ends_s)
    expected = Counter(column_of(what, at_s, ends_s) for what, at_s in does)
    assert bench.run(interrupt_at_s) == expected + Counter(requested=len(does))
    assert bench.phases._awaited <= 0


@FAST
@given(
    st.lists(STAYS, min_size=3, max_size=3), st.none() | MOMENTS, st.integers(1, 4)
)  # fmt: skip
def test_of_users_that_arrive_each_has_a_place_for_as_long_as_it_stays_or_none(
    does: list[tuple[str, float]], interrupt_at_s: float | None, places: int
) -> None:
    plan = Plan(
        places, scenario="s.py", arrive=2.0 / UNIT_S, duration_s=LOAD_S, stop_timeout_s=STOP_S
    )
    bench = Bench(JOURNEY, does, plan)
    ends_s = LOAD_S + STOP_S if interrupt_at_s is None else min(interrupt_at_s, LOAD_S + STOP_S)
    expected, leave_s = Counter[str](), list[float]()
    for number in range(8):
        due_s = (number + 0.5) / 2.0 * UNIT_S
        if due_s > ends_s:
            break
        expected["requested"] += 1
        leave_s = [each for each in leave_s if each > due_s]
        if len(leave_s) >= places:
            expected["not_started"] += 1
            continue
        what, takes_s = does[number % 3]
        # What is shielded goes on a little longer, and holds its place as long.
        leaves_s = due_s + takes_s + (UNIT_S / 8 if what == "shielded" else 0.0)
        leave_s.append(float("inf") if what == "ever" else leaves_s)
        expected[column_of(what, due_s + takes_s, ends_s)] += 1
    assert bench.run(interrupt_at_s) == expected
    # Each that began has been late by something.
    begun = expected["requested"] - expected["not_started"]
    lag = bench.run_books.scheduling_lag.end_second()
    assert (lag.count, lag.sum_us < 10_000 * begun + 1) == (begun, True)


def test_when_a_whole_wave_waited_in_vain_the_users_behind_it_are_not_begun() -> None:
    """Who has a place counts as waiting in vain once so many handshakes have timed out."""
    for timeouts, opened, is_hopeless in ((1, 0, False), (2, 0, True), (9, 1, False)):
        plan = Plan(5, scenario="s.py", duration_s=LOAD_S, connect_concurrency=2)
        bench = Bench(WAITING, [("finish", UNIT_S / 4)] * 5, plan)
        bench.run_books.ledger.opened = opened
        bench.run_books.ledger.failed[Failure.TIMEOUT] = timeouts
        column = "not_started" if is_hopeless else "finished"
        assert bench.run() == {"requested": 5, column: 5}


def test_users_whose_place_never_came_did_not_start_when_all_is_interrupted() -> None:
    plan = Plan(4, scenario="s.py", duration_s=LOAD_S, connect_concurrency=1)
    script = WAITING.replace(
        "    await user.ready()\n", "    await trio.sleep_forever()\n    await user.ready()\n"
    )
    bench = Bench(script, [("finish", UNIT_S / 4)] * 4, plan)
    assert bench.run(2 * UNIT_S) == {"requested": 4, "interrupted": 1, "not_started": 3}
    assert bench.phases._awaited <= 0


@pytest.mark.parametrize("index", range(3))
def test_a_change_of_the_load_leaves_each_shard_its_own_users(index: int) -> None:
    whole = Plan(30, scenario="s.py", arrive=3.0 / UNIT_S, duration_s=LOAD_S)
    script = """
@scenario
async def journey(user):
    user.count(f"{user.number}")
"""
    bench = Bench(script, [], whole.shard(index, 3))
    bench.changes = [(LOAD_S / 2, 2.0)]
    bench.run()
    # Six arrive until the middle of the load, and then twice as many.
    assert bench.books.counters == {str(number): 1 for number in range(index, 18, 3)}


def test_the_load_ends_with_the_last_arrival_if_all_have_left_by_then() -> None:
    plan = Plan(9, scenario="s.py", arrive=0.5 / UNIT_S, duration_s=LOAD_S)
    bench = Bench("@scenario\nasync def journey(user): user.count('came')\n", [], plan)
    assert bench.run() == {"requested": 2, "finished": 2}
    load_s = bench.phases._ended_s - (bench.phases.began_s or 0.0)
    assert load_s == pytest.approx(3 * UNIT_S, abs=UNIT_S / 16)


def test_a_raise_after_the_last_user_of_the_plan_still_brings_some() -> None:
    plan = Plan(9, scenario="s.py", arrive=0.5 / UNIT_S, duration_s=LOAD_S)
    script = """
@scenario
async def journey(user):
    user.count(f"{user.number}")
"""
    bench = Bench(script, [], plan)
    # Two arrive as planned, the second after three units; then there is room for four more.
    bench.changes = [(0.5 * UNIT_S, 1.0), (3.5 * UNIT_S, 16.0)]
    assert bench.run() == {"requested": 6, "finished": 6}
    assert bench.books.counters == {str(number): 1 for number in range(6)}


def test_users_that_only_wait_for_copies_are_not_at_work() -> None:
    script = """
@scenario
async def wait(user):
    await user.ready()
    while user.in_load:
        await trio.sleep(0.125 / 8)
    await user.context.phases.wait_for_copies()
    user.count("came")
"""
    plan = Plan(3, scenario="s.py", duration_s=LOAD_S, stop_timeout_s=STOP_S)
    bench = Bench(script, [], plan)
    assert bench.run() == {"requested": 3, "finished": 3}
    assert bench.books.counters == {"came": 3}
    assert bench.asked_others_s == pytest.approx(LOAD_S, abs=UNIT_S / 4)


def test_the_load_lasts_while_users_are_at_work_that_came_after_all_others_had_left() -> None:
    plan = Plan(9, scenario="s.py", arrive=0.5 / UNIT_S, duration_s=LOAD_S)
    script = """
@scenario
async def journey(user):
    await trio.sleep(0.125 / 2)
    user.count("in load", user.in_load)
"""
    bench = Bench(script, [], plan)
    assert bench.run() == {"requested": 2, "finished": 2}
    assert bench.books.counters == {"in load": 2}
    # The last came after three units, stayed for half of one, and nobody was to come any more.
    load_s = bench.phases._ended_s - (bench.phases.began_s or 0.0)
    assert load_s == pytest.approx(3.5 * UNIT_S, abs=UNIT_S / 16)


@pytest.mark.parametrize(("what", "interrupt_at_s"), [("finish", None), ("ever", UNIT_S)])
def test_a_socket_that_its_user_does_not_close_is_closed_for_it(
    what: str, interrupt_at_s: float | None
) -> None:
    """Code that shields what it does lasts longer than its user's time, but not than the run."""
    closed, patience_s = list[float](), list[float]()

    class Socket:
        def lose_all(self, since_us: int) -> None:
            patience_s.append(trio.current_time() - since_us / 1_000_000)

        async def aclose(self) -> None:
            closed.append(trio.current_time())
            await trio.sleep(UNIT_S / 2)
            bench.sockets.discard(self)

    plan = Plan(1, scenario="s.py", duration_s=LOAD_S, stop_timeout_s=STOP_S)
    bench = Bench(WAITING, [(what, UNIT_S / 4)], plan)
    bench.sockets.add(Socket())
    bench.run(interrupt_at_s)
    assert (len(closed), bench.sockets) == (1, set())
    # What was asked for half of the stop timeout before has had its time.
    assert patience_s == ([pytest.approx(STOP_S / 2)] if interrupt_at_s is None else [])


@pytest.mark.parametrize(("what", "others_s"), [("finish", 1 + 1), ("ever", 4 + 2)])
def test_copies_are_awaited_for_half_of_the_stop_timeout_and_not_beyond_the_users_time(
    what: str, others_s: float
) -> None:
    plan = Plan(1, scenario="s.py", duration_s=LOAD_S, stop_timeout_s=STOP_S)
    bench = Bench(WAITING, [(what, UNIT_S)], plan)
    bench.copies_awaited = 1
    bench.run()
    assert bench.asked_others_s == pytest.approx(others_s * UNIT_S, abs=UNIT_S / 16)


def test_a_user_that_failed_as_it_was_cancelled_has_failed() -> None:
    script = """
async def fail_at_the_end(user):
    try:
        await trio.sleep_forever()
    finally:
        await fail(user)

@scenario
async def both(user):
    await user.ready()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.sleep_forever)
        nursery.start_soon(fail_at_the_end, user)
"""
    plan = Plan(2, scenario="s.py", duration_s=LOAD_S, stop_timeout_s=STOP_S)
    assert Bench(script, [], plan).run() == {"requested": 2, "failed": 2}


def test_users_who_fell_due_while_the_loop_was_held_up_to_the_end_did_not_start() -> None:
    plan = Plan(9, scenario="s.py", arrive=2.0 / UNIT_S, duration_s=LOAD_S)
    script = """
@scenario
async def journey(user):
    trio.lowlevel.current_clock().jump(100)  # as code that blocks
"""
    bench = Bench(script, [], plan)
    assert bench.run() == {"requested": 8, "finished": 1, "not_started": 7}
    assert bench.unsettled == 0  # Whoever looks at the run has it so before it is over.


@pytest.mark.parametrize(
    ("interrupt_at_s", "ends_s"), [(None, LOAD_S + STOP_S), (2 * UNIT_S, 2 * UNIT_S)]
)
def test_code_that_a_user_shields_has_half_of_the_stop_timeout_and_no_more(
    interrupt_at_s: float | None, ends_s: float
) -> None:
    script = """
@scenario
async def stay(user):
    await user.ready()
    for seconds in (0.0625, 1e6):
        with trio.CancelScope(shield=True):
            await trio.sleep(ENDS_S + seconds)
            user.count(f"shielded {seconds}")
"""
    plan = Plan(1, scenario="s.py", duration_s=LOAD_S, stop_timeout_s=STOP_S)
    for script_s, lasts in (("0.0625", 1), ("0.1875", 0)):
        its_script = script.replace("0.0625", script_s).replace("ENDS_S", str(ends_s))
        bench = Bench(its_script, [], plan)
        assert bench.run(interrupt_at_s) == {"requested": 1, "interrupted": 1}
        assert bench.books.counters == ({f"shielded {script_s}": 1} if lasts else {})


def test_during_a_pause_no_journey_begins_anew() -> None:
    script = """
@scenario
async def journey(user):
    user.count("turns")
    await trio.sleep(0.125)
"""
    bench = Bench(script, [], Plan(2, scenario="s.py", duration_s=LOAD_S))
    bench.changes = [(1.5 * UNIT_S, 0.0)]
    assert bench.run() == {"requested": 2, "finished": 2}
    assert bench.books.counters == {"turns": 4}


COUNTS = """
@scenario
async def journey(user):
    user.count(f"{user.number}")
    await trio.sleep(10.0)
"""


@pytest.mark.parametrize("index", range(3))
def test_users_that_begin_with_the_load_are_each_shards_own(index: int) -> None:
    whole = Plan(7, scenario="s.py", duration_s=LOAD_S, stop_timeout_s=STOP_S)
    bench = Bench(COUNTS, [], whole.shard(index, 3))
    own = range(index, 7, 3)
    assert bench.run() == {"requested": len(own), "interrupted": len(own)}
    assert bench.books.counters == {str(number): 1 for number in own}


@pytest.mark.parametrize(("users", "has_load"), [(1, False), (2, True)])
def test_without_a_user_there_or_to_come_the_load_does_not_begin(
    users: int, has_load: bool
) -> None:
    """The first user ends before the load, and of two each has a scenario of its own."""
    plan = Plan(users, scenario="s.py", duration_s=LOAD_S, stop_timeout_s=STOP_S)
    bench = Bench(WAITING + COUNTS, [("early", 0.0)], plan)
    ended = {"interrupted": 1} if has_load else {}
    assert bench.run() == {"requested": users, "finished": 1, **ended}
    assert (bench.phases.began_s is not None) is has_load
