"""Closing: the codes on the wire, and nothing after them; whoever begins, and whatever comes."""

from __future__ import annotations

import struct

import pytest
import trio

from echo_trio.metrics.counters import Outcome

from .conftest import BINARY, CLOSE, PING, TEXT, close_frame, frame

MAY_BE_SENT = [*range(1000, 1004), *range(1007, 1015), 3000, 3999, 4000, 4999]
MAY_NOT = [0, 999, *range(1004, 1007), 1015, 1016, 1100, 2000, 2999, 5000, 65535]
#: What may still be under way to us when we close.
STRAY = frame(TEXT, b"stray") + frame(PING, b"stray") + frame(BINARY, b"x" * 70_000)


# -- The client closes ------------------------------------------------------------------------


async def test_a_code_that_may_be_sent_is_echoed_with_its_reason(wire):
    for code in MAY_BE_SENT:
        for reason in (b"", "Grüße".encode(), b"x" * 123):
            peer = await wire.open()
            await peer.send(close_frame(code, reason))
            assert await peer.frame() == (CLOSE, struct.pack("!H", code) + reason)
            assert await peer.read_to_end() == b""
            await peer.end()
    await wire.holds_invariants({Outcome.CLEAN: 3 * len(MAY_BE_SENT)})
    assert set(wire.counts.close_codes) == set(MAY_BE_SENT)


@pytest.mark.parametrize(
    ("said", "code"),
    [
        *(pytest.param(close_frame(code), 1002, id=str(code)) for code in MAY_NOT),
        pytest.param(frame(CLOSE, b"\x03"), 1002, id="half a code"),
        pytest.param(close_frame(1000, b"\xff"), 1007, id="a reason that is not UTF-8"),
        pytest.param(close_frame(1000, "ü".encode()[:1]), 1007, id="half a letter"),
    ],
)
async def test_a_close_frame_that_may_not_be_is_answered_with_why(wire, said, code):
    peer = await wire.open()
    await peer.send(said)
    assert (await peer.frame()).code == code
    assert await peer.read_to_end() == b""
    await peer.end()
    await wire.holds_invariants(Outcome.VIOLATION)
    assert wire.counts.close_codes[code] == 1


async def test_an_empty_close_frame_gets_an_empty_one(wire):
    peer = await wire.open()
    await peer.send(frame(CLOSE))
    assert await peer.frame() == (CLOSE, b"")
    assert await peer.read_to_end() == b""
    await wire.holds_invariants(Outcome.CLEAN)
    assert wire.counts.close_codes[1005] == 1


@pytest.mark.parametrize(
    "behind",
    [STRAY, close_frame(1001), frame(3), b"\xff" * 100, b"\x81"],
    ids=["messages", "another close frame", "a violation", "nonsense", "half a header"],
)
async def test_after_a_close_frame_comes_exactly_one_back_and_then_nothing(wire, behind):
    peer = await wire.open()
    await peer.send(close_frame(4000) + behind)
    assert (await peer.frame()).code == 4000
    assert await peer.read_to_end() == b""
    await wire.holds_invariants(Outcome.CLEAN)
    assert wire.counts.close_codes[4000] == 1
    assert wire.counts.messages_received == 2  # of echoes()


async def test_a_close_frame_amid_a_fragmented_message_ends_it(wire):
    peer = await wire.open()
    await peer.send(frame(TEXT, b"never whole", fin=False) + close_frame(1000))
    assert (await peer.frame()).code == 1000
    assert await peer.read_to_end() == b""
    await wire.holds_invariants(Outcome.CLEAN)


async def test_replies_go_before_the_answer_to_a_close_frame(wire):
    peer = await wire.connect()
    await peer.open_path("/plain")
    await peer.send(b"".join(frame(BINARY, b"%d" % n) for n in range(100)) + close_frame(1000))
    for number in range(100):
        assert await peer.frame() == (BINARY, b"%d" % number)
    assert (await peer.frame()).code == 1000
    await wire.holds_invariants(Outcome.CLEAN)


# -- We close ---------------------------------------------------------------------------------


async def closed_by_us(wire, code: int):
    peer = await wire.connect()
    await peer.open_path(f"/close/{code}")
    await peer.send(frame(TEXT, b"close, please"))
    assert (await peer.frame()).code == code
    return peer


@pytest.mark.parametrize("stray", [b"", frame(PING, b"late"), STRAY], ids=["", "ping", "all"])
@pytest.mark.parametrize("code", [1000, 1001, 1011, 4999])
async def test_the_code_that_is_recorded_is_the_one_that_was_sent(wire, code, stray):
    peer = await closed_by_us(wire, code)
    await peer.send(stray + close_frame(3000))  # Its own code is the client's business.
    assert await peer.read_to_end() == b""
    await wire.holds_invariants(Outcome.CLEAN)
    assert wire.counts.close_codes[code] >= 1
    assert wire.counts.close_codes.get(3000) is None


async def test_both_may_close_at_once(wire):
    peer = await wire.connect()
    await peer.open_path("/close/4001")
    await peer.send(frame(TEXT, b"close, please") + close_frame(4002))
    assert (await peer.frame()).code == 4001
    assert await peer.read_to_end() == b""
    await wire.holds_invariants(Outcome.CLEAN)
    assert wire.counts.close_codes[4001] == 1


@pytest.mark.parametrize("how", ["end", "reset"])
async def test_a_client_that_ends_tcp_instead_of_answering_is_abnormal(wire, how):
    peer = await closed_by_us(wire, 4001)
    if how == "end":
        await peer.end()
    else:
        peer.reset()
    await wire.holds_invariants(Outcome.ABNORMAL)
    assert wire.counts.close_codes[4001] == 1


async def test_a_violation_instead_of_the_answer_ends_it_at_once_without_another_word(serve):
    wire = await serve(close_timeout_s=3600)
    peer = await closed_by_us(wire, 4001)
    await peer.send(frame(3))
    assert await peer.read_to_end() == b""
    await peer.end()
    await wire.holds_invariants(Outcome.VIOLATION)
    assert wire.counts.close_codes[4001] == 1


@pytest.mark.parametrize("talks", [False, True], ids=["silent", "talking"])
async def test_a_client_that_never_answers_our_close_is_cut_at_the_close_timeout(
    serve, nursery, talks, autojump_clock
):
    wire = await serve(close_timeout_s=7, ping_interval_s=0)
    peer = await closed_by_us(wire, 4001)
    began_s = trio.current_time()

    async def talk() -> None:
        while wire.counts.open:
            try:
                await peer.send(STRAY)
            except trio.BrokenResourceError:
                return
            await trio.sleep(1)

    if talks:
        nursery.start_soon(talk)
    await wire.until(lambda: wire.counts.open == 0)
    assert trio.current_time() - began_s == pytest.approx(7, abs=1.5)
    await wire.holds_invariants(Outcome.CLOSE_TIMEOUT)
    assert wire.counts.close_codes[4001] == 1
