"""The stream of one dial: each event whole, in its order and at its moment."""

from __future__ import annotations

import base64
import random
import socket
import zlib
from collections.abc import Callable

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from echo_trio.dialling.dial import (
    EVENT_BYTES,
    RECORDS_PER_EVENT,
    WRITE_PIECE_BYTES,
    CannotSend,
    Dial,
)
from echo_trio.dialling.ends import Cause, End
from echo_trio.dialling.order import BadOrder
from echo_trio.dialling.outbox import FULL_BYTES
from echo_trio.dialling.sending import Item
from echo_trio.wire.budget import Budget
from echo_trio.wire.deflate import Parameters

from .conftest import close_frame, closed, frame, make_dial, text


async def test_a_page_is_told_all_from_the_dial_to_the_end(dialled, autojump_clock) -> None:
    it = dialled(b"\x81\x02hi")
    await trio.sleep(1.25)
    half = base64.b64encode(b"\0\1").decode()
    await it.dial.send(
        [
            Item(kind="text", text="ä", ticket=1),
            Item(kind="binary", base64=half, more=True, ticket=2),
            Item(kind="binary", base64=half, ticket=3),
            Item(kind="ping", text="p", ticket=4),
        ]
    )
    await trio.sleep(1)
    # All is out, and the page has been told.
    assert it.budget.held_bytes == it.dial._line_bytes == 0
    it.server.send(b"\x89\x01q\x82\x02\xff\0")
    await trio.sleep(1)
    it.server.send(close_frame(4000, b"bye"))
    await trio.sleep(1)
    it.server.close()
    assert await it.end() == closed(
        4250.0, Cause.CLOSED, "the server closed the connection, with a close frame",
        closed_first="server", received={"code": 4000, "reason": "bye"},
        sent={"code": 4000, "reason": ""},
    )  # fmt: skip
    ping, pong = {"base64": "cQ=="}, {"base64": "cA=="}
    assert it.page.events[:-1] == [
        ("dial", {"id": "id", "url": "ws://a.example", "t": 0}),
        ("opened", {"t": 250.0}),
        ("records", [frame("in", 250.0, 1, 2), text(250.0, "hi")]),
        ("records", [frame("out", 1250.0, 1, 2, ticket=1)]),
        ("records", [frame("out", 1250.0, 2, 4, ticket=3)]),
        ("records", [frame("out", 1250.0, 9, 1, **pong, ticket=4)]),
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


async def test_of_what_inflates_to_much_no_more_is_passed_on_than_the_page_takes(
    dialled, autojump_clock
) -> None:
    """All of it came at once, in a few kilobytes."""
    size = EVENT_BYTES // 2
    compressor = zlib.compressobj(9, zlib.DEFLATED, -15)
    data = compressor.compress(bytes(size)) + compressor.flush(zlib.Z_SYNC_FLUSH)[:-4]
    it = dialled(100 * (bytes((0xC2, len(data))) + data), compression=Parameters(True, True))
    it.page.reads = trio.Event()
    await trio.sleep(1)
    # In base64, and an event more than makes it full.
    assert FULL_BYTES <= it.budget.held_bytes < FULL_BYTES + 2 * EVENT_BYTES
    it.page.reads.set()
    await trio.sleep(1)
    messages = [each for records in it.page.records for each in records if "base64" in each]
    assert [len(each["base64"]) for each in messages] == [-(-size // 3) * 4] * 100
    assert it.budget.held_bytes == 0


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


async def test_nothing_is_sent_that_the_page_could_not_be_told_of(
    dialled, autojump_clock, nursery
) -> None:
    message = b"\x82\x7f" + FULL_BYTES.to_bytes(8) + bytes(FULL_BYTES)
    it = dialled(message)
    it.page.reads = trio.Event()
    await trio.sleep(1)
    assert it.budget.held_bytes >= FULL_BYTES
    nursery.start_soon(it.dial.send, [Item(kind="text", text="x")])
    await trio.sleep(1)
    with pytest.raises(BlockingIOError):
        it.server.recv(100)
    it.page.reads.set()
    await trio.sleep(1)
    assert it.server.recv(100)[:2] == b"\x81\x81"
    assert it.page.records[-1] == [frame("out", 2000.0, 1, 1)]


async def test_the_kernel_is_given_a_piece_at_a_time() -> None:
    dial, pieces = make_dial("ws://a.example", Budget()), list[int]()

    class Kernel:
        def send(self, data: memoryview) -> int:
            pieces.append(len(data))
            return max(len(data) - 1, 1)

    dial._sock = Kernel()  # type: ignore[assignment]
    assert await dial._send_all(bytes(WRITE_PIECE_BYTES + 10))
    assert pieces == [WRITE_PIECE_BYTES, 11, 1]


async def test_what_is_compressed_refers_no_further_back_than_the_server_allows(
    dialled, autojump_clock
) -> None:
    """The server's own window is another."""
    it = dialled(compression=Parameters(True, True, 15, 9))
    await trio.sleep(1)
    message = 2 * random.Random(1).randbytes(1000)
    item = Item(kind="binary", base64=base64.b64encode(message + bytes(5000)).decode())
    await it.dial.send([item])
    sent = it.server.recv(10_000)
    assert sent[:2] == b"\xc2\xfe"
    mask = sent[4:8]
    payload = bytes(byte ^ mask[at % 4] for at, byte in enumerate(sent[8:]))
    inflater, left, inflated = zlib.decompressobj(-9), payload + b"\0\0\xff\xff", b""
    while left:  # In steps: of what comes out at once, zlib sees more than its window.
        inflated += inflater.decompress(left, 100)
        left = inflater.unconsumed_tail
    assert inflated == message + bytes(5000)
