"""Count what a fault does: by the clauses of each, in two messages or six."""

from __future__ import annotations

from collections.abc import Iterable
from sys import getsizeof

import pytest

from echo_trio.behaviours import fault_prefix, faults
from echo_trio.behaviours.actions import Action, Close, Freeze, Reply, Reset
from echo_trio.behaviours.description import describe
from echo_trio.behaviours.fault_prefix import BadFault, UnknownFault
from echo_trio.behaviours.faults import Tally

#: Each fault as it is written, and how often it acts on six messages of two and three bytes.
ACTS = [
    ("~delay/1ms", 6),
    ("~stall/4/1s", 1),
    ("~silent", 6),
    ("~drop/5", 1),
    ("~drop/0", 1),
    ("~drop/7", 0),
    ("~close/4000", 6),
    ("~duplicate/2", 3),
    ("~corrupt/4", 1),
    ("~reorder/1", 3),
    ("~swallow/3", 2),
    ("~fragment/2", 3),
    ("~fragment/3", 0),
]


@pytest.mark.parametrize(("written", "acted"), ACTS, ids=[written for written, _ in ACTS])
def test_a_fault_counts_what_it_sees_and_how_often_it_acts(written: str, acted: int) -> None:
    (make,), rest = (found := fault_prefix.split(written.split("/")))[0].outgoing, found[1]
    assert not rest
    assert make.name == written[1:].partition("/")[0]
    fault = make()
    list(fault.begin())
    for text in ["ab", "ä!"] * 3:
        list(faults.pass_through([fault], [Reply(text)]))
    assert fault.tally == Tally(seen=6, acted=acted)


def told(actions: Iterable[Action]) -> list[str]:
    """Messages by their text, what is no message by its kind."""
    return [
        str(action.message) if isinstance(action, Reply) else type(action).__name__
        for action in actions
    ]


@pytest.mark.parametrize(
    ("written", "comes", "held"),
    [
        ("~delay/1ms", "1 2 3 4 5 6", ""),
        ("~stall/4/1s", "1 2 3 Freeze 4 5 6", ""),
        ("~silent", "", ""),
        ("~drop/5", "1 2 3 4 5 Reset 6", ""),
        ("~drop/0", "Reset 1 2 3 4 5 6", ""),
        ("~close/4000", "Close Close Close Close Close Close", ""),
        ("~duplicate/1", "1 1 2 2 3 3 4 4 5 5 6 6", ""),
        ("~duplicate/2", "1 2 2 3 4 4 5 6 6", ""),
        ("~corrupt/4", "1 2 3 t 5 6", ""),
        ("~reorder/1", "2 1 4 3 6 5", ""),
        ("~reorder/2", "1 3 2 5 4", "6"),
        ("~reorder/3", "1 2 4 3 5", "6"),
        ("~swallow/3", "1 2 4 5", ""),
        ("~fragment/1", "1 2 3 4 5 6", ""),
    ],
)
def test_of_six_messages_these_come_and_what_is_held_back_comes_once_at_the_end(
    written: str, comes: str, held: str
) -> None:
    (make,) = fault_prefix.split(written.split("/"))[0].outgoing
    fault = make()
    came = told(fault.begin())
    for text in "123456":
        came += told(faults.pass_through([fault], [Reply(text)]))
    assert " ".join(came) == comes
    assert (fault.held_bytes > 0) is bool(held)
    assert [told(faults.endings([fault])) for _ in range(2)] == [held.split(), []]
    assert fault.held_bytes == 0


@pytest.mark.parametrize("written", [written for written, _ in ACTS])
def test_nothing_that_comes_of_a_message_is_earlier_than_the_message_itself(written: str) -> None:
    """What a fault does instead of a message that was delayed before is delayed as well."""
    (make,) = fault_prefix.split(written.split("/"))[0].outgoing
    fault = make()
    list(fault.begin())
    for text in ["ab", "ä!"] * 3:
        for action in faults.pass_through([fault], [Reply(text, late_s=0.5)]):
            assert action.late_s >= 0.5


def test_every_fault_that_there_is_is_in_the_table_of_what_they_count() -> None:
    assert {written[1:].partition("/")[0] for written, _ in ACTS} == set(fault_prefix.FAULTS)


@pytest.mark.parametrize(
    ("written", "at"),
    [
        ("~delay/1", 0),
        ("~silent/~up-drop/many", 1),
        ("~silent/~silent/~status/99", 2),
        ("~silent/~up-status/503", 1),
        ("~silent/~nothing", 1),
        ("~drop", 0),
        ("/".join(["~silent"] * 11), 10),
    ],
)
def test_what_is_wrong_says_which_of_the_faults_it_is(written: str, at: int) -> None:
    with pytest.raises((BadFault, UnknownFault)) as wrong:
        fault_prefix.split(written.split("/"))
    assert wrong.value.at == at


def test_the_description_has_examples_that_are_faults() -> None:
    described = describe()["faults"]
    assert [fault["name"] for fault in described] == [*fault_prefix.FAULTS, "status"]
    for fault in described:
        examples = [parameter["example"] for parameter in fault["parameters"]]
        ways = ["~", "~up-"] if fault["up"] else ["~"]
        for way in ways:
            prefix, rest = fault_prefix.split([f"{way}{fault['name']}", *examples])
            assert not rest
            assert prefix != fault_prefix.FaultPrefix()


def test_the_limits_of_the_description_are_those_that_hold() -> None:
    show = {"count": str, "duration": lambda value: f"{value}s", "size": str, "status": str}
    parts = ("low", "high")
    for fault in describe()["faults"]:
        for at, parameter in enumerate(fault["parameters"]):
            for end in parts:
                if parameter[end] is None:
                    continue
                texts = [each["example"] for each in fault["parameters"]]
                texts[at] = show[parameter["kind"]](parameter[end])
                fault_prefix.split([f"~{fault['name']}", *texts])
                beyond = parameter[end] + (1 if end == "high" else -1)
                texts[at] = show[parameter["kind"]](beyond)
                with pytest.raises(BadFault):
                    fault_prefix.split([f"~{fault['name']}", *texts])


A, B, C = Reply("ab", 1.0), Reply(b"cd", 3.0), Reply("e", 5.0)
FREEZE, CLOSE = Freeze(9, 2.0), Close(4001, "x", 4.0)


@pytest.mark.parametrize(
    ("written", "begins", "instead", "ends"),
    [
        (
            "~delay/2s",
            [],
            [Reply("ab", 3.0), Freeze(9, 4.0), Reply(b"cd", 5.0), Close(4001, "x", 6.0),
             Reply("e", 7.0)],
            [],
        ),
        ("~stall/2/7s", [], [A, FREEZE, Freeze(7, 3.0), B, CLOSE, C], []),
        ("~silent", [], [FREEZE, CLOSE], []),
        ("~drop/2", [], [A, FREEZE, B, Reset(3.0), CLOSE, C], []),
        ("~drop/0", [Reset()], [A, FREEZE, B, CLOSE, C], []),
        (
            "~close/4000:why",
            [],
            [Close(4000, "why", 1.0), FREEZE, Close(4000, "why", 3.0), CLOSE,
             Close(4000, "why", 5.0)],
            [],
        ),
        ("~duplicate/2", [], [A, FREEZE, B, B, CLOSE, C], []),
        ("~corrupt/2", [], [A, FREEZE, Reply(b"#d", 3.0), CLOSE, C], []),
        ("~corrupt/1", [], [Reply("!b", 1.0), FREEZE, Reply(b"#d", 3.0), CLOSE,
                            Reply("%", 5.0)], []),
        ("~reorder/1", [], [FREEZE, B, A, CLOSE], [C]),
        ("~reorder/3", [], [A, FREEZE, B, CLOSE], [C]),
        ("~reorder/4", [], [A, FREEZE, B, CLOSE, C], []),
        ("~swallow/2", [], [A, FREEZE, CLOSE, C], []),
        (
            "~fragment/1",
            [],
            [Reply("ab", 1.0, 1), FREEZE, Reply(b"cd", 3.0, 1), CLOSE, Reply("e", 5.0, 1)],
            [],
        ),
    ],
    ids=str,
)  # fmt: skip
def test_a_fault_changes_messages_as_it_says_and_nothing_else(
    written: str, begins: list[Action], instead: list[Action], ends: list[Action]
) -> None:
    (make,) = fault_prefix.split(written.split("/"))[0].outgoing
    fault = make()
    assert list(faults.beginnings([fault])) == begins
    assert list(faults.pass_through([fault], [A, FREEZE, B, CLOSE, C])) == instead
    held = [reply for reply in ends if isinstance(reply, Reply)]
    assert fault.held_bytes == sum(getsizeof(reply.message) for reply in held)
    assert list(faults.endings([fault])) == ends
    assert (list(faults.endings([fault])), fault.held_bytes) == ([], 0)


def test_what_a_fault_does_at_its_beginning_and_end_passes_those_behind_it() -> None:
    chain = [make() for make in fault_prefix.split(
        ["~delay", "1s", "~drop", "0", "~reorder", "1", "~delay", "2s", "~duplicate", "1"]
    )[0].outgoing]  # fmt: skip
    assert list(faults.beginnings(chain)) == [Reset(2.0)]
    assert list(faults.pass_through(chain, [A])) == []
    assert list(faults.endings(chain)) == [Reply("ab", 4.0)] * 2


@pytest.mark.parametrize(
    ("message", "altered"), [("", "\0"), (b"", b"\0"), ("abc", "!bc"), (b"abc", b"!bc")]
)
def test_the_first_of_what_is_altered_is_another(
    message: str | bytes, altered: str | bytes
) -> None:
    assert faults.altered(message) == altered
