"""Scripts being carried out: what takes time, on a virtual clock and a peer that says any bytes."""

from __future__ import annotations

import gc
import itertools
import math
import socket
import struct
import tracemalloc
import weakref
from collections.abc import Iterator
from sys import getsizeof
from typing import Any

import pytest
import trio
import trio.testing

from echo_trio.behaviours import line, paths, player, scripts
from echo_trio.behaviours.actions import Action, Close, Freeze, Reply, Reset
from echo_trio.behaviours.packed import HEAD_BYTES, SLOT_BYTES
from echo_trio.behaviours.player import ScriptPlayer
from echo_trio.behaviours.rpc import rpc
from echo_trio.behaviours.scripts import Behaviour, Script
from echo_trio.wire.budget import Budget
from echo_trio.wire.connection import Connection, Limits
from echo_trio.wire.poller import Poller

from .client import CLOSE, PING, PONG, TEXT, Client, close, frame


@pytest.fixture
async def start(nursery):
    def start(behaviour: Behaviour, *, listening: bool = True, **options: Any) -> Client:
        client = Client(behaviour, **options)
        nursery.start_soon(client.run)
        if listening:
            nursery.start_soon(client.listen)
        return client

    return start


async def test_each_reply_is_late_by_exactly_the_delay_whatever_comes_meanwhile(
    start, autojump_clock
):
    client = start(scripts.delay(10, of=scripts.echo_exactly))
    for at_s in (0, 1, 1, 4):
        await trio.sleep_until(at_s)
        await client.stream.send_all(frame(TEXT, b"%d" % at_s))
    await trio.sleep_until(20)
    assert client.texts == [(10, "0"), (11, "1"), (11, "1"), (14, "4")]


async def test_a_ping_is_answered_while_replies_are_late(start, autojump_clock):
    client = start(scripts.delay(10))
    await client.stream.send_all(frame(TEXT, b"m") + frame(PING))
    await trio.sleep(1)
    assert client.opcodes == [PONG]


async def test_a_close_while_replies_are_late_is_answered_at_once_and_they_are_counted(
    start, autojump_clock
):
    client = start(scripts.delay(3600))
    await client.stream.send_all(frame(TEXT, b"1") + frame(TEXT, b"2") + close(1000))
    await trio.sleep(1)
    assert client.opcodes == [CLOSE]
    assert client.performance.unanswered == 2
    assert client.connection.clean


async def test_a_goodbye_of_ours_does_not_wait_for_late_replies(start, autojump_clock):
    client = start(scripts.delay(3600))
    await client.stream.send_all(frame(TEXT, b"1"))
    await trio.sleep(1)
    await client.say_goodbye()
    await trio.sleep(1)
    assert client.opcodes == [CLOSE]
    await client.stream.send_all(close(1001))
    await trio.sleep(1)
    assert client.performance.unanswered == 1
    assert client.connection.clean


class Noticed(str):
    """A message of which one can tell whether anything still refers to it."""


async def test_nothing_is_kept_of_a_message_that_was_answered(start, autojump_clock):
    client = start(scripts.delay(5, of=scripts.echo_exactly))
    await trio.sleep(1)
    message = Noticed("x" * 2000)  # Shorter ones are copied into one piece of memory.
    alive = weakref.ref(message)
    client.performance._on_message(message)
    del message
    await trio.sleep(4)
    assert alive() is not None
    await trio.sleep(4)
    assert client.texts == [(6, "x" * 2000)]
    assert alive() is None


async def test_a_frozen_connection_neither_reads_nor_replies_and_goes_on_then(
    start, autojump_clock
):
    client = start(scripts.stall(2, 10, of=scripts.echo_exactly))
    await client.stream.send_all(
        frame(TEXT, b"1") + frame(TEXT, b"2") + frame(PING) + frame(TEXT, b"3") + frame(TEXT, b"4")
    )
    await trio.sleep(5)
    assert client.heard == [(0, TEXT, b"1")]
    await client.stream.send_all(frame(TEXT, b"5"))
    await trio.sleep(100)
    assert client.texts == [(0, "1"), (10, "2"), (10, "3"), (20, "4"), (20, "5")]
    assert client.opcodes.index(PONG) == 2


async def test_a_goodbye_of_ours_ends_a_freeze(start, autojump_clock):
    client = start(scripts.stall(1, 3600))
    await client.stream.send_all(frame(TEXT, b"1") + frame(TEXT, b"2"))
    await trio.sleep(1)
    await client.say_goodbye()
    await client.stream.send_all(close(1001))
    await trio.sleep(1)
    assert client.opcodes == [CLOSE]
    assert client.connection.clean


async def test_a_reply_held_back_is_sent_before_the_answer_to_a_close(start, autojump_clock):
    client = start(scripts.reorder(2, of=scripts.echo_exactly))
    await client.stream.send_all(frame(TEXT, b"1") + frame(TEXT, b"2") + close(1000))
    await trio.sleep(1)
    assert client.opcodes == [TEXT, TEXT, CLOSE]
    assert [text for _, text in client.texts] == ["1", "2"]
    assert client.performance.unanswered == 0


async def test_a_reply_held_back_is_sent_before_a_goodbye_of_ours(start, autojump_clock):
    client = start(scripts.reorder(1, of=scripts.echo_exactly))
    await client.stream.send_all(frame(TEXT, b"1"))
    await trio.sleep(1)
    await client.say_goodbye()
    await trio.sleep(1)
    assert client.opcodes == [TEXT, CLOSE]


async def test_a_reply_held_back_when_the_client_is_gone_is_counted(start, autojump_clock):
    client = start(scripts.reorder(1))
    await client.stream.send_all(frame(TEXT, b"1"))
    await trio.sleep(1)
    await client.stream.send_eof()
    await trio.sleep(1)
    assert client.performance.unanswered == 1


async def test_a_reply_held_back_behind_what_waits_on_its_way_in_is_not_sent(start, autojump_clock):
    path = paths.find("/~up-delay/10s/~reorder/1/plain")
    client = start(path)
    await client.stream.send_all(frame(TEXT, b"1"))
    await trio.sleep(5)
    await client.stream.send_all(frame(TEXT, b"2"))
    await trio.sleep(7)  # The first reply is held back until the second message is in.
    await client.say_goodbye()
    await trio.sleep(1)
    assert client.opcodes == [CLOSE]
    await client.stream.send_all(close(1001))
    await trio.sleep(1)
    assert client.performance.unanswered == 2


async def test_nothing_is_said_after_the_close(start, autojump_clock):
    client = start(scripts.close(4000, "bye"))
    await client.stream.send_all(frame(TEXT, b"1") + frame(TEXT, b"2") + frame(TEXT, b"3"))
    await client.stream.send_all(close(4000))
    await trio.sleep(1)
    assert client.heard == [(0, CLOSE, struct.pack("!H", 4000) + b"bye")]
    assert client.connection.clean
    assert client.performance.unanswered == 0


async def test_an_end_without_close_frame_waits_for_the_clients_own(start, autojump_clock):
    client = start(scripts.close(1006))
    await client.stream.send_all(frame(TEXT, b"1") + frame(TEXT, b"2"))
    await trio.sleep(1)
    assert client.heard == []
    await client.stream.send_all(frame(TEXT, b"3"))
    await client.stream.send_eof()
    await trio.sleep(1)
    assert (client.connection.close_sent, client.connection.timed_out) == (None, None)
    assert client.connection.closed.code == 1006


async def test_more_late_replies_than_may_wait_make_the_client_wait(start, autojump_clock):
    client = start(scripts.delay(10, of=scripts.echo_exactly), limits=Limits(max_message_bytes=100))
    for number in range(1000):
        await client.stream.send_all(frame(TEXT, b"%080d" % number))
    await trio.sleep(1)
    received = client.connection.messages_received
    assert 100 < received < 1000
    held = client.budget.held_bytes
    assert client.connection._limits.max_held_bytes < held
    assert received * 80 < held
    await trio.sleep(1000)
    assert [int(text) for _, text in client.texts] == list(range(1000))
    assert client.budget.held_bytes == 0


async def test_what_waits_is_counted_by_the_memory_that_it_takes(start, autojump_clock):
    client = start(scripts.delay(10))
    await client.stream.send_all(frame(TEXT, b"x" * 2000))
    await client.stream.send_all(frame(TEXT, "語".encode() * 2000))
    await client.stream.send_all(frame(TEXT, b"short"))
    await trio.sleep(1)
    # Not their UTF-8: characters above 255 take two bytes each, and texts a header.
    texts = getsizeof("x" * 2000) + getsizeof("語" * 2000)
    held = client.budget.held_bytes - getsizeof("x" * 2000)  # The first one's reply waits, too.
    assert texts + 2 * SLOT_BYTES + 3 * HEAD_BYTES < held < texts + 1000
    await trio.sleep(30)
    assert client.budget.held_bytes == 0


async def test_of_what_is_due_nothing_is_kept(start, autojump_clock):
    client = start(paths.find("/ticker/10s"))
    await trio.sleep(5)
    held_bytes = client.budget.held_bytes
    assert held_bytes > 0
    await trio.sleep(100)
    assert len(client.texts) == 11
    assert client.budget.held_bytes == held_bytes


async def test_a_reply_that_is_held_back_behind_the_next_is_counted(start, autojump_clock):
    client = start(scripts.duplicate(9, of=scripts.reorder(2, of=scripts.echo_exactly)))
    await client.stream.send_all(frame(TEXT, b"1") + frame(TEXT, b"x" * 100))
    await trio.sleep(1)
    assert client.budget.held_bytes == getsizeof("x" * 100)
    await client.stream.send_all(frame(TEXT, b"3"))
    await trio.sleep(1)
    assert client.budget.held_bytes == 0


async def test_of_a_burst_one_reply_is_in_memory_at_a_time(nursery):
    client = Client(scripts.burst(1000, of=scripts.echo_exactly))
    ours, theirs = trio.testing.lockstep_stream_pair()
    client.transport(ours, theirs)
    nursery.start_soon(client.run)
    await theirs.send_all(frame(TEXT, b"x" * 100))
    await trio.testing.wait_all_tasks_blocked()
    one = getsizeof("x" * 100) + line.PLACE_BYTES
    assert client.budget.held_bytes < 2 * one + player.BATCH * 110
    nursery.cancel_scope.cancel()


async def test_a_client_for_whom_too_much_waits_is_told_and_what_waited_is_gone(
    start, autojump_clock
):
    client = start(scripts.delay(3600), budget=Budget(1000))
    for _ in range(10):
        await client.stream.send_all(frame(TEXT, b"x" * 100))
    await trio.sleep(1)
    assert client.connection.evicted
    assert client.heard[-1][1:] == (
        CLOSE,
        struct.pack("!H", 1013) + b"the server is short of memory",
    )
    assert client.budget.held_bytes == 0
    assert not client.performance._line.held_bytes
    assert client.performance.unanswered == client.connection.messages_received


async def test_a_client_that_does_not_read_its_burst_is_not_read_from_either(nursery):
    client = Client(scripts.burst(1000, of=scripts.echo_exactly))
    ours, theirs = trio.testing.lockstep_stream_pair()
    client.transport(ours, theirs)
    nursery.start_soon(client.run)
    await theirs.send_all(frame(TEXT, b"1") + frame(TEXT, b"2"))
    await trio.testing.wait_all_tasks_blocked()
    assert client.connection.messages_received == 1
    assert client.connection.messages_sent <= player.BATCH
    nursery.start_soon(client.listen)
    await trio.testing.wait_all_tasks_blocked()
    assert [text for _, text in client.texts] == ["1"] * 1000 + ["2"] * 1000
    nursery.cancel_scope.cancel()


async def test_what_a_script_has_left_unanswered_counts_with_what_waits(start, autojump_clock):
    class Owing(Script):
        def received(self, message: str | bytes) -> Iterator[Action]:
            yield Reply(message, late_s=3600)

        def leave(self) -> int:
            return 5

    client = start(lambda _: Owing())
    await client.stream.send_all(frame(TEXT, b"m") + close(1000))
    await trio.sleep(1)
    assert client.performance.unanswered == 6


@pytest.mark.parametrize("way", ["~", "~up-"])
async def test_a_message_that_a_fault_holds_back_is_counted_on_either_way(
    start, autojump_clock, way: str
):
    budget = Budget()
    client = start(paths.find(f"/{way}reorder/1/plain"), budget=budget)
    await client.stream.send_all(frame(TEXT, b"x" * 100))
    await trio.sleep(1)
    assert budget.held_bytes >= 100
    await client.stream.send_all(frame(TEXT, b"y"))
    await trio.sleep(1)
    assert (client.texts, budget.held_bytes) == ([(1, "y"), (1, "x" * 100)], 0)


async def test_what_is_owed_to_who_does_not_listen_any_more_is_counted(start, autojump_clock):
    client = start(scripts.delay(10), listening=False)
    client.stream.receive_stream.close()
    for _ in range(3):
        await client.stream.send_all(frame(TEXT, b"m") * 4)
        await trio.sleep(20)
    await client.stream.send_eof()
    await trio.sleep(1)
    assert client.connection.closed.code == 1006
    connection = client.connection
    assert connection.messages_received >= 4
    assert client.performance.unanswered == connection.messages_received - connection.messages_sent


async def test_what_comes_behind_our_goodbye_takes_no_room(start, autojump_clock):
    client = start(scripts.delay(3600))
    await client.stream.send_all(frame(TEXT, b"m"))
    await trio.sleep(1)
    await client.say_goodbye()
    await client.stream.send_all(frame(TEXT, b"m") * 100 + close(1001))
    await trio.sleep(1)
    assert client.connection.messages_received == 101
    assert client.performance.unanswered == 1


async def test_after_some_of_a_burst_the_other_connections_have_their_turn():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        connection = Connection.opened(ours, client=False, limits=Limits())
        script = scripts.burst(1000, of=scripts.echo_exactly)(lambda: 7)
        ScriptPlayer(connection, script)._on_message("m")
        assert connection.messages_sent == player.BATCH


async def test_the_more_faults_replies_come_through_the_fewer_are_one_turns_work():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        connection = Connection.opened(ours, client=False, limits=Limits())
        script = scripts.burst(1000, of=scripts.echo_exactly)
        for _ in range(9):
            script = scripts.duplicate(1, of=script)
        ScriptPlayer(connection, script(lambda: 7))._on_message("m")
        assert connection.messages_sent == player.BATCH // 10


class Noting(Script):
    """A script that notes for whom it was given a message, and says nothing."""

    def __init__(self, name: str, noted: list[str]) -> None:
        self.name, self.noted = name, noted

    def received(self, message: str | bytes) -> tuple[Action, ...]:
        self.noted.append(self.name)
        return ()


async def test_of_messages_that_are_there_at_once_some_are_taken_in_turn_with_others(nursery):
    poller, noted, pairs = Poller(), list[str](), []
    for name in "ab":
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        theirs.sendall(200 * frame(TEXT, b"m"))
        connection = Connection.opened(ours, client=False, limits=Limits(), poller=poller)
        nursery.start_soon(ScriptPlayer(connection, Noting(name, noted)).run)
        pairs.append((ours, theirs))
    await trio.testing.wait_all_tasks_blocked()
    await nursery.start(poller.run)
    while len(noted) < 400:
        await trio.testing.wait_all_tasks_blocked()
    turns = [len(list(turn)) for _, turn in itertools.groupby(noted)]
    assert max(turns) == player.TAKEN_PER_TURN
    nursery.cancel_scope.cancel()
    for pair in pairs:
        for each in pair:
            each.close()


async def test_of_many_due_pushes_a_few_are_one_turns_work():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        connection = Connection.opened(ours, client=False, limits=Limits())
        playing = ScriptPlayer(connection, scripts.echo_exactly(lambda: 7))
        for _ in range(1000):
            playing.put_at(trio.current_time(), lambda: (Reply("m"),), held_bytes=1)
        playing._put_what_is_due()
        assert connection.messages_sent == player.DUE_BATCH


@pytest.mark.parametrize(
    "path", ["/delay/1h", "/rpc", "/room/den", "/ticker/1h", "/login/secret", "/quota/1"]
)
async def test_a_connection_that_has_ended_is_no_garbage(start, autojump_clock, path):
    """Else what is kept until the collector finds it keeps the memory around it as well."""
    behaviour = paths.find(path)
    assert callable(behaviour)
    client = start(behaviour)
    await client.stream.send_all(frame(TEXT, b"m"))
    await trio.sleep(1)
    performance = weakref.ref(client.performance)
    gc.collect()
    gc.disable()
    try:
        await client.stream.send_all(close(1000))
        await trio.sleep(1)
        del client.performance, client.connection
        assert performance() is None
    finally:
        gc.enable()


def cancel_scopes() -> dict[int, trio.CancelScope]:
    """All cancel scopes that there are, by their identity."""
    return {id(each): each for each in gc.get_objects() if type(each) is trio.CancelScope}


async def test_a_long_wait_leaves_no_deadline_behind_for_as_long(start, autojump_clock):
    """Trio keeps deadlines that were left early, and the memory around them, until they come."""
    others = cancel_scopes()
    client = start(scripts.delay(3600, of=scripts.echo_exactly))
    await client.stream.send_all(frame(TEXT, b"m"))
    await trio.testing.wait_all_tasks_blocked()
    ours = [scope.deadline for key, scope in cancel_scopes().items() if key not in others]
    finite = [due for due in ours if due < math.inf]
    assert finite, "the wait itself"
    assert max(finite) <= trio.current_time() + player.MAX_SLEEP_S
    await trio.sleep(3601)
    assert client.texts == [(3600, "m")]


class Acting(Script):
    """Does the same at each message."""

    def __init__(self, *actions: Action) -> None:
        self.actions = actions

    def received(self, message: str | bytes) -> Iterator[Action]:
        yield from self.actions


async def test_actions_are_done_in_order_each_when_the_one_before_is(start, autojump_clock):
    acting = Acting(Reply("a", late_s=5), Freeze(2), Reply("b"), Reply("c", late_s=1), Close(1000))
    client = start(lambda _: acting)
    await client.stream.send_all(frame(TEXT, b"m"))
    await trio.sleep(10)
    assert client.texts == [(5, "a"), (7, "b"), (7, "c")]
    assert client.opcodes == [TEXT, TEXT, TEXT, CLOSE]


@pytest.mark.parametrize("late_s", [0.0, 5.0])
async def test_what_a_script_raises_reaches_the_caller_and_the_client_gets_1011(
    start, autojump_clock, late_s
):
    class Broken(Script):
        def received(self, message: str | bytes) -> Iterator[Action]:
            yield Reply("first", late_s)
            raise ZeroDivisionError

    client = start(lambda _: Broken())
    await client.stream.send_all(frame(TEXT, b"m"))
    await trio.sleep(6)
    assert client.heard[-1] == (late_s, CLOSE, struct.pack("!H", 1011))
    await client.stream.send_all(close(1011))
    await client.stream.send_eof()
    await trio.sleep(20)
    assert isinstance(client.raised, ZeroDivisionError)


async def test_what_a_script_raises_at_its_end_is_not_for_who_closes(start, autojump_clock):
    class Broken(Script):
        def ended(self) -> Iterator[Action]:
            raise ZeroDivisionError

    client = start(lambda _: Broken())
    await trio.sleep(1)
    await client.say_goodbye()
    await client.stream.send_all(close(1001))
    await client.stream.send_eof()
    await trio.sleep(20)
    assert client.heard[-1] == (1, CLOSE, struct.pack("!H", 1001))
    assert isinstance(client.raised, ZeroDivisionError)


async def test_a_cancelled_performance_raises_nothing_else(autojump_clock):
    client = Client(scripts.delay(3600))
    with trio.move_on_after(1) as scope:
        await client.stream.send_all(frame(TEXT, b"m"))
        try:
            await client.performance.run()
        except trio.Cancelled:
            raise
        except BaseException as exc:  # noqa: BLE001
            pytest.fail(f"{exc!r} is no cancellation")
    assert scope.cancelled_caught
    assert client.performance.unanswered == 1


async def test_a_reset_comes_behind_the_replies_before_it(start, autojump_clock):
    client = start(lambda _: Acting(Reply("a"), Reply("b"), Reset()))
    await client.stream.send_all(frame(TEXT, b"m"))
    await trio.sleep(1)
    assert [text for _, text in client.texts] == ["a", "b"]
    assert client.connection.closed.code == 1006


async def test_answers_that_wait_take_no_more_memory_than_is_counted_for_them(start):
    client = start(rpc, limits=Limits(max_message_bytes=2**24))
    call = frame(TEXT, b'{"jsonrpc":"2.0","method":"wait","params":{"ms":3600000},"id":1}')

    async def wait(calls: int) -> None:
        await client.stream.send_all(call * calls)
        await trio.testing.wait_all_tasks_blocked()

    await wait(100)
    counted = client.budget.held_bytes
    tracemalloc.start()
    try:
        await wait(5000)
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    counted = client.budget.held_bytes - counted
    assert counted == pytest.approx(taken, rel=0.1)
    assert counted < 5000 * 128
