"""One epoll for all: who is called back, when, and what one callback may do to another."""

from __future__ import annotations

import itertools
import socket
import threading
from collections import Counter
from contextlib import suppress
from functools import partial
from math import inf

import pytest
import trio
import trio.testing

from echo_trio.wire import poller as poller_module
from echo_trio.wire.alarms import Alarms
from echo_trio.wire.lag import LagWatch
from echo_trio.wire.poller import Poller


@pytest.fixture(params=["inside", "through Trio"])
def through_trio(request) -> bool:
    """Both ways to wait: in Trio's place, and as a task of Trio's."""
    return request.param == "through Trio"


@pytest.fixture
def make_poller(through_trio):
    return partial(Poller, through_trio=through_trio)


@pytest.fixture
async def poller(make_poller, nursery, through_trio):
    poller = make_poller()
    await nursery.start(poller.run)
    assert poller.is_inside is not through_trio
    return poller


@pytest.fixture
def pairs():
    pairs = [socket.socketpair() for _ in range(poller_module.BATCH + 10)]
    for ours, _ in pairs:
        ours.setblocking(False)
    yield pairs
    for ours, theirs in pairs:
        ours.close()
        theirs.close()


async def settle() -> None:
    for _ in range(10):
        await trio.lowlevel.checkpoint()


async def test_a_readable_socket_is_called_back_until_it_is_read(poller, pairs):
    (ours, theirs), calls = pairs[0], []

    def on_readable() -> None:
        calls.append(len(calls))
        if len(calls) == 3:
            ours.recv(10)

    poller.register(ours, on_readable)
    await settle()
    assert calls == []
    theirs.send(b"x")
    await settle()
    assert calls == [0, 1, 2]


async def test_the_end_of_a_stream_is_readable(poller, pairs):
    (ours, theirs), read = pairs[0], []

    def on_readable() -> None:
        read.append(ours.recv(10))
        poller.unregister(ours)

    poller.register(ours, on_readable)
    theirs.close()
    await settle()
    assert read == [b""]


async def test_more_sockets_than_a_batch_are_all_served(poller, pairs):
    served = set()
    for ours, theirs in pairs:

        def on_readable(ours=ours) -> None:
            ours.recv(10)
            served.add(ours.fileno())

        poller.register(ours, on_readable)
        theirs.send(b"x")
    await settle()
    assert served == {ours.fileno() for ours, _ in pairs}


async def test_nobody_is_called_after_unregistering_even_in_the_same_batch(poller, pairs):
    calls = []

    def on_readable(mine, other) -> None:
        calls.append(mine)
        poller.unregister(mine)
        poller.unregister(other)

    (a, to_a), (b, to_b) = pairs[:2]
    poller.register(a, lambda: on_readable(a, b))
    poller.register(b, lambda: on_readable(b, a))
    to_a.send(b"x")
    to_b.send(b"x")
    await settle()
    assert len(calls) == 1


async def test_unregistering_is_idempotent_and_survives_a_closed_socket(poller, pairs):
    ours = pairs[0][0]
    poller.register(ours, lambda: None)
    poller.unregister(ours)
    poller.unregister(ours)
    ours.close()
    poller.unregister(ours)


async def test_a_socket_can_be_registered_again(poller, pairs):
    (ours, theirs), read = pairs[0], []
    for _ in range(2):
        poller.register(ours, lambda: read.append(ours.recv(10)))
        theirs.send(b"x")
        await settle()
        poller.unregister(ours)
    assert read == [b"x", b"x"]


class Clock:
    """In place of the time module: callbacks say how long they took."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def perf_counter(self) -> float:
        return self.now_s


@pytest.fixture
def clock(monkeypatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(poller_module, "time", clock)
    return clock


async def test_other_tasks_run_when_a_slice_of_time_is_over(poller, pairs, clock):
    """Not only between batches: 266 sockets whose callbacks take a millisecond each."""
    calls, turns = [], []

    def on_readable() -> None:  # never reads: always ready
        calls.append(1)
        clock.now_s += 0.001

    for ours, theirs in pairs:
        poller.register(ours, on_readable)
        theirs.send(b"x")
    for _ in range(60):
        await trio.lowlevel.checkpoint()
        turns.append(len(calls))
    assert turns[-1] > 2 * len(pairs)
    # Within one turn of ours the poller has had one of its own, or one before us and one after.
    assert max(b - a for a, b in itertools.pairwise(turns)) <= 2 * poller_module.UNTIMED


async def test_the_slice_is_as_long_as_its_owner_says(make_poller, pairs, clock, nursery):
    poller, calls, turns = make_poller(slice_s=0.001), [], []
    nursery.start_soon(poller.run)

    def on_readable() -> None:
        calls.append(1)
        clock.now_s += 0.0001  # 16 in a slice here, and 48 in the usual one

    for ours, theirs in pairs:
        poller.register(ours, on_readable)
        theirs.send(b"x")
    while len(calls) < 2 * len(pairs):
        await trio.lowlevel.checkpoint()
        turns.append(len(calls))
    assert max(b - a for a, b in itertools.pairwise(turns)) <= 2 * poller_module.UNTIMED


async def test_everybody_is_served_however_long_a_batch_takes(poller, pairs, clock):
    served = Counter()

    def on_readable(number) -> None:
        served[number] += 1
        clock.now_s += 0.01

    for number, (ours, theirs) in enumerate(pairs):
        poller.register(ours, lambda number=number: on_readable(number))
        theirs.send(b"x")
    while served.total() < 4 * len(pairs):
        await trio.lowlevel.checkpoint()
    assert len(served) == len(pairs)
    assert max(served.values()) - min(served.values()) <= 2


async def test_who_asks_for_another_turn_has_it_once_and_behind_the_others(poller, pairs):
    order = []
    (slow, to_slow), *others = pairs[:6]

    def on_readable() -> None:
        order.append("slow")
        slow.recv(1)
        poller.postpone(slow, lambda: order.append("again"))

    poller.register(slow, on_readable)
    for ours, _ in others:
        poller.register(ours, lambda ours=ours: order.append(ours.recv(10)))
    to_slow.send(b"xyz")  # It stays readable, and is not called back for that meanwhile.
    for _, theirs in others:
        theirs.send(b"o")
    await settle()
    assert Counter(order) == {"slow": 3, "again": 3, b"o": len(others)}
    assert order.index("again") > max(at for at, what in enumerate(order[:6]) if what == b"o")
    assert [what for what in order if what != b"o"] == ["slow", "again"] * 3


async def test_those_in_line_take_turns_and_the_line_has_a_slice_of_each_round(
    poller, pairs, clock
):
    turns, rounds = [], []

    def on_turn(number) -> None:
        turns.append(number)
        clock.now_s += 0.0006
        poller.postpone(pairs[number][0], lambda: on_turn(number))

    def on_readable(number) -> None:
        pairs[number][0].recv(10)
        poller.postpone(pairs[number][0], lambda: on_turn(number))

    for number in range(5):
        poller.register(pairs[number][0], lambda number=number: on_readable(number))
        pairs[number][1].send(b"x")
    while len(turns) < 50:
        await trio.lowlevel.checkpoint()
        rounds.append(len(turns))
    assert len(set(turns[:5])) == 5
    assert turns[:45] == turns[:5] * 9
    # Two take it up; the poller may have run before us and after us.
    assert max(b - a for a, b in itertools.pairwise(rounds)) <= 4
    for number in range(5):
        poller.unregister(pairs[number][0])
    await settle()
    assert len(turns) < 60


async def test_whoever_is_served_out_of_turn_while_in_line_keeps_its_place(poller, pairs):
    """As a server does that says goodbye: it takes what has arrived, whoever's turn it is."""
    (ours, theirs), turns = pairs[0], []

    def on_readable() -> None:
        ours.recv(1)
        poller.postpone(ours, lambda: turns.append("in line"))
        poller.postpone(ours, lambda: turns.append("out of turn"))

    poller.register(ours, on_readable)
    theirs.send(b"xy")
    await settle()
    assert turns == ["in line", "in line"]  # one for each byte
    poller.unregister(ours)


async def test_with_an_empty_line_the_poller_sleeps(poller, pairs):
    """Or it would take a core for nothing."""
    ours, theirs = pairs[0]
    poller.register(ours, lambda: (ours.recv(10), poller.postpone(ours, lambda: None)))
    theirs.send(b"x")
    with trio.fail_after(10):
        await trio.testing.wait_all_tasks_blocked(0.01)
    theirs.send(b"x")
    await settle()
    assert not poller._line


async def test_a_cancelled_poller_can_still_be_unregistered_from(make_poller, pairs):
    poller, ours = make_poller(), pairs[0][0]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(poller.run)
        poller.register(ours, lambda: None)
        await settle()
        nursery.cancel_scope.cancel()
    poller.unregister(ours)


async def test_registering_with_a_cancelled_poller_is_no_error(make_poller, pairs):
    poller, ours = make_poller(), pairs[0][0]
    with trio.CancelScope() as scope:
        scope.cancel()
        await poller.run()
    poller.register(ours, lambda: None)
    poller.unregister(ours)


async def test_a_sample_of_the_batches_is_timed(make_poller, pairs):
    timed, served = [], []
    poller = make_poller(timed.append)
    (ours, theirs), batches = pairs[0], 3 * poller_module.TIMED_EVERY
    async with trio.open_nursery() as nursery:
        nursery.start_soon(poller.run)
        poller.register(ours, lambda: served.append(ours.recv(10)))
        for _ in range(batches):
            theirs.send(b"x")
            await settle()
        assert len(served) == batches
        assert len(timed) == 3
        assert all(seconds > 0 for seconds in timed)
        nursery.cancel_scope.cancel()


async def test_the_next_batch_is_timed_when_that_is_asked_for(make_poller, pairs):
    timed = []
    poller = make_poller(timed.append)
    (ours, theirs), batches = pairs[0], 5
    async with trio.open_nursery() as nursery:
        nursery.start_soon(poller.run)
        poller.register(ours, lambda: ours.recv(10))
        for _ in range(batches):
            poller.time_next()
            theirs.send(b"x")
            await settle()
        assert len(timed) == batches
        nursery.cancel_scope.cancel()


async def test_who_waits_behind_others_in_a_batch_is_seen_to_take_longer(make_poller, pairs):
    timed = []
    poller = make_poller(timed.append)
    for ours, theirs in pairs[:10]:
        poller.register(ours, lambda ours=ours: ours.recv(10))
        theirs.send(b"x")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(poller.run)
        await settle()
        nursery.cancel_scope.cancel()
    assert timed == sorted(timed)
    assert len(timed) == 10


async def test_a_timed_batch_goes_on_behind_the_last_that_was_served(
    make_poller, pairs, clock, nursery
):
    timed, served = [], []
    poller = make_poller(timed.append)

    def on_readable(number) -> None:
        served.append(number)
        clock.now_s += 2 * poller_module.SLICE_S  # A slice is over behind each.
        with suppress(BlockingIOError):
            pairs[number][0].recv(10)

    for number, (ours, theirs) in enumerate(pairs[:10]):
        poller.register(ours, partial(on_readable, number))
        theirs.send(b"x")
    nursery.start_soon(poller.run)
    await settle()
    await settle()
    assert sorted(served) == list(range(10))
    assert len(timed) == 10


# -- Waiting, then being called back ----------------------------------------------------------


async def test_who_has_waited_for_a_socket_is_called_back_for_it_from_then_on(poller, pairs):
    (ours, theirs), read = pairs[0], []
    theirs.send(b"a")
    with trio.fail_after(60):
        await poller.wait_readable(ours)
    assert ours.recv(10) == b"a"
    theirs.send(b"b")  # Nobody is called back for this, and nobody is yet to be.
    await settle()
    with trio.fail_after(60):
        await poller.wait_readable(ours)
    poller.register(ours, lambda: read.append(ours.recv(10)))
    await settle()
    theirs.send(b"c")
    await settle()
    assert read == [b"b", b"c"]
    poller.unregister(ours)


async def test_who_has_waited_may_ask_for_the_end_alone(poller, pairs):
    (ours, theirs), calls = pairs[0], []
    theirs.send(b"a")
    await poller.wait_readable(ours)
    poller.register(ours, lambda: (calls.append(1), poller.unregister(ours)), reading=False)
    await settle()
    assert calls == []
    theirs.close()
    await settle()
    assert calls == [1]


async def test_who_stops_waiting_leaves_nothing_registered(poller, pairs):
    (ours, theirs), read = pairs[0], []
    with trio.move_on_after(0) as waiting:
        await poller.wait_readable(ours)
    assert waiting.cancelled_caught
    poller.register(ours, lambda: read.append(ours.recv(10)))
    theirs.send(b"a")
    await settle()
    assert read == [b"a"]


# -- In Trio's place -----------------------------------------------------------------------------


async def test_tasks_go_on_while_a_socket_is_always_ready(poller, pairs):
    """Deadlines, tasks that callbacks wake, other descriptors, and calls from other threads."""
    (ours, theirs), (waited_for, other) = pairs[:2]
    calls, woken = [], trio.Event()

    def on_readable() -> None:  # never reads: always ready
        calls.append(1)
        woken.set()

    poller.register(ours, on_readable)
    theirs.send(b"x")
    with trio.fail_after(60):
        await woken.wait()
        await trio.sleep(0.01)
        other.send(b"x")
        await trio.lowlevel.wait_readable(waited_for)
        assert await trio.to_thread.run_sync(lambda: 5) == 5
    assert len(calls) > 3
    poller.unregister(ours)


async def test_tasks_go_on_behind_more_ready_sockets_than_a_batch(poller, pairs):
    """Trio's descriptor then stands at the end of the kernel's line."""
    calls = Counter()
    for number, (ours, theirs) in enumerate(pairs[1:]):
        poller.register(ours, lambda number=number: calls.update([number]))
        theirs.send(b"x")
    waited_for, other = pairs[0]
    with trio.fail_after(60):
        while len(calls) < len(pairs) - 1:
            await trio.sleep(0.001)
        other.send(b"x")
        await trio.lowlevel.wait_readable(waited_for)


class Asked:
    """An epoll of which one can tell for how many sockets it was asked at a time."""

    def __init__(self, epoll) -> None:
        self._epoll = epoll
        self.at_most = set[int]()

    def poll(self, timeout_s, at_most):
        self.at_most.add(at_most)
        return self._epoll.poll(timeout_s, at_most)

    def __getattr__(self, name: str):
        return getattr(self._epoll, name)


async def test_a_batch_of_sockets_is_asked_for_wherever_the_poller_waits(
    make_poller, pairs, nursery
):
    poller, served = make_poller(), trio.Event()
    poller._epoll = asked = Asked(poller._epoll)
    await nursery.start(poller.run)
    ours, theirs = pairs[0]
    poller.register(ours, lambda: (ours.recv(10), served.set()))
    await settle()  # beside tasks that run
    if poller.is_inside:
        assert asked.at_most == {poller_module.BATCH}
    theirs.send(b"x")
    with trio.fail_after(60):
        await served.wait()  # in the place of Trio, which has nothing else to do
    assert asked.at_most == {poller_module.BATCH}


async def test_a_deadline_that_a_callback_has_set_passes_in_time(poller, pairs):
    ours, theirs = pairs[0]

    def on_readable() -> None:
        ours.recv(100)
        sleeping.deadline = trio.current_time() + 0.05

    poller.register(ours, on_readable)
    with trio.move_on_after(30) as patience:
        with trio.CancelScope() as sleeping:
            # A thread that Trio knows nothing of, so that only the message ends the wait.
            threading.Timer(0.2, theirs.send, (b"m",)).start()
            await trio.sleep_forever()
    assert sleeping.cancelled_caught
    assert not patience.cancel_called


async def test_a_second_poller_of_a_run_waits_through_trio(nursery, pairs):
    first, second, read = Poller(), Poller(), []
    await nursery.start(first.run)
    await nursery.start(second.run)
    assert (first.is_inside, second.is_inside) == (True, False)
    for poller, (ours, theirs) in zip((first, second), pairs, strict=False):
        poller.register(ours, lambda ours=ours: read.append(ours.recv(10)))
        theirs.send(b"x")
    with trio.fail_after(60):
        while len(read) < 2:
            await trio.sleep(0.001)


async def test_when_a_poller_has_ended_the_next_takes_its_place(pairs):
    for _ in range(2):
        poller, (ours, theirs), read = Poller(), pairs[0], []
        async with trio.open_nursery() as nursery:
            await nursery.start(poller.run)
            assert poller.is_inside
            poller.register(ours, lambda: read.append(ours.recv(10)))  # noqa: B023
            theirs.send(b"x")
            await settle()
            assert read == [b"x"]
            nursery.cancel_scope.cancel()
        assert not poller.is_inside


async def test_on_a_clock_of_tests_a_poller_waits_through_trio(autojump_clock, nursery):
    poller = Poller()
    await nursery.start(poller.run)
    assert not poller.is_inside


async def test_what_a_callback_raises_is_raised_by_run(make_poller, pairs):
    poller, (ours, theirs) = make_poller(), pairs[0]

    def on_readable() -> None:
        raise ZeroDivisionError

    async def run() -> None:
        async with trio.open_nursery() as nursery:
            await nursery.start(poller.run)
            poller.register(ours, on_readable)
            theirs.send(b"x")
            await trio.sleep_forever()

    with trio.fail_after(60), pytest.RaisesGroup(ZeroDivisionError, flatten_subgroups=True):
        await run()
    assert not poller.is_inside


async def test_an_alarm_rings_once_when_it_is_due_and_wakes_who_waits(nursery):
    poller, rung = Poller(), trio.Event()
    await nursery.start(poller.run)
    due_s = trio.current_time() + 0.02
    at = []
    poller.alarms.set(due_s, lambda: (at.append(trio.current_time()), rung.set()))
    dropped = poller.alarms.set(due_s - 0.01, lambda: at.append(None))
    poller.alarms.drop(dropped)
    with trio.fail_after(60):
        await rung.wait()
    await trio.sleep(0.01)
    assert len(at) == 1
    assert at[0] >= due_s


async def test_a_look_at_the_loop_is_late_by_what_a_callback_takes(nursery, pairs):
    late = []
    poller, (ours, theirs) = Poller(lag=LagWatch(0.02, late.append)), pairs[0]
    await nursery.start(poller.run)

    def on_readable() -> None:
        until = trio.current_time() + 0.2
        while trio.current_time() < until:
            pass
        ours.recv(10)

    poller.register(ours, on_readable)
    theirs.send(b"x")
    with trio.fail_after(60):
        while max(late, default=0) < 0.15:
            await trio.sleep(0.01)


async def test_an_idle_loop_is_not_woken_to_be_found_idle(nursery, pairs):
    """Only looks that rest cease: nothing else is left that would wake it."""
    looks, rounds = [], []
    watch = LagWatch(0.005, looks.append, rests=True)
    poller, (ours, theirs) = Poller(lag=watch), pairs[0]
    await nursery.start(poller.run)
    poller.register(ours, lambda: rounds.append(ours.recv(10)))
    with trio.fail_after(60):
        while watch.next_s != inf:
            await trio.sleep(0.02)
        before = len(looks)
        theirs.send(b"x")
        while not rounds:
            await trio.sleep(0.02)
        while watch.next_s != inf or len(looks) == before:  # It looks again, and rests again.
            await trio.sleep(0.02)


# -- Alarms and looks, by a clock that is told ----------------------------------------------------


def test_alarms_ring_in_order_and_what_is_set_meanwhile_rings_the_next_time():
    alarms, rung = Alarms(), []
    assert alarms.next_s == inf
    alarms.set(3.0, lambda: rung.append("c"))
    alarms.set(1.0, lambda: (rung.append("a"), alarms.set(0.5, lambda: rung.append("again"))))
    alarms.set(2.0, lambda: rung.append("b"))
    assert alarms.next_s == 1.0
    alarms.ring(2.5)
    assert rung == ["a", "b"]
    assert alarms.next_s == 0.5
    alarms.ring(2.5)
    assert rung == ["a", "b", "again"]
    alarms.ring(3.0)
    assert (rung[-1], alarms.next_s) == ("c", inf)


def test_a_dropped_alarm_does_not_ring_and_dropping_is_idempotent():
    alarms, rung = Alarms(), []
    first, second = (alarms.set(at, lambda at=at: rung.append(at)) for at in (1.0, 2.0))
    alarms.drop(first)
    alarms.drop(first)
    assert alarms.next_s == 2.0
    alarms.ring(5.0)
    alarms.drop(second)
    assert (rung, alarms.next_s) == ([2.0], inf)


def test_a_look_is_taken_where_the_loop_is_awake_anyway_and_not_twice():
    late = []
    watch = LagWatch(0.02, late.append)
    watch.look(10.0, 10.0)  # The first says when the next is due.
    assert (late, watch.next_s) == ([], 10.02)
    watch.look(10.005, 10.004)  # Too near to the last.
    assert late == []
    watch.look(10.0125, 10.012)
    assert late == [pytest.approx(0.0005)]
    assert watch.next_s == pytest.approx(10.0325)
    watch.look(10.5, watch.next_s)
    assert late[-1] == pytest.approx(0.4675)


def test_looks_rest_after_an_interval_without_work_until_there_is_some():
    late = []
    watch = LagWatch(1.0, late.append, rests=True)
    watch.look(1.0, 1.0)
    watch.note_work(1.5)
    watch.look(2.0, 2.0)
    assert watch.next_s == 3.0
    watch.look(3.0, 3.0)
    assert watch.next_s == inf
    watch.look(9.0, 9.0)
    assert len(late) == 2
    watch.note_work(20.0)
    assert watch.next_s == 21.0
