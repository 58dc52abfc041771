"""Await a reply, and remember the keys of answered requests, to tell a second answer."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from loadgen.engine.context import now_us
from loadgen.results.latency import Recorder
from loadgen.results.scenario import StepBooks
from loadgen.scenario.calls import MAX_ANSWERED, Call, KeyedCalls, park
from loadgen.scenario.content import KeyPath
from loadgen.scenario.errors import LostReply


class Waiter:
    """A task that waits for calls, one after the other, as a request does."""

    def __init__(self) -> None:
        self.lag = Recorder()
        self.values: list[object] = []

    async def wait(self, call: Call) -> None:
        call.task = trio.lowlevel.current_task()
        await park(call.message)
        self.values.append(call.finish(self.lag))


async def test_a_call_wakes_its_task_with_what_has_come_as_often_as_it_is_made_anew(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    call, waiter, step = Call(None, 0), Waiter(), StepBooks("request")
    call.make_message()
    assert not call.is_settled
    assert not call.is_lost
    for number in range(3):
        nursery.start_soon(waiter.wait, call)
        await trio.testing.wait_all_tasks_blocked()
        assert len(waiter.values) == number
        call.settle({"n": number}, now_us() - 5_000)
        await trio.testing.wait_all_tasks_blocked()
        assert call.task is None
        call.step, call.is_settled = step, False
    assert waiter.values == [{"n": 0}, {"n": 1}, {"n": 2}]
    assert waiter.lag.end_second().count == 3
    # The first had no step: of the two others it is known how late the task went on.
    assert step.longest_lag_us >= 5_000


async def test_what_never_comes_is_raised_and_a_cancelled_task_is_not_woken(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    waiter, lost = Waiter(), Call(None, 0)
    lost.fail(LostReply("late"), now_us())
    for _ in range(2):
        with pytest.raises(LostReply, match="late"):
            await lost.wait(waiter.lag)
    call = Call(None, 0)
    call.make_message()
    for wait in (waiter.wait, lambda call: call.wait(waiter.lag)):
        with trio.move_on_after(1) as waiting:
            await wait(call)
        assert waiting.cancelled_caught
        assert call.task is None
    call.settle("at last", now_us())
    assert await call.wait(waiter.lag) == "at last"
    later = Call(None, 0)

    async def settle_later() -> None:
        await trio.sleep(1)
        later.settle("later", now_us())

    nursery.start_soon(settle_later)
    with trio.fail_after(2):
        assert await later.wait(waiter.lag) == "later"
    assert (later.task, later.value) == (None, None)


def test_a_call_begins_as_it_is_made_and_has_nothing_yet() -> None:
    call, step = Call(None, 7), StepBooks("request")
    assert (call.step, call.sent_us, call.due_us, call.is_binary, call.fits) == (
        None, 7, None, False, None
    )  # fmt: skip
    assert (call.is_settled, call.is_lost, call.timeout, call.task) == (False, False, None, None)
    due = Call(step, 7, 5, True, bool)
    assert (due.step, due.sent_us, due.due_us, due.is_binary, due.fits) == (step, 7, 5, True, bool)


def test_a_steps_lag_is_the_longest_of_its_calls_whatever_their_order() -> None:
    step, lag = StepBooks("request"), Recorder()
    for late_us in (5_000_000, 70_000_000, 1_000_000):
        call = Call(step, 0)
        call.settle("value", now_us() - late_us)
        assert call.finish(lag) == "value"
    assert 70_000_000 <= step.longest_lag_us < 80_000_000
    assert lag.end_second().count == 3


def reply(key: object) -> dict[str, object]:
    return {"id": key}


def test_a_key_of_ours_is_a_duplicate_once_it_was_given_and_is_not_open() -> None:
    keyed = KeyedCalls(KeyPath("id"))
    keyed.open[2] = Call(None, 0)
    found = [keyed.is_duplicate(reply(key), numbered=3) for key in (0, 1, 2, 3, 4, 1.0, "1", None)]
    assert found == [False, True, False, True, False, False, False, False]


def test_a_key_of_the_script_is_a_duplicate_once_it_was_answered() -> None:
    keyed = KeyedCalls(KeyPath("id"))
    assert not keyed.is_duplicate(reply("a"), numbered=0)
    keyed.note_answered("a")
    assert keyed.is_duplicate(reply("a"), numbered=0)
    assert not keyed.is_duplicate(reply("b"), numbered=0)


def test_the_first_answer_to_a_request_that_was_given_up_is_no_duplicate() -> None:
    keyed = KeyedCalls(KeyPath("id"))
    keyed.note_lost(1)
    assert not keyed.is_duplicate(reply(1), numbered=2)
    assert keyed.is_duplicate(reply(2), numbered=2)


def test_the_newest_answered_keys_are_remembered_and_the_oldest_forgotten() -> None:
    keyed = KeyedCalls(KeyPath("id"))
    keys = [f"k{number}" for number in range(MAX_ANSWERED + 10)]
    for key in keys:
        keyed.note_answered(key)
    known = [keyed.is_duplicate(reply(key), numbered=0) for key in keys]
    assert known == [False] * 10 + [True] * MAX_ANSWERED
