"""Test what calls on a socket do with the messages and frames of a script, one after the other."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from loadgen.results.fan_out import Joined, Published
from loadgen.results.ledger import Ending
from loadgen.results.verify import Verdict
from loadgen.scenario.errors import LostReply, SocketClosed
from loadgen.scenario.topics import number_of

from .wires import STOP_S, Bench, columns


@pytest.mark.parametrize("call", ["request", "send", "publish"])
async def test_what_can_not_be_sent_any_more_has_failed_and_is_nowhere_else(
    rpc: Bench, call: str, autojump_clock: MockClock
) -> None:
    """The connection is closed, and the socket has not been told yet."""
    await trio.testing.wait_all_tasks_blocked()
    rpc.wire.is_gone, rpc.wire.close_received, rpc.wire.close_reason = True, 1001, "away"
    more: dict[str, Any] = {"topic": "t"} if call == "publish" else {}
    with pytest.raises(SocketClosed, match="code 1001: away"):
        await getattr(rpc.socket, call)("a", name="ask", **more)
    (step,) = rpc.books.steps.values()
    assert (step.count, step.failed, step.open) == (1, 1, 0)
    ledger = rpc.ledger
    assert (ledger.sent, ledger.sent_bytes, ledger.one_way, ledger.published) == (0, 0, 0, 0)
    assert rpc.events == []
    assert not rpc.socket._claims.awaits_reply
    await rpc.socket.aclose()
    with pytest.raises(SocketClosed):  # Now it has, and the call does not begin.
        await getattr(rpc.socket, call)("a", name="ask", **more)
    assert (step.count, step.failed) == (1, 1)


@pytest.mark.parametrize("call", ["request", "send", "publish"])
async def test_what_is_sent_is_counted_with_its_bytes_and_waited_for_if_it_is_not_taken(
    rpc: Bench, call: str, autojump_clock: MockClock
) -> None:
    more: dict[str, Any] = {"topic": "t"} if call == "publish" else {}
    for takes, flushed in ((True, 0), (False, 1)):
        rpc.wire.takes = takes
        await getattr(rpc.socket, call)("aäb", name="ask", **more)
        assert rpc.wire.flushed == flushed
        assert rpc.user.step == ("ask", call)
    await getattr(rpc.socket, call)(b"\x00\xff", **more)
    assert (rpc.ledger.sent, rpc.ledger.sent_bytes) == (3, 4 + 4 + 2)
    owed = {"request": (0, 0), "send": (3, 0), "publish": (0, 3)}[call]
    assert (rpc.ledger.one_way, rpc.ledger.published) == owed
    (step,) = rpc.books.steps.values()
    assert (step.kind, step.count, step.ok) == (call, 2, 2)


async def test_a_message_was_published_before_its_copies_can_come(
    mute: Bench, autojump_clock: MockClock
) -> None:
    await mute.socket.publish("a", topic="t")
    (published,) = mute.events
    assert (type(published), published.room) == (Published, number_of("t"))
    assert published.at_us <= mute.wire.handed_over_us


async def test_requests_of_one_user_are_each_its_own_though_they_share_what_is_spare(
    rpc: Bench, autojump_clock: MockClock
) -> None:
    for frame in ("text", b"\x00", "more", b"\x01", "last"):
        assert await rpc.socket.request(frame, name="ask") == frame
    for by, message in (("id", {"a": 1}), (lambda got: got == "x", "x"), ("id", {"id": "k"})):
        got = await rpc.socket.request(message, name="by", reply=by)
        assert got == message or got == {**message, "id": 1}
    for message in ("y", {"id": 9}):  # How the last was recognised is of no matter to the next.
        with trio.fail_after(60):
            assert await rpc.socket.request(message, name="by") == message
    steps = {name: step for (name, _), step in rpc.books.steps.items()}
    assert (steps["ask"].ok, steps["by"].ok, columns(rpc)) == (5, 5, {"echoed": 10})


@pytest.mark.parametrize("reply", ["id", lambda got: isinstance(got, dict), None])
async def test_a_request_is_lost_after_its_own_time_and_the_next_is_another(
    rpc: Bench, reply: Any, autojump_clock: MockClock
) -> None:
    rpc.wire.is_mute, began_s = True, trio.current_time()
    for timeout in (0.5, "250ms"):
        with trio.fail_after(60), pytest.raises(LostReply):
            await rpc.socket.request({"a": 1}, name="ask", reply=reply, timeout=timeout)
    assert trio.current_time() - began_s == pytest.approx(0.75, abs=0.02)
    assert (rpc.ledger.given_up, rpc.books.steps["ask", "request"].lost) == (2, 2)
    rpc.wire.is_mute = False
    for late in range(2 if reply is None else 0):  # They still have their places in the line.
        rpc.wire.say(f"late {late}")
    await trio.testing.wait_all_tasks_blocked()
    for _ in range(2):
        got = await rpc.socket.request({"a": 2}, name="ask", reply=reply)
        assert got["a"] == 2
    assert rpc.books.steps["ask", "request"].ok == 2
    late = {"unexpected": 2} if reply is None else {}
    assert columns(rpc) == {"echoed": 2, **late}


async def test_without_a_time_of_its_own_a_request_waits_as_long_as_it_takes(
    rpc: Bench, autojump_clock: MockClock
) -> None:
    rpc.wire.is_mute = True
    with trio.move_on_after(1e6) as waited:
        await rpc.socket.request({}, reply="id")
    assert waited.cancelled_caught
    assert (rpc.ledger.given_up, rpc.socket._claims.awaits_reply) == (0, True)


@pytest.mark.parametrize("call", ["request", "send", "publish", "ignore", "look_at_kept"])
async def test_with_each_call_frames_are_judged_that_the_script_has_passed(
    rpc: Bench, call: str, autojump_clock: MockClock
) -> None:
    rpc.wire.say('{"n": 1}')
    await trio.testing.wait_all_tasks_blocked()
    assert await rpc.socket.request("a") == "a"  # It comes later, so the other was passed by.
    assert (len(rpc.socket._claims.kept), columns(rpc)) == (1, {"echoed": 1})
    rpc.wire.is_mute = call != "request"
    if call == "ignore":
        rpc.socket.ignore("something else")
    elif call == "look_at_kept":
        rpc.socket.look_at_kept()
    else:
        more: dict[str, Any] = {"topic": "t"} if call == "publish" else {}
        await getattr(rpc.socket, call)("b", **more)
    assert rpc.socket._claims.kept == []
    assert rpc.ledger.verdicts[Verdict.UNEXPECTED] == 1


@pytest.mark.parametrize("call", ["subscribe", "ignore", "stream", "expect"])
async def test_what_had_come_before_is_whose_call_comes_next(
    rpc: Bench, call: str, autojump_clock: MockClock
) -> None:
    arrived = []
    rpc.user.arrive_with_stream = lambda: arrived.append(call)
    rpc.wire.say('{"n": 1}')
    await trio.testing.wait_all_tasks_blocked()
    got = getattr(rpc.socket, call)(*(["t"] if call in ("subscribe", "stream") else []), n=1)
    if call == "expect":
        assert await got == {"n": 1}
    claimed = {"subscribe": "copies", "ignore": "ignored", "stream": "streamed"}
    assert columns(rpc) == {claimed.get(call, "expected"): 1}
    assert rpc.socket._claims.kept == []
    assert arrived == (["stream"] if call == "stream" else [])  # It lasts as long as the load.
    if call == "subscribe":  # It had joined before it got its copy.
        joined, copy = rpc.events
        assert (type(joined), copy[1:3]) == (Joined, (number_of("t"), 7))


@pytest.mark.parametrize("is_told", [False, True])
async def test_a_socket_whose_server_does_not_answer_a_close_frame_is_cut_in_time(
    mute: Bench, is_told: bool, autojump_clock: MockClock
) -> None:
    """Within the stop timeout, or by the end of the run if that is known and earlier."""
    mute.wire.answers_close, ends_s = False, STOP_S
    if is_told:
        mute.phases.sockets_end_s = trio.current_time() + 1.0
        ends_s = 1.0
    began_s = trio.current_time()
    with trio.CancelScope() as scope:
        scope.cancel()
        await mute.socket.aclose()
    assert trio.current_time() - began_s == pytest.approx(ends_s, abs=0.01)
    assert mute.ledger.closed == {Ending.TIMEOUT: 1}
    assert (mute.ledger.early, mute.ledger.unanswered_closes) == ({}, 1)


async def test_calls_of_several_kinds_under_one_name_are_several_steps(
    rpc: Bench, autojump_clock: MockClock
) -> None:
    for _ in range(2):
        await rpc.socket.send("a", name="x")
        await rpc.socket.expect("a", name="x")
        await rpc.socket.publish("b", topic="t", name="x")
        await rpc.socket.expect("b", name="x")
        await rpc.socket.request("c", name="x")
    counts = {key: (step.count, step.ok) for key, step in rpc.books.steps.items()}
    assert counts == {
        ("x", "send"): (2, 2), ("x", "expect"): (4, 4), ("x", "publish"): (2, 2),
        ("x", "request"): (2, 2),
    }  # fmt: skip


async def test_what_a_script_no_longer_expects_is_whose_call_comes_next(
    rpc: Bench, autojump_clock: MockClock
) -> None:
    with trio.move_on_after(1.0):
        await rpc.socket.expect("late", name="given up")
    rpc.wire.say("late")
    await trio.testing.wait_all_tasks_blocked()
    assert (columns(rpc), len(rpc.socket._claims.kept)) == ({}, 1)
    assert await rpc.socket.expect("late", name="again") == "late"
    steps = {name: (step.ok, step.failed) for (name, _), step in rpc.books.steps.items()}
    assert steps == {"given up": (0, 1), "again": (1, 0)}


@pytest.mark.parametrize("call", ["request", "send"])
async def test_the_step_of_a_user_is_that_of_its_last_call_on_whichever_socket(
    rpc: Bench, call: str, autojump_clock: MockClock
) -> None:
    for _ in range(2):
        rpc.user.step = ("of", "another socket")
        await getattr(rpc.socket, call)("a", name="x")
        assert rpc.user.step == ("x", call)
    await getattr(rpc.socket, call)("a")
    assert rpc.user.step == ("x", call)


async def test_each_message_and_each_frame_is_traced_once_with_what_it_is(
    rpc: Bench, autojump_clock: MockClock
) -> None:
    traced = list[tuple[Any, ...]]()
    rpc.socket.context.trace = SimpleNamespace(  # type: ignore[assignment]
        sent=lambda *what: traced.append(("→", *what)),
        received=lambda what, value, _: traced.append(("←", what, value)),
    )
    assert await rpc.socket.request({"id": 7}, name="ask", reply="id") == {"id": 7}
    assert await rpc.socket.request("b") == "b"
    await rpc.socket.send("c", name="tell")
    await rpc.socket.expect("c")
    await rpc.socket.publish("d", topic="t")
    await rpc.socket.expect("d")
    assert traced == [
        ("→", "request ask", '{"id":7}'), ("←", "echoed", {"id": 7}),
        ("→", "request", "b"), ("←", "echoed", "b"),
        ("→", "send tell", "c"), ("←", "expected", "c"),
        ("→", "publish t", "d"), ("←", "expected", "d"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "call",
    ["request", "send", "publish", "expect", "subscribe", "stream", "ignore", "look_at_kept"],
)
@pytest.mark.parametrize("name", [None, "step"])
async def test_what_a_function_of_the_script_has_raised_the_next_call_raises_and_no_other(
    rpc: Bench, call: str, name: str | None, autojump_clock: MockClock
) -> None:
    # A step of this name has begun before, so that a request would take its short way.
    await rpc.socket.request("a", name=name)
    rpc.user.arrive_with_stream = lambda: None
    rpc.socket._claims.problem = KeyError("of the script")
    counted = [step.count for step in rpc.books.steps.values()]
    given: list[str] = [] if call == "look_at_kept" else ["a"]
    more: dict[str, Any] = {"topic": "t"} if call == "publish" else {}
    if call in ("request", "send", "publish", "expect"):
        more["name"] = name

    async def make_call() -> None:
        await getattr(rpc.socket, call)(*given, **more)

    with pytest.raises(KeyError, match="of the script"):
        await make_call()
    assert [step.count for step in rpc.books.steps.values()] == counted
    assert rpc.ledger.sent == 1
    await rpc.socket.send("b")


@pytest.mark.parametrize("call", ["expect", "subscribe", "stream"])
async def test_on_a_closed_socket_nothing_begins(
    rpc: Bench, call: str, autojump_clock: MockClock
) -> None:
    async def begin() -> None:
        begun = getattr(rpc.socket, call)("a")
        if call == "expect":
            await begun

    await rpc.socket.aclose()
    with pytest.raises(SocketClosed, match="code 1000"):
        await begin()
    assert (rpc.events, rpc.books.streams, rpc.socket._claims.subscriptions) == ([], {}, [])


async def test_all_who_close_a_socket_at_once_go_on_when_it_has_ended(
    echo: Bench, autojump_clock: MockClock
) -> None:
    await trio.testing.wait_all_tasks_blocked()
    began_s = trio.current_time()
    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(echo.socket.aclose)
    assert trio.current_time() == began_s
    assert (echo.ledger.closed, echo.ledger.early) == ({Ending.CLEAN: 1}, {})


async def test_a_socket_in_a_room_stays_until_all_copies_have_come_once_the_load_is_over(
    echo: Bench, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    echo.socket.subscribe("t")
    echo.phases.end_load()
    nursery.start_soon(echo.socket.aclose)
    await trio.testing.wait_all_tasks_blocked()
    assert (echo.ledger.closed, echo.phases.waiting_for_copies) == ({}, 1)
    echo.phases.settle_copies()
    await trio.testing.wait_all_tasks_blocked()
    assert (echo.ledger.closed, echo.phases.waiting_for_copies) == ({Ending.CLEAN: 1}, 0)
