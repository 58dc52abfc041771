"""What all connections hold together, and who has to go when it is too much."""

import zlib

import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from echo_trio.wire.budget import Budget, Holder
from echo_trio.wire.close_codes import TRY_AGAIN_LATER
from echo_trio.wire.connection import Limits
from echo_trio.wire.deflate import Parameters

from .conftest import BINARY, CONTINUATION, until

MIB = 2**20
FRESH = Parameters(server_no_context_takeover=True, client_no_context_takeover=True)


class Owner(Holder):
    def __init__(self, budget):
        self._budget = budget
        self.dropped = False

    def _regulate_reading(self):
        pass

    def _drop_everything(self):
        assert not self.held_bytes, "given back before"
        self.hold(1000)  # What a goodbye may still want: it isn't counted any more.
        self.dropped = True


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(1, 3 * MIB)), max_size=200))
def test_the_sum_of_what_all_hold_is_never_above_the_budget_nor_off(holds):
    budget = Budget(2 * MIB)
    owners = [Owner(budget) for _ in range(5)]
    for number, size in holds:
        owners[number].hold(size)
        assert budget.held_bytes == sum(owner.held_bytes for owner in owners) <= 2 * MIB
    assert budget.evicted == sum(owner.dropped for owner in owners)
    for owner in owners:
        owner.release(owner.held_bytes // 2)
        owner._give_back()
        owner._give_back()
        owner.release(7)  # too late, and no harm
    assert budget.held_bytes == 0
    assert not budget._places
    assert not budget._place_of


def test_who_holds_most_goes_first():
    budget = Budget(1000)
    small, large, last = (Owner(budget) for _ in range(3))
    large.hold(600)
    small.hold(300)
    last.hold(200)
    assert [owner.evicted for owner in (small, large, last)] == [False, True, False]
    assert (budget.held_bytes, budget.evicted, large.dropped) == (500, 1, True)


@pytest.mark.parametrize("most", [0, 7, 29])
def test_among_those_who_hold_nearly_the_same_the_one_with_most_goes_first(most):
    """All of these are within an eighth, and have one place in the budget's order."""
    sizes = [1000 + (number == most) for number in range(30)]
    budget = Budget(sum(sizes))
    owners = [Owner(budget) for _ in sizes]
    for owner, size in zip(owners, sizes, strict=True):
        owner.hold(size)
    Owner(budget).hold(1)
    assert [number for number, owner in enumerate(owners) if owner.evicted] == [most]


def test_who_asks_for_more_than_there_is_goes_itself():
    budget = Budget(1000)
    small, large = Owner(budget), Owner(budget)
    small.hold(400)
    large.hold(1001)
    assert (small.evicted, large.evicted) == (False, True)
    assert budget.held_bytes == 400


def test_in_a_crowd_of_the_same_size_each_that_goes_costs_a_look_at_a_few():
    class Looked(Owner):
        looks = 0

        @property
        def held_bytes(self):
            Looked.looks += 1
            return self._held

        @held_bytes.setter
        def held_bytes(self, value):
            self._held = value

    budget = Budget(10_000 * 1000)
    crowd = [Looked(budget) for _ in range(10_000)]
    for owner in crowd:
        owner._held = 0
        owner.hold(1000)
    before = Looked.looks
    crowd[0].hold(1)
    assert budget.evicted == 1
    assert Looked.looks - before < 100


def test_without_a_bound_all_is_counted_and_nobody_goes():
    budget = Budget()
    owner = Owner(budget)
    owner.hold(2**40)
    assert budget.held_bytes == 2**40
    assert not owner.evicted


def test_while_much_is_held_what_was_freed_goes_back_to_the_system():
    returned = []
    budget = Budget(100 * MIB, return_memory=lambda: returned.append(budget.held_bytes))
    stays, goes = Owner(budget), Owner(budget)
    for _ in range(40):
        goes.hold(MIB)
        goes.release(MIB)
    stays.hold(49 * MIB)
    assert returned == [], "it is kept for the next messages"
    stays.hold(2 * MIB)
    assert returned == [51 * MIB]
    for _ in range(40):
        goes.hold(MIB)
        goes.release(MIB)
    assert returned == [51 * MIB, 52 * MIB, 52 * MIB]


def test_more_is_never_given_back_than_was_held():
    owner = Owner(Budget())
    owner.hold(5)
    with pytest.raises(AssertionError, match="given back"):
        owner.release(6)


async def test_a_connection_that_holds_too_much_is_told_and_cut(make_wire):
    budget = Budget(MIB)
    wire = make_wire(Limits(max_message_bytes=4 * MIB), budget=budget)
    wire.start()
    connection = wire.connection
    connection.hold(MIB)
    assert not connection.evicted
    connection.hold(1)
    connection.release(1)  # too late, and no harm
    [close] = await wire.peer.receive_rest()
    assert int.from_bytes(close.payload[:2]) == TRY_AGAIN_LATER
    await wire.end()
    assert connection.evicted
    assert (connection.close_code, connection.closed_first) == (TRY_AGAIN_LATER, "us")
    assert budget.held_bytes == 0


async def test_what_a_connection_held_is_given_back_however_it_ends(make_wire):
    budget = Budget()
    wire = make_wire(budget=budget)
    wire.start()
    wire.connection.hold(1000)
    assert budget.held_bytes == 1000
    wire.connection.abort()
    await wire.ended.wait()
    assert budget.held_bytes == 0


async def test_a_connection_that_holds_twice_its_largest_message_is_not_read_from(make_wire):
    # A client waits for the server to end TCP, which nobody here does.
    wire = make_wire(Limits(max_message_bytes=1000, close_timeout_s=0.1), budget=Budget())
    heard = []
    wire.start(heard.append)
    bound = wire.connection._limits.max_held_bytes
    assert bound == 2 * 1000 + 64 * 1024
    wire.connection.hold(bound + 1)
    await wire.peer.send(wire.peer.text("kept"))
    await wire.peer.send(wire.peer.close(1000))
    for _ in range(50):
        await trio.testing.wait_all_tasks_blocked()
    assert heard == []
    wire.connection.release(1)
    await wire.end()
    assert heard == ["kept"]


async def test_what_is_kept_of_a_message_is_counted_until_it_is_whole(make_wire):
    budget = Budget()
    wire = make_wire(budget=budget)
    wire.start(lambda _: None)
    peer, connection = wire.peer, wire.connection
    first = peer.frame(BINARY, bytes(1000), fin=False)
    rest = peer.frame(CONTINUATION, bytes(5000))
    await peer.send(first + rest[:-1])
    await until(lambda: connection.bytes_received == len(first + rest) - 1)
    assert 6000 <= budget.held_bytes <= 7000
    await peer.send(rest[-1:])
    await until(lambda: connection.messages_received)
    assert budget.held_bytes == 0


async def test_what_is_left_for_later_is_counted_while_reading_is_paused(make_wire):
    budget = Budget()
    wire = make_wire(budget=budget)
    wire.start(lambda _: wire.connection.pause_reading())
    said = wire.peer.text("x" * 100) * 5
    await wire.peer.send(said)
    await until(lambda: wire.connection.messages_received)
    await trio.testing.wait_all_tasks_blocked()
    assert budget.held_bytes == wire.connection.bytes_received - len(said) // 5
    for _ in range(4):
        wire.connection.resume_reading()
        await trio.testing.wait_all_tasks_blocked()
    assert (wire.connection.messages_received, budget.held_bytes) == (5, 0)


async def test_half_a_message_alone_does_not_stop_reading(make_wire):
    """It gets less by being read: to wait would be for ever."""
    wire = make_wire(Limits(max_message_bytes=10), compression=FRESH, budget=Budget())
    heard = []
    wire.start(heard.append)
    data = zlib.compressobj(wbits=-15)
    sent = (data.compress(b"x" * 10) + data.flush(zlib.Z_SYNC_FLUSH))[:-4]
    peer = wire.peer
    many = peer.text("x") * 20_000  # more than one read, and more turns than one
    await peer.send(many + peer.frame(BINARY, sent[:2], rsv=4, fin=False))
    await peer.send(peer.frame(CONTINUATION, sent[2:]))
    await until(lambda: len(heard) == 20_001)


@pytest.mark.parametrize("transport", ["poller", "no-poller", "tls"])
async def test_one_that_is_evicted_amid_a_frame_is_reset_and_the_others_go_on(make_wire):
    budget = Budget(6 * MIB)
    limits = Limits(max_message_bytes=16 * MIB)
    large, other = make_wire(limits, budget=budget), make_wire(limits, budget=budget)
    large.start()
    other.start()
    other.connection.hold(MIB)
    large.connection.send_nowait(bytes(12 * MIB))
    await large.end()
    connection = large.connection
    assert connection.evicted
    assert (connection.close_sent, connection.clean) == (None, False)
    assert budget.held_bytes == MIB
    await other.peer.send(other.peer.text("still there"))
    assert (await other.peer.receive()).payload == b"still there"


async def test_one_that_is_evicted_while_it_is_read_from_answers_nothing_more(make_wire):
    budget = Budget(MIB)
    wire = make_wire(budget=budget)

    def on_message(_):
        wire.connection.hold(2 * MIB)
        return "too late"

    wire.start(on_message)
    await wire.peer.send(wire.peer.text("x") * 3)
    [close] = await wire.peer.receive_rest()
    assert int.from_bytes(close.payload[:2]) == TRY_AGAIN_LATER
    await wire.end()
    assert (wire.connection.messages_received, wire.connection.messages_sent) == (1, 0)
