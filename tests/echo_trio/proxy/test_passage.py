"""Messages pass the faults of their direction in order; what is not passed on is lost, once."""

from __future__ import annotations

from contextlib import suppress
from types import SimpleNamespace
from typing import Any

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from echo_trio.behaviours import fault_prefix, faults
from echo_trio.behaviours.actions import Close, Reply
from echo_trio.behaviours.line import OVER
from echo_trio.proxy.passage import Passage

from .joined import BINARY, CLOSE, TEXT, Joined, Peer, joined


@pytest.mark.parametrize("messages", [0, 1, 2, 3])
def test_what_is_in_line_or_held_back_by_a_fault_is_lost_at_the_end(messages: int) -> None:
    (make,) = fault_prefix.split(["~reorder", "1"])[0].outgoing
    fault = make()
    list(fault.begin())
    passed_on = 0
    for number in range(messages):
        passed_on += len(list(faults.pass_through([fault], [Reply(str(number))])))
    line = SimpleNamespace(close=lambda: SimpleNamespace(unanswered=3))
    passage: Any = SimpleNamespace(_line=line, _chain=[fault], lost=10)
    Passage.close(passage)
    assert passage.lost == 10 + 3 + messages - passed_on


@pytest.mark.parametrize("is_over", [False, True])
@pytest.mark.parametrize("takes", [False, True])
def test_a_message_for_which_there_is_no_way_is_lost(is_over: bool, takes: bool) -> None:
    taken = list[str]()
    passage: Any = SimpleNamespace(
        _line=SimpleNamespace(
            wait=OVER if is_over else None, put_message=lambda _, message: taken.append(message)
        ),
        _sink=SimpleNamespace(takes_messages=takes),
        lost=0,
        advance=lambda: None,
    )
    trio.run(take, passage)
    assert len(taken) + passage.lost == 1
    assert bool(taken) is (takes and not is_over)


def test_a_source_ends_once_however_often_it_says_so() -> None:
    put = list[object]()
    passage: Any = SimpleNamespace(
        _has_ended=False,
        _line=SimpleNamespace(put=put.append),
        _endings=lambda: iter(()),
        advance=lambda: None,
    )

    async def end_twice() -> None:
        await trio.lowlevel.checkpoint()
        Passage.source_ended(passage)
        Passage.source_ended(passage)

    trio.run(end_twice)
    assert (len(put), passage._has_ended) == (1, True)


@pytest.mark.parametrize("is_taken", [True, False])
def test_a_close_frame_that_the_kernel_does_not_take_is_waited_for(is_taken: bool) -> None:
    blocked = list[None]()
    passage: Any = SimpleNamespace(
        stop=lambda: None,
        _sink=SimpleNamespace(pass_close=lambda *_: is_taken),
        block=lambda: blocked.append(None),
    )
    assert list(Passage._do(passage, Close(4000, "why"))) == []
    assert len(blocked) == (0 if is_taken else 1)


async def take(passage: Any) -> None:
    await trio.lowlevel.checkpoint()
    Passage.take(passage, "message")


async def hear(peer: Peer, seconds: float = 0.0) -> list[str]:
    """Return what a peer has heard by now, or after some time."""
    await trio.sleep(seconds)
    await wait_all_tasks_blocked()
    return [text.decode() for opcode, text in peer.hear() if opcode == TEXT]


@pytest.mark.parametrize(
    ("shared", "own", "heard"),
    [
        ("", "", "1 2 3 4 5 6"),
        ("~duplicate/2", "", "1 2 2 3 4 4 5 6 6"),
        ("", "~swallow/3", "1 2 4 5"),
        ("~silent", "", ""),
        ("~up-silent", "~up-swallow/1", "1 2 3 4 5 6"),
        # The faults of all pairs come first.
        ("~duplicate/2", "~swallow/2", "1 2 4 5 6"),
        ("~swallow/2", "~duplicate/2", "1 3 3 5"),
        ("~drop/2", "", "1 2"),
        ("", "~close/4000:why", ""),
    ],
)
@pytest.mark.parametrize("up", [False, True])
async def test_messages_of_one_direction_pass_its_faults_in_their_order(
    autojump_clock, shared: str, own: str, heard: str, up: bool
) -> None:
    if up:
        shared, own = (text.replace("~", "~up-").replace("up-up-", "") for text in (shared, own))

    @joined
    async def run(made: Joined) -> None:
        sayer, hearer = made.upstream, made.client
        if up:
            sayer, hearer = hearer, sayer
        for number in range(1, 7):
            with suppress(OSError):  # It may have been reset.
                await sayer.say(sayer.frame(TEXT, str(number).encode()))
        assert await hear(hearer) == heard.split()
        closes = [payload for opcode, payload in hearer.hear() if opcode == CLOSE]
        assert closes == ([b"\x0f\xa0why"] if "close" in own else [])
        assert hearer.is_over is ("drop" in shared)
        sayer.hear()
        assert sayer.is_over is hearer.is_over

    await run(limits={"faults": shared, "own": own})


async def test_a_delay_is_counted_from_when_each_message_came(autojump_clock) -> None:
    @joined
    async def run(made: Joined) -> None:
        up, down = made.upstream, made.client
        await up.say(up.frame(TEXT, b"first"))
        at_hand_bytes = made.budget.held_bytes
        assert at_hand_bytes >= len("first")
        await trio.sleep(1)
        await up.say(up.frame(TEXT, b"second"))
        assert made.budget.held_bytes >= at_hand_bytes + len("second")
        assert await hear(down, 0.99) == []
        assert await hear(down, 0.02) == ["first"]
        assert await hear(down, 0.97) == ["first"]
        assert await hear(down, 0.03) == ["first", "second"]
        assert made.budget.held_bytes == 0
        await down.say(down.frame(TEXT, b"at once"))
        assert await hear(up) == ["at once"]

    await run(limits={"faults": "~delay/2s"})


async def test_a_freeze_is_both_ways(autojump_clock) -> None:
    @joined
    async def run(made: Joined) -> None:
        up, down = made.upstream, made.client
        await up.say(up.frame(TEXT, b"one") + up.frame(TEXT, b"two"))
        assert await hear(down) == ["one"]
        await down.say(down.frame(TEXT, b"meanwhile"))
        assert await hear(up, 4.9) == []
        assert await hear(down) == ["one"]
        assert (await hear(down, 0.2), await hear(up)) == (["one", "two"], ["meanwhile"])

    await run(limits={"own": "~stall/2/5s"})


async def test_faults_are_changed_for_the_messages_from_the_next_one_on(autojump_clock) -> None:
    @joined
    async def run(made: Joined) -> None:
        up, down = made.upstream, made.client
        for written, text in (("~delay/1s", b"a"), ("~duplicate/1", b"b"), ("", b"c")):
            made.switch.set(written)
            await up.say(up.frame(TEXT, text))
        # What came before a change keeps its place.
        assert await hear(down) == []
        assert await hear(down, 1.01) == ["a", "b", "b", "c"]
        await up.say(up.frame(TEXT, b"d"))
        assert (await hear(down))[4:] == ["d"]
        made.switch.set("~reorder/1")
        await up.say(up.frame(TEXT, b"e"))
        assert (await hear(down))[5:] == []
        made.switch.set("")  # What the old ones have held back is let go.
        await up.say(up.frame(TEXT, b"f"))
        assert (await hear(down))[5:] == ["e", "f"]
        assert made.pair.lost == 0

    await run()


async def test_what_waits_when_a_pair_ends_is_lost(autojump_clock) -> None:
    pairs = []

    @joined
    async def run(made: Joined) -> None:
        up, down = made.upstream, made.client
        await up.say(b"".join(up.frame(TEXT, text) for text in (b"a", b"b", b"c")))
        await down.say(down.frame(TEXT, b"d"))
        assert await hear(up) == ["d"]
        pairs.append(made)

    await run(limits={"own": "~delay/1h"})
    (made,) = pairs
    assert (made.pair.lost, made.budget.held_bytes) == (3, 0)
    assert made.switch.pairs == set()


def test_a_sink_that_takes_nothing_is_flushed_once_and_its_source_not_read_meanwhile() -> None:
    started, settled = list[object](), list[bool]()
    passage: Any = SimpleNamespace(_is_flushing=False, _flush="flush")
    passage._pair = SimpleNamespace(start=started.append)
    passage.settle = lambda: settled.append(passage._is_flushing)
    for _ in range(2):
        Passage.block(passage)
    assert (started, settled) == (["flush"], [True])


async def test_a_source_is_not_read_while_its_sink_takes_nothing() -> None:
    @joined
    async def run(made: Joined) -> None:
        message = made.upstream.frame(BINARY, bytes(50_000))
        left = memoryview(message * 400)
        refused = 0
        while left and refused < 5:
            try:
                left = left[made.upstream.sock.send(left) :]
                refused = 0
            except BlockingIOError:
                refused += 1
                await wait_all_tasks_blocked()
        # What two pairs of sockets hold, and a turn's work.
        assert len(left) > 10_000_000
        assert made.budget.held_bytes < 2_000_000

    await run()
