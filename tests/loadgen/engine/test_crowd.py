"""Open, replace and close the sockets of a crowd: against a server in this process, or a clock."""

import socket
from collections import Counter
from itertools import pairwise
from types import SimpleNamespace

import pytest
import structlog
import trio
from structlog.testing import LogCapture

from echo_trio.server import EchoServer
from echo_trio.settings import Settings
from echo_trio.wire import poller
from loadgen.engine.books import Books
from loadgen.engine.context import RunContext
from loadgen.engine.crowd import Crowd, wait_while
from loadgen.engine.dialer import Dialer
from loadgen.engine.gate import Gate
from loadgen.engine.observer import CrowdObserver
from loadgen.results.ledger import Ending, Failure, Ledger
from loadgen.workload.misbehaviour import Behave
from loadgen.workload.plan import Plan
from loadgen.workload.sources import Sources

# -- Waiting, batches and replacing, by the clock alone -------------------------------------------


@pytest.mark.parametrize("waits_s", [0.0, 0.01, 0.5, 3.0, 20.0])
async def test_who_waits_looks_often_at_first_and_then_a_hundredth_of_its_wait_later(
    waits_s, autojump_clock
):
    began, looks_s = trio.current_time(), []

    def holds():
        looks_s.append(trio.current_time() - began)
        return looks_s[-1] < waits_s

    await wait_while(holds)
    assert waits_s <= looks_s[-1] <= max(waits_s * 1.01, waits_s + 0.002) + 1e-6
    steps = [later - before for before, later in pairwise(looks_s)]
    for at, step in zip(looks_s, steps, strict=False):
        assert step == pytest.approx(min(max(at / 100, 0.001), 0.01), abs=1e-6)


class Still(SimpleNamespace):
    """A session that is open, and notes what is asked of it and when."""

    def __init__(self, conn, answered_s=0.0):
        super().__init__(conn=conn, successor=None, connection=object(), asked=[])
        self.answered_s = answered_s

    @property
    def awaits_reply(self):
        return trio.current_time() < self.answered_s

    def __hash__(self):
        return id(self)

    def __eq__(self, other):
        return self is other

    def expect_end(self):
        self.asked.append(("expected", round(trio.current_time(), 2)))

    def close(self, nursery):
        self.asked.append(("closed", round(trio.current_time(), 2)))


@pytest.fixture
async def still(nursery):
    """A crowd of a plan whose sockets are still."""

    def make(plan):
        books = Books(Ledger(plan.count))
        observer = CrowdObserver(plan, nursery)
        context = RunContext(plan, Dialer([], Sources(())), None, books, observer)
        crowd = Crowd(plan, context, observer, nursery, Gate(plan), plan.conns()[0])
        crowd.slots = [Still(conn) for conn in range(plan.count)]
        crowd._slot_of = {session.conn: slot for slot, session in enumerate(crowd.slots)}
        return crowd, context

    return make


async def test_other_tasks_have_their_turn_after_each_batch_of_sockets_begun(still, nursery):
    crowd, _ = still(Plan(800, connect_concurrency=1000))
    turns, begun = [], []

    @nursery.start_soon
    async def others():
        while True:
            turns.append(len(begun))
            await trio.lowlevel.checkpoint()

    crowd._settled.set()
    assert await crowd._begin_all(begun.append, trio.CancelScope()) == 800
    # Three batches and a rest; who comes first in a turn of Trio's loop is chance.
    assert 2 <= len([count for count in turns if 0 < count < 800]) <= 4
    assert crowd._limiter.borrowed_tokens == 800


async def test_who_takes_a_place_has_the_next_number_and_one_that_awaits_nothing_closes_at_once(
    still, autojump_clock
):
    crowd, context = still(Plan(3, lifetime_s=9.0))
    old = crowd.slots[1]
    crowd.retire(old)
    new = crowd.slots[1]
    assert (new.conn, old.successor, context.reopening) == (3, new, 1)
    assert [what for what, _ in old.asked] == ["expected", "closed"]
    crowd.retire(old)
    gone = Still(7)
    gone.connection = None
    crowd.retire(gone)
    assert (context.reopening, crowd._created, crowd.slots[1]) == (1, 4, new)


async def test_who_was_replaced_and_still_awaits_a_reply_ends_with_the_crowd(still, autojump_clock):
    crowd, _ = still(Plan(2, lifetime_s=9.0))
    old = crowd.slots[0]
    old.answered_s = trio.current_time() + 99.0
    crowd.retire(old)
    assert (old.asked, old in crowd.slots) == ([], False)
    assert crowd._all() == [*crowd.slots, old]
    crowd._expect_ends()
    assert [what for what, _ in old.asked] == ["expected"]


async def test_who_takes_a_place_in_a_shard_has_the_next_number_that_is_the_shards(still):
    crowd, context = still(Plan(7, lifetime_s=9.0).shard(1, 3))  # 1 and 4
    for place in (1, 0):
        crowd.retire(crowd.slots[place])
    assert ([session.conn for session in crowd.slots], context.reopening) == ([10, 7], 2)
    assert crowd._slot_of == {7: 1, 10: 0}


async def test_what_waits_for_a_place_that_is_not_taken_again_is_missed_when_the_crowd_ends(
    still, nursery
):
    crowd, context = still(Plan(2, lifetime_s=9.0))
    crowd.retire(crowd.slots[1])
    for due_us in (1, 2):
        crowd.slots[1].send(due_us, nursery)
    assert (crowd.slots[1].has_backlog, context.ledger.missed) == (True, 0)
    context.ledger.opened = context.ledger.requested  # None is opening any more.
    crowd.slots = crowd.slots[1:]
    await crowd._settle()
    assert context.closing
    assert (crowd.slots[0].has_backlog, context.ledger.missed) == (False, 2)


@pytest.mark.parametrize(("answered_s", "closed_s"), [(1.0, 1.0), (99.0, 3.0)])
async def test_who_awaits_a_reply_is_closed_when_it_is_in_or_after_half_of_the_stop_timeout(
    still, autojump_clock, answered_s, closed_s
):
    crowd, _ = still(Plan(1, lifetime_s=9.0, stop_timeout_s=6.0))
    began = trio.current_time()
    (old,) = crowd.slots
    old.answered_s = began + answered_s
    crowd.retire(old)
    await trio.sleep(20.0)
    assert [what for what, _ in old.asked] == ["expected", "closed"]
    assert [at - began for _, at in old.asked] == pytest.approx([closed_s] * 2, abs=0.03)


async def test_sockets_are_replaced_when_they_have_reached_their_age_the_oldest_first(
    still, autojump_clock
):
    crowd, _ = still(Plan(3, lifetime_s=2.0))
    began, retired = trio.current_time(), []
    crowd.retire = lambda session: retired.append((session.conn, trio.current_time() - began))
    crowd.observer.ages += [
        (began + at, session) for at, session in zip((0.0, 0.5, 3.0), crowd.slots, strict=True)
    ]
    with trio.move_on_after(4.0):
        await crowd.change()
    assert [conn for conn, _ in retired] == [0, 1]
    assert [at for _, at in retired] == pytest.approx([2.0, 2.5], abs=0.01)
    assert len(crowd.observer.ages) == 1


async def test_a_storm_takes_the_same_share_of_places_at_each_interval(still, autojump_clock):
    taken = {}
    for seed in (0, 1):
        behave = (Behave.parse("reconnect-storm:30%:2s"),)
        crowd, _ = still(Plan(20, behave=behave, seed=seed))
        began, retired = trio.current_time(), {}

        def retire(session, began=began, retired=retired):
            at = round(trio.current_time() - began, 1)
            retired.setdefault(at, []).append(session.conn)

        crowd.retire = retire
        with trio.move_on_after(7.0):
            await crowd.change()
        assert list(retired) == [2.0, 4.0, 6.0]
        taken[seed], *others = retired.values()
        assert others == [taken[seed]] * 2
        assert len(set(taken[seed])) == 6
    assert taken[0] != taken[1]


# -- A crowd and a server -------------------------------------------------------------------------


class Run:
    """A crowd against an address, in a nursery of its own."""

    def __init__(self, plan, address, nursery):
        self.plan, self.nursery = plan, nursery
        self.books = Books(Ledger(plan.count))
        self.ledger = self.books.ledger
        self.observer = CrowdObserver(plan, nursery)
        dialer = Dialer([(socket.AF_INET, address)], Sources(()))
        self.poller = poller.Poller()
        nursery.start_soon(self.poller.run)
        self.context = RunContext(plan, dialer, self.poller, self.books, self.observer)
        self.gate = Gate(plan)
        conns = plan.conns()[0]
        self.crowd = Crowd(plan, self.context, self.observer, nursery, self.gate, conns)
        self.interruption = trio.CancelScope()
        self.all_open = 0

    async def open(self):
        def note():
            self.all_open += 1

        with trio.fail_after(60):
            await self.crowd.open(self.interruption, note)

    async def close(self):
        with trio.fail_after(60):
            await self.crowd.close(trio.CancelScope())
        self.ledger.settle_unanswered(interrupted=False)
        self.ledger.check()
        # Whatever was taken is given back.
        assert (self.context.reopening, self.context.turns_open) == (0, 0)
        assert self.gate.limiter.borrowed_tokens == 0
        assert not self.crowd._retired
        assert self.ledger.opened == self.books.connect.end_second().count

    async def until(self, holds):
        with trio.fail_after(60):
            while not holds():
                await trio.sleep(0.002)


@pytest.fixture
async def server(nursery):
    async def start(**settings):
        log = structlog.wrap_logger(None, processors=[LogCapture()])
        server = EchoServer.listen(Settings(port=0, console=False, **settings), log)
        await nursery.start(server.run)
        servers.append(server)
        return server, ("127.0.0.1", int(server.url.split(":")[2].strip("/")))

    servers = []
    yield start
    for server in servers:
        server.drain()


async def test_all_open_is_told_once_at_that_moment_and_all_close(server, nursery):
    serving, address = await server()
    run = Run(Plan(5, serving.url, connect_concurrency=2), address, nursery)
    await run.open()
    assert (run.all_open, run.ledger.open, len(run.crowd.slots)) == (1, 5, 5)
    await run.close()
    assert run.ledger.closed == {Ending.CLEAN: 5}
    assert run.ledger.early == Counter()


async def test_who_does_not_open_has_no_place_among_those_who_send(server, nursery):
    serving, address = await server(max_connections=2)
    run = Run(Plan(5, serving.url, connect_concurrency=1), address, nursery)
    await run.open()
    assert (run.all_open, run.ledger.opened, len(run.crowd.slots)) == (0, 2, 2)
    assert run.ledger.failed == {Failure.REJECTED: 3}
    await run.close()


@pytest.fixture
async def mute(nursery):
    """An address that takes connections and never says a word."""
    with trio.socket.socket() as listening:
        await listening.bind(("127.0.0.1", 0))
        listening.listen(64)
        yield listening.getsockname()


async def test_when_a_whole_wave_waited_in_vain_the_others_are_not_tried(mute, nursery):
    plan = Plan(7, "ws://127.0.0.1/", connect_concurrency=2, connect_timeout_s=0.05)
    run = Run(plan, mute, nursery)
    await run.open()
    assert run.ledger.failed == {Failure.TIMEOUT: 2}
    assert run.ledger.not_attempted == 5
    await run.close()


async def test_when_a_whole_wave_got_no_greeting_the_others_are_not_tried(server, nursery):
    serving, address = await server()
    plan = Plan(7, f"{serving.url}silent", expect=("any",), connect_concurrency=2,
                connect_timeout_s=0.05, verify="off")  # fmt: skip
    run = Run(plan, address, nursery)
    await run.open()
    # On a busy machine the handshake may take the time that the greeting had.
    assert run.ledger.failed.keys() <= {Failure.TIMEOUT, Failure.GREETING}
    assert (run.ledger.failed.total(), run.ledger.not_attempted) == (2, 5)
    await run.close()


async def test_an_interruption_while_they_open_leaves_them_not_attempted(mute, nursery):
    run = Run(Plan(6, "ws://127.0.0.1/", connect_concurrency=3), mute, nursery)
    nursery.start_soon(run.open)
    await run.until(lambda: run.ledger.tcp == 3)
    run.interruption.cancel()
    await run.until(lambda: run.ledger.settled == 6)
    assert (run.ledger.not_attempted, run.ledger.failed.total()) == (6, 0)
    await run.close()


async def test_an_interruption_ends_also_those_whose_turn_has_not_come(mute, nursery):
    run = Run(Plan(6, "ws://127.0.0.1/", connect_rate=0.001), mute, nursery)
    nursery.start_soon(run.open)
    await run.until(lambda: run.ledger.tcp == 1)
    run.interruption.cancel()
    await run.until(lambda: run.ledger.settled == 6)
    assert run.ledger.not_attempted == 6
    await run.close()


# -- Replacing ------------------------------------------------------------------------------------


async def test_another_socket_takes_the_place_of_one_that_is_retired_with_the_next_number(
    server, nursery
):
    serving, address = await server()
    plan = Plan(3, f"{serving.url}plain", verify="exact", lifetime_s=3600.0)
    run = Run(plan, address, nursery)
    await run.open()
    old = run.crowd.slots[1]
    run.crowd.retire(old)
    run.crowd.retire(old)  # a second time is nothing
    new = run.crowd.slots[1]
    assert (new.conn, new.connection, run.context.reopening) == (3, None, 1)
    new.send(0, nursery)  # waits for it
    await run.until(lambda: run.ledger.answered == 1)
    assert (old.connection, run.context.reopening) == (None, 0)
    assert (run.ledger.requested, run.ledger.opened, run.ledger.sent, new.sent) == (4, 4, 1, 1)
    run.crowd.retire(new)
    await run.until(lambda: run.ledger.opened == 5)
    assert run.crowd.slots[1].conn == 4
    await run.until(lambda: run.ledger.open == 3)
    await run.close()
    assert run.ledger.closed == {Ending.CLEAN: 5}
    assert run.ledger.early == Counter()


async def test_one_that_awaits_a_reply_is_closed_when_that_is_in(server, nursery):
    serving, address = await server()
    plan = Plan(1, f"{serving.url}delay/300ms", lifetime_s=3600.0)
    run = Run(plan, address, nursery)
    await run.open()
    old = run.crowd.slots[0]
    old.send(0, nursery)
    run.crowd.retire(old)
    assert old.connection is not None
    await run.until(lambda: run.ledger.opened == 2)
    assert (run.ledger.answered, run.ledger.abandoned) == (1, 0)
    await run.close()


async def test_a_socket_that_was_to_follow_is_not_opened_while_the_crowd_closes(server, nursery):
    serving, address = await server()
    plan = Plan(2, serving.url, lifetime_s=3600.0, connect_rate=5.0)
    run = Run(plan, address, nursery)
    await run.open()
    for session in list(run.crowd.slots):
        run.crowd.retire(session)
    await run.close()
    assert run.ledger.requested == run.ledger.opened == 2


async def test_a_socket_that_is_on_its_way_to_follow_is_given_up_when_the_crowd_closes(
    server, mute, nursery
):
    serving, address = await server()
    plan = Plan(1, serving.url, lifetime_s=3600.0, stop_timeout_s=0.1, connect_timeout_s=3600.0)
    run = Run(plan, address, nursery)
    await run.open()
    run.context.dialer = Dialer([(socket.AF_INET, mute)], Sources(()))
    run.crowd.retire(run.crowd.slots[0])
    await run.until(lambda: run.ledger.tcp == 2)
    await run.close()
    assert (run.ledger.opened, run.ledger.not_attempted) == (1, 1)


# -- Closing --------------------------------------------------------------------------------------


async def test_replies_are_awaited_for_half_the_stop_timeout_and_then_lost(server, nursery):
    serving, address = await server()
    # Half of it for the goodbye, which a machine that is held up for 3 s still says.
    plan = Plan(1, f"{serving.url}silent", stop_timeout_s=8.0)
    run = Run(plan, address, nursery)
    await run.open()
    run.crowd.slots[0].send(0, nursery)
    began = trio.current_time()
    await run.close()
    assert trio.current_time() - began >= 4.0
    assert (run.ledger.closed, run.ledger.lost) == ({Ending.CLEAN: 1}, 1)


async def test_who_does_not_answer_our_close_is_cut_when_the_stop_timeout_is_over(server, nursery):
    serving, address = await server()
    plan = Plan(1, f"{serving.url}stall/1/1h", stop_timeout_s=0.3)
    run = Run(plan, address, nursery)
    await run.open()
    run.crowd.slots[0].send(0, nursery)
    await run.close()
    assert (run.ledger.closed, run.ledger.lost) == ({Ending.TIMEOUT: 1}, 1)
    assert run.ledger.early == Counter()


async def test_also_those_that_were_still_catching_up_are_cut_then_and_not_early(server, nursery):
    serving, address = await server()
    run = Run(Plan(2, serving.url, stop_timeout_s=0.1), address, nursery)
    run.observer.catch_up_s = 3600.0
    await run.open()
    await run.close()
    assert run.ledger.closed == {Ending.TIMEOUT: 2}
    assert run.ledger.early == Counter()
