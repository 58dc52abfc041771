"""What one direction does in its turns, at a change of faults, and with what comes in pieces."""

from __future__ import annotations

import pytest
from trio.testing import wait_all_tasks_blocked

from echo_trio.behaviours.faults import Tally
from echo_trio.proxy import passage

from .joined import BINARY, TEXT, Joined, heard, joined


async def test_of_what_comes_at_once_so_much_is_done_before_others_have_a_turn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(passage, "BATCH", 4)

    @joined
    async def run(made: Joined) -> None:
        up, down = made.upstream, made.client
        flushed = list[int]()
        flush = made.pair.client.flush

        async def note() -> None:
            flushed.append(made.pair.client.messages_sent)
            await flush()

        made.pair.client.flush = note  # type: ignore[method-assign]
        await up.say(b"".join(up.frame(TEXT, b"%d" % n) for n in range(10)))
        await wait_all_tasks_blocked()
        assert heard(down) == [str(n) for n in range(10)]
        assert flushed == [4, 8]

    await run(limits={"own": "~duplicate/100"})


@pytest.mark.parametrize("size", [1, 100, 20_000])
async def test_a_message_is_counted_once_at_either_end_however_it_is_passed_on(
    autojump_clock, size: int
) -> None:
    """Whole, in pieces while it arrives, or as the fragments that it came in."""

    @joined
    async def run(made: Joined) -> None:
        up, down = made.upstream, made.client
        for sayer, hearer in ((up, down), (down, up)):
            whole = sayer.frame(BINARY, bytes(size))
            await sayer.say(whole)
            await sayer.say(whole[: len(whole) - 1])
            await sayer.say(whole[-1:])
            half = bytes(size // 2)
            await sayer.say(sayer.frame(BINARY, half, fin=False))
            await sayer.say(sayer.frame(0, bytes(size - size // 2)))
            assert hearer.hear() == [(BINARY, bytes(size))] * 3
        pair = made.pair
        for end in (pair.client, pair.upstream):
            assert (end.messages_received, end.messages_sent) == (3, 3)
        assert (pair.lost, made.budget.held_bytes) == (0, 0)

    await run()


async def test_a_change_replaces_the_faults_of_all_pairs_and_leaves_a_pair_its_own(
    autojump_clock,
) -> None:
    @joined
    async def run(made: Joined) -> None:
        up, down = made.upstream, made.client
        await up.say(up.frame(TEXT, b"a"))
        assert heard(down) == []
        held_bytes = made.budget.held_bytes
        assert held_bytes > 0
        # Its own fault holds that back, and goes on to.
        made.switch.set("~duplicate/1")
        await wait_all_tasks_blocked()
        assert (heard(down), made.budget.held_bytes) == ([], held_bytes)
        await up.say(up.frame(TEXT, b"b"))
        # The first of the two comes before what was held back, the second is held back in turn.
        assert heard(down) == ["b", "a"]
        await up.say(up.frame(TEXT, b"c"))
        assert heard(down) == ["b", "a", "c", "b"]
        # A fault that begins with something has its place before those of the pair.
        made.switch.set("~drop/0")
        await wait_all_tasks_blocked()
        heard(down)
        assert down.is_over
        assert up.is_over is False
        up.hear()
        assert up.is_over
        assert made.switch.tallies == {
            "reorder": Tally(5, 3), "duplicate": Tally(2, 2), "drop": Tally(0, 1)
        }  # fmt: skip

    await run(limits={"own": "~reorder/1"})


async def test_what_was_held_back_and_does_not_get_out_behind_the_end_is_lost() -> None:
    pairs = []

    @joined
    async def run(made: Joined) -> None:
        up = made.upstream
        await up.say(up.frame(TEXT, b"held back"))
        await up.say(up.close_frame(4000))
        await wait_all_tasks_blocked()
        assert made.pair.lost == 0
        pairs.append(made.pair)

    await run(limits={"own": "~reorder/1/~delay/1h"})
    assert [pair.lost for pair in pairs] == [1]


@pytest.mark.parametrize(("size", "turns"), [(100, 0), (10_000, 1), (20_000, 3)])
async def test_between_two_blocks_of_fragments_others_have_a_turn(size: int, turns: int) -> None:
    """A frame of one byte takes three, and a block has some 16 KiB."""

    @joined
    async def run(made: Joined) -> None:
        up, down = made.upstream, made.client
        flushed = list[None]()
        flush = made.pair.client.flush

        async def note() -> None:
            flushed.append(None)
            await flush()

        made.pair.client.flush = note  # type: ignore[method-assign]
        await up.say(up.frame(BINARY, bytes(size)))
        await wait_all_tasks_blocked()
        assert down.hear() == [(BINARY, bytes(size))]
        assert len(down.frames) == size
        assert len(flushed) == turns

    await run(limits={"own": "~fragment/1"})
