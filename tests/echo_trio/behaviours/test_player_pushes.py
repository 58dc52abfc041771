"""What a connection gets that answers none of its messages, and faults before what does."""

from __future__ import annotations

import json
import struct
from typing import Any

import pytest
import trio
import trio.testing

from echo_trio.behaviours import paths, turns
from echo_trio.behaviours.rooms import Rooms
from echo_trio.behaviours.scripts import Behaviour
from echo_trio.wire.budget import Budget
from echo_trio.wire.connection import Limits

from .acting import Acting
from .client import CLOSE, TEXT, Client, close, frame


def behaviour_of(path: str) -> Behaviour:
    found = paths.find(path)
    assert callable(found)
    return found


@pytest.fixture
async def rooms(nursery) -> Rooms:
    rooms = Rooms()
    nursery.start_soon(turns.run, rooms)
    return rooms


@pytest.fixture
async def start(nursery, rooms):
    def start(path: str, *, listening: bool = True, **options: Any) -> Client:
        client = Client(behaviour_of(path), rooms=rooms, **options)
        nursery.start_soon(client.run)
        if listening:
            nursery.start_soon(client.listen)
        return client

    return start


def call(method: str, id_: int, **params: Any) -> bytes:
    called = {"jsonrpc": "2.0", "method": method, "params": params, "id": id_}
    return frame(TEXT, json.dumps(called).encode())


def ids(client: Client) -> list[tuple[float, int]]:
    return [(at_s, json.loads(text)["id"]) for at_s, text in client.texts]


def close_code(client: Client) -> int:
    _, opcode, body = client.heard[-1]
    assert opcode == CLOSE
    return struct.unpack("!H", body[:2])[0]


async def test_answers_to_calls_that_wait_are_overtaken_by_others(start, autojump_clock):
    client = start("/rpc")
    await client.stream.send_all(call("wait", 1, ms=2000) + call("wait", 2, ms=1000))
    await client.stream.send_all(call("echo", 3))
    await trio.sleep(10)
    assert ids(client) == [(0, 3), (1, 2), (2, 1)]
    assert client.budget.held_bytes == 0


async def test_before_calls_that_wait_a_delay_adds_to_each_and_keeps_their_order(
    start, autojump_clock
):
    client = start("/~delay/10s/rpc")
    await client.stream.send_all(call("echo", 1) + call("wait", 2, ms=3000) + call("echo", 3))
    await trio.sleep(5)
    await client.stream.send_all(call("echo", 4))
    await trio.sleep(100)
    assert ids(client) == [(10, 1), (10, 3), (13, 2), (15, 4)]


async def test_delays_both_ways_add_up_and_the_path_acts_when_the_message_reaches_it(
    start, autojump_clock
):
    talker, listener = start("/~up-delay/3s/~delay/20s/room/den"), start("/room/den")
    for text in (b"a", b"b"):
        await talker.stream.send_all(frame(TEXT, text))
        await trio.sleep(1)
    await trio.sleep(100)
    assert listener.texts == [(3, "a"), (4, "b")]
    assert talker.texts == [(23, "a"), (24, "b")]


async def test_ticks_come_every_interval_from_the_beginning_however_they_are_delayed(
    start, autojump_clock
):
    client = start("/~delay/7s/ticker/2s")
    await trio.sleep(12)
    ticks = [(at_s, json.loads(text)["seq"]) for at_s, text in client.texts]
    assert ticks == [(7, 0), (9, 1), (11, 2)]


def test_a_tick_that_is_made_late_makes_no_other_late():
    acting = Acting(behaviour_of("/ticker/2s")(lambda: 0))
    assert len(list(acting.opened())) == 1
    acting.stage.time_s += 7
    for due_s in (1002, 1004, 1006, 1008):
        assert acting.stage.due[-1][0] == due_s
        (tick,) = acting.stage.due[-1][1]()
    assert json.loads(tick.message) == {"seq": 4, "t": 1_007_000}


async def test_a_freeze_holds_pushes_up_as_well_and_nothing_is_lost(start, autojump_clock):
    client = start("/~up-stall/1/5s/ticker/2s")
    await trio.sleep(3)
    await client.stream.send_all(frame(TEXT, b"m"))
    await trio.sleep(8)
    assert [at_s for at_s, _ in client.texts] == [0, 2, 8, 8, 8, 10]
    assert [json.loads(text)["seq"] for _, text in client.texts] == list(range(6))


async def test_a_reset_of_a_fault_comes_behind_what_it_let_through(start, autojump_clock):
    for path in ("/~drop/2/ticker/1s", "/~up-drop/2/~delay/5s/plain"):
        client = start(path)
        await client.stream.send_all(frame(TEXT, b"a") + frame(TEXT, b"b") + frame(TEXT, b"c"))
        await trio.sleep(20)
        assert len(client.texts) == 2
        assert client.connection.closed.code == 1006


async def test_what_the_client_sends_twice_its_path_gets_twice_and_a_held_one_before_the_end(
    start, autojump_clock
):
    client = start("/~up-duplicate/2/~up-reorder/3/plain")
    await client.stream.send_all(frame(TEXT, b"1") + frame(TEXT, b"2") + close(1000))
    await trio.sleep(1)
    assert [text for _, text in client.texts] == ["1", "2", "2"]
    assert client.connection.clean
    assert client.performance.unanswered == 0


async def test_nobody_who_says_nothing_stays_at_the_door_and_who_was_let_in_does(
    start, autojump_clock
):
    silent, quick = start("/login/me"), start("/login/me")
    await quick.stream.send_all(frame(TEXT, b'{"type": "login", "token": "me"}'))
    await trio.sleep(30)
    await quick.stream.send_all(frame(TEXT, b"m"))
    await trio.sleep(1)
    assert silent.heard[-1][0] == 10
    assert close_code(silent) == 4408
    assert quick.texts[-1] == (30, "m 7")
    assert quick.counters.messages_pushed == 1


@pytest.mark.parametrize(
    "first",
    [
        b"m", b"{}", b'{"type": "login"}', b'{"type": "login", "token": "you"}',
        b'{"type": "log", "token": "me"}', b'{"type": "login", "token": 1}',
    ],
)  # fmt: skip
async def test_nobody_comes_in_with_anything_but_the_token(start, autojump_clock, first):
    client = start("/login/me")
    await client.stream.send_all(frame(TEXT, first) + frame(TEXT, b"m"))
    await trio.sleep(1)
    assert close_code(client) == 4401
    assert [text for _, text in client.texts] == ['{"type": "hello"}']


async def test_a_quota_is_filled_at_its_rate_and_holds_one_seconds_worth(start, autojump_clock):
    client = start("/quota/4")
    for pause_s, messages in ((0, 4), (0.25, 1), (0.25, 1), (60, 4), (0.5, 2)):
        await trio.sleep(pause_s)
        await client.stream.send_all(frame(TEXT, b"m") * messages)
    await trio.sleep(0.125)
    assert len(client.texts) == 12
    await client.stream.send_all(frame(TEXT, b"m"))
    await trio.sleep(1)
    assert close_code(client) == 4429
    assert len(client.texts) == 12


async def test_a_member_that_does_not_read_is_closed_and_the_others_have_all(
    nursery, start, autojump_clock
):
    limits = Limits(max_message_bytes=100)
    budget = Budget()
    slow = Client(behaviour_of("/~delay/1h/room/den"), limits, budget, slow_rooms := Rooms())
    nursery.start_soon(turns.run, slow_rooms)
    nursery.start_soon(slow.run)
    nursery.start_soon(slow.listen)
    quick = Client(behaviour_of("/room/den"), limits, budget, slow_rooms)
    nursery.start_soon(quick.run)
    nursery.start_soon(quick.listen)
    sent = 0
    while not slow.heard:
        await quick.stream.send_all(frame(TEXT, b"%d" % sent))
        sent += 1
        await trio.sleep(1)
        assert budget.held_bytes <= limits.max_held_bytes + 200
    assert close_code(slow) == 1013
    assert slow.connection.evicted
    assert [text for _, text in quick.texts] == [str(number) for number in range(sent)]
    assert not quick.connection.closed
    assert (slow.counters.messages_pushed, slow.counters.messages_undelivered) == (sent, sent)
    assert budget.held_bytes == 0


async def test_ticks_that_nobody_reads_end_the_connection_too(start, autojump_clock):
    client = start("/~delay/1h/ticker/1ms", limits=Limits(max_message_bytes=100))
    await trio.sleep(60)
    assert close_code(client) == 1013
    assert client.budget.held_bytes == 0


async def test_whoever_asks_for_much_later_is_not_read_from_until_it_is_less(start, autojump_clock):
    client = start("/rpc", limits=Limits(max_message_bytes=200))
    for number in range(1000):
        await client.stream.send_all(call("wait", number, ms=5000))
    await trio.sleep(1)
    assert 10 < client.connection.messages_received < 1000
    await trio.sleep(1000)
    assert sorted(id_ for _, id_ in ids(client)) == list(range(1000))
    assert client.budget.held_bytes == 0


async def test_what_is_still_to_be_answered_at_the_end_is_counted(start, autojump_clock):
    client = start("/~up-delay/1h/rpc")
    await client.stream.send_all(call("echo", 1))
    other = start("/rpc")
    await other.stream.send_all(call("wait", 1, ms=3600_000) + call("echo", 2))
    await trio.sleep(1)
    for each in (client, other):
        await each.say_goodbye()
        await each.stream.send_all(close(1001))
    await trio.sleep(1)
    assert (client.performance.unanswered, other.performance.unanswered) == (1, 1)
    assert ids(other) == [(0, 2)]
    assert client.connection.clean


async def test_a_fault_that_breaks_ends_its_own_connection_and_not_the_senders(
    nursery, start, rooms, autojump_clock
):
    class Broken:
        held_bytes = 0

        def begin(self):
            return ()

        end = begin

        def change(self, actions):
            for action in actions:
                raise ZeroDivisionError
                yield action

    from echo_trio.behaviours import scripts  # noqa: PLC0415

    sender = start("/room/den")
    broken = Client(scripts.faulty(behaviour_of("/room/den"), (), [Broken]), rooms=rooms)
    nursery.start_soon(broken.run)
    nursery.start_soon(broken.listen)
    await trio.sleep(1)
    await sender.stream.send_all(frame(TEXT, b"a") + frame(TEXT, b"b"))
    await trio.sleep(1)
    assert close_code(broken) == 1011
    await broken.stream.send_all(close(1011))
    await broken.stream.send_eof()
    await trio.sleep(30)
    assert isinstance(broken.raised, ZeroDivisionError)
    assert [text for _, text in sender.texts] == ["a", "b"]
