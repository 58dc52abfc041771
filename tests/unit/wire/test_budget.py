"""What all connections hold together, and who has to go when it is too much."""

import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from echo_trio.wire.budget import Budget
from echo_trio.wire.close_codes import TRY_AGAIN_LATER
from echo_trio.wire.connection import Limits

MIB = 2**20


class Holder:
    def __init__(self):
        self.held_bytes = self.holder_place = 0
        self.evicted = False

    def evict(self):
        assert not self.held_bytes, "given back before"
        self.evicted = True


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(1, 3 * MIB)), max_size=200))
def test_the_sum_of_what_all_hold_is_never_above_the_budget_nor_off(holds):
    budget = Budget(2 * MIB)
    holders = [Holder() for _ in range(5)]
    for number, size in holds:
        budget.hold(holders[number], size)
        assert budget.held_bytes == sum(holder.held_bytes for holder in holders) <= 2 * MIB
    for holder in holders:
        budget.release(holder, holder.held_bytes // 2)
        budget.forget(holder)
        budget.forget(holder)
    assert budget.held_bytes == 0
    assert not budget._places


def test_who_holds_most_goes_first():
    budget = Budget(1000)
    small, large, last = Holder(), Holder(), Holder()
    budget.hold(large, 600)
    budget.hold(small, 300)
    budget.hold(last, 200)
    assert [small.evicted, large.evicted, last.evicted] == [False, True, False]
    assert (budget.held_bytes, budget.evicted) == (500, 1)


def test_who_asks_for_more_than_there_is_goes_itself():
    budget = Budget(1000)
    small, large = Holder(), Holder()
    budget.hold(small, 400)
    budget.hold(large, 1001)
    assert large.evicted
    assert not small.evicted
    assert budget.held_bytes == 400


def test_without_a_bound_all_is_counted_and_nobody_goes():
    budget, holder = Budget(), Holder()
    budget.hold(holder, 2**40)
    assert budget.held_bytes == 2**40
    assert not holder.evicted


def test_more_is_never_given_back_than_was_held():
    budget, holder = Budget(), Holder()
    budget.hold(holder, 5)
    with pytest.raises(AssertionError, match="given back"):
        budget.release(holder, 6)


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
    wire = make_wire(Limits(max_message_bytes=1000), budget=Budget())
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
