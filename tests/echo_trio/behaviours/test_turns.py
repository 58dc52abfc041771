"""Rooms have a turn in each round of the loop while they want one, and are left alone if not."""

from __future__ import annotations

from typing import Any

import trio
from trio.testing import wait_all_tasks_blocked

from echo_trio.behaviours import turns


class FakeRooms:
    """Rooms that have as many turns to take as the test says."""

    def __init__(self) -> None:
        self.left = self.taken = self.looks = 0
        self.call_for_turn: Any = None

    def take_turn(self) -> bool:
        self.looks += 1
        if self.left:
            self.left -= 1
            self.taken += 1
            return True
        return False


async def test_turns_are_taken_one_a_round_and_called_for(nursery: trio.Nursery) -> None:
    rooms: Any = FakeRooms()
    rooms.left = 3
    nursery.start_soon(turns.run, rooms)
    rounds = 0
    while rooms.left:
        before = rooms.taken
        await trio.lowlevel.checkpoint()
        assert rooms.taken - before <= 2  # The order within a round is by chance.
        rounds += 1
    assert rounds >= 2
    await wait_all_tasks_blocked()
    looks = rooms.looks
    for _ in range(5):
        await trio.lowlevel.checkpoint()
    assert (rooms.taken, rooms.looks) == (3, looks)
    rooms.left = 2
    rooms.call_for_turn()
    await wait_all_tasks_blocked()
    assert (rooms.left, rooms.taken) == (0, 5)
