"""Give the rooms of a process their turns."""

from __future__ import annotations

import trio

from echo_trio.behaviours.rooms import Rooms


async def run(rooms: Rooms) -> None:
    """Make the copies that didn't fit into one turn, a turn in each round of the event loop.

    Sleeps while there are none. Runs until it is cancelled.
    """
    while True:
        called = trio.Event()
        rooms.call_for_turn = called.set
        if not rooms.take_turn():
            await called.wait()
        await trio.lowlevel.checkpoint()
