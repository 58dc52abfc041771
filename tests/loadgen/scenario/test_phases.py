"""Lead users through open, load and close; on a virtual clock."""

from __future__ import annotations

import math

import pytest
import trio
import trio.testing

from loadgen.scenario.phases import Phases


@pytest.fixture
def phases() -> Phases:
    return Phases(load_s=10.0, stop_timeout_s=4.0)


async def test_the_load_may_begin_once_the_last_awaited_user_is_there(
    phases: Phases, autojump_clock: trio.testing.MockClock
) -> None:
    called: list[int] = []
    phases.on_all_there = lambda: called.append(1)
    phases.await_users(2)
    phases.settle_user()
    assert called == []
    phases.settle_user()
    assert called == [1]


async def test_whoever_waits_for_the_load_goes_on_when_it_begins_or_will_not(
    phases: Phases, nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    gone_on: list[float | None] = []

    async def wait() -> None:
        await phases.wait_for_load()
        gone_on.append(phases.began_s)

    nursery.start_soon(wait)
    await trio.testing.wait_all_tasks_blocked()
    assert gone_on == []
    phases.begin_load()
    await wait()
    await trio.testing.wait_all_tasks_blocked()
    assert gone_on == [trio.current_time()] * 2
    never_began = phases = Phases(1.0, 1.0)
    nursery.start_soon(wait)
    await trio.testing.wait_all_tasks_blocked()
    assert len(gone_on) == 2
    never_began.end_load()
    await never_began.wait_for_load()
    await trio.testing.wait_all_tasks_blocked()
    assert gone_on[2:] == [None] == [never_began.began_s]


async def test_what_ends_with_the_load_is_ended_once_unless_it_was_forgotten(
    phases: Phases, autojump_clock: trio.testing.MockClock
) -> None:
    ended: list[str] = []
    phases.end_with_load("a", lambda: ended.append("a"))
    phases.end_with_load("b", lambda: ended.append("b"))
    phases.forget("b")
    phases.forget("b")
    phases.end_load()
    began_s = trio.current_time()
    await trio.sleep(1)
    phases.end_load()
    assert ended == ["a"]
    assert phases.users_end_s == began_s + 4.0


async def test_half_the_stop_timeout_is_for_due_messages_and_the_rest_for_their_replies(
    phases: Phases, autojump_clock: trio.testing.MockClock
) -> None:
    phases.begin_load()
    assert phases.may_send_late
    await trio.sleep(100)
    assert phases.may_send_late  # However long it lasts.
    phases.end_load()
    await trio.sleep(1.9)
    assert phases.may_send_late
    await trio.sleep_until(phases.users_end_s - 2.0)
    assert not phases.may_send_late
    interrupted = Phases(10.0, 4.0)
    interrupted.is_interrupted = True
    assert not interrupted.may_send_late


async def test_sockets_get_the_stop_timeout_and_shielded_code_half_of_it(
    phases: Phases, autojump_clock: trio.testing.MockClock
) -> None:
    began_s = trio.current_time()
    assert (phases.is_closing, phases.socket_ends_s()) == (False, began_s + 4.0)
    phases.begin_closing()
    await trio.sleep(1)
    phases.begin_closing()
    assert phases.is_closing
    assert phases.socket_ends_s() == phases.sockets_end_s == began_s + 4.0
    assert phases.shields_end_s == began_s + 2.0
    assert not math.isinf(phases.sockets_end_s)


async def test_copies_are_awaited_after_the_load_and_by_nobody_else(
    phases: Phases, nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    await phases.wait_for_copies()  # A user that leaves during the load leaves alone.
    phases.end_load()
    nursery.start_soon(phases.wait_for_copies)
    nursery.start_soon(phases.wait_for_copies)
    await trio.testing.wait_all_tasks_blocked()
    assert (phases.waiting_for_copies, phases.are_copies_settled) == (2, False)
    phases.settle_copies()
    await trio.testing.wait_all_tasks_blocked()
    assert (phases.waiting_for_copies, phases.are_copies_settled) == (0, True)
    left = Phases(1.0, 1.0)
    left.end_load()
    with trio.move_on_after(1.0) as given_up:
        await left.wait_for_copies()
    assert (given_up.cancelled_caught, left.waiting_for_copies) == (True, 0)
    left.is_interrupted = True
    with trio.fail_after(1.0):
        await left.wait_for_copies()


async def test_who_waits_for_a_change_or_the_end_is_woken_once_by_whichever_comes_first(
    phases: Phases, autojump_clock: trio.testing.MockClock
) -> None:
    woken: list[str] = []

    def wait(*names: str) -> None:
        for name in names:
            phases.change_with_load(name, lambda name=name: woken.append(name))  # type: ignore[misc]

    wait("a", "b", "forgotten")
    phases.end_with_load("end", lambda: woken.append("end"))
    phases.forget("forgotten")
    phases.change_load()
    assert woken == ["a", "b"]
    phases.change_load()
    wait("c")
    phases.end_load()
    phases.change_load()
    assert woken == ["a", "b", "end", "c"]
    assert phases._changes_with_load == phases._ends_with_load == {}
