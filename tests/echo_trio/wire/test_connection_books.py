"""What is known of a connection when something has happened to it: all of it, at either end."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Any

import pytest

from echo_trio.wire.connection import Connection, ConnectionClosed
from echo_trio.wire.deflate import Parameters
from echo_trio.wire.frames import INFLATING_BYTES
from echo_trio.wire.limits import Limits

from .conftest import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    close_payload,
    frame_bytes,
)
from .ends import End


def echoes(end: End) -> None:
    end.hear(TEXT, b"a")
    end.hear(TEXT, b"b", fin=False)
    end.hear(PING, b"p")
    end.hear(CONTINUATION, b"c")
    end.hear(PONG)


def peer_closes(end: End) -> None:
    end.hear(BINARY, b"a")
    end.hear(CLOSE, close_payload(4000, b"bye"))


def peer_closes_empty(end: End) -> None:
    end.hear(CLOSE)


def we_close(end: End) -> None:
    end.close(4001, "why")
    end.hear(TEXT, b"crosses it")


def both_close(end: End) -> None:
    we_close(end)
    end.hear(CLOSE, close_payload(4000, b"bye"))


def peer_breaks_the_rules(end: End) -> None:
    end.hear(TEXT, b"a")
    end.hear(3)


def peer_breaks_them_behind_our_close(end: End) -> None:
    we_close(end)
    end.hear(3)


def peer_ends(end: End) -> None:
    end.hear(TEXT, b"a", part=1)
    end.connection._lose()


def peer_ends_behind_both(end: End) -> None:
    both_close(end)
    end.connection._lose()


def peer_is_gone_when_we_answer(end: End) -> None:
    end.kernel.is_broken = True
    end.hear(TEXT, b"a")
    end.hear(CLOSE, close_payload(4000))


def our_close_stays_in_line(end: End) -> None:
    end.kernel.takes = 3
    end.hear(TEXT, b"abc")
    end.close(4001)
    end.kernel.is_broken = True
    end.connection._fail_writing()


def our_answer_stays_in_line(end: End) -> None:
    end.kernel.takes = 3
    end.hear(TEXT, b"abc")
    end.hear(CLOSE, close_payload(4000))
    end.connection._fail_writing()


def we_cut(end: End) -> None:
    end.hear(TEXT, b"a", part=1)
    end.connection.cut()
    heard = end.said
    end.hear(TEXT, b"not listened to any more")
    end.said = heard


def we_are_short_of_memory(end: End) -> None:
    end.hear(TEXT, b"a", part=1)
    end.connection.evict()


def we_are_short_of_memory_amid_a_reply(end: End) -> None:
    end.kernel.takes = 3
    end.hear(TEXT, b"abc")
    end.connection.evict()


def we_cut_and_are_short_of_memory(end: End) -> None:
    we_cut(end)
    end.connection.evict()
    assert end.kernel.sent == b""


OURS = {"close_sent": 4001, "close_code": 4001, "closed_first": "us"}
THEIRS = {"close_received": 4000, "close_code": 4000, "closed_first": "peer"}
ABNORMAL = {"_over": True, "_write_failed": True}


@pytest.mark.parametrize(
    ("happens", "known", "is_over"),
    [
        (echoes, {"messages_received": 2, "messages_sent": 2}, False),
        (
            peer_closes,
            {**THEIRS, "close_sent": 4000, "close_reason": "bye", "clean": True,
             "messages_received": 1, "messages_sent": 1},
            True,
        ),
        (
            peer_closes_empty,
            {**THEIRS, "close_received": 1005, "close_code": 1005, "close_sent": 1005,
             "clean": True},
            True,
        ),
        (we_close, {**OURS, "messages_received": 1}, False),
        (
            both_close,
            {**OURS, "close_received": 4000, "close_reason": "bye", "clean": True,
             "messages_received": 1},
            True,
        ),
        (
            peer_breaks_the_rules,
            {"close_sent": 1002, "close_code": 1002, "closed_first": "us", "failure": 1002,
             "messages_received": 1, "messages_sent": 1},
            False,
        ),
        (
            peer_breaks_them_behind_our_close,
            {**OURS, "failure": 1002, "messages_received": 1},
            False,
        ),
        (peer_ends, ABNORMAL, False),
        (
            peer_ends_behind_both,
            {**OURS, **ABNORMAL, "close_received": 4000, "close_reason": "bye", "clean": True,
             "messages_received": 1},
            True,
        ),
        (
            peer_is_gone_when_we_answer,
            {**THEIRS, "_write_failed": True, "messages_received": 1, "messages_sent": 1},
            True,
        ),
        (
            our_close_stays_in_line,
            {"_write_failed": True, "messages_received": 1, "messages_sent": 1},
            False,
        ),
        (
            our_answer_stays_in_line,
            {**THEIRS, "_write_failed": True, "messages_received": 1, "messages_sent": 1},
            True,
        ),
        (we_cut, {"_cut": True}, False),
        (we_cut_and_are_short_of_memory, {**ABNORMAL, "_cut": True, "evicted": True}, False),
        (
            we_are_short_of_memory,
            {"close_sent": 1013, "close_code": 1013, "closed_first": "us", "evicted": True,
             "_over": True, "_write_failed": True},
            False,
        ),
        (
            we_are_short_of_memory_amid_a_reply,
            {**ABNORMAL, "evicted": True, "messages_received": 1, "messages_sent": 1},
            False,
        ),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)  # fmt: skip
@pytest.mark.parametrize("client", [False, True])
def test_all_that_is_known_follows_from_what_has_happened(
    happens: Callable[[End], None], known: dict[str, Any], is_over: bool, client: bool
) -> None:
    """Once both have closed, a server is done, and a client waits for the server to end TCP."""
    end = End(client=client)
    happens(end)
    if is_over and not client:
        known = {**known, "_over": True}
    assert end.books() == known
    sent = bytes(end.kernel.sent)
    if end.connection._unsent is None and not end.connection._write_failed:
        assert end.connection.bytes_sent == len(sent)
    assert end.connection.bytes_received == end.said
    assert end.budget.held_bytes == 0


@pytest.mark.parametrize("client", [False, True])
def test_the_code_is_that_of_the_first_close_frame_whatever_the_other_was(client: bool) -> None:
    end = End(client=client)
    connection: Any = end.connection
    connection.close_sent, connection.close_received = 4001, 4000
    for first, code in (("us", 4001), ("peer", 4000)):
        connection.closed_first = first
        assert connection.close_code == code


@pytest.mark.parametrize("client", [False, True])
def test_behind_a_close_frame_nothing_is_sent_and_nothing_is_counted(client: bool) -> None:
    end = End(client=client)
    end.close(4001)
    end.close(4002)
    sent, books = bytes(end.kernel.sent), end.books()
    with pytest.raises(ConnectionClosed):
        end.connection.send_nowait("late")
    with pytest.raises(ConnectionClosed):
        next(end.connection.send_fragments("late", 1))
    end.connection.drop_in_frame("late")
    assert (bytes(end.kernel.sent), end.books()) == (sent, books)
    assert end.connection.bytes_sent == len(sent)


@pytest.mark.parametrize("client", [False, True])
def test_what_comes_while_nothing_is_read_is_counted_once_and_held_until_it_is(
    client: bool,
) -> None:
    end = End(client=client)
    end.connection.pause_reading()
    for number in range(3):
        end.hear(TEXT, b"%d" % number)
        assert end.connection.bytes_received == end.connection.held_bytes == end.said
    assert end.connection.owes_too_much is False
    end.connection.resume_reading()
    end.hear(PING)
    known = {"messages_received": 3, "messages_sent": 3}
    assert (end.books(), end.connection.bytes_received) == (known, end.said)


@pytest.mark.parametrize("size", [1, 4095, 4096, 70_000])
@pytest.mark.parametrize("pieces", [1, 2])
@pytest.mark.parametrize("is_closed", [False, True])
def test_a_message_that_only_gets_something_appended_is_answered_and_counted_up_to_our_close(
    size: int, pieces: int, is_closed: bool
) -> None:
    """However it is answered: large ones are neither decoded nor copied."""

    def reply(message: bytes) -> bytes:
        return message + b" 1"

    reply.appended = lambda: b" 1"  # type: ignore[attr-defined]
    end = End(client=False, reply=reply)
    if is_closed:
        end.close(4001)
    before = len(end.kernel.sent)
    part = size // pieces
    for number in range(pieces):
        data = bytes(size - part * number if number == pieces - 1 else part)
        end.hear(CONTINUATION if number else BINARY, data, fin=number == pieces - 1)
    expected = b"" if is_closed else frame_bytes(
        BINARY, bytes(size) + b" 1", fin=True, rsv=0, masked=False
    )  # fmt: skip
    assert bytes(end.kernel.sent[before:]) == expected
    counts = {"messages_received": 1, "messages_sent": 0 if is_closed else 1}
    assert {name: getattr(end.connection, name) for name in counts} == counts
    assert end.connection.bytes_sent == len(end.kernel.sent)
    assert end.budget.held_bytes == 0


@pytest.mark.parametrize("client", [False, True])
def test_what_the_kernel_did_not_take_is_held_to_the_byte_and_given_back(client: bool) -> None:
    end = End(client=client)
    end.kernel.takes = 10
    size = 2 + end.mask_bytes + 30
    assert not end.connection.send_nowait("x" * 30)
    assert end.budget.held_bytes == size - 10
    assert not end.connection.send_nowait("y" * 30)
    assert end.connection.held_bytes == end.budget.held_bytes == 2 * size - 10
    assert end.connection.bytes_sent == 2 * size
    end.connection._take_out_of_line(7)
    assert end.budget.held_bytes == 2 * size - 17
    end.connection._fail_writing()
    assert end.budget.held_bytes == 0
    with pytest.raises(ConnectionClosed):
        end.connection.send_nowait("z")
    assert (end.connection.bytes_sent, end.connection.messages_sent) == (2 * size, 2)


@pytest.mark.parametrize("over", [0, 1])
def test_reading_stops_above_what_may_be_held_and_goes_on_at_it(over: int) -> None:
    limits = Limits(max_message_bytes=100)
    end = End(client=False, limits=limits)
    connection = end.connection
    connection.hold(limits.max_held_bytes + over)
    assert (connection._paused, connection.owes_too_much) == (bool(over), bool(over))
    connection.hold(1000)
    assert connection._paused
    connection.release(1000 + over - 1)
    assert (connection._paused, connection.owes_too_much) == (True, True)
    connection.release(1)
    assert (connection._paused, connection.owes_too_much) == (False, False)


def test_what_the_peer_has_sent_is_read_on_however_much_it_is_and_is_not_what_we_owe() -> None:
    limits = Limits(max_message_bytes=100_000)
    end = End(client=False, limits=limits)
    connection = end.connection
    end.hear(BINARY, bytes(100_000), part=1)
    arrived = connection.held_bytes
    assert arrived > 100_200  # the object and its buffer
    connection.hold(limits.max_held_bytes - arrived)
    assert not connection._paused
    connection.hold(arrived)
    assert (connection._paused, connection.owes_too_much) == (True, False)
    connection.hold(1)
    assert connection.owes_too_much
    connection.release(1)
    connection.release(connection.held_bytes - arrived)
    assert not connection._paused


@pytest.mark.parametrize("client", [False, True])
@pytest.mark.parametrize("size", [0, 1, 9, 10, 11])
def test_a_fragmented_reply_is_counted_once_its_last_frame_is_out(client: bool, size: int) -> None:
    end = End(client=client)
    blocks = end.connection.send_fragments(bytes(20_000), 10)
    counts = {end.connection.messages_sent for _ in blocks}
    assert (counts, end.connection.messages_sent) == ({0}, 1)
    before = end.connection.bytes_sent
    list(end.connection.send_fragments(bytes(size), 10))
    frames = max(-(-size // 10), 1)
    assert end.connection.bytes_sent - before == size + frames * (2 + end.mask_bytes)
    assert end.connection.messages_sent == 2


@pytest.mark.parametrize("is_client", [False, True])
def test_an_end_is_what_it_was_opened_as(is_client: bool) -> None:
    made = Connection.opened(
        None, client=is_client, limits=Limits(), path="/x?y", subprotocol="z"  # type: ignore[arg-type]
    )  # fmt: skip
    assert (made.is_client, made.is_server) == (is_client, not is_client)
    assert (made.path, made.subprotocol) == ("/x?y", "z")
    assert End(client=is_client).books() == {}


@pytest.mark.parametrize("client", [False, True])
@pytest.mark.parametrize("keeps", [False, True])
def test_between_two_messages_a_window_is_held_only_if_the_peer_may_refer_to_it(
    client: bool, keeps: bool
) -> None:
    end = End(client=client)
    end.connection._compression = Parameters(not keeps, not keeps)
    compressor = zlib.compressobj(9, zlib.DEFLATED, -15)
    for number in range(2):
        if not keeps:
            compressor = zlib.compressobj(9, zlib.DEFLATED, -15)
        data = compressor.compress(b"ab" * 500) + compressor.flush(zlib.Z_SYNC_FLUSH)
        whole = frame_bytes(TEXT, data[:-4], fin=True, rsv=4, masked=not client)
        end.hear_bytes(whole[:-3])
        assert end.budget.held_bytes > INFLATING_BYTES
        end.hear_bytes(whole[-3:])
        assert end.connection.messages_received == number + 1
        assert (end.connection._inflater is not None) is keeps
        assert end.budget.held_bytes == (INFLATING_BYTES if keeps else 0)
