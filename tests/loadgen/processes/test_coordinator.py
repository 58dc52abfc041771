"""Several shards become one run, whatever each says and when: on a virtual clock.

`tests/integration/loadgen/test_workers.py` has the same with real processes.
"""

import time
from collections import Counter
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from loadgen.engine.running import Phase
from loadgen.preflight.check import Refused
from loadgen.processes import messages
from loadgen.processes.coordinator import CLOCK_QUESTIONS, LATE_S, SILENCE_S, Coordinator
from loadgen.processes.member import DIED, nothing_measured
from loadgen.processes.messages import LinkLost
from loadgen.results import record
from loadgen.results.fan_out import Copied, Joined, Published
from loadgen.results.ledger import Ending, Failure, Fault, Ledger
from loadgen.results.result import Place
from loadgen.results.scenario import ScenarioBooks
from loadgen.results.series import Second
from loadgen.results.verify import Verdict
from loadgen.workload.lever import BadChange, NotLoading, Wanted
from loadgen.workload.misbehaviour import Behave, Kind
from loadgen.workload.plan import Plan

STARTED = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


class FakeLink:
    """A shard that says what it is told to, and remembers its orders."""

    def __init__(self, plan, worker=None):
        self.plan, self.worker, self.orders, self.killed = plan, worker, [], []
        self._words, self._heard = trio.open_memory_channel(100)

    async def send(self, order):
        await trio.lowlevel.checkpoint()
        self.orders.append(order)

    async def receive(self):
        word = await self._heard.receive()
        if isinstance(word, LinkLost):
            raise word
        return word

    def kill(self, why):
        self.killed.append(why)
        self._words.send_nowait(LinkLost(why))

    async def say(self, *words):
        for word in words:
            self._words.send_nowait(word)
        await wait_all_tasks_blocked()

    async def die(self):
        await self.say(LinkLost("killed by SIGKILL"))

    def orders_of(self, kind):
        return [order for order in self.orders if isinstance(order, kind)]

    @property
    def phases(self):
        """Those that it was let go on to."""
        return [order.phase for order in self.orders_of(messages.Proceed)]


class FakeLauncher:
    are_clocks_shared, scheduler = True, None

    def __init__(self, links):
        self.links = links

    async def check(self, plan):
        return ["ports are tight"]

    @asynccontextmanager
    async def launch(self, plan):
        yield self.links


class Run:
    """A coordinator, its shards and, when it is over, its result."""

    def __init__(self, plan, shards, nursery, *, workers=None):
        workers = workers or [None] * shards
        self.links = [FakeLink(plan.shard(at, shards), workers[at]) for at in range(shards)]
        self.launcher = FakeLauncher(self.links)
        self.warnings = []
        self.coordinator = Coordinator(plan, self.launcher, on_warning=self.warnings.append)
        self.result = None
        self._nursery = nursery

    async def begin(self):
        self._nursery.start_soon(self._run)
        await wait_all_tasks_blocked()
        for link in self.links:
            await link.say(messages.Hello(1))

    async def _run(self):
        self.result = await self.coordinator.run()

    async def wait_for(self, phase, *links):
        for link in links or self.links:
            await link.say(messages.Waiting(phase))


@pytest.fixture
def make_run(nursery):
    def make(plan=Plan(5), shards=2, **options):  # noqa: B008 - frozen
        return Run(plan, shards, nursery, **options)

    return make


def second(t_s, **figures):
    rest = dict.fromkeys(Second.__struct_fields__, 0)
    return Second(**rest | {"t_s": float(t_s)} | figures)


@pytest.fixture
def noted(result_of):
    """A record of a shard that has done so much."""

    def make(ledger, seconds=(), phase="load", **changes):
        return record.make(phase, result_of(ledger, **changes), list(seconds))

    return make


def over(sockets, messages_=0):
    ledger = Ledger(sockets)
    for _ in range(sockets):
        ledger.count_opened()
    for _ in range(sockets):
        ledger.count_ended(Ending.CLEAN, 1000, early=False)
    ledger.sent = ledger.lost = messages_
    return ledger


async def test_a_phase_begins_for_all_at_once_when_the_last_is_ready(make_run, autojump_clock):
    run = make_run()
    await run.begin()
    one, other = run.links
    assert [order.plan.count for link in run.links for order in link.orders] == [3, 2]
    await run.wait_for(Phase.OPEN, one)
    assert (one.phases, other.phases) == ([], [])
    await run.wait_for(Phase.OPEN, other)
    assert one.phases == other.phases == [Phase.OPEN]
    moments = [link.orders_of(messages.Proceed)[0].at_s for link in run.links]
    assert moments[0] == moments[1]
    await run.wait_for(Phase.LOAD)
    await run.wait_for(Phase.CLOSE, other)
    assert one.phases == other.phases == [Phase.OPEN, Phase.LOAD]
    assert run.coordinator.phase is Phase.LOAD


async def test_the_run_is_closing_once_the_users_of_every_shard_take_their_leave(
    make_run, noted, autojump_clock
):
    run = make_run()
    await run.begin()
    await run.wait_for(Phase.OPEN)
    await run.wait_for(Phase.LOAD)
    one, other = run.links
    await one.say(messages.Noted(noted(Ledger(3), [second(1)], phase="close")))
    await other.say(messages.Noted(noted(Ledger(2), [second(1)])))
    assert run.coordinator.phase is Phase.LOAD
    await other.say(messages.Noted(noted(Ledger(2), [second(2)], phase="close")))
    assert run.coordinator.phase is Phase.CLOSE
    await run.wait_for(Phase.CLOSE)
    assert one.phases == other.phases == [Phase.OPEN, Phase.LOAD, Phase.CLOSE]


async def test_a_shard_that_died_is_not_waited_for(make_run, autojump_clock):
    run = make_run()
    await run.begin()
    await run.wait_for(Phase.OPEN, run.links[0])
    await run.links[1].die()
    assert run.links[0].phases == [Phase.OPEN]


async def test_clocks_elsewhere_are_asked_and_the_quickest_answer_counts(make_run, autojump_clock):
    run = make_run()
    run.launcher.are_clocks_shared = False
    await run.begin()
    ahead_s = {run.links[0]: 1000.0, run.links[1]: -2000.0}
    for link, ahead in ahead_s.items():
        for number in range(CLOCK_QUESTIONS):
            assert len(link.orders_of(messages.AskClock)) == number + 1
            # As if it had been asked some seconds ago: that much the answer was on its way. One
            # was quicker than the others, which say nonsense.
            journey_s, wrong_s = (2.0, 0.0) if number == 3 else (7.0 + number, 99.0)
            asked_s = time.perf_counter() - journey_s
            await link.say(messages.Clock(asked_s, asked_s + journey_s / 2 + ahead + wrong_s))
        await run.wait_for(Phase.OPEN, link)
    for link, ahead in ahead_s.items():
        (order,) = link.orders_of(messages.Proceed)
        head_start_s = order.at_s - ahead - time.perf_counter()
        # Twice the journey of the slowest, and a little.
        assert 3.7 < head_start_s < 4.5


async def test_no_phase_begins_before_each_clock_is_known(make_run, autojump_clock):
    run = make_run()
    run.launcher.are_clocks_shared = False
    await run.begin()
    await run.wait_for(Phase.OPEN)
    assert run.links[0].phases == []
    for link in run.links:
        for _ in range(CLOCK_QUESTIONS - 1):
            await link.say(messages.Clock(time.perf_counter(), time.perf_counter()))
    await run.wait_for(Phase.OPEN)  # It looks once more: one answer of each is still to come.
    assert run.links[0].phases == []
    for link in run.links:
        await link.say(messages.Clock(time.perf_counter(), time.perf_counter()))
    assert run.links[0].phases == run.links[1].phases == [Phase.OPEN]


async def test_a_second_is_booked_once_when_all_have_told_of_it(make_run, noted, autojump_clock):
    run = make_run()
    await run.begin()
    one, other = run.links
    coordinator = run.coordinator

    def booked():
        return [(each.t_s, each.sent) for each in coordinator.series]

    await one.say(messages.Noted(noted(Ledger(3), [second(1, sent=1), second(2, sent=10)])))
    assert booked() == []
    await other.say(messages.Noted(noted(Ledger(2), [second(1.1, sent=100)])))
    assert booked() == [(1.0, 101)]
    await one.say(messages.Noted(noted(Ledger(3), [second(3, sent=20)])))
    await other.say(messages.Noted(noted(Ledger(2), [second(2, sent=200)])))
    assert booked() == [(1.0, 101), (2.0, 210)]
    await other.say(messages.Noted(noted(Ledger(2), [second(3, sent=300), second(4, sent=400)])))
    assert booked() == [(1.0, 101), (2.0, 210), (3.0, 320)]
    assert coordinator.result_so_far().series == coordinator.series


async def test_a_shard_that_has_finished_holds_no_second_up_and_gets_no_order(
    make_run, noted, autojump_clock
):
    run = make_run(Plan(5, rate=50.0, duration_s=30.0))
    await run.begin()
    one, other = run.links
    for phase in (Phase.OPEN, Phase.LOAD):
        await run.wait_for(phase)
    await trio.sleep(1.0)
    await one.say(messages.Noted(noted(over(3), [second(1, sent=1)])))
    await other.say(messages.Finished(noted(over(2), [second(1, sent=10)])))
    await one.say(messages.Noted(noted(over(3), [second(2, sent=2)])))
    assert [each.sent for each in run.coordinator.series] == [11, 2]
    run.coordinator.steer(Wanted(paused=True))
    await wait_all_tasks_blocked()
    assert [len(link.orders_of(messages.Steer)) for link in run.links] == [1, 0]


async def test_a_shard_that_is_late_holds_no_second_up(make_run, noted, autojump_clock):
    run = make_run()
    await run.begin()
    one, other = run.links
    for link in run.links:
        await link.say(messages.Noted(noted(Ledger(2), [second(1, sent=1)])))
    await trio.sleep(LATE_S - 0.5)
    await one.say(messages.Noted(noted(Ledger(2), [second(2, sent=10)])))
    assert [each.sent for each in run.coordinator.series] == [2]
    await trio.sleep(1)
    await one.say(messages.Noted(noted(Ledger(2), [second(3, sent=100)])))
    assert [each.sent for each in run.coordinator.series] == [2, 10, 100]
    await other.say(messages.Noted(noted(Ledger(2), [second(2, sent=5), second(3, sent=5)])))
    assert [each.sent for each in run.coordinator.series] == [2, 10, 100]


async def test_who_waits_for_a_second_is_woken_by_each(make_run, noted, autojump_clock, nursery):
    run = make_run(Plan(1), 1)
    await run.begin()
    woken = []

    async def watch():
        while True:
            await run.coordinator.wait_for_second()
            woken.append(len(run.coordinator.series))

    nursery.start_soon(watch)
    await wait_all_tasks_blocked()
    for number in (1, 2):
        await run.links[0].say(messages.Noted(noted(Ledger(1), [second(number)])))
    assert woken == [1, 2]


async def test_the_result_is_that_of_all_shards_together(make_run, noted, autojump_clock):
    run = make_run(Plan(5), 2, workers=["w", "w"])
    run.launcher.scheduler = "tcp://s"
    await run.begin()
    one, other = run.links
    await one.say(messages.Noted(noted(Ledger(3), [second(1, sent=1)])))
    await one.say(messages.Finished(noted(over(3, 30), [second(2, sent=29)])))
    assert run.result is None
    await other.say(messages.Finished(noted(over(2, 20), [second(1, sent=20)])))
    result = run.result
    assert (result.plan, result.interrupted, run.coordinator.phase) == (Plan(5), False, Phase.DONE)
    assert (result.ledger.requested, result.ledger.opened, result.ledger.sent) == (5, 5, 50)
    assert run.coordinator.ledger == result.ledger
    assert [(each.t_s, each.sent) for each in result.series] == [(1.0, 21), (2.0, 29)]
    assert result.workers.scheduler == "tcp://s"
    assert result.workers.places == [Place(worker="w", processes=2, sockets=5)]
    assert (result.workers.processes, result.deaths) == (2, ())


async def test_what_preflight_warns_of_is_said_once(make_run, autojump_clock):
    run = make_run()
    await run.begin()
    for link in run.links:
        await link.say(messages.Waiting(Phase.OPEN, ("memory is tight",)))
    assert run.warnings == ["ports are tight", "memory is tight"]


async def test_what_a_dead_shard_left_is_written_off_and_the_others_go_on(
    make_run, noted, autojump_clock
):
    plan = Plan(20, behave=(Behave.parse("half-open:10%"),))
    run = make_run(plan, 2)
    await run.begin()
    victim, other = run.links
    books, apart = (len(conns) for conns in (victim.plan.conns()[0], victim.plan.conns()[1][
        Kind.HALF_OPEN]))  # fmt: skip
    ledger = Ledger(books, opened=5, sent=9, received=2, due=11)
    ledger.verdicts["echoed"] = 2
    theirs = {Kind.HALF_OPEN: Ledger(apart)}
    await victim.say(messages.Noted(noted(ledger, [second(1, sent=9)], apart=theirs)))
    await victim.die()
    behaving = len(other.plan.conns()[0])
    theirs = {Kind.HALF_OPEN: over(len(other.plan.conns()[1][Kind.HALF_OPEN]))}
    await other.say(messages.Finished(noted(over(behaving), [second(1), second(2)], apart=theirs)))
    result = run.result
    whole = result.ledger
    assert whole.requested == whole.opened + whole.failed.total()
    assert (whole.orphaned, whole.failed[Failure.OTHER]) == (5, books - 5)
    assert whole.other_errors == {DIED: books - 5}
    assert whole.failed_by(Fault.MACHINE) == books - 5
    assert (whole.lost, whole.missed, whole.orphaned_messages) == (7, 2, 7)
    crowd = result.apart[Kind.HALF_OPEN]
    assert crowd.requested == crowd.opened + crowd.failed.total()
    assert crowd.failed[Failure.OTHER] == apart
    assert sum(each.errors for each in result.series) == books
    (death,) = result.deaths
    assert f"5 open sockets, {books - 5} sockets not yet open and 7 unanswered messages" in death
    assert run.warnings[-1] == death


async def test_a_dead_shard_leaves_unanswered_what_no_end_of_a_socket_or_timeout_took_before(
    make_run, noted, autojump_clock
):
    run = make_run(Plan(4), 2)
    await run.begin()
    ledger = Ledger(2, opened=2, sent=20, abandoned=4, given_up=3)
    ledger.verdicts["echoed"] = 2
    await run.links[0].say(messages.Noted(noted(ledger, [second(1)])))
    await run.links[0].die()
    assert "and 11 unanswered messages" in run.warnings[-1]


async def test_a_shard_that_dies_after_an_interruption_has_its_messages_in_flight(
    make_run, noted, autojump_clock
):
    run = make_run(Plan(4), 2)
    await run.begin()
    victim, other = run.links
    await victim.say(messages.Noted(noted(Ledger(2, opened=2, sent=9), [second(1)])))
    run.coordinator.interrupt()
    await wait_all_tasks_blocked()
    assert victim.orders[-1] == other.orders[-1] == messages.Interrupt()
    await victim.die()
    await other.say(messages.Finished(noted(over(2), [second(1)])))
    assert run.result.interrupted
    assert (run.result.ledger.lost, run.result.ledger.in_flight) == (0, 9)


@pytest.mark.parametrize("is_interrupted", [True, False])
async def test_users_of_a_shard_that_died_are_no_errors_if_the_run_was_to_end(
    make_run, noted, autojump_clock, is_interrupted
):
    run = make_run(Plan(4, scenario="talk.py"), 2)
    await run.begin()
    victim, other = run.links
    if is_interrupted:
        run.coordinator.interrupt()
        await wait_all_tasks_blocked()
    await victim.die()
    books = ScenarioBooks.of_users(2)
    books.users.finished = 2
    await other.say(messages.Finished(noted(over(2), [second(1)], scenario=books)))
    users = run.result.scenario.users
    assert (users.failed, users.interrupted) == ((0, 2) if is_interrupted else (2, 0))
    assert sum(each.errors for each in run.result.series) == users.failed


@pytest.mark.parametrize("has_told", [True, False])
async def test_the_users_of_a_shard_that_died_are_errors_of_its_last_second(
    make_run, noted, autojump_clock, has_told
):
    run = make_run(Plan(4, scenario="talk.py"), 2)
    await run.begin()
    victim, other = run.links
    if has_told:  # In the middle of a second: one has taken its leave, and one is at work.
        books = ScenarioBooks.of_users(2)
        books.users.finished = 1
        ledger = Ledger(2, opened=2, sent=9, received=7, one_way=2)
        ledger.verdicts["echoed"] = 7
        ledger.count_ended(Ending.CLEAN, 1000, early=False)
        await victim.say(messages.Noted(noted(ledger, scenario=books)))
    await victim.die()
    books = ScenarioBooks.of_users(2)
    books.users.finished = 2
    await other.say(messages.Finished(noted(over(2), [second(1)], scenario=books)))
    users, series = run.result.scenario.users, run.result.series
    assert (users.finished, users.failed) == ((3, 1) if has_told else (2, 2))
    assert sum(each.errors for each in series) == 2  # a user and its socket, or two users
    assert [sum(getattr(each, key) for each in series) for key in ("sent", "received")] == (
        [9, 7] if has_told else [0, 0]
    )


async def test_one_interrupted_shard_interrupts_the_result(make_run, noted, autojump_clock):
    run = make_run(Plan(4), 2)
    await run.begin()
    await run.links[0].say(messages.Finished(noted(over(2), [second(1)], interrupted=True)))
    await run.links[1].say(messages.Finished(noted(over(2), [second(1)])))
    assert run.result.interrupted


async def test_a_shard_is_taken_for_dead_after_a_minute_of_silence_and_no_sooner(
    make_run, noted, autojump_clock
):
    run = make_run(Plan(4), 2)
    await run.begin()
    one, other = run.links
    for _ in range(3):
        await trio.sleep(SILENCE_S - 2)
        for link in run.links:
            await link.say(messages.Noted(noted(Ledger(2))))
    assert run.warnings == ["ports are tight"]
    await trio.sleep(SILENCE_S / 2)
    await other.say(messages.Noted(noted(Ledger(2))))
    await trio.sleep(SILENCE_S / 2 + 1)
    await wait_all_tasks_blocked()
    assert len(run.warnings) == 2
    assert f"silent for {SILENCE_S} s" in run.warnings[1]
    await other.say(messages.Finished(noted(over(2), [second(1)])))
    assert run.result.ledger.failed[Failure.OTHER] == one.plan.count


async def test_a_change_reaches_all_shards_for_one_moment_that_is_still_to_come(
    make_run, autojump_clock, nursery
):
    run = make_run(Plan(5, rate=50.0, duration_s=30.0))
    with pytest.raises(NotLoading, match="has not begun"):
        run.coordinator.steer(Wanted(paused=True))
    await run.begin()
    for phase in (Phase.OPEN, Phase.LOAD):
        await run.wait_for(phase)
    await trio.sleep(3.0)
    with pytest.raises(BadChange):
        run.coordinator.steer(Wanted(rate=0.0))
    assert run.coordinator.result_so_far().changes == ()
    run.coordinator.steer(Wanted(rate=100.0))
    run.coordinator.steer(Wanted(paused=True))
    await wait_all_tasks_blocked()
    orders = [link.orders_of(messages.Steer) for link in run.links]
    assert orders[0] == orders[1]
    raised, paused = orders[0]
    assert (raised.factor, paused.factor) == (2.0, 0.0)
    load_s = run.coordinator.phase_elapsed_s
    assert load_s < raised.at_s <= paused.at_s < load_s + 1.0
    changes = run.coordinator.result_so_far().changes
    assert [(one.what, one.old, one.new) for one in changes] == [
        ("rate", 50.0, 100.0), ("pause", 100.0, 0.0)
    ]  # fmt: skip
    # By the run's clock and by the load's it is the moment that all shards were told.
    began_s = run.coordinator.elapsed_s - load_s
    for one, order in zip(changes, orders[0], strict=True):
        assert (one.load_s, one.t_s) == pytest.approx((order.at_s, order.at_s + began_s), abs=0.002)
    await trio.sleep(30.0)
    with pytest.raises(NotLoading, match="over"):
        run.coordinator.steer(Wanted(paused=False))
    for link in run.links:
        await link.die()


# -- What is said of all, and in time ------------------------------------------------------------


async def tell_clocks(run, journeys_s):
    """Answer each question about the clocks after journeys of so many seconds, one a shard."""
    for link, journey_s in zip(run.links, journeys_s, strict=True):
        for _ in range(CLOCK_QUESTIONS):
            asked_s = time.perf_counter() - journey_s
            await link.say(messages.Clock(asked_s, asked_s + journey_s / 2))


async def test_clocks_of_several_machines_differ_by_what_the_two_slowest_answers_allow(
    make_run, noted, autojump_clock
):
    run = make_run(Plan(6, verify="fan-out", message="{conn}-{seq}"), 3)
    run.launcher.are_clocks_shared = False
    await run.begin()
    await tell_clocks(run, (10.0, 40.0, 20.0))
    for link in run.links:
        await link.say(messages.Finished(noted(over(link.plan.count), [second(1)])))
    assert run.result.fan_out.clock_error_s == pytest.approx((40.0 + 20.0) / 2, abs=5.0)


async def test_an_order_waits_for_the_machine_that_is_farthest(make_run, autojump_clock):
    run = make_run(Plan(6), 3)
    run.launcher.are_clocks_shared = False
    await run.begin()
    await tell_clocks(run, (1.0, 300.0, 2.0))
    asked_s = time.perf_counter()
    await run.wait_for(Phase.OPEN)
    moments = [link.orders_of(messages.Proceed)[0].at_s for link in run.links]
    # Each by its own clock, which is half of a journey beside ours, give or take that journey.
    assert all(moment - asked_s > 400.0 for moment in moments)


async def test_the_first_refusal_is_told_and_ends_the_others(make_run, nursery, autojump_clock):
    run = make_run(Plan(6), 3)
    refused = []

    async def follow():
        try:
            await run.coordinator.run()
        except Refused as exc:
            refused.append(str(exc))

    nursery.start_soon(follow)
    await wait_all_tasks_blocked()
    for link in run.links:
        await link.say(messages.Hello(1))
    for link, why in zip(run.links[:2], ("no ports", "no files"), strict=True):
        await link.say(messages.Refusal(why))
    assert run.links[2].orders[-1] == messages.Interrupt()
    await run.links[2].say(messages.Finished(record_of_nothing()))
    assert refused == ["no ports"]


def record_of_nothing():
    return record.make("done", nothing_measured(Plan(2), STARTED, over(2), [second(1)], {}), [])


async def test_who_has_no_plan_yet_is_told_to_stop_behind_it(make_run, nursery, autojump_clock):
    run = make_run(Plan(4), 2)
    nursery.start_soon(run._run)
    await wait_all_tasks_blocked()
    one, other = run.links
    await one.say(messages.Hello(1))
    run.coordinator.interrupt()
    await wait_all_tasks_blocked()
    assert [type(order) for order in one.orders] == [messages.Begin, messages.Interrupt]
    assert other.orders == []
    await other.say(messages.Hello(2))
    assert [type(order) for order in other.orders] == [messages.Begin, messages.Interrupt]
    for link in run.links:
        await link.say(messages.Finished(record_of_nothing()))
    assert run.result.interrupted


async def test_copies_that_never_came_are_errors_of_the_last_second(
    make_run, noted, autojump_clock
):
    run = make_run(Plan(4, verify="fan-out", message="{conn}-{seq}"), 2)
    await run.begin()
    for phase in (Phase.OPEN, Phase.LOAD):
        await run.wait_for(phase)
    one, other = run.links
    joined = [Joined(1, 0, conn) for conn in (0, 2)], [Joined(1, 0, conn) for conn in (1, 3)]
    # Of two messages to four sockets, one copy comes twice and three never.
    copies = [Copied(20 + conn, 0, conn, 0, seq) for seq, conn in ((0, 0), (0, 2), (1, 0), (1, 2))]
    await one.say(
        messages.Happened(50, [*joined[0], Published(10, 0, 0, 0), Published(11, 0, 0, 1), *copies])
    )
    await other.say(
        messages.Happened(50, [*joined[1], Copied(30, 0, 1, 0, 0), Copied(31, 0, 1, 0, 0)])
    )
    await run.wait_for(Phase.CLOSE)
    for link, sent in ((one, 2), (other, 0)):
        ledger = over(2)
        ledger.sent = ledger.published = sent
        ledger.received = 4 if sent else 2
        ledger.verdicts[Verdict.COPIES] = ledger.received
        seconds = [second(1, sent=sent, errors=5), second(2)]
        await link.say(messages.Finished(noted(ledger, seconds)))
    ledger = run.result.ledger
    assert (ledger.owed, ledger.delivered, ledger.missing, ledger.extra) == (8, 5, 3, 1)
    assert [each.errors for each in run.result.series] == [10, 3 + 1]
    assert ledger.errors == 4


async def test_what_a_shard_had_done_since_its_last_second_is_in_the_second_it_died_in(
    make_run, noted, autojump_clock
):
    run = make_run(Plan(4), 2)
    await run.begin()
    victim, other = run.links
    ledger = Ledger(2, opened=2, sent=9, received=7, verdicts=Counter({Verdict.ECHOED: 7}))
    seconds = [second(1, sent=4, received=3), second(2, sent=2, received=1)]
    await victim.say(messages.Noted(noted(ledger, seconds)))
    await trio.sleep(7.0)
    await victim.die()
    await other.say(messages.Finished(noted(over(2), [second(1)])))
    series = run.result.series
    assert [each.t_s for each in series] == [1.0, 2.0, 7.0]
    assert sum(each.sent for each in series) == run.result.ledger.sent == 9
    assert sum(each.received for each in series) == run.result.ledger.received == 7
    assert sum(each.errors for each in series) > 0


@pytest.mark.parametrize("ends", ["all come", "in time", "interrupted"])
async def test_copies_are_awaited_for_half_of_the_stop_timeout_before_all_close(
    make_run, autojump_clock, ends
):
    run = make_run(Plan(2, verify="fan-out", stop_timeout_s=8.0), 2)
    await run.begin()
    for phase in (Phase.OPEN, Phase.LOAD):
        await run.wait_for(phase)
    one, other = run.links
    await one.say(messages.Happened(50, [Joined(1, 0, 0), Published(10, 0, 0, 0)]))
    await other.say(messages.Happened(50, [Joined(2, 0, 1)]))
    await run.wait_for(Phase.CLOSE)
    await trio.sleep(3.9)
    await one.say(messages.Happened(60, [Copied(55, 0, 0, 0, 0)]))
    assert run.coordinator.phase is Phase.LOAD
    if ends == "interrupted":
        run.coordinator.interrupt()
    copies = [Copied(56, 0, 1, 0, 0)] if ends == "all come" else []
    if ends == "in time":
        await other.say(messages.Happened(60, copies))
        assert run.coordinator.phase is Phase.LOAD
        await trio.sleep(0.2)
    await other.say(messages.Happened(61, copies))
    assert run.coordinator.phase is Phase.CLOSE
    assert one.phases == other.phases == [Phase.OPEN, Phase.LOAD, Phase.CLOSE]


@pytest.mark.parametrize(("stop_timeout_s", "killed_s"), [(5.0, 15.0), (40.0, 40.0)])
async def test_who_is_to_stop_and_says_nothing_is_ended_after_its_time_and_who_reports_is_not(
    make_run, noted, autojump_clock, stop_timeout_s, killed_s
):
    run = make_run(Plan(4, stop_timeout_s=stop_timeout_s), 2)
    await run.begin()
    _, other = run.links
    run.coordinator.interrupt()
    began = trio.current_time()
    while len(run.warnings) < 2 and trio.current_time() - began < 100:
        await other.say(messages.Noted(noted(Ledger(2))))
        await trio.sleep(0.5)
    assert trio.current_time() - began == pytest.approx(killed_s, abs=2.0)
    assert "it did not stop in time" in run.warnings[1]
    await other.say(messages.Finished(noted(over(2), [second(1)])))
    assert len(run.result.deaths) == 1


async def test_who_has_ended_as_it_was_told_is_not_killed_while_others_take_their_time(
    make_run, noted, autojump_clock
):
    run = make_run(Plan(4, stop_timeout_s=5.0), 2)
    await run.begin()
    one, other = run.links
    run.coordinator.interrupt()
    await one.say(messages.Finished(noted(over(2), [second(1)])))
    for _ in range(30):
        await other.say(messages.Noted(noted(Ledger(2))))
        await trio.sleep(1.0)
    await other.say(messages.Finished(noted(over(2), [second(1)])))
    assert (one.killed, other.killed, run.result.deaths) == ([], [], ())


async def test_the_sockets_of_a_dead_shard_leave_their_rooms(make_run, noted, autojump_clock):
    run = make_run(Plan(8, "ws://h/{room}", rooms=3, verify="fan-out"), 2)
    await run.begin()
    one, victim = run.links
    for link, first in ((one, 0), (victim, 1)):
        joined = [Joined(1, conn % 3, conn) for conn in range(first, 8, 2)]
        await link.say(messages.Happened(50, joined))
    await one.say(messages.Happened(100, [Published(60, 1, 4, 0)]))  # to 1, 4 and 7
    await victim.say(messages.Happened(100, []))
    await victim.die()
    await one.say(messages.Happened(200, [Published(150, 1, 4, 1), Published(160, 2, 2, 0)]))
    ledger = over(4)
    ledger.sent = ledger.published = 3
    await one.say(messages.Finished(noted(ledger, [second(1)])))
    whole = run.result.ledger
    # 3 when it was said, then those of the one that is left: 4; 2.
    assert (whole.owed, whole.unsettled, whole.missing) == (3 + 1 + 1, 2, 1 + 1 + 1)


async def test_the_sockets_of_a_dead_shards_users_leave_their_rooms(
    make_run, noted, autojump_clock
):
    """A user has as many sockets as it likes, in any rooms."""
    run = make_run(Plan(2, scenario="talk.py"), 2)
    await run.begin()
    one, victim = run.links
    await one.say(messages.Happened(50, [Joined(1, 77, 0), Joined(2, 77, 2)]))
    await victim.say(messages.Happened(50, [Joined(3, 77, 1), Joined(4, 77, 3), Joined(5, 99, 5)]))
    await victim.die()
    await one.say(messages.Happened(100, [Published(60, 77, 9, 0), Published(70, 99, 8, 0)]))
    assert run.coordinator.ledger.owed == 2
    # Whoever has sent this is not known: perhaps the dead one, in its last second.
    await one.say(messages.Happened(110, [Copied(105, 77, 0, 5, 0)]))
    books = ScenarioBooks.of_users(1)
    books.users.finished = 1
    ledger = over(2)
    ledger.sent = ledger.published = 2
    ledger.received, ledger.lost = 1, 0
    ledger.verdicts[Verdict.COPIES] = 1
    await one.say(messages.Finished(noted(ledger, [second(1)], scenario=books)))
    whole = run.result.ledger
    assert (whole.owed, whole.missing, whole.unsettled) == (3, 2, 1)
    assert whole.verdicts[Verdict.UNEXPECTED] == 0


async def test_rooms_are_matched_on_when_a_shard_has_finished_and_by_one_clock_as_it_is(
    make_run, noted, autojump_clock
):
    run = make_run(Plan(2, verify="fan-out"), 2)
    await run.begin()
    one, other = run.links
    # As if its clock were ahead: where clocks are shared that is nothing.
    run.coordinator._members[0].ahead_s = 5.0
    await one.say(messages.Happened(50, [Joined(1, 0, 0)]))
    await other.say(messages.Happened(50, [Joined(2, 0, 1), Published(20, 0, 1, 0)]))
    assert run.coordinator.ledger.owed == 2
    await one.say(messages.Finished(noted(over(1), [second(1)])))
    await other.say(messages.Happened(900, [Published(800, 0, 1, 1)]))
    assert run.coordinator.ledger.owed == 4


async def test_before_it_has_shards_a_run_has_its_sockets_and_nothing_measured(
    make_run, autojump_clock
):
    plan = Plan(20, behave=(Behave.parse("half-open:10%"),))
    coordinator = make_run(plan, 2).coordinator
    assert (coordinator.ledger.requested, coordinator.ledger.opened) == (18, 0)
    result = coordinator.result_so_far()
    assert (result.ledger.requested, result.load_s, result.workers.processes) == (18, 0.0, 1)
    assert (coordinator.phase, result.series, result.fan_out) == (Phase.PREFLIGHT, [], None)


async def test_a_run_and_its_phases_begin_at_the_moment_that_all_were_told(
    make_run, autojump_clock
):
    run = make_run()
    await run.begin()
    await trio.sleep(2.0)
    await run.wait_for(Phase.OPEN)
    assert run.coordinator.elapsed_s == run.coordinator.phase_elapsed_s == 0.0
    await trio.sleep(1.05)
    assert run.coordinator.elapsed_s == pytest.approx(1.0)
    await run.wait_for(Phase.LOAD)
    await trio.sleep(2.05)
    assert run.coordinator.phase_elapsed_s == pytest.approx(2.0)
    assert run.coordinator.elapsed_s == pytest.approx(3.05)


@pytest.mark.parametrize("has_published", [False, True])
async def test_a_scenario_has_times_of_copies_if_it_published_anything(
    make_run, noted, autojump_clock, has_published
):
    run = make_run(Plan(2, scenario="talk.py"), 2)
    await run.begin()
    for link in run.links:
        books = ScenarioBooks.of_users(1)
        books.users.finished = 1
        ledger = over(1)
        ledger.sent = ledger.published = int(has_published)
        await link.say(messages.Finished(noted(ledger, [second(1)], scenario=books)))
    assert (run.result.fan_out is not None) == has_published


def test_numbers_by_which_shards_are_given_up_are_those_of_the_manual():
    assert (CLOCK_QUESTIONS, LATE_S, SILENCE_S) == (8, 3, 60)
