"""Many short messages in one buffer come out as they were put in, and take little memory."""

from __future__ import annotations

from collections import deque
from sys import getsizeof
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from echo_trio.behaviours.packed import HEAD_BYTES, LONGEST_BYTES, SLOT_BYTES, PackedQueue

LARGE_BYTES = 10**6
MESSAGES = st.one_of(
    st.text(max_size=40),
    st.binary(max_size=40),
    st.sampled_from(["x" * LONGEST_BYTES, "語" * LONGEST_BYTES, b"x" * (LONGEST_BYTES + 1)]),
)
PUT = st.one_of(st.tuples(st.floats(0, 1e9), MESSAGES), st.integers(0, 9), st.none())


@given(st.lists(PUT, max_size=60))
def test_what_is_put_comes_out_in_order_as_it_was(steps: list[Any]) -> None:
    queue, model = PackedQueue[int](), deque[Any]()
    for step in steps:
        if step is None:
            if model:
                assert queue.first() == model.popleft()
                queue.drop_first()
            else:
                with pytest.raises(IndexError):
                    queue.first()
        elif isinstance(step, tuple):
            queue.put_message(*step)
            model.append(step)
        else:
            queue.put(step, step * LARGE_BYTES)
            model.append(step)
        assert len(queue) == len(model)
        assert queue.held_bytes >= sum(
            HEAD_BYTES + len(each[1]) if isinstance(each, tuple) else each * LARGE_BYTES
            for each in model
        )
        # What is not in the buffer is counted to the byte for as long as it is there, with a slot.
        kept = [each * LARGE_BYTES for each in model if isinstance(each, int)]
        kept += [getsizeof(each[1]) for each in model if isinstance(each, tuple)
                 and len(each[1]) > LONGEST_BYTES]  # fmt: skip
        assert queue._other_bytes == sum(kept) + SLOT_BYTES * len(kept)
        large = sum(each for each in model if isinstance(each, int))
        assert queue.held_bytes < (large + 1) * LARGE_BYTES  # What is short takes less in all.
        assert model or queue.held_bytes == 0
    items = [each for each in model if isinstance(each, int)]
    assert queue.clear() == (len(model) - len(items), items)
    assert queue.held_bytes == len(queue) == 0
    queue.put_message(1.0, "as new")
    assert queue.first() == (1.0, "as new")
    assert queue._other_bytes == 0


def test_a_crowd_of_short_messages_takes_a_fifth_more_than_its_bytes_and_gives_them_back() -> None:
    queue = PackedQueue[int]()
    for _ in range(100_000):
        queue.put_message(1.0, "sixteen bytes, 0")
    full = queue.held_bytes
    assert full < 1.2 * 100_000 * (16 + HEAD_BYTES)
    for _ in range(75_000):
        queue.drop_first()
    assert queue.held_bytes < full / 1.8
    queue.put_message(2.0, "x" * 100_000)
    assert queue.held_bytes > getsizeof("x" * 100_000)
