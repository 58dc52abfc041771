"""Call back at times, in their order, with one task; on a virtual clock."""

from __future__ import annotations

from functools import partial

import trio
import trio.testing

from loadgen.scenario import timetable
from loadgen.scenario.timetable import Timetable


async def test_entries_are_called_once_in_their_order_and_not_before_their_time(
    autojump_clock: trio.testing.MockClock, nursery: trio.Nursery
) -> None:
    called: list[tuple[str, float]] = []
    table = Timetable()
    began_s = trio.current_time()
    first = table.add(began_s, lambda: None)

    def note(name: str) -> None:
        called.append((name, round(trio.current_time() - began_s, 3)))

    for name, at_s in (("c", 3.0), ("a", 1.0), ("late", -5.0), ("b", 2.0), ("b again", 2.0)):
        table.add(began_s + at_s, partial(note, name))
    nursery.start_soon(table.run)
    await trio.sleep(1.5)
    table.add(began_s + 1.75, partial(note, "added while it sleeps"))
    await trio.sleep(10)
    assert called == [
        ("late", 0.0), ("a", 1.0), ("added while it sleeps", 1.75), ("b", 2.0), ("b again", 2.0),
        ("c", 3.0),
    ]  # fmt: skip
    assert first.on_time is None  # Whom it called is held no longer,
    table.call_off(first)
    assert table._dead == 0  # and there is nothing left to call off.
    nursery.cancel_scope.cancel()


async def test_what_is_called_off_is_not_called_and_does_not_stay(
    autojump_clock: trio.testing.MockClock,
    nursery: trio.Nursery,
) -> None:
    called: list[int] = []
    table = Timetable()
    at_s = trio.current_time() + 100
    entries = [table.add(at_s, partial(called.append, n)) for n in range(3 * timetable.MAX_DEAD)]
    kept = entries[:: timetable.MAX_DEAD]
    listed, times_made = table._entries, 0
    for entry in (each for each in entries if each not in kept):
        table.call_off(entry)
        table.call_off(entry)
        times_made += table._entries is not listed
        listed = table._entries
    assert 1 <= times_made <= 2  # Each time costs as much as all of them.
    # Of those that were called off, no more stay than would be half.
    assert len(table._entries) <= len(kept) + timetable.MAX_DEAD + 1
    nursery.start_soon(table.run)
    await trio.sleep(200)
    assert called == [0, timetable.MAX_DEAD, 2 * timetable.MAX_DEAD]
    assert table._entries == []
    assert table._dead == 0
    nursery.cancel_scope.cancel()


async def test_who_waits_is_woken_at_the_time_and_may_be_cancelled(
    autojump_clock: trio.testing.MockClock, nursery: trio.Nursery
) -> None:
    table = Timetable()
    nursery.start_soon(table.run)
    began_s = trio.current_time()
    with trio.move_on_after(1):
        await table.wait_until(began_s + 5)
    assert trio.current_time() - began_s == 1
    await table.wait_until(began_s + 7)
    assert 7 <= trio.current_time() - began_s < 7.01
    nursery.cancel_scope.cancel()


async def test_who_waits_is_woken_at_the_time_that_it_finds_after_a_change(
    autojump_clock: trio.testing.MockClock, nursery: trio.Nursery
) -> None:
    table, began_s, woken = Timetable(), trio.current_time(), list[tuple[str, float]]()
    at_s = {"earlier": 2.0, "later": 50.0, "as it was": 50.0}

    async def wait(name: str) -> None:
        find = None if name == "as it was" else lambda: began_s + at_s[name]
        await table.wait_until(began_s + 20.0, find)
        woken.append((name, round(trio.current_time() - began_s, 2)))

    nursery.start_soon(table.run)
    for name in at_s:
        nursery.start_soon(wait, name)
    await trio.sleep(1.0)
    table.retime()
    await trio.sleep(100.0)
    assert woken == [("earlier", 2.0), ("as it was", 20.0), ("later", 50.0)]
    nursery.cancel_scope.cancel()
