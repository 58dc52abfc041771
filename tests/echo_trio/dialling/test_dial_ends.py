"""The end of a dial is told whole: its cause, its moment, and what either end had said."""

from __future__ import annotations

import base64
import socket
from typing import Any

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from echo_trio.dialling import dial as dial_module
from echo_trio.dialling.dial import (
    FAREWELL_BYTES,
    FAREWELL_S,
    IDLE_TIMEOUT_S,
    CannotSend,
    Dial,
)
from echo_trio.dialling.ends import Cause, DialFailed, End
from echo_trio.dialling.opening import Opened
from echo_trio.dialling.sending import Item
from echo_trio.wire.budget import Budget

from .conftest import PATIENCE_S, Dialled, Join, close_frame, closed, make_dial


async def test_a_server_has_the_close_timeout_to_answer_and_nothing_that_it_says_adds_to_it(
    dialled, autojump_clock
) -> None:
    it = dialled(close_timeout_s=3.0, write_timeout_s=5.0)
    await trio.sleep(1)
    await it.dial.send([Item(kind="close", code=1000)])
    await trio.sleep(2)
    it.server.send(b"\x8a\x00")
    assert await it.end() == closed(
        4000.0, Cause.CLOSE_TIMEOUT, "the server did not answer our close frame in time",
        closed_first="us", sent={"code": 1000, "reason": ""},
    )  # fmt: skip


async def test_a_connection_on_which_nothing_happens_is_closed_by_us_with_the_reason(
    dialled, autojump_clock
) -> None:
    it = dialled(close_timeout_s=3.0)
    ended = await it.end()
    sent = {"code": 1001, "reason": "no frame for too long"}
    at_ms = (0.25 + IDLE_TIMEOUT_S + 3) * 1000
    why = "there was no frame for 10 minutes"
    assert ended == closed(at_ms, Cause.IDLE, why, closed_first="us", sent=sent)


@pytest.mark.parametrize(
    ("sends", "reads_on"), [(FAREWELL_BYTES - 1, True), (FAREWELL_BYTES, False)]
)
async def test_a_server_that_has_closed_has_its_time_and_so_many_bytes_to_end_tcp(
    dialled, autojump_clock, sends: int, reads_on: bool
) -> None:
    it = dialled(close_frame(1000))
    await trio.sleep(0.5)
    left = memoryview(bytes(sends))
    while left:
        try:
            left = left[it.server.send(left) :]
        except BlockingIOError:
            await wait_all_tasks_blocked()
    ended = await it.end()
    assert ended["t"] == (250.0 + 1000 * FAREWELL_S if reads_on else 500.0)
    assert (ended["cause"], ended["sent"]) == (Cause.CLOSED, {"code": 1000, "reason": ""})


async def fail_to_send(dial: Dial, data: bytes) -> None:
    """Send what will not all get out before the connection ends."""
    items = [Item(kind="binary", base64=base64.b64encode(data).decode())]
    with pytest.raises(CannotSend, match="before all was sent") as caught:
        await dial.send(items)
    assert caught.value.status == 410


async def test_a_server_that_reads_at_times_is_waited_for_and_one_that_does_not_read_is_not(
    dialled, autojump_clock, nursery
) -> None:
    it = dialled(write_timeout_s=2.5)
    await trio.sleep(1)
    nursery.start_soon(fail_to_send, it.dial, bytes(2**22))
    await wait_all_tasks_blocked()
    # A frame is told with the moment before the kernel gets it.
    assert [record["t"] for record in it.page.records[0]] == [1000.0]
    for _ in range(3):
        await trio.sleep(2)
        while it.server.fileno() != -1:
            try:
                if len(it.server.recv(2**16)) < 2**10:
                    break
            except BlockingIOError:
                break
        await wait_all_tasks_blocked()
    ended = await it.end()
    why = "the server has read nothing for 2.5 s"
    assert ended == closed(9500.0, Cause.WRITE_TIMEOUT, why)


async def test_one_that_is_idle_since_its_server_does_not_read_ends_when_writing_takes_too_long(
    dialled, autojump_clock, nursery
) -> None:
    """Our close frame stands in line behind what is not read."""
    it = dialled(write_timeout_s=2 * IDLE_TIMEOUT_S)
    await trio.sleep(1)
    nursery.start_soon(fail_to_send, it.dial, bytes(2**22))
    ended = await it.end()
    at_ms = 1000 * (1 + 2 * IDLE_TIMEOUT_S)
    why = "there was no frame for 10 minutes"
    assert ended == closed(at_ms, Cause.IDLE, why, closed_first="us")


@pytest.mark.parametrize("says_why", [True, False])
async def test_what_a_server_said_before_it_broke_the_connection_is_heard_for_a_second(
    dialled, autojump_clock, nursery, says_why: bool
) -> None:
    it = dialled()
    await trio.sleep(1)
    it.server.shutdown(socket.SHUT_RD)
    nursery.start_soon(fail_to_send, it.dial, b"x")
    await trio.sleep(0.5)
    if says_why:
        it.server.send(close_frame(4000))
    ended = await it.end()
    assert ended["cause"] == (Cause.CLOSED if says_why else Cause.RESET)
    assert ended["t"] == 2000.0


async def test_a_server_that_does_not_answer_in_time_was_never_open(
    dialled, autojump_clock
) -> None:
    it = dialled(opens_after_s=2 * PATIENCE_S)
    it.ours = None
    why = f"the server had not answered after {PATIENCE_S:g} s"
    ended = closed(1000 * PATIENCE_S, Cause.OPEN_TIMEOUT, why, opened=False)
    assert await it.end() == ended
    assert [name for name, _ in it.page.events] == ["dial", "closed"]


async def test_a_dial_that_fails_says_why(joined, monkeypatch, autojump_clock) -> None:
    it = Dialled(joined)
    it.ours = None

    async def open_connection(*_: Any, **__: Any) -> Opened:
        await trio.sleep(1.5)
        raise DialFailed(Cause.UNREACHABLE, "nobody there")

    monkeypatch.setattr(dial_module, "open_connection", open_connection)
    await it.run()
    assert await it.end() == closed(1500.0, Cause.UNREACHABLE, "nobody there", opened=False)


@pytest.mark.parametrize("is_open", [True, False])
async def test_a_console_that_stops_says_goodbye_where_there_is_somebody(
    dialled, autojump_clock, is_open: bool
) -> None:
    it = dialled(close_timeout_s=3.0)
    await trio.sleep(1 if is_open else 0.1)
    it.dial.stop()
    why = "the console's server stops"
    if not is_open:
        it.ours = None
        assert await it.end() == closed(100.0, Cause.STOPPING, why, opened=False)
        return
    await wait_all_tasks_blocked()
    assert it.server.recv(100)[:2] == b"\x88\x93"
    it.server.send(close_frame(1001))
    it.server.shutdown(socket.SHUT_WR)
    assert await it.end() == closed(
        1000.0, Cause.STOPPING, why, closed_first="us", received={"code": 1001, "reason": ""},
        sent={"code": 1001, "reason": "the console stops"},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("said", "cause", "why", "code"),
    [
        (b"\x83\x00", Cause.VIOLATION, "the server broke the protocol: there is no opcode", 1002),
        (b"\x82\x0b", Cause.TOO_BIG, "a message is larger than --max-message-size: ", 1009),
        (b"\x82\x0a" + bytes(10), None, "", None),
    ],
)
async def test_a_server_that_sends_what_it_may_not_is_told_so(
    dialled, autojump_clock, said: bytes, cause: Cause | None, why: str, code: int | None
) -> None:
    """A message of the size that is allowed is none of that."""
    it = dialled(max_message_bytes=10)
    await trio.sleep(1)
    it.server.send(said)
    await trio.sleep(1)
    if cause is None:
        assert [len(records) for records in it.page.records] == [2]
        return
    ended = await it.end()
    assert ended["why"].startswith(why)
    sent = {"code": code, "reason": ""}
    assert ended == closed(
        1000 + 1000 * FAREWELL_S, cause, ended["why"], closed_first="us", sent=sent
    )


@pytest.mark.parametrize(
    ("said", "cause", "why"),
    [
        (b"", Cause.EOF, "without a close frame"),
        (b"\x82", Cause.EOF_IN_FRAME, "of which 1 bytes had arrived"),
        (b"\x82\x0a" + bytes(4), Cause.EOF_IN_FRAME, "4 of 10 bytes had arrived"),
        (b"\x02\x02ab\x80\x0a" + bytes(4), Cause.EOF_IN_FRAME, "4 of 10 bytes had arrived"),
        (b"\x02\x02ab", Cause.EOF_IN_MESSAGE, "between two frames"),
    ],
)
async def test_where_tcp_ends_without_a_close_frame_is_told(
    dialled, autojump_clock, said: bytes, cause: Cause, why: str
) -> None:
    it = dialled()
    await trio.sleep(1)
    it.server.send(said or b"\x8a\x00")
    it.server.close()
    ended = await it.end()
    assert why in ended["why"]
    assert ended == closed(1000.0, cause, ended["why"])


async def test_whoever_is_ended_for_memory_is_told_so_whatever_else_has_happened() -> None:
    dial = make_dial("ws://a.example", Budget())
    dial._end_with(End(Cause.CLOSED, "before"))
    dial.evicted = True
    told = dial._tell_end()
    why = "the server's memory for all connections (--max-held) was full"
    assert (told["cause"], told["why"]) == (Cause.MEMORY, why)


@pytest.mark.parametrize("how", ["leaves", "is evicted", "has ended"])
async def test_a_server_is_told_that_the_page_has_left_once_and_if_nothing_else_is_the_cause(
    joined: Join, how: str
) -> None:
    dial, theirs = joined(Budget())
    dial.evicted = how == "is evicted"
    if how == "has ended":
        dial._end_with(End(Cause.CLOSED, "before"))
    dial._leave()
    said = theirs.recv(100)
    assert (said[:2], len(said)) == ((b"\x88\x82", 8) if how == "leaves" else (b"", 0))


@pytest.mark.parametrize("is_open", [True, False])
async def test_a_page_that_leaves_without_having_read_anything_leaves_nothing(
    joined, monkeypatch, autojump_clock, is_open: bool
) -> None:
    it = Dialled(joined)
    it.page.reads = trio.Event()
    ours = it.ours
    assert ours is not None

    async def open_connection(*_: Any, **__: Any) -> Opened:
        await trio.sleep(1)
        return Opened(ours, None, b"\x81\x02hi")

    monkeypatch.setattr(dial_module, "open_connection", open_connection)
    with trio.move_on_after(2 if is_open else 0.5) as visit:
        await it.run()
    assert visit.cancelled_caught
    assert (it.budget.held_bytes, ours.fileno() == -1) == (0, is_open)
    if is_open:
        assert it.server.recv(100)[:1] == b"\x88"
