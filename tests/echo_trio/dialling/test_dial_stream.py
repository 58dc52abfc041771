"""The stream of one dial: each event whole, in its order and at its moment."""

from __future__ import annotations

import base64
import socket
from collections.abc import Callable
from typing import Any

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from echo_trio.dialling import dial as dial_module
from echo_trio.dialling.dial import (
    EVENT_BYTES,
    FAREWELL_BYTES,
    FAREWELL_S,
    IDLE_TIMEOUT_S,
    RECORDS_PER_EVENT,
    CannotSend,
    Dial,
)
from echo_trio.dialling.ends import Cause, DialFailed, End
from echo_trio.dialling.opening import Opened
from echo_trio.dialling.order import BadOrder
from echo_trio.dialling.sending import Item
from echo_trio.wire.budget import Budget
from echo_trio.wire.deflate import Parameters

from .conftest import PATIENCE_S, Join, Page, Turns, make_dial

CLOSED_BY_SERVER = "the server closed the connection, with a close frame"


class Dialled:
    """A dial that runs, the server's end of it, its page, and what is held."""

    def __init__(self, joined: Join, **limits: float) -> None:
        self.budget, self.page, self.turns = Budget(), Page(), Turns()
        self.dial, self.server = joined(self.budget, self.turns, **limits)
        self.ours, self.dial._sock = self.dial._sock, None
        self.over = trio.Event()

    async def run(self) -> None:
        await self.dial.run(self.page.emit)
        self.over.set()

    async def end(self) -> dict[str, Any]:
        """Wait for the end; return how the page was told of it."""
        with trio.fail_after(10 * IDLE_TIMEOUT_S):
            await self.over.wait()
        assert self.budget.held_bytes == 0
        assert self.ours is None or self.ours.fileno() == -1
        return self.page.closed


@pytest.fixture
def dialled(joined: Join, nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch):
    def start(
        surplus: bytes = b"", *, compression: Parameters | None = None, opens_after_s: float = 0.25,
        **limits: float,
    ) -> Dialled:  # fmt: skip
        made = Dialled(joined, **limits)

        async def open_connection(order: Any, target: Any, **given: Any) -> Opened:
            await trio.sleep(opens_after_s)
            assert (order, target) == (made.dial._order, made.dial.target)
            given["report"]("opened", {"t": given["clock"].now_ms()})
            assert made.ours is not None
            return Opened(made.ours, compression, surplus)

        monkeypatch.setattr(dial_module, "open_connection", open_connection)
        nursery.start_soon(made.run)
        return made

    return start


def frame(way: str, t: float, opcode: int, size: int, **more: Any) -> dict[str, Any]:
    """A record of a whole frame without compression."""
    return {
        "type": "frame", "way": way, "t": t, "opcode": opcode, "fin": True, "rsv1": False,
        "masked": way == "out", "wire": size, "plain": size, **more,
    }  # fmt: skip


def text(t: float, said: str) -> dict[str, Any]:
    return {"type": "message", "t": t, "text": said}


def closed(t: float, cause: Cause, why: str, **more: Any) -> dict[str, Any]:
    rest = {"opened": True, "closed_first": None, "received": None, "sent": None}
    return {"t": t, "cause": cause, "why": why, **rest, **more}


def close_frame(code: int, reason: bytes = b"") -> bytes:
    return bytes((0x88, 2 + len(reason))) + code.to_bytes(2) + reason


async def test_a_page_is_told_all_from_the_dial_to_the_end(dialled, autojump_clock) -> None:
    it = dialled(b"\x81\x02hi")
    await trio.sleep(1.25)
    half = base64.b64encode(b"\0\1").decode()
    await it.dial.send(
        [
            Item(kind="text", text="ä", ticket=1),
            Item(kind="binary", base64=half, more=True, ticket=2),
            Item(kind="binary", base64=half, ticket=3),
            Item(kind="ping", text="p"),
        ]
    )
    await trio.sleep(1)
    it.server.send(b"\x89\x01q\x82\x02\xff\0")
    await trio.sleep(1)
    it.server.send(close_frame(4000, b"bye"))
    await trio.sleep(1)
    it.server.close()
    assert await it.end() == closed(
        4250.0, Cause.CLOSED, CLOSED_BY_SERVER, closed_first="server",
        received={"code": 4000, "reason": "bye"}, sent={"code": 4000, "reason": ""},
    )  # fmt: skip
    ping, pong = {"base64": "cQ=="}, {"base64": "cA=="}
    assert it.page.events[:-1] == [
        ("dial", {"id": "id", "url": "ws://a.example", "t": 0}),
        ("opened", {"t": 250.0}),
        ("records", [frame("in", 250.0, 1, 2), text(250.0, "hi")]),
        ("records", [frame("out", 1250.0, 1, 2, ticket=1)]),
        ("records", [frame("out", 1250.0, 2, 4, ticket=3)]),
        ("records", [frame("out", 1250.0, 9, 1, **pong)]),
        (
            "records",
            [
                frame("in", 2250.0, 9, 1, **ping),
                frame("in", 2250.0, 2, 2),
                {"type": "message", "t": 2250.0, "base64": "/wA="},
            ],
        ),
        ("records", [frame("out", 2250.0, 10, 1, **ping)]),
        ("records", [frame("in", 3250.0, 8, 5, code=4000, reason="bye")]),
        ("records", [frame("out", 3250.0, 8, 2, code=4000, reason="")]),
    ]


@pytest.mark.parametrize("code", [None, 4001])
async def test_a_close_frame_of_ours_is_told_as_it_was_sent_and_as_it_was_answered(
    dialled, autojump_clock, code: int | None
) -> None:
    it = dialled()
    await trio.sleep(1)
    await it.dial.send([Item(kind="close", code=code, text="why" if code else None)])
    it.server.send(b"\x88\x00" if code is None else close_frame(code))
    it.server.shutdown(socket.SHUT_WR)
    told = {"code": code or 1005, "reason": ""}
    assert await it.end() == closed(
        1000.0, Cause.CLOSED, "the server has answered our close frame", closed_first="us",
        received=told, sent={**told, "reason": "why" if code else ""},
    )  # fmt: skip
    out, back = (records[0] for records in it.page.records)
    in_frame = {"code": code, "reason": "why"} if code else {}
    assert out == frame("out", 1000.0, 8, 5 if code else 0, **in_frame)
    assert back == frame("in", 1000.0, 8, 2 if code else 0, **(in_frame and told))


async def test_what_is_compressed_is_told_with_both_its_sizes(dialled, autojump_clock) -> None:
    it = dialled(compression=Parameters(True, True))
    await trio.sleep(1)
    await it.dial.send([Item(kind="text", text="x" * 1000)])
    sent = it.server.recv(2000)
    await wait_all_tasks_blocked()
    (out,) = it.page.records[0]
    assert sent[0] == 0xC1
    assert out == frame("out", 1000.0, 1, 1000) | {"rsv1": True, "wire": len(sent) - 6}
    assert len(sent) < 100


@pytest.mark.parametrize("pongs", [0, 1, RECORDS_PER_EVENT, 2 * RECORDS_PER_EVENT + 1])
async def test_of_what_came_at_once_so_many_records_are_one_event_and_one_turn(
    dialled, autojump_clock, pongs: int
) -> None:
    it = dialled(b"\x8a\x00" * pongs)
    await trio.sleep(1)
    whole, rest = divmod(pongs, RECORDS_PER_EVENT)
    sizes = [RECORDS_PER_EVENT] * whole + [rest] * bool(rest)
    assert [len(records) for records in it.page.records] == sizes
    # Behind a full event it is not known whether there is more.
    assert it.turns.count == (0 if not pongs else whole + 1)


@pytest.mark.parametrize(
    ("size", "sizes"),
    [
        (EVENT_BYTES // 2 - 1, [6, 2]),
        (EVENT_BYTES // 2, [4, 4]),
        (EVENT_BYTES, [2, 2, 2, 2]),
    ],
)
async def test_events_are_full_with_so_many_bytes_as_well(
    dialled, autojump_clock, size: int, sizes: list[int]
) -> None:
    """Each message has a record of its frame, and one of its own."""
    head = b"\x82\x7e" + size.to_bytes(2) if size < 65536 else b"\x82\x7f" + size.to_bytes(8)
    it = dialled((head + bytes(size)) * 4)
    await trio.sleep(1)
    assert [len(records) for records in it.page.records] == sizes


async def test_what_has_come_of_a_message_is_held_until_the_rest_has(
    dialled, autojump_clock
) -> None:
    it = dialled()
    await trio.sleep(1)
    assert it.budget.held_bytes == 0
    held = list[int]()
    for part in (b"\x82\x7e\x0b\xb8" + bytes(1000), bytes(1000), bytes(999)):
        it.server.send(part)
        await trio.sleep(1)
        held.append(it.budget.held_bytes)
    assert 1000 <= held[0] < 2000 <= held[1] < 2999 <= held[2] < 4000
    it.server.send(b"\0")
    await trio.sleep(1)
    assert (it.budget.held_bytes, len(it.page.records)) == (0, 1)
    it.server.send(b"\x82")
    await trio.sleep(1)
    assert it.budget.held_bytes == 1
    it.server.close()
    await it.end()


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


async def test_parts_of_a_message_are_bounded_together_and_held_until_it_is_sent(joined) -> None:
    budget = Budget()
    dial, _ = joined(budget, max_message_bytes=10)

    def part(size: int, *, more: bool) -> Item:
        return Item(kind="text", text="x" * size, more=more)

    for item, held in ((part(3, more=True), 3), (part(4, more=True), 7)):
        dial._send_item(item)
        assert budget.held_bytes == held
    dial._send_item(part(3, more=False))
    assert [(len(one.data), one.frame.plain_bytes) for one in dial._line] == [(16, 10)]
    assert budget.held_bytes == dial._line_bytes == 16
    dial._send_item(part(6, more=True))
    with pytest.raises(CannotSend, match="at most 10 bytes") as caught:
        dial._send_item(part(5, more=False))
    assert (caught.value.status, budget.held_bytes, len(dial._line)) == (413, 16, 1)
    dial._send_item(part(10, more=False))
    assert [one.frame.plain_bytes for one in dial._line] == [10, 10]
    assert budget.held_bytes == dial._line_bytes == 32
    with pytest.raises(BadOrder, match="not UTF-8") as bad:
        dial._send_item(Item(kind="text", base64=base64.b64encode(b"\xff").decode()))
    assert bad.value.field == "base64"


@pytest.mark.parametrize(
    ("end_it", "says"),
    [
        (lambda dial: dial._end_with(End(Cause.EOF, "over")), "is closed"),
        (lambda dial: dial._send_item(Item(kind="close", code=1000)), "about to be"),
    ],
    ids=["ended", "closing"],
)
async def test_nothing_is_sent_behind_the_end(
    joined, end_it: Callable[[Dial], None], says: str
) -> None:
    dial, _ = joined(Budget())
    end_it(dial)
    in_line = len(dial._line)
    with pytest.raises(CannotSend, match=says) as caught:
        await dial.send([Item(kind="text", text="late")])
    assert (caught.value.status, len(dial._line)) == (409, in_line)
