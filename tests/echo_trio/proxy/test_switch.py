"""Faults of all pairs are counted by their names; what can't be read changes nothing."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from echo_trio.behaviours.actions import Reply
from echo_trio.behaviours.faults import Tally
from echo_trio.proxy.switch import BadFaults, FaultSwitch, read_faults


class Pair:
    """A pair that notes which faults it was given."""

    def __init__(self) -> None:
        self.given: list[Any] = []

    def change(self, prefix: Any) -> None:
        self.given.append(prefix)


@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 3)), max_size=12))
def test_what_faults_of_one_name_do_is_one_count_whichever_pairs_they_are_of(
    messages: list[tuple[int, int]],
) -> None:
    """Two kinds, each made for two pairs; every second message of each pair is acted on."""
    switch = FaultSwitch("~duplicate/2/~up-swallow/2")
    kinds = [*switch.prefix.outgoing, *switch.prefix.incoming]
    faults = [[switch.make(make) for _ in range(4)] for make in kinds]
    expected = [Tally(), Tally()]
    came = [[0] * 4, [0] * 4]
    for kind, pair in messages:
        list(faults[kind][pair].change([Reply("m")]))
        came[kind][pair] += 1
        expected[kind].seen += 1
        expected[kind].acted += came[kind][pair] % 2 == 0
    assert switch.tallies == {"duplicate": expected[0], "up-swallow": expected[1]}


def test_a_client_that_is_refused_was_seen_and_acted_on() -> None:
    switch = FaultSwitch("~status/503")
    for number in range(1, 4):
        switch.count_refusal()
        assert switch.tallies == {"status": Tally(seen=number, acted=number)}


def test_faults_are_replaced_for_every_open_pair_or_for_none() -> None:
    switch, pairs = FaultSwitch(""), [Pair(), Pair()]
    switch.pairs |= set(pairs)  # type: ignore[arg-type]
    switch.set("~silent/~up-drop/3")
    with pytest.raises(BadFaults) as wrong:
        switch.set("~silent/~nothing")
    assert wrong.value.at == 1
    assert switch.text == "~silent/~up-drop/3"
    switch.pairs.discard(pairs[1])  # type: ignore[arg-type]
    switch.set("")
    assert [len(pair.given) for pair in pairs] == [2, 1]
    (given,) = pairs[1].given
    assert given is pairs[0].given[0]
    made = [make.name for make in (*given.outgoing, *given.incoming)]
    assert made == ["silent", "up-drop"]
    assert (switch.text, pairs[0].given[-1]) == ("", switch.prefix)


@pytest.mark.parametrize(
    ("text", "at", "says"),
    [
        ("~delay", 0, "~delay lacks its parameters: ~delay/"),
        ("~silent/~up-corupt/1", 1, "did you mean ~up-corrupt?"),
        ("~silent/~zzz", 1, "~zzz is no fault. There are "),
        ("~silent/chat", None, "'chat' is no fault"),
        ("~drop/x", 0, "~drop takes"),
    ],
)
def test_what_is_no_fault_is_told_with_its_place(text: str, at: int | None, says: str) -> None:
    with pytest.raises(BadFaults) as wrong:
        read_faults(text)
    assert wrong.value.at == at
    assert says in str(wrong.value)
    assert "\n" not in str(wrong.value)
