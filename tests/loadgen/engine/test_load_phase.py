"""Who sends when: on a virtual clock, to connections that only remember what they were sent."""

from collections import Counter
from itertools import pairwise
from types import SimpleNamespace

import pytest
import trio

from loadgen.engine import load_phase
from loadgen.engine.books import Books
from loadgen.engine.context import RunContext
from loadgen.engine.dialer import Dialer
from loadgen.engine.load_phase import Patience, Turns
from loadgen.engine.observer import CrowdObserver
from loadgen.engine.session import Session
from loadgen.results.ledger import Ledger
from loadgen.workload.pacing import Stage
from loadgen.workload.plan import Plan
from loadgen.workload.sources import Sources


class Remembering:
    """A connection that is open, and whose peer replies when it is asked to."""

    evicted = False
    closed, closed_first, clean, timed_out, failure = None, None, False, None, None

    def __init__(self):
        self.sent = []

    def send_nowait(self, message):
        self.sent.append((trio.current_time(), message))
        return True


@pytest.fixture
async def make(autojump_clock, nursery):
    def made(plan):
        observer, books = CrowdObserver(plan, nursery), Books(Ledger(plan.count))
        context = RunContext(plan, Dialer([], Sources(())), None, books, observer)
        slots = [Session(conn, context) for conn in range(plan.count)]
        for session in slots:
            session.connection, session._opening = Remembering(), None
            context.ledger.count_opened()
        return SimpleNamespace(slots=slots, observer=observer), context

    return made


def moments(crowd):
    began = min(at for session in crowd.slots for at, _ in session.connection.sent)
    return [[round(at - began, 2) for at, _ in session.connection.sent] for session in crowd.slots]


async def run(plan, crowd, context, seconds=None):
    async with trio.open_nursery() as nursery:
        with trio.move_on_after(seconds or 1e6):
            await load_phase.run(plan, crowd, context, nursery)
        nursery.cancel_scope.cancel()


async def test_sockets_take_turns_and_each_message_is_sent_once_when_it_is_due(
    make, autojump_clock
):
    plan = Plan(3, rate=30.0, duration_s=1.0)
    crowd, context = make(plan)
    began = trio.current_time()
    await run(plan, crowd, context)
    assert trio.current_time() - began >= 1.0 - 0.06
    assert (context.ledger.sent, context.ledger.due, context.ledger.missed) == (30, 30, 0)
    assert [len(session.connection.sent) for session in crowd.slots] == [10, 10, 10]
    # Never before it is due; later where the machine is busy.
    for due, sent in zip((0.0, 0.1, 0.2), moments(crowd)[0], strict=False):
        assert due - 0.06 <= sent < due + 0.5
    messages = [message for session in crowd.slots for _, message in session.connection.sent]
    assert len(set(messages)) == 30


async def test_a_batch_larger_than_one_turn_sends_each_message_once(make, autojump_clock):
    plan = Plan(2, rate=100_000.0, duration_s=0.01)
    crowd, context = make(plan)
    await run(plan, crowd, context)
    assert (context.ledger.sent, context.ledger.due) == (1000, 1000)


async def test_what_is_due_is_counted_also_where_there_is_no_socket_for_it(make, autojump_clock):
    plan = Plan(2, rate_per_conn=10.0, duration_s=1.0)
    crowd, context = make(plan)
    crowd.slots[1].connection = None
    await run(plan, crowd, context)
    assert (context.ledger.sent, context.ledger.missed, context.ledger.due) == (10, 10, 20)


async def test_with_one_rate_for_all_the_others_send_for_one_that_is_gone(make, autojump_clock):
    plan = Plan(3, rate=30.0, duration_s=1.0)
    crowd, context = make(plan)
    gone = crowd.slots[1]
    gone.connection = None
    await run(plan, crowd, context)
    assert (context.ledger.sent, context.ledger.missed) == (30, 0)
    assert [len(s.connection.sent) for s in (crowd.slots[0], crowd.slots[2])] == [15, 15]


async def test_turns_pass_by_who_is_yet_to_open_and_come_back_to_it(make, autojump_clock):
    crowd, _ = make(Plan(3))
    turns = Turns(crowd)
    reopening = crowd.slots[1]
    connection, reopening.connection, reopening._opening = reopening.connection, None, object()
    taken = [turns.take().conn for _ in range(4)]
    assert set(taken) == {0, 2}
    reopening.connection, reopening._opening = connection, None
    assert sorted(turns.take().conn for _ in range(3)) == [0, 1, 2]


@pytest.mark.parametrize("open_place", [0, 1, 2])
async def test_the_one_socket_that_is_open_has_every_turn(make, autojump_clock, open_place):
    crowd, _ = make(Plan(3))
    for place, session in enumerate(crowd.slots):
        if place != open_place:
            session.connection, session._opening = None, object()
    turns = Turns(crowd)
    assert [turns.take().conn for _ in range(7)] == [open_place] * 7


@pytest.mark.parametrize(("due", "whole"), [(None, 4), (0, 4), (7, 11)])
def test_what_is_overdue_was_due_and_is_missed(due, whole):
    ledger = Ledger(1, due=due, missed=2, overdue=1)
    load_phase._book_overdue(ledger, 4)
    assert (ledger.due, ledger.missed, ledger.overdue) == (whole, 6, 5)


async def test_when_all_are_gone_there_is_still_somebody_to_miss_it(make, autojump_clock):
    crowd, _ = make(Plan(2))
    for session in crowd.slots:
        session.connection = None
    turns = Turns(crowd)
    assert [turns.take() in crowd.slots for _ in range(5)] == [True] * 5


@pytest.mark.parametrize("arrivals", ["even", "poisson"])
@pytest.mark.parametrize("rate", [{"rate": 2.0}, {"rate_per_conn": 1.0}])
async def test_a_load_lasts_as_long_as_asked_for_also_behind_its_last_message(
    make, autojump_clock, rate, arrivals
):
    plan = Plan(2, duration_s=3.7, arrivals=arrivals, **rate)
    crowd, context = make(plan)
    began = trio.current_time()
    await run(plan, crowd, context)
    assert trio.current_time() - began == pytest.approx(3.7, abs=0.05)


async def test_stages_end_with_their_time(make, autojump_clock):
    plan = Plan(2, stages=(Stage(1.0, 20.0), Stage(1.0, 0.0)))
    crowd, context = make(plan)
    began = trio.current_time()
    await run(plan, crowd, context)
    assert trio.current_time() - began == pytest.approx(2.0, abs=0.2)
    assert context.ledger.sent == context.ledger.due == 20


async def test_with_messages_the_load_ends_when_the_last_is_answered(make, nursery, autojump_clock):
    plan = Plan(2, messages=3, rate_per_conn=10.0, stop_timeout_s=60.0)
    crowd, context = make(plan)

    async def answer_later():
        await trio.sleep(7.0)
        for session in crowd.slots:
            for _, message in list(session.connection.sent):
                session._receive(f"{message} 1")

    nursery.start_soon(answer_later)
    began = trio.current_time()
    await run(plan, crowd, context)
    assert context.ledger.sent == context.ledger.answered == 6
    assert trio.current_time() - began == pytest.approx(7.0, abs=0.1)


async def test_with_messages_nobody_waits_longer_than_the_stop_timeout_for_what_never_comes(
    make, autojump_clock
):
    plan = Plan(1, messages=1, rate_per_conn=10.0, stop_timeout_s=3.0)
    crowd, context = make(plan)
    began = trio.current_time()
    await run(plan, crowd, context)
    assert trio.current_time() - began == pytest.approx(3.05, abs=0.1)


async def test_in_a_closed_loop_each_reply_brings_the_next_up_to_the_number_asked_for(
    make, autojump_clock
):
    plan = Plan(2, closed_loop=True, messages=3)
    crowd, context = make(plan)
    answered = [0, 0]

    def answer(session):
        _, message = session.connection.sent[-1]
        following = session._receive(f"{message} 1")
        answered[session.conn] += 1
        if following is not None:
            session.connection.send_nowait(following)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(run, plan, crowd, context)
        await trio.sleep(0.5)
        for session in crowd.slots:
            while len(session.connection.sent) > answered[session.conn]:
                answer(session)
    assert [session.sent for session in crowd.slots] == answered == [3, 3]
    assert (context.ledger.sent, context.ledger.due) == (6, None)


async def test_in_a_closed_loop_who_is_being_replaced_sends_nothing_more(make, autojump_clock):
    plan = Plan(3, closed_loop=True, duration_s=1.0)
    crowd, context = make(plan)
    crowd.slots[1].successor = crowd.slots[2]
    crowd.slots[0].connection = None
    await run(plan, crowd, context)
    assert [session.sent for session in crowd.slots] == [0, 0, 1]
    assert (context.ledger.sent, context.ledger.missed) == (1, 0)


async def test_between_a_reply_and_the_next_message_there_is_time_to_think(make, autojump_clock):
    plan = Plan(1, closed_loop=True, think_s=2.0, duration_s=7.0)
    crowd, context = make(plan)
    (session,) = crowd.slots
    async with trio.open_nursery() as nursery:
        nursery.start_soon(run, plan, crowd, context)
        for number in range(3):
            while len(session.connection.sent) <= number:
                await trio.sleep(0.01)
            await trio.sleep(0.1)
            assert session._receive(f"{session.connection.sent[number][1]} 1") is None
    sent = moments(crowd)[0]
    # 0.1 s until the reply and 2 s to think, or some tenths more on a busy machine.
    assert all(2.0 < later - before < 2.8 for before, later in pairwise(sent))
    assert len(sent) in {3, 4}


async def test_who_thinks_longer_than_anybody_is_waited_for_sends_its_next_all_the_same(
    make, nursery, autojump_clock
):
    plan = Plan(1, closed_loop=True, messages=2, think_s=2.0, stop_timeout_s=0.5)
    crowd, context = make(plan)
    (session,) = crowd.slots

    @nursery.start_soon
    async def reply():
        while context.ledger.received < 2:
            if session.awaits_reply:
                session._receive(f"{session._pending[0].message} 1")
            await trio.sleep(0.01)

    await run(plan, crowd, context)
    assert (context.ledger.sent, context.ledger.answered) == (2, 2)


@pytest.mark.parametrize("arrivals", ["even", "poisson"])
@pytest.mark.parametrize(("late_s", "is_behind"), [(0.09, False), (2.0, True)])
async def test_what_fell_due_a_moment_before_an_interruption_is_on_its_way(
    make, autojump_clock, arrivals, late_s, is_behind
):
    """The generator is held up for some time; then the run is interrupted before it goes on."""
    plan = Plan(1, rate_per_conn=100.0, duration_s=3600.0, arrivals=arrivals)
    crowd, context = make(plan)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(load_phase.run, plan, crowd, context, nursery)
        await trio.sleep(1.0)
        autojump_clock.jump(late_s)
        nursery.cancel_scope.cancel()
    ledger = context.ledger
    assert ledger.sent > 50
    assert ledger.due == ledger.sent + ledger.missed
    assert ledger.overdue == ledger.missed
    # Of 200 in two seconds those of the last tenth are on their way.
    assert (140 < ledger.overdue < 240) if is_behind else (ledger.overdue == 0)


async def test_patience_is_as_long_as_anything_happens_and_so_long_beyond(autojump_clock):
    ledger = Ledger(1)
    patience = Patience(ledger, 2.0)
    for column in ("sent", "received", "sent", "received"):
        setattr(ledger, column, getattr(ledger, column) + 1)
        assert not patience.is_exhausted()
        await trio.sleep(1.9)
        assert not patience.is_exhausted()
    await trio.sleep(0.2)
    assert patience.is_exhausted()


async def run_changed(plan, crowd, context, *changes):
    """Run a plan, and change its speed at these times of the load."""

    async def change():
        context.steering.begin()
        began = trio.current_time()
        for at_s, factor in changes:
            await trio.sleep_until(began + at_s)
            context.steering.turn(at_s, factor)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(change)
        await load_phase.run(plan, crowd, context, nursery)


@pytest.mark.parametrize("arrivals", ["even", "poisson"])
@pytest.mark.parametrize("rate", [{"rate": 200.0}, {"rate_per_conn": 100.0}])
async def test_nothing_is_due_in_a_pause_and_no_burst_follows_it(
    autojump_clock, make, arrivals, rate
):
    plan = Plan(2, duration_s=10.0, arrivals=arrivals, **rate)
    crowd, context = make(plan)
    began = trio.current_time()
    await run_changed(plan, crowd, context, (2.0, 0.0), (6.0, 1.0), (8.0, 2.0))
    sent = sorted(at - began for each in crowd.slots for at, _ in each.connection.sent)
    by_second = [sum(second <= at < second + 1 for at in sent) for second in range(10)]
    for second, expected in enumerate([200, 200, 0, 0, 0, 0, 200, 200, 400, 400]):
        assert abs(by_second[second] - expected) <= (5 if arrivals == "even" else 90), by_second
    assert not [at for at in sent if 2.1 < at < 6.0]
    ledger = context.ledger
    assert (ledger.sent, ledger.missed, ledger.due) == (len(sent), 0, len(sent))
    assert trio.current_time() - began >= 10.0


async def test_a_raise_after_the_last_message_of_the_plan_still_brings_some(autojump_clock, make):
    plan = Plan(1, rate=1.0, duration_s=10.0)
    crowd, context = make(plan)
    await run_changed(plan, crowd, context, (9.6, 100.0))
    assert context.ledger.sent == 10 + 40 == context.ledger.due


@pytest.mark.parametrize("arrivals", ["even", "poisson"])
async def test_a_number_of_messages_is_put_off_by_a_pause_longer_than_any_patience(
    autojump_clock, make, arrivals
):
    plan = Plan(2, rate_per_conn=10.0, messages=20, arrivals=arrivals, verify="off")
    crowd, context = make(plan)
    began = trio.current_time()
    await run_changed(plan, crowd, context, (0.5, 0.0), (60.0, 1.0))
    assert (context.ledger.sent, context.ledger.due, context.ledger.missed) == (40, 40, 0)
    assert trio.current_time() - began > 60.5


async def test_a_change_that_comes_late_sends_nothing_twice_and_counts_what_was_sent(
    autojump_clock, make
):
    plan = Plan(1, rate=100.0, duration_s=3.0)
    crowd, context = make(plan)

    async def pause_in_hindsight():
        await trio.sleep(1.0)
        context.steering.turn(0.5, 0.0)
        await trio.sleep(1.0)
        context.steering.turn(2.0, 1.0)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(pause_in_hindsight)
        await load_phase.run(plan, crowd, context, nursery)
    # 100 were sent in the first second, of which 50 were due: 50 are left of the last second's 100.
    messages = [message for _, message in crowd.slots[0].connection.sent]
    assert len(messages) == len(set(messages)) == context.ledger.sent == context.ledger.due
    assert abs(context.ledger.sent - 150) <= 2


@pytest.mark.parametrize("think_s", [0.0, 0.4])
async def test_a_closed_loop_waits_in_a_pause_and_thinks_on_after_it(autojump_clock, make, think_s):
    plan = Plan(2, closed_loop=True, think_s=think_s, duration_s=10.0)
    crowd, context = make(plan)
    last_reply_s = {}

    async def reply():
        while True:
            for session in crowd.slots:
                if session.awaits_reply:
                    if trio.current_time() - began < 2.0:
                        last_reply_s[session] = trio.current_time() - began
                    following = session._receive(f"{session._pending[0].message} 1")
                    if following is not None:
                        session.connection.send_nowait(following)
            await trio.sleep(0.1)

    began = trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(reply)
        await run_changed(plan, crowd, context, (2.05, 0.0), (7.0, 1.0))
        nursery.cancel_scope.cancel()
    sent = sorted(at - began for each in crowd.slots for at, _ in each.connection.sent)
    assert not [at for at in sent if 2.06 < at < 7.0]
    assert [at for at in sent if at < 2.0]
    assert 7.0 <= min(at for at in sent if at > 3.0) < 7.5
    for session, replied_s in last_reply_s.items():
        thought_s = [at - began - replied_s for at, _ in session.connection.sent]
        assert min(after_s for after_s in thought_s if after_s > 0.01) > think_s - 0.01
        resumed_s = min(after_s for after_s in thought_s if after_s > 7.0 - replied_s - 0.01)
        assert resumed_s > think_s + 4.95 - 0.05 or think_s < 2.0 - replied_s
    assert len([at for at in sent if at > 7.0]) >= 2 * (3.0 - think_s) / (think_s + 0.2) / 2


@pytest.mark.parametrize("arrivals", ["even", "poisson"])
@pytest.mark.parametrize(
    ("bound", "late_s", "gives_up"),
    [({"duration_s": 10.0}, 6.0, False), ({"duration_s": 10.0}, 14.0, True),
     ({"messages": 40}, 2.0, False), ({"messages": 40}, 9.0, True)],
)  # fmt: skip
async def test_a_message_is_given_up_so_long_after_the_loads_end_or_its_own_time(
    autojump_clock, make, arrivals, bound, late_s, gives_up
):
    """The generator stands still in mid-load: what fell due meanwhile is sent behind it."""
    plan = Plan(1, rate_per_conn=20.0, arrivals=arrivals, stop_timeout_s=3.0, verify="off", **bound)
    crowd, context = make(plan)
    connection, began = crowd.slots[0].connection, trio.current_time()
    send = connection.send_nowait

    def stall_once(message):
        if trio.current_time() - began >= 1.0 and connection.send_nowait is stall_once:
            connection.send_nowait = send
            autojump_clock.jump(late_s)
        return send(message)

    connection.send_nowait = stall_once
    await run(plan, crowd, context)
    ledger = context.ledger
    planned = bound.get("messages", 200)
    if arrivals == "poisson":
        planned = len(own_times(plan))
    # What is given up fell due, and is missed because the generator was behind.
    assert ledger.due == ledger.sent + ledger.missed == planned
    assert ledger.missed == ledger.overdue
    assert (ledger.sent < planned * 0.75) == gives_up == bool(ledger.missed)
    assert [at for at, _ in connection.sent if at - began >= late_s + 0.5]


def own_times(plan):
    own, times = plan.own_arrivals([0]), []
    while own.next_due_s is not None:
        times.append(own.take()[0])
    return times


async def test_nobody_thinks_in_a_pause(autojump_clock, make, nursery):
    plan = Plan(1, closed_loop=True, think_s=2.0, duration_s=12.0)
    crowd, context = make(plan)
    (session,) = crowd.slots

    @nursery.start_soon
    async def reply():
        while context.ledger.received < 2:
            if session.awaits_reply:
                session._receive(f"{session._pending[0].message} 1")
            await trio.sleep(0.01)

    await run_changed(plan, crowd, context, (1.0, 0.0), (6.0, 1.0))
    first_s, second_s, *_ = (at for at, _ in session.connection.sent)
    assert second_s - first_s == pytest.approx(2.0 + 5.0, abs=0.1)


@pytest.mark.parametrize("is_resumed", [False, True])
async def test_a_crowd_sends_batch_after_batch_when_a_closed_loop_begins_and_after_a_pause(
    autojump_clock, make, is_resumed
):
    plan = Plan(600, closed_loop=True, duration_s=5.0)
    crowd, context = make(plan)

    async def pause():
        context.steering.begin()
        began = trio.current_time()
        await trio.sleep(1.0)
        context.steering.turn(1.0, 0.0)
        await trio.sleep(0.5)
        for session in crowd.slots:
            session._receive(f"{session._pending[0].message} 1")
        await trio.sleep_until(began + 3.0)
        context.steering.turn(3.0, 1.0)

    async with trio.open_nursery() as nursery:
        if is_resumed:
            nursery.start_soon(pause)
        await load_phase.run(plan, crowd, context, nursery)
    moments = Counter(
        at for session in crowd.slots for at, _ in session.connection.sent[int(is_resumed) :]
    )
    assert sorted(moments.values()) == [88, 256, 256]
    assert max(moments) - min(moments) < 0.01


async def test_replies_are_waited_for_anew_after_a_pause(autojump_clock, make, nursery):
    plan = Plan(1, closed_loop=True, messages=2, stop_timeout_s=2.0)
    crowd, context = make(plan)
    (session,) = crowd.slots

    @nursery.start_soon
    async def reply():
        for wait_s in (61.0, 0.5):
            await trio.sleep(wait_s)
            following = session._receive(f"{session._pending[0].message} 1")
            if following is not None:
                session.connection.send_nowait(following)

    began = trio.current_time()
    await run_changed(plan, crowd, context, (0.5, 0.0), (60.0, 1.0))
    assert (context.ledger.sent, context.ledger.answered) == (2, 2)
    assert trio.current_time() - began == pytest.approx(61.5, abs=0.1)


async def test_who_is_answered_in_a_pause_thinks_after_it_and_then_sends(autojump_clock, make):
    plan = Plan(1, closed_loop=True, think_s=2.0, duration_s=12.0)
    crowd, context = make(plan)
    (session,) = crowd.slots

    async def reply():
        await trio.sleep(3.0)
        assert session._receive(f"{session._pending[0].message} 1") is None

    async with trio.open_nursery() as nursery:
        nursery.start_soon(reply)
        await run_changed(plan, crowd, context, (1.0, 0.0), (6.0, 1.0))
    first_s, second_s = (at for at, _ in session.connection.sent)
    assert second_s - first_s == pytest.approx(6.0 + 2.0, abs=0.1)


async def test_a_message_after_thinking_is_late_by_how_long_the_loop_was_held_up(
    make, nursery, autojump_clock
):
    plan = Plan(1, closed_loop=True, think_s=1.0, duration_s=5.0)
    crowd, context = make(plan)
    (session,) = crowd.slots
    crowd.observer.thinking.append((trio.current_time() - 3.0, session.conn, session))
    with trio.move_on_after(0.5), crowd.observer.looping():
        await load_phase._send_after_thinking(plan, context, crowd.observer, nursery)
    lag = context.books.scheduling_lag.end_second()
    assert (lag.count, len(session.connection.sent)) == (1, 1)
    assert lag.min >= 3_000_000
