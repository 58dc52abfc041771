"""One dialled connection, and a page that does not read."""

from __future__ import annotations

import base64
import socket
from functools import partial

import pytest
import trio
import trio.testing
from websockets.exceptions import ConnectionClosed
from websockets.trio.server import serve

from echo_trio.dialling import dial as dial_module
from echo_trio.dialling.dial import IDLE_TIMEOUT_S, PONG_LINE_BYTES, CannotSend
from echo_trio.dialling.ends import Cause, End
from echo_trio.dialling.frame_reader import Frame
from echo_trio.dialling.opening import Opened
from echo_trio.dialling.outbox import BATCH_BYTES, FULL_BYTES
from echo_trio.dialling.sending import Item
from echo_trio.wire.budget import Budget
from echo_trio.wire.limits import RECEIVE_BYTES

from .conftest import OPENED, PATIENCE_S, heard_by, make_dial

MESSAGE = b"x" * 30_000
MESSAGES = 400


@pytest.fixture
async def flooding(nursery):
    """A server that sends far more than all buffers hold."""

    async def flood(connection):
        try:
            for _ in range(MESSAGES):
                await connection.send(MESSAGE)
            await trio.sleep_forever()
        except ConnectionClosed:
            pass

    server = await nursery.start(partial(serve, flood, 0, host="127.0.0.1", compression=None))
    return f"ws://127.0.0.1:{server.listeners[0].socket.getsockname()[1]}"


async def test_nothing_is_read_for_a_page_that_does_not_read(flooding):
    budget = Budget(2**30)
    dial = make_dial(flooding, budget)
    reads, held = trio.Event(), []
    received = bytearray()

    async def emit(chunk: bytes) -> None:
        await reads.wait()
        held.append(budget.held_bytes)
        received.extend(chunk)
        await trio.lowlevel.checkpoint()

    with trio.fail_after(PATIENCE_S):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(dial.run, emit)
            while budget.held_bytes < FULL_BYTES:
                await trio.sleep(0.001)
            # Until the server waits, too: else it would have sent all by then.
            await trio.testing.wait_all_tasks_blocked(0.2)
            held.append(budget.held_bytes)
            # The page goes on, and has everything in order; what is held was never much more.
            reads.set()
            while received.count(b'"type":"message"') < MESSAGES:
                await trio.sleep(0.05)
            nursery.cancel_scope.cancel()
    event_bytes = 2 * (BATCH_BYTES + RECEIVE_BYTES + len(MESSAGE) * 4 // 3)
    assert FULL_BYTES <= max(held) <= FULL_BYTES + event_bytes
    assert budget.held_bytes == 0
    times = [float(one.split(b",")[0]) for one in bytes(received).split(b'"message","t":')[1:-1]]
    assert times == sorted(times)


async def test_above_the_budget_the_one_that_holds_most_is_ended_and_told_so(flooding):
    budget = Budget(FULL_BYTES // 2)
    dial = make_dial(flooding, budget)
    received = bytearray()
    reads = trio.Event()

    async def emit(chunk: bytes) -> None:
        await reads.wait()
        received.extend(chunk)

    with trio.fail_after(PATIENCE_S):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(dial.run, emit)
            while not budget.evicted:
                await trio.sleep(0.001)
            reads.set()
    assert b'"cause":"memory"' in received
    assert (budget.held_bytes, budget.evicted) == (0, 1)


async def test_a_server_that_does_not_read_costs_its_connection(nursery):
    async def read_nothing(connection):
        # Its kernel takes little, and nobody asks it for any of that.
        connection.stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        await trio.sleep_forever()

    # `websockets` itself reads some messages ahead, so more is sent than all buffers hold.
    server = await nursery.start(
        partial(serve, read_nothing, 0, host="127.0.0.1", compression=None, max_size=None)
    )
    url = f"ws://127.0.0.1:{server.listeners[0].socket.getsockname()[1]}"
    budget = Budget(2**30)
    dial = make_dial(url, budget, write_timeout_s=0.2)
    told = bytearray()

    async def emit(chunk: bytes) -> None:
        told.extend(chunk)
        await trio.lowlevel.checkpoint()

    half = base64.b64encode(b"x" * 2**24).decode()
    with trio.fail_after(PATIENCE_S):
        async with trio.open_nursery() as inner:
            inner.start_soon(dial.run, emit)
            while b"event: opened" not in told:
                await trio.sleep(0.001)
            items = [Item(kind="binary", base64=half)] * 8
            with pytest.raises(CannotSend) as caught:
                await dial.send(items)
    assert caught.value.status in (409, 410)
    assert b'"cause":"write-timeout"' in told
    assert budget.held_bytes == 0


async def test_nothing_is_sent_before_the_connection_is_open():
    dial = make_dial("ws://127.0.0.1:9", Budget(2**30))
    with pytest.raises(CannotSend, match="not open yet"):
        await dial.send([Item(kind="text", text="early")])


async def test_a_message_that_grows_too_large_is_held_no_longer_and_the_next_is_sent(
    joined, nursery
):
    budget = Budget(2**30)
    dial, theirs = joined(budget, max_message_bytes=10)
    half = base64.b64encode(b"123456").decode()
    with pytest.raises(CannotSend) as caught:
        await dial.send([Item(kind="binary", base64=half, more=True)] * 2)
    assert (caught.value.status, budget.held_bytes) == (413, 0)
    nursery.start_soon(dial._write)
    with trio.fail_after(PATIENCE_S):
        await dial.send([Item(kind="text", text="1234567890")])
    assert theirs.recv(100)[:2] == b"\x81\x8a"


async def test_pings_are_answered_however_much_was_sent_before(joined, nursery):
    """Answer pings: what is out is not in line any more."""
    dial, theirs = joined(Budget(2**30))
    nursery.start_soon(dial._write)
    half = base64.b64encode(bytes(PONG_LINE_BYTES // 2)).decode()
    for _ in range(3):
        await dial.send([Item(kind="binary", base64=half)])
        await heard_by(theirs)
    nursery.start_soon(dial._read, OPENED)
    theirs.send(b"\x89\x01p")
    await trio.testing.wait_all_tasks_blocked()
    assert theirs.recv(100)[:2] == b"\x8a\x81"


async def test_whoever_gives_up_sending_leaves_it_to_the_next(joined, nursery):
    dial, theirs = joined(Budget(2**30))
    async with trio.open_nursery() as requests:
        requests.start_soon(dial.send, [Item(kind="ping")])
        await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(CannotSend, match="one at a time"):
            await dial.send([Item(kind="ping")])
        requests.cancel_scope.cancel()
    nursery.start_soon(dial._write)
    with trio.fail_after(PATIENCE_S):
        await dial.send([Item(kind="text", text="x")])
    assert (await heard_by(theirs)).count(b"\x89\x80") == 1


@pytest.mark.parametrize("and_then", ["the server closes", "the console stops", "we fail"])
async def test_there_is_one_close_frame_of_ours_whoever_else_wants_to_close(
    joined, nursery, and_then
):
    """The first stands in line as long as the server does not read."""
    dial, theirs = joined(Budget(2**30), close_timeout_s=PATIENCE_S)
    dial._send_item(Item(kind="close", code=4000, text="a"))
    if and_then == "the console stops":
        dial.stop()
    else:
        theirs.send(b"\x88\x02\x0f\xa1" if and_then == "the server closes" else b"\x83\x00")
        nursery.start_soon(dial._read, OPENED)
        await trio.testing.wait_all_tasks_blocked()
    nursery.start_soon(dial._write)
    said = b""
    while len(said) < 9:
        said += await heard_by(theirs)
    await trio.testing.wait_all_tasks_blocked()
    assert (said[:2], len(said)) == (b"\x88\x83", 9)
    told = dial._tell_end()
    assert (told["closed_first"], told["sent"]) == ("us", {"code": 4000, "reason": "a"})
    nursery.cancel_scope.cancel()


async def test_whoever_breaks_the_protocol_is_told_so_by_us_first(joined, nursery):
    dial, theirs = joined(Budget(2**30))
    nursery.start_soon(dial._write)
    nursery.start_soon(dial._read, OPENED)
    theirs.send(b"\x83\x00")
    assert (await heard_by(theirs))[:2] == b"\x88\x82"
    await trio.testing.wait_all_tasks_blocked()
    told = dial._tell_end()
    assert (told["cause"], told["closed_first"]) == (Cause.VIOLATION, "us")
    assert (told["sent"], told["received"]) == ({"code": 1002, "reason": ""}, None)
    nursery.cancel_scope.cancel()


async def test_the_first_cause_of_an_end_is_the_one_that_is_told():
    dial = make_dial("ws://a.example", Budget(2**30))
    for cause in (Cause.RESET, Cause.EOF):
        dial._end_with(End(cause, cause.value))
    told = dial._tell_end()
    assert (told["cause"], told["why"]) == (Cause.RESET, "reset")


@pytest.mark.parametrize("who", ["us", "server"])
async def test_what_either_end_says_keeps_a_connection_from_being_idle(
    joined, nursery, autojump_clock, who
):
    dial, theirs = joined(Budget(2**30), close_timeout_s=10 * IDLE_TIMEOUT_S)
    for serve_it in (dial._write, dial._keep_time, partial(dial._read, OPENED)):
        nursery.start_soon(serve_it)
    for _ in range(2):
        await trio.sleep(0.9 * IDLE_TIMEOUT_S)
        if who == "us":
            await dial.send([Item(kind="ping")])
        else:
            theirs.send(b"\x8a\x00")
    assert dial._end is None
    await trio.sleep(IDLE_TIMEOUT_S + 1)
    assert dial._end is not None
    assert dial._end.cause is Cause.IDLE


async def test_idleness_begins_once_the_connection_is_open(
    joined, nursery, monkeypatch, autojump_clock
):
    dial, _ = joined(Budget(2**30), close_timeout_s=10 * IDLE_TIMEOUT_S)
    ours = dial._sock

    async def open_connection(*_, **__):
        await trio.sleep(PATIENCE_S / 2)
        return Opened(ours, None, b"")

    monkeypatch.setattr(dial_module, "open_connection", open_connection)
    nursery.start_soon(dial._serve)
    await trio.sleep(PATIENCE_S / 2 + IDLE_TIMEOUT_S - 1)
    assert dial._end is None
    await trio.sleep(2)
    assert dial._end is not None
    assert dial._end.cause is Cause.IDLE
    nursery.cancel_scope.cancel()


@pytest.mark.parametrize("amid_frame", [False, True])
async def test_a_page_that_leaves_amid_a_frame_says_nothing_behind_it(joined, amid_frame):
    budget = Budget(2**30)
    dial, theirs = joined(budget)
    if amid_frame:
        dial._send_item(Item(kind="text", text="waits"))
    dial._leave()
    said = theirs.recv(100)
    assert said[:1] == (b"" if amid_frame else b"\x88")
    assert budget.held_bytes == 0


@pytest.mark.parametrize("size", [PONG_LINE_BYTES - 1, PONG_LINE_BYTES])
async def test_pings_are_answered_while_less_than_so_much_is_in_line_and_we_have_not_closed(
    joined, size
):
    dial, _ = joined(Budget(2**30))
    ping = Frame(9, True, False, False, 1, 1, b"p")
    dial._stand_in_line(bytes(size), ping, None)
    assert dial._take_control(ping)
    answers = [one.frame for one in list(dial._line)[1:]]
    expected = [Frame(10, True, False, True, 1, 1, b"p")]
    assert answers == (expected if size < PONG_LINE_BYTES else [])
    dial._line.clear()
    dial._line_bytes = 0
    dial._close_sent = 1000, ""
    assert dial._take_control(ping)
    assert not dial._line
