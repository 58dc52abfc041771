"""What is put reaches the page whole and in order, and is counted for as long as it waits."""

from __future__ import annotations

import json

import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from echo_trio.dialling.outbox import ALIVE_S, BATCH_BYTES, FULL_BYTES, Outbox
from echo_trio.wire.budget import Budget, Holder


class Peer(Holder):
    """Holds what waits for the page."""

    def __init__(self) -> None:
        self._budget = Budget()

    def _regulate_reading(self) -> None: ...


def encode(name: str, data: bytes) -> bytes:
    return name.encode() + b" " + data + b"\n"


@given(
    st.lists(st.tuples(st.sampled_from(["a", "b"]), st.integers(0, 3 * BATCH_BYTES)), max_size=6)
)
def test_all_that_was_put_comes_in_order_and_what_was_taken_is_held_no_longer(events) -> None:
    holder = Peer()
    outbox, taken = Outbox(encode, holder), bytearray()
    whole = b"".join(encode(name, b'"%b"' % (b"x" * size)) for name, size in events)

    async def emit(batch: bytes) -> None:
        await trio.lowlevel.checkpoint()
        assert holder.held_bytes == len(whole) - len(taken)
        assert 0 < len(batch) <= BATCH_BYTES
        taken.extend(batch)

    async def main() -> None:
        for name, size in events:
            outbox.put(name, "x" * size)
        outbox.end()
        await outbox.drain(emit)

    trio.run(main)
    assert (bytes(taken), holder.held_bytes) == (whole, 0)


async def test_who_adds_waits_while_it_is_full_and_only_then(nursery, autojump_clock) -> None:
    holder, events = Peer(), list[str]()
    outbox = Outbox(lambda _, data: data, holder)
    go_on = trio.Event()

    async def emit(batch: bytes) -> None:
        await go_on.wait()

    outbox.put("", "x" * (FULL_BYTES - 3))  # with its quotes a byte less than full
    await outbox.room()
    outbox.put("", 7)
    assert holder.held_bytes == FULL_BYTES

    async def wait() -> None:
        await outbox.room()
        events.append("room")

    nursery.start_soon(wait)
    nursery.start_soon(outbox.drain, emit)
    await trio.testing.wait_all_tasks_blocked()
    assert events == []
    go_on.set()
    await trio.testing.wait_all_tasks_blocked()
    assert (events, holder.held_bytes) == (["room"], 0)


async def test_a_stream_in_which_nothing_happens_says_so(nursery, autojump_clock) -> None:
    emitted = list[tuple[float, bytes]]()
    outbox, began_s = Outbox(encode, Peer()), trio.current_time()

    async def emit(batch: bytes) -> None:
        await trio.lowlevel.checkpoint()
        emitted.append((trio.current_time() - began_s, batch))

    nursery.start_soon(outbox.drain, emit)
    await trio.sleep(ALIVE_S * 1.5)
    outbox.put("said", json.loads("1"))
    await trio.sleep(ALIVE_S * 1.2)
    assert [(pytest.approx(at_s), what) for at_s, what in emitted] == [
        (ALIVE_S, b": alive\n\n"), (ALIVE_S * 1.5, b"said 1\n"), (ALIVE_S * 2.5, b": alive\n\n")
    ]  # fmt: skip
    nursery.cancel_scope.cancel()


async def test_there_is_room_as_soon_as_less_waits_than_makes_it_full(nursery) -> None:
    holder, has_room = Peer(), trio.Event()
    outbox = Outbox(lambda _, data: data, holder)
    taken = trio.Semaphore(0)

    async def emit(batch: bytes) -> None:
        await taken.acquire()

    async def add() -> None:
        await outbox.room()
        has_room.set()

    outbox.put("a", "x" * (FULL_BYTES + BATCH_BYTES))
    nursery.start_soon(outbox.drain, emit)
    nursery.start_soon(add)
    while not has_room.is_set():
        assert holder.held_bytes >= FULL_BYTES
        taken.release()
        await trio.testing.wait_all_tasks_blocked()
    assert holder.held_bytes >= FULL_BYTES - BATCH_BYTES
    nursery.cancel_scope.cancel()
