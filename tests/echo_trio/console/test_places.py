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


@pytest.mark.parametrize("turn", [Waiting.TURN, Waiting.HEALTH])
async def test_a_request_leaves_its_place_only_where_nobody_idles(turn: Waiting) -> None:
    places = ConsolePlaces(2)
    asking, idle = take(places), take(places)
    with asking.waiting(turn), idle.waiting(Waiting.PEER):
        await trio.sleep(GRACE_S)
        take(places)
        assert idle.scope.cancel_called
        assert not asking.scope.cancel_called
        take(places)
        assert asking.lost_while is turn


async def test_who_has_only_just_come_is_not_taken_for_idle() -> None:
    places = ConsolePlaces(2)
    asking, newcomer = take(places), take(places)
    with asking.waiting(Waiting.TURN), newcomer.waiting(Waiting.PEER):
        take(places)
        assert asking.scope.cancel_called
        take(places)  # There is nobody else.
        assert newcomer.scope.cancel_called


async def test_health_leaves_last() -> None:
    places = ConsolePlaces(3)
    held = [take(places) for _ in range(3)]
    with held[0].waiting(Waiting.HEALTH), held[1].waiting(Waiting.TURN):
        take(places)
        assert held[1].scope.cancel_called
        assert not held[0].scope.cancel_called


async def test_a_place_that_is_given_up_is_free() -> None:
    places = ConsolePlaces(1)
    place = take(places)
    assert places.full
    place.give_up()
    place.give_up()
    assert not places.full
    assert take(places)
    assert places.evicted == 0
