"""Which replies a behaviour gives, and in which order, for any messages."""

from __future__ import annotations

from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from echo_trio.behaviours import faults, scripts, transform
from echo_trio.behaviours.actions import Action, Close, Freeze, Reply, Reset
from echo_trio.behaviours.scripts import Behaviour, Faulty, Script
from echo_trio.behaviours.transform import random_suffix

from .acting import ABOUT, Acting

messages = st.lists(st.text(max_size=3) | st.binary(max_size=3), max_size=40)
every = st.integers(1, 50)
behaviours_of_replies = st.sampled_from(
    [scripts.duplicate, scripts.corrupt, scripts.reorder, scripts.swallow, scripts.burst]
)


def script_of(behaviour: Behaviour) -> Acting:
    return Acting(behaviour(count().__next__))


def actions_of(behaviour: Behaviour, sent: list[str | bytes]) -> list[Action]:
    """All that a connection does which gets these messages and is closed then."""
    script = script_of(behaviour)
    actions = list(script.opened())
    for message in sent:
        actions += script.received(message)
    return [*actions, *script.ended()]


def replies_of(behaviour: Behaviour, sent: list[str | bytes]) -> list[str | bytes]:
    actions = actions_of(behaviour, sent)
    assert all(isinstance(action, Reply) for action in actions)
    return [action.message for action in actions if isinstance(action, Reply)]


@given(messages, every)
def test_every_nth_reply_comes_twice_in_a_row(sent, n):
    expected = []
    for number, message in enumerate(sent, 1):
        expected += [message] * (1 if number % n else 2)
    assert replies_of(scripts.duplicate(n, of=scripts.echo_exactly), sent) == expected


@given(messages, every)
def test_every_nth_reply_is_never_sent_and_the_others_are(sent, n):
    expected = [message for number, message in enumerate(sent, 1) if number % n]
    assert replies_of(scripts.swallow(n, of=scripts.echo_exactly), sent) == expected


@given(messages, every)
def test_every_nth_reply_is_another_and_the_others_are_right(sent, n):
    replies = replies_of(scripts.corrupt(n, of=scripts.echo_exactly), sent)
    assert len(replies) == len(sent)
    for number, (reply, message) in enumerate(zip(replies, sent, strict=True), 1):
        assert (reply == message) == bool(number % n)


@given(st.text() | st.binary())
def test_what_is_altered_differs_and_has_the_same_kind_and_size(message):
    altered = faults.altered(message)
    assert type(altered) is type(message)
    assert altered != message
    as_bytes = [m.encode() if isinstance(m, str) else m for m in (message, altered)]
    assert len(as_bytes[1]) == max(len(as_bytes[0]), 1)
    assert as_bytes[0][1:] == as_bytes[1][1:] or isinstance(message, str)
    assert altered[1:] == message[1:]


@given(st.integers(0, 60), every)
def test_every_nth_reply_is_swapped_with_the_next_and_none_is_lost(length, n):
    expected = list(range(1, length + 1))
    # The swaps, written as such: from each nth place that no swap has touched yet.
    place = n
    while place < length:
        expected[place - 1], expected[place] = expected[place], expected[place - 1]
        place += 2 if n == 1 else n
    sent = [str(number) for number in range(1, length + 1)]
    replies = replies_of(scripts.reorder(n, of=scripts.echo_exactly), sent)
    assert replies == [str(number) for number in expected]


@given(messages, every)
def test_a_held_back_reply_is_the_last_and_comes_only_at_the_end(sent, n):
    script = script_of(scripts.reorder(n, of=scripts.echo_exactly))
    before = [action for message in sent for action in script.received(message)]
    held = list(script.ended())
    assert len(before) + len(held) == len(sent)
    assert held in ([], [Reply(sent[-1])] if sent else [])
    assert list(script.ended()) == []


@given(messages, st.integers(1, 20))
def test_each_message_is_answered_n_times_each_with_its_own_number(sent, n):
    numbers = count()
    expected = [
        f"{message} {next(numbers)}"
        if isinstance(message, str)
        else b"%b %d" % (message, next(numbers))
        for message in sent
        for _ in range(n)
    ]
    assert replies_of(scripts.burst(n), sent) == expected


@given(messages, every, st.floats(0, 10))
def test_a_freeze_comes_before_the_reply_to_every_nth_message(sent, n, duration_s):
    expected = []
    for number, message in enumerate(sent, 1):
        if number % n == 0:
            expected.append(Freeze(duration_s))
        expected.append(Reply(message))
    assert actions_of(scripts.stall(n, duration_s, of=scripts.echo_exactly), sent) == expected


@given(messages, st.integers(0, 50))
def test_the_reset_comes_once_and_behind_the_nth_reply(sent, n):
    actions = actions_of(scripts.drop(n, of=scripts.echo_exactly), sent)
    assert actions.count(Reset()) == (1 if len(sent) >= n else 0)
    if Reset() in actions:
        assert actions.index(Reset()) == n
    assert [a.message for a in actions if isinstance(a, Reply)] == sent


@given(messages, st.floats(0, 10), st.integers(1, 100))
def test_lateness_and_fragments_change_no_reply_but_how_it_is_sent(sent, late_s, size):
    behaviour = scripts.delay(late_s, of=scripts.fragment(size, of=scripts.echo_exactly))
    assert actions_of(behaviour, sent) == [Reply(message, late_s, size) for message in sent]


@given(messages)
def test_a_close_is_all_that_a_message_is_answered_with(sent):
    actions = actions_of(scripts.close(4000, "bye"), sent)
    assert actions == [Close(4000, "bye")] * len(sent)


@given(messages)
def test_the_description_comes_first_and_once(sent):
    actions = actions_of(scripts.info(of=scripts.echo_exactly), sent)
    assert actions == [Reply(ABOUT.to_json()), *map(Reply, sent)]


@given(messages, behaviours_of_replies, every, behaviours_of_replies, every)
def test_a_composition_is_one_behaviour_after_the_other(sent, outer, n, inner, m):
    replies = replies_of(inner(m, of=scripts.echo_exactly), sent)
    both = replies_of(outer(n, of=inner(m, of=scripts.echo_exactly)), sent)
    if outer is scripts.burst:
        sent = [message for message in sent for _ in range(n)]
        assert both == replies_of(inner(m, of=scripts.echo_exactly), sent)
    else:
        assert both == replies_of(outer(n, of=scripts.echo_exactly), replies)


def test_the_example_of_the_documentation_holds():
    behaviour = scripts.delay(0.2, of=scripts.duplicate(3, of=scripts.echo_exactly))
    assert actions_of(behaviour, ["a", "b", "c", "d"]) == [
        Reply("a", late_s=0.2),
        Reply("b", late_s=0.2),
        Reply("c", late_s=0.2),
        Reply("c", late_s=0.2),
        Reply("d", late_s=0.2),
    ]


def test_a_message_passes_the_faults_before_a_path_outside_in_and_its_reply_inside_out():
    incoming = scripts.faulty(
        scripts.drop(2, of=scripts.echo_exactly), incoming=[lambda: faults.Swallow(2)]
    )
    outgoing = scripts.faulty(
        scripts.duplicate(2, of=scripts.echo_exactly), outgoing=[lambda: faults.Swallow(2)]
    )
    made = [behaviour(random_suffix) for behaviour in (incoming, outgoing)]
    assert [type(fault) for fault in made[0].incoming] == [faults.Swallow, faults.Drop]
    assert [type(fault) for fault in made[1].outgoing] == [faults.Duplicate, faults.Swallow]
    # Of a, b, c and d two get to the script, and behind the second of them it is over.
    actions = [faults.pass_through(made[0].incoming, [Reply(text)]) for text in "abcd"]
    assert [[type(each) for each in some] for some in actions] == [[Reply], [], [Reply, Reset], []]


def test_each_connection_has_faults_of_its_own_all_of_them_in_their_order() -> None:
    kinds = [faults.Drop, faults.Swallow, faults.Duplicate, faults.Corrupt]
    makes = [lambda kind=kind, n=n: kind(n) for n, kind in enumerate(kinds * 2)]
    inner = scripts.faulty(scripts.echo_exactly, makes[:2], makes[2:4])
    behaviour = scripts.faulty(inner, makes[4:6], makes[6:])
    made = [behaviour(random_suffix) for _ in range(2)]
    for each in made:
        assert each.incoming == tuple(makes[n]() for n in (4, 5, 0, 1))
        assert each.outgoing == tuple(makes[n]() for n in (2, 3, 6, 7))
    pairs = zip(*((*each.incoming, *each.outgoing) for each in made), strict=True)
    assert all(one is not other for one, other in pairs)
    assert made[0].script is not made[1].script


@pytest.mark.parametrize("around", [scripts.info, lambda of: scripts.burst(2, of=of)])
def test_what_a_script_holds_is_held_whatever_is_around_it(around):
    class Keeper(Script):
        held_bytes = 1234

    assert around(of=lambda _: Keeper())(random_suffix).script.held_bytes == 1234


@pytest.mark.parametrize("around", [scripts.info, lambda of: scripts.burst(2, of=of)])
@pytest.mark.parametrize("at_once", [True, False])
def test_a_script_around_another_does_all_that_it_does_not_change_as_the_other(
    around, at_once: bool
) -> None:
    called = list[object]()

    class Inner(Script):
        def enter(self, stage):
            called.append(stage)

        def received(self, message):
            return (Reply(message),)

        def opened(self, about):
            return (Reply("opened"),)

        def ended(self):
            return (Reply("ended"),)

        def leave(self):
            return 3

    Inner.at_once = at_once
    made = around(of=lambda _: Faulty(Inner(), (faults.Drop(1),), (faults.Drop(2),)))(random_suffix)
    script = made.script
    assert (made.incoming, made.outgoing) == ((faults.Drop(1),), (faults.Drop(2),))
    assert script.at_once is at_once
    script.enter("stage")
    assert called == ["stage"]
    opened = list(script.opened(ABOUT))
    assert opened == [*([Reply(ABOUT.to_json())] if around is scripts.info else []),
                      Reply("opened")]  # fmt: skip
    assert list(script.received("m")) == [Reply("m")] * (1 if around is scripts.info else 2)
    assert (list(script.ended()), script.leave()) == ([Reply("ended")], 3)


@pytest.mark.parametrize("seeded", [True, False])
@given(message=st.text() | st.binary(), size=st.integers(0, 3))
def test_a_reply_that_only_gets_something_appended_is_what_it_says(seeded, message, size) -> None:
    """Whoever takes that instead of the reply uses up the same numbers."""
    if seeded:
        numbers = count(10**size)
        behaviours = [
            scripts.echo_with_suffix(numbers.__next__),
            scripts.echo_exactly(random_suffix),
        ]
    else:
        behaviours = [scripts.echo_with_suffix(random_suffix), scripts.echo_exactly(random_suffix)]
    of_numbers, exact = behaviours
    assert (exact(message), exact.appended()) == (message, b"")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(transform, "random", lambda: 0.123456)
        reply, appended = of_numbers(message), of_numbers.appended()
    expected = (10**size, 10**size + 1) if seeded else (123456, 123456)
    as_bytes = message.encode() if isinstance(message, str) else message
    assert reply == (
        f"{message} {expected[0]}"
        if isinstance(message, str)
        else b"%b %d" % (message, expected[0])
    )
    assert as_bytes + appended == b"%b %d" % (as_bytes, expected[1])


def test_nothing_is_appended_to_what_is_not_answered_with_the_message() -> None:
    assert not hasattr(scripts.silent(random_suffix), "appended")
    assert scripts.silent(random_suffix)("m") is None
    assert scripts.echo_with_suffix(random_suffix) is scripts.echo_with_suffix(random_suffix)


def test_a_script_does_nothing_but_what_it_says() -> None:
    script = Script()
    assert (script.at_once, script.held_bytes, script.leave()) == (False, 0, 0)
    assert (list(script.opened(ABOUT)), list(script.ended())) == ([], [])
    with pytest.raises(NotImplementedError):
        script.received("m")


def test_two_connections_of_one_behaviour_count_apart():
    behaviour = scripts.swallow(2, of=scripts.echo_exactly)
    assert replies_of(behaviour, ["a"]) == ["a"]
    assert replies_of(behaviour, ["b"]) == ["b"]


def test_two_delays_add_up_and_the_later_fault_sees_what_the_first_made() -> None:
    behaviour = scripts.delay(0.2, of=scripts.delay(0.3, of=scripts.echo_exactly))
    (reply,) = script_of(behaviour).received("m")
    assert reply.late_s == pytest.approx(0.5)
    doubled = script_of(scripts.swallow(2, of=scripts.duplicate(1, of=scripts.echo_exactly)))
    assert [len(list(doubled.received(text))) for text in "abc"] == [1, 1, 1]
