"""Check what a client hears and when, to the last frame, and what is left of it in the books."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from echo_trio.behaviours import paths, player, scripts
from echo_trio.behaviours.actions import Action, Close, Freeze, Reply
from echo_trio.behaviours.faults import Delay, Fault
from echo_trio.behaviours.player import NoPushes, ScriptPlayer
from echo_trio.behaviours.rooms import Rooms
from echo_trio.behaviours.scripts import Behaviour, Script, faulty
from echo_trio.wire.connection import Connection, Limits

from .client import CLOSE, PING, PONG, TEXT, Client, close, frame

Heard = list[tuple[float, str]]


def behaviour_of(path: str) -> Behaviour:
    found = paths.find(path)
    assert callable(found)
    return found


@pytest.fixture
async def start(nursery):
    def start(behaviour: str | Behaviour, **options: Any) -> Client:
        made = behaviour_of(behaviour) if isinstance(behaviour, str) else behaviour
        client = Client(made, **options)
        nursery.start_soon(client.run)
        nursery.start_soon(client.listen)
        return client

    return start


def heard(client: Client) -> Heard:
    """All that it heard but pongs, close frames by their codes."""
    return [
        (at_s, body.decode() if opcode == TEXT else str(struct.unpack("!H", body[:2])[0]))
        for at_s, opcode, body in client.heard
        if opcode != PONG
    ]


@pytest.mark.parametrize(
    ("path", "said", "expected", "unanswered"),
    [
        ("/~delay/0s/plain", [(0, "a"), (1, "b")], [(0, "a"), (1, "b")], 0),
        ("/~delay/2s/plain", [(0, "a"), (1, "b")], [(2, "a"), (3, "b")], 0),
        # A delay behind a close makes it late, once.
        ("/~up-close/4000/~up-delay/2s/plain", [(0, "a"), (1, "b")], [(2, "4000")], 1),
        ("/~close/4000/~delay/2s/plain", [(1, "a"), (2, "b")], [(3, "4000")], 1),
        # A freeze begins at its own time, and what comes meanwhile waits for its end.
        (
            "/~up-delay/2s/~up-stall/2/3s/plain",
            [(0, "a"), (1, "b"), (2, "c")],
            [(2, "a"), (6, "b"), (6, "c")],
            0,
        ),
        ("/~up-stall/2/5s/~delay/2s/plain", [(0, "a"), (1, "b")], [(6, "a"), (8, "b")], 0),
        ("/~stall/2/3s/~delay/1s/plain", [(0, "a"), (0.5, "b")], [(1, "a"), (4.5, "b")], 0),
        ("/~up-stall/1/3s/~stall/1/2s/plain", [(0, "a"), (9, "b")], [(5, "a"), (14, "b")], 0),
        # The one that a fault holds back is as late as the one before which it comes.
        ("/~reorder/1/~delay/2s/plain", [(0, "a"), (1, "b")], [(3, "b"), (3, "a")], 0),
        ("/~duplicate/1/~delay/2s/plain", [(0, "a")], [(2, "a"), (2, "a")], 0),
        ("/~delay/5s/~drop/2/plain", [(0, "a"), (1, "b"), (2, "c")], [(5, "a"), (6, "b")], 1),
        ("/~up-drop/1/~delay/5s/plain", [(0, "a"), (1, "b")], [(5, "a")], 1),
        ("/~up-swallow/2/~swallow/2/plain", [(0, t) for t in "abcdef"], [(0, "a"), (0, "e")], 0),
        ("/~up-delay/3s/~delay/4s/plain", [(0, "a"), (1, "b")], [(7, "a"), (8, "b")], 0),
        ("/~up-reorder/1/plain", [(0, "a")], [(50, "a"), (50, "1000")], 0),
        ("/~delay/1h/plain", [(0, "a"), (1, "b")], [(50, "1000")], 2),
        ("/~up-delay/1h/plain", [(0, "a"), (1, "b")], [(50, "1000")], 2),
        ("/~silent/plain", [(0, "a")], [(50, "1000")], 0),
    ],
)
async def test_a_client_hears_each_thing_at_its_moment_and_what_it_never_hears_is_counted(
    start, autojump_clock, path: str, said: Heard, expected: Heard, unanswered: int
) -> None:
    client = start(path)
    for at_s, text in said:
        await trio.sleep_until(at_s)
        await client.stream.send_all(frame(TEXT, text.encode()))
    await trio.sleep_until(50)
    if not client.connection.closed:
        await client.stream.send_all(close(1000))
    await trio.sleep(20)
    if "drop" not in path and expected[-1][1] not in ("1000", "4000"):
        expected = [*expected, (50, "1000")]
    assert heard(client) == expected
    assert client.performance.unanswered == unanswered
    counters = client.counters
    assert (counters.messages_pushed, counters.messages_undelivered) == (0, 0)


class Pushing(Script):
    """Answers nothing."""

    def received(self, message: str | bytes) -> tuple[Action, ...]:
        return ()


def behind(*outgoing: Fault, incoming: Sequence[Fault] = ()) -> Behaviour:
    made = faulty(lambda _: Pushing(), [lambda f=f: f for f in incoming])
    return faulty(made, (), [lambda f=f: f for f in outgoing])


async def test_what_is_due_is_delayed_from_when_it_was_due_however_late_it_is_queued(
    start, autojump_clock
) -> None:
    client = start(behind(Delay(10)))
    await trio.sleep(5)
    client.performance.answer_at(2.0, "answer")
    client.performance.put_at(1.0, lambda: (Reply("push"),), held_bytes=1)
    await trio.sleep(5)
    assert heard(client) == []
    await trio.sleep(10)
    assert heard(client) == [(11, "push"), (12, "answer")]


async def test_what_is_due_at_one_moment_comes_in_its_order_answers_first(
    start, autojump_clock
) -> None:
    client = start(lambda _: Pushing())
    await trio.sleep(1)
    for number in range(3):
        text = f"push {number}"
        client.performance.put_at(5.0, lambda text=text: (Reply(text),), held_bytes=100)
        client.performance.answer_at(5.0, f"answer {number}")
    held_bytes = client.budget.held_bytes
    assert held_bytes == 300 + client.performance._late.held_bytes
    await trio.sleep(5)
    numbers = range(3)
    assert heard(client) == [
        *((5, f"answer {number}") for number in numbers),
        *((5, f"push {number}") for number in numbers),
    ]
    assert client.budget.held_bytes == 0
    assert (client.counters.messages_pushed, client.counters.messages_undelivered) == (3, 0)


async def test_in_the_books_is_left_what_did_not_get_out_each_as_what_it_was(
    start, autojump_clock
) -> None:
    client = start(behind(Delay(3600), incoming=[Delay(3600)]))
    await trio.sleep(1)
    for _ in range(2):
        client.performance.answer_at(3600.0, "late")
    client.performance.put((Reply("one"), Close(4000), Reply("other")))
    client.performance.put_at(1.5, lambda: (Reply("due"),), held_bytes=1)
    client.performance.put_at(3600.0, lambda: (Reply("never made"),), held_bytes=1)
    await client.stream.send_all(4 * frame(TEXT, b"waits"))
    await trio.sleep(1)
    assert client.performance.unanswered == 0
    await client.stream.send_all(close(1000))
    await trio.sleep(1)
    assert client.performance.unanswered == 4 + 2
    assert client.counters.messages_pushed == client.counters.messages_undelivered == 3


@pytest.mark.parametrize("path", ["/~reorder/1/plain", "/~up-reorder/1/plain"])
async def test_what_a_fault_holds_back_for_one_that_is_gone_is_unanswered_either_way(
    start, autojump_clock, path: str
) -> None:
    client = start(path)
    await client.stream.send_all(3 * frame(TEXT, b"a"))
    await trio.sleep(1)
    await client.stream.send_eof()
    await trio.sleep(20)
    assert [text for _, text in heard(client)] == ["a", "a"]
    assert client.performance.unanswered == 1


@pytest.mark.parametrize("incoming", [[], [Delay(1)]])
@pytest.mark.parametrize("how", ["by others", "by the clock"])
async def test_one_that_is_owed_more_than_may_be_held_is_closed_and_all_of_it_undelivered(
    start, autojump_clock, incoming: list[Fault], how: str
) -> None:
    limits, held = Limits(max_message_bytes=100), list[int]()
    client = start(behind(Delay(3600), incoming=incoming), limits=limits)
    await trio.sleep(1)
    while not client.connection.evicted:
        held.append(client.budget.held_bytes)
        assert len(held) < 1000
        if how == "by others":
            client.performance.put((Reply("x" * 1000),))
        else:
            now_s = trio.current_time()
            client.performance.put_at(now_s, lambda: (Reply("x" * 1000),), held_bytes=1)
            await trio.sleep(1)
    assert held[-1] <= limits.max_held_bytes < held[-1] + 2000
    await trio.sleep(1)
    assert heard(client)[-1][1] == "1013"
    counters = client.counters
    assert counters.messages_pushed == counters.messages_undelivered == len(held)
    assert client.budget.held_bytes == 0


@pytest.mark.parametrize("end_it", ["a raise", "a close"])
async def test_what_a_fault_holds_back_is_unanswered_unless_it_is_over_otherwise(
    start, autojump_clock, end_it: str
) -> None:
    class Broken(Fault):
        def change(self, actions: Any) -> Iterator[Action]:
            for action in actions:
                if isinstance(action, Reply) and action.message == "b":
                    raise ZeroDivisionError
                yield action

    client = start(
        scripts.faulty(behaviour_of("/~reorder/1/plain"), (), [Broken])
        if end_it == "a raise"
        else behaviour_of("/~reorder/1/~up-swallow/2/plain")
    )
    await client.stream.send_all(frame(TEXT, b"a"))
    await trio.sleep(1)
    await client.stream.send_all(frame(TEXT, b"b"))
    await client.stream.send_eof()
    await trio.sleep(20)
    assert isinstance(client.raised, ZeroDivisionError) is (end_it == "a raise")
    assert client.performance.unanswered == 1


@pytest.mark.parametrize("turns", [0, 1, 3])
async def test_many_late_answers_end_the_turn_with_each_that_is_one_more(
    monkeypatch: pytest.MonkeyPatch, turns: int
) -> None:
    monkeypatch.setattr(player, "MANY_LATE", 5)
    ended = list[None]()
    connection = Connection.opened(None, client=False, limits=Limits())  # type: ignore[arg-type]
    playing = ScriptPlayer(connection, Pushing())
    monkeypatch.setattr(connection, "end_turn", lambda: ended.append(None))
    for _ in range(5 + turns):
        playing.answer_at(1e9, "late")
    assert len(ended) == turns


async def test_a_script_that_does_not_want_to_read_has_the_client_wait_and_nobody_else(
    start, autojump_clock
) -> None:
    client = start("/~delay/1s/plain")
    await trio.sleep(1)
    client.performance.stop_reading()
    await client.stream.send_all(frame(TEXT, b"a") + frame(PING))
    client.performance.put((Reply("push"),))
    await trio.sleep(4)
    assert client.connection.messages_received == 0
    assert client.opcodes == [TEXT]
    client.performance.go_on_reading()
    await trio.sleep(4)
    assert heard(client) == [(2, "push"), (6, "a")]
    assert client.opcodes == [TEXT, PONG, TEXT]
    await client.stream.send_all(frame(TEXT, b"b"))
    await trio.sleep(4)
    assert heard(client)[2:] == [(10, "b")]


async def test_what_comes_to_one_that_is_owed_too_much_waits_on_its_way_in(
    start, autojump_clock
) -> None:
    client = start("/~up-delay/5s/plain")
    await client.stream.send_all(frame(TEXT, b"a") + frame(TEXT, b"b"))
    await trio.sleep(1)
    much = Limits().max_held_bytes + 1
    client.connection.hold(much)
    assert client.connection.owes_too_much
    await trio.sleep(7)
    assert heard(client) == []
    client.connection.release(much)
    client.performance.go_on_reading()
    await trio.sleep(1)
    assert heard(client) == [(8, "a"), (8, "b")]


async def test_a_freeze_lasts_whatever_the_script_wants_to_read(start, autojump_clock) -> None:
    client = start("/~up-stall/1/5s/plain")
    await client.stream.send_all(frame(TEXT, b"a"))
    await trio.sleep(1)
    client.performance.go_on_reading()
    await client.stream.send_all(frame(TEXT, b"b"))
    await trio.sleep(1)
    assert client.connection.messages_received == 1
    await trio.sleep(10)
    assert heard(client) == [(5, "a"), (10, "b")]


async def test_a_script_has_the_rooms_the_time_and_the_counts_that_it_was_given(
    monkeypatch: pytest.MonkeyPatch, autojump_clock
) -> None:
    connection = Connection.opened(None, client=False, limits=Limits())  # type: ignore[arg-type]
    rooms, counters = Rooms(), NoPushes()
    playing = ScriptPlayer(
        connection, Pushing(), counters=counters, rooms=rooms, open_timeout_s=2.5
    )
    assert playing.rooms is rooms
    assert playing.open_timeout_s == 2.5
    assert ScriptPlayer(connection, Pushing()).open_timeout_s == 10.0
    assert ScriptPlayer(connection, Pushing()).rooms is not rooms
    monkeypatch.setattr(player.time, "time_ns", lambda: 1_234_567_999_999)
    await trio.sleep(1.5)
    assert (playing.unix_ms(), playing.now_s()) == (1_234_567, trio.current_time())


async def test_faults_begin_before_the_script_and_those_on_the_way_in_first(
    start, autojump_clock
) -> None:
    class Beginning(Fault):
        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

        def begin(self) -> tuple[Action, ...]:
            return (Reply(self.text),)

    class Greeting(Pushing):
        def opened(self, about: object) -> tuple[Action, ...]:
            return (Freeze(1), Reply("hello"))

    made = scripts.faulty(
        lambda _: Greeting(), [lambda: Beginning("in")], [lambda: Beginning("out")]
    )
    client = start(made)
    await trio.sleep(2)
    assert heard(client) == [(0, "in"), (0, "out"), (1, "hello")]
    assert client.counters.messages_pushed == 1


async def test_a_connection_that_is_over_is_put_nothing_and_counts_nothing(
    start, autojump_clock
) -> None:
    client = start(lambda _: Pushing())
    await trio.sleep(1)
    await client.say_goodbye()
    client.performance.put((Reply("late"),))
    await wait_all_tasks_blocked()
    assert client.opcodes == [CLOSE]
    assert (client.counters.messages_pushed, client.budget.held_bytes) == (0, 0)


@pytest.mark.parametrize("faults_on_the_way", [1, 4])
async def test_of_many_that_are_due_on_their_way_in_so_many_are_one_turns_work(
    autojump_clock, faults_on_the_way: int
) -> None:
    taken = list[str | bytes]()

    class Taking(Script):
        at_once = True

        def received(self, message: str | bytes) -> tuple[Action, ...]:
            taken.append(message)
            return ()

    connection = Connection.opened(None, client=False, limits=Limits())  # type: ignore[arg-type]
    playing = ScriptPlayer(
        connection, faulty(lambda _: Taking(), [lambda: Delay(0)] * faults_on_the_way)(lambda: 7)
    )
    assert playing._inward is not None
    for number in range(200):
        playing._inward.put_message(trio.current_time(), str(number))
    playing._advance()
    at_once = player.BATCH // (1 + faults_on_the_way)
    assert taken == [str(number) for number in range(at_once)]
    playing._advance(flushed=True)
    assert len(taken) == 2 * at_once


async def test_all_that_was_put_together_is_held_together(start, autojump_clock) -> None:
    client = start(behind(Delay(5)))
    await trio.sleep(1)
    client.performance.put((Reply("x" * 3000), Freeze(0), Reply(b"y" * 4000)))
    assert 7000 < client.budget.held_bytes < 8000
    await trio.sleep(10)
    assert client.budget.held_bytes == 0


async def test_after_two_blocks_of_fragments_the_other_connections_have_their_turn() -> None:
    """A frame of one byte takes three."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        connection = Connection.opened(ours, client=False, limits=Limits())
        made = scripts.fragment(1, of=scripts.echo_exactly)(lambda: 7)
        ScriptPlayer(connection, made)._on_message("x" * 20_000)
        assert 2 * 16_384 <= connection.bytes_sent < 3 * 16_384
