"""A program that runs a load for others changes it by lines, each of which is answered."""

import json
import os

import pytest
import trio

from loadgen.cli.lines import Lines
from loadgen.cli.orders import MAX_LINE_BYTES, obey
from loadgen.workload.lever import Lever, NotLoading
from loadgen.workload.plan import Plan

#: A hang guard, nothing else.
PATIENCE_S = 60.0


class Run:
    """A run in its load, or one that is over."""

    def __init__(self, *, is_over=False):
        self.lever = Lever(Plan(10, rate_per_conn=2.0))
        self._is_over = is_over

    def steer(self, wanted):
        if self._is_over:
            raise NotLoading("the load is over")
        self.lever.pull(wanted, t_s=1.0, load_s=1.0)


async def answers_of(run, content, write=None):
    """Have these bytes obeyed; return the answers."""
    ours, theirs = os.pipe()
    answered = []
    try:
        with trio.fail_after(PATIENCE_S):
            async with trio.open_nursery() as nursery:

                @nursery.start_soon
                async def say():
                    await trio.to_thread.run_sync(os.write, theirs, content)
                    os.close(theirs)

                await obey(Lines(ours), run, write or answered.append)
    finally:
        os.close(ours)
    assert all(line.endswith(b"\n") for line in answered)
    return [json.loads(line) for line in answered]


def line(**order):
    return json.dumps(order).encode() + b"\n"


async def test_each_order_is_carried_out_and_answered_with_the_load_as_it_is_then():
    run = Run()
    said = [
        line(id=1, rate="4/s"), line(id=2, factor=0.5), line(id=3, paused=True), line(id=4),
        line(id=5, paused=False, factor=3),
    ]  # fmt: skip
    answers = await answers_of(run, b"".join(said))
    assert [each["id"] for each in answers] == [1, 2, 3, 4, 5]
    assert {(each["type"], each["error"], each["field"]) for each in answers} == {
        ("steered", None, None)
    }
    loads = [(each["load"]["rate"], each["load"]["factor"], each["load"]["paused"])
             for each in answers]  # fmt: skip
    assert loads == [(4, 2, False), (1, 0.5, False), (1, 0.5, True), (1, 0.5, True), (6, 3, False)]


@pytest.mark.parametrize(
    ("order", "is_over", "field", "error"),
    [
        ({"rate": "4"}, False, "rate", "'4' is not a rate"),
        ({"factor": 0}, False, "factor", "to send nothing, pause the load"),
        ({"rate": "4/s", "factor": 2}, False, "factor", "give one"),
        ({"factor": 2}, True, None, "the load is over"),
    ],
)
async def test_what_a_load_cannot_take_changes_nothing_and_says_why(order, is_over, field, error):
    run = Run(is_over=is_over)
    (answer,) = await answers_of(run, line(id=7, **order))
    assert (answer["id"], answer["field"]) == (7, field)
    assert error in answer["error"]
    assert (answer["load"]["rate"], run.lever.changes) == (2.0, ())


async def test_what_is_no_order_is_passed_over_and_a_line_too_long_is_the_end():
    run = Run()
    said = [
        b"\n", b"null\n", b'{"id": "x"}\n', line(id=1, speed=2), line(rate="4/s"),
        line(id=2, factor=2), b" " * (MAX_LINE_BYTES - len(line(id=3)) + 1) + line(id=3),
        b"x" * (MAX_LINE_BYTES + 1) + b"\n", line(id=4, factor=4),
    ]  # fmt: skip
    assert [each["id"] for each in await answers_of(run, b"".join(said))] == [2, 3]
    assert run.lever.factor == 2


async def test_where_nobody_reads_the_answers_orders_are_obeyed_no_more():
    def fail(_):
        raise BrokenPipeError

    run = Run()
    said = line(id=1, factor=2) + line(id=2, factor=4)
    assert await answers_of(run, said, fail) == []
    assert run.lever.factor == 2
