"""What the two peers of a pair hear and when, each way, and what is left of it in the books."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from echo_trio.behaviours.faults import Tally

from .joined import BINARY, PATIENCE_S, TEXT, Joined, Said, follow, heard, joined


@pytest.mark.parametrize(
    ("shared", "own", "forth", "back", "tallies"),
    [
        ("", "", [(0, "a"), (1.5, "b")], [(0, "c"), (1, "d")], {}),
        (
            "~delay/2s",
            "~up-delay/3s",
            [(3, "a"), (4.5, "b")],
            [(2, "c"), (3, "d")],
            {"delay": Tally(2, 2), "up-delay": Tally(2, 2)},
        ),
        # Those of all pairs come first, and late is counted from when a message came.
        (
            "~up-delay/1s/~up-duplicate/2",
            "~up-delay/2s",
            [(3, "a"), (4.5, "b"), (4.5, "b")],
            [(0, "c"), (1, "d")],
            {"up-delay": Tally(5, 5), "up-duplicate": Tally(2, 1)},
        ),
        # A freeze is both ways, and ends once.
        (
            "~stall/2/3s",
            "",
            [(0, "a"), (4, "b")],
            [(0, "c"), (4, "d")],
            {"stall": Tally(2, 1)},
        ),
        (
            "~up-stall/2/3s",
            "",
            [(0, "a"), (4.5, "b")],
            [(0, "c"), (1, "d")],
            {"up-stall": Tally(2, 1)},
        ),
        (
            "~reorder/1",
            "~delay/1s/~up-reorder/2",
            [(0, "a")],
            [(2, "d"), (2, "c")],
            {"reorder": Tally(2, 1), "delay": Tally(2, 2), "up-reorder": Tally(2, 1)},
        ),
        (
            "~swallow/2",
            "~up-silent",
            [],
            [(0, "c")],
            {"swallow": Tally(2, 1), "up-silent": Tally(2, 2)},
        ),
    ],
)
async def test_each_peer_hears_each_thing_at_its_moment_whatever_goes_the_other_way(
    autojump_clock, shared: str, own: str, forth: Said, back: Said, tallies: dict[str, Tally]
) -> None:
    @joined
    async def run(made: Joined) -> None:
        said = [(0.0, "a"), (1.5, "b")], [(0.0, "c"), (1.0, "d")]
        assert await follow(made, *said, until_s=8) == (forth, back)
        assert made.switch.tallies == tallies
        pair = made.pair
        received = (pair.client.messages_received, pair.upstream.messages_received)
        assert received == (2, 2)
        assert (pair.upstream.messages_sent, pair.client.messages_sent) == (len(forth), len(back))
        assert pair.lost == 0
        held = "reorder" in own
        assert (made.budget.held_bytes > 0) is held

    await run(limits={"faults": shared, "own": own})


@pytest.mark.parametrize("up", [False, True])
async def test_what_does_not_get_through_either_way_is_lost(autojump_clock, up: bool) -> None:
    pairs = list[Any]()
    way = "~up-" if up else "~"

    @joined
    async def run(made: Joined) -> None:
        sayer = made.client if up else made.upstream
        await sayer.say(b"".join(sayer.frame(TEXT, text) for text in (b"a", b"b", b"c")))
        other = made.upstream if up else made.client
        await other.say(other.frame(TEXT, b"other way"))
        pairs.append(made.pair)

    await run(limits={"own": f"{way}delay/1h"})
    (pair,) = pairs
    forth, back = (3, 0) if up else (0, 3)
    assert (pair._forth.lost, pair._back.lost, pair.lost) == (forth, back, 3)
    assert pair._switch.pairs == set()


async def test_an_upstream_that_closes_is_answered_by_the_client_behind_what_was_held_back(
    autojump_clock,
) -> None:
    @joined
    async def run(made: Joined) -> None:
        up, down = made.upstream, made.client
        await up.say(up.frame(TEXT, b"a") + up.close_frame(4000, b"bye"))
        assert heard(down) == ["a", "4000"]
        await down.say(down.frame(TEXT, b"last") + down.close_frame(4000))
        assert heard(up) == ["last", "4000"]
        up.sock.close()
        await made.ended()
        assert (made.pair.lost, made.pair.client.closed_first) == (0, "us")
        assert made.pair.upstream.closed_first == "peer"
        assert made.pair.upstream.close_code == 4000

    await run(limits={"own": "~reorder/1"})


async def test_a_change_of_faults_holds_both_ways_and_is_that_of_every_pair_to_come(
    autojump_clock,
) -> None:
    @joined
    async def run(made: Joined) -> None:
        made.switch.set("~duplicate/1/~up-delay/2s")
        await wait_all_tasks_blocked()
        forth, back = await follow(made, [(0.0, "a"), (1.0, "b")], [(0.0, "c")], until_s=4)
        assert (forth, back) == ([(2, "a"), (3, "b")], [(0, "c"), (0, "c")])
        made.switch.set("")
        forth, back = await follow(made, [(0.0, "d")], [(0.0, "e")], until_s=1)
        assert (forth, back) == ([(0, "a"), (0, "b"), (0, "d")], [(0, "c"), (0, "c"), (0, "e")])

    await run()


async def test_a_later_freeze_lasts_from_when_it_began(autojump_clock) -> None:
    @joined
    async def run(made: Joined) -> None:
        pair, began_s = made.pair, trio.current_time()
        assert not pair.is_frozen
        pair.freeze(2)
        await trio.sleep(1)
        pair.freeze(3)
        for end in (pair.client, pair.upstream):
            assert end._paused
        assert [wait.until_s - began_s for wait in [next(pair.thaw())]] == [4]
        await made.client.say(made.client.frame(TEXT, b"a"))
        await trio.sleep(2.75)
        assert (pair.is_frozen, heard(made.upstream)) == (True, [])
        await trio.sleep(0.5)
        assert (pair.is_frozen, heard(made.upstream)) == (False, ["a"])
        assert list(pair.thaw()) == []

    await run()


async def test_a_pair_is_over_once_both_ends_are_though_somebody_had_to_keep_time(
    autojump_clock,
) -> None:
    @joined
    async def run(made: Joined) -> None:
        up, down = made.upstream, made.client
        began_s = trio.current_time()
        await up.say(up.frame(TEXT, b"a"))
        await trio.sleep(2)
        await up.say(up.close_frame(4000))
        await trio.sleep(2)
        assert heard(down) == ["a", "4000"]
        await down.say(down.close_frame(4000))
        up.sock.close()
        await made.ended()
        assert trio.current_time() - began_s < 5

    await run(limits={"own": "~delay/1s"})


async def test_what_waits_is_held_for_as_long_as_it_waits_however_long_the_one_before_was(
    autojump_clock,
) -> None:
    @joined
    async def run(made: Joined) -> None:
        up, down = made.upstream, made.client
        held = list[int]()
        for text in (b"x" * 2000, b"b"):
            await up.say(up.frame(TEXT, text))
            await trio.sleep(0.75)
            held.append(made.budget.held_bytes)
        await trio.sleep(0.75)  # The first is out at 2 s, the second at 2.75 s.
        held.append(made.budget.held_bytes)
        assert heard(down) == ["x" * 2000]
        # In line, and at hand: it may be replaced by another of its size.
        assert 4000 < held[0] <= held[1]
        assert 1 < held[2] < held[1] - 4000
        await trio.sleep(1)
        assert made.budget.held_bytes == 0

    await run(limits={"own": "~delay/2s"})


async def test_what_the_client_is_slow_to_take_reaches_it_all_the_same() -> None:
    @joined
    async def run(made: Joined) -> None:
        up, down = made.upstream, made.client
        async with trio.open_nursery() as nursery:
            nursery.start_soon(up.say, 100 * up.frame(BINARY, bytes(50_000)))
            with trio.fail_after(PATIENCE_S):
                while len(down.hear()) < 100:
                    await trio.lowlevel.wait_readable(down.sock)
        assert {len(payload) for _, payload in down.hear()} == {50_000}
        assert (made.pair.lost, made.budget.held_bytes) == (0, 0)

    await run(limits={"own": "~duplicate/1000"})


@pytest.mark.parametrize("is_whole", [False, True])
@pytest.mark.parametrize("up", [False, True])
async def test_where_messages_are_observed_none_is_passed_on_before_it_is_whole(
    is_whole: bool, up: bool
) -> None:
    @joined
    async def run(made: Joined) -> None:
        sayer, hearer = made.upstream, made.client
        if up:
            sayer, hearer = hearer, sayer
        data = sayer.frame(BINARY, bytes(100_000))
        await sayer.say(data[:80_000])
        hearer.hear()
        assert (hearer.frames == []) is is_whole
        await sayer.say(data[80_000:])
        assert hearer.hear() == [(BINARY, bytes(100_000))]

    await run(limits={"is_whole": is_whole})
