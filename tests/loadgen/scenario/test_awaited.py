"""What a script awaits ends once, in one count, and gives back what it took of the timetable.

What claims a frame, and so settles a call, is in `test_claims`.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from loadgen.results.ledger import Ledger
from loadgen.results.scenario import StepBooks
from loadgen.scenario.awaited import Awaited
from loadgen.scenario.calls import Call
from loadgen.scenario.content import decode
from loadgen.scenario.errors import LostReply, SocketClosed
from loadgen.scenario.timetable import Timetable

NEVER = float("inf")
LIMIT_S = 7.0
#: The kinds of call, and whether each is a request.
KINDS = {"keyed": True, "matched": True, "turn": True, "expected": False}


class Bench:
    """One socket's calls, with a ledger and a timetable that runs when it is told to."""

    def __init__(self) -> None:
        self.ledger, self.timetable = Ledger(1), Timetable()
        self.step = StepBooks("request")
        context: Any = SimpleNamespace(ledger=self.ledger, timetable=self.timetable)
        self.awaited = Awaited(context, decode)

    def begin(self, kind: str, limit_s: float = LIMIT_S, sent_us: int = 0) -> Call:
        fits = None if kind in ("keyed", "turn") else bool
        call = Call(self.step, sent_us, fits=fits)
        if kind == "keyed":
            _, keyed, key = self.awaited.find_key({}, "id")
            self.awaited.await_key(call, keyed, key, limit_s)
        elif kind == "expected":
            self.awaited.expect(call, limit_s)
        else:
            self.awaited.await_match(call, limit_s)
        return call

    @property
    def due(self) -> list[float]:
        """When each entry of the timetable falls due that was not called off."""
        return [at_s for at_s, _, entry in self.timetable._entries if entry.on_time is not None]

    def time_out(self) -> None:
        """Let everything fall due that is in the timetable."""
        entries, self.timetable._entries = self.timetable._entries, []
        for _, _, entry in entries:
            if entry.on_time is not None:
                on_time, entry.on_time = entry.on_time, None
                on_time()


@pytest.fixture
def bench() -> Bench:
    return Bench()


def exception_of(call: Call) -> Exception | None:
    assert call.is_settled
    return call._exc


@pytest.mark.parametrize("kind", KINDS)
def test_a_call_with_a_limit_is_in_the_timetable_once_and_one_without_is_not(
    bench: Bench, kind: str
) -> None:
    assert bench.begin(kind, NEVER).timeout is None
    assert bench.due == []
    assert bench.begin(kind).timeout is not None
    assert bench.due == [LIMIT_S]


@pytest.mark.parametrize("kind", KINDS)
def test_what_its_limit_ends_is_lost_and_nothing_else(bench: Bench, kind: str) -> None:
    lost, other = bench.begin(kind), bench.begin(kind, NEVER)
    bench.time_out()
    assert isinstance(exception_of(lost), LostReply)
    assert (lost.is_lost, lost.timeout, other.is_settled) == (True, None, False)
    assert (bench.step.lost, bench.step.failed) == (1, 0)
    assert (bench.ledger.given_up, bench.ledger.abandoned) == (KINDS[kind], 0)
    assert bench.awaited.awaits_reply is KINDS[kind]  # the other, if it is a request
    bench.awaited._end_calls((1006, ""))
    assert isinstance(exception_of(other), SocketClosed)
    # Of a request that was given up the socket's end says nothing more.
    assert (bench.ledger.given_up, bench.ledger.abandoned) == (KINDS[kind], KINDS[kind])
    assert (bench.step.lost, bench.step.failed) == (1, not KINDS[kind])
    assert isinstance(exception_of(lost), LostReply)
    assert not bench.awaited.awaits_reply


@pytest.mark.parametrize("kind", KINDS)
def test_for_what_is_lost_nobody_waits_any_more(bench: Bench, kind: str) -> None:
    bench.begin(kind)
    assert bench.awaited.awaits_reply is KINDS[kind]
    bench.time_out()
    assert not bench.awaited.awaits_reply
    assert bench.awaited._expected == bench.awaited._matched == []


def test_what_is_expected_no_more_claims_nothing_and_the_others_do(bench: Bench) -> None:
    calls = [bench.begin("expected") for _ in range(3)]
    bench.awaited.expect_no_more(calls[1])
    bench.awaited.expect_no_more(calls[1])
    assert bench.awaited._expected == [calls[0], calls[2]]
    assert not any(call.is_settled for call in calls)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("end", ["the socket", "the run", "the call"])
def test_whatever_ends_a_call_takes_it_out_of_the_timetable(
    bench: Bench, kind: str, end: str
) -> None:
    call = bench.begin(kind)
    if end == "the socket":
        bench.awaited._end_calls((4000, "enough"))
    elif end == "the run":
        bench.awaited.lose_all(since_us=0)
    else:
        bench.awaited.expect_no_more(call)
    assert (bench.due, call.timeout) == ([], None)


def test_at_the_runs_end_requests_may_still_be_answered_and_what_was_expected_is_lost(
    bench: Bench,
) -> None:
    early = {kind: bench.begin(kind, sent_us=5) for kind in KINDS}
    late = [bench.begin(kind, sent_us=6) for kind in KINDS]
    bench.awaited.lose_all(since_us=5)
    assert all(isinstance(exception_of(call), LostReply) for call in early.values())
    assert not any(call.is_settled for call in late)
    # A reply that comes while the socket closes is one, so these are neither given up nor lost.
    assert [kind for kind, call in early.items() if call.is_lost] == ["expected"]
    assert (bench.step.lost, bench.ledger.given_up, bench.due) == (1, 0, [])
    assert bench.awaited.awaits_reply
    first = [call._exc for call in early.values()]
    bench.awaited.lose_all(since_us=5)
    assert [call._exc for call in early.values()] == first
    bench.awaited._end_calls((1000, ""))
    assert (bench.ledger.abandoned, bench.step.failed) == (6, 1)


def test_of_requests_by_a_function_the_oldest_is_first(bench: Bench) -> None:
    calls = [bench.begin("matched", NEVER) for _ in range(3)]
    assert bench.awaited._matched == calls


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_lost_counts_for_the_run_also_without_a_name(bench: Bench, kind: str) -> None:
    call = bench.begin(kind)
    call.step = None
    bench.time_out()
    assert (call.is_lost, bench.step.lost) == (True, 0)
    assert bench.ledger.given_up == KINDS[kind]


def test_requests_of_each_path_end_with_the_run_and_with_the_socket(bench: Bench) -> None:
    calls = []
    for path in ("id", "ref", "p.id"):
        _, keyed, key = bench.awaited.find_key({}, path)
        calls.append(Call(bench.step, 5))
        bench.awaited.await_key(calls[-1], keyed, key, LIMIT_S)
    bench.awaited.lose_all(since_us=5)
    assert all(isinstance(exception_of(call), LostReply) for call in calls)
    assert (bench.due, bench.awaited.awaits_reply) == ([], True)
    bench.awaited._end_calls((1000, ""))
    assert (bench.ledger.abandoned, bench.awaited.awaits_reply) == (3, False)


async def test_who_waits_for_replies_goes_on_at_once_if_none_is_owed(
    bench: Bench, autojump_clock: MockClock
) -> None:
    bench.begin("expected")
    with trio.fail_after(1):
        await bench.awaited.wait_for_replies()
    bench.begin("keyed", NEVER)
    with trio.move_on_after(1) as waiting:
        await bench.awaited.wait_for_replies()
    assert waiting.cancelled_caught


def test_keys_of_ours_are_of_the_socket_and_none_that_the_script_uses(bench: Bench) -> None:
    awaited = bench.awaited
    found = []
    for message, path in (
        ({"id": 2}, "id"), ({}, "id"), ('{"a": 1}', "id"), ({"p": {"n": 0}}, "p.id"), ({}, "id"),
    ):  # fmt: skip
        sent, keyed, key = awaited.find_key(message, path)
        awaited.await_key(Call(None, 0), keyed, key, NEVER)
        found.append((sent, key))
    assert found == [
        ({"id": 2}, 2), ({"id": 1}, 1), ({"a": 1, "id": 3}, 3), ({"p": {"n": 0, "id": 4}}, 4),
        ({"id": 5}, 5),
    ]  # fmt: skip
    assert {path: [*keyed.open] for path, keyed in awaited._keyed.items()} == {
        "id": [2, 1, 3, 5], "p.id": [4],
    }  # fmt: skip


def test_a_key_is_free_again_once_its_call_has_ended(bench: Bench) -> None:
    for end in (bench.time_out, lambda: bench.awaited._end_calls((1000, ""))):
        _, keyed, key = bench.awaited.find_key({"id": "x"}, "id")
        bench.awaited.await_key(Call(None, 0), keyed, key, LIMIT_S)
        with pytest.raises(ValueError, match="id 'x' awaits its reply already"):
            bench.awaited.find_key({"id": "x"}, "id")
        end()
        assert bench.awaited.find_key({"id": "x"}, "id")[1].open == {}


def test_a_late_reply_to_what_was_lost_is_no_second_answer(bench: Bench) -> None:
    _, keyed, key = bench.awaited.find_key({}, "id")
    bench.awaited.await_key(Call(None, 0), keyed, key, LIMIT_S)
    assert not keyed.is_duplicate({"id": 1}, bench.awaited._numbered)
    bench.time_out()
    assert not keyed.is_duplicate({"id": 1}, bench.awaited._numbered)
    assert keyed.open == {}
