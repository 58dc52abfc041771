"""Who has to leave when one more comes."""

from __future__ import annotations

from contextlib import ExitStack

import pytest
import trio
from trio.testing import MockClock

from echo_trio.console.slots import GRACE_S, HEALTH_SLOTS, Slot, Slots, Waiting


def take(slots: Slots) -> Slot:
    slot = slots.take()
    assert slot is not None
    return slot


@pytest.fixture(autouse=True)
def _clock(autojump_clock: MockClock) -> MockClock:
    return autojump_clock


async def test_of_those_who_wait_for_their_client_the_oldest_makes_room(
    autojump_clock: MockClock,
) -> None:
    slots = Slots(3)
    held = [take(slots) for _ in range(3)]
    with ExitStack() as waiting:
        for slot in (held[1], held[0]):
            waiting.enter_context(slot.waiting(Waiting.PEER))
        await trio.sleep(GRACE_S)
        newest = take(slots)
        assert held[1].scope.cancel_called
        assert held[1].lost_while is Waiting.PEER
        assert slots.held == {held[0], held[2], newest}
        take(slots)
        assert held[0].scope.cancel_called
        assert slots.take() is None
    assert not held[2].scope.cancel_called
    assert slots.evicted == 2


@pytest.mark.parametrize("waits", list(Waiting))
async def test_a_slot_that_was_lost_is_not_given_away_again(
    autojump_clock: MockClock, waits: Waiting
) -> None:
    """Its connection may wait once more before Trio cancels it: a checkpoint yields first."""
    slots = Slots(1)
    lost = take(slots)
    with lost.waiting(Waiting.TURN):
        newcomer = take(slots)
    with lost.waiting(waits):
        await trio.sleep(GRACE_S)
        assert slots.take() is None
        assert [len(line) for line in slots.waiting.values()] == [0, 0, 0, 0]
    assert (slots.held, slots.evicted, lost.lost_while) == ({newcomer}, 1, Waiting.TURN)


async def test_whoever_has_begun_to_wait_again_is_not_the_oldest_any_more(
    autojump_clock: MockClock,
) -> None:
    slots = Slots(2)
    first, second = take(slots), take(slots)
    with first.waiting(Waiting.PEER):
        pass
    with second.waiting(Waiting.PEER), first.waiting(Waiting.PEER):
        await trio.sleep(GRACE_S)
        take(slots)
    assert second.scope.cancel_called
    assert not first.scope.cancel_called


async def test_a_request_leaves_its_place_only_where_nobody_idles(
    autojump_clock: MockClock,
) -> None:
    slots = Slots(2)
    asking, idle = take(slots), take(slots)
    with asking.waiting(Waiting.TURN), idle.waiting(Waiting.PEER):
        await trio.sleep(GRACE_S)
        take(slots)
        assert idle.scope.cancel_called
        assert not asking.scope.cancel_called
        take(slots)
        assert asking.lost_while is Waiting.TURN


async def test_who_has_the_last_answer_leaves_before_all_others(autojump_clock: MockClock) -> None:
    slots = Slots(2)
    idle, answered = take(slots), take(slots)
    with idle.waiting(Waiting.PEER):
        await trio.sleep(GRACE_S)
        with answered.waiting(Waiting.END):
            take(slots)
    assert answered.lost_while is Waiting.END
    assert not idle.scope.cancel_called


async def test_of_those_who_have_the_last_answer_the_first_leaves_first(
    autojump_clock: MockClock,
) -> None:
    slots = Slots(3)
    ending = [take(slots) for _ in range(3)]
    with ExitStack() as waiting:
        for slot in (ending[1], ending[2], ending[0]):
            waiting.enter_context(slot.waiting(Waiting.END))
        for lost in ([1], [1, 2], [0, 1, 2]):
            take(slots)
            assert [n for n, slot in enumerate(ending) if slot.scope.cancel_called] == lost
    assert slots.evicted == 3


async def test_who_has_only_just_come_is_not_taken_for_idle(autojump_clock: MockClock) -> None:
    slots = Slots(2)
    asking, newcomer = take(slots), take(slots)
    with asking.waiting(Waiting.TURN), newcomer.waiting(Waiting.PEER):
        take(slots)
        assert asking.scope.cancel_called
        take(slots)  # There is nobody else.
        assert newcomer.scope.cancel_called


async def test_health_never_leaves_but_whoever_comes_waits_until_it_was_answered(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    slots = Slots(3)
    health, asking, newcomer = (take(slots) for _ in range(3))
    assert not await slots.wait_for_health()
    with asking.waiting(Waiting.TURN), newcomer.waiting(Waiting.PEER):
        with health.waiting(Waiting.HEALTH):
            take(slots)
            assert asking.scope.cancel_called
            assert slots.take() is None
            room = trio.Event()

            async def wait() -> None:
                assert await slots.wait_for_health()
                room.set()

            nursery.start_soon(wait)
            await trio.sleep(1)
            assert not room.is_set()
        with health.waiting(Waiting.END):
            await room.wait()
            take(slots)
    assert health.lost_while is Waiting.END
    assert not newcomer.scope.cancel_called


async def test_who_waits_for_health_looks_again_as_soon_as_a_slot_is_given_up(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    slots, looked = Slots(2), list[float]()
    health, other = take(slots), take(slots)

    async def wait() -> None:
        assert await slots.wait_for_health()
        looked.append(trio.current_time())

    with health.waiting(Waiting.HEALTH):
        for gone in (other, slots.take_for_health()):
            assert gone is not None
            nursery.start_soon(wait)
            await trio.sleep(1)
            gone.give_up()
            await trio.sleep(1)
    assert looked == [1, 3]


async def test_there_are_places_for_health_beyond_the_limit_and_each_is_free_again(
    autojump_clock: MockClock,
) -> None:
    slots = Slots(1)
    take(slots)
    for _ in range(2):
        held = [slot for _ in range(HEALTH_SLOTS) if (slot := slots.take_for_health())]
        assert len(held) == HEALTH_SLOTS
        assert slots.take_for_health() is None
        for slot in held:
            slot.give_up()
            slot.give_up()


async def test_a_place_that_is_given_up_is_free(autojump_clock: MockClock) -> None:
    slots = Slots(1)
    slot = take(slots)
    assert slots.full
    slot.give_up()
    slot.give_up()
    assert not slots.full
    assert take(slots)
    assert slots.evicted == 0
