"""Remember the keys of answered requests, to tell a second answer from a stray one."""

from __future__ import annotations

from loadgen.scenario.calls import MAX_ANSWERED, Call, KeyedCalls
from loadgen.scenario.content import KeyPath


def reply(key: object) -> dict[str, object]:
    return {"id": key}


def test_a_key_of_ours_is_a_duplicate_once_it_was_given_and_is_not_open() -> None:
    keyed = KeyedCalls(KeyPath("id"))
    keyed.open[2] = Call(None, 0)
    found = [keyed.is_duplicate(reply(key), numbered=3) for key in (0, 1, 2, 3, 4, 1.0, "1", None)]
    assert found == [False, True, False, True, False, False, False, False]


def test_a_key_of_the_script_is_a_duplicate_once_it_was_answered() -> None:
    keyed = KeyedCalls(KeyPath("id"))
    assert not keyed.is_duplicate(reply("a"), numbered=0)
    keyed.note_answered("a")
    assert keyed.is_duplicate(reply("a"), numbered=0)
    assert not keyed.is_duplicate(reply("b"), numbered=0)


def test_the_first_answer_to_a_request_that_was_given_up_is_no_duplicate() -> None:
    keyed = KeyedCalls(KeyPath("id"))
    keyed.note_lost(1)
    assert not keyed.is_duplicate(reply(1), numbered=2)
    assert keyed.is_duplicate(reply(2), numbered=2)


def test_the_newest_answered_keys_are_remembered_and_the_oldest_forgotten() -> None:
    keyed = KeyedCalls(KeyPath("id"))
    keys = [f"k{number}" for number in range(MAX_ANSWERED + 10)]
    for key in keys:
        keyed.note_answered(key)
    known = [keyed.is_duplicate(reply(key), numbered=0) for key in keys]
    assert known == [False] * 10 + [True] * MAX_ANSWERED
