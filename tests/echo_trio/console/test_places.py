"""Who has to leave when one more comes."""

from __future__ import annotations

from contextlib import ExitStack

import pytest
import trio
from trio.testing import MockClock

from echo_trio.console.places import GRACE_S, ConsolePlaces, Place, Waiting


def take(places: ConsolePlaces) -> Place:
    place = places.take()
    assert place is not None
    return place


@pytest.fixture(autouse=True)
def _clock(autojump_clock: MockClock) -> MockClock:
    return autojump_clock


async def test_of_those_who_wait_for_their_client_the_oldest_makes_room() -> None:
    places = ConsolePlaces(3)
    held = [take(places) for _ in range(3)]
    with ExitStack() as waiting:
        for place in (held[1], held[0]):
            waiting.enter_context(place.waiting(Waiting.PEER))
        await trio.sleep(GRACE_S)
        newest = take(places)
        assert held[1].scope.cancel_called
        assert held[1].lost_while is Waiting.PEER
        assert places.held == {held[0], held[2], newest}
        take(places)
        assert held[0].scope.cancel_called
        assert places.take() is None
    assert not held[2].scope.cancel_called
    assert places.evicted == 2


async def test_whoever_has_begun_to_wait_again_is_not_the_oldest_any_more() -> None:
    places = ConsolePlaces(2)
    first, second = take(places), take(places)
    with first.waiting(Waiting.PEER):
        pass
    with second.waiting(Waiting.PEER), first.waiting(Waiting.PEER):
        await trio.sleep(GRACE_S)
        take(places)
    assert second.scope.cancel_called
    assert not first.scope.cancel_called


async def test_a_request_leaves_its_place_only_where_nobody_idles() -> None:
    places = ConsolePlaces(2)
    asking, idle = take(places), take(places)
    with asking.waiting(Waiting.TURN), idle.waiting(Waiting.PEER):
        await trio.sleep(GRACE_S)
        take(places)
        assert idle.scope.cancel_called
        assert not asking.scope.cancel_called
        take(places)
        assert asking.lost_while is Waiting.TURN


async def test_who_has_the_last_answer_leaves_before_all_others() -> None:
    places = ConsolePlaces(2)
    idle, answered = take(places), take(places)
    with idle.waiting(Waiting.PEER):
        await trio.sleep(GRACE_S)
        with answered.waiting(Waiting.END):
            take(places)
    assert answered.lost_while is Waiting.END
    assert not idle.scope.cancel_called


async def test_who_has_only_just_come_is_not_taken_for_idle() -> None:
    places = ConsolePlaces(2)
    asking, newcomer = take(places), take(places)
    with asking.waiting(Waiting.TURN), newcomer.waiting(Waiting.PEER):
        take(places)
        assert asking.scope.cancel_called
        take(places)  # There is nobody else.
        assert newcomer.scope.cancel_called


async def test_health_never_leaves_but_whoever_comes_waits_until_it_was_answered(
    nursery: trio.Nursery,
) -> None:
    places = ConsolePlaces(3)
    health, asking, newcomer = (take(places) for _ in range(3))
    assert not await places.wait_for_health()
    with asking.waiting(Waiting.TURN), newcomer.waiting(Waiting.PEER):
        with health.waiting(Waiting.HEALTH):
            take(places)
            assert asking.scope.cancel_called
            assert places.take() is None
            room = trio.Event()

            async def wait() -> None:
                assert await places.wait_for_health()
                room.set()

            nursery.start_soon(wait)
            await trio.sleep(1)
            assert not room.is_set()
        with health.waiting(Waiting.END):
            await room.wait()
            take(places)
    assert health.lost_while is Waiting.END
    assert not newcomer.scope.cancel_called


async def test_a_place_that_is_given_up_is_free() -> None:
    places = ConsolePlaces(1)
    place = take(places)
    assert places.full
    place.give_up()
    place.give_up()
    assert not places.full
    assert take(places)
    assert places.evicted == 0
