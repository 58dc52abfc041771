"""A snapshot serves whoever comes soon after it, and nobody who comes later."""

import trio

from echo_trio.console.snapshots import RECENT_S, SnapshotCache


class Taken:
    """Counts the snapshots; each takes a while."""

    def __init__(self, takes_s: float = 0.0) -> None:
        self.count = 0
        self._takes_s = takes_s

    async def __call__(self) -> int:
        self.count += 1
        number = self.count
        await trio.sleep(self._takes_s)
        return number


async def test_a_recent_one_serves_again_and_an_old_one_does_not(autojump_clock):
    cache = SnapshotCache(Taken())
    assert await cache.recent() == 1
    await trio.sleep(RECENT_S - 0.01)
    assert await cache.recent() == 1
    await trio.sleep(0.02)
    assert await cache.recent() == 2
    assert await cache.now() == 3
    assert await cache.recent() == 3


async def test_it_is_as_old_as_when_it_was_begun(autojump_clock):
    cache = SnapshotCache(Taken(takes_s=RECENT_S / 2))
    assert await cache.recent() == 1
    await trio.sleep(RECENT_S / 2 + 0.01)
    assert await cache.recent() == 2


async def test_who_asks_for_one_since_a_moment_never_gets_an_older_one(autojump_clock):
    cache = SnapshotCache(Taken())
    first_s = trio.current_time()
    assert await cache.since(first_s) == 1
    assert await cache.since(first_s) == 1
    await trio.sleep(0.01)
    assert await cache.since(first_s) == 1
    assert await cache.since(trio.current_time()) == 2


async def test_what_is_known_is_shown_to_nobody_who_asks_and_shared_by_those_who_do_not(
    autojump_clock,
):
    asked, known = Taken(), Taken()
    cache = SnapshotCache(asked, known)
    assert [await cache.known(), await cache.known()] == [1, 1]
    assert (asked.count, known.count) == (0, 1)
    assert await cache.recent() == 1
    assert asked.count == 1
    await cache.recent()
    await cache.now()
    # One that somebody has asked for is good enough, and better.
    assert [await cache.known(), known.count, asked.count] == [2, 1, 2]
    await trio.sleep(RECENT_S + 0.01)
    assert [await cache.known(), known.count, asked.count] == [2, 2, 2]
    assert await SnapshotCache(Taken()).known() == 1


async def test_what_takes_it_need_not_be_async():
    assert await SnapshotCache(lambda: 7).now() == 7
