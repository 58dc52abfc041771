"""Test what a script's calls on a socket are booked as, and how long its end takes.

On a virtual clock and a wire of our own: `tests/integration/loadgen/scenario` has real ones.
"""

from __future__ import annotations

from typing import Any

import pytest
import trio
from trio.testing import MockClock

from loadgen.engine.context import now_us
from loadgen.results.fan_out import Joined, Left
from loadgen.results.ledger import Ending
from loadgen.scenario.errors import LostReply
from loadgen.scenario.pace import Due
from loadgen.scenario.socket import REPLIES_SHARE
from loadgen.scenario.topics import number_of

from .wires import CONNECT_S, STOP_S, Bench


async def test_a_request_that_was_not_due_is_not_late_by_the_one_before_it(
    echo: Bench, autojump_clock: MockClock
) -> None:
    due: Any = Due(0, now_us() - 5_000_000)
    for name, when in (("due", due), ("undue", None)):
        assert await echo.socket.request("a", name=name, due=when) == "a"
    echo.end_second()
    steps = {name: step for (name, _), step in echo.books.steps.items()}
    assert steps["due"].intended.total.min >= 5_000_000
    assert (steps["undue"].intended.total.count, steps["undue"].service.total.count) == (0, 1)


@pytest.mark.parametrize("is_closing", [False, True])
async def test_what_a_script_gives_up_to_expect_has_failed_and_not_what_the_runs_end_cuts_off(
    mute: Bench, is_closing: bool, autojump_clock: MockClock
) -> None:
    with trio.move_on_after(1.0):
        if is_closing:
            mute.phases.begin_closing()
        await mute.socket.expect("never", name="wait")
    step = mute.books.steps["wait", "expect"]
    assert (step.count, step.failed, step.open) == (1, int(not is_closing), int(is_closing))


async def test_while_the_load_waits_for_a_user_a_reply_is_awaited_as_long_as_a_handshake(
    mute: Bench, autojump_clock: MockClock
) -> None:
    mute.user.is_awaited = True
    began_s = trio.current_time()
    with pytest.raises(LostReply):
        await mute.socket.request("a")
    assert trio.current_time() - began_s == pytest.approx(CONNECT_S, abs=0.01)
    assert mute.ledger.given_up == 1


@pytest.mark.parametrize("is_interrupted", [False, True])
async def test_a_socket_that_closes_waits_for_replies_unless_all_is_interrupted(
    mute: Bench, is_interrupted: bool, autojump_clock: MockClock
) -> None:
    with trio.move_on_after(1.0):
        await mute.socket.request("a")  # which is owed its reply all the same
    mute.phases.is_interrupted = is_interrupted
    began_s = trio.current_time()
    await mute.socket.aclose()
    waited_s = 0.0 if is_interrupted else STOP_S * REPLIES_SHARE
    assert trio.current_time() - began_s == pytest.approx(waited_s, abs=0.01)
    assert mute.ledger.closed == {Ending.CLEAN: 1}
    assert mute.socket.closed == (1000, "")


async def test_what_needs_no_reply_is_late_by_what_it_was_due_before_it_was_sent(
    echo: Bench, autojump_clock: MockClock
) -> None:
    due: Any = Due(0, now_us() - 5_000_000)
    await echo.socket.send("a", name="tell", due=due)
    await echo.socket.send("b", name="tell")
    await echo.socket.publish("c", topic="t", name="spread", due=due)
    echo.end_second()
    tell, spread = echo.books.steps["tell", "send"], echo.books.steps["spread", "publish"]
    for step, times in ((tell, 2), (spread, 1)):
        assert (step.count, step.ok, step.open) == (times, times, 0)
        assert (step.intended.total.count, step.service.total.count) == (1, 0)
        assert step.intended.total.min >= 5_000_000
    ledger = echo.ledger
    assert (ledger.sent, ledger.one_way, ledger.published, ledger.sent_bytes) == (3, 2, 1, 3)


async def test_what_had_come_when_its_call_was_cancelled_has_come(
    mute: Bench, autojump_clock: MockClock
) -> None:
    mute.socket._claims.receive("hi")
    with trio.CancelScope() as scope:
        scope.cancel()
        await mute.socket.expect("hi", name="wait")
    step = mute.books.steps["wait", "expect"]
    assert (step.count, step.ok, step.failed, step.open) == (1, 1, 0, 0)


@pytest.mark.parametrize("are_settled", [False, True])
async def test_a_socket_leaves_each_of_its_rooms_unless_no_copy_is_awaited_any_more(
    echo: Bench, are_settled: bool, autojump_clock: MockClock
) -> None:
    for topic in ("a", "b"):
        echo.socket.subscribe(topic)
    rooms = [number_of("a"), number_of("b")]
    assert [(type(each), each.room, each.conn) for each in echo.events] == [
        (Joined, room, 7) for room in rooms
    ]
    echo.events.clear()
    if are_settled:
        echo.phases.settle_copies()
    await echo.socket.aclose()
    assert [(type(each), each.room, each.conn) for each in echo.events] == (
        [] if are_settled else [(Left, room, 7) for room in rooms]
    )


@pytest.mark.parametrize("by_peer", [False, True])
async def test_an_end_is_early_if_it_had_begun_before_the_script_closed_the_socket(
    echo: Bench, by_peer: bool, autojump_clock: MockClock
) -> None:
    await trio.testing.wait_all_tasks_blocked()
    assert echo.socket.context.sockets == {echo.socket}
    if by_peer:  # Its close frame has come, and the socket has not ended yet.
        echo.wire.closed, echo.wire.closed_first = (1000, ""), "peer"
        echo.wire.close_reason = "e" * 300
    await echo.socket.aclose()
    await echo.socket.aclose()
    ending = Ending.BY_PEER if by_peer else Ending.CLEAN
    assert echo.ledger.closed == {ending: 1}
    assert echo.ledger.early == ({(ending, 1000): 1} if by_peer else {})
    ((_, reason),) = echo.ledger.close_reasons or ((1000, ""),)
    assert reason == ("e" * 200 + "…" if by_peer else "")
    assert echo.socket.context.sockets == set()
