"""What a direction of a proxy's pair does not pass on is counted as lost, once."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import trio

from echo_trio.behaviours import fault_prefix, faults
from echo_trio.behaviours.actions import Reply
from echo_trio.behaviours.line import OVER
from echo_trio.proxy.passage import Passage


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


async def take(passage: Any) -> None:
    await trio.lowlevel.checkpoint()
    Passage.take(passage, "message")
