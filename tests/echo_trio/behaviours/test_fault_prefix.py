"""The faults before a path are read one by one, in order, each for its direction."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from echo_trio.behaviours import fault_prefix
from echo_trio.behaviours.fault_prefix import (
    FAULTS,
    MAX_FAULTS,
    NAMES,
    BadFault,
    UnknownFault,
    names,
    parameters_of,
    split,
)

WRITTEN = st.tuples(st.sampled_from(sorted(FAULTS)), st.booleans()).map(
    lambda found: [
        f"~{'up-' * found[1]}{found[0]}",
        *filter(None, parameters_of(found[0]).split("/")),
    ]
)


@given(
    st.lists(WRITTEN, max_size=MAX_FAULTS), st.sampled_from([[], ["chat"], ["~", "~drop"], [""]])
)
def test_each_fault_is_read_in_order_for_its_direction_and_the_rest_is_left(
    written: list[list[str]], rest: list[str]
) -> None:
    parts = [part for fault in written for part in fault]
    prefix, left = split([*parts, *rest])
    told = [fault[0].removeprefix("~") for fault in written]
    assert [make.name for make in prefix.incoming] == [n for n in told if n.startswith("up-")]
    assert [make.name for make in prefix.outgoing] == [n for n in told if not n.startswith("up-")]
    assert (left, prefix.refusal) == (rest, None)
    for make in (*prefix.incoming, *prefix.outgoing):
        assert make() is not make()  # Each connection has its own.


@pytest.mark.parametrize(
    ("path", "at", "says"),
    [
        ("~silent/~nothing/x", 1, "~nothing"),
        ("~delay", 0, "~delay"),
        ("~silent/~up-stall/3", 1, "~up-stall"),
        ("~up-", 0, "~up-"),
        ("~up-up-silent", 0, "~up-up-silent"),
        ("~status", 0, "~status"),
    ],
)
def test_what_is_no_fault_or_lacks_its_parameters_is_named_with_its_place(
    path: str, at: int, says: str
) -> None:
    with pytest.raises(UnknownFault, match=f"^{says}$") as told:
        split(path.split("/"))
    assert told.value.at == at


@pytest.mark.parametrize(
    ("path", "at", "says"),
    [
        ("~delay/x", 0, r"^~delay takes\n  a duration from 0s to 1h"),
        ("~silent/~stall/3/x", 1, r"^~stall takes\n  a whole number .*\n  a duration"),
        ("~close/4000%2", 0, "^~close takes"),
        ("~up-status/503", 0, "a client sends has no status"),
        ("~status/600", 0, r"^~status/\{http\} takes\n  \{http\}: an HTTP status from 200 to 599"),
        ("/".join(["~silent"] * 11), 10, "there may be 10 faults before a path"),
        ("/".join(["~silent", "~up-silent"] * 6), 10, "there may be 10 faults before a path"),
    ],
)
def test_a_wrong_parameter_is_told_with_what_is_allowed(path: str, at: int, says: str) -> None:
    with pytest.raises(BadFault, match=says) as told:
        split(path.split("/"))
    assert told.value.at == at


@pytest.mark.parametrize(
    ("path", "status", "rest"),
    [("~status/503/x", 503, ["x"]), ("~silent/~status/404/~status/503", 404, [])],
)
def test_the_first_status_refuses_the_handshake(path: str, status: int, rest: list[str]) -> None:
    prefix, left = split(path.split("/"))
    assert prefix.refusal is not None
    assert (prefix.refusal.status, left) == (status, rest)


def test_each_fault_is_named_with_what_has_to_follow() -> None:
    assert names() == " ".join(f"~{name}" for name in [*FAULTS, "status"])
    assert (*FAULTS, "status") == NAMES
    assert parameters_of("delay") == "200ms"
    assert parameters_of("stall") == "3/200ms"
    assert parameters_of("silent") == parameters_of("nothing") == ""
    assert parameters_of(fault_prefix.STATUS) == "503"
