"""Find what claims each frame: it is in exactly one column, and each call ends once."""

from __future__ import annotations

import json
from collections import Counter
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
import trio
import trio.testing

from loadgen.engine.context import now_us
from loadgen.results.latency import Recorder
from loadgen.results.ledger import Ledger
from loadgen.results.scenario import ScenarioBooks, StepBooks
from loadgen.results.verify import Verdict
from loadgen.scenario.calls import MAX_ANSWERED, Call
from loadgen.scenario.claims import MAX_KEPT, Claims
from loadgen.scenario.content import decode, fits
from loadgen.scenario.errors import LostReply, SocketClosed
from loadgen.scenario.phases import Phases
from loadgen.scenario.timetable import Timetable
from loadgen.scenario.topics import Subscription

NEVER = float("inf")


class Bench:
    """The claims of one socket, with a ledger and a timetable of their own."""

    def __init__(self) -> None:
        self.ledger = Ledger(requested=1)
        self.timetable = Timetable()
        self.phases = Phases(1.0, 1.0)
        self.step = StepBooks("request")
        self.service, self.intended = Recorder(), Recorder()
        self.copies: list[tuple[Any, ...]] = []
        self.context: Any = SimpleNamespace(
            ledger=self.ledger, verdicts=self.ledger.verdicts, timetable=self.timetable,
            phases=self.phases, wall_offset_us=0, trace=None, book_service=self.service.record,
            book_intended=self.intended.record,
            events=SimpleNamespace(take_copy=lambda *what: self.copies.append(what)),
        )  # fmt: skip
        self.claims = Claims(self.context, 7, decode, None)

    def end_second(self) -> tuple[int, int]:
        """End a second; return how many latencies were booked, since sent and since due."""
        books = ScenarioBooks(steps={("ask", "request"): self.step})
        books.end_second(self.service, self.intended)
        assert self.step.service.total.count == self.service.total.count
        return self.service.total.count, self.intended.total.count

    def call(self, sent_us: int = 0, **more: Any) -> Call:
        self.step.count += 1
        return Call(self.step, sent_us, **more)

    def request(self, message: Any = None, limit_s: float = NEVER, sent_us: int = 0) -> Call:
        """Await the reply with a key, which is given if the message has none."""
        call = self.call(sent_us)
        _, keyed, key = self.claims.find_key({} if message is None else message, "id")
        self.claims.await_key(call, keyed, key, limit_s)
        return call

    def take_turn(self, limit_s: float = NEVER, **more: Any) -> Call:
        """Await whatever comes next, or what fits."""
        call = self.call(**more)
        self.claims.await_match(call, limit_s)
        return call

    def expect(self, limit_s: float = NEVER, sent_us: int = 0, **fields: Any) -> Call:
        call = self.call(sent_us, fits=fits(None, fields))
        self.claims.expect(call, limit_s)
        self.claims.look_at_kept()
        return call

    def receive(self, *frames: Any) -> None:
        for frame in frames:
            self.claims.receive(frame if isinstance(frame, bytes) else json.dumps(frame))

    @property
    def columns(self) -> dict[str, int]:
        assert self.ledger.received == self.ledger.verdicts.total() + len(self.claims.kept)
        return {str(verdict): n for verdict, n in self.ledger.verdicts.items() if n}


def value_of(call: Call) -> Any:
    assert call.is_settled
    if call._exc is not None:
        raise call._exc
    return call.value


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_replies_find_their_requests_by_key_in_any_order(bench: Bench) -> None:
    # The second has a key of its own, which we give to nobody else.
    calls = [bench.request(), bench.request({"id": 2}), bench.request(), bench.request({"id": "x"})]
    assert list(bench.claims._keyed["id"].open) == [1, 2, 3, "x"]
    assert bench.claims.awaits_reply
    bench.receive(*[{"id": key, "is": key} for key in ("x", 3, 1, 2)])
    assert [value_of(call)["is"] for call in calls] == [1, 2, 3, "x"]
    assert bench.columns == {"echoed": 4}
    assert (bench.step.ok, *bench.end_second()) == (4, 4, 4)
    assert bench.step.intended.total.count == 0  # None was due at a time.
    assert not bench.claims.awaits_reply
    bench.receive({"id": 3}, {"id": "x"}, {"id": "y"}, {"id": 9})
    bench.claims.end((1000, ""))
    assert bench.columns == {"echoed": 4, "duplicate": 2, "unexpected": 2}


def test_a_key_that_awaits_its_reply_is_not_used_twice(bench: Bench) -> None:
    bench.request({"id": "x"})
    with pytest.raises(ValueError, match="id 'x' awaits its reply already"):
        bench.request('{"id": "x"}')


def test_latency_is_from_when_it_was_sent_and_from_when_it_was_due(bench: Bench) -> None:
    sent_us = now_us()
    bench.take_turn(sent_us=sent_us, due_us=sent_us - 500)
    bench.receive({})
    assert bench.step.intended.total.count == 0  # until the second is over
    assert bench.end_second() == (1, 1)
    service, intended = bench.step.service.total, bench.step.intended.total
    assert 0 <= service.max <= now_us() - sent_us
    assert intended.max == service.max + 500
    assert (bench.service.total.max, bench.intended.total.max) == (service.max, intended.max)


def test_the_latency_of_a_request_without_a_name_is_in_the_runs_alone(bench: Bench) -> None:
    sent_us = now_us()
    for due_us in (None, sent_us - 500):
        bench.claims.await_match(Call(None, sent_us, due_us), NEVER)
        bench.receive({})
    for recorder in (bench.service, bench.intended):
        recorder.end_second()
    service, intended = bench.service.total, bench.intended.total
    assert (service.count, intended.count) == (2, 2)
    assert intended.sum_us == service.sum_us + 500


def test_what_claims_a_frame_first(bench: Bench) -> None:
    taken: list[Any] = []
    everything = {
        "turn": bench.take_turn(),
        "expected": bench.expect(t=1),
        "matched": bench.take_turn(fits=fits(None, {"t": 1})),
        "keyed": bench.request({"id": 5}),
    }
    stream: Any = SimpleNamespace(
        fits=fits(None, {"t": 1}), take=lambda *what: taken.append(what), end=lambda: None
    )
    bench.claims.streams.append(stream)
    bench.claims.ignored.append(fits(None, {"t": 2}))
    bench.claims.subscriptions.append(Subscription("news", "n", fits(None, {"t": 3})))
    frame = {"t": 1, "id": 5}
    for name in ("keyed", "matched", "expected"):
        assert not everything[name].is_settled
        bench.receive(frame)
        assert value_of(everything[name]) == frame
    bench.receive(frame, {"t": 2}, {"t": 3, "n": 4}, {"t": 3})
    assert [value for value, _ in taken] == [frame]
    assert [copy[2:] for copy in bench.copies] == [(7, (bench.copies[0][3][0], 0))]
    # A copy needs its key; without one it is whoever's turn it is.
    assert value_of(everything["turn"]) == {"t": 3}
    assert bench.columns == {
        "echoed": 3, "expected": 1, "streamed": 1, "ignored": 1, "copies": 1,
    }  # fmt: skip


def test_a_stream_is_before_what_is_ignored_and_each_frame_has_one_that_takes_it_as_it_came(
    bench: Bench,
) -> None:
    taken: list[tuple[str, Any, int]] = []
    bench.receive({"t": 1})
    came_us = bench.claims.kept[0].received_us
    for name in ("first", "second"):
        stream: Any = SimpleNamespace(
            fits=fits(None, {"t": 1}), take=lambda *what, name=name: taken.append((name, *what))
        )
        bench.claims.streams.append(stream)
    bench.claims.ignored.append(fits(None, {"t": 1}))
    while now_us() == came_us:
        pass
    bench.claims.look_at_kept()
    assert taken == [("first", {"t": 1}, came_us)]
    bench.receive({"t": 1})
    assert ([name for name, *_ in taken], bench.columns) == (["first"] * 2, {"streamed": 2})


def test_of_calls_that_a_frame_fits_the_oldest_has_it(bench: Bench) -> None:
    calls = [bench.take_turn(fits=fits(None, {"t": 1})) for _ in range(2)]
    expected = [bench.expect(t=1) for _ in range(2)]
    turns = [bench.take_turn() for _ in range(2)]
    for call in (*calls, *expected, *turns):
        assert not call.is_settled
        bench.receive({"t": 1})
        assert call.is_settled


def test_a_duplicate_is_nobodys_turn(bench: Bench) -> None:
    bench.request({"id": "x"})
    turn = bench.take_turn()
    bench.receive({"id": "x"}, {"id": "x"})
    assert not turn.is_settled
    bench.receive({"id": "y"})
    assert value_of(turn) == {"id": "y"}


def test_a_frame_waits_for_a_call_and_is_judged_when_the_script_has_passed_it(
    bench: Bench,
) -> None:
    bench.receive({"n": 1}, {"n": 2}, {"n": 3})
    assert bench.columns == {}
    met = bench.expect(n=2)
    assert value_of(met) == {"n": 2}
    assert value_of(bench.expect(n=3)) == {"n": 3}
    # Whoever went on from a later one has passed the first.
    assert bench.columns == {"expected": 2, "unexpected": 1}
    assert (bench.step.ok, bench.claims.kept) == (2, [])


@pytest.mark.parametrize("kind", ["request", "take_turn", "expect"])
def test_whatever_a_script_goes_on_from_it_has_passed_by_what_came_before(
    bench: Bench, kind: str
) -> None:
    bench.receive({"n": 1})
    more = {"fits": fits(None, {"id": 1})} if kind == "take_turn" else {}
    call = getattr(bench, kind)(**({"id": 1} if kind == "expect" else more))
    assert not bench.claims.kept[0].is_passed
    bench.receive({"id": 1}, {"n": 2})
    assert value_of(call) == {"id": 1}
    assert [each.is_passed for each in bench.claims.kept] == [True, False]
    bench.claims.look_at_kept()
    assert [each.value for each in bench.claims.kept] == [{"n": 2}]
    assert bench.ledger.verdicts[Verdict.UNEXPECTED] == 1


def test_a_second_answer_is_one_by_whichever_path_the_first_was_found(bench: Bench) -> None:
    for path, message in (("id", {"id": "x"}), ("ref", {"ref": "y"})):
        _, keyed, key = bench.claims.find_key(message, path)
        bench.claims.await_key(bench.call(), keyed, key, NEVER)
    replies = [{"id": "x"}, {"ref": "y"}]
    bench.receive(*replies, *replies, {"id": "y"}, {"ref": "x"})
    bench.claims.end((1000, ""))
    assert bench.columns == {"echoed": 2, "duplicate": 2, "unexpected": 2}


def test_of_frames_that_nobody_claims_the_newest_are_kept(bench: Bench) -> None:
    bench.receive(*range(MAX_KEPT + 3))
    assert len(bench.claims.kept) == MAX_KEPT
    assert bench.columns == {"unexpected": 3}
    assert bench.claims.kept[0].value == 3


async def test_what_does_not_come_in_time_is_lost_and_a_late_reply_takes_nobodys_place(
    bench: Bench, nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    nursery.start_soon(bench.timetable.run)
    at_s = trio.current_time() + 1
    keyed, matched = bench.request(None, at_s), bench.take_turn(at_s, fits=fits("go", {}))
    turn, expected = bench.take_turn(at_s), bench.expect(at_s, n=1)
    in_time = bench.request({"id": 2}, at_s)
    bench.receive({"id": 2})
    await trio.sleep(2)
    for call in (keyed, matched, turn, expected):
        with pytest.raises(LostReply):
            value_of(call)
    assert value_of(in_time) == {"id": 2}
    assert (bench.step.lost, bench.step.ok, bench.ledger.given_up) == (4, 1, 3)
    assert not bench.claims.awaits_reply
    following, last = bench.take_turn(), bench.take_turn(at_s + 2)
    bench.receive({"late": 1}, {"id": 1}, {"id": 2})
    assert value_of(following) == {"id": 1}  # The first had its place in the line, and is late.
    await trio.sleep(2)
    assert last.is_lost
    bench.claims.end((1000, ""))
    assert (bench.ledger.given_up, bench.ledger.abandoned) == (4, 0)
    assert bench.columns == {"echoed": 2, "unexpected": 1, "duplicate": 1}
    nursery.cancel_scope.cancel()


def test_at_the_end_what_had_its_time_is_lost_and_the_rest_left(bench: Bench) -> None:
    old = [bench.request(sent_us=10), bench.take_turn(sent_us=10)]
    new = [bench.request(sent_us=11), bench.take_turn(sent_us=11)]
    old_expected, new_expected = bench.expect(sent_us=10, n=1), bench.expect(sent_us=11, n=2)
    bench.claims.lose_all(since_us=10)
    assert [call.is_settled for call in (*old, old_expected)] == [True] * 3
    assert [call.is_settled for call in (*new, new_expected)] == [False] * 3
    assert bench.step.lost == 1
    bench.receive({"id": 1})  # It comes all the same, while the socket closes.
    assert bench.columns == {"echoed": 1}


@pytest.mark.parametrize("interrupted", [False, True])
def test_when_the_socket_ends_each_call_does_and_each_frame_has_its_column(
    bench: Bench, interrupted: bool
) -> None:
    answered = bench.request({"id": "x"})
    bench.receive({"id": "x"}, {"id": "x"}, {"n": 0})
    waiting = [bench.request(), bench.take_turn(), bench.take_turn(fits=fits("go", {}))]
    expected, left = bench.expect(n=1), bench.expect(n=2)
    bench.claims.expect_no_more(left)
    bench.claims.expect_no_more(left)
    bench.receive({"n": 3})
    assert value_of(waiting.pop(1)) == {"n": 0}  # Kept for whoever asks next.
    bench.receive({"id": "x"})
    bench.phases.is_interrupted = interrupted
    bench.claims.end((4000, "enough"))
    for call in (*waiting, expected):
        with pytest.raises(SocketClosed):
            value_of(call)
    assert (value_of(answered), left.is_settled) == ({"id": "x"}, False)
    assert (bench.ledger.abandoned, bench.step.failed, bench.step.ok) == (2, 1, 2)
    assert not bench.claims.awaits_reply
    rest = "ignored" if interrupted else "unexpected"
    assert bench.columns == {"echoed": 2, "duplicate": 2, rest: 1}


def test_a_reply_of_the_other_kind_of_frame_is_corrupt(bench: Bench) -> None:
    text, binary = bench.take_turn(), bench.take_turn(is_binary=True)
    bench.receive(b"\x00", b"\x01")
    assert (value_of(text), value_of(binary)) == (b"\x00", b"\x01")
    assert bench.columns == {"corrupt": 1, "echoed": 1}
    assert (bench.step.failed, bench.step.ok, *bench.end_second()) == (1, 1, 1, 1)


def test_what_a_function_of_the_script_raises_ends_its_calls_and_is_raised_once(
    bench: Bench,
) -> None:
    def fail(value: Any) -> bool:
        raise KeyError(value)

    matched, turn, expected = bench.take_turn(fits=fail), bench.take_turn(), bench.expect(n=1)
    bench.receive({"n": 2})
    for call in (matched, turn, expected):
        with pytest.raises(KeyError):
            value_of(call)
    with pytest.raises(KeyError):
        bench.claims.raise_problem()
    bench.claims.raise_problem()
    assert bench.columns == {"unexpected": 1}
    assert bench.step.failed == 1


def test_of_what_functions_raise_the_first_is_told_and_what_they_claim_next_is_theirs(
    bench: Bench,
) -> None:
    def fail(value: Any) -> bool:
        raise KeyError(value["n"])

    bench.claims.ignored.append(fail)
    bench.receive({"n": 1}, {"n": 2})
    with pytest.raises(KeyError, match="1"):
        bench.claims.raise_problem()
    bench.claims.raise_problem()
    assert bench.columns == {"unexpected": 2}


async def test_whoever_waits_for_replies_goes_on_with_the_last_or_the_end(
    bench: Bench, nursery: trio.Nursery
) -> None:
    await bench.claims.wait_for_replies()
    gone_on: Counter[str] = Counter()

    async def wait(name: str) -> None:
        await bench.claims.wait_for_replies()
        gone_on[name] += 1

    bench.request({"id": 1})
    bench.request({"id": 2})
    nursery.start_soon(partial(wait, "replies"))
    await trio.testing.wait_all_tasks_blocked()
    bench.receive({"id": 1})
    await trio.testing.wait_all_tasks_blocked()
    assert gone_on == {}
    bench.receive({"id": 2})
    await trio.testing.wait_all_tasks_blocked()
    assert gone_on == {"replies": 1}
    bench.request()
    nursery.start_soon(partial(wait, "end"))
    await trio.testing.wait_all_tasks_blocked()
    bench.claims.end((1006, ""))
    await trio.testing.wait_all_tasks_blocked()
    assert gone_on == {"replies": 1, "end": 1}


def test_bytes_are_those_of_the_payload(bench: Bench) -> None:
    for frame in ("abc", "äöü", b"\xff\x00"):
        bench.claims.receive(frame)
    assert (bench.ledger.received, bench.ledger.received_bytes) == (3, 3 + 6 + 2)
    assert Verdict.UNEXPECTED not in bench.ledger.verdicts


async def test_a_call_that_expects_no_more_is_never_lost(
    bench: Bench, nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    nursery.start_soon(bench.timetable.run)
    at_s = trio.current_time() + 1
    left, lost = bench.expect(at_s, n=1), bench.expect(at_s, n=2)
    bench.claims.expect_no_more(left)
    await trio.sleep(2)
    assert (left.is_settled, left.is_lost, lost.is_lost, bench.step.lost) == (
        False, False, True, 1
    )  # fmt: skip
    bench.claims.expect_no_more(lost)
    assert not [entry for *_, entry in bench.timetable._entries if entry.on_time is not None]
    nursery.cancel_scope.cancel()


@pytest.mark.parametrize("kind", ["request", "take_turn", "expect"])
def test_what_has_come_is_in_the_timetable_no_more(bench: Bench, kind: str) -> None:
    call = getattr(bench, kind)(limit_s=1e9)
    (entry,) = [entry for *_, entry in bench.timetable._entries]
    assert entry.on_time is not None
    bench.receive({"id": 1})
    assert (value_of(call), call.timeout, entry.on_time) == ({"id": 1}, None, None)


def test_each_stream_ends_with_its_socket(bench: Bench) -> None:
    ended = list[int]()
    for number in range(3):
        stream: Any = SimpleNamespace(end=lambda number=number: ended.append(number))
        bench.claims.streams.append(stream)
    bench.claims.end((1000, ""))
    assert ended == [0, 1, 2]


def test_a_script_is_not_late_for_a_frame_that_came_before_it_asked(bench: Bench) -> None:
    bench.receive({"type": "tick"})
    asked_us = bench.claims.kept[0].received_us + 500
    call = bench.expect(sent_us=asked_us, type="tick")
    assert value_of(call) == {"type": "tick"}
    assert call.received_us == asked_us  # from when its script lag counts


def test_how_long_an_expected_frame_took_is_the_steps_and_no_reply_of_the_run(bench: Bench) -> None:
    sent_us = now_us() - 7_000_000
    waited = bench.expect(sent_us=sent_us, n=1)
    bench.receive({"n": 1}, {"n": 2})
    assert value_of(waited) == {"n": 1}
    bench.expect(sent_us=now_us() + 9_000_000, n=2)  # It was there before.
    bench.step.kind = "expect"
    ScenarioBooks(steps={("wait", "expect"): bench.step}).end_second(bench.service, bench.intended)
    service = bench.step.service.total
    assert (service.count, service.min, bench.step.ok) == (2, 0, 2)
    assert 7_000_000 <= service.max <= now_us() - sent_us
    for recorder in (bench.service, bench.intended, bench.step.intended):
        recorder.end_second()
        assert recorder.total.count == 0


def test_when_a_function_raises_at_a_kept_frame_that_is_unexpected_and_the_next_is_kept(
    bench: Bench,
) -> None:
    def fail_at_two(value: Any) -> bool:
        if value["n"] == 2:
            raise KeyError(value)
        return False

    bench.receive(*[{"n": n} for n in (1, 2, 3)])
    bench.claims.ignored.append(fail_at_two)
    with pytest.raises(KeyError):
        bench.claims.look_at_kept()
    assert [each.value["n"] for each in bench.claims.kept] == [1, 3]
    assert bench.columns == {"unexpected": 1}


def test_a_frame_came_when_the_kernel_says_unless_that_is_to_come_or_long_ago(
    bench: Bench,
) -> None:
    stamps: Any = SimpleNamespace(stamped_us=0)
    bench.claims._stamps = stamps
    for ago_us, is_taken in ((5_000_000, True), (70_000_000, False), (-5_000_000, False)):
        now = now_us()
        stamps.stamped_us = now - ago_us
        bench.receive({})
        came_us = bench.claims.kept[-1].received_us
        assert came_us == now - ago_us if is_taken else now <= came_us <= now_us()


def test_what_is_ignored_is_no_copy(bench: Bench) -> None:
    bench.claims.subscriptions.append(Subscription("news", None, fits(None, {"t": 1})))
    bench.claims.ignored.append(fits(None, {"t": 1}))
    bench.receive({"t": 1})
    assert (bench.columns, bench.copies) == ({"ignored": 1}, [])


def test_a_frame_is_a_copy_for_the_first_subscription_in_which_it_has_a_key(bench: Bench) -> None:
    topics = [("a", "n"), ("b", "m"), ("c", "m")]
    subscriptions = [Subscription(topic, copy, fits(None, {"t": 1})) for topic, copy in topics]
    bench.claims.subscriptions += subscriptions
    bench.receive({"t": 1, "m": 5}, {"t": 1, "n": 5, "m": 6}, {"t": 2, "n": 5}, {"t": 1})
    rooms = [room for _, room, *_ in bench.copies]
    assert rooms == [subscriptions[1].room, subscriptions[0].room]
    assert bench.columns == {"copies": 2}


def test_keys_of_ours_take_no_room_from_those_of_the_script_that_were_answered(
    bench: Bench,
) -> None:
    bench.request({"id": "x"})
    bench.receive({"id": "x"})
    for _ in range(MAX_ANSWERED):
        bench.request()
        bench.receive({"id": bench.claims._numbered})
    bench.receive({"id": "x"}, {"id": 1})
    bench.claims.end((1000, ""))
    assert bench.columns == {"echoed": MAX_ANSWERED + 1, "duplicate": 2}
