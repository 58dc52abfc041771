"""What one peer of a proxy says is what the other hears: messages, pings, and how it ends.

Two peers of bytes, and between them a pair without faults.
"""

from __future__ import annotations

import zlib
from itertools import pairwise
from typing import Any

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import wait_all_tasks_blocked

from echo_trio.wire.connection import INFLATED_BYTES_PER_TURN
from echo_trio.wire.deflate import Parameters
from echo_trio.wire.relay import PIECE_BYTES

from ..proxy.joined import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PATIENCE_S,
    PING,
    PONG,
    TEXT,
    Joined,
    Peer,
    joined,
)

#: Messages in parts, of text or not, with pings and pongs between the parts.
PARTS = st.lists(st.text("abé", max_size=9).map(str.encode), min_size=1, max_size=3)
CONTROL = st.none() | st.tuples(st.sampled_from([PING, PONG]), st.binary(max_size=5))
SAID = st.lists(st.tuples(st.sampled_from([TEXT, BINARY]), PARTS, CONTROL), max_size=6)
PLACES = st.lists(st.integers(0, 300), max_size=6)


def write(peer: Peer, said: Any) -> tuple[bytes, list[tuple[int, bytes]]]:
    """Write what is said, and list it as it is complete."""
    data, events = b"", list[tuple[int, bytes]]()
    for opcode, parts, control in said:
        for at, part in enumerate(parts):
            is_last = at == len(parts) - 1
            if control is not None and at == len(parts) // 2:
                data += peer.frame(*control)
                events.append(control)
            data += peer.frame(CONTINUATION if at else opcode, part, fin=is_last)
        events.append((opcode, b"".join(parts)))
    return data, events


@pytest.mark.parametrize("is_whole", [False, True])
@settings(max_examples=60)
@given(forth=SAID, back=SAID, places=PLACES)
def test_each_peer_hears_what_the_other_says_in_its_order_however_it_arrives(
    is_whole: bool, forth: Any, back: Any, places: list[int]
) -> None:
    @joined
    async def run(made: Joined) -> None:
        expected = {}
        for sayer, hearer, said in (
            (made.client, made.upstream, forth), (made.upstream, made.client, back),
        ):  # fmt: skip
            data, expected[hearer] = write(sayer, said)
            edges = [0, *sorted(min(place, len(data)) for place in places), len(data)]
            for start, end in pairwise(edges):
                if start < end:
                    await sayer.say(data[start:end])
        for hearer, events in expected.items():
            assert hearer.hear() == events
        pair = made.pair
        assert (pair.client.messages_received, pair.upstream.messages_sent) == (len(forth),) * 2
        assert (pair.upstream.messages_received, pair.client.messages_sent) == (len(back),) * 2
        assert pair.lost == 0

    trio.run(lambda: run(limits={"is_whole": is_whole}))


async def test_of_a_long_frame_each_part_is_passed_on_once_it_is_worth_a_frame() -> None:
    @joined
    async def run(made: Joined) -> None:
        payload = bytes(range(256)) * 300
        data = made.client.frame(BINARY, payload)
        head = len(data) - len(payload)
        await made.client.say(data[: head + PIECE_BYTES - 1])
        assert (made.upstream.hear(), made.upstream.frames) == ([], [])
        await made.client.say(data[head + PIECE_BYTES - 1 : head + PIECE_BYTES])
        made.upstream.hear()
        assert made.upstream.frames == [(BINARY, False, PIECE_BYTES)]
        await made.client.say(made_rest := data[head + PIECE_BYTES :])
        assert made.upstream.hear() == [(BINARY, payload)]
        assert len(made_rest) == sum(size for _, _, size in made.upstream.frames[1:])
        assert made.pair.upstream.messages_sent == 1

    await run()


@pytest.mark.parametrize("first", ["client", "upstream"])
async def test_a_close_goes_through_and_so_does_its_answer(first: str) -> None:
    @joined
    async def run(made: Joined) -> None:
        one, other = made.client, made.upstream
        if first == "upstream":
            one, other = other, one
        await one.say(one.frame(TEXT, b"last") + one.close_frame(4000, b"bye"))
        assert other.hear() == [(TEXT, b"last"), (CLOSE, b"\x0f\xa0bye")]
        assert one.hear() == []
        # It has not answered yet: what it still says is heard.
        await other.say(other.frame(TEXT, b"wait"))
        assert one.hear() == [(TEXT, b"wait")]
        await other.say(other.close_frame(4001, b"so long"))
        assert one.hear()[1:] == [(CLOSE, b"\x0f\xa1so long")]
        one.sock.close()
        other.sock.close()
        await made.ended()
        pair = made.pair
        relay = pair.client if first == "client" else pair.upstream
        assert (relay.close_code, relay.closed_first, relay.clean) == (4000, "peer", True)
        assert pair.lost == 0

    await run()


@pytest.mark.parametrize(
    ("wrong", "code"), [("mask", 1002), ("opcode", 1002), ("text", 1007), ("size", 1009)]
)
@pytest.mark.parametrize("who", ["client", "upstream"])
async def test_who_breaks_a_rule_is_told_so_and_the_other_only_that_it_is_over(
    who: str, wrong: str, code: int
) -> None:
    @joined
    async def run(made: Joined) -> None:
        one, other = made.client, made.upstream
        if who == "upstream":
            one, other = other, one
        bad = {
            "mask": one.frame(TEXT, b"x", masks=who == "upstream"),
            "opcode": one.frame(3, b"x"),
            "text": one.frame(TEXT, b"\xff"),
            "size": one.frame(BINARY, bytes(101)),
        }[wrong]
        await one.say(one.frame(BINARY, bytes(100)) + bad)
        said = other.hear()
        assert said[0] == (BINARY, bytes(100))
        assert [opcode for opcode, _ in said[1:]] == [CLOSE]
        assert int.from_bytes(said[1][1][:2]) == (1001 if who == "client" else 1014)
        await other.say(other.close_frame(1000))
        assert [int.from_bytes(payload[:2]) for _, payload in one.hear()] == [code]
        one.sock.close()
        other.sock.close()
        await made.ended()
        relay = made.pair.client if who == "client" else made.pair.upstream
        assert relay.failure == code

    await run(limits={"max_message_bytes": 100})


@pytest.mark.parametrize("who", ["client", "upstream"])
async def test_who_leaves_without_a_word_is_gone_for_the_other(who: str) -> None:
    @joined
    async def run(made: Joined) -> None:
        one, other = made.client, made.upstream
        if who == "upstream":
            one, other = other, one
        await one.say(one.frame(TEXT, b"last"))
        one.sock.close()
        await wait_all_tasks_blocked()
        said = other.hear()
        assert said[0] == (TEXT, b"last")
        if who == "client":  # It is gone as it went: without a close frame.
            assert (said[1:], other.is_over) == ([], True)
        else:
            assert [(op, payload[:2]) for op, payload in said[1:]] == [(CLOSE, b"\x03\xf6")]
        other.sock.close()
        await made.ended()
        assert made.pair.lost == 0

    await run()


async def test_messages_for_one_that_is_gone_are_lost_alone_or_together() -> None:
    @joined
    async def run(made: Joined) -> None:
        made.upstream.sock.close()
        await wait_all_tasks_blocked()
        assert [opcode for opcode, _ in made.client.hear()] == [CLOSE]
        message = made.client.frame(TEXT, b"late")
        await made.client.say(message)
        assert made.pair.lost == 1
        await made.client.say(2 * message)
        assert made.pair.lost == 3
        frame = made.client.frame
        await made.client.say(frame(TEXT, b"in ", fin=False) + frame(CONTINUATION, b"parts"))
        assert made.pair.lost == 4
        assert (made.pair.client.messages_received, made.pair.upstream.messages_sent) == (4, 0)

    await run()


async def test_who_awaits_an_answer_that_there_will_not_be_is_not_waited_for() -> None:
    @joined
    async def run(made: Joined) -> None:
        await made.upstream.say(made.upstream.close_frame(4000))
        assert made.client.hear() == [(CLOSE, b"\x0f\xa0")]
        made.client.sock.close()
        await made.ended()
        assert made.upstream.hear() == []
        assert made.upstream.is_over

    await run(limits={"close_timeout_s": 3600.0})


@pytest.mark.parametrize(
    ("size", "a_turn"), [(INFLATED_BYTES_PER_TURN, 10), (INFLATED_BYTES_PER_TURN + 1, 1)]
)
async def test_a_message_that_was_much_to_inflate_ends_the_turn(size: int, a_turn: int) -> None:
    @joined
    async def run(made: Joined) -> None:
        compressor = zlib.compressobj(wbits=-15)
        deflated = compressor.compress(bytes(size)) + compressor.flush(zlib.Z_SYNC_FLUSH)
        frame = made.client.frame(BINARY, deflated[:-4])
        made.client.sock.send((bytes((frame[0] | 0x40,)) + frame[1:]) * 10)
        counts = [0]
        with trio.fail_after(PATIENCE_S):
            while counts[-1] < 10:
                await trio.lowlevel.checkpoint()
                counts.append(made.pair.upstream.messages_sent)
        steps = [after - before for before, after in pairwise(counts)]
        # The other tasks of the pair may have their turn before us and after us.
        assert max(steps) == 10 if a_turn == 10 else max(steps) <= 2
        await wait_all_tasks_blocked()
        assert made.upstream.hear() == [(BINARY, bytes(size))] * 10

    agreed = Parameters(server_no_context_takeover=True, client_no_context_takeover=True)
    await run(limits={"compression": agreed})


async def test_the_answer_to_a_ping_of_our_own_is_for_us_alone() -> None:
    @joined
    async def run(made: Joined) -> None:
        made.pair.client._ping(0.0)
        ((opcode, payload),) = made.client.hear()
        assert opcode == PING
        pong = made.client.frame(PONG, payload)
        await made.client.say(pong)
        assert made.upstream.hear() == []
        await made.client.say(pong)  # Nobody has asked for this one: it goes through.
        assert made.upstream.hear() == [(PONG, payload)]

    await run()


@pytest.mark.parametrize("opcode", [PING, TEXT])
async def test_nothing_comes_behind_our_close_frame_whatever_the_other_still_says(
    opcode: int,
) -> None:
    @joined
    async def run(made: Joined) -> None:
        made.pair.client.close_nowait(1001, "bye")
        await made.upstream.say(made.upstream.frame(opcode, b"late"))
        assert made.client.hear() == [(CLOSE, b"\x03\xe9bye")]
        assert made.pair.lost == (opcode == TEXT)

    await run()


@pytest.mark.parametrize("idle", ["client", "upstream"])
async def test_one_that_is_closed_for_idleness_takes_the_other_with_it(idle: str) -> None:
    @joined
    async def run(made: Joined) -> None:
        end: Any = getattr(made.pair, idle)
        end.timed_out = "idle"
        why = "there was no message for too long"
        end._close_now(1001, why)
        await wait_all_tasks_blocked()
        for peer in (made.client, made.upstream):
            assert peer.hear() == [(CLOSE, b"\x03\xe9" + why.encode())]
        assert (end.closed_first, end.other.closed_first) == ("us", "us")

    await run()
