"""Late answers come when they are due, as they were, and give back what they took."""

from __future__ import annotations

import random
import tracemalloc
from bisect import insort
from sys import getrefcount, getsizeof
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from echo_trio.behaviours import late_answers
from echo_trio.behaviours.late_answers import LateAnswers
from echo_trio.behaviours.packed import LONGEST_BYTES, SLOT_BYTES

MESSAGES = st.one_of(
    st.text(max_size=40),
    st.binary(max_size=40),
    st.sampled_from(["x" * 1024, "語" * 1024, "語" * 1025, b"x" * 1025]),
)
STEP = st.one_of(st.tuples(st.integers(0, 9), MESSAGES), st.none())


@pytest.fixture(params=[1, 64, late_answers.BLOCK_BYTES])
def blocks(request, monkeypatch):
    monkeypatch.setattr(late_answers, "BLOCK_BYTES", request.param)
    monkeypatch.setattr(late_answers, "SPENT", min(request.param, late_answers.SPENT))


@pytest.mark.usefixtures("blocks")
@given(steps=st.lists(STEP, max_size=60))
def test_answers_come_by_their_times_and_those_of_one_time_in_order(steps: list[Any]) -> None:
    late, model, number = LateAnswers(), list[Any](), 0
    for step in [*steps, *[None] * len(steps)]:
        if step is not None:
            number += 1
            late.put(*step)
            insort(model, (step[0], number, step[1]))
        elif model:
            due_s, _, answer = model.pop(0)
            assert late.next_s == due_s
            assert late.pop() == (due_s, answer)
        else:
            assert late.next_s == float("inf")
            with pytest.raises(IndexError):
                late.pop()
        assert len(late) == len(model)
        assert late.held_bytes >= sum(len(answer) for _, _, answer in model)
        assert model or late.held_bytes == 0


@pytest.mark.parametrize("in_order", [True, False])
def test_what_is_held_is_what_python_says_and_little_more_than_the_text(in_order: bool) -> None:
    rng = random.Random(1)
    dues_s = [n if in_order else rng.random() for n in range(8_000)]
    tracemalloc.start()
    try:
        late = LateAnswers()
        for due_s in dues_s:
            late.put(due_s, "sixteen bytes, 0" * 5)
        taken, _ = tracemalloc.get_traced_memory()
        assert late.held_bytes == pytest.approx(taken, rel=0.05)
        assert late.held_bytes < 8_000 * (80 + 40)
        full_bytes = late.held_bytes
        for _ in range(6_000):
            late.pop()
        if in_order:
            assert late.held_bytes < full_bytes / 2
        left, _ = tracemalloc.get_traced_memory()
        assert late.held_bytes == pytest.approx(left, abs=late_answers.BLOCK_BYTES / 2)
    finally:
        tracemalloc.stop()


@pytest.mark.usefixtures("blocks")
def test_what_long_answers_took_is_given_back_as_they_go_and_not_with_the_last() -> None:
    late = LateAnswers()
    late.put(2.0, "stays")
    for _ in range(3):  # so that the arrays have their room
        for _ in range(100):
            late.put(1.0, "x" * (LONGEST_BYTES + 1))
        before_bytes = late.held_bytes
        for _ in range(100):
            late.pop()
        long_bytes = getsizeof("x" * (LONGEST_BYTES + 1)) + SLOT_BYTES
        assert before_bytes - late.held_bytes >= 100 * long_bytes


@pytest.mark.parametrize("over", [0, 1])
def test_answers_up_to_the_longest_are_packed_and_longer_ones_kept_as_they_are(over: int) -> None:
    late = LateAnswers()
    for _ in range(10):
        late.put(1.0, "x" * (LONGEST_BYTES + over))
    assert len(late._long) == 10 * over


def test_a_long_answer_is_kept_no_longer_than_until_it_is_out() -> None:
    late = LateAnswers()
    late.put(2.0, "stays")
    for answer in ("x" * (LONGEST_BYTES + 1), b"x" * (LONGEST_BYTES + 1)):
        before = getrefcount(answer)
        late.put(1.0, answer)
        assert getrefcount(answer) > before
        assert late.pop() == (1.0, answer)
        assert getrefcount(answer) == before
