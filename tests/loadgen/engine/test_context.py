"""What all sessions of a run have in common is what the plan says, made ready to use."""

from __future__ import annotations

import itertools
import time
from types import SimpleNamespace
from typing import Any

import pytest

from loadgen.engine.books import Books
from loadgen.engine.context import Observer, RunContext, now_us
from loadgen.engine.dialer import Dialer
from loadgen.engine.steering import Steering
from loadgen.results.ledger import Ledger
from loadgen.results.verify import (
    answers_exactly,
    answers_with_suffix,
    answers_with_suffix_in_bytes,
)
from loadgen.workload.plan import Plan
from loadgen.workload.sources import Sources


class Noting(Observer):
    """Counts how often it is told that no socket is open."""

    def __init__(self) -> None:
        self.told = 0

    def none_open(self) -> None:
        self.told += 1


def context_of(plan: Plan, **more: Any) -> RunContext:
    books = Books(Ledger(plan.count))
    return RunContext(plan, Dialer([], Sources(())), None, books, Noting(), **more)


def test_each_room_has_its_own_request_and_resource():
    plan = Plan(
        6, "ws://h:7/a{room}?x=1", rooms=3, verify="fan-out", message="{conn}-{seq}",
        subprotocols=("chat",),
    )  # fmt: skip
    context = context_of(plan)
    assert context.resources == ["/a0?x=1", "/a1?x=1", "/a2?x=1"]
    for room, request in enumerate(context.requests):
        head = request("the-key").decode()
        assert head.startswith(f"GET /a{room}?x=1 HTTP/1.1\r\n")
        assert "the-key" in head
        assert "chat" in head
    assert (context.rooms, context.port, context.server_name) == (3, 7, "h")
    assert (len(context.requests), context.subprotocols) == (3, ("chat",))


@pytest.mark.parametrize(
    ("settings", "answers"),
    [
        ({}, answers_with_suffix), ({"binary": True}, answers_with_suffix_in_bytes),
        ({"verify": "exact"}, answers_exactly),
        ({"verify": "exact", "binary": True}, answers_exactly),
        ({"verify": "turn"}, answers_exactly),
    ],
)  # fmt: skip
def test_a_reply_is_judged_by_the_rule_and_the_kind_of_messages(settings, answers):
    context = context_of(Plan(1, **settings))
    assert context.answers is answers
    assert context.is_binary is settings.get("binary", False)
    assert context.keys is None
    assert context_of(Plan(1, verify="json:id", message='{"id":{seq}}')).keys is not None


@pytest.mark.parametrize(
    ("ignore", "ignored"),
    [((), None), (("regex:^a",), "a"), (("regex:^a", "regex:^b"), "ab"),
     (("regex:^a", "regex:^b", "regex:^c"), "abc")],
)  # fmt: skip
def test_a_frame_is_passed_over_if_one_of_the_patterns_fits_it(ignore, ignored):
    ignores = context_of(Plan(1, ignore=ignore)).ignores
    if ignored is None:
        assert ignores is None
    else:
        assert [frame for frame in "abcd" if ignores(frame)] == [*ignored]


def test_the_reader_of_answers_is_made_once_for_each_list_of_subprotocols():
    context = context_of(Plan(1, subprotocols=("a", "b")))
    one, other = context.answers_to(("a", "b")), context.answers_to(("b",))
    assert one is context.answers_to(("a", "b"))
    assert other is context.answers_to(("b",))
    assert one is not other


@pytest.mark.parametrize(
    ("unanswered", "turns_open", "copies"),
    [*itertools.product((0, 2), (0, 1), (None, 0, 3))],
)
def test_frames_are_awaited_as_long_as_one_of_any_kind_is(unanswered, turns_open, copies):
    context = context_of(Plan(1))
    assert context.awaits_frames is False
    context.ledger.sent, context.turns_open = unanswered, turns_open
    context.fan_out = None if copies is None else SimpleNamespace(awaited=copies)
    assert context.awaits_frames is bool(unanswered or turns_open or copies)


@pytest.mark.parametrize(("opened", "reopening"), [*itertools.product((0, 1, 2), (0, 1))])
def test_the_observer_is_told_that_none_is_open_if_none_is_and_none_will_be(opened, reopening):
    context = context_of(Plan(2))
    context.ledger.opened, context.reopening = opened, reopening
    context.look_whether_any_is_open()
    assert context.observer.told == int(not opened and not reopening)


def test_nothing_is_under_way_at_the_beginning_and_what_is_given_is_kept():
    plan = Plan(1, connect_timeout_s=3.5, proxy="socks5://p:9", expect=("any", "regex:x"))
    steering, tls = Steering(), object()
    context = context_of(plan, steering=steering, tls_context=tls)
    assert (context.reopening, context.turns_open, context.closing) == (0, 0, False)
    assert (context.fan_out, context.copies, len(context.greetings)) == (None, None, 0)
    assert (context.steering, context.tls, context.connect_timeout_s) == (steering, tls, 3.5)
    books, observer, poller, dialer = Books(Ledger(1)), Noting(), object(), Dialer([], Sources(()))
    other: Any = RunContext(plan, dialer, poller, books, observer)
    assert (other.books, other.ledger, other.observer) == (books, books.ledger, observer)
    assert (other.poller, other.dialer, other.tls) == (poller, dialer, None)
    assert other.steering is not steering
    assert (context.proxy.host, context.proxy.port) == ("p", 9)
    assert [fits("y") for fits in context.expect] == [True, False]
    assert context_of(Plan(1)).proxy is None
    with pytest.raises(NotImplementedError):
        context.attend(object())


def test_only_in_a_closed_loop_a_reply_leads_to_the_next_message():
    assert context_of(Plan(1)).answered is None
    looping = context_of(Plan(1, closed_loop=True))
    assert looping.answered == looping.observer.answered


def test_an_observer_has_nothing_to_say_of_itself():
    observer = Observer()
    session: Any = object()
    for told in (observer.opened, observer.answered, observer.closing):
        assert told(session) is None
    assert observer.none_open() is None
    assert observer.catch_up_s == 0


def test_the_clock_is_in_microseconds_and_goes_forward():
    before_ns = time.perf_counter_ns()
    read_us = now_us()
    assert before_ns // 1000 <= read_us <= time.perf_counter_ns() // 1000
