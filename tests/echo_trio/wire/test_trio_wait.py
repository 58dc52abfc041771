"""The wait of a run can be taken over where its clock is the system's, and is ended by a word."""

from __future__ import annotations

import trio
import trio.testing

from echo_trio.wire.trio_wait import TrioWait


async def test_the_wait_of_a_run_is_found_and_can_be_ended() -> None:
    wait = TrioWait.of_this_run()
    assert wait is not None
    assert wait.is_over()  # It was ended when it was found.
    await trio.lowlevel.checkpoint()
    assert not wait.is_over()
    wait.end()
    assert wait.is_over()
    assert abs(wait.now() - trio.current_time()) < 60
    assert len(wait.runnable) == 0
    with trio.CancelScope(deadline=trio.current_time() + 1000) as scope:
        assert wait.next_deadline() <= scope.deadline
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.lowlevel.checkpoint)
            assert len(wait.runnable) == 1
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.testing.wait_all_tasks_blocked)
            for _ in range(3):  # Which of two tasks is first in a round is by chance.
                await trio.lowlevel.checkpoint()
            assert len(wait.idle_watchers) == 1


async def test_a_run_on_another_clock_waits_for_itself(autojump_clock) -> None:
    assert TrioWait.of_this_run() is None


def test_outside_of_a_run_there_is_no_wait() -> None:
    assert TrioWait.of_this_run() is None
