"""Await what a server says by itself: frame by frame, and on a virtual clock."""

import trio

from loadgen.engine.books import Books
from loadgen.engine.context import Observer, RunContext
from loadgen.engine.dialer import Dialer
from loadgen.engine.greeting import Greeting, sweep
from loadgen.results.ledger import Failure, Ledger
from loadgen.results.verify import Verdict
from loadgen.workload.plan import Plan
from loadgen.workload.sources import Sources

EXPECTED = ("json:type=hello", "regex:^ready")


class Connection:
    """Notes that it was closed."""

    def __init__(self):
        self.closed = 0

    def close_nowait(self):
        self.closed += 1
        return True


def begin(**settings):
    """A greeting, what it has told, its connection and its context."""
    plan = Plan(1, expect=EXPECTED, ignore=("regex:^tick",), **settings)
    context = RunContext(plan, Dialer([], Sources(())), None, Books(Ledger(1)), Observer())
    told, connection = [], Connection()
    greeting = Greeting(
        context, connection, lambda: told.append("complete"), lambda: told.append("failed")
    )
    return greeting, told, connection, context


def test_a_greeting_is_complete_when_all_its_frames_have_come_in_their_order():
    greeting, told, connection, context = begin()
    said = ['{"type":"hello"}', "tick", "what?", '{"type":"hello"}', "ready", "ready"]
    verdicts = [greeting.claim(frame) for frame in said]
    assert verdicts == [
        Verdict.EXPECTED, Verdict.IGNORED, Verdict.UNEXPECTED, Verdict.UNEXPECTED,
        Verdict.EXPECTED, Verdict.UNEXPECTED,
    ]  # fmt: skip
    assert told == ["complete"]
    greeting.give_up("too late to fail")
    assert (told, connection.closed) == (["complete"], 0)
    assert context.ledger.failed.total() == context.ledger.not_attempted == 0


def test_one_that_fails_says_how_far_it_was_once():
    greeting, told, connection, context = begin()
    greeting.claim('{"type":"hello"}')
    greeting.give_up("within 10 s")
    greeting.give_up("again")
    greeting.fail("again")
    assert (told, connection.closed) == (["failed"], 1)
    assert context.ledger.failed == {Failure.GREETING: 1}
    assert context.ledger.details == {(Failure.GREETING, "1 of 2 within 10 s"): 1}
    assert greeting.claim("ready") is Verdict.UNEXPECTED
    assert told == ["failed"]


def test_one_that_is_given_up_for_no_fault_of_the_targets_was_not_attempted():
    greeting, told, _, context = begin()
    greeting.give_up()
    assert told == ["failed"]
    assert (context.ledger.not_attempted, context.ledger.failed.total()) == (1, 0)


async def test_greetings_that_have_not_come_in_time_are_given_up_the_oldest_first(
    autojump_clock, nursery
):
    greeting, told, connection, context = begin(connect_timeout_s=3.0)
    other, others_told, _, _ = begin()
    began = trio.current_time()
    context.greetings += [(began + 1.0, greeting), (began + 2.0, other)]
    nursery.start_soon(sweep, context)
    await trio.sleep(0.9)
    assert told == []
    await trio.sleep(0.2)
    assert (told, others_told, connection.closed) == (["failed"], [], 1)
    assert (Failure.GREETING, "0 of 2 within 3 s") in context.ledger.details
    await trio.sleep(1.0)
    assert (others_told, len(context.greetings)) == (["failed"], 0)


async def test_greetings_that_are_over_are_passed_by_and_one_that_comes_late_is_seen_in_time(
    autojump_clock, nursery
):
    began = trio.current_time()
    complete, complete_told, _, context = begin()
    for frame in ('{"type":"hello"}', "ready"):
        complete.claim(frame)
    nursery.start_soon(sweep, context)
    await trio.sleep(1.0)
    late, late_told, connection, _ = begin()
    context.greetings += [(began + 3600.0, complete), (began + 1.1, late)]
    await trio.sleep(0.08)
    assert (late_told, complete_told) == ([], ["complete"])
    await trio.sleep(0.05)
    assert (late_told, complete_told, connection.closed) == (["failed"], ["complete"], 1)
    assert not context.greetings


def test_a_frame_that_comes_before_its_turn_is_none_of_the_greeting():
    greeting, told, _, _ = begin()
    said = ["ready", '{"type":"hello"}', "ready"]
    assert [greeting.claim(frame) for frame in said] == [
        Verdict.UNEXPECTED, Verdict.EXPECTED, Verdict.EXPECTED
    ]  # fmt: skip
    assert told == ["complete"]
