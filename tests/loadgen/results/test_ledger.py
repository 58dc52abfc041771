import dataclasses
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.results.ledger import FAULTS, MAX_DETAILS, Ending, Failure, Fault, Ledger, Unbalanced
from loadgen.results.verify import Verdict


def test_open_sockets_are_those_opened_and_not_ended():
    ledger = Ledger(3)
    ledger.count_opened()
    ledger.count_opened()
    ledger.count_ended(Ending.CLEAN, 1000, early=False)
    ledger.count_opened()
    assert (ledger.open, ledger.opened, ledger.peak_open) == (2, 3, 2)
    assert ledger.close_codes == {1000: 1}


def test_whatever_went_wrong_counts_as_an_error_once():
    ledger = Ledger(
        9,
        opened=7,
        failed=Counter({Failure.REFUSED: 1, Failure.DNS: 1}),
        lost=1,
        verdicts=Counter({Verdict.ECHOED: 50, Verdict.DUPLICATE: 1, Verdict.UNEXPECTED: 1}),
    )
    ledger.count_ended(Ending.ABNORMAL, 1006, early=True)
    ledger.count_ended(Ending.TIMEOUT, 1006, early=False)
    ledger.count_ended(Ending.ABNORMAL, 1006, early=False)
    ledger.count_ended(Ending.CLEAN, 1000, early=False)
    assert ledger.errors == 8
    assert (ledger.unanswered_closes, ledger.unclean_closes) == (1, 1)


@pytest.mark.parametrize("interrupted", [False, True], ids=["to-the-end", "interrupted"])
def test_what_a_dead_process_leaves_is_written_off_and_the_books_add_up(interrupted):
    ledger = Ledger(10, opened=6, sent=9, received=5, due=12)
    ledger.verdicts[Verdict.ECHOED] = 5
    ledger.count_ended(Ending.BY_PEER, 1001, early=True)
    ledger.abandoned = 1
    ledger.write_off("its process died", interrupted=interrupted)
    ledger.check()
    assert (ledger.orphaned, ledger.closed[Ending.ABNORMAL]) == (5, 5)
    assert (ledger.failed[Failure.OTHER], ledger.failed_by(Fault.MACHINE)) == (4, 4)
    assert (ledger.lost, ledger.in_flight) == ((0, 4) if interrupted else (4, 0))
    assert ledger.orphaned_messages == (0 if interrupted else 3)
    assert ledger.missed == 3
    assert ledger.unclean_closes == 0


def test_early_endings_of_one_kind_add_up():
    ledger = Ledger(3, opened=3)
    for _ in range(3):
        ledger.count_ended(Ending.BY_PEER, 1011, early=True)
    assert ledger.early == {(Ending.BY_PEER, 1011): 3}
    assert (ledger.errors, ledger.close_codes) == (3, {1011: 3})


def test_what_a_dead_process_had_booked_as_missed_is_not_missed_twice():
    ledger = Ledger(1, due=12, sent=9, missed=2)
    ledger.write_off("it died", interrupted=False)
    assert ledger.missed == 3


def test_a_part_that_died_before_it_had_a_schedule_takes_nothing_from_the_others():
    both = Ledger(1)
    both.merge(Ledger(2, due=5, missed=5))
    both.merge(Ledger(3))
    assert (both.requested, both.due, both.missed) == (6, 5, 5)


def test_a_socket_that_times_out_after_we_closed_it_is_another_than_one_that_did_before():
    ledger = Ledger(2, opened=2)
    ledger.count_ended(Ending.TIMEOUT, 1006, early=True)
    ledger.count_ended(Ending.ABNORMAL, 1006, early=True)
    assert (ledger.unanswered_closes, ledger.unclean_closes, ledger.errors) == (0, 0, 2)


BALANCED = {
    "requested": 3, "opened": 1, "closed": Counter({Ending.CLEAN: 1}), "not_attempted": 1,
    "failed": Counter({Failure.OTHER: 1}), "other_faults": Counter({Fault.NETWORK: 1}),
    "sent": 2, "lost": 1, "received": 1, "verdicts": Counter({Verdict.ECHOED: 1}),
    "due": 3, "missed": 1,
}  # fmt: skip


def test_books_that_add_up_pass():
    Ledger(**BALANCED).check()


@pytest.mark.parametrize(
    ("wrong", "identity"),
    [
        pytest.param({"requested": 4}, "requested", id="requested"),
        pytest.param({"not_attempted": 0}, "requested", id="not-attempted"),
        pytest.param({"failed": Counter()}, "requested", id="failed"),
        pytest.param({"closed": Counter()}, "opened = closed", id="never-closed"),
        pytest.param({"closed": Counter({Ending.CLEAN: 2})}, "opened = closed", id="closed-twice"),
        pytest.param({"lost": 0}, "sent", id="lost"),
        pytest.param({"in_flight": 1}, "sent", id="in-flight"),
        pytest.param({"received": 2}, "received", id="received"),
        pytest.param({"missed": 0}, "due", id="missed"),
        pytest.param({"due": 2}, "due", id="due"),
        pytest.param({"other_faults": Counter({Fault.NETWORK: 2})}, "other", id="fault-twice"),
        pytest.param({"one_way": 1}, "sent", id="one-way"),
        pytest.param({"owed": 3}, "owed", id="a-copy-nowhere"),
        pytest.param({"extra": 1, "missing": 1}, "owed", id="a-copy-that-nobody-is-owed"),
    ],
)
def test_each_identity_is_checked_by_itself(wrong, identity):
    with pytest.raises(Unbalanced, match=identity):
        Ledger(**BALANCED | wrong).check()


# -- Properties -------------------------------------------------------------------------------


class Told:
    """Counts apart, in the plainest way, what it tells a ledger."""

    def __init__(self, requested: int, due: int | None) -> None:
        self.ledger = Ledger(requested, due=due)
        self.sockets = {"to open": requested, "open": 0}
        self.peak = self.errors = self.unanswered = self.gone = self.given_up = self.sent = 0
        self.faults: Counter[Fault] = Counter()

    def open(self, _):
        if self.sockets["to open"]:
            self.ledger.count_opened()
            self.sockets["to open"] -= 1
            self.sockets["open"] += 1
            self.peak = max(self.peak, self.sockets["open"])

    def fail(self, how):
        if self.sockets["to open"]:
            failure, fault = how[0], how[1]
            self.ledger.failed[failure] += 1
            if failure is Failure.OTHER:
                self.ledger.other_faults[fault] += 1
            else:
                fault = FAULTS[failure]
            self.faults[fault] += 1
            self.errors += 1
            self.sockets["to open"] -= 1

    def end(self, how):
        if self.sockets["open"]:
            ending, code, early = how[2:5]
            self.ledger.count_ended(ending, code, early=early)
            self.sockets["open"] -= 1
            self.errors += early or ending in (Ending.ABNORMAL, Ending.TIMEOUT)

    def send(self, _):
        if self.ledger.due is None or self.sent < self.ledger.due:
            self.ledger.sent += 1
            self.sent += 1
            self.unanswered += 1

    def reply(self, how):
        verdict = how[5]
        if verdict in (Verdict.ECHOED, Verdict.REORDERED, Verdict.CORRUPT):
            if self.unanswered == self.gone:
                return
            self.unanswered -= 1
        self.ledger.received += 1
        self.ledger.verdicts[verdict] += 1
        self.errors += verdict in (
            Verdict.REORDERED,
            Verdict.CORRUPT,
            Verdict.DUPLICATE,
            Verdict.UNEXPECTED,
        )

    def abandon(self, _):
        if self.unanswered > self.gone:
            self.ledger.abandoned += 1
            self.gone += 1

    def give_up(self, _):
        if self.unanswered > self.gone:
            self.ledger.given_up += 1
            self.gone += 1
            self.given_up += 1

    def agree(self):
        ledger = self.ledger
        assert ledger.open == self.sockets["open"]
        assert ledger.requested - ledger.settled == self.sockets["to open"]
        assert ledger.peak_open == self.peak
        assert ledger.errors == self.errors
        assert ledger.unanswered == self.unanswered
        assert ledger.awaited == self.unanswered - self.gone
        assert {fault: ledger.failed_by(fault) for fault in Fault} == {
            fault: self.faults[fault] for fault in Fault
        }

    def write_off(self, *, interrupted):
        """Its process dies."""
        orphans, opening = self.sockets["open"], self.sockets["to open"]
        codes = self.ledger.close_codes[1006]
        self.ledger.write_off("it died", interrupted=interrupted)
        assert self.ledger.close_codes[1006] == codes + orphans
        assert self.ledger.orphaned == orphans
        assert self.ledger.orphaned_messages == (0 if interrupted else self.unanswered - self.gone)
        assert self.ledger.other_errors["it died"] == opening
        self.errors += orphans + opening + (self.given_up if interrupted else self.unanswered)
        self.faults[Fault.MACHINE] += opening
        self.sockets = {"to open": 0, "open": 0}
        self.agree()
        self.settled(interrupted=interrupted)

    def finish(self, *, interrupted):
        """It comes to its end."""
        while self.sockets["open"]:
            self.end((None, None, Ending.CLEAN, 1000, False, None))
        self.ledger.not_attempted += self.sockets.pop("to open")
        if self.ledger.due is not None:
            self.ledger.missed = self.ledger.due - self.sent
        self.ledger.settle_unanswered(interrupted=interrupted)
        self.settled(interrupted=interrupted)

    def settled(self, *, interrupted):
        # What a timeout of its own has ended is lost, however the run ends.
        lost = self.given_up if interrupted else self.unanswered
        wanted = (lost, self.unanswered - lost)
        assert (self.ledger.lost, self.ledger.in_flight) == wanted
        assert self.ledger.missed == (0 if self.ledger.due is None else self.ledger.due - self.sent)
        self.ledger.check()


hows = st.tuples(
    st.sampled_from(Failure), st.sampled_from(Fault), st.sampled_from(Ending),
    st.sampled_from([1000, 1006, 1011]), st.booleans(), st.sampled_from(Verdict),
)  # fmt: skip
steps = st.lists(
    st.tuples(st.sampled_from(["open", "open", "fail", "end", "send", "send", "reply", "abandon",
                               "give_up"]), hows), max_size=60,
)  # fmt: skip


@st.composite
def told(draw, due):
    made = Told(draw(st.integers(0, 12)), draw(due))
    for what, how in draw(steps):
        getattr(made, what)(how)
        made.agree()
    return made


scheduled, unscheduled = told(st.integers(0, 20)), told(st.none())


@given(scheduled | unscheduled, st.booleans(), st.booleans())
def test_books_say_what_they_were_told_and_add_up_however_the_run_ends(books, dies, interrupted):
    (books.write_off if dies else books.finish)(interrupted=interrupted)


@given(st.tuples(scheduled, scheduled) | st.tuples(unscheduled, unscheduled), st.booleans())
def test_merged_books_say_what_both_do(pair, interrupted):
    one, other = pair
    one.finish(interrupted=interrupted)
    other.write_off(interrupted=interrupted)
    both = Ledger(0)
    both.merge(one.ledger)
    both.merge(other.ledger)
    both.check()
    parts = (one.ledger, other.ledger)
    for name in ("open", "settled", "answered", "unanswered", "awaited", "errors",
                 "unanswered_closes", "unclean_closes"):  # fmt: skip
        assert getattr(both, name) == sum(getattr(part, name) for part in parts), name
    for field in dataclasses.fields(Ledger):
        values = [getattr(part, field.name) for part in parts]
        if isinstance(values[0], Counter):
            assert getattr(both, field.name) == values[0] + values[1], field.name
        elif any(value is not None for value in values):
            assert getattr(both, field.name) == sum(value or 0 for value in values), field.name
    for fault in Fault:
        assert both.failed_by(fault) == sum(part.failed_by(fault) for part in parts)


def test_what_is_owed_nothing_is_not_unanswered_and_what_is_no_reply_is_no_error():
    ledger = Ledger(0, sent=5, one_way=2, published=1, received=6)
    ledger.verdicts.update({Verdict.ECHOED: 2, Verdict.EXPECTED: 1, Verdict.IGNORED: 1})
    ledger.verdicts.update({Verdict.STREAMED: 1, Verdict.COPIES: 1})
    assert (ledger.unanswered, ledger.awaited, ledger.errors) == (0, 0, 0)
    ledger.check()


@pytest.mark.parametrize(("interrupted", "missing", "in_flight"), [(True, 1, 3), (False, 4, 0)])
def test_copies_that_have_not_come_are_settled_once(interrupted, missing, in_flight):
    ledger = Ledger(requested=0)
    ledger.owed, ledger.delivered, ledger.missing, ledger.unsettled = 10, 4, 1, 2
    for _ in range(2):
        ledger.settle_copies(interrupted=interrupted)
        assert (ledger.missing, ledger.copies_in_flight) == (missing, in_flight)


def test_copies_that_are_missing_or_that_nobody_was_owed_are_errors():
    assert Ledger(0, owed=9, delivered=4, missing=3, extra=2, unsettled=2).errors == 5


@pytest.mark.parametrize(
    ("verdict", "is_wrong"),
    [("echoed", False), ("reordered", True), ("corrupt", True), ("duplicate", True),
     ("unexpected", True)],
)  # fmt: skip
def test_which_replies_are_errors_and_which_settle_a_message(verdict, is_wrong):
    ledger = Ledger(1, sent=1, verdicts=Counter({Verdict(verdict): 1}))
    assert ledger.errors == is_wrong
    assert ledger.answered == (verdict in {"echoed", "reordered", "corrupt"})


def test_of_very_many_explanations_the_first_count():
    ledger = Ledger(requested=0)
    for number in (*range(MAX_DETAILS + 5), 0, MAX_DETAILS - 1, MAX_DETAILS):
        ledger.explain(Failure.PROTOCOL, f"d{number}")
    assert len(ledger.details) == MAX_DETAILS == 100
    assert ledger.details.total() == MAX_DETAILS + 2
    assert ledger.details[Failure.PROTOCOL, f"d{MAX_DETAILS - 1}"] == 2


def test_a_peer_that_gives_no_reason_has_given_none():
    ledger = Ledger(requested=0)
    ledger.count_ended(Ending.BY_PEER, 4000, early=True)
    ledger.count_ended(Ending.BY_PEER, 4000, early=True, reason="bye")
    assert ledger.close_reasons == {(4000, "bye"): 1}


def test_of_very_many_close_reasons_the_first_count():
    ledger = Ledger(requested=0)
    for number in range(MAX_DETAILS + 5):
        ledger.count_ended(Ending.BY_PEER, 4000, early=True, reason=f"r{number}")
    ledger.count_ended(Ending.BY_PEER, 4000, early=True, reason="r0")
    ledger.count_ended(Ending.BY_PEER, 4000, early=True)
    assert len(ledger.close_reasons) == MAX_DETAILS
    assert ledger.close_reasons[4000, "r0"] == 2
    assert ledger.close_reasons.total() == MAX_DETAILS + 1
    assert ledger.close_codes[4000] == MAX_DETAILS + 7
